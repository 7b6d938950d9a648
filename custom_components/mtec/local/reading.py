"""The reading of an inverter, from the values of its registers."""

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from custom_components.mtec.models import (
    BackupReading,
    BatteryReading,
    Energies,
    Fault,
    InverterReading,
    PhaseReading,
    ReadingSource,
    StringReading,
)

_MAINS_LOST: Final = 1
"""The flag in the first word of faults."""
_PHASES: Final = (1, 2, 3)
_TEMPERATURES: Final = (1, 2, 3, 4)
_MOST_STRINGS: Final = 6
_FAULTS: Final[Mapping[int, Mapping[int, Fault]]] = {
    1: dict(
        enumerate(
            (
                *(Fault.MAINS_LOST, Fault.GRID_VOLTAGE, Fault.GRID_FREQUENCY, Fault.DC_INJECTION, Fault.INSULATION),
                *(Fault.RESIDUAL_CURRENT, Fault.PV_OVER_VOLTAGE, Fault.BUS_VOLTAGE, Fault.OVER_TEMPERATURE),
            )
        )
    ),
    2: dict(
        enumerate(
            (
                *(Fault.SPI, Fault.MEMORY, Fault.RESIDUAL_CURRENT_DEVICE, Fault.AC_TRANSDUCER, Fault.RELAY),
                *(Fault.INTERNAL_FAN, Fault.EXTERNAL_FAN),
            ),
            start=1,
        )
    ),
    3: dict(
        enumerate(
            (
                *(Fault.BUS_HARDWARE, Fault.PV_POWER_LOW, Fault.BATTERY_VOLTAGE, Fault.BACKUP_VOLTAGE),
                *(Fault.BUS_VOLTAGE_LOW, Fault.SYSTEM_HARDWARE, Fault.BACKUP_OVER_POWER),
                *(Fault.INVERTER_OVER_VOLTAGE, Fault.OVER_FREQUENCY, Fault.OVER_CURRENT, Fault.PHASE_ORDER),
            )
        )
    ),
}
"""The faults by the number of their word, and by their bit."""

_OF_BATTERY: Final = ("battery_voltage", "state_of_charge")
_OF_METER: Final = ("meter_power", "meter_import_total", "meter_export_total")

type Values = Mapping[str, Any]
"""Values of registers by name. What was not read, or dropped, is missing or None."""


def inverter_reading(values: Values, energies: Values, *, phases: int | None, time_zone: tzinfo) -> InverterReading:
    """Return the reading that the values of registers make.

    `energies` are the values when the energies were read last. `phases` is how many the model has, None if it is not
    known.
    """
    # What is not connected reads as zeros.
    has_battery = any(values.get(name) != 0 for name in _OF_BATTERY)
    has_meter = any(values.get(name) != 0 for name in _OF_METER)
    grid_power = _negated(values.get("meter_power")) if has_meter else None
    faults = _numbered(values, "faults", tuple(_FAULTS))
    numbers = range(1, (phases or _phases_in_use(values)) + 1)
    return InverterReading(
        battery=_battery(values) if has_battery else BatteryReading(),
        phases={number: _phase(values, number, has_meter=has_meter) for number in numbers},
        strings=dict(_strings(values)),
        temperatures=_numbered(values, "temperature", _TEMPERATURES),
        power=values.get("power"),
        pv_power=values.get("pv_power"),
        grid_power=grid_power,
        consumption_power=_sum(values.get("power"), grid_power),
        grid_frequency=values.get("grid_frequency"),
        grid_outage=_flag(values.get("faults_1"), _MAINS_LOST),
        work_status=values.get("work_status"),
        backup_power=values.get("backup_power"),
        backup_phases={number: backup for number in numbers if (backup := _backup(values, number)) != BackupReading()},
        today=_energies(energies, "today", has_battery=has_battery, has_meter=has_meter),
        total=_energies(energies, "total", has_battery=has_battery, has_meter=has_meter),
        faults=faults,
        first_fault=_first_fault(faults),
        measured=_aware(energies.get("clock"), time_zone),
        line_voltages=_line_voltages(values) if len(numbers) == len(_PHASES) else {},
        pv_time=values.get("pv_time"),
        source=ReadingSource.NETWORK,
    )


