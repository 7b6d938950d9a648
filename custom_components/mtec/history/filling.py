"""Fill the gaps in the statistics of a station's energy sensors."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from itertools import batched
from typing import Final

from homeassistant.util import dt as dt_util

from custom_components.mtec.models import CurvePoint, UsageRow
from custom_components.mtec.usage_rows import UsageRows

from .gaps import Lacking, share, steps
from .hours import HOUR, midnight, weights_of_hours
from .report import Report
from .sensors import EnergySensor

LONGEST_STEP: Final = 31
"""The number of days that are written in one step, so that the recorder has time for others in between."""

_EXACT: Final = 0.005
"""kWh below which a day lacks nothing: the portal rounds to hundredths."""
_TOLERANCE: Final = 0.1
"""kWh by which more may be recorded of a day than the portal says in the end."""
_UNTIL_FINAL: Final = timedelta(minutes=30)
"""How long after midnight the portal may still complete the day before."""

_DAY: Final = timedelta(days=1)

type Curve = Callable[[date], Awaitable[Sequence[CurvePoint]]]
"""A function that returns a day's curve, empty if there is none or it is not wanted. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class _LackingDay:
    """The hours that a sensor lacks of a day, and the energy in kWh to distribute over them."""

    sensor: EnergySensor
    hours: Sequence[datetime]
    energy: float

    def rises(self, day: date, points: Sequence[CurvePoint], zone: tzinfo) -> dict[datetime, float]:
        """Return the rise of the sum in each hour, in the unit of the statistics."""
        weights = weights_of_hours(self.sensor.energy, self.hours, day, zone, points)
        parts = share(self.energy, weights)
        return {hour: part * self.sensor.factor for hour, part in zip(self.hours, parts, strict=True)}


@dataclass(slots=True, kw_only=True)
class GapFiller:
    """Fills gaps from the rows of days and from curves; what it does and finds is added to the report.

    `postponed` are days of which the source does not know everything yet.
    """

    reader: UsageRows
    curve: Curve
    report: Report
    rows: dict[date, UsageRow] = field(default_factory=dict)
    postponed: set[date] = field(default_factory=set)
    _months: set[tuple[int, int]] = field(default_factory=set)

    async def async_find(self, sensors: Iterable[EnergySensor], since: date | None) -> dict[EnergySensor, Lacking]:
        """Return what sensors lack from a day on, None for all, after finishing what was interrupted."""
        start = None if since is None else midnight(since, dt_util.get_default_time_zone())
        found = {}
        for sensor in sensors:
            lacking = await sensor.series.async_lacking(start)
            if lacking is not None and lacking.falls:
                await sensor.series.async_settle(lacking.falls)
                lacking = await sensor.series.async_lacking(start)
            if lacking is not None:
                found[sensor] = lacking
        return found

    async def async_fill(self, lacking: Mapping[EnergySensor, Lacking], since: date | None) -> None:
        """Fill what lacks from a day on, the oldest days first. Raises SourceError."""
        days = lacking_days(lacking.values(), since)
        for day in days:
            await self._async_read_month(day)
        for number, chunk in enumerate(batched(days, LONGEST_STEP, strict=False)):
            # What was written changes the sums.
            now = lacking if number == 0 else await self.async_find(lacking, chunk[0])
            await self._async_fill_days(now, chunk)

    async def _async_read_month(self, day: date) -> None:
        month = day.year, day.month
        if day < self.reader.today and month not in self._months:
            self._months.add(month)
            self.rows |= {row.start: row for row in await self.reader.month(*month)}

    async def _async_fill_days(self, lacking: Mapping[EnergySensor, Lacking], days: Iterable[date]) -> None:
        zone = dt_util.get_default_time_zone()
        rises: dict[EnergySensor, dict[datetime, float]] = {sensor: {} for sensor in lacking}
        for day in days:
            wanted = list(self._wanted(lacking, day, zone))
            points: Sequence[CurvePoint] = ()
            if any(each.energy > _EXACT for each in wanted):
                points = await self.curve(day)
                if self._is_to_come(day, points, zone):
                    self.postponed.add(day)
                    continue
            for each in wanted:
                rises[each.sensor] |= each.rises(day, points, zone)
        for sensor, hours in rises.items():
            await self._async_write(sensor, lacking[sensor], hours, zone)

    def _wanted(self, lacking: Mapping[EnergySensor, Lacking], day: date, zone: tzinfo) -> Iterator[_LackingDay]:
        """Yield what each sensor lacks of a day, and add to the report what cannot be filled."""
        for sensor, each in lacking.items():
            hours = each.hours_by_day(zone).get(day)
            energy = None if hours is None else self._lacking_energy(sensor, each, day)
            if hours is None or energy is None:
                continue
            if energy <= _EXACT:
                # What was made up stays if there is nothing to put in.
                hours, energy = each.without_made_up(hours), 0.0
            if hours:
                yield _LackingDay(sensor, hours, energy)

    def _lacking_energy(self, sensor: EnergySensor, lacking: Lacking, day: date) -> float | None:
        """Return the kWh that the sums lack of a day, None if they are not known or more is recorded."""
        if day >= self.reader.today:
            # What an hour of today missed came with the first one after it.
            return 0.0
        if (total := sensor.energy.in_row(self.rows.get(day))) is None:
            if day not in self.rows and day not in self.report.without_data:
                self.report.without_data.append(day)
            return None
        late = lacking.late.get(day, 0.0) / sensor.factor
        energy = total - lacking.recorded.get(day, 0.0) / sensor.factor
        if energy - late < -_TOLERANCE:
            self.report.more_recorded.add(day)
            return None
        return max(energy, late, 0.0)

    def _is_to_come(self, day: date, points: Sequence[CurvePoint], zone: tzinfo) -> bool:
        """Return whether the portal may not know all of a day yet, which was yesterday."""
        end = midnight(day + _DAY, zone)
        now = dt_util.utcnow()
        if now >= end + _DAY:
            return False
        return now < end + _UNTIL_FINAL or (bool(points) and points[-1].start < end - HOUR)

    async def _async_write(
        self, sensor: EnergySensor, lacking: Lacking, rises: Mapping[datetime, float], zone: tzinfo
    ) -> None:
        for step in steps(lacking, rises, zone):
            await sensor.series.async_put_in(step.hours, step.rise)
        self.report.count(sensor.energy.key, rises, sum(rises.values()) / sensor.factor)


def lacking_days(lacking: Iterable[Lacking], since: date | None) -> list[date]:
    """Return the days from `since` on that lack hours of any sensor."""
    zone = dt_util.get_default_time_zone()
    days = {day for each in lacking for day in each.hours_by_day(zone)}
    return sorted(day for day in days if since is None or day >= since)
