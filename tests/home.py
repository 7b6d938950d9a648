"""A home whose clock is the portal's: Home Assistant with the integration, and time that a test moves."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
import logging
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_EMAIL, CONF_URL, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.mtec.const import CONF_DIGEST, DOMAIN, POLL_INTERVAL
from custom_components.mtec.portal import digest_of, rate_limiter
from tests.portal_simulator import Call, PlantDescription, PortalSimulator, plant_of

SEED = 1


@asynccontextmanager
async def portal_at(freezer: FrozenDateTimeFactory, now: datetime, generation: int) -> AsyncGenerator[PortalSimulator]:
    """Serve a portal that lives in the frozen time, which begins at `now`."""
    freezer.move_to(now)
    async with PortalSimulator(SEED, now, running=True) as portal:
        portal.speaks = {generation}
        portal.sleep = vars(rate_limiter)["sleep"]
        yield portal


def entry_at(url: str, email: str | None = None, password: str = "", **about: Any) -> MockConfigEntry:
    """Return the config entry of an account at a portal: as `about` says, or with the title that the dialog gives.

    Without an email it is the demo account.
    """
    login = {} if email is None else {CONF_EMAIL: email, CONF_DIGEST: digest_of(password)}
    unique_id = f"{url.partition('://')[2]}_{email or 'demo'}"
    return MockConfigEntry(
        **{"domain": DOMAIN, "title": email or "M-TEC demo", "unique_id": unique_id, "data": {CONF_URL: url} | login}
        | about
    )


async def add_account(hass: HomeAssistant, entry: MockConfigEntry) -> bool:
    """Add an account and set it up. Return whether it is set up."""
    entry.add_to_hass(hass)
    return await set_up(hass, entry)


async def set_up(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Set up an account, and wait for its first poll. Return whether it is set up."""
    is_set_up = await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    return is_set_up


async def reload(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Reload an account, and wait for its first poll. Return whether it is set up."""
    is_set_up = await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    return is_set_up


async def poll(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, times: int = 1, after: timedelta = POLL_INTERVAL
) -> None:
    """Let the poll interval pass."""
    for _ in range(times):
        freezer.tick(after + timedelta(seconds=1))
        async_fire_time_changed(hass)
        await hass.async_block_till_done(wait_background_tasks=True)


def device(hass: HomeAssistant, identifier: str) -> str:
    """Return the id of a device, by that of its station or inverter."""
    return dr.async_get(hass).async_get_devices(identifiers={(DOMAIN, identifier)})[0].id


@dataclass(frozen=True)
class Home:
    """Home Assistant, the portal, and their time."""

    hass: HomeAssistant
    freezer: FrozenDateTimeFactory
    simulator: PortalSimulator
    caplog: pytest.LogCaptureFixture

    async def poll(self, times: int = 1, after: timedelta = POLL_INTERVAL) -> None:
        """Let the poll interval pass."""
        await poll(self.hass, self.freezer, times, after)

    def value(self, entity_id: str) -> str:
        """Return the state of an entity that is there."""
        state = self.hass.states.get(entity_id)
        assert state is not None, entity_id
        return state.state

    def states(self) -> dict[str, State]:
        """Return all states by their entity."""
        return {state.entity_id: state for state in self.hass.states.async_all() if state.entity_id[:3] != "con"}

    def unavailable(self) -> set[str]:
        """Return the entities that have no value to show."""
        return {entity_id for entity_id, state in self.states().items() if state.state == STATE_UNAVAILABLE}

    def is_fresh(self, description: PlantDescription, entity_id: str) -> bool:
        """Return whether a PV power is the plant's of this moment, or of a moment ago."""
        now, plant = self.simulator.clock.now(), plant_of(description, SEED)
        shown = float(self.value(entity_id))
        return any(abs(shown - plant.power(moment).pv) < 1 for moment in (now, now - timedelta(minutes=5)))

    def complaints(self) -> list[str]:
        """Return what the log has of errors: warnings of ours, exceptions of anybody."""
        return [
            record.getMessage()
            for record in self.caplog.records
            if record.exc_info
            or (record.levelno >= logging.ERROR and record.name != "asyncio")
            or (
                (record.levelno >= logging.WARNING and record.name.startswith("custom_components"))
                and "has not been tested by Home Assistant" not in record.getMessage()
            )
        ]

    def said(self, text: str) -> int:
        """Return how many lines of the log have a text."""
        return sum(text in record.getMessage() for record in self.caplog.records)


def most_in(calls: Iterable[Call], seconds: float, counts: Callable[[Call], bool] = lambda _: True) -> int:
    """Return the most requests that began within any such time."""
    starts = [call.started for call in calls if counts(call)]
    return max(
        (
            sum(start <= other < start + seconds - 1e-6 for other in starts[index:])
            for index, start in enumerate(starts)
        ),
        default=0,
    )
