"""What a caller can ask the portal for."""

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

import aiohttp

from .generation1 import Generation1
from .models import Credentials, DayUsage, Inverter, InverterReading, Station, StationReading, UsageRow
from .pacing import Pacing
from .session import Session

PORTAL_URL: Final = "https://energybutler.mtec-portal.com"
"""M-TEC's own portal."""


class Client:
    """An account on the portal at `url`. Every method raises a PortalError if the portal does not give what is asked.

    `credentials` None looks around with the public demo account. `time_zone` is the plant's: days begin at its
    midnight, and moments are in it. Clients of one portal share one `pacing`.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        credentials: Credentials | None,
        *,
        time_zone: tzinfo,
        url: str = PORTAL_URL,
        pacing: Pacing | None = None,
    ) -> None:
        self._time_zone = time_zone
        self._generation = Generation1(time_zone)
        self._session = Session(http, url, credentials, self._generation, pacing or Pacing())

    async def sign_in(self) -> None:
        """Sign in. Raises AuthenticationError if the portal refuses. The other methods sign in by themselves."""
        await self._session.sign_in()

    async def stations(self) -> list[Station]:
        """Return the account's stations."""
        return await self._generation.stations(self._session)

    async def inverters(self, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""
        return await self._generation.inverters(self._session, station_id)

    async def station_reading(self, station_id: str) -> StationReading:
        """Return a station's values of now."""
        return await self._generation.station_reading(self._session, station_id)

    async def inverter_reading(self, inverter_id: str) -> InverterReading:
        """Return an inverter's values of now."""
        return await self._generation.inverter_reading(self._session, inverter_id)

    async def day_usage(self, station_id: str, day: date) -> DayUsage:
        """Return a day as its five-minute curve and its summary.

        The portal takes a day as 24 hours at an offset from UTC. A day on which the clocks change has two offsets: it
        is asked for with both, and what belongs to the neighbouring days is left out.
        """
        offsets = dict.fromkeys((self._offset(day), self._offset(day + timedelta(days=1))))
        parts = [await self._generation.day_usage(self._session, station_id, day, offset) for offset in offsets]
        # Keyed by timestamp: datetimes of one zone compare by the clock, which shows an hour twice in autumn.
        points = {
            point.start.timestamp(): point for part in parts for point in part.points if point.start.date() == day
        }
        return DayUsage(points=tuple(points[key] for key in sorted(points)), summary=parts[0].summary)

    async def month_rows(self, station_id: str, year: int, month: int) -> list[UsageRow]:
        """Return a row for each day of a month that has data."""
        offset = self._offset(date(year, month, 1))
        return await self._generation.month_rows(self._session, station_id, year, month, offset)

    async def year_rows(self, station_id: str, year: int) -> list[UsageRow]:
        """Return a row for each month of a year that has data."""
        return await self._generation.year_rows(self._session, station_id, year, self._offset(date(year, 1, 1)))

    async def lifetime_rows(self, station_id: str) -> list[UsageRow]:
        """Return a row for each year that has data."""
        return await self._generation.lifetime_rows(
            self._session, station_id, self._offset(datetime.now(self._time_zone).date())
        )

    def _offset(self, day: date) -> int:
        """Return the minutes east of UTC at the day's midnight."""
        midnight = datetime.combine(day, time(), self._time_zone)
        return round((midnight.utcoffset() or timedelta()).total_seconds() / 60)
