"""The binary sensor platform."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import Discovery, MtecEntity, MtecEntityDescription, async_add_supported
from .home import Home, MtecConfigEntry
from .models import InverterReading, StationReading, WorkStatus

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MtecBinarySensorDescription[DataT](BinarySensorEntityDescription, MtecEntityDescription[DataT]):
    """A binary sensor whose value is a bool or None."""

    value_fn: Callable[[DataT], bool | None]


def _problem(
    key: str, value_fn: Callable[[InverterReading], bool | None]
) -> MtecBinarySensorDescription[InverterReading]:
    return MtecBinarySensorDescription(
        key=key,
        translation_key=key,
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=value_fn,
    )


def _any(codes: Iterable[int | None]) -> bool | None:
    """Return whether any code is not 0, None if no code is known."""
    known = [code for code in codes if code is not None]
    return any(known) if known else None


def _grid_outage(home: Home, station_id: str) -> MtecBinarySensorDescription[StationReading]:
    """Return the grid outage of a station. If it does not report it, it follows from the status of its inverters."""

    def is_out(reading: StationReading) -> bool | None:
        return _any_off_grid(home, station_id) if reading.grid_outage is None else reading.grid_outage

    return _outage(is_out)


def _outage[DataT](
    value_fn: Callable[[DataT], bool | None], *, in_station: bool = False
) -> MtecBinarySensorDescription[DataT]:
    return MtecBinarySensorDescription(
        key="grid_outage",
        translation_key="grid_outage",
        device_class=BinarySensorDeviceClass.PROBLEM,
        value_fn=value_fn,
        in_station=in_station,
    )


def _any_off_grid(home: Home, station_id: str) -> bool | None:
    """Return whether any inverter of a station is off the grid, None if no work status is known."""
    readings = [inverter.reading for inverter in home.inverter_coordinators(station_id)]
    known = [reading.work_status for reading in readings if reading is not None and reading.work_status is not None]
    return WorkStatus.OFF_GRID in known if known else None


INVERTER_BINARY_SENSORS: tuple[MtecBinarySensorDescription[InverterReading], ...] = (
    _outage(lambda reading: reading.grid_outage, in_station=True),
    _problem("fault", lambda reading: _any(reading.faults.values())),
    _problem("warning", lambda reading: _any(reading.warnings.values())),
    _problem("battery_fault", lambda reading: _any([reading.battery.error_code])),
    _problem("battery_warning", lambda reading: _any([reading.battery.warning_code])),
)


class MtecBinarySensor[DataT](MtecEntity[DataT], BinarySensorEntity):
    """A binary sensor of a station or an inverter."""

    entity_description: MtecBinarySensorDescription[DataT]

    @property
    @override
    def is_on(self) -> bool | None:
        value: bool | None = self.value
        return value


def _discover(discovery: Discovery) -> Iterator[MtecBinarySensor[Any]]:
    home, id_ = discovery.home, discovery.id
    if (inverter := home.inverter_readings.get(id_)) is not None:
        for inverter_description in discovery.with_value(inverter, INVERTER_BINARY_SENSORS):
            yield MtecBinarySensor(home, inverter, inverter_description)
        return
    station = home.station_readings[id_]
    for description in discovery.with_value(station, [_grid_outage(home, id_)]):
        yield MtecBinarySensor(home, station, description, home.inverter_coordinators(id_))


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the binary sensors of a home."""
    async_add_supported(entry, async_add_entities, _discover)
