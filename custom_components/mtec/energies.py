"""The six daily energies of a station, and how to read them from curves and rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from .counter import ResetCycle
from .models import CurvePoint, UsageRow

WHOLE_DAY: Final = range(24)
DAYLIGHT: Final = range(6, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """A daily energy of a station.

    `key` is the key of its sensor, `row_field` the field of `UsageRow` in kWh. `curve_power` returns its power in W at
    a point of a curve, None if it is not known; a negative power counts as 0. `usual_hours` are the hours of the clock
    over which a day's energy is distributed evenly without a curve.
    """

    key: str
    row_field: str
    curve_power: Callable[[CurvePoint], float | None]
    usual_hours: range = WHOLE_DAY

    def in_row(self, row: UsageRow | None) -> float | None:
        """Return the energy in a row in kWh, None if it is not known."""
        return _energy(row, self.row_field)


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


ENERGIES: Final[tuple[Energy, ...]] = (
    Energy(key="pv_energy_today", row_field="pv", curve_power=lambda point: point.pv_power, usual_hours=DAYLIGHT),
    Energy(key="grid_import_today", row_field="grid_import", curve_power=lambda point: point.grid_power),
    Energy(
        key="grid_export_today",
        row_field="grid_export",
        curve_power=lambda point: _negated(point.grid_power),
        usual_hours=DAYLIGHT,
    ),
    Energy(
        key="battery_charge_today",
        row_field="battery_charge",
        curve_power=lambda point: _negated(point.battery_power),
        usual_hours=DAYLIGHT,
    ),
    Energy(key="battery_discharge_today", row_field="battery_discharge", curve_power=lambda point: point.battery_power),
    Energy(key="consumption_today", row_field="consumption", curve_power=lambda point: point.consumption_power),
)


def dated_readings(
    rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle, energy_name: str
) -> Iterator[tuple[float, date]]:
    """Yield the energies in kWh of the cycles that yesterday and today are in, each with its day.

    The energy is named as a field of `UsageRow`. `rows` are those of all days of the months that these two days are
    in. Of a year only January is complete.
    """
    for day in (today - timedelta(days=1), today):
        first = _cycle_start(cycle, day, today)
        if first is None or _energy(rows.get(day), energy_name) is None:
            continue
        known = (_energy(row, energy_name) for start, row in rows.items() if first <= start <= day)
        yield round(sum(energy for energy in known if energy is not None), 3), day


def _cycle_start(cycle: ResetCycle, day: date, today: date) -> date | None:
    """Return the first day of the cycle that ends on `day` or runs today, None if the rows do not cover it."""
    match cycle:
        case ResetCycle.DAY:
            return day
        case ResetCycle.MONTH if day.month != today.month or day == today:
            return day.replace(day=1)
        case ResetCycle.YEAR if day == today and day.month == 1:
            return day.replace(day=1)
    return None


def has_dated_readings(rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle, energy_name: str) -> bool:
    """Return whether the rows are the source of an energy: a reading without a date may be one of yesterday."""
    if cycle is ResetCycle.NEVER or (cycle is ResetCycle.YEAR and today.month != 1):
        return False
    return any(_energy(rows.get(today - timedelta(days=number)), energy_name) is not None for number in (0, 1))


def _energy(row: UsageRow | None, energy_name: str) -> float | None:
    energy: float | None = getattr(row, energy_name, None)
    return energy
