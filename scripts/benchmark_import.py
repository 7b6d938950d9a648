"""Measures an import of history by days, and an export, in a real Home Assistant with a recorder on SQLite."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import clock_gettime, process_time, pthread_getcpuclockid, thread_time
from typing import Any, Final

from homeassistant.components.recorder import Recorder, get_instance
from homeassistant.components.recorder.tasks import RecorderTask, StatisticsTask
from homeassistant.components.recorder.util import session_scope
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from custom_components.mtec import portal_client
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.portal import rate_limiter
from scripts.benchmark_home import EMAIL, PASSWORD, Blocks, home, set_up
from scripts.benchmark_table import Row
from tests.household import Household
from tests.portal_simulator import HOUSE, PortalSimulator, Station

DAYS: Final = 200
"""Days of an import. Home Assistant itself needs about a millisecond for each of 24 hours of six sensors of a day."""
CURVES: Final = 31
"""Days of an export of curves."""


async def serve(days: int) -> None:
    """Serve a portal with a house that was installed some days ago. Print its address."""
    now = datetime.now(UTC)
    async with PortalSimulator(now=now) as portal:
        portal.speaks = {1}
        portal.accounts[EMAIL].stations[:] = [Station(replace(HOUSE, installed=now.date() - timedelta(days=days)))]
        print(portal.url, flush=True)
        await asyncio.Event().wait()


class _Changes(RecorderTask):
    """Counts the rows that the recorder's connection has written. `commit_before` is Home Assistant's."""

    def __init__(self) -> None:
        self.counted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def run(self, instance: Recorder) -> None:
        """Count, in the recorder's thread."""
        with session_scope(session=instance.get_session()) as session:
            connection = session.connection().connection.dbapi_connection
            count = 0 if connection is None else connection.total_changes
        self.counted.get_loop().call_soon_threadsafe(self.counted.set_result, count)


async def _changes(recorder: Recorder) -> int:
    task = _Changes()
    recorder.queue_task(task)
    return await task.counted


async def _begin_statistics(hass: HomeAssistant) -> None:
    """Have the statistics of the running five minutes written, so that the sensors have a first row."""
    now = dt_util.utcnow()
    start = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
    get_instance(hass).queue_task(StatisticsTask(start, True))
    await get_instance(hass).async_block_till_done()


async def _imported(hass: HomeAssistant, start: str) -> dict[str, float]:
    """Import by days, and return what that took of each thread in seconds."""
    recorder = get_instance(hass)
    clock = pthread_getcpuclockid(recorder.ident or 0)
    written = await _changes(recorder)
    blocks = Blocks()
    begun = clock_gettime(clock), thread_time(), process_time()
    with blocks:
        report = await _call(hass, "import_history", resolution="days", start=start)
    in_recorder, in_loop = clock_gettime(clock) - begun[0], thread_time() - begun[1]
    return {
        "hours": report["hours"],
        "requests": report["requests"],
        "recorder_s": in_recorder,
        "loop_s": in_loop,
        "executor_s": process_time() - begun[2] - in_recorder - in_loop,
        "written": await _changes(recorder) - written,
        "import_block_ms": blocks.longest * 1000,
    }


async def _exported(hass: HomeAssistant) -> dict[str, float]:
    """Export curves into a response and into a file, and return how long the event loop was blocked by that."""
    found = {}
    first = (dt_util.now().date() - timedelta(days=CURVES)).isoformat()
    for name, action, more in (
        ("rows", "get_usage", {}),
        ("csv", "export_csv", {}),
        ("file", "export_csv", {"filename": "usage.csv"}),
    ):
        blocks = Blocks()
        with blocks:
            await _call(hass, action, type="day", start=first, **more)
        found[f"{name}_block_ms"] = blocks.longest * 1000
    return found


async def _call(hass: HomeAssistant, action: str, **data: str) -> dict[str, Any]:
    response: Any = await hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)
    return dict(response)


async def measure(days: int, url: str) -> dict[str, float]:
    """Return the figures of a Home Assistant that imports and exports."""
    # The budget of requests would only make the benchmark slow: it uses no CPU.
    vars(rate_limiter).update(REQUESTS_A_MINUTE=1_000_000, BACKGROUND_REQUESTS_A_MINUTE=1_000_000)
    vars(portal_client)["PAUSE"] = 0
    with TemporaryDirectory() as name:
        async with home(Path(name)) as hass:
            await set_up(hass)
            await hass.async_start()
            await Household(hass).add_account(url, EMAIL, PASSWORD)
            await _begin_statistics(hass)
            start = (dt_util.now().date() - timedelta(days=days)).isoformat()
            return await _imported(hass, start) | await _exported(hass)


def figures(days: int) -> dict[str, Any]:
    """Measure in a process of its own, with a portal in another."""
    words = [sys.executable, "-m", "scripts.benchmark_import"]
    with subprocess.Popen([*words, "serve", str(days)], stdout=subprocess.PIPE, text=True) as portal:  # noqa: S603
        try:
            url = "" if portal.stdout is None else portal.stdout.readline().strip()
            done = subprocess.run(  # noqa: S603
                [*words, "measure", str(days), url], capture_output=True, text=True, check=True
            )
        finally:
            portal.terminate()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def history() -> list[Row]:
    """Measure an import by days and an export of curves in Home Assistant."""
    found = figures(DAYS)
    hours = found["hours"]
    own = found["loop_s"] + found["executor_s"]
    what = f"import of {DAYS} days by days, {hours} hours of sensors"
    return [
        Row(
            f"{what}: processor time an hour, event loop and executor / Home Assistant's recorder",
            f"{own / hours * 1e6:.1f} µs",
            f"{own / found['recorder_s']:.2f}",
        ),
        Row(f"{what}: of that in the event loop", f"{found['loop_s'] / hours * 1e6:.1f} µs"),
        Row(f"{what}: Home Assistant's recorder", f"{found['recorder_s'] / hours * 1e6:.0f} µs"),
        Row(
            f"{what}: rows written, inserted and then raised once / hours",
            f"{found['written']} in {found['requests']} requests",
            f"{found['written'] / hours:.2f}",
            "2.00",
        ),
        Row(f"{what}: longest block of the event loop", f"{found['import_block_ms']:.1f} ms", goal="5 ms"),
        *(
            Row(
                f"export of {CURVES} days of curves as {name}: longest block of the event loop",
                f"{found[f'{name}_block_ms']:.1f} ms",
                goal="5 ms",
            )
            for name in ("rows", "csv", "file")
        ),
    ]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", count]:
            asyncio.run(serve(int(count)))
        case ["measure", count, url]:
            print(json.dumps(asyncio.run(measure(int(count), url))))
