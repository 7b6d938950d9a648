"""The import of a station's past into the statistics of its energy sensors."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import partial
from itertools import count
from operator import attrgetter
from time import monotonic
from typing import Final

from homeassistant.const import UnitOfEnergy
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from homeassistant.util.unit_conversion import EnergyConverter

from custom_components.mtec.const import DOMAIN, LOGGER
from custom_components.mtec.energy_sensor import STATION_ENERGIES
from custom_components.mtec.home_assistant_internals import Row, is_recorded
from custom_components.mtec.models import (
    CurvePoint,
    UsageRow,
)
from custom_components.mtec.portal import (
    Client,
)
from custom_components.mtec.portal.usage import RETRY_AFTER
from custom_components.mtec.sources import (
    BusyError,
    ResponseError,
    SourceConnectionError,
)

from .costs import async_fill_costs
from .spread import ENERGIES, Energy, midnight, spread
from .statistics import PastHour, Series, async_begun_series, async_series, begins_day

LONGEST_WAIT: Final = 660.0
"""Seconds to wait for the first row of a sensor: Home Assistant makes one every five minutes."""
USUAL_SECONDS: Final = 3.0
"""What a request takes, as long as none has been measured."""

_DAY: Final = timedelta(days=1)
_ROW_FNS: Final = {energy.key: attrgetter(energy.row_energy) for energy in STATION_ENERGIES if energy.row_energy}
"""What a day's energy in kWh is in the portal's row, by the key of the sensor that counts it."""


@dataclass(frozen=True, slots=True)
class _Day:
    """What the portal knows of a day."""

    day: date
    row: UsageRow | None
    points: Sequence[CurvePoint]


class Resolution(StrEnum):
    """How a day's energy is spread: as its five-minute curve goes, or by a plain rule."""

    HOURS = "hours"
    DAYS = "days"


_DAYS_AT_ONCE = {Resolution.HOURS: 31, Resolution.DAYS: 92}
"""How many days are put into the statistics in one go."""


class Phase(StrEnum):
    """What an import is at."""

    READING = "reading"
    WAITING = "waiting"
    IMPORTING = "importing"


@dataclass(slots=True)
class Progress:
    """How far an import is, in requests; `begun` is in seconds of the monotonic clock."""

    phase: Phase = Phase.READING
    done: int = 0
    planned: int = 0
    begun: float = 0.0

    @property
    def fraction(self) -> float:
        """How far it is, from 0 to 1."""
        return min(1.0, self.done / self.planned) if self.planned else 0.0

    @property
    def seconds_left(self) -> float:
        """About how long it takes from now on."""
        each = (monotonic() - self.begun) / self.done if self.done else USUAL_SECONDS
        return max(0, self.planned - self.done) * each


@dataclass(slots=True)
class Report:
    """What an import has done.

    `energy` is in kWh by the key of the sensor, `costs` in the currency of Home Assistant by the entity id.
    """

    requests: int = 0
    hours: int = 0
    imported: set[date] = field(default_factory=set)
    without_data: list[date] = field(default_factory=list)
    not_recorded: list[str] = field(default_factory=list)
    energy: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)


class NothingRecordedError(HomeAssistantError):
    """Home Assistant records none of the station's energy sensors."""

    def __init__(self) -> None:
        super().__init__(translation_domain=DOMAIN, translation_key="nothing_recorded")


