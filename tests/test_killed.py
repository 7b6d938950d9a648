"""Home Assistant is killed (SIGKILL) at each step of each command to a battery, and started again."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
import json
from pathlib import Path
import sys
from typing import Any

from homeassistant.const import CONF_HOST, CONF_MODEL, CONF_PORT, CONF_SCAN_INTERVAL
import pytest

from custom_components.mtec.const import (
    CONF_FRAMING,
    CONF_RATED_POWER,
    CONF_SERIAL_NUMBER,
    CONF_SETTINGS,
    CONF_UNIT_ID,
    DOMAIN,
    SUBENTRY_INVERTER,
)
from tests.checkout import CHECKOUT
from tests.inverter_home import COMMANDED, GENERAL, MODE, TOLD
from tests.inverter_simulator import InverterSimulator, Request

HOUR = {"duration": 3600}
COMMANDS: dict[str, dict[str, Any]] = {
    "charge": {"action": "charge_battery", "power": 3000, **HOUR},
    "discharge": {"action": "discharge_battery", "power": 2000, **HOUR},
    "hold": {"action": "hold_battery", **HOUR},
}
TOLD_POWERS = {"charge": -300, "discharge": 200, "hold": 0}
END = {"action": "end_battery_command"}
SETTINGS_OF_PERSON = {25100: 1, 25103: 700, 52502: 1, 52503: 350, 52601: 400}


def store(folder: Path, key: str, data: Any, minor_version: int = 1, version: int = 1) -> None:
    """Write a file of Home Assistant's storage."""
    (folder / ".storage").mkdir(exist_ok=True)
    content = {"version": version, "minor_version": minor_version, "key": key, "data": data}
    (folder / ".storage" / key).write_text(json.dumps(content), encoding="utf-8")


def commands_in(folder: Path) -> list[dict[str, Any]]:
    """Return the commands that are stored."""
    path = folder / ".storage" / f"{DOMAIN}.battery_commands"
    if not path.exists():
        return []
    stored: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["data"]["commands"]
    return stored


def prepare(folder: Path, inverter: InverterSimulator) -> None:
    """Let a folder have a home with an inverter whose settings may be changed."""
    now = datetime.now(UTC).isoformat()
    subentry = {
        "data": {
            CONF_HOST: inverter.host,
            CONF_PORT: inverter.port,
            CONF_FRAMING: "tcp",
            CONF_UNIT_ID: inverter.unit,
            CONF_SERIAL_NUMBER: inverter.serial_number,
            CONF_MODEL: "8K-25",
            CONF_RATED_POWER: 8000.0,
            CONF_SCAN_INTERVAL: 5,
            CONF_SETTINGS: True,
        },
        "subentry_id": "inverter",
        "subentry_type": SUBENTRY_INVERTER,
        "title": "Inverter",
        "unique_id": inverter.serial_number,
    }
    entry: dict[str, Any] = {
        "created_at": now,
        "data": {},
        "disabled_by": None,
        "discovery_keys": {},
        "domain": DOMAIN,
        "entry_id": "cellar",
        "minor_version": 1,
        "modified_at": now,
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "subentries": [subentry],
        "title": "Cellar",
        "unique_id": None,
        "version": 1,
    }
    store(folder, "core.config_entries", {"entries": [entry]}, minor_version=5)


@dataclass
class Running:
    """A Home Assistant that runs as a process."""

    process: asyncio.subprocess.Process

    async def wait_for(self, line: str) -> None:
        """Wait until it says something. Fails if it ends before."""
        assert self.process.stdout is not None
        async with asyncio.timeout(120):
            while (said := (await self.process.stdout.readline()).decode().strip()) != line:
                assert said, "it has ended"

    async def ended(self) -> None:
        """Wait until it has ended."""
        async with asyncio.timeout(120):
            await self.process.wait()

    async def stop(self) -> None:
        """Stop it as a person does."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        await self.wait_for("stopped")
        await self.ended()

    def kill(self) -> None:
        """Kill it."""
        if self.process.returncode is None:
            self.process.kill()


@asynccontextmanager
async def running(folder: Path, *actions: dict[str, Any]) -> AsyncGenerator[Running]:
    """Start Home Assistant, and let it call actions."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.run_home", str(folder), json.dumps(actions)),
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    home = Running(process)
    try:
        yield home
    finally:
        home.kill()
        await process.wait()


