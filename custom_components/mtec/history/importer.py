"""The import of a station's past into the statistics of its sensors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import partial
from itertools import batched
from time import monotonic
from typing import Final, Self

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util

from custom_components.mtec.const import DOMAIN, LOGGER
from custom_components.mtec.energies import Energy
from custom_components.mtec.home_assistant_internals import Row, is_recorded
from custom_components.mtec.models import CurvePoint, UsageRow
from custom_components.mtec.retry import Questions
from custom_components.mtec.sources import HistorySource, ResponseError
from custom_components.mtec.usage_rows import UsageRows

from .costs import async_fill_costs
from .filling import GapFiller, lacking_days
from .gaps import Lacking
from .hours import distribute_over_hours, midnight
from .powers import MeanSensor, async_mean_sensors
from .refining import Refiner
from .report import Phase, Progress, Report
from .sensors import EnergySensor, async_energy_ids
from .statistics import PastHour, Series, async_series, async_series_with_rows, begins_day

LONGEST_WAIT: Final = 660.0
"""Seconds to wait for the first row of a sensor: Home Assistant adds a row every five minutes."""

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


_DAYS_AT_ONCE: Final[dict[Resolution, int | None]] = {Resolution.HOURS: 31, Resolution.DAYS: None}
"""The number of days that are added to the statistics in one step, None for all.

Curves take long to be read, and what was read so far is to be kept if an import is interrupted.
"""


class NothingRecordedError(HomeAssistantError):
    """Home Assistant records none of the station's energy sensors."""

    def __init__(self) -> None:
        super().__init__(translation_domain=DOMAIN, translation_key="nothing_recorded")


@dataclass(frozen=True, slots=True)
class _Missing:
    """Missing hours, their days and energy in kWh, and the rise of the sum between their end and that of the first row.

    The rise is in the unit of the statistics.
    """

    hours: Sequence[PastHour]
    days: Sequence[date]
    energy: float
    last_rise: float


@dataclass(frozen=True, slots=True)
class _Sensor(EnergySensor):
    """An energy sensor, the first row of its statistics with its day, and the last day with missing hours before it."""

    first: Row
    first_day: date
    missing_until: date

    @classmethod
    def of(cls, sensor: EnergySensor, first: Row) -> Self:
        """Return a sensor with its first row."""
        day = dt_util.as_local(first.last_reset or first.start).date()
        return cls(sensor.energy, sensor.series, first, day, day - _DAY if begins_day(first) else day)

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

    def missing_hours(self, days: Iterable[_Day], zone: tzinfo) -> _Missing:
        """Return the missing hours of days, in order."""
        factor, own = self.factor, self.first.start.replace(minute=0)
        hours: list[PastHour] = []
        found: list[date] = []
        for day in days:
            total, end = self.day_total(day.day, day.row)
            if day.day > self.missing_until or total is None:
                continue
            begin, before = midnight(day.day, zone), len(hours)
            hours += [
                PastHour(hour.start, hour.total * factor, hour.energy * factor, begin)
                for hour in distribute_over_hours(self.energy, total, day.day, zone, points=day.points, end=end)
                if hour.start < own
            ]
            if len(hours) > before:
                found.append(day.day)
        if not hours:
            return _Missing(hours, found, 0.0, 0.0)
        is_begun = hours[-1].last_reset == midnight(self.first_day, zone)
        last_rise = self.first.state - (hours[-1].state if is_begun else 0.0)
        return _Missing(hours, found, sum(hour.rise for hour in hours) / factor, last_rise)