@dataclass(frozen=True, slots=True)
class _Sensor:
    """A sensor of the station with its statistics; `first` is its first row."""

    energy: Energy
    series: Series
    first: Row

    @property
    def factor(self) -> float:
        """What a kWh is in the unit of the statistics."""
        return EnergyConverter.convert(1, UnitOfEnergy.KILO_WATT_HOUR, self.series.unit)

    @property
    def first_day(self) -> date:
        """The day that the first row belongs to."""
        return dt_util.as_local(self.first.last_reset or self.first.start).date()

    @property
    def lacks_until(self) -> date:
        """The last day of which hours are missing before the first row."""
        return self.first_day - _DAY if begins_day(self.first) else self.first_day

    def day_total(self, day: date, row: UsageRow | None) -> tuple[float | None, datetime | None]:
        """Return a day's energy in kWh, None if the portal does not know it, and when that was counted.

        What the sensor itself has counted of its first day is what its own rows go on from.
        """
        if day == self.first_day:
            return self.first.state / self.factor, self.first.end
        return None if row is None else _ROW_FNS[self.energy.key](row), None

    def lacks(self, day: date, row: UsageRow | None) -> bool:
        """Return whether hours of a day are missing which are known."""
        return day <= self.lacks_until and self.day_total(day, row)[0] is not None

    def hours(self, day: _Day, zone: tzinfo) -> list[PastHour]:
        """Return the hours of a day that are missing."""
        total, end = self.day_total(day.day, day.row)
        if total is None or not self.lacks(day.day, day.row):
            return []
        begin = midnight(day.day, zone)
        own = self.first.start.replace(minute=0)
        return [
            PastHour(hour.start, hour.total * self.factor, hour.energy * self.factor, begin)
            for hour in spread(self.energy, total, day.day, zone, points=day.points, end=end)
            if hour.start < own
        ]


