"""Distribute the energy of days that were imported by days over their hours like the curves, in place."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from itertools import batched
from typing import Final

from homeassistant.util import dt as dt_util

from custom_components.mtec.energies import Energy
from custom_components.mtec.home_assistant_internals import Row
from custom_components.mtec.models import CurvePoint

from .filling import LONGEST_STEP, Curve
from .hours import distribute_over_hours, hours_of_day, midnight
from .report import Progress, Report
from .sensors import EnergySensor

_ROUNDING: Final = 0.0015
"""kWh by which an hour may differ from its part of a day: parts are rounded to thousandths."""
_SMALLEST: Final = 0.01
_YEAR: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class WholeDay:
    """The rows of all hours of a day that was imported, and the sum before it."""

    rows: Sequence[Row]
    sum_before: float

    @property
    def energy(self) -> float:
        """The day's energy in the unit of the statistics."""
        return self.rows[-1].sum - self.sum_before

    def is_by_days(self, energy: Energy, day: date, zone: tzinfo, factor: float) -> bool:
        """Return whether the hours are those that an import by days makes of the day's energy."""
        if self.energy / factor < _SMALLEST:
            return False
        even = distribute_over_hours(energy, self.energy / factor, day, zone)
        return all(abs(row.state / factor - hour.total) < _ROUNDING for row, hour in zip(self.rows, even, strict=True))

    def refined(
        self, energy: Energy, day: date, zone: tzinfo, points: Sequence[CurvePoint], factor: float
    ) -> list[Row]:
        """Return the rows with the same energy distributed like the curve."""
        begin = midnight(day, zone)
        return [
            Row(
                start=hour.start,
                end=row.end,
                state=hour.total * factor,
                sum=row.sum if row is self.rows[-1] else self.sum_before + hour.total * factor,
                last_reset=begin,
            )
            for hour, row in zip(
                distribute_over_hours(energy, self.energy / factor, day, zone, points=points), self.rows, strict=True
            )
        ]


def whole_days(rows: Sequence[Row], zone: tzinfo) -> dict[date, WholeDay]:
    """Return the days all of whose hours were written late, as an import does. `rows` are in order."""
    days: dict[date, list[Row]] = {}
    sums_before: dict[date, float] = {}
    last_sum = 0.0
    for row in rows:
        day = row.start.astimezone(zone).date()
        sums_before.setdefault(day, last_sum)
        days.setdefault(day, []).append(row)
        last_sum = row.sum
    return {
        day: WholeDay(found, sums_before[day])
        for day, found in days.items()
        if all(row.is_late and row.last_reset == midnight(day, zone) for row in found)
        and [row.start for row in found] == hours_of_day(day, zone)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refiner:
    """Refines days; the report says which. `prepend` takes the points of the curves, the latest days first."""

    curve: Curve
    prepend: Callable[[Sequence[CurvePoint]], Awaitable[None]]
    report: Report

    async def async_refine(self, sensors: Iterable[EnergySensor], start: date | None, progress: Progress) -> None:
        """Refine all days from `start` on, None for all. Raises SourceError."""
        found = {sensor: await self._async_days(sensor, start) for sensor in sensors}
        days = sorted({day for each in found.values() for day in each}, reverse=True)
        progress.planned = progress.done + len(days)
        for chunk in batched(days, LONGEST_STEP, strict=False):
            points = {day: await self.curve(day) for day in chunk}
            # First: once a day is refined its curve is not asked for again.
            await self.prepend([point for day in reversed(chunk) for point in points[day]])
            for sensor, each in found.items():
                await self._async_write(sensor, each, points)

    async def _async_days(self, sensor: EnergySensor, start: date | None) -> dict[date, WholeDay]:
        """Return a sensor's days that were imported by days."""
        if (first := await sensor.series.async_first()) is None:
            return {}
        zone, factor = dt_util.get_default_time_zone(), sensor.factor
        begin = first.start if start is None else max(first.start, midnight(start, zone) - timedelta(hours=1))
        rows: list[Row] = []
        while begin < dt_util.utcnow():
            rows += await sensor.series.async_rows(begin, begin + _YEAR, "hour")
            begin += _YEAR

        def found() -> dict[date, WholeDay]:
            return {
                day: each
                for day, each in whole_days(rows, zone).items()
                if (start is None or day >= start) and each.is_by_days(sensor.energy, day, zone, factor)
            }

        return await sensor.series.hass.async_add_executor_job(found)

    async def _async_write(
        self, sensor: EnergySensor, days: Mapping[date, WholeDay], points: Mapping[date, Sequence[CurvePoint]]
    ) -> None:
        zone = dt_util.get_default_time_zone()
        known = {day: curve for day, curve in points.items() if curve and day in days}

        def refined() -> list[Row]:
            return [
                row
                for day, curve in sorted(known.items())
                for row in days[day].refined(sensor.energy, day, zone, curve, sensor.factor)
            ]

        if rows := await sensor.series.hass.async_add_executor_job(refined):
            await sensor.series.async_put_in(rows, 0.0)
            self.report.refined |= known.keys()
