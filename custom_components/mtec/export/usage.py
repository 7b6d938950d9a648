"""Usage over a range of dates, read from a source request by request."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import Final

from custom_components.mtec.models import CurvePoint, DaySummary, UsageRow
from custom_components.mtec.retry import Questions
from custom_components.mtec.sources import HistorySource, ResponseError
from custom_components.mtec.usage_rows import FIRST_YEAR, UsageRows

_EARLIEST: Final = date(FIRST_YEAR, 1, 1)


class UsageType(StrEnum):
    """The period of a row: five minutes of a day, a day of a month, a month of a year, a year of the lifetime."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    LIFETIME = "lifetime"


class RangeProblem(StrEnum):
    """Reasons why a range has no usage."""

    START_MISSING = "start_missing"
    START_AFTER_END = "start_after_end"
    START_IN_FUTURE = "start_in_future"
    END_BEFORE_STATION = "end_before_station"


class RangeError(ValueError):
    """A range that cannot have usage. `day` is the first day with usage for END_BEFORE_STATION, else None."""

    def __init__(self, problem: RangeProblem, day: date | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.day = day


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """The usage from the day `start` to the day `end`, both included, but not after `today`.

    A month or a year with a day in the range is included as a whole. `start` None is the start of the lifetime, `end`
    None is today. Raises RangeError.
    """

    type: UsageType
    start: date | None
    end: date | None
    today: date

    def __post_init__(self) -> None:
        """Check the range."""
        if self.start is None:
            if self.type is not UsageType.LIFETIME:
                raise RangeError(RangeProblem.START_MISSING)
        elif self.start > self.today:
            raise RangeError(RangeProblem.START_IN_FUTURE)
        elif self.end is not None and self.start > self.end:
            raise RangeError(RangeProblem.START_AFTER_END)

    @property
    def last(self) -> date:
        """The last day that can have usage."""
        return self.today if self.end is None else min(self.end, self.today)

    @property
    def days(self) -> int:
        """The number of days in the range, 0 without a start."""
        return 0 if self.start is None else (self.last - self.start).days + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePart:
    """The result of one request, in order.

    `without_data` are the periods without usage, by their first day, `lacking` those of them that are over and not
    before the station's first day, `left_out` the periods of which the source gave nothing that makes sense,
    `unusable_points` the points of a curve without a moment, and `contradictions` the periods whose rows lack what the
    source says elsewhere. `day` is the first day that was asked for. `summary` is the summary of a day, None for other
    types. `progress` goes from 0 to 1.
    """

    rows: Sequence[CurvePoint] | Sequence[UsageRow]
    without_data: Sequence[date]
    day: date
    summary: DaySummary | None
    progress: float
    lacking: Sequence[date] = ()
    left_out: Sequence[date] = ()
    unusable_points: int = 0
    contradictions: Sequence[str] = ()


@dataclass(slots=True)
class UsageReport:
    """The number of rows in all parts, the dates of the first and the last row, the days without data.

    `left_out` and `unusable_points` are what could not be read, `lacking` and `contradictions` as those of a part.
    """

    rows: int = 0
    first: date | None = None
    last: date | None = None
    days_without_data: list[date] = field(default_factory=list)
    lacking: list[date] = field(default_factory=list)
    left_out: list[date] = field(default_factory=list)
    unusable_points: int = 0
    contradictions: list[str] = field(default_factory=list)

    @property
    def lacks_something(self) -> bool:
        """Whether the source did not give something that it should have."""
        return bool(self.lacking or self.left_out or self.unusable_points or set(self.contradictions) - {"lifetime"})

    def add(self, part: UsagePart) -> None:
        """Add a part."""
        self.days_without_data += part.without_data
        self.lacking += part.lacking
        self.left_out += part.left_out
        self.unusable_points += part.unusable_points
        self.contradictions += part.contradictions
        if part.rows:
            self.rows += len(part.rows)
            self.first = self.first or _date(part.rows[0])
            self.last = _date(part.rows[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The rows of one request, the periods that it has no row of, and the summary of a day."""

    rows: Sequence[CurvePoint] | Sequence[UsageRow] = ()
    missing: Sequence[date] = ()
    summary: DaySummary | None = None
    left_out: Sequence[date] = ()
    unusable_points: int = 0


async def read_usage(source: HistorySource, station_id: str, query: UsageQuery) -> AsyncGenerator[UsagePart]:
    """Yield the usage that a query asks for, without requests for the time before the station's first day.

    The first request is made once: whoever waits for it learns at once that the source is busy. Later ones are
    repeated, and what stays unreadable is left out. Raises RangeError or SourceError.
    """
    reader = UsageRows(source=source, station_id=station_id, today=query.today, questions=Questions())
    first_day = await _first_day(reader, query)
    start = _start(query, first_day)

    chart = _CHARTS[query.type]
    before, periods = _split(list(_periods(chart, start, query.last)), first_day and chart.row_start(first_day))
    requests = [list(group) for _, group in groupby(periods, chart.request)]
    told, left_out = 0, 0
    for number, wanted in enumerate(requests, start=1):
        try:
            answer = await _read(reader, chart, wanted)
        except ResponseError:
            left_out += 1
            if left_out == len(requests):
                raise
            answer = _Answer(left_out=wanted)
        yield UsagePart(
            rows=answer.rows,
            without_data=[*before, *answer.missing],
            day=wanted[0],
            summary=answer.summary,
            progress=number / len(requests),
            # Without a first day there is no usage at all.
            lacking=[] if first_day is None else _over(chart, answer.missing, query.today),
            left_out=answer.left_out,
            unusable_points=answer.unusable_points,
            contradictions=reader.contradictions[told:],
        )
        before, told = [], len(reader.contradictions)


def _start(query: UsageQuery, first_day: date | None) -> date:
    """Return the first day to read. Raises RangeError if the query ends before the station's first day."""
    if first_day is not None and first_day > query.last:
        raise RangeError(RangeProblem.END_BEFORE_STATION, first_day)
    return max(query.start or first_day or query.last, _EARLIEST)


def _over(chart: _Chart, periods: Iterable[date], today: date) -> list[date]:
    """Return those periods that are over."""
    return [period for period in periods if chart.next_row(period) <= today]


def _split(periods: list[date], first: date | None) -> tuple[list[date], list[date]]:
    """Return the periods before the first one that can have usage, and the others."""
    before = [] if first is None else [period for period in periods if period < first]
    return before, periods[len(before) :]


async def _read(reader: UsageRows, chart: _Chart, wanted: Sequence[date]) -> _Answer:
    """Return what one request has of the wanted periods. Raises SourceError."""
    if chart.read is None:
        usage = await reader.questions.ask(partial(reader.source.day_usage, reader.station_id, wanted[0]))
        return _Answer(
            rows=usage.points,
            missing=() if usage.points else wanted,
            summary=usage.summary,
            unusable_points=usage.unusable_points,
        )
    by_start = {row.start: row for row in await chart.read(reader, wanted[0])}
    return _Answer(
        rows=[by_start[start] for start in wanted if start in by_start],
        missing=[start for start in wanted if start not in by_start],
    )


@dataclass(frozen=True, slots=True)
class _Chart:
    """How usage of one type is divided into rows and requests.

    `row_start` returns the first day of the row that a day is in, `next_row` that of the following row, `request` the
    key of the request that a row is in. `read` requests rows; it is None for a curve.
    """

    row_start: Callable[[date], date]
    next_row: Callable[[date], date]
    request: Callable[[date], object]
    read: Callable[[UsageRows, date], Awaitable[list[UsageRow]]] | None = None


def _day(day: date) -> date:
    return day


def _month(day: date) -> date:
    return day.replace(day=1)


def _year(day: date) -> date:
    return day.replace(month=1, day=1)


def _next_day(day: date) -> date:
    return day + timedelta(days=1)


_CHARTS: Final = {
    UsageType.DAY: _Chart(_day, _next_day, _day),
    UsageType.MONTH: _Chart(_day, _next_day, _month, lambda reader, day: reader.month(day.year, day.month)),
    UsageType.YEAR: _Chart(
        _month,
        lambda day: _month(day + timedelta(days=31)),
        _year,
        lambda reader, day: reader.year(day.year),
    ),
    UsageType.LIFETIME: _Chart(
        _year, lambda day: day.replace(year=day.year + 1), lambda _: None, lambda reader, _: reader.lifetime()
    ),
}


def _periods(chart: _Chart, start: date, end: date) -> Iterator[date]:
    """Yield the first days of the rows that a range touches."""
    row = chart.row_start(start)
    while row <= end:
        yield row
        row = chart.next_row(row)


async def _first_day(reader: UsageRows, query: UsageQuery) -> date | None:
    """Return the first day of a station's usage, as exactly as the query needs it. None if it is not known."""
    first = min((row.start for row in await reader.lifetime()), default=None)
    if first is None or query.start is None or query.type is UsageType.LIFETIME or query.start.year > first.year:
        return first
    first = min((row.start for row in await reader.year(first.year)), default=first)
    if query.type is UsageType.YEAR or _month(query.start) > first:
        return first
    return min((row.start for row in await reader.month(first.year, first.month)), default=first)


def _date(row: CurvePoint | UsageRow) -> date:
    return row.start.date() if isinstance(row, CurvePoint) else row.start