@dataclass(slots=True, kw_only=True)
class HistoryImport:
    """The import of a station's past from `start` on, None for all of it.

    The hours before the first row of each sensor are missing. They are added backwards in time, some days in each
    step, so that an import can be stopped at any time and continued later. Then the gaps after the first row are
    filled. With `refine`, the hours of days that were imported by days are distributed like the curves.

    A `patient` import waits even if the source does not answer the first request.
    """

    hass: HomeAssistant
    source: HistorySource
    station_id: str
    start: date | None
    resolution: Resolution
    refine: bool = False
    patient: bool = False
    progress: Progress = field(default_factory=Progress)
    report: Report = field(default_factory=Report)
    _reader: UsageRows = field(init=False)
    _rows: dict[date, UsageRow] = field(default_factory=dict)

    async def async_run(self) -> Report:
        """Import. Raises SourceError, NothingRecordedError, or NotSupportedError if only the costs are missing."""
        self.progress.start()
        known = async_energy_ids(self.hass, self.station_id)
        ids = {id_: energy for id_, energy in known.items() if is_recorded(self.hass, id_)}
        before = await self._async_sensors(await async_series(self.hass, set(ids)), ids)
        questions = Questions(endless=True, patient=self.patient, on_answer=self._answered)
        while True:
            # Again if midnight passes meanwhile: the energy that was read of that day is not its final one.
            today = dt_util.now().date()
            self._reader = UsageRows(source=self.source, station_id=self.station_id, today=today, questions=questions)
            self.progress.phase = Phase.READING
            self._rows = await self._async_rows(min(self._last(before, ids), today))
            self.progress.phase = Phase.WAITING
            waiting = monotonic()
            series = await async_series_with_rows(self.hass, set(ids), LONGEST_WAIT)
            self.progress.waited(monotonic() - waiting)
            if today == dt_util.now().date():
                break
        self.report.not_recorded = sorted(known.keys() - series.keys())
        if not series:
            raise NothingRecordedError
        self.progress.phase = Phase.IMPORTING
        if not (sensors := await self._async_sensors(series, ids)):
            # All statistics were deleted meanwhile.
            raise NothingRecordedError
        means = await async_mean_sensors(self.hass, self.station_id)
        await self._async_import(sensors, means)
        await self._async_fill_gaps(sensors)
        if self.refine:
            await self._async_refine(sensors, means)
        self.report.contradictions = self._reader.contradictions
        self.report.costs = await async_fill_costs(self.hass, series, LONGEST_WAIT)
        self.progress.has_ended = True
        return self.report

    def _answered(self) -> None:
        self.progress.answered()
        self.report.requests += 1

    def _last(self, sensors: Sequence[_Sensor], ids: Mapping[str, Energy]) -> date:
        """Return the last day with missing hours before the first row of a sensor."""
        if len(sensors) < len(ids):
            return date.max
        return max((sensor.missing_until for sensor in sensors), default=date.min)

    async def _async_sensors(self, series: Mapping[str, Series], ids: Mapping[str, Energy]) -> list[_Sensor]:
        """Return the sensors that have a first row, after finishing what an earlier import left undone."""
        sensors = []
        for id_, each in series.items():
            await each.async_rebase_sums()
            if (first := await each.async_first()) is not None:
                sensors.append(_Sensor.of(EnergySensor(ids[id_], each), first))
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
            found = await self._reader.month(*month)
            rows |= {row.start: row for row in found if start <= row.start <= last}
        return rows

    async def _async_start(self, last: date) -> date | None:
        """Return the first day to import, None if the station has no usage until `last`."""
        first = min((row.start for row in await self._reader.lifetime()), default=None)
        if first is None or first > last:
            return None
        months = await self._reader.year(first.year)
        return max(min((row.start for row in months), default=first), self.start or date.min)

    def _curves(self, days: int) -> int:
        """Return the number of curves to request for a number of days."""
        return days if self.resolution is Resolution.HOURS else 0

    async def _async_import(self, sensors: Sequence[_Sensor], means: Sequence[MeanSensor]) -> None:
        """Add the missing days, the latest ones first."""
        rows = self._rows
        days, self.report.without_data = await self.hass.async_add_executor_job(self._missing_days, sensors)
        self.progress.planned = self.progress.done + self._curves(len(days))
        for chunk in batched(days, _DAYS_AT_ONCE[self.resolution] or len(days) or 1, strict=False):
            read = [_Day(day, rows.get(day), await self._async_curve(day)) for day in chunk]
            # The powers first: once the energies are there the curves are not asked for again.
            await self._async_prepend_means(means, [point for day in reversed(read) for point in day.points])
            await self._async_prepend(sensors, read[::-1])

    async def _async_prepend_means(self, means: Iterable[MeanSensor], points: Sequence[CurvePoint]) -> None:
        """Add the hours of points, in order, before the first row of each sensor of a power or of the charge."""
        for mean in means if points else ():
            self.report.hours_of_powers += await mean.async_prepend(points)

    def _missing_days(self, sensors: Sequence[_Sensor]) -> tuple[list[date], list[date]]:
        """Return the days with missing hours, the latest first, and those of which the source has nothing."""
        rows = self._rows
        past = self._past_days(sensors, rows)
        days = [day for day in past if any(sensor.is_missing(day, rows.get(day)) for sensor in sensors)]
        with_hours = set(days)
        return days, [day for day in reversed(past) if day not in rows and day not in with_hours]

    def _past_days(self, sensors: Sequence[_Sensor], rows: Mapping[date, UsageRow]) -> list[date]:
        """Return all days that may have missing hours, the latest first."""
        first = max(min((*rows, *(sensor.first_day for sensor in sensors))), self.start or date.min)
        last = max(sensor.missing_until for sensor in sensors)
        return [last - number * _DAY for number in range((last - first).days + 1)]

    async def _async_curve(self, day: date) -> Sequence[CurvePoint]:
        """Return a day's curve, empty if the source has none or it is not needed."""
        return () if self.resolution is Resolution.DAYS else await self._async_any_curve(day)

    async def _async_any_curve(self, day: date) -> Sequence[CurvePoint]:
        """Return a day's curve, empty if the source has none."""
        try:
            return await self._reader.questions.ask(partial(self._reader.source.day_curve, self.station_id, day))
        except ResponseError as error:
            LOGGER.warning("The portal gives no curve of %s: %s", day, error)
            return ()

    async def _async_prepend(self, sensors: Sequence[_Sensor], days: Sequence[_Day]) -> None:
        """Add days, in order, before the first row of each sensor."""
        zone = dt_util.get_default_time_zone()
        for each in sensors:
            if (first := await each.series.async_first()) is None:
                continue  # Its statistics were deleted meanwhile.
            sensor = _Sensor.of(each, first)
            missing = await self.hass.async_add_executor_job(sensor.missing_hours, days, zone)
            if missing.hours:
                await sensor.series.async_prepend(first, missing.hours, missing.last_rise)
                self.report.count_days(sensor.energy.key, missing.days, len(missing.hours), missing.energy)

    async def _async_fill_gaps(self, sensors: Sequence[_Sensor]) -> None:
        """Fill the gaps after the first row that each sensor had of its own."""
        filler = GapFiller(reader=self._reader, curve=self._async_curve, report=self.report, rows=dict(self._rows))
        # What was before is imported just now.
        since = max(min(sensor.first_day for sensor in sensors), self.start or date.min)
        lacking: Mapping[EnergySensor, Lacking] = await filler.async_find(sensors, since)
        days = lacking_days(lacking.values(), since)
        self.progress.planned = self.progress.done + len({(day.year, day.month) for day in days})
        self.progress.planned += self._curves(len(days))
        await filler.async_fill(lacking, since)
        self.report.without_data = sorted({*self.report.without_data, *filler.postponed})

    async def _async_refine(self, sensors: Sequence[_Sensor], means: Sequence[MeanSensor]) -> None:
        """Distribute the hours of days that were imported by days like the curves, which have their powers as well."""
        prepend = partial(self._async_prepend_means, means)
        refiner = Refiner(curve=self._async_any_curve, prepend=prepend, report=self.report)
        await refiner.async_refine(sensors, self.start, self.progress)


def _month(day: date) -> int:
    """Return the number of a month since the year 0."""
    return day.year * 12 + day.month - 1
