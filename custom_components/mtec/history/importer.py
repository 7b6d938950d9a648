"""The import of a station's past into the statistics of its energy sensors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import partial
from itertools import batched
from time import monotonic
from typing import Final

from homeassistant.const import UnitOfEnergy
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from homeassistant.util.unit_conversion import EnergyConverter

from custom_components.mtec.const import DOMAIN, LOGGER
from custom_components.mtec.energies import ENERGIES, Energy
from custom_components.mtec.home_assistant_internals import Row, is_recorded
from custom_components.mtec.models import CurvePoint, UsageRow
from custom_components.mtec.retry import has_pauses_left, is_passing, retry
from custom_components.mtec.sources import HistorySource, ResponseError, SourceError

from .costs import async_fill_costs
from .hours import distribute_over_hours, midnight
from .statistics import PastHour, Series, async_series, async_series_with_rows, begins_day

LONGEST_WAIT: Final = 660.0
"""Seconds to wait for the first row of a sensor: Home Assistant adds a row every five minutes."""
USUAL_SECONDS: Final = 3.0
"""The estimated duration of a request before the first one was measured."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Day:
    """A day with its energies, None if the source has no row of it, and its curve, which may be empty."""

    day: date
    row: UsageRow | None
    points: Sequence[CurvePoint]


class Resolution(StrEnum):
    """The way to distribute a day's energy over its hours: like its five-minute curve, or by fixed hours."""

    HOURS = "hours"
    DAYS = "days"


_DAYS_AT_ONCE = {Resolution.HOURS: 31, Resolution.DAYS: 92}
"""The number of days that are added to the statistics in one step."""


class Phase(StrEnum):
    """The phase of an import."""

    READING = "reading"
    WAITING = "waiting"
    IMPORTING = "importing"


@dataclass(slots=True)
class Progress:
    """The progress of an import in requests; `started` is in seconds of the monotonic clock."""

    phase: Phase = Phase.READING
    done: int = 0
    planned: int = 0
    started: float = 0.0

    @property
    def fraction(self) -> float:
        """The progress from 0 to 1."""
        return min(1.0, self.done / self.planned) if self.planned else 0.0

    @property
    def seconds_left(self) -> float:
        """The estimated remaining time."""
        each = (monotonic() - self.started) / self.done if self.done else USUAL_SECONDS
        return max(0, self.planned - self.done) * each


