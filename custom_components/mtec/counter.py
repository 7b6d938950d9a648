"""Count an energy from the readings of its meter, without gaining or losing energy when the readings are wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from math import isfinite
from typing import Any, Final

USUAL_POWER: Final = 20.0
"""kW. A rise that needs no more is accepted at once."""
POSSIBLE_POWER: Final = 100.0
"""kW. A rise that needs more is not energy."""
PORTION: Final = 1.0
"""kWh by which a reading may rise at once: real plants were seen to report in portions of up to 0.8 kWh."""
LONGEST_GAP: Final = timedelta(hours=6)
"""Share of the time since the last accepted reading that counts for a rise that is accepted at once."""

CONFIRMED_AFTER: Final = timedelta(minutes=10)
"""Time for which an unusual but possible rise has to be reported until it is accepted."""
SURE_AFTER: Final = timedelta(minutes=30)
"""Time for which an impossible reading has to be reported until it is taken for another meter."""
SURE_IT_IS_NOT_OLD: Final = timedelta(days=2)
"""The same for a lower reading that the meter may have had before: sources repeat data of yesterday."""
LONGEST_SILENCE: Final = timedelta(hours=2)
"""Readings that are further apart than this are not taken for one that is reported all the time."""
LATE_RESET: Final = timedelta(hours=3)
"""Time after midnight in which a reading without a date may still rise for the day before."""

LONGEST_DOUBT: Final = timedelta(hours=3)
"""Time for which the next cycle waits while the readings of the one that is over cannot be right: none is lost."""

_HIGHEST: Final = 1e9
"""kWh that no plant reaches."""
_YEARS: Final = range(2000, 2101)


class ResetCycle(Enum):
    """The period after which a meter returns to zero: a day, month or year at the plant, or never."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    NEVER = "never"

    def start(self, day: date) -> date:
        """Return the first day of the cycle that `day` is in."""
        match self:
            case ResetCycle.DAY:
                return day
            case ResetCycle.MONTH:
                return day.replace(day=1)
            case ResetCycle.YEAR:
                return day.replace(month=1, day=1)
            case ResetCycle.NEVER:
                return date.min


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter: its last accepted `reading` in kWh, when that last changed, and the counter's value beyond it in kWh."""

    reading: float
    offset: float
    changed: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """Readings that were not accepted so far: their cycle, the lowest of them in kWh, the first and the last time."""

    start: date
    reading: float
    since: datetime
    until: datetime


