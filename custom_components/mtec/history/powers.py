"""Past powers and states of charge, added before the first row of a sensor's own statistics."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.util.dt import as_utc

from custom_components.mtec.home_assistant_internals import (
    MeanRow,
    Statistic,
    async_in_recorder,
    async_recorded,
    async_statistics,
    is_recorded,
)
from custom_components.mtec.models import CurvePoint

from .sensors import async_mean_ids, mean_factor

_PORTION: Final = 240
"""How many rows are written in one go, so that the recorder has time for others in between."""


@dataclass(frozen=True, slots=True)
class MeanSensor:
    """A sensor of a power or of the charge, what it shows of a curve in W or %, and its statistics."""

    hass: HomeAssistant
    value: Callable[[CurvePoint], float | None]
    statistic: Statistic

    async def async_prepend(self, points: Iterable[CurvePoint]) -> int:
        """Add the hours of points before the sensor's first row. Return how many these are."""
        await async_recorded(self.hass)
        if (first := await async_in_recorder(self.hass, self._first_start)) is None:
            return 0
        past = await self.hass.async_add_executor_job(self._means_before, first.replace(minute=0), points)
        for portion in batched(past, _PORTION, strict=False):
            self.statistic.async_import_means(portion)
            await async_recorded(self.hass)
        return len(past)

    def _means_before(self, first: datetime, points: Iterable[CurvePoint]) -> list[MeanRow]:
        rows = means(points, self.value, mean_factor(self.statistic.unit))
        # The latest first: what is before the first row is not looked at again, if the import is stopped.
        return sorted((row for row in rows if row.start < first), key=lambda row: row.start, reverse=True)

    def _first_start(self) -> datetime | None:
        return self.statistic.first_start("hour") or self.statistic.first_start("5minute")


def means(points: Iterable[CurvePoint], value: Callable[[CurvePoint], float | None], factor: float) -> list[MeanRow]:
    """Return the mean, lowest and highest value of each hour with points, multiplied by a factor."""
    hours: dict[datetime, list[float]] = {}
    for point in points:
        if (known := value(point)) is not None:
            hours.setdefault(_hour(point.start), []).append(known * factor)
    return [
        MeanRow(start=start, mean=sum(values) / len(values), lowest=min(values), highest=max(values))
        for start, values in hours.items()
    ]


def _hour(moment: datetime) -> datetime:
    return as_utc(moment).replace(minute=0, second=0, microsecond=0)


async def async_mean_sensors(hass: HomeAssistant, station_id: str) -> list[MeanSensor]:
    """Return a station's recorded sensors of powers and of the charge that Home Assistant has begun to record."""
    ids: Mapping[str, Callable[[CurvePoint], float | None]] = async_mean_ids(hass, station_id)
    recorded = {id_ for id_ in ids if is_recorded(hass, id_)}
    if not recorded:
        return []
    found = await async_statistics(hass, recorded, with_sums=False)
    return [MeanSensor(hass, ids[id_], statistic) for id_, statistic in found.items()]
