"""What a caller can ask the portal for."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from copy import copy
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, Protocol, Self

import aiohttp

from custom_components.mtec.models import (
    CurvePoint,
    DaySummary,
    DayUsage,
    Inverter,
    InverterReading,
    Station,
    StationReading,
    UsageRow,
)
from custom_components.mtec.sources import (
    ResponseError,
)

from .auth import (
    Credentials,
)
from .generation1 import Generation1
from .generation2 import Generation2
from .journal import Journal
from .parsing import Period
from .rate_limiter import RateLimiter
from .session import BackgroundSession, MovedError, Requester, Session, SignIn

PORTAL_URL: Final = "https://energybutler.mtec-portal.com"
"""M-TEC's own portal."""


class Generation(SignIn, Protocol):
    """A generation of the API: what can be asked in its words. `offset` is in minutes east of UTC."""

    @property
    def device_ids(self) -> Mapping[str, str]:
        """The portal's ids of inverters by serial number, where it knows them by another."""

    @property
    def power_units(self) -> Mapping[str, str]:
        """The unit of powers sent without one by the inverter's serial number, as far as it is found out."""

    async def stations(self, session: Requester) -> list[Station]:
        """Return the account's stations."""

    async def inverters(self, session: Requester, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""

    async def station_reading(self, session: Requester, station_id: str) -> StationReading:
        """Return a station's values of now."""

    async def inverter_reading(self, session: Requester, station_id: str, serial_number: str) -> InverterReading:
        """Return an inverter's values of now."""

    async def day_usage(self, session: Requester, station_id: str, day: date, offset: int) -> DayUsage:
        """Return the 24 hours from midnight on at `offset`; the summary is empty if the portal has none."""

    async def usage_rows(self, session: Requester, station_id: str, period: Period, offset: int) -> list[UsageRow]:
        """Return the rows of a period that have data."""


class Client:
    """An account on the portal at `url`. Every method raises a SourceError if the portal does not give what is asked.

    `credentials` None looks around with the public demo account. `time_zone` is the plant's: days begin at its
    midnight, and moments are in it. Clients of one portal share one `rate_limiter`. `generation` is that of the API which
    the portal spoke before, None if that is not known: it is tried first, and if the portal does not speak it, or not
    any more, the client finds the other by itself.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        credentials: Credentials | None,
        *,
        time_zone: tzinfo,
        url: str = PORTAL_URL,
        rate_limiter: RateLimiter | None = None,
        generation: int | None = None,
    ) -> None:
        self._time_zone = time_zone
        generations: tuple[Generation, ...] = (Generation1(time_zone), Generation2(time_zone))
        self._generations = sorted(generations, key=lambda each: each.number != generation)
        self._session = Session(
            http, url, credentials, self._generations, rate_limiter or RateLimiter(), spoken=generation
        )
        self._requester: Requester = self._session
        self._month_of_summaries: tuple[str, int, int, date] | None = None
        self._rows_of_summaries: list[UsageRow] = []

    @property
    def generation(self) -> int | None:
        """The generation of the API that the portal speaks, None before the first login."""
        return self._session.generation

    @property
    def journal(self) -> Journal:
        """What happened in the account's session."""
        return self._session.journal

    @property
    def device_ids(self) -> Mapping[str, str]:
        """The portal's ids of inverters by serial number, where it knows them by another."""
        return self._spoken().device_ids

    @property
    def power_units(self) -> Mapping[str, str]:
        """The unit of powers sent without one, "W" or "kW", by the inverter's serial number, as far as it is found out.

        An inverter that is not there is taken to send kW.
        """
        return self._spoken().power_units

    def in_background(self) -> Self:
        """Return this client with requests that wait while others poll: for long jobs."""
        client = copy(self)
        client._requester = BackgroundSession(self._session)  # noqa: SLF001
        return client

    async def sign_in(self) -> None:
        """Sign in. Raises AuthenticationError if the portal refuses. The other methods sign in by themselves."""
        await self._session.sign_in()

    async def stations(self) -> list[Station]:
        """Return the account's stations."""
        return await self._ask(lambda generation: generation.stations(self._requester))

    async def inverters(self, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""
        return await self._ask(lambda generation: generation.inverters(self._requester, station_id))

    async def station_reading(self, station_id: str) -> StationReading:
        """Return a station's values of now."""
        return await self._ask(lambda generation: generation.station_reading(self._requester, station_id))

    async def inverter_reading(self, station_id: str, serial_number: str) -> InverterReading:
        """Return an inverter's values of now."""
        return await self._ask(
            lambda generation: generation.inverter_reading(self._requester, station_id, serial_number)
        )

    async def day_usage(self, station_id: str, day: date) -> DayUsage:
        """Return a day as its five-minute curve and its summary.

        The summary of a day on which the clocks change, or where the portal sends none, is that of the day's row.
        """
        parts = await self._parts_of_day(station_id, day)
        points = _points_of_day(parts, day)
        summary = parts[0].summary
        if len(parts) > 1 or (points and summary == DaySummary()):
            summary = await self._summary_of_row(station_id, day)
        return DayUsage(points=points, summary=summary)

    async def day_curve(self, station_id: str, day: date) -> tuple[CurvePoint, ...]:
        """Return the five-minute curve of a day alone."""
        return _points_of_day(await self._parts_of_day(station_id, day), day)

    async def _parts_of_day(self, station_id: str, day: date) -> list[DayUsage]:
        """Return what the portal takes for a day: 24 hours at an offset from UTC.

        A day on which the clocks change has two offsets, and is asked for with both.
        """
        offsets = dict.fromkeys((self._offset(day), self._offset(day + timedelta(days=1))))
        return [await self._part_of_day(station_id, day, offset) for offset in offsets]

    async def _part_of_day(self, station_id: str, day: date, offset: int) -> DayUsage:
        return await self._ask(lambda generation: generation.day_usage(self._requester, station_id, day, offset))

    async def _summary_of_row(self, station_id: str, day: date) -> DaySummary:
        """Return the summary of a day from the rows of its month."""
        today = datetime.now(self._time_zone).date()
        month = (station_id, day.year, day.month, today)
        # Whoever reads many days reads them in order: a month's rows serve all its days but those that still run.
        if self._month_of_summaries != month or day >= today - timedelta(days=1):
            self._rows_of_summaries = await self.month_rows(station_id, day.year, day.month)
            self._month_of_summaries = month
        row = next((row for row in self._rows_of_summaries if row.start == day), None)
        if row is None:
            return DaySummary()
        used, bought = row.consumption, row.grid_import
        return DaySummary(
            bought=bought,
            sold=row.grid_export,
            used=used,
            self_used=None if used is None or bought is None else round(used - bought, 2),
            total=row.pv,
        )

    async def month_rows(self, station_id: str, year: int, month: int) -> list[UsageRow]:
        """Return a row for each day of a month that has data."""
        return await self._rows(station_id, Period(year, month), date(year, month, 1))

    async def year_rows(self, station_id: str, year: int) -> list[UsageRow]:
        """Return a row for each month of a year that has data."""
        return await self._rows(station_id, Period(year), date(year, 1, 1))

    async def lifetime_rows(self, station_id: str) -> list[UsageRow]:
        """Return a row for each year that has data."""
        return await self._rows(station_id, Period(), datetime.now(self._time_zone).date())

    async def _rows(self, station_id: str, period: Period, first_day: date) -> list[UsageRow]:
        offset = self._offset(first_day)
        return await self._ask(lambda generation: generation.usage_rows(self._requester, station_id, period, offset))

    async def _ask[AnswerT](self, question: Callable[[Generation], Awaitable[AnswerT]]) -> AnswerT:
        """Ask in the words of the generation that the portal speaks, once more if it turns out to speak another."""
        for _ in self._generations:
            try:
                return await question(self._spoken())
            except MovedError:
                continue
        raise ResponseError("The portal speaks one generation of its API and then another")

    def _spoken(self) -> Generation:
        """Return the generation that the portal speaks, before the first login the one to try first."""
        return next((each for each in self._generations if each.number == self.generation), self._generations[0])

    def _offset(self, day: date) -> int:
        """Return the minutes east of UTC at the day's midnight."""
        midnight = datetime.combine(day, time(), self._time_zone)
        return round((midnight.utcoffset() or timedelta()).total_seconds() / 60)


def _points_of_day(parts: Iterable[DayUsage], day: date) -> tuple[CurvePoint, ...]:
    """Return the points of a day in order, without those of the neighbouring days."""
    # Keyed by timestamp: datetimes of one zone compare by the clock, which shows an hour twice in autumn.
    points = {point.start.timestamp(): point for part in parts for point in part.points if point.start.date() == day}
    return tuple(points[key] for key in sorted(points))
