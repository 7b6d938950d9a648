"""Every fault of the portal, and what a person with a home notices of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
import socket
import subprocess
import sys

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.json import json_bytes
import pytest

from custom_components.mtec.const import GRACE_POLLS, LOOKUP_INTERVAL
from custom_components.mtec.diagnostics import async_get_config_entry_diagnostics
from custom_components.mtec.portal.rate_limiter import REQUESTS_A_MINUTE
from tests.conftest import FAMILY, GENERATION1, NOON, VILLAGE, SetUp
from tests.energies import SHOWN_ENERGIES
from tests.home import SEED, Home, add_account, entry_at, most_in
from tests.portal_simulator import BARN, FAULTS, HOUSE, Call, PortalSimulator, plant_of

HOUSE_POWER = "sensor.haus_am_see_pv_power"
HOUSE_TODAY = "sensor.haus_am_see_pv_energy_today"
HOUSE_INVERTER = "sensor.energy_butler_battery_power"
BARN_POWER = "sensor.stall_sud_muller_pv_power"
BARN_INVERTER = "sensor.eb031p2308290046_pv1_power"

STATION_NOW = {1: "getSingleStationDataV2", 2: "getSingleStationOverview"}


# One request fails


NOT_NOTICED = {
    "busy",
    "code_as_number",
    "expired",
    "http_500",
    "http_502",
    "http_503",
    "login_refused",
    "slow",
    "text_with_units",
    "too_many",
    "wrong_clock",
}
"""Faults that do not even delay the values, if they strike one request."""


@pytest.mark.parametrize("name", sorted(FAULTS))
async def test_one_failing_request_is_not_noticed(home: Home, set_up: SetUp, generation: int, name: str) -> None:
    """Every value stays or is the present one, and a few minutes later all are the present ones."""
    await set_up(FAMILY)
    simulator = home.simulator
    before = home.value(HOUSE_POWER)
    if name in {"login_refused", "maintenance"}:
        simulator.expire_tokens()
        simulator.faults.add(name, times=1)
    else:
        simulator.faults.add(name, matching=STATION_NOW[generation], times=1)
    await home.poll(after=timedelta(minutes=10))

    assert simulator.faults.struck[name] == 1
    assert not home.unavailable()
    fresh = home.is_fresh(HOUSE, HOUSE_POWER)
    if name == "login_refused":
        assert home.value(HOUSE_POWER) == before
    elif name in NOT_NOTICED:
        assert fresh
    elif name != "yesterday":
        assert fresh or home.value(HOUSE_POWER) in {before, "unknown"}
    simulator.faults.clear()
    await home.poll(3)
    assert not home.unavailable()
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert home.complaints() == []
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE


# One station's requests fail for long

FAILING = (
    *("busy", "http_500", "http_502", "http_503", "too_many", "retry_after"),
    *("page", "truncated", "malformed", "reset", "hang"),
)
"""Faults because of which a request brings nothing."""


def _two_stations(simulator: PortalSimulator) -> None:
    del simulator.accounts[VILLAGE].stations[2:]


@pytest.mark.parametrize(
    ("generation", "name"),
    [(1, name) for name in FAILING] + [(2, "page"), (2, "malformed")],
    indirect=["generation"],
)
async def test_failing_station_is_unavailable_alone(home: Home, set_up: SetUp, generation: int, name: str) -> None:
    """It keeps its values for three polls; all else is polled on. Said once, and once when it is back."""
    simulator = home.simulator
    _two_stations(simulator)
    await set_up()
    simulator.faults.add(name, matching=STATION_NOW[generation] + f" {{'id': '{HOUSE.station_id}'")
    before = home.value(HOUSE_POWER)

    await home.poll(GRACE_POLLS)
    assert home.value(HOUSE_POWER) == before
    assert not home.unavailable()
    assert home.complaints() == []

    await home.poll(5 if name == "retry_after" else 2)
    assert HOUSE_POWER in home.unavailable()
    assert all("haus_am_see" in entity_id for entity_id in home.unavailable())
    # Today's energies come from the month's rows too.
    assert HOUSE_TODAY not in home.unavailable()
    assert home.said("Haus am See is unavailable") == 1
    home.freezer.tick(timedelta(hours=1))
    await home.poll(3)
    assert home.is_fresh(BARN, BARN_POWER)
    assert home.is_fresh(BARN, BARN_INVERTER)
    assert home.said("is unavailable") == 1

    simulator.faults.clear()
    await home.poll(4)
    assert not home.unavailable()
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert home.said("Haus am See is available again") == 1
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE
    assert most_in(simulator.requests, 3600, is_login) <= 10


async def test_half_a_character_in_a_name_can_be_stored(home: Home, set_up: SetUp) -> None:
    """Or no integration's devices and states would be saved any more. The diagnostics can be sent, too."""
    simulator = home.simulator
    [house] = simulator.accounts[FAMILY].stations
    house.description = replace(
        house.description,
        name="Solar \ud83c",
        inverters=tuple(replace(each, name="\ude00 Keller", model="\ud83d") for each in house.description.inverters),
    )
    entry = await set_up(FAMILY)
    devices = dr.async_entries_for_config_entry(dr.async_get(home.hass), entry.entry_id)
    assert "Solar \ufffd" in {device.name for device in devices}
    assert json_bytes([device.dict_repr for device in devices])
    assert json_bytes([state.as_dict() for state in home.hass.states.async_all()])
    assert json_bytes(await async_get_config_entry_diagnostics(home.hass, entry))
    assert json_bytes({"data": dict(entry.data), "options": dict(entry.options)})
    await home.poll(3)
    assert home.complaints() == []


