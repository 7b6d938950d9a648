"""Usage over a range of dates, read from the portal request by request."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import Final

from custom_components.mtec.models import (
    CurvePoint,
    DaySummary,
    UsageRow,
)
from custom_components.mtec.sources import (
    BusyError,
    SourceConnectionError,
)

from .client import Client

RETRY_AFTER: Final = (10.0, 60.0, 300.0)
"""Seconds after which a request is repeated that met a busy or unreachable portal, once one has succeeded."""

_EARLIEST = date(2000, 1, 1)
"""No plant on the portal is older."""


class UsageType(StrEnum):
    """What a row is about: five minutes of a day, a day of a month, a month of a year, a year of the lifetime."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"
    LIFETIME = "lifetime"


class RangeProblem(StrEnum):
    """What can be wrong with a range."""

    START_MISSING = "start_missing"
    START_AFTER_END = "start_after_end"
    START_IN_FUTURE = "start_in_future"
    END_BEFORE_STATION = "end_before_station"


class RangeError(ValueError):
    """A range for which there can be no usage; `day` is the first one that has some, if that is the problem."""

    def __init__(self, problem: RangeProblem, day: date | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.day = day


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """The usage from the day `start` to the day `end`, both included, as far as there can be any `today`.

    Months and years count that have a day in the range. `start` None is all of a lifetime, `end` None is today.
    Raises RangeError.
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
    """What one request brought, in order.

    `without_data` has the days (months, years) of which the portal has no usage, by their first day. `summary` is that
    of a day, None for other types. `progress` goes from 0 to 1.
    """

    rows: Sequence[CurvePoint] | Sequence[UsageRow]
    without_data: Sequence[date]
    day: date
    summary: DaySummary | None
    progress: float


@dataclass(slots=True)
class UsageReport:
    """What was read in all: the number of rows, the dates of the first and the last, the days without data."""

    rows: int = 0
    first: date | None = None
    last: date | None = None
    days_without_data: list[date] = field(default_factory=list)

    def add(self, part: UsagePart) -> None:
        """Count a part."""
        self.days_without_data += part.without_data
        if part.rows:
            self.rows += len(part.rows)
            self.first = self.first or _date(part.rows[0])
            self.last = _date(part.rows[-1])


async def read_usage(client: Client, station_id: str, query: UsageQuery) -> AsyncGenerator[UsagePart]:
    """Yield the usage that a query asks for, without asking for what was before the station began.

    Raises RangeError or a SourceError.
    """
    lifetime = await client.lifetime_rows(station_id)
    begin = await _begin(client, station_id, query, lifetime)
    end = query.last
    if begin is not None and begin > end:
        raise RangeError(RangeProblem.END_BEFORE_STATION, begin)
    start = max(query.start or begin or end, _EARLIEST)

    chart = _CHARTS[query.type]
    starts = list(_starts(chart, start, end))
    before = [each for each in starts if begin is not None and each < chart.row_start(begin)]
    requests = [list(group) for _, group in groupby(starts[len(before) :], chart.request)]
    for number, wanted in enumerate(requests, start=1):
        summary = None
        found: Sequence[CurvePoint] | Sequence[UsageRow]
        if query.type is UsageType.DAY:
            usage = await _patiently(partial(client.day_usage, station_id, wanted[0]))
            found, summary = usage.points, usage.summary
            missing = [] if found else wanted
        else:
            read = chart.read
            rows = lifetime if read is None else await _patiently(partial(read, client, station_id, wanted[0]))
            by_start = {row.start: row for row in rows}
            found = [by_start[each] for each in wanted if each in by_start]
            missing = [each for each in wanted if each not in by_start]
        yield UsagePart(
            rows=found,
            without_data=before + missing,
            day=wanted[0],
            summary=summary,
            progress=number / len(requests),
        )
        before = []


async def _patiently[AnswerT](request: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Return what a request returns, repeated for a while if the portal is busy or out of reach."""
    for seconds in RETRY_AFTER:
        try:
            return await request()
        except BusyError, SourceConnectionError:
            await asyncio.sleep(seconds)
    return await request()


@dataclass(frozen=True, slots=True)
class _Chart:
    """A kind of usage: in which row a day is, which row comes after one, in which request a row is, and who reads it.

    `read` None is the lifetime, which is known already.
    """

    row_start: Callable[[date], date]
    next_row: Callable[[date], date]
    request: Callable[[date], object]
    read: Callable[[Client, str, date], Awaitable[list[UsageRow]]] | None = None


def _day(day: date) -> date:
    return day


def _month(day: date) -> date:
    return day.replace(day=1)


def _year(day: date) -> date:
    return day.replace(month=1, day=1)


def _next_day(day: date) -> date:
    return day + timedelta(days=1)


_CHARTS = {
    UsageType.DAY: _Chart(_day, _next_day, _day),
    UsageType.MONTH: _Chart(
        _day, _next_day, _month, lambda client, id_, day: client.month_rows(id_, day.year, day.month)
    ),
    UsageType.YEAR: _Chart(
        _month,
        lambda day: _month(day + timedelta(days=31)),
        _year,
        lambda client, id_, day: client.year_rows(id_, day.year),
    ),
    UsageType.LIFETIME: _Chart(_year, lambda day: day.replace(year=day.year + 1), lambda _: None),
}


def _starts(chart: _Chart, start: date, end: date) -> Iterator[date]:
    """Yield the first days of the rows that a range touches."""
    row = chart.row_start(start)
    while row <= end:
        yield row
        row = chart.next_row(row)


async def _begin(client: Client, station_id: str, query: UsageQuery, lifetime: list[UsageRow]) -> date | None:
    """Return the first day of which a station has usage, as exactly as the query needs it. None if nobody knows."""
    begin = min((row.start for row in lifetime), default=None)
    if begin is None or query.start is None or query.type is UsageType.LIFETIME or query.start.year > begin.year:
        return begin
    begin = min((row.start for row in await client.year_rows(station_id, begin.year)), default=begin)
    if query.type is UsageType.YEAR or _month(query.start) > begin:
        return begin
    return min((row.start for row in await client.month_rows(station_id, begin.year, begin.month)), default=begin)


def _date(row: CurvePoint | UsageRow) -> date:
    return row.start.date() if isinstance(row, CurvePoint) else row.start
