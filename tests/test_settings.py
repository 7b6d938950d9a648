"""The settings of an inverter as entities, in a real Home Assistant."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from itertools import pairwise

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
import pytest

from custom_components.mtec.const import CONF_SETTINGS, DOMAIN, SETTINGS_INTERVAL
from tests.conftest import NOON
from tests.inverter_home import InverterHome, inverter_home
from tests.inverter_simulator import Request

WRITABLE = {"number", "select", "switch"}


@pytest.fixture
async def house(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[InverterHome]:
    async with inverter_home(hass, freezer, monkeypatch, NOON) as home:
        yield home


def entity(house: InverterHome, domain: str, key: str) -> str:
    """Return the entity of a setting."""
    unique_id = f"{house.inverter.serial_number}_{key}"
    entity_id = er.async_get(house.hass).async_get_entity_id(domain, DOMAIN, unique_id)
    assert entity_id is not None, unique_id
    return entity_id


SHOWN = [
    ("select", "mode", "general"),
    ("switch", "is_feed_in_limited", "off"),
    ("number", "feed_in_limit", "100.0"),
    ("switch", "is_drawing_limited", "off"),
    ("number", "drawing_limit", "100.0"),
    ("switch", "has_reserve_on_grid", "off"),
    ("number", "reserve_on_grid", "10.0"),
    ("switch", "has_reserve_off_grid", "off"),
    ("number", "reserve_off_grid", "10.0"),
    ("number", "most_charge_current", "100.0"),
    ("number", "most_discharge_current", "100.0"),
    ("sensor", "battery_command", "none"),
]


async def test_every_setting_has_an_entity_and_nothing_is_written_by_reading(house: InverterHome) -> None:
    for domain, key, state in SHOWN:
        assert house.value(entity(house, domain, key)) == state, key
    await house.advance(SETTINGS_INTERVAL, steps=5)
    assert house.inverter.writes == []


async def test_settings_are_off_until_switched_on_and_go_when_switched_off(house: InverterHome) -> None:
    (subentry,) = house.entry.subentries.values()
    for is_on, expected in ((False, 0), (True, len(SHOWN) - 1), (False, 0)):
        house.hass.config_entries.async_update_subentry(
            house.entry, subentry, data={**subentry.data, CONF_SETTINGS: is_on}
        )
        await house.settle()
        entities = er.async_entries_for_config_entry(er.async_get(house.hass), house.entry.entry_id)
        assert len([each for each in entities if each.domain in WRITABLE]) == expected
        assert any(each.unique_id.endswith("battery_command") for each in entities) == is_on
    assert house.inverter.writes == []


async def test_settings_are_read_every_minute(house: InverterHome) -> None:
    house.inverter.change(25103, 400)
    await house.advance(SETTINGS_INTERVAL)
    assert house.value(entity(house, "number", "feed_in_limit")) == "40.0"


@pytest.mark.parametrize(
    ("domain", "key", "service", "data", "written", "shown"),
    [
        ("switch", "is_feed_in_limited", "turn_on", {}, (25100, 1), "on"),
        ("switch", "has_reserve_on_grid", "turn_on", {}, (52502, 1), "on"),
        ("switch", "has_reserve_off_grid", "turn_on", {}, (52504, 1), "on"),
        ("switch", "is_drawing_limited", "turn_on", {}, (50007, 1), "on"),
        ("number", "feed_in_limit", "set_value", {"value": 60}, (25103, 600), "60.0"),
        ("number", "drawing_limit", "set_value", {"value": 7.5}, (50009, 75), "7.5"),
        ("number", "reserve_on_grid", "set_value", {"value": 35}, (52503, 350), "35.0"),
        ("number", "reserve_off_grid", "set_value", {"value": 35}, (52505, 350), "35.0"),
        ("number", "most_charge_current", "set_value", {"value": 20}, (52601, 200), "20.0"),
        ("number", "most_discharge_current", "set_value", {"value": 0}, (52603, 0), "0.0"),
        ("select", "mode", "select_option", {"option": "economic"}, (50000, 258), "economic"),
        ("select", "mode", "select_option", {"option": "ups"}, (50000, 259), "ups"),
    ],
)
async def test_a_setting_is_written_and_shown_as_it_reads_back(
    house: InverterHome, domain: str, key: str, service: str, data: dict[str, object], written: object, shown: str
) -> None:
    entity_id = entity(house, domain, key)
    await house.call(domain, service, entity_id, **data)
    assert house.inverter.writes == [written]
    assert house.value(entity_id) == shown
    await house.call(domain, service, entity_id, **data)
    assert house.inverter.writes == [written]


@pytest.mark.parametrize(
    ("fault", "key"), [("write_refused", "write_refused_value"), ("write_ignored", "write_not_taken")]
)
async def test_a_write_that_fails_is_a_translated_error_and_the_entity_shows_what_is_true(
    house: InverterHome, fault: str, key: str
) -> None:
    entity_id = entity(house, "number", "reserve_on_grid")
    house.inverter.faults.add(fault, times=1)
    with pytest.raises(HomeAssistantError) as failed:
        await house.call("number", "set_value", entity_id, value=50)
    assert (failed.value.translation_domain, failed.value.translation_key) == (DOMAIN, key)
    assert house.value(entity_id) == "10.0"
    await house.call("number", "set_value", entity_id, value=50)
    assert house.value(entity_id) == "50.0"


async def test_an_inverter_that_is_gone_is_a_translated_error(house: InverterHome) -> None:
    await house.inverter.stop()
    with pytest.raises(HomeAssistantError) as failed:
        await house.call("number", "set_value", entity(house, "number", "reserve_on_grid"), value=50)
    assert failed.value.translation_key == "inverter_silent"
    await house.inverter.start()
    assert house.register(52503) == 100


@pytest.mark.parametrize("value", [4, 101, 50.5])
async def test_a_value_out_of_range_is_never_sent(house: InverterHome, value: float) -> None:
    with pytest.raises(ServiceValidationError):
        await house.call("number", "set_value", entity(house, "number", "reserve_on_grid"), value=value)
    assert house.inverter.writes == []


async def test_currents_go_up_to_what_the_battery_allows(house: InverterHome) -> None:
    state = house.hass.states.get(entity(house, "number", "most_charge_current"))
    assert state is not None
    assert (state.attributes["min"], state.attributes["max"], state.attributes["step"]) == (0, 100, 1)


async def test_a_dragged_slider_writes_its_last_value(house: InverterHome) -> None:
    """And at most one write a second."""
    times: list[float] = []

    def note(request: Request) -> None:
        if request.is_write:
            times.append(house.hass.loop.time())

    house.inverter.after_answer = note
    entity_id = entity(house, "number", "feed_in_limit")
    await asyncio.gather(
        *(house.call("number", "set_value", entity_id, value=value) for value in (90, 80, 70, 60, 50, 40))
    )
    assert house.register(25103) == 400
    assert len(house.inverter.writes) <= 2
    assert house.inverter.writes[-1] == (25103, 400)
    assert house.value(entity_id) == "40.0"
    for value in (30, 20):
        await house.call("number", "set_value", entity_id, value=value)
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


# The mode


async def test_newer_modes_are_offered_once_the_inverter_was_in_them(house: InverterHome) -> None:
    entity_id = entity(house, "select", "mode")

    def options() -> list[str]:
        state = house.hass.states.get(entity_id)
        assert state is not None
        offered: list[str] = state.attributes["options"]
        return offered

    assert options() == ["general", "economic", "ups"]
    house.inverter.change(50000, 260)
    await house.advance(SETTINGS_INTERVAL)
    assert house.value(entity_id) == "peak_shift"
    house.inverter.change(50000, 257)
    await house.advance(SETTINGS_INTERVAL)
    assert options() == ["general", "economic", "ups", "peak_shift"]
    # It is remembered over a reload.
    await house.hass.config_entries.async_reload(house.entry.entry_id)
    await house.settle()
    assert options() == ["general", "economic", "ups", "peak_shift"]


@pytest.mark.parametrize(("code", "shown"), [(512, "off_grid"), (771, "commanded")])
async def test_a_mode_that_cannot_be_chosen_is_shown(house: InverterHome, code: int, shown: str) -> None:
    house.inverter.change(50000, code)
    await house.advance(SETTINGS_INTERVAL, steps=2)
    entity_id = entity(house, "select", "mode")
    assert house.value(entity_id) == shown
    with pytest.raises(ServiceValidationError):
        await house.call("select", "select_option", entity_id, option=shown)
    assert house.inverter.writes == []


async def test_an_inverter_without_a_limit_of_drawing_has_no_such_entities(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inverter_home(hass, freezer, monkeypatch, NOON, settings=False) as house:
        house.inverter.lacking, house.inverter.unknown = {50007, 50009}, "refuse"
        (subentry,) = house.entry.subentries.values()
        hass.config_entries.async_update_subentry(house.entry, subentry, data={**subentry.data, CONF_SETTINGS: True})
        await house.settle()
        registry = er.async_get(hass)
        keys = {each.unique_id.partition("_")[2] for each in registry.entities.values() if each.domain in WRITABLE}
        assert keys == {key for domain, key, _ in SHOWN if domain in WRITABLE and "drawing" not in key}


async def test_entities_are_unavailable_while_the_settings_cannot_be_read(house: InverterHome) -> None:
    await house.inverter.stop()
    await house.advance(SETTINGS_INTERVAL, steps=5)
    assert house.value(entity(house, "switch", "is_feed_in_limited")) == "unavailable"
    await house.inverter.start()
    await house.advance(SETTINGS_INTERVAL + timedelta(seconds=5), steps=2)
    assert house.value(entity(house, "switch", "is_feed_in_limited")) == "off"
