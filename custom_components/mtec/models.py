"""Stations, inverters and their values in fixed units: W, kWh, V, A, Hz, °C, %, aware datetimes. None: not known.

Signs: grid positive = drawn from the grid, negative = fed in; battery positive = discharging, negative = charging.

What only one generation of the API has is None in the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A plant at one address."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverter:
    """An inverter of a station. `serial_number` is the portal's id of it where the portal does not give one.

    `name` is the serial number, and `model` None, where the portal does not give them.
    """

    name: str
    serial_number: str
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterIdentity:
    """What an inverter in the home network says of itself. All but the serial number are None if it does not say.

    `firmware` is its version as M-TEC writes it, `rated_power` in W.
    """

    serial_number: str
    model: str | None = None
    firmware: str | None = None
    rated_power: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationReading:
    """A station now: energies in kWh, powers in W, the battery's state of charge in %, the logger's signal in dBm.

    All are None while all inverters are offline: the values that the portal still has are old.
    """

    pv_energy_today: float | None = None
    pv_energy_this_month: float | None = None
    pv_energy_this_year: float | None = None
    pv_energy_total: float | None = None
    pv_power: float | None = None
    grid_power: float | None = None
    battery_power: float | None = None
    consumption_power: float | None = None
    state_of_charge: float | None = None
    grid_outage: bool | None = None
    backup_power: float | None = None
    installed_power: float | None = None
    signal_strength: float | None = None


class WorkStatus(StrEnum):
    """The operating status of an inverter."""

    WAITING = "waiting"
    SELF_CHECK = "self_check"
    ON_GRID = "on_grid"
    FAULT = "fault"
    FIRMWARE_UPDATE = "firmware_update"
    OFF_GRID = "off_grid"


class BatteryMode(StrEnum):
    """The direction in which a battery works."""

    DISCHARGING = "discharging"
    CHARGING = "charging"


class Fault(StrEnum):
    """A fault of an inverter, or none."""

    NONE = "none"
    MAINS_LOST = "mains_lost"
    GRID_VOLTAGE = "grid_voltage"
    GRID_FREQUENCY = "grid_frequency"
    DC_INJECTION = "dc_injection"
    INSULATION = "insulation"
    RESIDUAL_CURRENT = "residual_current"
    PV_OVER_VOLTAGE = "pv_over_voltage"
    BUS_VOLTAGE = "bus_voltage"
    OVER_TEMPERATURE = "over_temperature"
    SPI = "spi"
    MEMORY = "memory"
    RESIDUAL_CURRENT_DEVICE = "residual_current_device"
    AC_TRANSDUCER = "ac_transducer"
    RELAY = "relay"
    INTERNAL_FAN = "internal_fan"
    EXTERNAL_FAN = "external_fan"
    BUS_HARDWARE = "bus_hardware"
    PV_POWER_LOW = "pv_power_low"
    BATTERY_VOLTAGE = "battery_voltage"
    BACKUP_VOLTAGE = "backup_voltage"
    BUS_VOLTAGE_LOW = "bus_voltage_low"
    SYSTEM_HARDWARE = "system_hardware"
    BACKUP_OVER_POWER = "backup_over_power"
    INVERTER_OVER_VOLTAGE = "inverter_over_voltage"
    OVER_FREQUENCY = "over_frequency"
    OVER_CURRENT = "over_current"
    PHASE_ORDER = "phase_order"


class ReadingSource(StrEnum):
    """What a reading comes from: the inverter in the home network, or the portal."""

    NETWORK = "network"
    PORTAL = "portal"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryReading:
    """A battery now: W, V, A, °C, %. The limits are the currents its own electronics allow; a code of 0 is none."""

    power: float | None = None
    voltage: float | None = None
    current: float | None = None
    state_of_charge: float | None = None
    state_of_health: float | None = None
    mode: BatteryMode | None = None
    temperature: float | None = None
    highest_cell_voltage: float | None = None
    lowest_cell_voltage: float | None = None
    highest_cell_temperature: float | None = None
    lowest_cell_temperature: float | None = None
    charge_current_limit: float | None = None
    discharge_current_limit: float | None = None
    error_code: int | None = None
    warning_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReading:
    """A phase now: the inverter's power in W, voltage in V and current in A on it, the meter's power in W."""

    inverter_power: float | None = None
    voltage: float | None = None
    current: float | None = None
    grid_power: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReading:
    """A phase of the backup output now: W, V, A, Hz."""

    power: float | None = None
    voltage: float | None = None
    current: float | None = None
    frequency: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StringReading:
    """A PV string now: W, V, A."""

    power: float | None = None
    voltage: float | None = None
    current: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Energies:
    """Energies counted by an inverter, in kWh."""

    pv: float | None = None
    grid_import: float | None = None
    grid_export: float | None = None
    battery_charge: float | None = None
    battery_discharge: float | None = None
    consumption: float | None = None
    backup: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterReading:
    """An inverter now: W, Hz, its temperatures (by the sensor's number from 1) in °C.

    It has the phases and backup phases (1 to 3) and the PV strings (from 1) that are there. `faults` and `warnings` are
    words of flags by their number from 1; 0 is none. `measured` is when the energies of today were measured.
    `line_voltages` in V are between a phase and the next one, by the number of the former; `pv_time` is how many hours
    of its life there was PV power.

    `consumption_power` is what the household draws if no other inverter is behind the same meter. Like `grid_outage`
    and `first_fault` it is only known from the inverter itself.
    """

    battery: BatteryReading
    phases: Mapping[int, PhaseReading]
    strings: Mapping[int, StringReading]
    temperatures: Mapping[int, float] = field(default_factory=dict)
    power: float | None = None
    pv_power: float | None = None
    grid_power: float | None = None
    consumption_power: float | None = None
    grid_frequency: float | None = None
    grid_outage: bool | None = None
    work_status: WorkStatus | None = None
    backup_power: float | None = None
    backup_phases: Mapping[int, BackupReading] = field(default_factory=dict)
    today: Energies = Energies()
    total: Energies = Energies()
    faults: Mapping[int, int] = field(default_factory=dict)
    warnings: Mapping[int, int] = field(default_factory=dict)
    first_fault: Fault | None = None
    measured: datetime | None = None
    line_voltages: Mapping[int, float] = field(default_factory=dict)
    pv_time: float | None = None
    source: ReadingSource = ReadingSource.PORTAL


class InverterMode(StrEnum):
    """The mode that an inverter works in."""

    GENERAL = "general"
    ECONOMIC = "economic"
    UPS = "ups"
    PEAK_SHIFT = "peak_shift"
    FEED_IN = "feed_in"
    OFF_GRID = "off_grid"
    COMMANDED = "commanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterSettings:
    """What can be set at an inverter. None: not known, and left as it is when settings are written.

    Feeding in is limited to `feed_in_limit` (%), drawing to `drawing_limit` (kVA). The reserves are states of charge
    (%) that the battery keeps. Currents are in A.
    """

    mode: InverterMode | None = None
    is_feed_in_limited: bool | None = None
    feed_in_limit: float | None = None
    is_drawing_limited: bool | None = None
    drawing_limit: float | None = None
    has_reserve_on_grid: bool | None = None
    reserve_on_grid: float | None = None
    has_reserve_off_grid: bool | None = None
    reserve_off_grid: float | None = None
    most_charge_current: float | None = None
    most_discharge_current: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Five minutes of a day from `start` on: mean powers in W, state of charge in %."""

    start: datetime
    consumption_power: float | None
    grid_power: float | None
    pv_power: float | None
    battery_power: float | None
    state_of_charge: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySummary:
    """A day's energies in kWh: bought from and sold to the grid, used, used from own production, produced."""

    bought: float | None = None
    sold: float | None = None
    used: float | None = None
    self_used: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUsage:
    """A day as its five-minute curve, in order and without gaps filled, and its summary.

    `unusable_points` is how many points the source sent without a moment that makes sense.
    """

    points: tuple[CurvePoint, ...]
    summary: DaySummary
    unusable_points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """The energies in kWh of the day, month or year that begins on `start`."""

    start: date
    consumption: float | None
    pv: float | None
    battery_discharge: float | None
    battery_charge: float | None
    grid_import: float | None
    grid_export: float | None
