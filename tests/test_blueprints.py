"""The blueprints for automations, in a real Home Assistant."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
import re
import shutil
from typing import Any

from homeassistant.components import persistent_notification
from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant, State
from homeassistant.setup import async_setup_component
from homeassistant.util import yaml as yaml_util
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events, async_fire_time_changed

from custom_components.mtec.const import DOMAIN
from tests.checkout import VERSIONS
from tests.conftest import FAMILY, GENERATION1, GENERATION2, SetUp
from tests.home import Home

BLUEPRINTS = Path(__file__).parent.parent / "blueprints" / "automation" / "mtec"

OUTAGE = "binary_sensor.haus_am_see_grid_outage"
GRID_POWER = "sensor.haus_am_see_grid_power"
BATTERY_POWER = "sensor.haus_am_see_battery_power"
STATE_OF_CHARGE = "sensor.haus_am_see_battery_state_of_charge"
LOAD = "input_boolean.heating_rod"

type Automate = Callable[..., Awaitable[None]]


@pytest.fixture
async def automate(hass: HomeAssistant, tmp_path: Path) -> AsyncGenerator[Automate]:
    """Set up an automation from a blueprint, with its inputs."""
    assert await async_setup_component(hass, "persistent_notification", {})
    hass.config.config_dir = str(tmp_path)
    shutil.copytree(BLUEPRINTS, tmp_path / "blueprints" / "automation" / "mtec")

    async def set_up_automation(blueprint: str, **inputs: Any) -> None:
        config = {"alias": "Test", "use_blueprint": {"path": f"mtec/{blueprint}.yaml", "input": inputs}}
        assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: [config]})
        await hass.async_block_till_done()
        assert [state.state for state in hass.states.async_all(AUTOMATION)] == [STATE_ON]

    yield set_up_automation
    await hass.services.async_call(AUTOMATION, "turn_off", {"entity_id": "all"}, blocking=True)


@pytest.mark.parametrize("blueprint", sorted(BLUEPRINTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_blueprint_says_where_it_is(blueprint: Path) -> None:
    about = yaml_util.load_yaml_dict(blueprint)["blueprint"]
    repository = "https://github.com/home-assistant-mtec/mtec/blob/main"
    assert about["source_url"] == f"{repository}/blueprints/automation/mtec/{blueprint.name}"
    assert about["homeassistant"]["min_version"] == VERSIONS["oldest_home_assistant"]
    assert about["description"]
    for each in about["input"].values():
        assert each["name"]
        assert each["selector"]


# Grid outage


def told(hass: HomeAssistant, entity_id: str = OUTAGE) -> str:
    """Return what a notification says of an outage."""
    found = persistent_notification._async_get_or_create_notifications(hass).get(f"mtec_{entity_id}")
    return "" if found is None else found["message"]


type Pass = Callable[..., Awaitable[None]]


@pytest.fixture
def minutes_pass(home: Home) -> Pass:
    """Let minutes pass, each with a poll. Nothing here waits until all is done: the automation waits for the grid."""

    async def run(minutes: int = 1, *, outage: bool | None = None) -> None:
        (entry,) = home.hass.config_entries.async_entries(DOMAIN)
        if outage is not None:
            home.simulator.accounts[FAMILY].stations[0].outage = outage
        for _ in range(minutes):
            entry.runtime_data.update_interval = None
            home.freezer.tick(60)
            await entry.runtime_data.async_refresh()
            async_fire_time_changed(home.hass)
            await settle()

    return run


async def settle() -> None:
    """Let what is ready run."""
    for _ in range(100):
        await asyncio.sleep(0)


@GENERATION1
async def test_grid_outage(home: Home, set_up: SetUp, automate: Automate, minutes_pass: Pass) -> None:
    await set_up(FAMILY)
    await automate("grid_outage", outage=OUTAGE)
    await minutes_pass(3)
    assert told(home.hass) == ""
    await minutes_pass(outage=True)
    assert re.fullmatch(r"Haus am See has had no grid since 12:0\d\.", told(home.hass))

    # Without power nothing reaches the portal: what is not known does not end the outage.
    home.simulator.faults.add("busy")
    await minutes_pass(10)
    assert home.value(OUTAGE) == "unavailable"
    home.simulator.faults.clear()
    await minutes_pass(10)
    assert "has had no grid" in told(home.hass)

    await minutes_pass(outage=False)
    assert re.fullmatch(r"Haus am See had no grid for 2\d minutes\.", told(home.hass))

    await minutes_pass(outage=True)
    assert "has had no grid" in told(home.hass)


@GENERATION1
async def test_grid_outage_with_actions_of_ones_own(
    home: Home, set_up: SetUp, automate: Automate, minutes_pass: Pass
) -> None:
    """And none for an outage that is too short."""
    await set_up(FAMILY)
    events = async_capture_events(home.hass, "told")
    await automate(
        "grid_outage",
        outage=OUTAGE,
        delay={"minutes": 5},
        failed=[{"event": "told", "event_data": {"text": "{{ station }} failed"}}],
        back=[{"event": "told", "event_data": {"text": "back after {{ minutes }}"}}],
    )
    await minutes_pass(3, outage=True)
    await minutes_pass(10, outage=False)
    assert events == []
    await minutes_pass(7, outage=True)
    assert [event.data["text"] for event in events] == ["Haus am See failed"]
    await minutes_pass(outage=False)
    assert [event.data["text"] for event in events][1:] == ["back after 7"]


@GENERATION2
async def test_grid_outage_by_the_work_status(home: Home, set_up: SetUp, automate: Automate) -> None:
    """Generation 2 does not tell of an outage, but of an inverter that is off the grid."""
    await set_up(FAMILY)
    status = next(state for state in home.states().values() if "off_grid" in state.attributes.get("options", []))
    await automate("grid_outage", outage=status.entity_id)
    _set(home, status, "off_grid")
    await settle()
    assert told(home.hass, status.entity_id).startswith("Energy Butler has had no grid")
    _set(home, status, "on_grid")
    await settle()
    assert "had no grid for" in told(home.hass, status.entity_id)


def _set(home: Home, like: State, state: str) -> None:
    home.hass.states.async_set(like.entity_id, state, like.attributes)


# Surplus power


async def run_until(home: Home, moment: str) -> list[str]:
    """Poll until a time of day in UTC, and return when what is switched changed and to what."""
    changes = []
    while home.simulator.clock.now().strftime("%H:%M") < moment:
        before = home.value(LOAD)
        await home.poll()
        if home.value(LOAD) != before:
            changes.append(f"{home.simulator.clock.now():%H:%M} {home.value(LOAD)}")
    return changes


@pytest.fixture
async def load(hass: HomeAssistant) -> None:
    """Something to switch."""
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "input_boolean", {"input_boolean": {"heating_rod": None}})


@GENERATION1
@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("now", [datetime.fromisoformat("2026-06-15T11:00:30Z")])
async def test_surplus_power(home: Home, set_up: SetUp, automate: Automate) -> None:
    """From 11:30 to 16:50 power is fed in; from 17:00 on the battery supplies the house."""
    await set_up(FAMILY)
    await automate(
        "surplus_power",
        grid_power=GRID_POWER,
        load=LOAD,
        surplus=1500,
        drawn=200,
        battery_power=BATTERY_POWER,
        state_of_charge=STATE_OF_CHARGE,
    )
    changes = await run_until(home, "12:10")
    assert [change[-2:] for change in changes] == ["on"]
    assert "11:30" < changes[0] < "11:50"

    home.simulator.clock.set(datetime.fromisoformat("2026-06-15T16:40:30Z"))
    changes = await run_until(home, "17:30")
    assert [change[-3:] for change in changes] == [STATE_OFF]
    assert "16:55" < changes[0] < "17:20"


@GENERATION1
@pytest.mark.usefixtures("load")
async def test_surplus_power_without_a_battery(home: Home, set_up: SetUp, automate: Automate) -> None:
    """What is drawn switches it off, though no battery was chosen."""
    await set_up(FAMILY)
    await automate("surplus_power", grid_power=GRID_POWER, load=LOAD, on_after=0, off_after=0)
    like = home.hass.states.get(GRID_POWER)
    assert like is not None
    for power, expected in (("-3000", STATE_ON), ("50", STATE_ON), ("500", STATE_OFF)):
        _set(home, like, power)
        for _ in range(2):
            await settle()
            home.freezer.tick(1)
            async_fire_time_changed(home.hass)
        await settle()
        assert home.value(LOAD) == expected, power
    assert home.said("Template error") == 0


@GENERATION1
@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("now", [datetime.fromisoformat("2026-06-15T12:00:30Z")])
async def test_surplus_power_that_is_not_known(home: Home, set_up: SetUp, automate: Automate) -> None:
    """It needs no battery. Half an hour after the last value it is switched off; a surplus too small does nothing."""
    await set_up(FAMILY)
    await automate("surplus_power", grid_power=GRID_POWER, load=LOAD, surplus=2500, on_after=0)
    assert [change[-2:] for change in await run_until(home, "12:30")] == ["on"]
    home.simulator.faults.add("busy")
    assert await run_until(home, "12:58") == []
    assert [change[-3:] for change in await run_until(home, "13:40")] == [STATE_OFF]
    home.simulator.faults.clear()
    home.simulator.clock.set(datetime.fromisoformat("2026-06-15T14:00:30Z"))
    assert await run_until(home, "14:40") == []