@pytest.fixture
async def inverter(tmp_path: Path) -> AsyncGenerator[InverterSimulator]:
    async with InverterSimulator(
        now=datetime(2024, 6, 12, 22, 15, tzinfo=UTC), running=True, framing="tcp"
    ) as inverter:
        for address, value in SETTINGS_OF_PERSON.items():
            inverter.change(address, value)
        prepare(tmp_path, inverter)
        yield inverter


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not condition():
            await asyncio.sleep(0.02)


def is_as_the_person_left_it(inverter: InverterSimulator) -> bool:
    return inverter.settings[MODE] == GENERAL and all(
        inverter.settings[address] == value for address, value in SETTINGS_OF_PERSON.items()
    )


STEPS = [(command, step) for command in COMMANDS for step in ((1, 2) if command != "hold" else (1,))]


@pytest.mark.parametrize("answered", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize(("command", "step"), STEPS)
async def test_killed_while_it_begins(
    tmp_path: Path, inverter: InverterSimulator, command: str, step: int, answered: bool
) -> None:
    """Nobody was told that it has begun: the next start brings the inverter back."""
    await _killed_at(tmp_path, inverter, step, COMMANDS[command], answered=answered)
    stored = commands_in(tmp_path)
    assert [each["phase"] for each in stored] == ["starting"]
    async with running(tmp_path) as home:
        await home.wait_for("started")
        await until(lambda: commands_in(tmp_path) == [])
        assert is_as_the_person_left_it(inverter)
        await home.stop()
    assert is_as_the_person_left_it(inverter)


@pytest.mark.parametrize("command", COMMANDS)
async def test_killed_while_it_is_on(tmp_path: Path, inverter: InverterSimulator, command: str) -> None:
    """The next start goes on with it; the stop of that one ends it."""
    async with running(tmp_path, COMMANDS[command]) as home:
        await home.wait_for("done")
        home.kill()
        await home.ended()
    assert (inverter.settings[MODE], inverter.settings[TOLD]) == (COMMANDED, TOLD_POWERS[command])
    written = len(inverter.writes)
    async with running(tmp_path) as home:
        await home.wait_for("done")
        reads = len(inverter.requests)
        await until(lambda: len(inverter.requests) > reads + 10)
        assert inverter.settings[MODE] == COMMANDED
        assert len(inverter.writes) == written
        await home.stop()
    assert is_as_the_person_left_it(inverter)
    assert commands_in(tmp_path) == []


@pytest.mark.parametrize("command", COMMANDS)
async def test_killed_while_it_is_on_and_started_after_its_time(
    tmp_path: Path, inverter: InverterSimulator, command: str
) -> None:
    async with running(tmp_path, COMMANDS[command]) as home:
        await home.wait_for("done")
        home.kill()
        await home.ended()
    (stored,) = commands_in(tmp_path)
    for name in ("began", "until"):
        stored[name] = (datetime.fromisoformat(stored[name]) - timedelta(hours=2)).isoformat()
    store(tmp_path, f"{DOMAIN}.battery_commands", {"commands": [stored], "seen_modes": {}})
    async with running(tmp_path) as home:
        await until(lambda: commands_in(tmp_path) == [])
        assert is_as_the_person_left_it(inverter)
        home.kill()
    assert is_as_the_person_left_it(inverter)


@pytest.mark.parametrize("answered", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize(
    ("command", "step"), [("charge", 3), ("charge", 4), ("discharge", 3), ("discharge", 4), ("hold", 2)]
)
async def test_killed_while_it_ends(
    tmp_path: Path, inverter: InverterSimulator, command: str, step: int, answered: bool
) -> None:
    await _killed_at(tmp_path, inverter, step, COMMANDS[command], END, answered=answered)
    assert [each["phase"] for each in commands_in(tmp_path)] == ["ending"]
    async with running(tmp_path) as home:
        await home.wait_for("started")
        await until(lambda: commands_in(tmp_path) == [])
        assert is_as_the_person_left_it(inverter)
        await home.stop()
    assert is_as_the_person_left_it(inverter)


async def _killed_at(
    folder: Path, inverter: InverterSimulator, step: int, *actions: dict[str, Any], answered: bool
) -> None:
    """Start Home Assistant, and kill it at a write: when it has arrived, or when it has been carried out."""
    async with running(folder, *actions) as home:
        if answered:

            def kill(_: Request) -> None:
                if len(inverter.writes) == step:
                    home.kill()

            inverter.after_answer = kill
        else:
            inverter.faults.add("reset", matching=lambda request: request.is_write and _kill_at(request))

            def _kill_at(_: Request) -> bool:
                if len(inverter.writes) != step:
                    return False
                home.kill()
                return True

        await home.ended()
    inverter.after_answer = lambda _: None
    inverter.faults.clear()
    assert len(inverter.writes) == step
