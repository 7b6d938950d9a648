"""A home with the house's inverter in the network, whose settings may be changed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigSubentryData
from homeassistant.const import CONF_HOST, CONF_MODEL, CONF_PORT, CONF_SCAN_INTERVAL
from homeassistant.core import HomeAssistant
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.mtec import network
from custom_components.mtec.battery import connection
from custom_components.mtec.const import (
    CONF_FRAMING,
    CONF_RATED_POWER,
    CONF_SERIAL_NUMBER,
    CONF_SETTINGS,
    CONF_UNIT_ID,
    DOMAIN,
    NETWORK_INTERVAL,
    SUBENTRY_INVERTER,
)
from custom_components.mtec.local import controls
from custom_components.mtec.local.exchange import Timing
from tests.inverter_simulator import InverterSimulator

MODE, TOLD = 50000, 50207
GENERAL, COMMANDED = 257, 771


def let_time_pass_by_waiting(freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waiting between writes move the time, which stands still otherwise, and do not wait between requests."""

    async def sleep(seconds: float) -> None:
        freezer.tick(timedelta(microseconds=ceil(seconds * 1e6)))
        await asyncio.sleep(0)

    monkeypatch.setattr(controls, "sleep", sleep)
    for module in (network, connection):
        monkeypatch.setattr(module, "TIMING", Timing(spacing=0))


def inverter_subentry(inverter: InverterSimulator, *, settings: bool = True) -> ConfigSubentryData:
    """Return what the dialogs store of an inverter whose settings may be changed, or may not."""
    return ConfigSubentryData(
        data={
            CONF_HOST: inverter.host,
            CONF_PORT: inverter.port,
            CONF_FRAMING: "tcp",
            CONF_UNIT_ID: inverter.unit,
            CONF_SERIAL_NUMBER: inverter.serial_number,
            CONF_MODEL: "8K-25",
            CONF_RATED_POWER: 8000.0,
            CONF_SCAN_INTERVAL: NETWORK_INTERVAL.seconds,
            CONF_SETTINGS: settings,
        },
        subentry_type=SUBENTRY_INVERTER,
        title="Inverter",
        unique_id=inverter.serial_number,
    )


def inverter_entry(inverter: InverterSimulator, *, settings: bool = True) -> MockConfigEntry:
    """Return the entry of a home without an account."""
    subentries = [inverter_subentry(inverter, settings=settings)]
    return MockConfigEntry(domain=DOMAIN, title="Cellar", data={}, subentries_data=subentries)


@dataclass
class InverterHome:
    """Home Assistant with an inverter, whose time stands still until a test moves it."""

    hass: HomeAssistant
    freezer: FrozenDateTimeFactory
    inverter: InverterSimulator
    entry: MockConfigEntry

    async def settle(self) -> None:
        """Wait for all that is under way."""
        await self.hass.async_block_till_done(wait_background_tasks=True)

    async def set_up(self) -> None:
        """Set up the home, and wait for what is read first."""
        assert await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.settle()

    async def advance(self, time: timedelta = NETWORK_INTERVAL, steps: int = 1) -> None:
        """Let time pass."""
        for _ in range(steps):
            self.freezer.tick(time + timedelta(seconds=1))
            async_fire_time_changed(self.hass)
            await self.settle()

    async def act(self, action: str, **data: Any) -> Any:
        """Call an action of ours, and return its response."""
        return await self.hass.services.async_call(DOMAIN, action, data, blocking=True, return_response=True)

    async def call(self, domain: str, service: str, entity_id: str, **data: Any) -> None:
        """Call an action of an entity."""
        await self.hass.services.async_call(domain, service, {"entity_id": entity_id, **data}, blocking=True)

    def value(self, entity_id: str) -> str:
        """Return the state of an entity that is there."""
        state = self.hass.states.get(entity_id)
        assert state is not None, [each.entity_id for each in self.hass.states.async_all()]
        return state.state

    def register(self, address: int) -> int:
        """Return what the inverter has in a register."""
        return self.inverter.settings[address]

    @property
    def mode(self) -> int:
        """The mode of the inverter."""
        return self.register(MODE)


@asynccontextmanager
async def inverter_home(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
    now: datetime,
    *,
    settings: bool = True,
) -> AsyncGenerator[InverterHome]:
    """Provide a home that is set up, and its inverter."""
    freezer.move_to(now)
    let_time_pass_by_waiting(freezer, monkeypatch)
    async with InverterSimulator(now=now, running=True, framing="tcp") as inverter:
        inverter.settings.settling = 0.0
        entry = inverter_entry(inverter, settings=settings)
        entry.add_to_hass(hass)
        home = InverterHome(hass, freezer, inverter, entry)
        await home.set_up()
        yield home
        await home.settle()
        if hass.config_entries.async_get_entry(entry.entry_id) is not None:
            await hass.config_entries.async_unload(entry.entry_id)
        await home.settle()
