"""Measures the integration in a real Home Assistant: start, poll, longest block of the event loop, and state writes."""

import asyncio
from asyncio import events
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
import gc
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, thread_time
from typing import Any, Self

import aiohttp
from homeassistant.const import EVENT_STATE_CHANGED, EVENT_STATE_REPORTED
from homeassistant.core import Event, EventStateChangedData, EventStateReportedData, HomeAssistant, callback
from homeassistant.setup import async_setup_component

from custom_components.mtec import portal_client
from custom_components.mtec.account import Account
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.portal import rate_limiter
from scripts.benchmark_table import Row
from tests.household import Household, Names, home_assistant
from tests.portal_simulator import HOUSE, PortalSimulator, copies_of

EMAIL, PASSWORD = "family@example.com", "sunshine"
STATIONS = (1, 10, 50)
POLLS = 10
COMPONENTS = Path(__file__).parent.parent / "custom_components"


async def serve(count: int, generation: int) -> None:
    """Serve a portal with some stations, in which a minute passes each second. Print its address."""
    async with PortalSimulator(now=datetime(2026, 6, 15, 9, 0, tzinfo=UTC)) as portal:
        portal.speaks = {generation}
        portal.accounts[EMAIL].stations[:] = copies_of(HOUSE, count)
        print(portal.url, flush=True)
        while True:
            await asyncio.sleep(1)
            portal.clock.advance(timedelta(minutes=1))
            portal.requests.clear()


class Blocks:
    """Times the callbacks of the event loop while the context is entered.

    `longest` is the longest one, `used` what all of the process took meanwhile, in seconds of processor time.

    Garbage is not collected meanwhile. That takes about ten milliseconds, with and without this integration, and would
    count for whichever callback it meets.
    """

    def __init__(self) -> None:
        self.longest = self.used = 0.0
        self._entered = self._started = 0.0
        self._is_over = False

    def __enter__(self) -> Self:
        """Begin to time."""
        gc.collect()
        gc.disable()
        self._is_over, self._started, self._entered = False, thread_time(), process_time()
        self._run = events.Handle._run  # noqa: SLF001
        run = self._run

        def timed(handle: events.Handle) -> None:
            # Not the time of the clock, in which other processes may have run.
            self._started = thread_time()
            run(handle)
            self._note()

        events.Handle._run = timed  # type: ignore[assignment, method-assign]  # noqa: SLF001
        return self

    def __exit__(self, *_: object) -> None:
        """Time no more. What follows in the callback that leaves the context is not counted."""
        self._note()
        self.used += process_time() - self._entered
        self._is_over = True
        gc.enable()
        events.Handle._run = self._run  # type: ignore[method-assign]  # noqa: SLF001

    def _note(self) -> None:
        if not self._is_over:
            self.longest = max(self.longest, thread_time() - self._started)


async def set_up(hass: HomeAssistant) -> float:
    """Set the integration up, and return the seconds that Home Assistant waits for it."""
    started = perf_counter()
    await async_setup_component(hass, DOMAIN, {})
    return perf_counter() - started


def home(folder: Path) -> AbstractAsyncContextManager[HomeAssistant]:
    """Provide Home Assistant on what it left in a folder."""
    return home_assistant(folder, HOUSE.time_zone, {}, Names())


async def polls(hass: HomeAssistant, account: Account) -> dict[str, float]:
    """Poll everything several times, and return what that took."""
    writes: Counter[str] = Counter()

    @callback
    def count(event: Event[EventStateChangedData] | Event[EventStateReportedData]) -> None:
        writes[str(event.event_type)] += 1

    @callback
    def everything(_: Mapping[str, Any]) -> bool:
        return True

    for event_type in (EVENT_STATE_CHANGED, EVENT_STATE_REPORTED):
        hass.bus.async_listen(event_type, count, event_filter=everything)  # type: ignore[misc]
    requests = account.client.request_log.requests
    blocks = Blocks()
    for _ in range(POLLS):
        for coordinator in account.in_turn():
            coordinator.fetched_at = None
        with blocks:
            await account.async_refresh()
        await asyncio.sleep(1)
    requests = account.client.request_log.requests - requests
    return {
        "poll_ms": blocks.used * 1000 / POLLS,
        "requests": requests / POLLS,
        "longest_block_ms": blocks.longest * 1000,
        "changed": writes[str(EVENT_STATE_CHANGED)],
        "unchanged": writes[str(EVENT_STATE_REPORTED)],
    }


