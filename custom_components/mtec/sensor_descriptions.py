"""The sensors of stations and inverters, but for energies: one row each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from homeassistant.components.sensor import SensorDeviceClass, SensorEntityDescription, SensorStateClass
from homeassistant.const import (
    PERCENTAGE,
    SIGNAL_STRENGTH_DECIBELS_MILLIWATT,
    EntityCategory,
    UnitOfElectricCurrent,
    UnitOfElectricPotential,
    UnitOfFrequency,
    UnitOfPower,
    UnitOfTemperature,
)

from .energies import DailyEnergies, LifetimeEnergies, Shares
from .entity import MtecEntityDescription
from .models import (
    BackupReading,
    BatteryMode,
    Fault,
    InverterReading,
    PhaseReading,
    ReadingSource,
    StationReading,
    StringReading,
    WorkStatus,
)

_CURRENT = SensorDeviceClass.CURRENT
_FREQUENCY = SensorDeviceClass.FREQUENCY
_POWER = SensorDeviceClass.POWER
_SIGNAL = SensorDeviceClass.SIGNAL_STRENGTH
_TEMPERATURE = SensorDeviceClass.TEMPERATURE
_VOLTAGE = SensorDeviceClass.VOLTAGE
# A state of charge has no device class: Home Assistant lists what has that of a battery among those to be replaced.
_SHARE = None

_KINDS = {
    _POWER: (UnitOfPower.WATT, 0),
    _VOLTAGE: (UnitOfElectricPotential.VOLT, 1),
    _CURRENT: (UnitOfElectricCurrent.AMPERE, 1),
    _FREQUENCY: (UnitOfFrequency.HERTZ, 2),
    _TEMPERATURE: (UnitOfTemperature.CELSIUS, 1),
    _SIGNAL: (SIGNAL_STRENGTH_DECIBELS_MILLIWATT, 0),
    _SHARE: (PERCENTAGE, 0),
}
"""The unit and the number of decimals of each device class."""


@dataclass(frozen=True, kw_only=True)
class MtecSensorDescription[DataT](SensorEntityDescription, MtecEntityDescription[DataT]):
    """A sensor whose value is a number, an option of an enum, or None."""

    value_fn: Callable[[DataT], float | StrEnum | None]


def _sensor[DataT](
    device_class: SensorDeviceClass | None,
    key: str,
    value_fn: Callable[[DataT], float | None],
    number: int | None = None,
    *,
    category: EntityCategory | None = None,
    enabled: bool = True,
    precision: int | None = None,
    in_station: bool = False,
) -> MtecSensorDescription[DataT]:
    """Return a measurement. `number` is the number of its phase, PV string or other part."""
    unit, usual_precision = _KINDS[device_class]
    return MtecSensorDescription(
        key=key if number is None else f"{key}_{number}",
        translation_key=key,
        device_class=device_class,
        native_unit_of_measurement=unit,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=usual_precision if precision is None else precision,
        entity_category=category,
        entity_registry_enabled_default=enabled,
        value_fn=value_fn,
        number=number,
        in_station=in_station,
    )


def _diagnostic[DataT](
    device_class: SensorDeviceClass | None,
    key: str,
    value_fn: Callable[[DataT], float | None],
    number: int | None = None,
) -> MtecSensorDescription[DataT]:
    """Return a diagnostic measurement."""
    return _sensor(device_class, key, value_fn, number, category=EntityCategory.DIAGNOSTIC)


def _hidden_diagnostic[DataT](
    device_class: SensorDeviceClass | None,
    key: str,
    value_fn: Callable[[DataT], float | None],
    precision: int | None = None,
) -> MtecSensorDescription[DataT]:
    """Return a diagnostic measurement for few users, disabled by default."""
    category = EntityCategory.DIAGNOSTIC
    return _sensor(device_class, key, value_fn, category=category, enabled=False, precision=precision)


def _directions[DataT](
    positive: str, negative: str, value_fn: Callable[[DataT], float | None]
) -> tuple[MtecSensorDescription[DataT], ...]:
    """Return two sensors of a power with a sign, one for each direction and never below 0, disabled by default."""
    return (
        _sensor(_POWER, positive, lambda reading: _at_least_zero(value_fn(reading), 1), enabled=False),
        _sensor(_POWER, negative, lambda reading: _at_least_zero(value_fn(reading), -1), enabled=False),
    )


def _at_least_zero(value: float | None, sign: int) -> float | None:
    return None if value is None else max(0.0, sign * value)


def _shares[DataT](period: str, shares_fn: Callable[[DataT], Shares]) -> tuple[MtecSensorDescription[DataT], ...]:
    """Return the sensors of the shares of a period."""
    return (
        _sensor(_SHARE, f"self_consumption_{period}", lambda energies: shares_fn(energies).self_consumption),
        _sensor(_SHARE, f"self_sufficiency_{period}", lambda energies: shares_fn(energies).self_sufficiency),
    )


def _code[DataT](
    key: str, value_fn: Callable[[DataT], int | None], number: int | None = None
) -> MtecSensorDescription[DataT]:
    """Return a code or a number whose bits are flags, disabled by default."""
    return MtecSensorDescription(
        key=key if number is None else f"{key}_{number}",
        translation_key=key,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=value_fn,
        number=number,
    )


def _enum[DataT](
    key: str, options: type[StrEnum], value_fn: Callable[[DataT], StrEnum | None], *, enabled: bool = True
) -> MtecSensorDescription[DataT]:
    """Return a diagnostic sensor with a fixed set of states."""
    return MtecSensorDescription(
        key=key,
        translation_key=key,
        device_class=SensorDeviceClass.ENUM,
        options=list(options),
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=enabled,
        value_fn=value_fn,
    )


STATION_SENSORS: tuple[MtecSensorDescription[StationReading], ...] = (
    _sensor(_POWER, "pv_power", lambda reading: reading.pv_power),
    _sensor(_POWER, "grid_power", lambda reading: reading.grid_power),
    _sensor(_POWER, "battery_power", lambda reading: reading.battery_power),
    _sensor(_POWER, "consumption_power", lambda reading: reading.consumption_power),
    *_directions("grid_import_power", "grid_export_power", lambda reading: reading.grid_power),
    *_directions("battery_discharge_power", "battery_charge_power", lambda reading: reading.battery_power),
    _sensor(_SHARE, "state_of_charge", lambda reading: reading.state_of_charge),
    _sensor(_POWER, "backup_power", lambda reading: reading.backup_power),
    _hidden_diagnostic(_POWER, "installed_power", lambda reading: reading.installed_power),
    _hidden_diagnostic(_SIGNAL, "signal_strength", lambda reading: reading.signal_strength),
)

DAILY_ENERGIES_SENSORS: tuple[MtecSensorDescription[DailyEnergies], ...] = (
    *_shares("today", lambda energies: energies.shares_today),
    *_shares("this_month", lambda energies: energies.shares_this_month),
)

LIFETIME_ENERGIES_SENSORS: tuple[MtecSensorDescription[LifetimeEnergies], ...] = _shares(
    "this_year", lambda energies: energies.shares_this_year
)

_INVERTER_SENSORS: tuple[MtecSensorDescription[InverterReading], ...] = (
    _sensor(_POWER, "inverter_power", lambda reading: reading.power),
    _sensor(_POWER, "pv_power", lambda reading: reading.pv_power),
    _sensor(_POWER, "grid_power", lambda reading: reading.grid_power),
    _sensor(_POWER, "consumption_power", lambda reading: reading.consumption_power, in_station=True),
    _sensor(_POWER, "backup_power", lambda reading: reading.backup_power),
    _enum("source", ReadingSource, lambda reading: reading.source),
    _enum("first_fault", Fault, lambda reading: reading.first_fault),
    _diagnostic(_FREQUENCY, "grid_frequency", lambda reading: reading.grid_frequency),
    _enum("work_status", WorkStatus, lambda reading: reading.work_status),
    _sensor(_POWER, "battery_power", lambda reading: reading.battery.power),
    *_directions("grid_import_power", "grid_export_power", lambda reading: reading.grid_power),
    *_directions("battery_discharge_power", "battery_charge_power", lambda reading: reading.battery.power),
    _sensor(_VOLTAGE, "battery_voltage", lambda reading: reading.battery.voltage),
    _sensor(_CURRENT, "battery_current", lambda reading: reading.battery.current),
    _sensor(_SHARE, "state_of_charge", lambda reading: reading.battery.state_of_charge),
    _diagnostic(_SHARE, "state_of_health", lambda reading: reading.battery.state_of_health),
    _diagnostic(_TEMPERATURE, "battery_temperature", lambda reading: reading.battery.temperature),
    _enum("battery_mode", BatteryMode, lambda reading: reading.battery.mode, enabled=False),
    _hidden_diagnostic(
        _VOLTAGE, "cell_voltage_highest", lambda reading: reading.battery.highest_cell_voltage, precision=3
    ),
    _hidden_diagnostic(
        _VOLTAGE, "cell_voltage_lowest", lambda reading: reading.battery.lowest_cell_voltage, precision=3
    ),
    _hidden_diagnostic(
        _TEMPERATURE, "cell_temperature_highest", lambda reading: reading.battery.highest_cell_temperature
    ),
    _hidden_diagnostic(
        _TEMPERATURE, "cell_temperature_lowest", lambda reading: reading.battery.lowest_cell_temperature
    ),
    _hidden_diagnostic(_CURRENT, "charge_current_limit", lambda reading: reading.battery.charge_current_limit),
    _hidden_diagnostic(_CURRENT, "discharge_current_limit", lambda reading: reading.battery.discharge_current_limit),
    _code("battery_error_code", lambda reading: reading.battery.error_code),
    _code("battery_warning_code", lambda reading: reading.battery.warning_code),
)


@cache
def _phase_sensors(number: int) -> tuple[MtecSensorDescription[InverterReading], ...]:
    def phase(reading: InverterReading) -> PhaseReading:
        return reading.phases.get(number, PhaseReading())

    return (
        _sensor(_POWER, "phase_inverter_power", lambda reading: phase(reading).inverter_power, number),
        _sensor(_VOLTAGE, "phase_voltage", lambda reading: phase(reading).voltage, number, enabled=False),
        _sensor(_CURRENT, "phase_current", lambda reading: phase(reading).current, number, enabled=False),
        _sensor(_POWER, "phase_grid_power", lambda reading: phase(reading).grid_power, number),
    )


@cache
def _backup_sensors(number: int) -> tuple[MtecSensorDescription[InverterReading], ...]:
    def phase(reading: InverterReading) -> BackupReading:
        return reading.backup_phases.get(number, BackupReading())

    return (
        _sensor(_POWER, "backup_phase_power", lambda reading: phase(reading).power, number, enabled=False),
        _sensor(_VOLTAGE, "backup_phase_voltage", lambda reading: phase(reading).voltage, number, enabled=False),
        _sensor(_CURRENT, "backup_phase_current", lambda reading: phase(reading).current, number, enabled=False),
        _sensor(_FREQUENCY, "backup_phase_frequency", lambda reading: phase(reading).frequency, number, enabled=False),
    )


@cache
def _string_sensors(number: int) -> tuple[MtecSensorDescription[InverterReading], ...]:
    def string(reading: InverterReading) -> StringReading:
        return reading.strings.get(number, StringReading())

    return (
        _sensor(_POWER, "string_power", lambda reading: string(reading).power, number),
        _sensor(_VOLTAGE, "string_voltage", lambda reading: string(reading).voltage, number, enabled=False),
        _sensor(_CURRENT, "string_current", lambda reading: string(reading).current, number, enabled=False),
    )


@cache
def _temperature_sensor(number: int) -> MtecSensorDescription[InverterReading]:
    return _diagnostic(_TEMPERATURE, "inverter_temperature", lambda reading: reading.temperatures.get(number), number)


@cache
def _flag_sensors(number: int) -> tuple[MtecSensorDescription[InverterReading], ...]:
    return (
        _code("fault_flags", lambda reading: reading.faults.get(number), number),
        _code("warning_flags", lambda reading: reading.warnings.get(number), number),
    )


def inverter_sensors(reading: InverterReading) -> Iterator[MtecSensorDescription[InverterReading]]:
    """Yield the sensors of an inverter. Its reading has the phases, PV strings and other parts that exist."""
    yield from _INVERTER_SENSORS
    for number in reading.phases:
        yield from _phase_sensors(number)
    for number in reading.backup_phases:
        yield from _backup_sensors(number)
    for number in reading.strings:
        yield from _string_sensors(number)
    for number in reading.temperatures:
        yield _temperature_sensor(number)
    for number in reading.faults.keys() | reading.warnings.keys():
        yield from _flag_sensors(number)
