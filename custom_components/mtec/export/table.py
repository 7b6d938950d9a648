"""The columns of usage, and usage as CSV."""

from collections.abc import Callable, Iterable, Mapping
import csv
from dataclasses import dataclass
from datetime import date, datetime
import io
from typing import Any, Final

from custom_components.mtec.models import CurvePoint, UsageRow

from .usage import UsageType

DECIMALS: Final = (".", ",")
DELIMITERS: Final = (";", ",", "\t", "|")

type Cell = datetime | date | float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat:
    """The decimal separator and the delimiter of columns. Raises ValueError if they are the same."""

    decimal: str = "."
    delimiter: str = ";"

    def __post_init__(self) -> None:
        """Check that the separators differ."""
        if self.decimal == self.delimiter:
            raise ValueError("The decimal separator and the delimiter have to differ")


def _kilowatts(watts: float | None) -> float | None:
    # Rounded to a milliwatt, because 1.001 kW has become 1000.9999999999999 W.
    return None if watts is None else round(watts / 1000, 6)


_CURVE_COLUMNS: Mapping[str, Callable[[CurvePoint], Cell]] = {
    "timestamp": lambda point: point.start,
    "load": lambda point: _kilowatts(point.consumption_power),
    "grid": lambda point: _kilowatts(point.grid_power),
    "PV": lambda point: _kilowatts(point.pv_power),
    "battery": lambda point: _kilowatts(point.battery_power),
    "SOC": lambda point: point.state_of_charge,
}
"""Powers in kW and the state of charge in %, by column."""

_ROW_COLUMNS: Mapping[str, Callable[[UsageRow], Cell]] = {
    "date": lambda row: row.start,
    "load": lambda row: row.consumption,
    "pv_production": lambda row: row.pv,
    "battery_load": lambda row: row.battery_discharge,
    "battery_feed": lambda row: row.battery_charge,
    "grid_load": lambda row: row.grid_import,
    "grid_feed": lambda row: row.grid_export,
}
"""Energies in kWh by column: `load` is drawn from the battery or the grid, `feed` goes into it."""


def record(row: CurvePoint | UsageRow) -> dict[str, str | float | None]:
    """Return a row by its columns: powers in kW, energies in kWh, % and an ISO 8601 date or timestamp."""
    return {name: cell.isoformat() if isinstance(cell, date) else cell for name, cell in _cells(row).items()}


def csv_header(type_: UsageType, csv_format: CsvFormat) -> str:
    """Return the header line of a type of usage."""
    return csv_text([list(_CURVE_COLUMNS if type_ is UsageType.DAY else _ROW_COLUMNS)], csv_format)


def csv_rows(rows: Iterable[CurvePoint | UsageRow], csv_format: CsvFormat) -> str:
    """Return a line for each row."""
    return csv_text((_cells(row).values() for row in rows), csv_format)


def csv_text(lines: Iterable[Iterable[Cell]], csv_format: CsvFormat) -> str:
    """Return cells as CSV in which no cell is a formula. None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=csv_format.delimiter, lineterminator="\n")
    writer.writerows([_written(cell, csv_format.decimal) for cell in line] for line in lines)
    return text.getvalue()


def _cells(row: CurvePoint | UsageRow) -> dict[str, Any]:
    columns: Mapping[str, Callable[[Any], Cell]] = _CURVE_COLUMNS if isinstance(row, CurvePoint) else _ROW_COLUMNS
    return {name: value(row) for name, value in columns.items()}


def _written(cell: Cell, decimal: str) -> str:
    match cell:
        case None:
            return ""
        case date():
            return cell.isoformat()
        case str():
            # A spreadsheet would run a text that begins like this as a formula.
            return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell
    return f"{round(cell, 6) + 0.0:.6f}".rstrip("0").rstrip(".").replace(".", decimal)
