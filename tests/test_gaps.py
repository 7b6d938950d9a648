"""Which hours the statistics lack, and what is put into them: on rows as Home Assistant writes them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.mtec.history.gaps import GapFinder, Lacking, Step, share, steps
from custom_components.mtec.history.hours import HOUR, hours_of_day, midnight
from custom_components.mtec.home_assistant_internals import Row

ZONE = ZoneInfo("Europe/Berlin")
FIVE_MINUTES = timedelta(minutes=5)
KEPT = timedelta(days=10)
"""How far back Home Assistant makes up rows for the time that it was off."""


@cache
def _local(moment: datetime) -> datetime:
    return moment.astimezone(ZONE)


class Sensor:
    """A sensor of a day's energy that counts a plant, and the rows that Home Assistant writes of it.

    While it is "away" there are no rows, while Home Assistant is "off" they are made up afterwards.
    """

    def __init__(self, begin: datetime, end: datetime, outages: Sequence[tuple[datetime, datetime, str]]) -> None:
        random = Random(7)  # noqa: S311
        self.rows: dict[datetime, Row] = {}
        self.totals: dict[date, float] = {}
        self._state, self._sum, self._since = 0.0, 0.0, begin
        self._shown = begin
        moment = begin
        while moment < end:
            local_moment = _local(moment)
            made = random.randrange(80) / 1000 if 6 <= local_moment.hour < 20 else random.randrange(8) / 1000
            day = local_moment.date()
            self.totals[day] = round(self.totals.get(day, 0.0) + made, 3)
            kind = next((kind for first, last, kind in outages if first <= moment < last), None)
            if kind is None:
                self._count(moment, day)
            if kind != "away":
                self._write(moment, is_late=kind == "off" and local_moment.minute == 55)
            moment += FIVE_MINUTES

    def _count(self, moment: datetime, day: date) -> None:
        """Count a reading: also what is left of yesterday, unless nothing was shown in its last hour."""
        begin = midnight(day, ZONE)
        if begin != self._since:
            if self._since == midnight(day - timedelta(days=1), ZONE) and self._shown >= begin - HOUR:
                self._sum += self.totals[day - timedelta(days=1)] - self._state
            self._state, self._since = 0.0, begin
        self._sum += self.totals[day] - self._state
        self._state, self._shown = self.totals[day], moment

    def _write(self, moment: datetime, *, is_late: bool) -> None:
        hour = moment.replace(minute=0)
        self.rows[hour] = Row(
            start=hour, end=hour + HOUR, state=self._state, sum=self._sum, last_reset=self._since, is_late=is_late
        )

    def total(self, day: date) -> float:
        """The portal's energy of a day."""
        return self.totals[day]

    def lacking(self) -> Lacking:
        finder = GapFinder(ZONE)
        finder.add(self.rows[start] for start in sorted(self.rows))
        found = finder.result()
        assert found is not None
        return found

    def apply(self, step: Step) -> None:
        """Do what the recorder does when it is told to write hours and then to raise all sums."""
        for row in step.hours:
            self.rows[row.start] = replace(row, sum=row.sum - step.rise)
        for start, row in self.rows.items():
            if start >= step.hours[0].start:
                self.rows[start] = replace(row, sum=row.sum + step.rise)

    def changes(self) -> dict[datetime, tuple[float, float]]:
        """State and change of each row but the first."""
        rows = [self.rows[start] for start in sorted(self.rows)]
        return {row.start: (row.state, row.sum - before.sum) for before, row in pairwise(rows)}

    def days(self) -> dict[date, float]:
        """What the Energy dashboard shows of each day."""
        days: dict[date, float] = {}
        for start, (_, change) in self.changes().items():
            day = start.astimezone(ZONE).date()
            days[day] = days.get(day, 0.0) + change
        return days


def fill(sensor: Sensor) -> list[Step]:
    """Fill what a sensor lacks of each day, evenly."""
    lacking = sensor.lacking()
    rises: dict[datetime, float] = {}
    there = {hour for gap in lacking.gaps for hour in gap.made_up}
    for day, hours in lacking.hours_by_day(ZONE).items():
        energy = max(0.0, sensor.total(day) - lacking.recorded.get(day, 0.0))
        written = [hour for hour in hours if energy > 0.005 or hour not in there]
        if written:
            rises |= dict(zip(written, share(energy if energy > 0.005 else 0.0, [1.0] * len(written)), strict=True))
    done = list(steps(lacking, rises, ZONE))
    for step in done:
        sensor.apply(step)
    return done


def check(sensor: Sensor, first: date, last: date, excused: Collection[date] = ()) -> None:
    days = sensor.days()
    day = first
    while day <= last:
        if day not in excused:
            assert days[day] == pytest.approx(sensor.total(day), abs=0.011), day
        day += timedelta(days=1)


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZONE).astimezone(UTC)  # type: ignore[misc,arg-type]


OUTAGES = {
    "an hour": (local(2026, 6, 16, 12, 20), local(2026, 6, 16, 13, 25)),
    "an afternoon and a night": (local(2026, 6, 16, 14, 20), local(2026, 6, 17, 10, 10)),
    "three days": (local(2026, 6, 16, 14, 20), local(2026, 6, 19, 16, 40)),
    "until a midnight": (local(2026, 6, 16, 17, 0), local(2026, 6, 17, 0, 0)),
    "from a midnight": (local(2026, 6, 17, 0, 0), local(2026, 6, 18, 9, 0)),
}


