"""The blueprints that tell a person something of the day, in a real Home Assistant with the simulated plant."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
import re
import shutil
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.components.persistent_notification import _async_get_or_create_notifications
from homeassistant.const import STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events, async_fire_time_changed

from custom_components.mtec.const import DOMAIN
from tests.checkout import CHECKOUT
from tests.conftest import FAMILY, GENERATION1, SetUp
from tests.home import SEED, Home
from tests.inverter_home import inverter_home
from tests.portal_simulator import HOUSE, plant_of

STATE_OF_CHARGE = "sensor.haus_am_see_battery_state_of_charge"
PV_POWER = "sensor.haus_am_see_pv_power"
MORNING = datetime.fromisoformat("2026-06-15T07:00:30Z")
EVENING = datetime.fromisoformat("2026-06-15T18:00:30Z")


type Automate = Callable[..., Awaitable[None]]


@pytest.fixture
async def automate(hass: HomeAssistant, tmp_path: Path) -> AsyncGenerator[Automate]:
    """Set up an automation from a blueprint, with its inputs."""
    assert await async_setup_component(hass, "persistent_notification", {})
    hass.config.config_dir = str(tmp_path)
    folder = Path("blueprints", "automation", "mtec")
    shutil.copytree(CHECKOUT / folder, tmp_path / folder)

    async def set_up_automation(blueprint: str, **inputs: Any) -> None:
        config = {"alias": "Test", "use_blueprint": {"path": f"mtec/{blueprint}.yaml", "input": inputs}}
        assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: [config]})
        await settle()
        assert [state.state for state in hass.states.async_all(AUTOMATION)] == [STATE_ON]

    yield set_up_automation
    await end_automations(hass)


async def end_automations(hass: HomeAssistant) -> None:
    """Turn the automations off: one that waits would be waited for."""
    await hass.services.async_call(AUTOMATION, "turn_off", {"entity_id": "all"}, blocking=True)


async def settle() -> None:
    """Let what is ready run. Nothing here waits until all is done: an automation waits for a change."""
    for _ in range(100):
        await asyncio.sleep(0)


def notified(hass: HomeAssistant) -> list[tuple[str, str]]:
    """Return title and message of all notifications."""
    return [(each["title"] or "", each["message"]) for each in _async_get_or_create_notifications(hass).values()]


async def minutes_pass(home: Home, minutes: int) -> None:
    """Let minutes pass, each with a poll."""
    (entry,) = home.hass.config_entries.async_entries(DOMAIN)
    entry.runtime_data.update_interval = None
    for _ in range(minutes):
        home.freezer.tick(60)
        await entry.runtime_data.async_refresh()
        async_fire_time_changed(home.hass)
        await settle()


def charge(moment: datetime) -> float:
    """Return the state of charge of the simulated house in %."""
    soc = plant_of(HOUSE, SEED).power(moment).soc
    assert soc is not None
    return soc


@GENERATION1
@pytest.mark.parametrize(
    ("now", "blueprint", "limit", "title"),
    [(MORNING, "battery_full", "full", "Battery full"), (EVENING, "battery_low", "low", "Battery low")],
    ids=["full", "low"],
)
async def test_battery(
    home: Home, set_up: SetUp, automate: Automate, now: datetime, blueprint: str, limit: str, title: str
) -> None:
    """It is told once, when the limit between two charges of the plant is crossed."""
    await set_up(FAMILY)
    before, after = (charge(now + timedelta(minutes=minutes)) for minutes in (0, 40))
    assert abs(after - before) > 4
    events = async_capture_events(home.hass, "told")
    both = [
        {"event": "told", "event_data": {"text": "{{ name }}: {{ charge }}"}},
        {"action": "persistent_notification.create", "data": {"title": title, "message": "{{ name }}: {{ charge }}"}},
    ]
    done = {"battery_full": "filled", "battery_low": "emptied"}[blueprint]
    await automate(blueprint, state_of_charge=STATE_OF_CHARGE, **{limit: (before + after) / 2, done: both})
    await minutes_pass(home, 5)
    assert events == []
    await minutes_pass(home, 40)
    [event] = events
    told = re.fullmatch(r"Haus am See: (\d+)", event.data["text"])
    assert told
    assert min(before, after) - 1 <= float(told[1]) <= max(before, after) + 1
    assert notified(home.hass) == [(title, event.data["text"])]


@GENERATION1
async def test_battery_that_is_full_is_told_again_only_after_it_was_not(
    home: Home, set_up: SetUp, automate: Automate
) -> None:
    """A charge that goes up and down by 1 %, or that nobody knows for a while, is no news."""
    await set_up(FAMILY)
    await automate("battery_full", state_of_charge=STATE_OF_CHARGE, full=95)
    state = home.hass.states.get(STATE_OF_CHARGE)
    assert state is not None
    seen: list[int] = []
    for value in ("90", "95", "94", "96", "unavailable", "97", "89", "95.4"):
        _async_get_or_create_notifications(home.hass).clear()
        home.hass.states.async_set(STATE_OF_CHARGE, value, state.attributes)
        await settle()
        seen.append(len(notified(home.hass)))
    assert seen == [0, 1, 0, 0, 0, 0, 0, 1]
    assert notified(home.hass) == [("Battery full", "The battery of Haus am See is at 95 %.")]


@GENERATION1
async def test_battery_low_notifies(home: Home, set_up: SetUp, automate: Automate) -> None:
    await set_up(FAMILY)
    await automate("battery_low", state_of_charge=STATE_OF_CHARGE)
    state = home.hass.states.get(STATE_OF_CHARGE)
    assert state is not None
    for value in ("20", "15"):
        assert notified(home.hass) == []
        home.hass.states.async_set(STATE_OF_CHARGE, value, state.attributes)
        await settle()
    assert notified(home.hass) == [("Battery low", "The battery of Haus am See is at 15 %.")]


SUMMARY = {
    "produced": "sensor.haus_am_see_pv_energy_today",
    "imported": "sensor.haus_am_see_grid_import_today",
    "exported": "sensor.haus_am_see_grid_export_today",
}


@GENERATION1
@pytest.mark.parametrize("now", [EVENING])
@pytest.mark.parametrize("with_cost", [True, False])
async def test_evening_summary(home: Home, set_up: SetUp, automate: Automate, with_cost: bool) -> None:
    await set_up(FAMILY)
    self_sufficiency = "sensor.haus_am_see_self_sufficiency_today"
    money = {"unit_of_measurement": "EUR", "device_class": "monetary"}
    home.hass.states.async_set("sensor.import_cost", "0.35", money)
    home.hass.states.async_set("sensor.export_payment", "unavailable", money)
    cost = {"cost": "sensor.import_cost", "compensation": "sensor.export_payment"} if with_cost else {}
    time = (dt_util.now() + timedelta(minutes=3)).strftime("%H:%M:00")
    await automate("evening_summary", time=time, **SUMMARY, self_sufficiency=self_sufficiency, **cost)
    await minutes_pass(home, 1)
    assert notified(home.hass) == []
    await minutes_pass(home, 3)
    [(title, message)] = notified(home.hass)
    assert title == "Haus am See today"
    numbers = re.fullmatch(
        r"Produced ([\d.]+) kWh, imported ([\d.]+) kWh, exported ([\d.]+) kWh, self-sufficiency ([\d.]+) ?%(.*)\.",
        message,
    )
    assert numbers, message
    assert numbers[5] == (", cost 0.35 EUR" if with_cost else "")
    shown = [float(home.value(entity_id)) for entity_id in (*SUMMARY.values(), self_sufficiency)]
    assert [float(number) for number in numbers.groups()[:4]] == pytest.approx(shown, abs=0.6)
    assert shown[0] > 10


@GENERATION1
async def test_evening_summary_without_values(home: Home, set_up: SetUp, automate: Automate) -> None:
    entry = await set_up(FAMILY)
    await home.hass.config_entries.async_unload(entry.entry_id)
    time = (dt_util.now() + timedelta(minutes=2)).strftime("%H:%M:00")
    events = async_capture_events(home.hass, "told")
    tell = [{"event": "told", "event_data": {"text": "{{ summary }}"}}]
    await automate("evening_summary", time=time, **SUMMARY, tell=tell)
    for _ in range(3):
        home.freezer.tick(60)
        async_fire_time_changed(home.hass)
        await settle()
    assert [event.data["text"] for event in events] == ["No values today."]


@GENERATION1
async def test_silent_portal(home: Home, set_up: SetUp, automate: Automate) -> None:
    """Told after the delay alone, and again when it is back."""
    await set_up(FAMILY)
    await automate("source_silent", watched=PV_POWER, delay={"minutes": 20})
    home.simulator.faults.add("busy")
    await minutes_pass(home, 15)
    assert home.value(PV_POWER) == "unavailable"
    assert notified(home.hass) == []
    await minutes_pass(home, 20)
    [(title, message)] = notified(home.hass)
    assert title == "Haus am See is silent"
    assert re.fullmatch(r"Haus am See has had no values since \d\d:\d\d\.", message)

    home.simulator.faults.clear()
    await minutes_pass(home, 10)
    [(title, message)] = notified(home.hass)
    assert title == "Haus am See is back"
    minutes = re.fullmatch(r"Haus am See was silent for (\d+) minutes\.", message)
    assert minutes
    assert 20 < int(minutes[1]) < 45


async def test_silent_inverter(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch, automate: Automate
) -> None:
    """An inverter in the network that does not answer any more, without an account."""
    async with inverter_home(hass, freezer, monkeypatch, EVENING, settings=False) as house:
        [source] = [each for each in hass.states.async_all() if each.entity_id.endswith("_source")]
        assert source.state == "network"
        await automate("source_silent", watched=source.entity_id, delay={"minutes": 1})
        await house.inverter.stop()
        await house.advance(steps=4)
        assert house.value(source.entity_id) == "unavailable"
        assert notified(hass) == []
        freezer.tick(70)
        async_fire_time_changed(hass)
        await settle()
        [(title, message)] = notified(hass)
        assert title.endswith("is silent")
        assert re.search(r" has had no values since \d\d:\d\d\.", message)
        await end_automations(hass)


@GENERATION1
async def test_inverter_whose_values_come_from_the_portal(home: Home, set_up: SetUp, automate: Automate) -> None:
    await set_up(FAMILY)
    source = next(state for state in home.states().values() if "network" in state.attributes.get("options", []))
    home.hass.states.async_set(source.entity_id, "network", source.attributes)
    await automate("source_silent", watched=source.entity_id, delay={"minutes": 0})
    for state in ("portal", "network"):
        home.hass.states.async_set(source.entity_id, state, source.attributes)
        await settle()
        [(title, message)] = notified(home.hass)
        if state == "portal":
            assert re.search(r"not answered in the network since \d\d:\d\d\. Its values come from the portal", message)
    assert title.endswith("is back")
