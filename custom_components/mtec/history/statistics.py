"""Past hours, added before the first row of a sensor's own statistics.

The statistics of a sensor are rows of an hour with the sensor's state at the end of the hour, the time since when that
state counts, and a sum that only rises. Hours are added before the first row, the latest ones first, in two steps: they
get sums that lead up to the sum of the first row, so that the earliest ones may be below zero; then all sums are
raised so that the first sum is the first state, as if Home Assistant had recorded the hours itself.

If Home Assistant stops between the two steps, the first row of a day has sum ≠ state; `async_rebase_sums` then
finishes the job.
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

from .hours import HOUR, hours_of_day

_FIRST_YEAR: Final = 2000
"""No station is older."""
_SHORT_TERM: Final = timedelta(days=1)
"""The longest time that a sensor can have rows of five minutes but none of an hour."""
_EXACT: Final = 1e-6

_WRITING: HassKey[asyncio.Lock] = HassKey(f"{DOMAIN}_writing_statistics")


@dataclass(frozen=True, slots=True)
class PastHour:
    """An hour to add: the state at its end, which counts since `last_reset`, and the rise of the sum in this hour."""

    start: datetime
    state: float
    rise: float
    last_reset: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """The statistics of one sensor, in the unit in which Home Assistant records them."""

    hass: HomeAssistant
    statistic: Statistic

    @property
    def unit(self) -> str | None:
        """The unit of the rows."""
        return self.statistic.unit

    async def async_first(self) -> Row | None:
        """Return the first row, which is of five minutes in the sensor's first hour. None if there is no row."""
        async with self._writing:
            return await self._async_read_first()

    async def async_rows(self, start: datetime, end: datetime, period: Literal["hour", "5minute"]) -> list[Row]:
        """Return the rows that begin from `start` until before `end`."""
        return await async_in_recorder(self.hass, partial(self.statistic.rows, start, end, period))

    async def async_prepend(self, first: Row, hours: Sequence[PastHour], last_rise: float) -> None:
        """Add hours, in order, before the first row. `last_rise` is the rise of the sum between their end and its end.

        The first hour has to be the first of a day. This completes even if the caller is cancelled.
        """
        await asyncio.shield(self.hass.async_create_task(self._async_prepend(first, hours, last_rise)))

    async def async_rebase_sums(self) -> None:
        """Raise all sums so that the first row's sum is its state, if the first row begins a day."""
        async with self._writing:
            await self._async_rebase_sums()

    @property
    def _writing(self) -> asyncio.Lock:
        return self.hass.data.setdefault(_WRITING, asyncio.Lock())

    async def _async_prepend(self, first: Row, hours: Sequence[PastHour], last_rise: float) -> None:
        rows: list[Row] = []
        sum_ = first.sum - last_rise
        for hour in reversed(hours):
            end = hour.start + HOUR
            rows.append(Row(start=hour.start, end=end, state=hour.state, sum=sum_, last_reset=hour.last_reset))
            sum_ -= hour.rise
        async with self._writing:
            self.statistic.async_import(rows[::-1])
            await self._async_rebase_sums()

    async def _async_rebase_sums(self) -> None:
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
        for year in range(_FIRST_YEAR, now.year + 1):
            # Year by year, because the recorder cannot return the first row alone, and all rows would be many.
            begin = datetime(year, 1, 1, tzinfo=UTC)
            if rows := self.statistic.rows(begin, begin.replace(year=year + 1), "hour"):
                return rows[0]
        rows = self.statistic.rows(now - _SHORT_TERM, now, "5minute")
        return rows[0] if rows else None


def begins_day(row: Row) -> bool:
    """Return whether a row is the first hour of the day that its state counts."""
    if row.last_reset is None:
        return False
    zone = dt_util.get_default_time_zone()
    day = row.last_reset.astimezone(zone).date()
    return row.end - row.start == HOUR and row.start == hours_of_day(day, zone)[0]


async def async_series(hass: HomeAssistant, statistic_ids: set[str]) -> dict[str, Series]:
    """Return the statistics of the sensors that Home Assistant records already, by statistic id."""
    return {id_: Series(hass, statistic) for id_, statistic in (await async_statistics(hass, statistic_ids)).items()}


async def async_series_with_rows(hass: HomeAssistant, statistic_ids: set[str], longest: float) -> dict[str, Series]:
    """Return the statistics of the sensors that have a row, by statistic id.

    Waits until all have one, at most `longest` seconds: Home Assistant adds a row every five minutes.
    """
    written = asyncio.Event()
    stop_listening = async_listen_to_statistics(hass, written.set)
    found: dict[str, Series] = {}
    try:
        async with asyncio.timeout(longest):
            while missing := statistic_ids - found.keys():
                written.clear()
                await async_recorded(hass)
                known = await async_series(hass, missing)
                found |= {id_: series for id_, series in known.items() if await series.async_first() is not None}
                if len(found) < len(statistic_ids):
                    await written.wait()
    except TimeoutError:
        pass
    finally:
        stop_listening()
    return found
