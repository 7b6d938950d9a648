"""The energies of a station, and how to read them from rows, curves and readings."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from .counter import ResetCycle
from .models import CurvePoint, StationReading, UsageRow
from .sources import HistorySource

WHOLE_DAY: Final = range(24)
DAYLIGHT: Final = range(6, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """An energy of a station. `key` is the key of the sensor of today's energy.

    `row_fn` returns it in kWh from a row. `curve_power` returns its power in W at a point of a curve, None if it is not
    known; a negative power counts as 0. `live_fns` return live values that only exist with the hardware that the energy
    needs. `usual_hours` are the hours of the clock over which a day's energy is distributed evenly without a curve.
    """

    key: str
    row_fn: Callable[[UsageRow], float | None]
    curve_power: Callable[[CurvePoint], float | None]
    live_fns: tuple[Callable[[StationReading], float | None], ...]
    usual_hours: range = WHOLE_DAY

    def in_row(self, row: UsageRow | None) -> float | None:
        """Return the energy in a row in kWh, None if it is not known."""
        return None if row is None else self.row_fn(row)


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


def _grid_power(reading: StationReading) -> float | None:
    return reading.grid_power


_BATTERY: Final = (lambda reading: reading.battery_power, lambda reading: reading.state_of_charge)

PV: Final = Energy(
    key="pv_energy_today",
    row_fn=lambda row: row.pv,
    curve_power=lambda point: point.pv_power,
    live_fns=(lambda reading: reading.pv_power,),
    usual_hours=DAYLIGHT,
)
GRID_IMPORT: Final = Energy(
    key="grid_import_today",
    row_fn=lambda row: row.grid_import,
    curve_power=lambda point: point.grid_power,
    live_fns=(_grid_power,),
)
GRID_EXPORT: Final = Energy(
    key="grid_export_today",
    row_fn=lambda row: row.grid_export,
    curve_power=lambda point: _negated(point.grid_power),
    live_fns=(_grid_power,),
    usual_hours=DAYLIGHT,
)
BATTERY_CHARGE: Final = Energy(
    key="battery_charge_today",
    row_fn=lambda row: row.battery_charge,
    curve_power=lambda point: _negated(point.battery_power),
    live_fns=_BATTERY,
    usual_hours=DAYLIGHT,
)
BATTERY_DISCHARGE: Final = Energy(
    key="battery_discharge_today",
    row_fn=lambda row: row.battery_discharge,
    curve_power=lambda point: point.battery_power,
    live_fns=_BATTERY,
)
CONSUMPTION: Final = Energy(
    key="consumption_today",
    row_fn=lambda row: row.consumption,
    curve_power=lambda point: point.consumption_power,
    live_fns=(lambda reading: reading.consumption_power, _grid_power),
)

ENERGIES: Final = (PV, GRID_IMPORT, GRID_EXPORT, BATTERY_CHARGE, BATTERY_DISCHARGE, CONSUMPTION)


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a station's energy stays in the house, by the rows of a period. Not known without a grid meter."""

    rows: Sequence[UsageRow]
    has_meter: bool

    @property
    def self_consumption(self) -> float | None:
        """The share of the PV energy in % that was not fed in. None without PV energy or without a meter."""
        return _remaining_share(self.rows, PV, GRID_EXPORT) if self.has_meter else None

    @property
    def self_sufficiency(self) -> float | None:
        """The share of the consumption in % not drawn from the grid. None without consumption or a meter."""
        return _remaining_share(self.rows, CONSUMPTION, GRID_IMPORT) if self.has_meter else None


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
    def shares_today(self) -> Shares:
        """The shares of today."""
        return Shares([] if self.today is None else [self.today], self.has_meter)

    @property
    def shares_this_month(self) -> Shares:
        """The shares of this month."""
        first = self.day.replace(day=1)
        return Shares([row for start, row in self.rows.items() if first <= start <= self.day], self.has_meter)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeEnergies:
    """The energies of a station by year, as far as reported. `year` is this one.

    `has_meter` is whether the station has a grid meter. Without one, the source may report 0.0 for the grid.
    """

    year: int
    rows: Sequence[UsageRow]
    has_meter: bool = True

    def total(self, energy: Energy) -> float | None:
        """Return an energy of all years in kWh, None if no year reports it."""
        known = [value for row in self.rows if (value := energy.in_row(row)) is not None]
        return round(sum(known), 3) if known else None

    @property
    def shares_this_year(self) -> Shares:
        """The shares of this year."""
        return Shares([row for row in self.rows if row.start.year == self.year], self.has_meter)


async def read_recent_rows(source: HistorySource, station_id: str, today: date) -> dict[date, UsageRow]:
    """Return the days of this month and, on its first day, of the last month: yesterday is completed after midnight.

    Raises SourceError.
    """
    months = dict.fromkeys((day.year, day.month) for day in (today - timedelta(days=1), today))
    return {row.start: row for month in months for row in await source.month_rows(station_id, *month)}


def dated_readings(
    energy: Energy, rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle
) -> Iterator[tuple[float, date]]:
    """Yield an energy in kWh of the cycles of yesterday and today, each with its day.

    `rows` are all days of the months of yesterday and today. Therefore a year is only known in January.
    """
    for day in (today - timedelta(days=1), today):
        first = _cycle_start(cycle, day, today)
        if first is None or energy.in_row(rows.get(day)) is None:
            continue
        known = (energy.in_row(row) for start, row in rows.items() if first <= start <= day)
        yield round(sum(each for each in known if each is not None), 3), day


def _cycle_start(cycle: ResetCycle, day: date, today: date) -> date | None:
    """Return the first day of the cycle that `day` is in, None if the rows do not reach back to it."""
    match cycle:
        case ResetCycle.DAY:
            return day
        case ResetCycle.MONTH if day.month != today.month or day == today:
            return day.replace(day=1)
        case ResetCycle.YEAR if day == today and day.month == 1:
            return day.replace(day=1)
    return None


def has_dated_readings(energy: Energy, rows: Mapping[date, UsageRow], today: date, cycle: ResetCycle) -> bool:
    """Return whether the rows report an energy of a cycle. A live reading has no date, and may be yesterday's."""
    if cycle is ResetCycle.NEVER or (cycle is ResetCycle.YEAR and today.month != 1):
        return False
    return any(energy.in_row(rows.get(today - timedelta(days=number))) is not None for number in (0, 1))


def is_supported(energy: Energy, rows: Iterable[UsageRow], reading: StationReading | None) -> bool:
    """Return whether a station has the hardware of an energy. Without it, the source may report 0.0.

    It has if a row has another value, or the reading has a live value. `reading` is None while it is unavailable.
    """
    if any(energy.row_fn(row) for row in rows):
        return True
    return reading is not None and any(live_fn(reading) is not None for live_fn in energy.live_fns)


def has_grid_meter(rows: Iterable[UsageRow], reading: StationReading | None) -> bool:
    """Return whether a station has a grid meter."""
    known = [*rows]
    return any(is_supported(energy, known, reading) for energy in (GRID_IMPORT, GRID_EXPORT))


def _remaining_share(rows: Iterable[UsageRow], whole: Energy, part: Energy) -> float | None:
    """Return the share of an energy in % that remains without a part of it, of the rows that report both."""
    known = [
        (of_whole, of_part)
        for row in rows
        if (of_whole := whole.in_row(row)) is not None and (of_part := part.in_row(row)) is not None
    ]
    if not (sum_of_whole := sum(of_whole for of_whole, _ in known)):
        return None
    return round(min(100.0, max(0.0, 100 * (1 - sum(of_part for _, of_part in known) / sum_of_whole))), 1)