async def bare_requests(url: str, account: Account) -> float:
    """Return the CPU time in ms of requesting and parsing the answers of a poll without the integration."""
    answers = account.client.request_log.answers
    bodies = [json.dumps({"code": "1000000", "data": answer.data}).encode() for answer in answers]
    async with aiohttp.ClientSession() as http:
        started = process_time()
        for body in bodies:
            async with http.get(url) as response:
                await response.read()
            json.loads(body)
        return (process_time() - started) * 1000 / len(bodies)


async def measure(url: str) -> dict[str, float]:
    """Return the figures of a Home Assistant with an account of some stations."""
    # The budget of requests would only make the benchmark slow: it uses no CPU.
    vars(rate_limiter)["REQUESTS_A_MINUTE"] = 1_000_000
    vars(portal_client)["PAUSE"] = 0
    with TemporaryDirectory() as name, TemporaryDirectory() as empty:
        folder = Path(name)
        async with home(folder) as hass:
            await set_up(hass)
            await hass.async_start()
            await Household(hass).add_account(url, EMAIL, PASSWORD)
        # By now all modules are loaded, with and without an account.
        async with home(Path(empty)) as hass:
            without = await set_up(hass)
        # Home Assistant itself writes a state for each known entity that is not there when it starts.
        async with home(folder) as hass:
            first_without = Blocks()
            with first_without:
                # The callback that enters the context is not timed.
                await asyncio.sleep(0)
                await hass.async_start()
                await hass.async_block_till_done(wait_background_tasks=True)
        async with home(folder) as hass:
            async with aiohttp.ClientSession() as http:
                started = perf_counter()
                async with http.get(url) as response:
                    await response.read()
                request = perf_counter() - started
            first = Blocks()
            with first:
                with_entry = await set_up(hass)
                await hass.async_start()
                await hass.async_block_till_done(wait_background_tasks=True)
            account = Household(hass).entry.runtime_data
            found = await polls(hass, account)
            bare = await bare_requests(url, account) * found["requests"]
    return found | {
        "start_s": with_entry,
        "start_without_s": without,
        "request_s": request,
        "start_block_ms": first.longest * 1000,
        "start_block_without_ms": first_without.longest * 1000,
        "bare_ms": bare,
    }


def figures(count: int, generation: int) -> dict[str, Any]:
    """Measure in a process of its own, with a portal in another."""
    words = [sys.executable, "-m", "scripts.benchmark_home"]
    with subprocess.Popen(  # noqa: S603
        [*words, "serve", str(count), str(generation)], stdout=subprocess.PIPE, text=True
    ) as portal:
        try:
            url = "" if portal.stdout is None else portal.stdout.readline().strip()
            done = subprocess.run(  # noqa: S603
                [*words, "measure", url], capture_output=True, text=True, check=True
            )
        finally:
            portal.terminate()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _rows(version: int, count: int) -> list[Row]:
    found = figures(count, version)
    which = f"version {version}, {count} station{'s' if count > 1 else ''}"
    writes = found["changed"] + found["unchanged"]
    return [
        Row(
            f"{which}: start of Home Assistant held up, beyond one without an account and two requests",
            f"{max(0.0, found['start_s'] - found['start_without_s'] - 2 * found['request_s']):.2f} s",
            goal="under 0.3 s",
        ),
        Row(
            f"{which}: processor time of a poll of {found['requests']:.0f} requests / the same requests alone",
            f"{found['poll_ms']:.1f} ms",
            f"{found['poll_ms'] / found['bare_ms']:.2f}",
        ),
        Row(f"{which}: longest block of the event loop, polls", f"{found['longest_block_ms']:.1f} ms", goal="5 ms"),
        Row(
            f"{which}: longest block of the event loop, start / the same without the integration",
            f"{found['start_block_ms']:.1f} ms",
            f"{found['start_block_ms'] / found['start_block_without_ms']:.2f}",
            "5 ms, or that of Home Assistant itself",
        ),
        Row(
            f"{which}: state writes that change nothing / all",
            f"{found['unchanged']} of {writes}",
            f"{found['unchanged'] / max(writes, 1):.2f}",
            "under 0.10",
        ),
    ]


async def homes() -> list[Row]:
    """Measure homes with some stations, in both versions of the API."""
    return [row for version in (1, 2) for count in STATIONS for row in _rows(version, count)]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", count, generation]:
            asyncio.run(serve(int(count), int(generation)))
        case ["measure", url]:
            print(json.dumps(asyncio.run(measure(url))))
