"""Measures exports of five-minute curves: processor time against a bare script, and memory of one and of ten years.

Each export runs in a process of its own.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
import json
from pathlib import Path
import resource
import shutil
import subprocess
import sys
from tempfile import TemporaryDirectory
import time
from typing import Final, override
from zoneinfo import ZoneInfo

import aiohttp

from custom_components.mtec.export.file import AtomicFile
from custom_components.mtec.export.table import CsvFormat, csv_header, csv_rows
from custom_components.mtec.export.usage import UsageQuery, UsageType, read_usage
from custom_components.mtec.models import CurvePoint, DaySummary, DayUsage, UsageRow
from custom_components.mtec.portal import Client, Connection
from scripts.benchmark_home import EMAIL, PASSWORD
from scripts.benchmark_table import Row
from tests.portal_simulator import HOUSE

ZONE = ZoneInfo("Europe/Vienna")
TODAY = date(2026, 11, 1)

SHORT, LONG = 1, 31
"""Days of two exports. Their difference is free of what is done once: to start and to sign in."""
REPETITIONS: Final = 2
"""Of each measured time the shortest of so many counts: what is longer was disturbed."""
ORIGINAL: Final = ("export_data.py", "MTECapi.py", "config.py")
"""The files of the original export tool. Its configuration is written beside copies of them."""


class SyntheticClient(Client):
    """A portal with ten years of curves that answers at once."""

    @override
    async def day_usage(self, station_id: str, day: date) -> DayUsage:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        points = tuple(
            CurvePoint(
                start=(midnight + timedelta(minutes=5 * step)).astimezone(ZONE),
                consumption_power=500.0 + step,
                grid_power=-100.0 - step,
                pv_power=600.0 + 2 * step,
                battery_power=0.0,
                state_of_charge=step / 3,
            )
            for step in range(288)
        )
        return DayUsage(points=points, summary=DaySummary())

    @override
    async def lifetime_rows(self, station_id: str) -> list[UsageRow]:
        return []

    @override
    async def year_rows(self, station_id: str, year: int) -> list[UsageRow]:
        return []


async def export(days: int, path: Path) -> None:
    """Write the curves of some days to a file."""
    csv_format = CsvFormat()
    query = UsageQuery(type=UsageType.DAY, start=TODAY - timedelta(days=days - 1), end=TODAY, today=TODAY)
    async with aiohttp.ClientSession() as http:
        client = SyntheticClient(Connection(http, None, time_zone=ZONE))
        with AtomicFile(path) as file:
            file.write(csv_header(query.type, csv_format))
            async for part in read_usage(client, "1", query):
                file.write(csv_rows(part.rows, csv_format))


def measure(days: int) -> None:
    """Print seconds, bytes written and the peak of the memory in MiB of an export."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "usage.csv"
        begun = time.perf_counter()
        asyncio.run(export(days, path))
        seconds = time.perf_counter() - begun
        size = path.stat().st_size
    print(seconds, size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


async def memory() -> list[Row]:
    """Compare one year with ten."""
    rows, peaks = [], []
    for years in (1, 10):
        words = [sys.executable, "-m", "scripts.benchmark_export", str(years * 365)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: ASYNC221, S603
        seconds, size, peak = map(float, done.stdout.split())
        peaks.append(peak)
        rows.append(
            Row(
                f"export of {years} years of curves: highest memory",
                f"{peak:.1f} MiB, {size / 1e6:.1f} MB in {seconds:.1f} s",
            )
        )
    rows.append(
        Row(
            "export of ten years / one year: highest memory",
            f"{peaks[1] - peaks[0]:.2f} MiB",
            f"{peaks[1] / peaks[0]:.2f}",
            "1.00",
        )
    )
    return rows


# Processor time


type Words = Callable[[str, str, int, Path], list[str]]
"""A function that returns the command of an export from its name, the portal, the number of days and the file."""


def _first(days: int) -> date:
    """Return the first of some days that end today."""
    return datetime.now(ZONE).date() - timedelta(days=days - 1)


@contextmanager
def _portal(days: int) -> Iterator[str]:
    """Serve a portal in a process of its own, and yield its address."""
    words = [sys.executable, "-m", "scripts.benchmark_import", "serve", str(days)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as portal:  # noqa: S603
        try:
            yield "" if portal.stdout is None else portal.stdout.readline().strip()
        finally:
            portal.terminate()


def _seconds(words: Sequence[str], folder: Path | None = None) -> float:
    """Return the processor time of a process: what it prints in the end, if that is a number, or all of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        return float(done.stdout.split()[-1])
    except IndexError, ValueError:
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _own_words(name: str, url: str, days: int, path: Path) -> list[str]:
    first, last = _first(days), _first(1)
    return [sys.executable, "-m", f"scripts.benchmark_{name}", url, HOUSE.station_id, f"{first}", f"{last}", str(path)]


def _lines(path: Path) -> int:
    with path.open() as file:
        return sum(1 for _ in file)


def _compared(yardstick: str, words: Words, url: str, folder: Path, original: Path | None) -> list[Row]:
    """Return the processor time of a row of ours and of a yardstick, measured in turns."""
    found: dict[tuple[str, int], list[float]] = {}
    rows: dict[tuple[str, int], int] = {}
    for _ in range(REPETITIONS):
        for name, make, place in (("ours", _own_words, None), (yardstick, words, original)):
            for days in (SHORT, LONG):
                path = folder / f"{days}.csv"
                path.unlink(missing_ok=True)
                found.setdefault((name, days), []).append(_seconds(make(name, url, days, path), place))
                rows[name, days] = _lines(path)
    each = {
        name: (min(found[name, LONG]) - min(found[name, SHORT])) / (rows[name, LONG] - rows[name, SHORT])
        for name in ("ours", yardstick)
    }
    return [
        Row(
            f"export of curves, processor time of a row / {yardstick}",
            f"{each['ours'] * 1e6:.1f} µs",
            f"{each['ours'] / each[yardstick]:.2f}",
            "at most 1" if yardstick == "the original" else "",
        )
    ]


async def speed() -> list[Row]:
    """Compare the processor time of an export with that of a bare script that writes the same values."""
    with TemporaryDirectory() as folder, _portal(LONG + 30) as url:
        return _compared("bare", _own_words, url, Path(folder), None)


def missing_files(original: Path) -> list[str]:
    """Return which files of the original export tool a folder lacks."""
    return [name for name in ORIGINAL if not (original / name).is_file()]


async def against(original: Path) -> list[Row]:
    """Compare the processor time of an export with that of the original export tool, of which there is a copy."""
    with TemporaryDirectory() as name, _portal(LONG + 30) as url:
        folder = Path(name)
        for file in ORIGINAL:
            shutil.copy(original / file, folder)
        settings = {
            "EMAIL": EMAIL,
            "PASSWORD": PASSWORD,
            "BASE_URL": f"{url}/api/sys/",
            "TIMEOUT": 10,
            "MAX_LOGIN_RETRY": 3,
            "DEMO_ACCOUNT": "",
        }
        # Its versions name them differently. JSON is YAML.
        settings |= {f"PV_{key}": value for key, value in settings.items()}
        (folder / "config.yaml").write_text(json.dumps(settings))

        def words(_: str, __: str, days: int, path: Path) -> list[str]:
            first = _first(days).isoformat()
            return [sys.executable, "export_data.py", "-t", "day", "-d", first, "-f", str(path)]

        return _compared("the original", words, url, folder, folder)


if __name__ == "__main__":
    measure(int(sys.argv[1]))
