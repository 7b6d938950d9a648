"""The output: readings and usage, as text, JSON, CSV or a file."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date
import json
from pathlib import Path
import sys
from typing import Any, Final

from custom_components.mtec.export.file import AtomicFile
from custom_components.mtec.export.table import CsvFormat, csv_header, csv_rows, record
from custom_components.mtec.export.usage import UsagePart, UsageReport, UsageType

from .terminal import progress_bar

_MOST_LISTED: Final = 10
"""Periods that a line names."""

_UNITS: Final = (
    ("power", "W"),
    ("energy", "kWh"),
    ("today_", "kWh"),
    ("total_", "kWh"),
    ("cell_voltage", "V"),
    ("voltage", "V"),
    ("current", "A"),
    ("state_of", "%"),
    ("frequency", "Hz"),
    ("temperature", "°C"),
    ("signal", "dBm"),
)
"""Units of values by a part of their names; the first match counts."""


def data_of(value: Any) -> Any:
    """Return a model as mappings of its fields.

    Unlike `asdict` it copies nothing: the computer's own time zone, which a time can have, has no copy.
    """
    if is_dataclass(value):
        return {field.name: data_of(getattr(value, field.name)) for field in fields(value)}
    return {key: data_of(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def print_json(data: Any) -> None:
    """Print data as JSON."""
    print(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def print_readings(readings: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print the readings of stations or inverters, as a list of values with units or as JSON."""
    if as_json:
        print_json(readings)
        return
    for reading in readings:
        print(reading["name"])
        for name, value in _flat(reading["reading"]):
            unit = next((unit for part, unit in _UNITS if part in name), "")
            print(f"  {name.replace('_', ' '):32} {_number(value)} {unit}".rstrip())


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the known values of a reading, with the path to each of them as its name."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}_")
        elif value is not None:
            yield f"{prefix}{name}", value


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


async def write_usage(
    parts: AsyncGenerator[UsagePart], type_: UsageType, csv_format: CsvFormat, file: Path | None, *, as_json: bool
) -> UsageReport:
    """Write usage to a file or the standard output while it is read, and return the report of it.

    Raises SourceError, RangeError, OSError.
    """
    report = UsageReport()
    reported = _reported(parts, report)
    texts = _json_texts(reported) if as_json else _csv_texts(reported, type_, csv_format)
    with progress_bar(shown=sys.stderr.isatty() and (file is not None or not sys.stdout.isatty())) as show:
        # If the first request fails, no file is created and nothing is printed.
        first, progress = await anext(texts)
        with _output(file) as write:
            write(first)
            show(progress)
            async for text, progress in texts:
                write(text)
                show(progress)
    return report


async def _reported(parts: AsyncGenerator[UsagePart], report: UsageReport) -> AsyncGenerator[UsagePart]:
    async for part in parts:
        report.add(part)
        yield part


def print_missing(report: UsageReport) -> None:
    """Print to the standard error what usage lacks. Days before the plant and those to come are not missed."""
    for days, what in (
        (report.lacking, "has no data of"),
        (report.left_out, "gave no answer that makes sense of, so that these are left out:"),
    ):
        if days:
            print(f"The portal {what} {_listed(days)}.", file=sys.stderr)
    if report.unusable_points:
        print(
            f"Points of curves without a moment that makes sense, left out: {report.unusable_points}.", file=sys.stderr
        )
    if report.contradictions:
        periods = ", ".join(report.contradictions)
        print(f"The portal contradicts itself, so that days may be missing: {periods}.", file=sys.stderr)


def _listed(days: Sequence[date]) -> str:
    """Return the first of these periods, and how many more there are."""
    text = ", ".join(day.isoformat() for day in days[:_MOST_LISTED])
    return text if len(days) <= _MOST_LISTED else f"{text} and {len(days) - _MOST_LISTED} more"


@contextmanager
def _output(file: Path | None) -> Iterator[Callable[[str], object]]:
    if file is None:
        yield sys.stdout.write
    else:
        with AtomicFile(file) as new:
            yield new.write


async def _csv_texts(
    parts: AsyncGenerator[UsagePart], type_: UsageType, csv_format: CsvFormat
) -> AsyncGenerator[tuple[str, float]]:
    header = csv_header(type_, csv_format)
    async for part in parts:
        yield header + csv_rows(part.rows, csv_format), part.progress
        header = ""
    if header:
        yield header, 1.0


async def _json_texts(parts: AsyncGenerator[UsagePart]) -> AsyncGenerator[tuple[str, float]]:
    before = "["
    async for part in parts:
        for row in part.rows:
            yield f"{before}\n  {json.dumps(record(row))}", part.progress
            before = ","
    yield ("[]\n" if before == "[" else "\n]\n"), 1.0
