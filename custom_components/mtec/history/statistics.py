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
from typing import Any, Final, Literal

from homeassistant.components.recorder import EVENT_RECORDER_5MIN_STATISTICS_GENERATED, get_instance
from homeassistant.components.recorder.models import StatisticData, StatisticMetaData
from homeassistant.components.recorder.statistics import (
    async_import_statistics,
    get_metadata,
    statistics_during_period,
)
from homeassistant.components.recorder.tasks import SynchronizeTask
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from custom_components.mtec.const import DOMAIN

from .spread import HOUR, hours_of_day

_NOTHING_BEFORE: Final = 2000
"""The year before which no plant on the portal was built."""
_SHORT_TERM: Final = timedelta(days=1)
"""How far back a sensor can have rows of five minutes and none of an hour."""
_EXACT: Final = 1e-6

_WRITING: HassKey[asyncio.Lock] = HassKey(f"{DOMAIN}_writing_statistics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was recorded until `end` (UTC): the sensor's state, since when it counts, and the sum."""

    start: datetime
    end: datetime
    state: float
    sum: float
    last_reset: datetime | None

    @property
    def begins_day(self) -> bool:
        """Whether this is the first hour of what its state counts."""
        if self.last_reset is None:
            return False
        zone = dt_util.get_default_time_zone()
        day = self.last_reset.astimezone(zone).date()
        return self.end - self.start == HOUR and self.start == hours_of_day(day, zone)[0]


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
    metadata: StatisticMetaData

    @property
    def id(self) -> str:
        """The statistic id: that of the entity."""
        return self.metadata["statistic_id"]

    @property
    def unit(self) -> str | None:
        """The unit of the rows."""
        return self.metadata["unit_of_measurement"]

    async def async_first(self) -> Row | None:
        """Return the first row: of an hour or, in the sensor's first hour, of five minutes. None if there is none."""
        async with self._writing:
            return await self._async_read_first()

    async def async_rows(self, start: datetime, end: datetime, period: Literal["hour", "5minute"]) -> list[Row]:
        """Return the rows that begin from `start` until before `end`."""
        return await get_instance(self.hass).async_add_executor_job(self._rows, start, end, period)

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
        rows: list[StatisticData] = []
        sum_ = first.sum - last_rise
        for hour in reversed(hours):
            rows.append(StatisticData(start=hour.start, state=hour.state, sum=sum_, last_reset=hour.last_reset))
            sum_ -= hour.rise
        async with self._writing:
            async_import_statistics(self.hass, self.metadata, rows[::-1])
            await self._async_settle()

    async def _async_settle(self) -> None:
        first = await self._async_read_first()
        if first is None or not first.begins_day or abs(lack := first.state - first.sum) < _EXACT:
            return
        get_instance(self.hass).async_adjust_statistics(self.id, first.start, lack, self.unit or "")
        await async_recorded(self.hass)

    async def _async_read_first(self) -> Row | None:
        await async_recorded(self.hass)
        return await get_instance(self.hass).async_add_executor_job(self._first)

    def _first(self) -> Row | None:
        now = dt_util.utcnow()
        for year in range(_NOTHING_BEFORE, now.year + 1):
            # By the year: there is no way to ask for the first row alone, and all of them would be many.
            begin = datetime(year, 1, 1, tzinfo=UTC)
            if rows := self._rows(begin, begin.replace(year=year + 1), "hour"):
                return rows[0]
        rows = self._rows(now - _SHORT_TERM, now, "5minute")
        return rows[0] if rows else None

    def _rows(self, start: datetime, end: datetime, period: Literal["hour", "5minute"]) -> list[Row]:
        unit_class = self.metadata["unit_class"]
        found = statistics_during_period(
            self.hass,
            start,
            end,
            {self.id},
            period,
            # Not in the unit in which the person wants to see it.
            None if unit_class is None or self.unit is None else {unit_class: self.unit},
            {"last_reset", "state", "sum"},
        )
        return [
            Row(
                start=dt_util.utc_from_timestamp(row["start"]),
                end=dt_util.utc_from_timestamp(row["end"]),
                state=state,
                sum=sum_,
                last_reset=None if (reset := row.get("last_reset")) is None else dt_util.utc_from_timestamp(reset),
            )
            for row in found.get(self.id, ())
            if (state := row.get("state")) is not None and (sum_ := row.get("sum")) is not None
        ]


async def async_series(hass: HomeAssistant, statistic_ids: set[str]) -> dict[str, Series]:
    """Return the statistics that Home Assistant keeps of sensors, by statistic id, of those that it has begun."""

    def read() -> dict[str, tuple[int, StatisticMetaData]]:
        return get_metadata(hass, statistic_ids=statistic_ids)

    found = await get_instance(hass).async_add_executor_job(read)
    return {id_: Series(hass, metadata) for id_, (_, metadata) in found.items() if metadata["has_sum"]}


@callback
def is_recorded(hass: HomeAssistant, statistic_id: str) -> bool:
    """Return whether the person lets Home Assistant record an entity."""
    wanted = get_instance(hass).entity_filter
    return wanted is None or wanted(statistic_id)


async def async_begun_series(hass: HomeAssistant, statistic_ids: set[str], longest: float) -> dict[str, Series]:
    """Return the statistics of sensors once all have a row of their own, at the latest after `longest` seconds.

    Home Assistant records a row of five minutes soon after each five minutes of the clock.
    """
    recorded = asyncio.Event()

    @callback
    def set_recorded(_: Event[Any]) -> None:
        recorded.set()

    stop_listening = hass.bus.async_listen(EVENT_RECORDER_5MIN_STATISTICS_GENERATED, set_recorded)
    begun: dict[str, Series] = {}
    try:
        async with asyncio.timeout(longest):
            while missing := statistic_ids - begun.keys():
                recorded.clear()
                await async_recorded(hass)
                known = await async_series(hass, missing)
                begun |= {id_: series for id_, series in known.items() if await series.async_first() is not None}
                if len(begun) < len(statistic_ids):
                    await recorded.wait()
    except TimeoutError:
        pass
    finally:
        stop_listening()
    return begun


async def async_recorded(hass: HomeAssistant) -> None:
    """Wait until the recorder has done all it was told."""
    done: asyncio.Future[None] = hass.loop.create_future()
    get_instance(hass).queue_task(SynchronizeTask(done))
    await done