# Everything fails for long


@pytest.mark.parametrize(
    ("generation", "name"),
    [(1, name) for name in (*FAILING, "expired")] + [(2, "expired")],
    indirect=["generation"],
)
async def test_failing_portal_is_left_in_peace(home: Home, set_up: SetUp, generation: int, name: str) -> None:
    """Values stay for three polls; then all is unavailable. Said once, and once when it is back."""
    simulator = home.simulator
    await set_up(FAMILY)
    before = {entity_id: state.state for entity_id, state in home.states().items()}
    home.freezer.tick(timedelta(minutes=2))
    simulator.faults.add(name)
    await home.poll(GRACE_POLLS)
    assert not home.unavailable()
    assert home.value(HOUSE_TODAY) == before[HOUSE_TODAY]

    asked = len(simulator.requests)
    await home.poll(40)
    assert home.unavailable() == home.states().keys()
    assert home.said("The portal gives no values at the moment") == 1
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE
    assert most_in(simulator.requests, 3600, is_login) <= 10
    if name in {"busy", "http_500", "http_502", "http_503", "too_many"}:
        assert len(simulator.requests) - asked < 40

    simulator.faults.clear()
    await home.poll(17)
    assert not home.unavailable()
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert sum("gives no values" in line for line in home.complaints()) <= 1
    assert len(home.complaints()) <= 2, home.complaints()


def is_login(call: Call) -> bool:
    return "/login" in call.path


# What the portal says is wrong

NIGHT = datetime(2026, 6, 15, 21, 58, 30, tzinfo=UTC)
"""A minute and a half before the plant's midnight."""


async def test_stations_come_and_go(home: Home, set_up: SetUp) -> None:
    """A station that the portal forgets at one look-up is unavailable alone, and comes back as it was."""
    simulator = home.simulator
    _two_stations(simulator)
    await set_up()
    entities = home.states().keys()
    simulator.faults.add("stations_gone", since=NOON, until=NOON + timedelta(hours=5), probability=0.5, seed=3)
    for _ in range(6):
        await home.poll(after=LOOKUP_INTERVAL)
        await home.poll(3)
    assert simulator.faults.struck["stations_gone"]
    assert home.states().keys() == entities
    await home.poll(2, after=LOOKUP_INTERVAL)
    assert not home.unavailable()
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert home.is_fresh(BARN, BARN_POWER)
    assert not [line for line in home.complaints() if "is unavailable" not in line and "gives no values" not in line]


async def test_hole_in_a_list_loses_nothing(home: Home, set_up: SetUp) -> None:
    """A look-up that leaves out a station, or an inverter, is done again at the next poll."""
    _two_stations(home.simulator)
    await set_up()
    inverters = home.simulator.accounts[VILLAGE].stations[0].inverters
    inverter = inverters.pop()
    house = home.simulator.accounts[VILLAGE].stations.pop(0)
    await home.poll(after=LOOKUP_INTERVAL)
    home.simulator.accounts[VILLAGE].stations.insert(0, house)
    await home.poll()
    inverters.append(inverter)
    await home.poll()
    assert not home.unavailable()
    looked_up = sum("RunningOverview" in call.path or "getPage" in call.path for call in home.simulator.requests)
    await home.poll(3)
    assert looked_up == 4
    assert looked_up == sum("RunningOverview" in c.path or "getPage" in c.path for c in home.simulator.requests)
    assert home.complaints() == []