@dataclass(slots=True, kw_only=True)
class HistoryImport:
    """The import of a station's past from `start` on, None for all of it.

    What is missing is told by the statistics themselves: what is before the first row of each sensor. From there it
    goes back in time, some days at once, so that it may end at any moment and go on at another.

    A `patient` import waits for a portal that does not even answer the first request.
    """

    hass: HomeAssistant
    client: Client
    station_id: str
    start: date | None
    resolution: Resolution
    patient: bool = False
    progress: Progress = field(default_factory=Progress)
    report: Report = field(default_factory=Report)

    async def async_run(self) -> Report:
        """Import. Raises a SourceError, NothingRecordedError, or NotSupportedError if the costs alone are missing."""
        self.progress.begun = monotonic()
        known = self._statistic_ids()
        ids = {id_: energy for id_, energy in known.items() if is_recorded(self.hass, id_)}
        before = await self._async_sensors(await async_series(self.hass, set(ids)), ids)
        last = max((sensor.lacks_until for sensor in before), default=date.min)
        if len(before) < len(ids):
            last = date.max
        while True:
            # Read and waited for on one day: what was read of a day that was not over would be too little of it.
            today = dt_util.now().date()
            self.progress.phase = Phase.READING
            rows = await self._async_rows(min(last, today))
            self.progress.phase = Phase.WAITING
            series = await async_begun_series(self.hass, set(ids), LONGEST_WAIT)
            if today == dt_util.now().date():
                break
        self.report.not_recorded = sorted(known.keys() - series.keys())
        if not series:
            raise NothingRecordedError
        self.progress.phase = Phase.IMPORTING
        await self._async_import(await self._async_sensors(series, ids), rows)
        self.report.costs = await async_fill_costs(self.hass, series, LONGEST_WAIT)
        return self.report

    def _statistic_ids(self) -> dict[str, Energy]:
        """Return the sensors that the station has, by their statistic ids."""
        registry = er.async_get(self.hass)
        found = {
            registry.async_get_entity_id("sensor", DOMAIN, f"{self.station_id}_{energy.key}"): energy
            for energy in ENERGIES
        }
        return {
            id_: energy
            for id_, energy in found.items()
            if id_ is not None and (entry := registry.async_get(id_)) is not None and not entry.disabled
        }

    async def _async_sensors(self, series: Mapping[str, Series], ids: Mapping[str, Energy]) -> list[_Sensor]:
        """Return the sensors that have a first row, with what an import before left undone put right."""
        sensors = []
        for id_, each in series.items():
            await each.async_settle()
            if (first := await each.async_first()) is not None:
                sensors.append(_Sensor(ids[id_], each, first))
        return sensors

    async def _async_rows(self, last: date) -> dict[date, UsageRow]:
        """Return the portal's rows of the days from the start until `last`."""
        self.progress.planned = 2
        years = await self._ask(partial(self.client.lifetime_rows, self.station_id))
        begin = min((row.start for row in years), default=None)
        if begin is None or begin > last:
            return {}
        months = await self._ask(partial(self.client.year_rows, self.station_id, begin.year))
        start = max(min((row.start for row in months), default=begin), self.start or date.min)
        if start > last:
            return {}
        wanted = [(number // 12, number % 12 + 1) for number in range(_month(start), _month(last) + 1)]
        self.progress.planned += len(wanted)
        if self.resolution is Resolution.HOURS:
            self.progress.planned += max(0, (last - start).days + 1)
        rows: dict[date, UsageRow] = {}
        for month in wanted:
            found = await self._ask(partial(self.client.month_rows, self.station_id, *month))
            rows |= {row.start: row for row in found if start <= row.start <= last}
        return rows

    async def _async_import(self, sensors: Sequence[_Sensor], rows: Mapping[date, UsageRow]) -> None:
        """Go back in time from the first rows."""
        begin = min((*rows, *(sensor.first_day for sensor in sensors)))
        begin = max(begin, self.start or date.min)
        last = max(sensor.lacks_until for sensor in sensors)
        past = [last - number * _DAY for number in range((last - begin).days + 1)]
        days = [day for day in past if any(sensor.lacks(day, rows.get(day)) for sensor in sensors)]
        self.report.without_data = [day for day in reversed(past) if day not in rows and day not in days]
        self.progress.planned = self.progress.done + (len(days) if self.resolution is Resolution.HOURS else 0)
        size = _DAYS_AT_ONCE[self.resolution]
        for index in range(0, len(days), size):
            chunk = [_Day(day, rows.get(day), await self._async_curve(day)) for day in days[index : index + size]]
            await self._async_put(sensors, chunk[::-1])

    async def _async_curve(self, day: date) -> Sequence[CurvePoint]:
        """Return a day's curve, empty if there is none."""
        if self.resolution is Resolution.DAYS:
            return ()
        try:
            return await self._ask(partial(self.client.day_curve, self.station_id, day))
        except ResponseError as error:
            LOGGER.warning("The portal gives no curve of %s: %s", day, error)
            return ()

    async def _async_put(self, sensors: Sequence[_Sensor], days: Sequence[_Day]) -> None:
        """Put days, in order, before the first row of each sensor."""
        zone = dt_util.get_default_time_zone()
        for each in sensors:
            if (first := await each.series.async_first()) is None:
                continue  # Somebody has deleted the statistics of the sensor.
            sensor = _Sensor(each.energy, each.series, first)
            if hours := [hour for day in days for hour in sensor.hours(day, zone)]:
                last = hours[-1]
                same_day = last.last_reset == midnight(sensor.first_day, zone)
                await sensor.series.async_put_before(
                    first, hours, first.state - last.state if same_day else first.state
                )
                self._count(sensor, hours)

    def _count(self, sensor: _Sensor, hours: Sequence[PastHour]) -> None:
        """Report hours that have been imported."""
        key, report = sensor.energy.key, self.report
        report.hours += len(hours)
        report.imported |= {dt_util.as_local(hour.start).date() for hour in hours}
        report.energy[key] = report.energy.get(key, 0.0) + sum(hour.rise for hour in hours) / sensor.factor

    async def _ask[AnswerT](self, question: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Return the portal's answer, asked for again and again while it is busy or out of reach.

        Raises a SourceError if that cannot help, or if not a single question has been answered to a person who waits.
        """
        for attempt in count():
            try:
                answer = await question()
            except (BusyError, SourceConnectionError) as error:
                if not self.patient and not self.progress.done:
                    raise
                LOGGER.debug("The import of %s waits for the portal: %s", self.station_id, error)
            except ResponseError:
                if attempt >= len(RETRY_AFTER):
                    raise
            else:
                self.progress.done += 1
                self.report.requests += 1
                return answer
            await asyncio.sleep(RETRY_AFTER[min(attempt, len(RETRY_AFTER) - 1)])
        raise AssertionError  # The count does not end.


def _month(day: date) -> int:
    """Return the number of a month, counted from the year 0 on."""
    return day.year * 12 + day.month - 1
