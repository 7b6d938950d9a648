"""Measures reading inverters in the home network in a real Home Assistant: requests, bytes, processor time, blocks."""

import asyncio
from contextlib import AsyncExitStack
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, Final, Self

from homeassistant.components.modbus import async_get_temporary_unit
from homeassistant.core import HomeAssistant

from custom_components.mtec import network
from custom_components.mtec.inverter_flow import SECTION_ADVANCED
from custom_components.mtec.local.exchange import Timing
from custom_components.mtec.local.link import Framing, Link
from scripts.benchmark_home import Blocks, home, set_up
from scripts.benchmark_table import Row
from tests.dialogs import choose
from tests.household import Household
from tests.inverter_simulator import InverterSimulator
from tests.portal_simulator import FARM, HOUSE

INVERTERS: Final = ((HOUSE, None), (FARM, FARM.inverters[0].serial), (FARM, FARM.inverters[1].serial))
COUNTS: Final = (1, 3)
POLLS: Final = 30
OF_FRAMES: Final = 8 + 5
"""Bytes of a request and of an answer besides its values, with unit, function, length and check sum."""


async def serve(count: int) -> None:
    """Serve some inverters and print their ports. For each line of input, print what they were asked for since."""
    async with AsyncExitStack() as stack:
        served = [
            await stack.enter_async_context(InverterSimulator(plant, serial)) for plant, serial in INVERTERS[:count]
        ]
        print(*(inverter.port for inverter in served), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            asked = [(request.address, request.count) for inverter in served for request in inverter.requests]
            print(json.dumps(asked), flush=True)
            for inverter in served:
                inverter.requests.clear()


async def _add(hass: HomeAssistant, port: int) -> None:
    """Add an inverter as a person does: the first one makes the home."""
    address = {"host": "127.0.0.1", SECTION_ADVANCED: {"port": port}}
    entries = hass.config_entries
    if not entries.async_entries("mtec"):
        form = await choose(hass, "inverter")
        form = await entries.flow.async_configure(form["flow_id"], address)
        await entries.flow.async_configure(form["flow_id"], {})
    else:
        flows, [entry] = entries.subentries, entries.async_entries("mtec")
        step = await flows.async_init((entry.entry_id, "inverter"), context={"source": "user"})
        step = await flows.async_configure(step["flow_id"], address)
        await flows.async_configure(step["flow_id"], {})
    await hass.async_block_till_done(wait_background_tasks=True)


async def _bare(hass: HomeAssistant, port: int, asked: list[tuple[int, int]]) -> float:
    """Return the processor time in ms of the same requests with the library of Home Assistant alone."""
    link = Link(port=port, framing=Framing.RTU, unit_id=252)
    async with async_get_temporary_unit(hass, link.params("127.0.0.1"), link.unit_id) as unit:
        await unit.read_holding_registers(*asked[0])
        started = process_time()
        for address, count in asked:
            await unit.read_holding_registers(address, count)
        return (process_time() - started) * 1000


class Served:
    """Inverters served by another process while the context is entered."""

    def __init__(self, count: int) -> None:
        self._command = (sys.executable, "-m", "scripts.benchmark_network", "serve", str(count))

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._process = subprocess.Popen(  # noqa: S603
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ports = [int(port) for port in self._line().split()]
        return self

    def __exit__(self, *_: object) -> None:
        """Cease to serve."""
        self._process.communicate()

    def asked(self) -> list[tuple[int, int]]:
        """Return the address and the count of the registers that were asked for since the last call."""
        print(file=self._process.stdin, flush=True)
        return [(address, words) for address, words in json.loads(self._line())]

    def _line(self) -> str:
        return "" if self._process.stdout is None else self._process.stdout.readline()


async def measure(count: int) -> dict[str, float]:
    """Return the figures of a home with some inverters in the network."""
    # The pause between two requests would only make the benchmark slow: it uses no processor.
    vars(network)["TIMING"] = Timing(spacing=0)
    with Served(count) as served, TemporaryDirectory() as name:
        async with home(Path(name)) as hass:
            await set_up(hass)
            await hass.async_start()
            for port in served.ports:
                await _add(hass, port)
            entry = Household(hass).entry
            inverters = [*entry.runtime_data.network.values()]
            served.asked()
            blocks = Blocks()
            for _ in range(POLLS):
                with blocks:
                    await asyncio.gather(*(inverter.async_refresh() for inverter in inverters))
            requests = served.asked()
            await hass.config_entries.async_unload(entry.entry_id)
            bare = await _bare(hass, served.ports[0], requests[: len(requests) // count])
    return {
        "requests": len(requests) / POLLS / count,
        "bytes": sum(OF_FRAMES + 2 * words for _, words in requests) / POLLS / count,
        "poll_ms": blocks.used * 1000 / POLLS,
        "bare_ms": bare / POLLS * count,
        "longest_block_ms": blocks.longest * 1000,
    }


def _rows(count: int) -> list[Row]:
    command = (sys.executable, "-m", "scripts.benchmark_network", "measure", str(count))
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    which = f"{count} inverter{'s' if count > 1 else ''} in the network"
    return [
        Row(f"{which}: requests of a poll, each", f"{found['requests']:.1f}", goal="at most 6"),
        Row(f"{which}: bytes of a poll, each", f"{found['bytes']:.0f}"),
        Row(
            f"{which}: processor time of a poll / the same requests with the library alone",
            f"{found['poll_ms']:.1f} ms",
            f"{found['poll_ms'] / found['bare_ms']:.2f}",
        ),
        Row(f"{which}: longest block of the event loop", f"{found['longest_block_ms']:.1f} ms", goal="5 ms"),
    ]


async def networks() -> list[Row]:
    """Measure homes with inverters in the network."""
    return [row for count in COUNTS for row in _rows(count)]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", number]:
            asyncio.run(serve(int(number)))
        case ["measure", number]:
            print(json.dumps(asyncio.run(measure(int(number)))))
