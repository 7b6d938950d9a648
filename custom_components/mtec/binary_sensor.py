"""The binary sensors of stations."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import MtecConfigEntry, MtecCoordinator
from .entity import MtecEntity, MtecEntityDescription, async_add_what_appears, what_has_a_value
from .portal import StationReading

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MtecBinarySensorDescription[ReadingT](BinarySensorEntityDescription, MtecEntityDescription[ReadingT]):
    """A binary sensor whose value is a bool or None."""

    value_fn: Callable[[ReadingT], bool | None]


STATION_BINARY_SENSORS: tuple[MtecBinarySensorDescription[StationReading], ...] = (
    MtecBinarySensorDescription(
        key="grid_outage",
        translation_key="grid_outage",
        device_class=BinarySensorDeviceClass.PROBLEM,
        value_fn=lambda reading: reading.grid_outage,
    ),
)


class MtecBinarySensor[ReadingT](MtecEntity[ReadingT], BinarySensorEntity):
    """A yes or no of a station."""

    entity_description: MtecBinarySensorDescription[ReadingT]

    @property
    @override
    def is_on(self) -> bool | None:
        value: bool | None = self.value
        return value


def _discover(coordinator: MtecCoordinator) -> Iterator[MtecBinarySensor[Any]]:
    for station, description in what_has_a_value(coordinator.data.stations.values(), lambda _: STATION_BINARY_SENSORS):
        yield MtecBinarySensor(coordinator, station, description)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the binary sensors of an account."""
    async_add_what_appears(entry, async_add_entities, _discover)
