"""The sensors of stations and inverters."""

from collections.abc import Iterator
from typing import Any, override

from homeassistant.components.sensor import SensorEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import MtecConfigEntry, MtecCoordinator
from .energy_sensor import discover_energies
from .entity import MtecEntity, async_add_what_appears, what_has_a_value
from .sensor_tables import BALANCE_SENSORS, STATION_SENSORS, MtecSensorDescription, inverter_sensors

PARALLEL_UPDATES = 0


class MtecSensor[ReadingT](MtecEntity[ReadingT], SensorEntity):
    """A value of a station or an inverter."""

    entity_description: MtecSensorDescription[ReadingT]

    @property
    @override
    def native_value(self) -> float | str | None:
        value: float | str | None = self.value
        return value


def _discover(coordinator: MtecCoordinator) -> Iterator[MtecEntity[Any]]:
    data = coordinator.data
    yield from discover_energies(coordinator)
    for station, description in what_has_a_value(data.stations.values(), lambda _: STATION_SENSORS):
        yield MtecSensor(coordinator, station, description)
    for balance, balance_description in what_has_a_value(data.balances.values(), lambda _: BALANCE_SENSORS):
        yield MtecSensor(coordinator, balance, balance_description)
    for inverter, inverter_description in what_has_a_value(data.inverters.values(), inverter_sensors):
        yield MtecSensor(coordinator, inverter, inverter_description)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the sensors of an account."""
    async_add_what_appears(entry, async_add_entities, _discover)
