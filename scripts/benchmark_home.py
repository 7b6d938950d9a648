"""Measures the integration in a real Home Assistant: start, poll, longest block of the event loop, and state writes."""

import asyncio
from asyncio import events
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, thread_time
from typing import Any, Self

import aiohttp
from homeassistant import bootstrap, loader
from homeassistant.components.recorder import DOMAIN as RECORDER
from homeassistant.config_entries import SOURCE_USER, ConfigEntries
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_URL, EVENT_STATE_CHANGED, EVENT_STATE_REPORTED
from homeassistant.core import Event, EventStateChangedData, EventStateReportedData, HomeAssistant, callback
from homeassistant.helpers import recorder as recorder_helper
from homeassistant.helpers.aiohttp_client import DATA_RESOLVER
from homeassistant.setup import async_setup_component

from custom_components.mtec import portal_client
from custom_components.mtec.account import Account
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.portal import rate_limiter
from scripts.benchmark_table import Row
from tests.household import Names
from tests.portal_simulator import HOUSE, PortalSimulator, Station

EMAIL, PASSWORD = "family@example.com", "sunshine"
STATIONS = (1, 10, 50)
POLLS = 10
COMPONENTS = Path(__file__).parent.parent / "custom_components"


def stations(count: int) -> list[Station]:
    """Return stations like the house's, each with one inverter."""
    return [
        Station(
            replace(
                HOUSE,
                station_id=f"{1000 + number}",
                name=f"House {number}",
                installed=date(2026, 6, 1),
                inverters=(replace(HOUSE.inverters[0], device_id=f"9{number}", serial=f"EB{number:04}"),),
            )
        )
        for number in range(count)
    ]


async def serve(count: int, generation: int) -> None:
    """Serve a portal with some stations, in which a minute passes each second. Print its address."""
    async with PortalSimulator(now=datetime(2026, 6, 15, 9, 0, tzinfo=UTC)) as portal:
        portal.speaks = {generation}
        portal.accounts[EMAIL].stations[:] = stations(count)
        print(portal.url, flush=True)
        while True:
            await asyncio.sleep(1)
            portal.clock.advance(timedelta(minutes=1))
            portal.requests.clear()


class Blocks:
    """Times the callbacks of the event loop while the context is entered. `longest` is in seconds of processor time."""

    def __init__(self) -> None:
        self.longest = 0.0

    def __enter__(self) -> Self:
        """Begin to time."""
        self._run = events.Handle._run  # noqa: SLF001
        run = self._run

        def timed(handle: events.Handle) -> None:
            # Not the time of the clock, in which other processes may have run.
            started = thread_time()
            run(handle)
            self.longest = max(self.longest, thread_time() - started)

        events.Handle._run = timed  # type: ignore[assignment, method-assign]  # noqa: SLF001
        return self

    def __exit__(self, *_: object) -> None:
        """Time no more."""
        events.Handle._run = self._run  # type: ignore[method-assign]  # noqa: SLF001


@asynccontextmanager
async def home_assistant(folder: Path) -> AsyncGenerator[HomeAssistant]:
    """Start Home Assistant with a recorder, but without the integration."""
    if not (folder / "custom_components").exists():
        (folder / "custom_components").symlink_to(COMPONENTS)
    hass = HomeAssistant(str(folder))
    hass.config.skip_pip = True
    hass.config_entries = ConfigEntries(hass, {})
    hass.data[str(DATA_RESOLVER)] = Names()
    loader.async_setup(hass)
    await bootstrap.async_load_base_functionality(hass)
    await hass.config.async_load()
    await hass.config.async_update(time_zone="Europe/Berlin")
    recorder_helper.async_initialize_recorder(hass)
    await async_setup_component(hass, RECORDER, {RECORDER: {"db_url": f"sqlite:///{folder}/home.db"}})
    await async_setup_component(hass, "sensor", {})
    await async_setup_component(hass, "binary_sensor", {})
    try:
        yield hass
    finally:
        await hass.async_stop(force=True)


async def add_account(hass: HomeAssistant, url: str) -> None:
    """Set up the account in the dialog."""
    await async_setup_component(hass, DOMAIN, {})
    await hass.async_start()
    flows = hass.config_entries.flow
    flow = await flows.async_init(DOMAIN, context={"source": SOURCE_USER})
    await flows.async_configure(flow["flow_id"], {"next_step_id": "account"})
    typed = {CONF_EMAIL: EMAIL, CONF_PASSWORD: PASSWORD, "portal": {CONF_URL: url}}
    await flows.async_configure(flow["flow_id"], typed)
    await hass.async_block_till_done(wait_background_tasks=True)


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
    before, used = Blocks(), 0.0
    for _ in range(POLLS):
        for coordinator in account.in_turn():
            coordinator.fetched_at = None
        started = process_time()
        with before:
            await account.async_refresh()
        used += process_time() - started
        await asyncio.sleep(1)
    requests = account.client.request_log.requests - requests
    return {
        "poll_ms": used * 1000 / POLLS,
        "requests": requests / POLLS,
        "longest_block_ms": before.longest * 1000,
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


async def measure(count: int, generation: int, url: str) -> dict[str, float]:
    """Return the figures of a Home Assistant with an account of some stations."""
    # The budget of requests would only make the benchmark slow: it uses no CPU.
    vars(rate_limiter)["REQUESTS_A_MINUTE"] = 1_000_000
    vars(portal_client)["PAUSE"] = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with home_assistant(folder) as hass:
            started = perf_counter()
            await async_setup_component(hass, DOMAIN, {})
            without = perf_counter() - started
            await add_account(hass, url)
        async with home_assistant(folder) as hass:
            async with aiohttp.ClientSession() as http:
                started = perf_counter()
                async with http.get(url) as response:
                    await response.read()
                request = perf_counter() - started
            first = Blocks()
            with first:
                started = perf_counter()
                await async_setup_component(hass, DOMAIN, {})
                with_entry = perf_counter() - started
                await hass.async_start()
                await hass.async_block_till_done(wait_background_tasks=True)
            account: Account = hass.config_entries.async_entries(DOMAIN)[0].runtime_data
            found = await polls(hass, account)
            bare = await bare_requests(url, account) * found["requests"]
    return found | {
        "start_s": with_entry,
        "start_without_s": without,
        "request_s": request,
        "start_block_ms": first.longest * 1000,
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
                [*words, "measure", str(count), str(generation), url], capture_output=True, text=True, check=True
            )
        finally:
            portal.terminate()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _rows(version: int, count: int) -> list[Row]:
    found = figures(count, version)
    home = f"version {version}, {count} station{'s' if count > 1 else ''}"
    writes = found["changed"] + found["unchanged"]
    return [
        Row(
            f"{home}: start of Home Assistant held up, beyond one without an account and two requests",
            f"{max(0.0, found['start_s'] - found['start_without_s'] - 2 * found['request_s']):.2f} s",
            goal="under 0.3 s",
        ),
        Row(
            f"{home}: processor time of a poll of {found['requests']:.0f} requests / the same requests alone",
            f"{found['poll_ms']:.1f} ms",
            f"{found['poll_ms'] / found['bare_ms']:.2f}",
        ),
        Row(f"{home}: longest block of the event loop, polls", f"{found['longest_block_ms']:.1f} ms", goal="5 ms"),
        Row(f"{home}: longest block of the event loop, start", f"{found['start_block_ms']:.1f} ms", goal="5 ms"),
        Row(
            f"{home}: state writes that change nothing / all",
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
        case ["measure", count, generation, url]:
            print(json.dumps(asyncio.run(measure(int(count), int(generation), url))))