@pytest.mark.parametrize("name", ["zero_energies", "yesterday"])
async def test_energies_of_another_time_are_not_shown(home: Home, set_up: SetUp, name: str) -> None:
    """All energies drop to 0 for a few polls, or are of yesterday for hours: each stays, and goes on as the plant."""
    simulator = home.simulator
    await set_up(FAMILY)
    await home.poll()
    simulator.faults.add(name)
    shown = {entity_id: float(home.value(entity_id)) for entity_id in SHOWN_ENERGIES}
    await home.poll(3)
    await home.poll(4, after=timedelta(minutes=20 if name == "yesterday" else 1))
    for entity_id, value in shown.items():
        assert float(home.value(entity_id)) == pytest.approx(value, abs=0.001)
    simulator.faults.clear()
    await home.poll(8, after=timedelta(minutes=3))
    assert float(home.value(HOUSE_TODAY)) == pytest.approx(_pv_today(home), abs=0.2)
    assert float(home.value(HOUSE_TODAY)) <= _pv_today(home) + 0.01
    assert not home.unavailable()
    assert home.complaints() == []


def _pv_today(home: Home) -> float:
    plant, now = plant_of(HOUSE, SEED), home.simulator.clock.now()
    return plant.energy(plant.day_start(plant.local_date(now)), now).pv


async def test_late_reset_is_waited_for(home: Home, set_up: SetUp) -> None:
    """Today's energy is that of yesterday until 20 minutes after midnight: it is shown as yesterday's until then."""
    home.freezer.move_to(NIGHT)
    await set_up(FAMILY)
    home.simulator.faults.add("late_reset")
    yesterday = home.value(HOUSE_TODAY)
    assert float(yesterday) > 5
    for _ in range(18):
        await home.poll()
        assert home.value(HOUSE_TODAY) == yesterday
    # The rows, which say of which day they are, come every five minutes.
    await home.poll(10)
    assert home.value(HOUSE_TODAY) == "0.0"
    states = home.states()
    assert states[HOUSE_TODAY].attributes["last_reset"] == "2026-06-16T00:00:00+02:00"
    assert home.complaints() == []


async def test_wrong_clock_changes_nothing(home: Home, set_up: SetUp) -> None:
    """Neither a portal whose Date and time are off, nor Home Assistant's clock being hours away from the portal's."""
    await set_up(FAMILY)
    home.simulator.faults.add("wrong_clock")
    home.simulator.clock.advance(timedelta(hours=2))
    await home.poll(3)
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert home.complaints() == []


@pytest.mark.parametrize("name", ["wrong_types", "missing_nodes", "null_nodes"])
async def test_answers_with_holes(home: Home, set_up: SetUp, name: str) -> None:
    """A value that is left out stays for three polls as it was, and nothing that makes no sense is shown."""
    simulator = home.simulator
    await set_up(FAMILY)
    simulator.faults.add(name, probability=0.7, seed=5)
    for _ in range(25):
        await home.poll()
        assert all(state.state != "nan" for state in home.states().values())
    simulator.faults.clear()
    await home.poll(2)
    await home.poll(after=LOOKUP_INTERVAL)
    await home.poll(2)
    assert not home.unavailable()
    assert "unknown" not in {state.state for state in home.states().values()}
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert all("is unavailable" in line or "gives no values" in line for line in home.complaints())


# Signing in


async def test_maintenance_does_not_ask_for_a_password(home: Home, set_up: SetUp) -> None:
    """Logins are refused for some minutes and then accepted: nobody is asked, all goes on by itself."""
    await set_up(FAMILY)
    now = home.simulator.clock.now()
    home.simulator.faults.add("maintenance", until=now + timedelta(minutes=5))
    await home.poll(20)
    assert home.simulator.faults.struck["maintenance"]
    assert not home.unavailable()
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert not home.hass.config_entries.flow.async_progress()


async def test_refused_logins_ask_the_person(home: Home, set_up: SetUp) -> None:
    """The third refusal in a row is the last attempt."""
    entry = await set_up(FAMILY)
    simulator = home.simulator
    logins = sum(map(is_login, simulator.requests))
    simulator.faults.add("login_refused")
    simulator.expire_tokens()
    await home.poll(60, after=timedelta(minutes=5))
    assert sum(map(is_login, simulator.requests)) - logins == 3
    assert [flow["context"]["source"] for flow in home.hass.config_entries.flow.async_progress()] == ["reauth"]
    assert home.unavailable() == home.states().keys()
    assert entry.state is ConfigEntryState.LOADED


async def test_refused_logins_ask_the_person_before_the_next_listing(home: Home, set_up: SetUp) -> None:
    """The refusal that a reading meets concerns the whole account: all of it is unavailable."""
    await set_up(FAMILY)
    home.simulator.faults.add("login_refused")
    home.simulator.expire_tokens()
    await home.poll(8, after=timedelta(minutes=5))
    assert [flow["context"]["source"] for flow in home.hass.config_entries.flow.async_progress()] == ["reauth"]
    assert home.unavailable() == home.states().keys()
    assert home.said("is unavailable") == 0


