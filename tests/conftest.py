"""What the tests have in common: a simulated portal, and the integration set up against it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_EMAIL, CONF_URL
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec.config_flow import _digest
from custom_components.mtec.const import CONF_DIGEST, DOMAIN
from tests.portal_simulator import PortalSimulator

NOON = datetime(2026, 6, 15, 10, 2, 30, tzinfo=UTC)
"""A summer's day, in the middle of a five-minute step."""

VILLAGE = "village@example.com"


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None, enable_custom_integrations: None) -> None:
    """Let the tests talk to the simulator, and Home Assistant load the integration."""


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of the pacing have a pause; the others need not wait."""
    monkeypatch.setattr("custom_components.mtec.coordinator.PAUSE", 0)


@pytest.fixture
async def simulator() -> AsyncGenerator[PortalSimulator]:
    """A portal whose clock stands at noon."""
    async with PortalSimulator(seed=1, now=NOON) as portal:
        yield portal


type SetUp = Callable[..., Awaitable[MockConfigEntry]]


@pytest.fixture
def set_up(hass: HomeAssistant, simulator: PortalSimulator) -> SetUp:
    """Set up an account of the simulator."""

    async def set_up_account(
        email: str = VILLAGE, expected: ConfigEntryState = ConfigEntryState.LOADED
    ) -> MockConfigEntry:
        entry = MockConfigEntry(
            domain=DOMAIN,
            title=email,
            unique_id=f"{simulator.url.removeprefix('http://')}_{email}",
            data={
                CONF_URL: simulator.url,
                CONF_EMAIL: email,
                CONF_DIGEST: _digest(simulator.accounts[email].password),
            },
        )
        entry.add_to_hass(hass)
        await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
        assert entry.state is expected
        return entry

    return set_up_account
