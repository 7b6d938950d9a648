"""Which hours a sensor's statistics lack, and how a day's energy is distributed over them.

An hour is lacking if there is no row of it, or only one that Home Assistant made up: for the time that it was off it
writes, once it is on again, rows that repeat the last state. They are written late and carry the state of a day that
is over, or lead up to such rows without a change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from itertools import accumulate, pairwise
from typing import Final

from custom_components.mtec.home_assistant_internals import Row

from .hours import HOUR, midnight

_EXACT: Final = 1e-6
_SHORTEST_FALL: Final = 1e-4
"""How much a sum falls, at the least, when hours were put in and the sums not raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Hours (UTC) without a recorded row, one after the other, between two recorded rows.

    `made_up` are the rows that are there of them. `late` is what the row after them has of the day `late_day`, which
    has hours in the gap.
    """

    before: Row
    after: Row
    hours: Sequence[datetime]
    made_up: Mapping[datetime, Row]
    late: float
    late_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """A row from whose start on all sums lack something."""

    start: datetime
    lack: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """The gaps of a sensor's statistics, in order, and what of each day's energy is in the sums, in their unit.

    `late` is what of a day is in a row after its gap: it is not in `recorded`, but to be moved into the gap.
    """

    gaps: Sequence[Gap]
    recorded: Mapping[date, float]
    late: Mapping[date, float]
    falls: Sequence[Fall]
    last: datetime
    """The start of the last row."""

    def without_made_up(self, hours: Iterable[datetime]) -> list[datetime]:
        """Return those of some lacking hours of which there is no row at all."""
        there = {hour for gap in self.gaps for hour in gap.made_up}
        return [hour for hour in hours if hour not in there]

    def hours_by_day(self, zone: tzinfo) -> dict[date, list[datetime]]:
        """Return the lacking hours by the day that they begin in."""
        days: dict[date, list[datetime]] = {}
        for gap in self.gaps:
            for hour in gap.hours:
                days.setdefault(hour.astimezone(zone).date(), []).append(hour)
        return days


@dataclass(slots=True)
class GapFinder:
    """Finds the gaps in rows of hours, which are given to it in order."""

    zone: tzinfo
    _rows: list[Row] = field(default_factory=list)
    _in_time: set[date] | None = None

    def add(self, rows: Iterable[Row]) -> None:
        """Take the next rows."""
        self._rows += rows
        self._in_time = None

    def result(self) -> Lacking | None:
        """Return what lacks between the first and the last row, None if there are no two."""
        rows = self._rows
        if len(rows) < 2:  # noqa: PLR2004
            return None
        made_up = self._made_up(rows)
        recorded: dict[date, float] = {}
        _add(recorded, self._day(rows[0]), rows[0].state if not self._is_outdated(rows[0]) else 0.0)
        late: dict[date, float] = {}
        gaps: list[Gap] = []
        before = rows[0]
        for previous, row in pairwise(rows):
            if row.start in made_up:
                continue
            own, rest = _parts(previous, row)
            _add(recorded, self._day(row), own)
            gap = self._gap(before, row, made_up, rest, self._day(previous))
            _add(late if gap is not None and gap.late else recorded, self._day(previous), rest)
            if gap is not None:
                gaps.append(gap)
            before = row
        falls = [fall for previous, row in pairwise(rows) if (fall := _fall(previous, row)) is not None]
        return Lacking(gaps=gaps, recorded=recorded, late=late, falls=falls, last=rows[-1].start)

    def _gap(self, before: Row, after: Row, made_up: Mapping[datetime, Row], late: float, day: date) -> Gap | None:
        """Return the gap between two rows, None if there is none; `after` has energy of `day` that came late."""
        hours = [before.start + number * HOUR for number in range(1, (after.start - before.start) // HOUR)]
        if not hours:
            return None
        has_day = any(hour.astimezone(self.zone).date() == day for hour in hours)
        there = {hour: made_up[hour] for hour in hours if hour in made_up}
        return Gap(before=before, after=after, hours=hours, made_up=there, late=late if has_day else 0.0, late_day=day)

    def _made_up(self, rows: Sequence[Row]) -> dict[datetime, Row]:
        """Return the rows that Home Assistant made up, but for the first and the last row."""
        pairs = [*pairwise(rows[:-1])]
        found = {row.start: row for previous, row in pairs if self._is_old_state(previous, row)}
        # Those before them, of the evening on which Home Assistant was turned off.
        for row in reversed([row for previous, row in pairs if row.is_late and _repeats(previous, row)]):
            if row.start + HOUR in found or self._ends_recorded_day(row):
                found[row.start] = row
        return found

    def _is_old_state(self, previous: Row, row: Row) -> bool:
        """Return whether a row was made up of the state of a day before its own."""
        follows = row.start - previous.start > HOUR or _repeats(previous, row)
        return row.is_late and follows and self._is_outdated(row)

    def _ends_recorded_day(self, row: Row) -> bool:
        """Return whether a row is the last hour of a day that was not imported: an import writes whole days, late."""
        day = self._day(row)
        ends_day = (row.start + HOUR).astimezone(self.zone).date() != day
        return ends_day and day in self._recorded_days()

    def _recorded_days(self) -> set[date]:
        """Return the days with rows that were written in time."""
        if self._in_time is None:
            self._in_time = {self._day(row) for row in self._rows if not row.is_late}
        return self._in_time

    def _day(self, row: Row) -> date:
        """Return the day whose energy a row's state is."""
        return (row.last_reset or row.start).astimezone(self.zone).date()

    def _is_outdated(self, row: Row) -> bool:
        """Return whether a row has the state of a day before its own."""
        return self._day(row) < row.start.astimezone(self.zone).date()


