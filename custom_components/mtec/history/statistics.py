"""Hours of the past, put into a sensor's own statistics: before the first row, and in between.

The statistics of a sensor are rows of an hour with the sensor's state at the end of the hour, the time since when that
state counts, and a sum that only rises. Hours are added before the first row, the latest ones first, in two steps: they
get sums that lead up to the sum of the first row, so that the earliest ones may be below zero; then all sums are
raised so that the first sum is the first state, as if Home Assistant had recorded the hours itself. The hours are
written in portions, in between which the recorder has time for others, and raised once.

If Home Assistant stops between the two steps, the first row of a day has sum ≠ state; `async_rebase_sums` then
finishes the job.

Hours in between are put in so that the rows after them keep their sums at first, and the sum falls at the first of
them; then all sums from there on are raised. The recorder is told both at once. If it is stopped between the two, the
sum of that hour is less than that of the hour before, which it never is otherwise: `async_settle` finishes the job.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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

from .gaps import Fall, GapFinder, Lacking
from .hours import HOUR, hours_of_day, midnight

_FIVE_MINUTES: Final = timedelta(minutes=5)
_EXACT: Final = 1e-6
_PORTION: Final = 240
"""About how many rows are written in one go. It ends where a day begins."""
_DAYS_AT_ONCE: Final = timedelta(days=366)
"""How much of the statistics is looked through in one go."""

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

        The first hour has to be the first of a day. If the caller is cancelled, the latest days are added alone.
        """
        stopped = asyncio.Event()
        try:
            await asyncio.shield(self.hass.async_create_task(self._async_prepend(first, hours, last_rise, stopped)))
        except asyncio.CancelledError:
            stopped.set()
            raise

    async def async_rebase_sums(self) -> None:
        """Raise all sums so that the first row's sum is its state, if the first row begins a day."""
        async with self._writing:
            await self._async_rebase_sums()

    @property
    def _writing(self) -> asyncio.Lock:
        return self.hass.data.setdefault(_WRITING, asyncio.Lock())

    async def _async_prepend(
        self, first: Row, hours: Sequence[PastHour], last_rise: float, stopped: asyncio.Event
    ) -> None:
        async with self._writing:
            for rows in await self.hass.async_add_executor_job(_portions, first.sum - last_rise, hours):
                self.statistic.async_import(rows)
                await async_recorded(self.hass)
                if stopped.is_set():
                    break
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
        if (start := self.statistic.first_start("hour")) is not None:
            return next(iter(self.statistic.rows(start, start + HOUR, "hour")), None)
        if (start := self.statistic.first_start("5minute")) is not None:
            return next(iter(self.statistic.rows(start, start + _FIVE_MINUTES, "5minute")), None)
        return None

    async def async_lacking(self, since: datetime | None = None) -> Lacking | None:
        """Return what lacks between the last row before `since`, None for the first one, and the last row.

        None if there are no two rows.
        """
        async with self._writing:
            await async_recorded(self.hass)
            return await async_in_recorder(self.hass, partial(self._lacking, since))

    def _lacking(self, since: datetime | None) -> Lacking | None:
        start = self.statistic.first_start("hour") if since is None else self.statistic.last_start("hour", since)
        if start is None and (start := self.statistic.first_start("hour")) is None:
            return None
        finder = GapFinder(dt_util.get_default_time_zone())
        now, last = dt_util.utcnow(), start
        while start < now:
            rows = self.statistic.rows(start, start + _DAYS_AT_ONCE, "hour")
            finder.add(rows)
            last = rows[-1].start if rows else last
            start += _DAYS_AT_ONCE
        # The hour that runs, as far as it is recorded, unless what came after midnight is still to be recorded.
        running = self.statistic.rows(last + HOUR, now, "5minute")[-1:]
        if running and _is_of_its_day(running[0]):
            begin = running[0].start.replace(minute=0)
            finder.add([replace(running[0], start=begin, end=begin + HOUR)])
        return finder.result()

    async def async_settle(self, falls: Sequence[Fall]) -> None:
        """Raise the sums that were not raised when hours were put in."""
        async with self._writing:
            for fall in falls:
                self.statistic.async_raise_sums(fall.start, fall.lack)
            await asyncio.shield(self.hass.async_create_task(async_recorded(self.hass)))

    async def async_put_in(self, hours: Sequence[Row], rise: float) -> None:
        """Write hours, in order, and raise all sums from the first of them on. The recorder is told both at once."""
        async with self._writing:
            self.statistic.async_import([replace(hour, sum=hour.sum - rise) for hour in hours])
            if abs(rise) > _EXACT:
                self.statistic.async_raise_sums(hours[0].start, rise)
            await asyncio.shield(self.hass.async_create_task(async_recorded(self.hass)))


def _is_of_its_day(row: Row) -> bool:
    """Return whether a row's state counts the day that the row is in."""
    zone = dt_util.get_default_time_zone()
    return row.last_reset is None or row.last_reset == midnight(row.start.astimezone(zone).date(), zone)


def _portions(sum_: float, hours: Sequence[PastHour]) -> list[list[Row]]:
    """Return rows of hours that lead up to a sum, in portions, the latest first. Each begins a day."""
    portions: list[list[Row]] = []
    rows: list[Row] = []
    for hour, before in zip(reversed(hours), (*reversed(hours[:-1]), None), strict=True):
        end = hour.start + HOUR
        rows.append(Row(start=hour.start, end=end, state=hour.state, sum=sum_, last_reset=hour.last_reset))
        sum_ -= hour.rise
        is_new_day = len(rows) >= _PORTION and before is not None and before.last_reset != hour.last_reset
        if before is None or (is_new_day and begins_day(rows[-1])):
            portions.append(rows[::-1])
            rows = []
    return portions


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
