"""Hours put before what Home Assistant has recorded of a sensor, in the sensor's own statistics.

The statistics of a sensor are rows of an hour: the sensor's state at its end, since when that state counts, and a sum
which only rises. Hours come before the first row there is, the latest first. They are put there so that the sum of
what follows need not change: the earliest gets a sum below zero. Then the whole of it is raised at once, so that it
rises from zero, as Home Assistant itself would have begun.

Between the two steps Home Assistant may end. What is left then is told from the statistics alone: the sum of a first
row that begins a day has to be its state. `async_settle` sees to it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.home_assistant_internals import (
    Row,
    Statistic,
    async_in_recorder,
    async_listen_to_statistics,
    async_recorded,
    async_statistics,
)

from .spread import HOUR, hours_of_day

_NOTHING_BEFORE: Final = 2000
"""The year before which no plant on the portal was built."""
_SHORT_TERM: Final = timedelta(days=1)
"""How far back a sensor can have rows of five minutes and none of an hour."""
_EXACT: Final = 1e-6

_WRITING: HassKey[asyncio.Lock] = HassKey(f"{DOMAIN}_writing_statistics")


@dataclass(frozen=True, slots=True)
class PastHour:
    """An hour to be put before the first row: `state` counts since `last_reset`, `rise` is of this hour alone."""

    start: datetime
    state: float
    rise: float
    last_reset: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """The statistics of one sensor, in the unit in which Home Assistant began to record it."""

    hass: HomeAssistant
    statistic: Statistic

    @property
    def unit(self) -> str | None:
        """The unit of the rows."""
        return self.statistic.unit

    async def async_first(self) -> Row | None:
        """Return the first row: of an hour or, in the sensor's first hour, of five minutes. None if there is none."""
        async with self._writing:
            return await self._async_read_first()

    async def async_rows(self, start: datetime, end: datetime, period: Literal["hour", "5minute"]) -> list[Row]:
        """Return the rows that begin from `start` until before `end`."""
        return await async_in_recorder(self.hass, partial(self.statistic.rows, start, end, period))

    async def async_put_before(self, first: Row, hours: Sequence[PastHour], last_rise: float) -> None:
        """Put hours, in order, before the first row, in which the energy has risen by `last_rise` since their end.

        The first of them has to begin a day. Once begun, this comes to its end even if the caller is cancelled.
        """
        await asyncio.shield(self.hass.async_create_task(self._async_put_before(first, hours, last_rise)))

    async def async_settle(self) -> None:
        """Raise the sums so that they rise from zero, if that has not been done."""
        async with self._writing:
            await self._async_settle()

    @property
    def _writing(self) -> asyncio.Lock:
        return self.hass.data.setdefault(_WRITING, asyncio.Lock())

    async def _async_put_before(self, first: Row, hours: Sequence[PastHour], last_rise: float) -> None:
        rows: list[Row] = []
        sum_ = first.sum - last_rise
        for hour in reversed(hours):
            end = hour.start + HOUR
            rows.append(Row(start=hour.start, end=end, state=hour.state, sum=sum_, last_reset=hour.last_reset))
            sum_ -= hour.rise
        async with self._writing:
            self.statistic.async_import(rows[::-1])
            await self._async_settle()

    async def _async_settle(self) -> None:
        first = await self._async_read_first()
        if first is None or not begins_day(first) or abs(lack := first.state - first.sum) < _EXACT:
            return
        self.statistic.async_raise_sums(first.start, lack)
        await async_recorded(self.hass)

    async def _async_read_first(self) -> Row | None:
        await async_recorded(self.hass)
        return await async_in_recorder(self.hass, self._first)

    def _first(self) -> Row | None:
        now = dt_util.utcnow()
        for year in range(_NOTHING_BEFORE, now.year + 1):
            # By the year: there is no way to ask for the first row alone, and all of them would be many.
            begin = datetime(year, 1, 1, tzinfo=UTC)
            if rows := self.statistic.rows(begin, begin.replace(year=year + 1), "hour"):
                return rows[0]
        rows = self.statistic.rows(now - _SHORT_TERM, now, "5minute")
        return rows[0] if rows else None


def begins_day(row: Row) -> bool:
    """Return whether a row is the first hour of what its state counts."""
    if row.last_reset is None:
        return False
    zone = dt_util.get_default_time_zone()
    day = row.last_reset.astimezone(zone).date()
    return row.end - row.start == HOUR and row.start == hours_of_day(day, zone)[0]


async def async_series(hass: HomeAssistant, statistic_ids: set[str]) -> dict[str, Series]:
    """Return the statistics that Home Assistant keeps of sensors, by statistic id, of those that it has begun."""
    return {id_: Series(hass, statistic) for id_, statistic in (await async_statistics(hass, statistic_ids)).items()}


async def async_begun_series(hass: HomeAssistant, statistic_ids: set[str], longest: float) -> dict[str, Series]:
    """Return the statistics of sensors once all have a row of their own, at the latest after `longest` seconds.

    Home Assistant records a row of five minutes soon after each five minutes of the clock.
    """
    written = asyncio.Event()
    stop_listening = async_listen_to_statistics(hass, written.set)
    begun: dict[str, Series] = {}
    try:
        async with asyncio.timeout(longest):
            while missing := statistic_ids - begun.keys():
                written.clear()
                await async_recorded(hass)
                known = await async_series(hass, missing)
                begun |= {id_: series for id_, series in known.items() if await series.async_first() is not None}
                if len(begun) < len(statistic_ids):
                    await written.wait()
    except TimeoutError:
        pass
    finally:
        stop_listening()
    return begun
