"""The sensors of stations and inverters."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import (
    PERCENTAGE,
    UnitOfElectricCurrent,
    UnitOfElectricPotential,
    UnitOfEnergy,
    UnitOfPower,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .coordinator import MtecConfigEntry, MtecCoordinator
from .entity import MtecEntity, MtecEntityDescription, async_add_what_appears, what_has_a_value
from .portal import InverterReading, PhaseReading, StationReading, StringReading

PARALLEL_UPDATES = 0

_KINDS = {
    SensorDeviceClass.ENERGY: (UnitOfEnergy.KILO_WATT_HOUR, SensorStateClass.TOTAL_INCREASING, 2),
    SensorDeviceClass.POWER: (UnitOfPower.WATT, SensorStateClass.MEASUREMENT, 0),
    SensorDeviceClass.VOLTAGE: (UnitOfElectricPotential.VOLT, SensorStateClass.MEASUREMENT, 1),
    SensorDeviceClass.CURRENT: (UnitOfElectricCurrent.AMPERE, SensorStateClass.MEASUREMENT, 1),
    SensorDeviceClass.BATTERY: (PERCENTAGE, SensorStateClass.MEASUREMENT, 0),
}
"""Unit, state class and digits after the point of each device class in use."""


_CROWDING = (SensorDeviceClass.VOLTAGE, SensorDeviceClass.CURRENT)
"""What every phase and PV string has and few people look at: disabled at first."""


@dataclass(frozen=True, kw_only=True)
class MtecSensorDescription[ReadingT](SensorEntityDescription, MtecEntityDescription[ReadingT]):
    """A sensor whose value is a number or None."""

    value_fn: Callable[[ReadingT], float | None]


def _sensor[ReadingT](
    device_class: SensorDeviceClass,
    key: str,
    value_fn: Callable[[ReadingT], float | None],
    number: int | None = None,
) -> MtecSensorDescription[ReadingT]:
    unit, state_class, precision = _KINDS[device_class]
    return MtecSensorDescription(
        key=key if number is None else f"{key}_{number}",
        translation_key=key,
        device_class=device_class,
        native_unit_of_measurement=unit,
        state_class=state_class,
        suggested_display_precision=precision,
        entity_registry_enabled_default=number is None or device_class not in _CROWDING,
        value_fn=value_fn,
        number=number,
    )


STATION_SENSORS: tuple[MtecSensorDescription[StationReading], ...] = (
    _sensor(SensorDeviceClass.ENERGY, "pv_energy_today", lambda reading: reading.pv_energy_today),
    _sensor(SensorDeviceClass.ENERGY, "pv_energy_this_month", lambda reading: reading.pv_energy_this_month),
    _sensor(SensorDeviceClass.ENERGY, "pv_energy_this_year", lambda reading: reading.pv_energy_this_year),
    _sensor(SensorDeviceClass.ENERGY, "pv_energy_total", lambda reading: reading.pv_energy_total),
    _sensor(SensorDeviceClass.POWER, "pv_power", lambda reading: reading.pv_power),
    _sensor(SensorDeviceClass.POWER, "grid_power", lambda reading: reading.grid_power),
    _sensor(SensorDeviceClass.POWER, "battery_power", lambda reading: reading.battery_power),
    _sensor(SensorDeviceClass.POWER, "consumption_power", lambda reading: reading.consumption_power),
    _sensor(SensorDeviceClass.BATTERY, "state_of_charge", lambda reading: reading.state_of_charge),
)

INVERTER_SENSORS: tuple[MtecSensorDescription[InverterReading], ...] = (
    _sensor(SensorDeviceClass.POWER, "battery_power", lambda reading: reading.battery.power),
    _sensor(SensorDeviceClass.VOLTAGE, "battery_voltage", lambda reading: reading.battery.voltage),
    _sensor(SensorDeviceClass.CURRENT, "battery_current", lambda reading: reading.battery.current),
    _sensor(SensorDeviceClass.BATTERY, "state_of_charge", lambda reading: reading.battery.state_of_charge),
)


@cache
def _phase_sensors(number: int) -> tuple[MtecSensorDescription[InverterReading], ...]:
    def phase(reading: InverterReading) -> PhaseReading:
        return reading.phases.get(number, PhaseReading())

    return (
        _sensor(SensorDeviceClass.POWER, "phase_inverter_power", lambda reading: phase(reading).inverter_power, number),
        _sensor(SensorDeviceClass.VOLTAGE, "phase_voltage", lambda reading: phase(reading).voltage, number),
        _sensor(SensorDeviceClass.CURRENT, "phase_current", lambda reading: phase(reading).current, number),
        _sensor(SensorDeviceClass.POWER, "phase_grid_power", lambda reading: phase(reading).grid_power, number),
    )


@cache
def _string_sensors(number: int) -> tuple[MtecSensorDescription[InverterReading], ...]:
    def string(reading: InverterReading) -> StringReading:
        return reading.strings.get(number, StringReading())

    return (
        _sensor(SensorDeviceClass.POWER, "string_power", lambda reading: string(reading).power, number),
        _sensor(SensorDeviceClass.VOLTAGE, "string_voltage", lambda reading: string(reading).voltage, number),
        _sensor(SensorDeviceClass.CURRENT, "string_current", lambda reading: string(reading).current, number),
    )


def _inverter_sensors(reading: InverterReading) -> Iterator[MtecSensorDescription[InverterReading]]:
    yield from INVERTER_SENSORS
    for number in reading.phases:
        yield from _phase_sensors(number)
    for number in reading.strings:
        yield from _string_sensors(number)


class MtecSensor[ReadingT](MtecEntity[ReadingT], SensorEntity):
    """A value of a station or an inverter."""

    entity_description: MtecSensorDescription[ReadingT]

    @property
    @override
    def native_value(self) -> float | None:
        value: float | None = self.value
        return value


def _discover(coordinator: MtecCoordinator) -> Iterator[MtecSensor[Any]]:
    data = coordinator.data
    for station, description in what_has_a_value(data.stations.values(), lambda _: STATION_SENSORS):
        yield MtecSensor(coordinator, station, description)
    for inverter, inverter_description in what_has_a_value(data.inverters.values(), _inverter_sensors):
        yield MtecSensor(coordinator, inverter, inverter_description)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the sensors of an account."""
    async_add_what_appears(entry, async_add_entities, _discover)