# The way to the portal


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names that Home Assistant can resolve, each to this machine; a test takes them away and gives them back."""
    known: set[str] = set()

    async def resolve(
        self: AbstractResolver, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in known:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    monkeypatch.setattr(AsyncResolver, "resolve", resolve)
    return known


@GENERATION1
async def test_name_that_does_not_resolve(home: Home, names: set[str]) -> None:
    """DNS fails for a while: values stay for three polls, then are unavailable, and come back."""
    names.add("portal.example")
    simulator = home.simulator
    entry = entry_at(simulator.url.replace("127.0.0.1", "portal.example"), FAMILY, "sunshine")
    await add_account(home.hass, entry)
    before = home.value(HOUSE_POWER)
    names.clear()
    # What is connected needs no name: the portal closes its connections.
    simulator.faults.add("reset", times=1)
    await home.poll(GRACE_POLLS)
    assert home.value(HOUSE_POWER) == before
    await home.poll(4)
    assert home.unavailable() == home.states().keys()
    assert len(home.complaints()) == 1
    assert "The portal cannot be reached" in home.complaints()[0]
    names.add("portal.example")
    await home.poll(2)
    assert not home.unavailable()


@contextmanager
def _impostor() -> Iterator[str]:
    """Run a portal whose certificate nobody trusts, by itself: Home Assistant hears of none of its exceptions."""
    command = [sys.executable, "-m", "tests.portal_simulator", "--tls", "--faults", "busy=0.5,page"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@GENERATION1
async def test_certificate_that_nobody_trusts(home: Home) -> None:
    """The integration does not talk to such a portal, and says so without an exception."""
    with _impostor() as url:
        assert url.startswith("https:")
        entry = entry_at(url, FAMILY, "sunshine")
        await add_account(home.hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert "certificate" in (entry.reason or "")
    assert home.complaints() == []


@GENERATION1
async def test_portal_without_tls_where_tls_is_asked_for(home: Home) -> None:
    entry = entry_at(home.simulator.url.replace("http:", "https:"), FAMILY, "sunshine")
    await add_account(home.hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert home.complaints() == []


# How faults are told


@pytest.mark.usefixtures("home")
@GENERATION1
async def test_faults_strike_as_they_are_told(simulator: PortalSimulator, freezer: FrozenDateTimeFactory) -> None:
    """The next requests, those to a path, those in a time, some at random from a seed; several at once."""

    async def codes(count: int) -> list[str]:
        async with aiohttp.ClientSession() as http:
            answers = []
            for number in range(count):
                path = "basePowerStationInfo/getRunningOverview" if number % 2 else "device/getDeviceDataV3"
                async with http.get(f"{simulator.url}/api/sys/{path}") as response:
                    answers.append(f"{response.status}{path[0]}")
        return answers

    simulator.faults.add("http_500", times=2)
    assert await codes(4) == ["500d", "500b", "200d", "200b"]
    simulator.faults.add("http_502", matching="RunningOverview")
    assert await codes(4) == ["200d", "502b", "200d", "502b"]
    simulator.faults.clear()

    simulator.faults.add("http_503", since=NOON + timedelta(minutes=1), until=NOON + timedelta(minutes=2))
    assert "503d" not in await codes(1)
    freezer.tick(60)
    assert "503d" in await codes(1)
    freezer.tick(60)
    assert "503d" not in await codes(1)
    simulator.faults.clear()

    def some(seed: int) -> list[str]:
        simulator.faults.add("busy", probability=0.3, seed=seed)
        simulator.faults.add("code_as_number", probability=0.5, seed=seed)
        plans = [
            simulator.faults.strike(simulator, Call("GET", f"/{n}", {}, {}, 0.0), None, asyncio.sleep)  # type: ignore[arg-type]
            for n in range(50)
        ]
        simulator.faults.clear()
        return [" ".join(strike.fault.about for strike in strikes) for strikes in plans]

    assert some(1) == some(1) != some(2)
    assert len(set(some(1))) == 4


async def test_several_faults_at_once(home: Home, set_up: SetUp) -> None:
    """A tenth of all requests fails, in all ways there are: most values are there at all times, all are afterwards."""
    simulator = home.simulator
    await set_up(FAMILY)
    for name, fault in FAULTS.items():
        if name not in {"login_refused", "maintenance", "expired"}:
            simulator.faults.add(name, probability=0.002 if fault.lasts else 0.005, seed=9)
    missing = 0
    for _ in range(90):
        await home.poll()
        missing += len(home.unavailable())
    assert len(simulator.faults.struck) > 5
    assert missing < 0.03 * 90 * len(home.states())
    simulator.faults.clear()
    await home.poll(3)
    assert not home.unavailable()
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert all("is unavailable" in line or "gives no values" in line for line in home.complaints())
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE
