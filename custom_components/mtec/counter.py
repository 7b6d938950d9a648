"""Energies that only grow: what the portal says wrongly for a while never reaches the statistics."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Any, Final

PLAUSIBLE_POWER: Final = 100.0
"""kW with which no home's energy grows faster."""
PLAUSIBLE_RISE: Final = 0.5
"""kWh by which an energy may rise at once: the portal books in portions."""

SURE_AFTER: Final = timedelta(minutes=30)
"""How long the portal has to insist on less energy than there was, until it is believed that it began anew."""
SURE_IT_IS_NOT_OLD: Final = timedelta(days=2)
"""How long, if the energy is one that the plant had before: the portal may be repeating yesterday's data."""

LATE_RESET: Final = timedelta(hours=3)
"""How long after midnight the portal may still show the energy of the day before. The sun is not up by then."""


class Period(Enum):
    """What an energy counts: a period of the calendar at the plant, or the plant's life."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    LIFE = "life"

    def start(self, day: date) -> date:
        """Return the first day of the period that `day` is in."""
        match self:
            case Period.DAY:
                return day
            case Period.MONTH:
                return day.replace(day=1)
            case Period.YEAR:
                return day.replace(month=1, day=1)
            case Period.LIFE:
                return date.min


@dataclass(slots=True, kw_only=True)
class Counter:
    """Counts the energy of a period.

    `value` is what is to be shown, in kWh, None before the first; it falls only where a new period `start`s. `told` is
    what the portal said when it was last believed. Where the portal began anew, `offset` is what it had counted until
    then; `told_before` and `offset_before` are those before, of the moment `left`, in case it had not begun anew after
    all, and `base` is from where it began.
    """

    period: Period
    start: date | None = None
    value: float | None = None
    told: float = 0.0
    offset: float = 0.0
    believed: datetime | None = None
    doubted: datetime | None = None
    lowest_doubted: float = 0.0
    last_period: float | None = None
    told_before: float | None = None
    offset_before: float = 0.0
    base: float = 0.0
    left: datetime | None = None

    def tell(self, told: float, now: datetime, *, day: date | None = None) -> bool:
        """Take in what the portal says at `now`, an aware datetime at the plant. Return whether it is believed.

        `day` is the day that the portal itself says it is of; None if it should be today's, which may be late.
        """
        start = self.period.start(day or now.date())
        if told < 0 or (day is None and self._is_late(start, told, now)):
            return False
        if self.value is None or self.start is None or start > self.start:
            self.last_period = None if self.value is None else self.told
            self.start, self.value, self.offset, self.told_before = start, told, 0.0, None
            self._believe(told, now)
        elif start == self.start and (told >= self.told or start == self.period.start(now.date())):
            # Less than before is no news of a period that is over.
            self._tell_more(told, now)
        return self.told == told

    def _is_late(self, start: date, told: float, now: datetime) -> bool:
        """Return whether the portal still tells the period before."""
        midnight = datetime.combine(start, time(), now.tzinfo)
        if self.period is Period.LIFE or self.start is None or now - midnight > LATE_RESET:
            return False
        if start > self.start:
            return told >= self.told
        return start == self.start and self.last_period is not None and 0 < self.last_period <= told

    def _tell_more(self, told: float, now: datetime) -> None:
        """Count what the portal tells in the same period."""
        before = self.told_before
        if before is not None and told >= before:
            if self.told >= (self.base + before) / 2:
                # It has grown beyond what was before.
                self.told_before = None
            elif told - before <= _plausible_rise(self.left, now):
                # It had not begun anew after all. What was counted since is made up for before more is counted.
                self.offset = self.offset_before
                self._believe(told, now)
                self.told_before = None
                return
        if 0 <= told - self.told <= _plausible_rise(self.believed, now):
            self._believe(told, now)
        elif told > self.told:
            # In time it becomes plausible, if it is true.
            self.doubted = None
        elif self.doubted is None:
            self.doubted, self.lowest_doubted = now, told
        else:
            self.lowest_doubted = min(self.lowest_doubted, told)
            if now - self.doubted >= self._sure_after(told):
                self.told_before, self.offset_before, self.left = self.told, self.offset, self.believed
                self.base = self.lowest_doubted
                self.offset = (self.value or 0.0) - self.lowest_doubted
                self._believe(told, now)

    def _believe(self, told: float, now: datetime) -> None:
        self.told, self.believed, self.doubted = told, now, None
        self.value = max(self.value or 0.0, round(told + self.offset, 3))

    def _sure_after(self, told: float) -> timedelta:
        """Return how long the portal has to insist on less than before. What begins anew begins near nothing."""
        return SURE_AFTER if told < self.told / 2 else SURE_IT_IS_NOT_OLD

    def as_dict(self) -> dict[str, Any]:
        """Return what outlives a restart, as JSON."""
        return {
            "start": self.start and self.start.isoformat(),
            "value": self.value,
            "told": self.told,
            "offset": self.offset,
            "believed": self.believed and self.believed.astimezone(UTC).isoformat(),
            "last_period": self.last_period,
            "told_before": self.told_before,
            "offset_before": self.offset_before,
            "base": self.base,
            "left": self.left and self.left.astimezone(UTC).isoformat(),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Go on from what `as_dict` returned before a restart. What does not look like it is left out."""
        try:
            restored = Counter(
                period=self.period,
                start=date.fromisoformat(data["start"]),
                value=float(data["value"]),
                told=float(data["told"]),
                offset=float(data["offset"]),
                believed=datetime.fromisoformat(data["believed"]),
                last_period=_optional(data["last_period"]),
                told_before=_optional(data["told_before"]),
                offset_before=float(data["offset_before"]),
                base=float(data["base"]),
                left=None if data["left"] is None else datetime.fromisoformat(data["left"]),
            )
        except KeyError, TypeError, ValueError:
            return
        for each in fields(self):
            setattr(self, each.name, getattr(restored, each.name))


def _plausible_rise(since: datetime | None, now: datetime) -> float:
    """Return the kWh by which an energy can have risen since a moment."""
    hours = 0.0 if since is None else (now - since) / timedelta(hours=1)
    return PLAUSIBLE_RISE + PLAUSIBLE_POWER * max(0.0, hours)


def _optional(number: float | None) -> float | None:
    return None if number is None else float(number)