@pytest.mark.parametrize("kind", ["away", "off"])
@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES)
def test_every_day_is_the_plants_and_nothing_recorded_is_altered(kind: str, outage: tuple[datetime, datetime]) -> None:
    begin, end = local(2026, 6, 15), local(2026, 6, 21)
    sensor = Sensor(begin, end, [(*outage, kind)])
    before = sensor.changes()
    made_up = {hour for gap in sensor.lacking().gaps for hour in gap.made_up}
    fill(sensor)
    after = sensor.changes()
    for start, (state, change) in before.items():
        if start not in made_up:
            assert after[start][0] == state
            assert after[start][1] == pytest.approx(change, abs=1e-6), start
    check(sensor, date(2026, 6, 16), date(2026, 6, 20))
    assert all(change > -1e-9 for _, change in after.values())
    assert not [gap for gap in sensor.lacking().gaps if len(gap.made_up) < len(gap.hours)]
    again = sensor.rows.copy()
    fill(sensor)
    assert sensor.rows == again


@pytest.mark.parametrize("outage", list(OUTAGES.values())[1:], ids=list(OUTAGES)[1:])
def test_stopped_between_the_rows_and_their_rise(outage: tuple[datetime, datetime]) -> None:
    """The sum falls where that happened, and nowhere else: raised from there it is as if nothing had happened."""
    whole, stopped = (Sensor(local(2026, 6, 15), local(2026, 6, 21), [(*outage, "away")]) for _ in range(2))
    fill(whole)
    lacking = stopped.lacking()
    assert lacking.falls == []
    rises = {hour: 0.25 for gap in lacking.gaps for hour in gap.hours}
    [step] = steps(lacking, rises, ZONE)
    for row in step.hours:
        stopped.rows[row.start] = replace(row, sum=row.sum - step.rise)
    [fall] = stopped.lacking().falls
    assert fall.start == step.hours[0].start
    assert fall.lack == pytest.approx(step.rise, abs=1e-6)


type Outage = tuple[datetime, datetime, str]


def outages_between(begin: datetime, end: datetime, chosen: Sequence[tuple[int, int, str]]) -> list[Outage]:
    """Return those outages, given by their start and length in five minutes, that are two hours apart."""
    outages: list[Outage] = []
    for start, length, kind in sorted(chosen):
        first = begin + start * FIVE_MINUTES
        if not outages or first > outages[-1][1] + 2 * HOUR:
            outages.append((first, min(first + length * FIVE_MINUTES, end - 3 * HOUR), kind))
    return [outage for outage in outages if outage[0] < outage[1]]


def excused_days(outages: Sequence[Outage]) -> set[date]:
    """Return the first and the last day of outages that begin in the last hour of a day.

    They lack no whole hour of it: the rest counts for the hour after the outage.
    """
    late = [(first, last) for first, last, _ in outages if _local(first).hour == 23]
    return {_local(moment).date() for outage in late for moment in outage}


@given(
    st.lists(
        st.tuples(st.integers(20, 24 * 12 * 58), st.integers(3, 12 * 24 * 5), st.sampled_from(["away", "off"])),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=12, deadline=None)
def test_two_months_with_any_outages(chosen: list[tuple[int, int, str]]) -> None:
    """After one filling all days are the plant's; what was recorded is as it was."""
    begin, end = local(2026, 10, 1), local(2026, 12, 1)
    outages = outages_between(begin, end, chosen)
    sensor = Sensor(begin, end, outages)
    before, lacking = sensor.changes(), sensor.lacking()
    before_first = sensor.rows[min(sensor.rows)].state
    made_up = {hour for gap in lacking.gaps for hour in gap.made_up}
    late = {gap.after.start for gap in lacking.gaps if gap.late}
    fill(sensor)
    after = sensor.changes()
    altered = {start for start, old in before.items() if after[start] != pytest.approx(old, abs=1e-6)}
    assert altered <= made_up | late
    check(sensor, date(2026, 10, 2), date(2026, 11, 29), excused_days(outages))
    everything = sum(sensor.totals.values()) - before_first
    assert sum(sensor.days().values()) == pytest.approx(everything, abs=0.01 * len(outages) + 0.001)


def test_statistics_deleted_in_the_middle() -> None:
    """The sums know the energy of the hours that are gone: it is moved back into them, and not added again."""
    sensor = Sensor(local(2026, 6, 15), local(2026, 6, 21), [])
    whole = sensor.days()
    last = sensor.rows[max(sensor.rows)].sum
    for hour in list(sensor.rows):
        if local(2026, 6, 16, 15) <= hour < local(2026, 6, 17, 11):
            del sensor.rows[hour]
    fill(sensor)
    assert sensor.rows[max(sensor.rows)].sum == pytest.approx(last)
    assert sensor.days() == {day: pytest.approx(energy, abs=0.011) for day, energy in whole.items()}


def test_shares_add_up_to_the_total_and_follow_the_weights() -> None:
    assert share(1.0, [1, 1, 2]) == pytest.approx([0.25, 0.25, 0.5])
    assert share(0.9, [0, 0, 0]) == pytest.approx([0.3, 0.3, 0.3])
    assert sum(share(10 / 3, [1, 5, 7, 0.1])) == pytest.approx(10 / 3, abs=1e-12)


def test_hours_of_the_night_on_which_the_clocks_change() -> None:
    outage = (local(2026, 10, 24, 18), local(2026, 10, 26, 9), "away")
    sensor = Sensor(local(2026, 10, 23), local(2026, 10, 28), [outage])
    found: Mapping[date, list[datetime]] = sensor.lacking().hours_by_day(ZONE)
    assert len(found[date(2026, 10, 25)]) == 25 == len(hours_of_day(date(2026, 10, 25), ZONE))
    fill(sensor)
    check(sensor, date(2026, 10, 24), date(2026, 10, 27))
