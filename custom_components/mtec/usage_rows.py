"""The rows of a station's months, years and lifetime, checked against each other."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from functools import partial
from typing import Final

from .models import UsageRow
from .retry import Questions, pause
from .sources import HistorySource, ResponseError

FIRST_YEAR: Final = 2000
"""No station is older."""

_ENERGIES: Final = tuple(each.name for each in fields(UsageRow) if each.name != "start")
_EMPTY_YEARS: Final = 2
"""Years in a row without data before which no older ones are looked for."""
_ROUNDING: Final = 2.0
"""kWh by which the rows of a period may fall short of the period's own row, which is rounded to a whole kWh or so."""
_SHARE: Final = 0.05
"""The part by which they may fall short beyond that."""
_POSSIBLE: Final = 2400.0
"""kWh of a day that no plant of a home reaches: 100 kW all day."""


@dataclass(slots=True, kw_only=True)
class UsageRows:
    """Reads rows. A period whose rows lack what its own row has is asked for again.

    `contradictions` names the periods that did so to the end: "lifetime", a year or a month, such as "2024-02".
    """

    source: HistorySource
    station_id: str
    today: date
    questions: Questions
    contradictions: list[str] = field(default_factory=list)
    _lifetime: list[UsageRow] | None = None
    _years: dict[int, list[UsageRow]] = field(default_factory=dict)

    async def lifetime(self) -> list[UsageRow]:
        """Return a row for each year with data, those of the years if there is no answer. Raises SourceError."""
        if self._lifetime is None:
            refusal: ResponseError | None = None
            rows: list[UsageRow] = []
            try:
                rows = await self.questions.ask(partial(self.source.lifetime_rows, self.station_id))
            except ResponseError as error:
                refusal = error
            if not rows and (rows := await self._summed_years(refusal)):
                self.contradictions.append("lifetime")
            self._lifetime = rows
        return self._lifetime

    async def _summed_years(self, refusal: ResponseError | None) -> list[UsageRow]:
        """Return the rows of the years with data, from this one back. Raises `refusal` if this one is refused too."""
        found: list[UsageRow] = []
        empty = 0
        for year in range(self.today.year, FIRST_YEAR - 1, -1):
            try:
                months = await self._asked_year(year)
            except ResponseError:
                if refusal is not None and year == self.today.year:
                    raise refusal from None
                months = []
            empty = 0 if months else empty + 1
            if empty >= _EMPTY_YEARS:
                break
            if months:
                found.insert(0, _summed(date(year, 1, 1), months))
        return found

    async def year(self, year: int) -> list[UsageRow]:
        """Return a row for each month with data. Raises SourceError."""
        whole = next((row for row in self._lifetime or () if row.start.year == year), None)
        return await self._agreeing(str(year), whole, partial(self._asked_year, year), partial(self._forget, year))

    async def month(self, year: int, month: int) -> list[UsageRow]:
        """Return a row for each day with data. Raises SourceError."""
        request = partial(self.source.month_rows, self.station_id, year, month)
        rows = _possible(await self.questions.ask(request))
        if self._is_complete(rows, year, month):
            return rows
        whole = await self._row_of_month(year, month)
        if not _lacks(rows, whole):
            return rows

        async def again() -> list[UsageRow]:
            return _possible(await self.questions.ask(request))

        return await self._agreeing(f"{year}-{month:02}", whole, again, known=rows)

    def _is_complete(self, rows: Sequence[UsageRow], year: int, month: int) -> bool:
        """Return whether there is a row of each day that is over."""
        first = date(year, month, 1)
        end = min((first + timedelta(days=31)).replace(day=1), self.today)
        return len({row.start for row in rows if row.start < end}) >= (end - first).days

    async def _row_of_month(self, year: int, month: int) -> UsageRow | None:
        """Return the year's row of a month, None if there is none."""
        try:
            rows = await self.year(year)
        except ResponseError:
            return None
        return next((row for row in rows if row.start.month == month), None)

    async def _asked_year(self, year: int) -> list[UsageRow]:
        if year not in self._years:
            self._years[year] = await self.questions.ask(partial(self.source.year_rows, self.station_id, year))
        return self._years[year]

    def _forget(self, year: int) -> None:
        self._years.pop(year, None)

    async def _agreeing(
        self,
        name: str,
        whole: UsageRow | None,
        request: Callable[[], Awaitable[list[UsageRow]]],
        forget: Callable[[], None] = lambda: None,
        known: list[UsageRow] | None = None,
    ) -> list[UsageRow]:
        """Return rows that agree with the row of the whole; the fullest ones if they do not to the end."""
        best = await request() if known is None else known
        # A portal that contradicts itself always is not worth the longer pause each time.
        repetitions = 1 if self.contradictions else 2
        for repetition in range(0 if self.questions.once or name in self.contradictions else repetitions):
            if not _lacks(best, whole):
                return best
            await pause(repetition)
            forget()
            best = max(best, await request(), key=_known)
        if _lacks(best, whole) and name not in self.contradictions:
            self.contradictions.append(name)
        return best


def _lacks(rows: Sequence[UsageRow], whole: UsageRow | None) -> bool:
    """Return whether rows lack energy that the row of the whole has."""
    if whole is None:
        return False
    summed = _summed(whole.start, rows)
    return any(
        (getattr(summed, name) or 0.0) < (1 - _SHARE) * (getattr(whole, name) or 0.0) - _ROUNDING for name in _ENERGIES
    )


def _summed(start: date, rows: Iterable[UsageRow]) -> UsageRow:
    """Return the sum of rows, in each energy None if no row has it."""
    known = {name: [value for row in rows if (value := getattr(row, name)) is not None] for name in _ENERGIES}
    return UsageRow(start=start, **{name: sum(values) if values else None for name, values in known.items()})


def _known(rows: Sequence[UsageRow]) -> float:
    """Return a measure of how much rows tell: their energy."""
    return sum(getattr(row, name) or 0.0 for row in rows for name in _ENERGIES)


def _possible(days: Iterable[UsageRow]) -> list[UsageRow]:
    """Return the rows of days without those that no plant can have."""
    return [row for row in days if all((getattr(row, name) or 0.0) <= _POSSIBLE for name in _ENERGIES)]
