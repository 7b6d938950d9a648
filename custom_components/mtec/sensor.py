"""The sensor platform."""

from collections.abc import Iterator
from typing import Any, override

from homeassistant.components.sensor import SensorEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .account import Account, MtecConfigEntry
from .energy_sensor import discover_energies
from .entity import MtecEntity, async_add_supported, supported_descriptions
from .sensor_descriptions import (
    DAILY_ENERGIES_SENSORS,
    STATION_SENSORS,
    MtecSensorDescription,
    inverter_sensors,
)

PARALLEL_UPDATES = 0


class MtecSensor[DataT](MtecEntity[DataT], SensorEntity):
    """A sensor of a station or an inverter."""

    entity_description: MtecSensorDescription[DataT]

    @property
    @override
    def native_value(self) -> float | str | None:
        value: float | str | None = self.value
        return value


def _discover(account: Account) -> Iterator[MtecEntity[Any]]:
    yield from discover_energies(account)
    for id_ in account.stations:
        station, energies = account.station_readings[id_], account.daily_energies[id_]
        for description in supported_descriptions(station, STATION_SENSORS):
            yield MtecSensor(account, station, description)
        for energies_description in supported_descriptions(energies, DAILY_ENERGIES_SENSORS):
            yield MtecSensor(account, energies, energies_description)
    for id_ in account.data.inverters:
        inverter = account.inverter_readings[id_]
        if (reading := inverter.reading) is not None:
            for inverter_description in supported_descriptions(inverter, inverter_sensors(reading)):
                yield MtecSensor(account, inverter, inverter_description)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the sensors of an account."""
    async_add_supported(entry, async_add_entities, _discover)