def _repeats(previous: Row, row: Row) -> bool:
    """Return whether a row has nothing that the one before it, of the hour before, does not have."""
    return (
        row.start - previous.start == HOUR
        and row.last_reset == previous.last_reset
        and abs(row.state - previous.state) < _EXACT
        and abs(row.sum - previous.sum) < _EXACT
    )


def _parts(previous: Row, row: Row) -> tuple[float, float]:
    """Return what a row's change has of the day that its state counts, and of the day before."""
    change = row.sum - previous.sum
    if row.last_reset == previous.last_reset:
        return change, 0.0
    own = min(change, row.state)
    return own, change - own


def _fall(previous: Row, row: Row) -> Fall | None:
    change = row.sum - previous.sum
    if change > -_SHORTEST_FALL:
        return None
    expected = row.state - previous.state if row.last_reset == previous.last_reset else row.state
    return Fall(start=row.start, lack=max(0.0, expected) - change)


def _add(days: dict[date, float], day: date, energy: float) -> None:
    days[day] = days.get(day, 0.0) + energy


def share(total: float, weights: Sequence[float]) -> list[float]:
    """Return a total divided like weights, evenly if all are 0; to thousandths, but the sum is the total exactly."""
    if not any(weights):
        weights = [1.0] * len(weights)
    whole = sum(weights)
    until = [min(total, round(total * part / whole, 3)) for part in accumulate(weights)]
    until[-1] = total
    return [later - earlier for earlier, later in pairwise([0.0, *until])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Hours to write, one after the other, and by how much all sums from the first of them on rise."""

    hours: Sequence[Row]
    rise: float


def steps(lacking: Lacking, rises: Mapping[datetime, float], zone: tzinfo) -> Iterator[Step]:
    """Yield what to write so that each hour in `rises` has its rise of the sum, and all recorded rows keep theirs.

    The sums of a step take those before it for done.
    """
    put_in = 0.0
    for gap in lacking.gaps:
        for run in _runs([hour for hour in gap.hours if hour in rises]):
            step = _step(gap, run, rises, put_in, zone)
            put_in += step.rise
            yield step


def _runs(hours: Sequence[datetime]) -> Iterator[list[datetime]]:
    """Yield hours in runs without an hour between them."""
    run: list[datetime] = []
    for hour in hours:
        if run and hour - run[-1] > HOUR:
            yield run
            run = []
        run.append(hour)
    if run:
        yield run


def _step(gap: Gap, run: Sequence[datetime], rises: Mapping[datetime, float], put_in: float, zone: tzinfo) -> Step:
    """Return the step of a run of hours in a gap; all sums that are known rose by `put_in` meanwhile."""
    there = [row for hour, row in gap.made_up.items() if hour < run[0]]
    before = there[-1] if there else gap.before
    replaced = [gap.made_up[hour] for hour in run if hour in gap.made_up]
    known = replaced[-1].sum if replaced else before.sum
    late_from = next((hour for hour in run if hour.astimezone(zone).date() == gap.late_day), gap.after.start)
    rows = [*_rows_after(replace(before, sum=before.sum + put_in), run, rises, zone)]
    moved = gap.late if run[0] <= late_from <= run[-1] else 0.0
    return Step(hours=rows, rise=rows[-1].sum - put_in - known - moved)


def _rows_after(before: Row, run: Sequence[datetime], rises: Mapping[datetime, float], zone: tzinfo) -> Iterator[Row]:
    """Yield the rows of a run of hours that go on from the row before it."""
    sum_, state, since = before.sum, before.state, before.last_reset
    for hour in run:
        begin = midnight(hour.astimezone(zone).date(), zone)
        if since != begin:
            state, since = 0.0, begin
        state += rises[hour]
        sum_ += rises[hour]
        yield Row(start=hour, end=hour + HOUR, state=round(state, 6), sum=sum_, last_reset=since)
