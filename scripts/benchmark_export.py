"""Measures the memory that exports of one year and of ten years of five-minute curves need, each in its own process."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
import resource
import subprocess
import sys
from tempfile import TemporaryDirectory
import time
from typing import override
from zoneinfo import ZoneInfo

import aiohttp

from custom_components.mtec.export.file import AtomicFile
from custom_components.mtec.export.table import CsvFormat, csv_header, csv_rows
from custom_components.mtec.export.usage import UsageQuery, UsageType, read_usage
from custom_components.mtec.models import CurvePoint, DaySummary, DayUsage, UsageRow
from custom_components.mtec.portal import Client, Connection
from scripts.benchmark_table import Row

ZONE = ZoneInfo("Europe/Vienna")
TODAY = date(2026, 11, 1)


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


if __name__ == "__main__":
    measure(int(sys.argv[1]))
