"""Measures what this integration costs: each figure with its ratio to a yardstick of the same run, and its goal."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
import os
import platform
import time
from typing import Final

from scripts.benchmark_export import memory
from scripts.benchmark_home import homes
from scripts.benchmark_portal import command_line, day_of_a_home, day_of_an_inverter, parsing
from scripts.benchmark_table import Row, table

type Measurement = Callable[[], Awaitable[list[Row]]]

MEASUREMENTS: Final[Mapping[str, Measurement]] = {
    "parsing": parsing,
    "inverter-day": day_of_an_inverter,
    "home-day": day_of_a_home,
    "command-line": command_line,
    "home": homes,
    "export": memory,
}
"""The measurements, by their name on the command line."""


def _machine() -> str:
    processor = platform.processor() or platform.machine()
    python, today = platform.python_version(), datetime.now(UTC).date()
    return f"Python {python}, {os.cpu_count()} processors ({processor}), {today}"


async def _measure(names: list[str]) -> list[Row]:
    return [row for name in names for row in await MEASUREMENTS[name]()]


def main() -> None:
    """Measure what is asked for, or everything, and print a table."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASUREMENTS)}")
    names = parser.parse_args().names or list(MEASUREMENTS)
    if unknown := set(names) - MEASUREMENTS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    rows = asyncio.run(_measure(names))
    print(table(rows))
    print(f"\n{_machine()}; measured in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
