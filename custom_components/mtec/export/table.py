"""The columns of usage, and usage as CSV."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import csv
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
import io
from operator import attrgetter
from typing import Any, Final, Self

from custom_components.mtec.models import CurvePoint, UsageRow

from .usage import UsageType

DECIMALS: Final = (".", ",")
DELIMITERS: Final = (";", ",", "\t", "|")


class Timestamps(StrEnum):
    """How the timestamps of curves are written: with the offset of the time zone, or as spreadsheets read them."""

    ISO = "iso"
    SPREADSHEET = "spreadsheet"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat:
    """The decimal separator, the delimiter of columns and the timestamps.

    Raises ValueError if the separators are the same.
    """

    decimal: str = "."
    delimiter: str = ";"
    timestamps: Timestamps = Timestamps.ISO

    def __post_init__(self) -> None:
        """Check that the separators differ."""
        if self.decimal == self.delimiter:
            raise ValueError("The decimal separator and the delimiter have to differ")


_CURVE_COLUMNS: Final[Mapping[str, tuple[str, float]]] = {
    "timestamp": ("start", 1.0),
    "load": ("consumption_power", 1000.0),
    "grid": ("grid_power", 1000.0),
    "PV": ("pv_power", 1000.0),
    "battery": ("battery_power", 1000.0),
    "SOC": ("state_of_charge", 1.0),
}
"""The names of values, and what they are divided by: powers are shown in kW, the state of charge in %, by column."""

_ROW_COLUMNS: Final[Mapping[str, tuple[str, float]]] = {
    "date": ("start", 1.0),
    "load": ("consumption", 1.0),
    "pv_production": ("pv", 1.0),
    "battery_load": ("battery_discharge", 1.0),
    "battery_feed": ("battery_charge", 1.0),
    "grid_load": ("grid_import", 1.0),
    "grid_feed": ("grid_export", 1.0),
}
"""Energies in kWh by column: `load` is drawn from the battery or the grid, `feed` goes into it."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The names of a row's columns, a function that returns its values, and what each number is divided by."""

    names: Sequence[str]
    values: Callable[[CurvePoint | UsageRow], Sequence[Any]]
    scales: Sequence[float]

    @classmethod
    def of(cls, columns: Mapping[str, tuple[str, float]]) -> Self:
        """Return the columns of a table."""
        values = attrgetter(*(value for value, _ in columns.values()))
        return cls(tuple(columns), values, [scale for _, scale in columns.values()][1:])


_COLUMNS: Final[Mapping[type[CurvePoint | UsageRow], _Columns]] = {
    CurvePoint: _Columns.of(_CURVE_COLUMNS),
    UsageRow: _Columns.of(_ROW_COLUMNS),
}


def record(row: CurvePoint | UsageRow) -> dict[str, str | float | None]:
    """Return a row by its columns: powers in kW, energies in kWh, % and an ISO 8601 date or timestamp."""
    columns = _COLUMNS[type(row)]
    start, *numbers = columns.values(row)
    # Rounded to a milliwatt, because 1.001 kW has become 1000.9999999999999 W.
    scaled = [
        number if scale == 1 or number is None else round(number / scale, 6)
        for number, scale in zip(numbers, columns.scales, strict=True)
    ]
    return dict(zip(columns.names, (start.isoformat(), *scaled), strict=True))


def csv_header(type_: UsageType, csv_format: CsvFormat) -> str:
    """Return the header line of a type of usage."""
    return csv_text([_COLUMNS[CurvePoint if type_ is UsageType.DAY else UsageRow].names], csv_format)


def csv_rows(rows: Iterable[CurvePoint | UsageRow], csv_format: CsvFormat) -> str:
    """Return a line for each row."""
    delimiter, decimal = csv_format.delimiter, csv_format.decimal
    moment = _MOMENTS[csv_format.timestamps]
    lines = []
    for row in rows:
        columns = _COLUMNS[type(row)]
        start, *numbers = columns.values(row)
        # Dates and numbers need no quotes: the csv module would only take its time to find that out.
        cells = delimiter.join(map(_number, numbers, columns.scales, strict=True))
        lines.append(f"{moment(start)}{delimiter}{cells.replace('.', decimal)}\n")
    return "".join(lines)


def csv_text(lines: Iterable[Iterable[str]], csv_format: CsvFormat) -> str:
    """Return texts as CSV in which no cell is a formula."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=csv_format.delimiter, lineterminator="\n")
    writer.writerows([_harmless(cell) for cell in line] for line in lines)
    return text.getvalue()


def _spreadsheet_moment(start: date) -> str:
    """Return a date, or a moment without its time zone."""
    return start.replace(tzinfo=None).isoformat(" ", "minutes") if isinstance(start, datetime) else start.isoformat()


_MOMENTS: Final[Mapping[Timestamps, Callable[[date], str]]] = {
    Timestamps.ISO: lambda start: start.isoformat(),
    Timestamps.SPREADSHEET: _spreadsheet_moment,
}


def _harmless(cell: str) -> str:
    # A spreadsheet would run a text that begins like this as a formula.
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell


def _number(value: float | None, scale: float) -> str:
    """Return a number divided by `scale`, with up to six decimals, "" for None."""
    if not value:
        return "" if value is None else "0"
    text = f"{value / scale:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
