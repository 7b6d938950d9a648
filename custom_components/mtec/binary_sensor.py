"""The binary sensors of stations and inverters."""

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

from .coordinator import MtecConfigEntry, MtecCoordinator
from .entity import MtecEntity, MtecEntityDescription, async_add_what_appears, what_has_a_value
from .models import InverterReading, StationReading, WorkStatus

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MtecBinarySensorDescription[ReadingT](BinarySensorEntityDescription, MtecEntityDescription[ReadingT]):
    """A binary sensor whose value is a bool or None."""

    value_fn: Callable[[ReadingT], bool | None]


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
    """Return whether any code tells of something, None if there is no code."""
    known = [code for code in codes if code is not None]
    return any(known) if known else None


def _grid_outage(coordinator: MtecCoordinator, station_id: str) -> MtecBinarySensorDescription[StationReading]:
    """Return whether the grid is out: the station says so, or else its inverters say whether they are off the grid."""

    def is_out(reading: StationReading) -> bool | None:
        return _any_off_grid(coordinator, station_id) if reading.grid_outage is None else reading.grid_outage

    return MtecBinarySensorDescription(
        key="grid_outage",
        translation_key="grid_outage",
        device_class=BinarySensorDeviceClass.PROBLEM,
        value_fn=is_out,
    )


def _any_off_grid(coordinator: MtecCoordinator, station_id: str) -> bool | None:
    """Return whether any inverter of a station is off the grid, None if the work status of none is known."""
    inverters = coordinator.data.inverters.values()
    readings = [each.reading for each in inverters if each.station_id == station_id and each.reading is not None]
    known = [reading.work_status for reading in readings if reading.work_status is not None]
    return WorkStatus.OFF_GRID in known if known else None


INVERTER_BINARY_SENSORS: tuple[MtecBinarySensorDescription[InverterReading], ...] = (
    _problem("fault", lambda reading: _any(reading.faults.values())),
    _problem("warning", lambda reading: _any(reading.warnings.values())),
    _problem("battery_fault", lambda reading: _any([reading.battery.error_code])),
    _problem("battery_warning", lambda reading: _any([reading.battery.warning_code])),
)


class MtecBinarySensor[ReadingT](MtecEntity[ReadingT], BinarySensorEntity):
    """A yes or no of a station or an inverter."""

    entity_description: MtecBinarySensorDescription[ReadingT]

    @property
    @override
    def is_on(self) -> bool | None:
        value: bool | None = self.value
        return value


def _discover(coordinator: MtecCoordinator) -> Iterator[MtecBinarySensor[Any]]:
    for station in coordinator.data.stations.values():
        outage = _grid_outage(coordinator, station.id)
        if station.reading is not None and outage.value_fn(station.reading) is not None:
            yield MtecBinarySensor(coordinator, station, outage)
    inverters = coordinator.data.inverters.values()
    for inverter, inverter_description in what_has_a_value(inverters, lambda _: INVERTER_BINARY_SENSORS):
        yield MtecBinarySensor(coordinator, inverter, inverter_description)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the binary sensors of an account."""
    async_add_what_appears(entry, async_add_entities, _discover)