@dataclass(slots=True, kw_only=True)
class Counter:
    """Counts the energy of a cycle; `value` in kWh is None before the first reading and never falls within a cycle.

    `start` is the first day of the cycle, `accepted` the time of the last reading that was accepted. When the meter is
    replaced by another, `previous` is the one before, in case it comes back.
    """

    cycle: ResetCycle
    start: date | None = None
    value: float | None = None
    meter: Meter | None = None
    accepted: datetime | None = None
    candidate: Candidate | None = None
    previous: Meter | None = None

    def update(self, reading: float, at: datetime, *, day: date | None = None) -> None:
        """Take a reading in kWh of the time `at`, in the plant's time zone.

        `day` is the day that the source itself gives for the reading, None if it gives none.
        """
        if not 0 <= reading <= _HIGHEST:
            return
        current, start = self.cycle.start(at.date()), self.cycle.start(day or at.date())
        if start > current:
            return
        if self.meter is None or self.start is None:
            self._begin(start, reading, at, value=reading)
        elif self.start > current:
            self._resume(current, start, reading, at)
        elif start > self.start:
            self._update_new_cycle(start, reading, at, dated=day is not None)
        elif start == self.start:
            self._update_same_cycle(self.meter, reading, at, is_over=start < current)

    def _begin(self, start: date, reading: float, at: datetime, *, value: float) -> None:
        """Begin a cycle with a value in kWh."""
        self.start, self.value, self.accepted = start, round(value, 3), self._counted_until(start, at)
        self.meter, self.candidate, self.previous = Meter(reading, value - reading, at), None, None

    def _counted_until(self, start: date, at: datetime) -> datetime:
        """Return until when a reading of a cycle counts: one of a cycle that is over until its last midnight."""
        current = self.cycle.start(at.date())
        return at if start >= current else datetime.combine(current, time(), at.tzinfo)

    def _resume(self, current: date, start: date, reading: float, at: datetime) -> None:
        """Go on after the computer's clock was ahead, once that is sure: what was counted is not counted again."""
        if start != current or self.meter is None or self._confirmed(start, reading, at, SURE_AFTER) is None:
            return
        rise = reading - self.meter.reading
        is_usual = 0 <= rise <= _usual_rise(at - SURE_AFTER, at)
        self._begin(current, reading, at, value=rise if is_usual else 0.0)

    def _update_new_cycle(self, start: date, reading: float, at: datetime, *, dated: bool) -> None:
        """Begin the next cycle if the reading is of it, and its energy can have been generated since midnight."""
        midnight = datetime.combine(start, time(), at.tzinfo)
        if not dated and not self._is_reset(start, reading, at, midnight):
            return
        if reading <= _usual_rise(midnight if self.accepted is None else max(midnight, self.accepted), at):
            self._begin(start, reading, at, value=reading)
        elif reading <= _possible_rise(midnight, at):
            if (confirmed := self._confirmed(start, reading, at, CONFIRMED_AFTER)) is not None:
                self._begin(start, confirmed, at, value=confirmed)
        else:
            self.candidate = None

    def _is_reset(self, start: date, reading: float, at: datetime, midnight: datetime) -> bool:
        """Return whether a reading without a date is one of the new cycle, and not the old one repeated."""
        if self.meter is None or self.accepted is None or reading == self.meter.reading > 0:
            return False
        may_be_old = at - self.accepted < SURE_IT_IS_NOT_OLD
        if reading <= self.meter.reading and not may_be_old:
            # After a long gap, unless the clock is wrong for a moment.
            return self._confirmed(start, reading, at, SURE_AFTER) is not None
        if reading <= self.meter.reading / 2:
            # A meter that was reset begins near zero. A reading above can be one of yesterday.
            return reading == 0 or reading <= _usual_rise(midnight, at)
        if reading < self.meter.reading:
            return False
        # If hardly anything was counted in the old cycle, the reset is never seen, but the reading goes on to rise.
        return at - midnight > LATE_RESET and reading > self._reported(start, reading, at).reading

    def _update_same_cycle(self, meter: Meter, reading: float, at: datetime, *, is_over: bool) -> None:
        """Count a reading of the cycle that is being counted, or that is over and being completed."""
        rise, usual = reading - meter.reading, _usual_rise(self.accepted, at)
        if self._comes_from_previous(meter, reading, at) and self._rise_with_previous(reading) <= usual:
            self._return_to_previous(reading, at)
        elif 0 <= rise <= usual:
            self._accept(meter, reading, at)
        elif rise > 0:
            self._update_unusual_rise(meter, reading, at)
        elif not is_over:
            self._update_fall(meter, reading, at)
        else:
            self._reported(self._start, reading, at)
        if self.accepted == at:
            self.accepted = self._counted_until(self._start, at)

    def _update_unusual_rise(self, meter: Meter, reading: float, at: datetime) -> None:
        # Below the meter before it may be an old reading of that meter.
        is_old = self.previous is not None and meter.reading < reading < self.previous.reading
        is_possible = reading - meter.reading <= _possible_rise(meter.changed, at) and not is_old
        confirmed = self._confirmed(self._start, reading, at, CONFIRMED_AFTER if is_possible else SURE_AFTER)
        if confirmed is None:
            return
        if self._comes_from_previous(meter, confirmed, at):
            self._return_to_previous(confirmed, at)
        elif is_possible:
            self._accept(meter, confirmed, at)
        else:
            self._replace_meter(meter, confirmed, reading, at)

    def _update_fall(self, meter: Meter, reading: float, at: datetime) -> None:
        """Take a lower reading for that of another meter once that is sure: one that is new begins near zero."""
        sure_after = SURE_AFTER if reading < meter.reading / 2 else SURE_IT_IS_NOT_OLD
        if (lowest := self._confirmed(self._start, reading, at, sure_after)) is not None:
            self._replace_meter(meter, lowest, reading, at)

    def _confirmed(self, start: date, reading: float, at: datetime, after: timedelta) -> float | None:
        """Return the lowest of the readings that were not accepted, None until they have been reported long enough."""
        reported = self._reported(start, reading, at)
        return reported.reading if at - reported.since >= after else None

    def _reported(self, start: date, reading: float, at: datetime) -> Candidate:
        """Return the candidate that a reading which is not accepted goes on, or begins."""
        known = self.candidate
        if (
            known is None
            or known.start != start
            or not timedelta() <= at - known.until <= LONGEST_SILENCE
            or self._distance(known.reading) != self._distance(reading)
        ):
            known = Candidate(start, reading, at, at)
        self.candidate = replace(known, reading=min(known.reading, reading), until=at)
        return self.candidate

    def _distance(self, reading: float) -> int:
        """Return 0 for a reading below half of the accepted one, 1 for one below it, 2 for one above it."""
        accepted = self.meter.reading if self.meter else 0.0
        return (reading >= accepted / 2) + (reading >= accepted)

    def _is_doubted_for(self, at_most: timedelta, at: datetime) -> bool:
        """Return whether there are readings of the running cycle that were not accepted, for no longer than this."""
        candidate = self.candidate
        return candidate is not None and candidate.start == self.start and at - candidate.since < at_most

    def _accept(self, meter: Meter, reading: float, at: datetime) -> None:
        """Count the rise of the meter."""
        changed = at if reading != meter.reading else meter.changed
        self.meter, self.accepted = Meter(reading, meter.offset, changed), at
        if self.candidate is not None and self.candidate.start == self.start:
            self.candidate = None
        self.value = max(self._value, round(reading + meter.offset, 3))

    def _replace_meter(self, meter: Meter, begin: float, reading: float, at: datetime) -> None:
        """Go on with another meter, which counts from `begin` in kWh if its rise since then can be energy."""
        if self.candidate is None or reading - begin > _possible_rise(self.candidate.since, at):
            begin = reading
        if self.previous is None or meter.reading > self.previous.reading:
            self.previous = meter
        self._accept(Meter(begin, self._value - begin, at), reading, at)

    def _comes_from_previous(self, meter: Meter, reading: float, at: datetime) -> bool:
        """Return whether the reading is one of the meter before: none was replaced after all."""
        previous = self.previous
        if previous is None or not 0 <= reading - previous.reading <= _possible_rise(previous.changed, at):
            return False
        rise, difference = reading - meter.reading, meter.offset - previous.offset
        # From one meter to the other the reading changes by the difference of the two; otherwise by nearly nothing.
        return rise * difference > 0 and abs(rise) >= abs(difference) / 2

    def _rise_with_previous(self, reading: float) -> float:
        return reading + (self.previous.offset if self.previous else 0.0) - self._value

    def _return_to_previous(self, reading: float, at: datetime) -> None:
        """Go on with the meter before. The value stays until that meter has reached it."""
        if (previous := self.previous) is not None:
            self.previous = None
            self._accept(previous, reading, at)

    @property
    def _value(self) -> float:
        return 0.0 if self.value is None else self.value

    @property
    def _start(self) -> date:
        return date.min if self.start is None else self.start

    def update_all(self, readings: Iterable[tuple[float, datetime, date | None]]) -> None:
        """Take several readings of one time. A cycle that is over is completed before the next one begins.

        Each of the two is a state of its own, and the recorder knows no order of two states of one moment.
        """
        known = [*readings]
        for reading, at, day in known if self.meter is not None else known[-1:]:
            start, value = self.start, self.value
            self.update(reading, at, day=day)
            is_over = start is not None and start < self.cycle.start(at.date())
            if is_over and start == self.start and (self.value != value or self._is_doubted_for(LONGEST_DOUBT, at)):
                break

    def as_dict(self) -> dict[str, Any]:
        """Return the state of the counter as JSON, to be restored after a restart."""
        if self.meter is None or self.start is None or self.accepted is None:
            return {}
        records = (self.meter, self.previous, self.candidate)
        meter, previous, candidate = (None if record is None else _as_json(asdict(record)) for record in records)
        return {
            **_as_json({"start": self.start, "value": self.value, "accepted": self.accepted}),
            "meter": meter,
            "previous": previous,
            "candidate": candidate,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Restore the state that `as_dict` returned. Does nothing if it is damaged."""
        try:
            start, value, accepted = _day(data["start"]), _energy(data["value"]), _moment(data["accepted"])
            meter, previous, candidate = _meter(data["meter"]), data["previous"], data["candidate"]
            previous = None if previous is None else _meter(previous)
            if candidate is not None:
                candidate = Candidate(
                    _day(candidate["start"]),
                    _energy(candidate["reading"]),
                    _moment(candidate["since"]),
                    _moment(candidate["until"]),
                )
        except ArithmeticError, KeyError, TypeError, ValueError:
            return
        self.start, self.value, self.accepted = start, value, accepted
        self.meter, self.previous, self.candidate = meter, previous, candidate


def _hours(since: datetime | None, at: datetime) -> float:
    """Return the hours that have passed. If the clock was set back, they are not known: one hour is assumed."""
    if since is None:
        return 0.0
    return (at - since) / timedelta(hours=1) if at >= since else 1.0


def _usual_rise(since: datetime | None, at: datetime) -> float:
    """Return the kWh by which a reading usually rises at most."""
    return PORTION + USUAL_POWER * min(_hours(since, at), LONGEST_GAP / timedelta(hours=1))


def _possible_rise(since: datetime, at: datetime) -> float:
    """Return the kWh by which a reading can have risen."""
    return PORTION + POSSIBLE_POWER * _hours(since, at)


def _as_json(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.astimezone(UTC).isoformat()
        if isinstance(value, datetime)
        else value.isoformat()
        if isinstance(value, date)
        else value
        for key, value in state.items()
    }


def _meter(data: Mapping[str, Any]) -> Meter:
    offset = float(data["offset"])
    if not isfinite(offset) or abs(offset) > _HIGHEST:
        raise ValueError("The offset makes no sense")
    return Meter(_energy(data["reading"]), offset, _moment(data["changed"]))


def _energy(stored: float) -> float:
    energy = float(stored)
    if not 0 <= energy <= _HIGHEST:
        raise ValueError("The energy makes no sense")
    return energy


def _day(stored: str) -> date:
    day = date.fromisoformat(stored)
    if day.year not in _YEARS and day != date.min:
        raise ValueError("The day makes no sense")
    return day


def _moment(stored: str) -> datetime:
    moment = datetime.fromisoformat(stored)
    if moment.year not in _YEARS or moment.tzinfo is None:
        raise ValueError("The moment makes no sense")
    return moment
