"""What the portal knows, in fixed units: W, kWh, V, A, %, aware datetimes. None means that the portal has no value.

Signs: grid positive = drawn from the grid, negative = fed in; battery positive = discharging, negative = charging.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs in to an account: the e-mail and the digest of the password, md5 in hexadecimal."""

    email: str = field(repr=False)
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A plant at one address."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverter:
    """An inverter of a station. `serial_number` is the portal's id of it where the portal does not give one."""

    id: str
    name: str
    serial_number: str
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationReading:
    """A station now: energies in kWh, powers in W, the battery's state of charge in %."""

    pv_energy_today: float | None
    pv_energy_this_month: float | None
    pv_energy_this_year: float | None
    pv_energy_total: float | None
    pv_power: float | None
    grid_power: float | None
    battery_power: float | None
    consumption_power: float | None
    state_of_charge: float | None
    grid_outage: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryReading:
    """A battery now: W, V, A, %."""

    power: float | None = None
    voltage: float | None = None
    current: float | None = None
    state_of_charge: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReading:
    """A phase now: the inverter's power in W, voltage in V and current in A on it, the meter's power in W."""

    inverter_power: float | None = None
    voltage: float | None = None
    current: float | None = None
    grid_power: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StringReading:
    """A PV string now: W, V, A."""

    power: float | None = None
    voltage: float | None = None
    current: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterReading:
    """An inverter now, with the phases (1 to 3) and the PV strings (from 1) that it has."""

    battery: BatteryReading
    phases: Mapping[int, PhaseReading]
    strings: Mapping[int, StringReading]


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

    bought: float | None
    sold: float | None
    used: float | None
    self_used: float | None
    total: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUsage:
    """A day as its five-minute curve, in order and without gaps filled, and its summary."""

    points: tuple[CurvePoint, ...]
    summary: DaySummary


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