def _battery(values: Values) -> BatteryReading:
    return BatteryReading(
        power=values.get("battery_power"),
        voltage=values.get("battery_voltage"),
        current=values.get("battery_current"),
        state_of_charge=values.get("state_of_charge"),
        state_of_health=values.get("state_of_health"),
        mode=values.get("battery_mode"),
        temperature=values.get("battery_temperature"),
        highest_cell_voltage=values.get("highest_cell_voltage"),
        lowest_cell_voltage=values.get("lowest_cell_voltage"),
        highest_cell_temperature=values.get("highest_cell_temperature"),
        lowest_cell_temperature=values.get("lowest_cell_temperature"),
        charge_current_limit=values.get("charge_current_limit"),
        discharge_current_limit=values.get("discharge_current_limit"),
        error_code=values.get("battery_error"),
        warning_code=values.get("battery_warning"),
    )


def _phases_in_use(values: Values) -> int:
    """Return the number of phases of an unknown model: three if there is a voltage on another one than the first."""
    return len(_PHASES) if any(values.get(f"phase_voltage_{number}") for number in _PHASES[1:]) else 1


def _phase(values: Values, number: int, *, has_meter: bool) -> PhaseReading:
    return PhaseReading(
        inverter_power=values.get(f"inverter_power_{number}"),
        voltage=values.get(f"phase_voltage_{number}"),
        current=values.get(f"phase_current_{number}"),
        grid_power=_negated(values.get(f"meter_power_{number}")) if has_meter else None,
    )


def _backup(values: Values, number: int) -> BackupReading:
    return BackupReading(
        power=values.get(f"backup_power_{number}"),
        voltage=values.get(f"backup_voltage_{number}"),
        current=values.get(f"backup_current_{number}"),
        frequency=values.get(f"backup_frequency_{number}"),
    )


def _strings(values: Values) -> Iterator[tuple[int, StringReading]]:
    for number in range(1, _MOST_STRINGS + 1):
        string = StringReading(
            power=values.get(f"string_power_{number}"),
            voltage=values.get(f"string_voltage_{number}"),
            current=values.get(f"string_current_{number}"),
        )
        if string != StringReading():
            yield number, string


def _energies(values: Values, period: str, *, has_battery: bool, has_meter: bool) -> Energies:
    grid_import, grid_export = values.get(f"grid_import_{period}"), values.get(f"grid_export_{period}")
    charge, discharge = values.get(f"battery_charge_{period}"), values.get(f"battery_discharge_{period}")
    pv = values.get(f"pv_{period}")
    # The inverter's own register of what was used is doubted.
    consumption = _sum(grid_import, pv, discharge, _negated(grid_export), _negated(charge))
    return Energies(
        pv=pv,
        grid_import=grid_import if has_meter else None,
        grid_export=grid_export if has_meter else None,
        battery_charge=charge if has_battery else None,
        battery_discharge=discharge if has_battery else None,
        consumption=None if consumption is None or not has_meter else round(max(consumption, 0.0), 1),
        backup=values.get(f"backup_{period}"),
    )


def _numbered(values: Values, name: str, numbers: tuple[int, ...]) -> dict[int, Any]:
    """Return the known values of parts by the part's number."""
    found = {number: values.get(f"{name}_{number}") for number in numbers}
    return {number: value for number, value in found.items() if value is not None}


def _line_voltages(values: Values) -> dict[int, float]:
    """Return the known voltages between a phase and the next one."""
    found = {number: values.get(f"line_voltage_{number}_{number % len(_PHASES) + 1}") for number in _PHASES}
    return {number: value for number, value in found.items() if value is not None}


def _first_fault(faults: Mapping[int, int]) -> Fault | None:
    """Return the first fault that has a name, None if no word of faults is known."""
    if not faults:
        return None
    present = (
        fault for word, names in _FAULTS.items() for bit, fault in names.items() if faults.get(word, 0) >> bit & 1
    )
    return next(present, Fault.NONE)


def _sum(*parts: float | None) -> float | None:
    """Return a sum, None if a part of it is not known."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _negated(value: float | None) -> float | None:
    # Subtracting from zero does not make -0.0 of 0.0.
    return None if value is None else 0 - value


def _flag(flags: int | None, flag: int) -> bool | None:
    return None if flags is None else bool(flags & flag)


def _aware(clock: datetime | None, time_zone: tzinfo) -> datetime | None:
    return None if clock is None else clock.replace(tzinfo=time_zone)
