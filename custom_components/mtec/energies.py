"""Read the energies of a cycle from the portal's rows, each of which has its day."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from .counter import ResetCycle
from .models import (
    UsageRow,
)


def dated_readings(
    rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle, energy_name: str
) -> Iterator[tuple[float, date]]:
    """Yield the energies in kWh of the cycles that yesterday and today are in, each with its day.

    The energy is named as a field of `UsageRow`. `rows` are those of all days of the months that these two days are
    in. Of a year only January is complete.
    """
    for day in (today - timedelta(days=1), today):
        if _energy(rows.get(day), energy_name) is None:
            continue
        match cycle:
            case ResetCycle.DAY:
                first = day
            case ResetCycle.MONTH if day.month != today.month or day == today:
                first = day.replace(day=1)
            case ResetCycle.YEAR if day == today and day.month == 1:
                first = day.replace(day=1)
            case _:
                continue
        known = (_energy(row, energy_name) for start, row in rows.items() if first <= start <= day)
        yield round(sum(energy for energy in known if energy is not None), 3), day


def has_dated_readings(rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle, energy_name: str) -> bool:
    """Return whether the rows are the source of an energy: a reading without a date may be one of yesterday."""
    if cycle is ResetCycle.NEVER or (cycle is ResetCycle.YEAR and today.month != 1):
        return False
    return any(_energy(rows.get(today - timedelta(days=number)), energy_name) is not None for number in (0, 1))


def _energy(row: UsageRow | None, energy_name: str) -> float | None:
    energy: float | None = getattr(row, energy_name, None)
    return energy
