"""The blueprints that change an inverter, in a real Home Assistant with a simulated inverter."""

from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
import shutil
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
import pytest

from custom_components.mtec.const import DOMAIN
from tests.checkout import CHECKOUT
from tests.home import device
from tests.inverter_home import COMMANDED, GENERAL, TOLD, InverterHome, inverter_home

EVENING = datetime.fromisoformat("2024-06-12T22:15:00+00:00")


@pytest.fixture
async def house(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncGenerator[InverterHome]:
    hass.config.config_dir = str(tmp_path)
    blueprints = CHECKOUT / "blueprints" / "automation" / "mtec"
    shutil.copytree(blueprints, tmp_path / "blueprints" / "automation" / "mtec")
    async with inverter_home(hass, freezer, monkeypatch, EVENING) as home:
        yield home
        await hass.services.async_call(AUTOMATION, "turn_off", {"entity_id": "all"}, blocking=True)


async def automate(house: InverterHome, blueprint: str, **inputs: Any) -> None:
    """Set up an automation from a blueprint."""
    config = {"alias": "Cheap night", "use_blueprint": {"path": f"mtec/{blueprint}.yaml", "input": inputs}}
    assert await async_setup_component(house.hass, AUTOMATION, {AUTOMATION: [config]})
    await house.settle()


async def see(house: InverterHome, entity_id: str, state: str, after: timedelta = timedelta(seconds=5)) -> None:
    """Let an entity have a state, and some time pass."""
    house.hass.states.async_set(entity_id, state)
    await house.settle()
    await house.advance(after)


async def test_charge_at_a_low_price(house: InverterHome) -> None:
    house.hass.states.async_set("sensor.price", "0.30")
    await automate(
        house,
        "charge_at_low_price",
        inverter=device(house.hass, house.inverter.serial_number),
        price="sensor.price",
        low=0.15,
        state_of_charge=next(
            each.entity_id for each in house.hass.states.async_all() if "state_of_charge" in each.entity_id
        ),
        target=100,
        power=2500,
    )
    assert house.mode == GENERAL
    await see(house, "sensor.price", "0.10")
    assert (house.mode, house.register(TOLD)) == (COMMANDED, -250)
    (shown,) = [each for each in house.hass.states.async_all() if each.entity_id.endswith("battery_command")]
    assert shown.attributes["began_by"] == "Cheap night"
    await see(house, "sensor.price", "unavailable")
    assert house.mode == COMMANDED
    await see(house, "sensor.price", "0.20")
    assert house.mode == GENERAL


async def test_hold_the_battery_while_the_car_charges(house: InverterHome) -> None:
    house.hass.states.async_set("sensor.wallbox", "0")
    await automate(
        house,
        "hold_while_car_charges",
        inverter=device(house.hass, house.inverter.serial_number),
        car_power="sensor.wallbox",
        above=1000,
    )
    await see(house, "sensor.wallbox", "7000", timedelta(seconds=40))
    assert (house.mode, house.register(TOLD)) == (COMMANDED, 0)
    await see(house, "sensor.wallbox", "unavailable", timedelta(seconds=30))
    assert house.mode == COMMANDED
    await house.advance(timedelta(minutes=2))
    assert house.mode == GENERAL


async def test_limit_feeding_in_at_a_negative_price(house: InverterHome) -> None:
    def entity(domain: str, key: str) -> str | None:
        unique_id = f"{house.inverter.serial_number}_{key}"
        return er.async_get(house.hass).async_get_entity_id(domain, DOMAIN, unique_id)

    house.hass.states.async_set("sensor.price", "0.05")
    await automate(
        house,
        "limit_feed_in_at_negative_price",
        price="sensor.price",
        switch=entity("switch", "is_feed_in_limited"),
        limit=entity("number", "feed_in_limit"),
    )
    await see(house, "sensor.price", "-0.01")
    assert (house.register(25100), house.register(25103)) == (1, 0)
    await see(house, "sensor.price", "0.02")
    assert house.register(25100) == 0
