"""Fixtures of all tests: a simulated portal, and the integration set up against it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
import logging
from math import ceil
import re
import time

import freezegun
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.portal import api_v2, rate_limiter
from tests.broker import Broker
from tests.home import Home, add_account, entry_at, portal_at
from tests.inverter_simulator import InverterSimulator
from tests.portal_simulator import PortalSimulator

NOON = datetime(2026, 6, 15, 10, 2, 30, tzinfo=UTC)
"""A summer's day, in the middle of a five-minute step."""

# The MQTT library waits in threads of its own: with a clock that stands still it would never connect again.
freezegun.configure(extend_ignore_list=["paho"])

DEPRECATED = re.compile(r"deprecated|will stop working|Detected that custom integration|Detected code that")
"""Log messages of Home Assistant about the use of something deprecated or internal."""

FAMILY = "family@example.com"
VILLAGE = "village@example.com"


@pytest.fixture(autouse=True)
def _ready(request: pytest.FixtureRequest, socket_enabled: None) -> None:
    """Let the tests talk to the simulator, and Home Assistant, in a test that has one, load the integration."""
    if "hass" in request.fixturenames:
        request.getfixturevalue("enable_custom_integrations")


@pytest.fixture(autouse=True)
def _nothing_deprecated(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which Home Assistant says that we use what will be gone."""
    yield
    said = {record.getMessage() for when in ("setup", "call") for record in caplog.get_records(when)}
    assert not [text for text in said if DOMAIN in text and DEPRECATED.search(text)]


WRITING_TESTS = {
    *("test_battery_commands", "test_battery_blueprints", "test_controls", "test_inverter_simulator", "test_killed"),
    *("test_random_commands", "test_settings"),
}
"""The tests in which a person has switched the settings of an inverter on, or the simulator is written to itself."""


@pytest.fixture(autouse=True)
def _nothing_written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which anything was written to a simulated inverter whose settings nobody has switched on."""
    simulators: list[InverterSimulator] = []
    start = InverterSimulator.start

    async def note_and_start(simulator: InverterSimulator) -> None:
        simulators.append(simulator)
        await start(simulator)

    monkeypatch.setattr(InverterSimulator, "start", note_and_start)
    yield
    if request.module.__name__.rpartition(".")[2] not in WRITING_TESTS:
        assert [write for simulator in simulators for write in simulator.writes] == []


@pytest.fixture(autouse=True)
def _no_pause(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of the pacing have a pause; the others need not wait.

    In a test with a frozen clock the event loop's clock stands still too: there waiting moves the clock.
    """
    monkeypatch.setattr("custom_components.mtec.portal_client.PAUSE", 0)
    if "freezer" not in request.fixturenames:
        monkeypatch.setattr(rate_limiter, "REQUESTS_A_MINUTE", 10_000)
        return
    freezer: FrozenDateTimeFactory = request.getfixturevalue("freezer")

    async def sleep(seconds: float) -> None:
        if seconds >= 5:
            # What is under way meanwhile, such as a connection to an inverter, takes real time, and less than that.
            await asyncio.to_thread(time.sleep, 0.02)
        # Rounded up: the frozen clock knows no part of a microsecond, and to wait for one would take for ever.
        freezer.tick(timedelta(microseconds=ceil(seconds * 1e6)))
        await asyncio.sleep(0)

    monkeypatch.setattr(rate_limiter, "sleep", sleep)


@pytest.fixture(params=[1, 2], ids=["generation1", "generation2"])
def generation(request: pytest.FixtureRequest) -> int:
    """The generation of the API that the portal speaks; a test of one alone is marked with GENERATION1 or 2."""
    number: int = request.param
    return number


GENERATION1 = pytest.mark.parametrize("generation", [1], indirect=True, ids=["generation1"])
GENERATION2 = pytest.mark.parametrize("generation", [2], indirect=True, ids=["generation2"])


@pytest.fixture
def now() -> datetime:
    """The moment at which a test begins."""
    return NOON


@pytest.fixture
async def simulator(
    request: pytest.FixtureRequest, generation: int, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[PortalSimulator]:
    """A portal whose clock stands still; what today is, it tells its clients. In a home it lives in the frozen time."""
    if "home" in request.fixturenames:
        async with portal_at(request.getfixturevalue("freezer"), now, generation) as portal:
            yield portal
        return
    async with PortalSimulator(seed=1, now=now) as portal:
        portal.speaks = {generation}
        monkeypatch.setattr(api_v2, "_now", lambda zone: portal.clock.now().astimezone(zone))
        yield portal


@pytest.fixture
async def home(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, caplog: pytest.LogCaptureFixture
) -> Home:
    """A home whose clock is the portal's."""
    await hass.config.async_set_time_zone("Europe/Berlin")
    caplog.set_level(logging.INFO)
    return Home(hass, freezer, simulator, caplog)


type SetUp = Callable[..., Awaitable[MockConfigEntry]]


@pytest.fixture
def set_up(hass: HomeAssistant, simulator: PortalSimulator) -> SetUp:
    """Set up an account of the simulator."""

    async def set_up_account(
        email: str = VILLAGE, expected: ConfigEntryState = ConfigEntryState.LOADED
    ) -> MockConfigEntry:
        entry = entry_at(simulator.url, email, simulator.accounts[email].password)
        await add_account(hass, entry)
        assert entry.state is expected
        return entry

    return set_up_account


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of the tests of a module."""
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.kill()


@pytest.fixture
async def broker(own_broker: Broker) -> AsyncGenerator[Broker]:
    """A broker that is running."""
    async with own_broker.lent():
        yield own_broker
