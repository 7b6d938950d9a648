"""The sensor platform."""

from collections.abc import Iterator
from functools import partial
from typing import Any, override

from homeassistant.components.sensor import SensorEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .battery.sensor import async_add_command_sensors
from .battery.time_sensor import Sources, discover_battery_times
from .energy_sensor import discover_energies
from .entity import Discovery, MtecEntity, async_add_supported
from .home import MtecConfigEntry
from .home_assistant_internals import async_energy_sources_reader
from .sensor_descriptions import (
    DAILY_ENERGIES_SENSORS,
    LIFETIME_ENERGIES_SENSORS,
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


def _discover(sources: Sources, discovery: Discovery) -> Iterator[MtecEntity[Any]]:
    home, id_ = discovery.home, discovery.id
    yield from discover_energies(discovery)
    if (inverter := home.inverter_readings.get(id_)) is not None:
        if (reading := inverter.reading) is not None:
            for inverter_description in discovery.with_value(inverter, inverter_sensors(reading)):
                yield MtecSensor(home, inverter, inverter_description)
        return
    station, energies = home.station_readings[id_], home.daily_energies[id_]
    for description in discovery.with_value(station, STATION_SENSORS):
        yield MtecSensor(home, station, description)
    for energies_description in discovery.with_value(energies, DAILY_ENERGIES_SENSORS):
        yield MtecSensor(home, energies, energies_description)
    lifetime = home.lifetime_energies[id_]
    for lifetime_description in discovery.with_value(lifetime, LIFETIME_ENERGIES_SENSORS):
        yield MtecSensor(home, lifetime, lifetime_description)
    yield from discover_battery_times(discovery, sources)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the sensors of a home."""
    sources = await async_energy_sources_reader(hass)
    async_add_supported(entry, async_add_entities, partial(_discover, sources))
    async_add_command_sensors(entry, async_add_entities)
