"""The energies of a station: where each is found in the usage of a day and in a reading."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from .counter import ResetCycle
from .models import StationReading, UsageRow
from .sources import HistorySource


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """An energy of a station.

    `row_fn` returns it in kWh from the usage of a day. `live_fns` return live values that only exist with the hardware
    that the energy needs.
    """

    row_fn: Callable[[UsageRow], float | None]
    live_fns: tuple[Callable[[StationReading], float | None], ...]


def _grid_power(reading: StationReading) -> float | None:
    return reading.grid_power


_BATTERY_VALUES: Final = (lambda reading: reading.battery_power, lambda reading: reading.state_of_charge)

ENERGIES: Final[Mapping[str, Energy]] = {
    "pv": Energy(row_fn=lambda row: row.pv, live_fns=(lambda reading: reading.pv_power,)),
    "grid_import": Energy(row_fn=lambda row: row.grid_import, live_fns=(_grid_power,)),
    "grid_export": Energy(row_fn=lambda row: row.grid_export, live_fns=(_grid_power,)),
    "consumption": Energy(
        row_fn=lambda row: row.consumption, live_fns=(lambda reading: reading.consumption_power, _grid_power)
    ),
    "battery_charge": Energy(row_fn=lambda row: row.battery_charge, live_fns=_BATTERY_VALUES),
    "battery_discharge": Energy(row_fn=lambda row: row.battery_discharge, live_fns=_BATTERY_VALUES),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyEnergies:
    """The energies of a station by day: `day`, the day before and the rest of their months, as far as reported.

    `has_meter` is whether the station has a grid meter. Without one, the source may report 0.0 for the grid.
    """

    day: date
    rows: Mapping[date, UsageRow]
    has_meter: bool = True

    @property
    def today(self) -> UsageRow | None:
        """The energies of `day`, None if the source does not report them."""
        return self.rows.get(self.day)

    @property
    def self_consumption(self) -> float | None:
        """The share of today's PV energy in % that was not fed in. None without PV energy or without a meter."""
        if self.today is None or not self.has_meter:
            return None
        return _remaining_share(self.today.pv, self.today.grid_export)

    @property
    def self_sufficiency(self) -> float | None:
        """The share of today's consumption in % not drawn from the grid. None without consumption or a meter."""
        if self.today is None or not self.has_meter:
            return None
        return _remaining_share(self.today.consumption, self.today.grid_import)


async def read_recent_rows(source: HistorySource, station_id: str, today: date) -> dict[date, UsageRow]:
    """Return the days of this month and, on its first day, of the last month: yesterday is completed after midnight.

    Raises SourceError.
    """
    months = dict.fromkeys((day.year, day.month) for day in (today - timedelta(days=1), today))
    return {row.start: row for month in months for row in await source.month_rows(station_id, *month)}


def dated_readings(
    rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle, energy_name: str
) -> Iterator[tuple[float, date]]:
    """Yield an energy in kWh of the cycles of yesterday and today, each with its day.

    `rows` are all days of the months of yesterday and today. Therefore a year is only known in January.
    """
    for day in (today - timedelta(days=1), today):
        if _energy(rows.get(day), energy_name) is None:
            continue
        if (first := _first_day(cycle, day, today)) is None:
            continue
        known = (_energy(row, energy_name) for start, row in rows.items() if first <= start <= day)
        yield round(sum(energy for energy in known if energy is not None), 3), day


def _first_day(cycle: ResetCycle, day: date, today: date) -> date | None:
    """Return the first day of the cycle that `day` is in, None if the rows do not reach back to it."""
    match cycle:
        case ResetCycle.DAY:
            return day
        case ResetCycle.MONTH if day.month != today.month or day == today:
            return day.replace(day=1)
        case ResetCycle.YEAR if day == today and day.month == 1:
            return day.replace(day=1)
    return None


def has_dated_readings(rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle, energy_name: str) -> bool:
    """Return whether the rows report an energy of a cycle. A live reading has no date, and may be yesterday's."""
    if cycle is ResetCycle.NEVER or (cycle is ResetCycle.YEAR and today.month != 1):
        return False
    return any(_energy(rows.get(today - timedelta(days=number)), energy_name) is not None for number in (0, 1))


def is_supported(energy_name: str, rows: Iterable[UsageRow], reading: StationReading | None) -> bool:
    """Return whether a station has the hardware of an energy. Without it, the source may report 0.0.

    It has if a row has another value, or the reading has a live value. `reading` is None while it is unavailable.
    """
    energy = ENERGIES[energy_name]
    if any(energy.row_fn(row) for row in rows):
        return True
    return reading is not None and any(live_fn(reading) is not None for live_fn in energy.live_fns)


def has_grid_meter(rows: Iterable[UsageRow], reading: StationReading | None) -> bool:
    """Return whether a station has a grid meter."""
    known = [*rows]
    return any(is_supported(name, known, reading) for name in ("grid_import", "grid_export"))


def _energy(row: UsageRow | None, energy_name: str) -> float | None:
    return None if row is None else ENERGIES[energy_name].row_fn(row)


def _remaining_share(whole: float | None, part: float | None) -> float | None:
    """Return the share of an energy in % that remains without a part of it."""
    if not whole or part is None:
        return None
    return min(100.0, max(0.0, 100 * (1 - part / whole)))
