"""Inverters in the home network: their values beside the portal's, without a portal, and changes between the two."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigSubentryData
from homeassistant.const import CONF_HOST, CONF_MODEL, CONF_PORT, CONF_SCAN_INTERVAL
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec import network
from custom_components.mtec.const import (
    CONF_FRAMING,
    CONF_RATED_POWER,
    CONF_RELEASE,
    CONF_SERIAL_NUMBER,
    CONF_UNIT_ID,
    DOMAIN,
    GRACE_POLLS,
    NETWORK_INTERVAL,
    SUBENTRY_INVERTER,
)
from custom_components.mtec.local.exchange import Timing
from tests.conftest import GENERATION2
from tests.home import SEED, Home, add_account, entry_at
from tests.inverter_simulator import InverterSimulator
from tests.portal_simulator import HOUSE, PlantDescription, plant_of

SERIAL = HOUSE.inverters[0].serial
FAMILY = "family@example.com"

RTU_UNIT = 252

PV_POWER = "sensor.energy_butler_pv_power"
SOURCE = "sensor.energy_butler_source"


@pytest.fixture(autouse=True)
def _no_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between requests: the clock stands still while an inverter is read.

    For the same reason the simulated inverters speak Modbus/TCP, which needs no silence between frames.
    """
    monkeypatch.setattr(network, "TIMING", Timing(spacing=0))


@pytest.fixture
async def inverter(home: Home) -> AsyncGenerator[InverterSimulator]:
    """The house's inverter, in the time of the portal."""
    async with inverter_of(home) as simulator:
        yield simulator


@asynccontextmanager
async def inverter_of(
    home: Home, description: PlantDescription = HOUSE, serial_number: str | None = None, email: str = FAMILY
) -> AsyncGenerator[InverterSimulator]:
    """Serve an inverter of a plant that an account of the portal has."""
    stations = home.simulator.accounts[email].stations
    station = next((each for each in stations if each.description == description), None)
    async with InverterSimulator(
        description, serial_number, seed=SEED, clock=home.simulator.clock, station=station, framing="tcp"
    ) as simulator:
        yield simulator


def subentry(inverter: InverterSimulator, **about: Any) -> ConfigSubentryData:
    """Return what the dialog stores of an inverter."""
    return ConfigSubentryData(
        data={
            CONF_HOST: inverter.host,
            CONF_PORT: inverter.port,
            CONF_FRAMING: "rtu" if inverter.unit == RTU_UNIT else "tcp",
            CONF_UNIT_ID: inverter.unit,
            CONF_SERIAL_NUMBER: inverter.serial_number,
            CONF_MODEL: "8K-25",
            CONF_RATED_POWER: 8000.0,
            CONF_SCAN_INTERVAL: NETWORK_INTERVAL.seconds,
            CONF_RELEASE: False,
            **about,
        },
        subentry_type=SUBENTRY_INVERTER,
        title="Inverter in the cellar",
        unique_id=inverter.serial_number,
    )


def entry_with(home: Home, *inverters: InverterSimulator, email: str = FAMILY, **about: Any) -> MockConfigEntry:
    """Return the entry of an account with inverters in the network."""
    password = home.simulator.accounts[email].password
    return entry_at(
        home.simulator.url, email, password, title="Home", subentries_data=[*map(subentry, inverters)], **about
    )


def entry_without_account(*inverters: InverterSimulator) -> MockConfigEntry:
    """Return the entry of a home without an account."""
    return MockConfigEntry(domain=DOMAIN, title="Cellar", data={}, subentries_data=[*map(subentry, inverters)])


@GENERATION2
async def test_live_values_come_from_the_network_every_ten_seconds(home: Home, inverter: InverterSimulator) -> None:
    """The portal is asked every five minutes meanwhile, for what the network serves."""
    entry = entry_with(home, inverter)
    assert await add_account(home.hass, entry)
    assert home.value(SOURCE) == "network"
