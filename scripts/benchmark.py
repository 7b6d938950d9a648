"""Measures what this integration costs: each figure with its ratio to a yardstick of the same run, and its goal."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
import os
from pathlib import Path
import platform
import sys
import time
from typing import Final

from scripts.benchmark_export import against, memory, missing_files, speed
from scripts.benchmark_home import homes
from scripts.benchmark_import import history
from scripts.benchmark_network import networks
from scripts.benchmark_portal import command_line, day_of_a_home, day_of_an_inverter, parsing
from scripts.benchmark_table import Row, table

type Measurement = Callable[[], Awaitable[list[Row]]]

MEASUREMENTS: Final[Mapping[str, Measurement]] = {
    "parsing": parsing,
    "inverter-day": day_of_an_inverter,
    "home-day": day_of_a_home,
    "command-line": command_line,
    "home": homes,
    "network": networks,
    "history": history,
    "export": speed,
    "memory": memory,
}
"""The measurements, by their name on the command line."""


def _machine() -> str:
    processor = platform.processor() or platform.machine()
    python, today = platform.python_version(), datetime.now(UTC).date()
    return f"Python {python}, {os.cpu_count()} processors ({processor}), {today}"


async def _measure(measurements: Mapping[str, Measurement]) -> list[Row]:
    rows: list[Row] = []
    for name, measurement in measurements.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += await measurement()
    return rows


def main() -> None:
    """Measure what is asked for, or everything, and print a table."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASUREMENTS)}")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="PATH_OF_M-TEC-API",
        help="a copy of the original export tool: compare processor time; alone, nothing else is measured",
    )
    arguments = parser.parse_args()
    original: Path | None = arguments.against
    names = arguments.names or ([] if original else list(MEASUREMENTS))
    if unknown := set(names) - MEASUREMENTS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    measurements = {name: MEASUREMENTS[name] for name in names}
    if original is not None:
        if missing := missing_files(original):
            parser.error(f"{original} is not the original export tool: it lacks {', '.join(missing)}")
        measurements["against"] = partial(against, original)
    began = time.monotonic()
    rows = asyncio.run(_measure(measurements))
    print(table(rows))
    print(f"\n{_machine()}; measured in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