@dataclass(slots=True)
class Report:
    """The result of an import.

    `energy` is in kWh by the key of the sensor, `costs` in Home Assistant's currency by entity id. `not_recorded` are
    the entity ids of sensors without statistics.
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
    """An energy sensor of the station, its statistics and their first row."""

    energy: Energy
    series: Series
    first: Row

    @property
    def factor(self) -> float:
        """A kWh in the unit of the statistics."""
        return EnergyConverter.convert(1, UnitOfEnergy.KILO_WATT_HOUR, self.series.unit)

    @property
    def first_day(self) -> date:
        """The day of the first row."""
        return dt_util.as_local(self.first.last_reset or self.first.start).date()

    @property
    def missing_until(self) -> date:
        """The last day with missing hours before the first row."""
        return self.first_day - _DAY if begins_day(self.first) else self.first_day

    def day_total(self, day: date, row: UsageRow | None) -> tuple[float | None, datetime | None]:
        """Return a day's energy in kWh, None if it is not known, and when it was measured, None for the end of the day.

        On the first day it is the state of the sensor's first row, which the added hours have to lead up to.
        """
        if day == self.first_day:
            return self.first.state / self.factor, self.first.end
        return self.energy.in_row(row), None

    def is_missing(self, day: date, row: UsageRow | None) -> bool:
        """Return whether a day has missing hours and a known energy."""
        return day <= self.missing_until and self.day_total(day, row)[0] is not None

    def hours(self, day: _Day, zone: tzinfo) -> list[PastHour]:
        """Return the missing hours of a day."""
        total, end = self.day_total(day.day, day.row)
        if total is None or not self.is_missing(day.day, day.row):
            return []
        begin = midnight(day.day, zone)
        own = self.first.start.replace(minute=0)
        return [
            PastHour(hour.start, hour.total * self.factor, hour.energy * self.factor, begin)
            for hour in distribute_over_hours(self.energy, total, day.day, zone, points=day.points, end=end)
            if hour.start < own
        ]


@dataclass(slots=True, kw_only=True)
class HistoryImport:
    """The import of a station's past from `start` on, None for all of it.

    The hours before the first row of each sensor are missing. They are added backwards in time, some days in each
    step, so that an import can be stopped at any time and continued later.

    A `patient` import waits even if the source does not answer the first request.
    """

    hass: HomeAssistant
    source: HistorySource
    station_id: str
    start: date | None
    resolution: Resolution
    patient: bool = False
    progress: Progress = field(default_factory=Progress)
    report: Report = field(default_factory=Report)

    async def async_run(self) -> Report:
        """Import. Raises SourceError, NothingRecordedError, or NotSupportedError if only the costs are missing."""
        self.progress.started = monotonic()
        known = self._statistic_ids()
        ids = {id_: energy for id_, energy in known.items() if is_recorded(self.hass, id_)}
        before = await self._async_sensors(await async_series(self.hass, set(ids)), ids)
        last = max((sensor.missing_until for sensor in before), default=date.min)
        if len(before) < len(ids):
            last = date.max
        while True:
            # Again if midnight passes meanwhile: the energy that was read of that day is not its final one.
            today = dt_util.now().date()
            self.progress.phase = Phase.READING
            rows = await self._async_rows(min(last, today))
            self.progress.phase = Phase.WAITING
            series = await async_series_with_rows(self.hass, set(ids), LONGEST_WAIT)
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
        """Return the energies of the station's enabled sensors, by statistic id."""
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
        """Return the sensors that have a first row, after finishing what an earlier import left undone."""
        sensors = []
        for id_, each in series.items():
            await each.async_rebase_sums()
            if (first := await each.async_first()) is not None:
                sensors.append(_Sensor(ids[id_], each, first))
        return sensors

    async def _async_rows(self, last: date) -> dict[date, UsageRow]:
        """Return the rows of the days from the start until `last`."""
        self.progress.planned = 2
        start = await self._async_start(last)
        if start is None or start > last:
            return {}
        wanted = [(number // 12, number % 12 + 1) for number in range(_month(start), _month(last) + 1)]
        self.progress.planned += len(wanted) + self._curves((last - start).days + 1)
        rows: dict[date, UsageRow] = {}
        for month in wanted:
            found = await self._async_request(partial(self.source.month_rows, self.station_id, *month))
            rows |= {row.start: row for row in found if start <= row.start <= last}
        return rows

    async def _async_start(self, last: date) -> date | None:
        """Return the first day to import, None if the station has no usage until `last`."""
        years = await self._async_request(partial(self.source.lifetime_rows, self.station_id))
        first = min((row.start for row in years), default=None)
        if first is None or first > last:
            return None
        months = await self._async_request(partial(self.source.year_rows, self.station_id, first.year))
        return max(min((row.start for row in months), default=first), self.start or date.min)

    def _curves(self, days: int) -> int:
        """Return the number of curves to request for a number of days."""
        return days if self.resolution is Resolution.HOURS else 0

    async def _async_import(self, sensors: Sequence[_Sensor], rows: Mapping[date, UsageRow]) -> None:
        """Add the missing days, the latest ones first."""
        past = self._past_days(sensors, rows)
        days = [day for day in past if any(sensor.is_missing(day, rows.get(day)) for sensor in sensors)]
        self.report.without_data = [day for day in reversed(past) if day not in rows and day not in days]
        self.progress.planned = self.progress.done + self._curves(len(days))
        for chunk in batched(days, _DAYS_AT_ONCE[self.resolution], strict=False):
            read = [_Day(day, rows.get(day), await self._async_curve(day)) for day in chunk]
            await self._async_prepend(sensors, read[::-1])

    def _past_days(self, sensors: Sequence[_Sensor], rows: Mapping[date, UsageRow]) -> list[date]:
        """Return all days that may have missing hours, the latest first."""
        first = max(min((*rows, *(sensor.first_day for sensor in sensors))), self.start or date.min)
        last = max(sensor.missing_until for sensor in sensors)
        return [last - number * _DAY for number in range((last - first).days + 1)]

    async def _async_curve(self, day: date) -> Sequence[CurvePoint]:
        """Return a day's curve, empty if the source has none or it is not needed."""
        if self.resolution is Resolution.DAYS:
            return ()
        try:
            return await self._async_request(partial(self.source.day_curve, self.station_id, day))
        except ResponseError as error:
            LOGGER.warning("The portal gives no curve of %s: %s", day, error)
            return ()

    async def _async_prepend(self, sensors: Sequence[_Sensor], days: Sequence[_Day]) -> None:
        """Add days, in order, before the first row of each sensor."""
        zone = dt_util.get_default_time_zone()
        for each in sensors:
            if (first := await each.series.async_first()) is None:
                continue  # Its statistics were deleted meanwhile.
            sensor = _Sensor(each.energy, each.series, first)
            if hours := [hour for day in days for hour in sensor.hours(day, zone)]:
                last = hours[-1]
                same_day = last.last_reset == midnight(sensor.first_day, zone)
                await sensor.series.async_prepend(first, hours, first.state - last.state if same_day else first.state)
                self._count(sensor, hours)

    def _count(self, sensor: _Sensor, hours: Sequence[PastHour]) -> None:
        """Add imported hours to the report."""
        key, report = sensor.energy.key, self.report
        report.hours += len(hours)
        report.imported |= {dt_util.as_local(hour.start).date() for hour in hours}
        report.energy[key] = report.energy.get(key, 0.0) + sum(hour.rise for hour in hours) / sensor.factor

    async def _async_request[AnswerT](self, request: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Return the answer to a request, repeated until the source is available. Raises SourceError."""
        answer = await retry(request, self._may_retry)
        self.progress.done += 1
        self.report.requests += 1
        return answer

    def _may_retry(self, error: SourceError, repetitions: int) -> bool:
        """Return whether to repeat a request: the first one of a person who waits for its result is not repeated."""
        if is_passing(error):
            if may_retry := self.patient or self.progress.done > 0:
                LOGGER.debug("The import of %s waits for the portal: %s", self.station_id, error)
            return may_retry
        return isinstance(error, ResponseError) and has_pauses_left(repetitions)


def _month(day: date) -> int:
    """Return the number of a month since the year 0."""
    return day.year * 12 + day.month - 1
