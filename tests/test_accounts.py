"""Accounts beside each other: who has a station that two of them see, and what is left of one that goes."""

from collections.abc import Iterable
from datetime import timedelta
import gc
import logging
from typing import Any

import aiohttp
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_USER, ConfigEntryDisabler, ConfigEntryState
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec.config_flow import SECTION_PORTAL
from custom_components.mtec.const import CONF_IGNORED_STATIONS, DOMAIN, LOOKUP_INTERVAL
from custom_components.mtec.titles import title_of
from tests.conftest import FAMILY, VILLAGE, SetUp
from tests.home import Home, entry_at, poll, reload, set_up as set_up_again
from tests.portal_simulator import HOUSE, PortalSimulator

HOUSE_POWER = "sensor.haus_am_see_pv_power"
HOUSE_SERIAL = HOUSE.inverters[0].serial


def ids(hass: HomeAssistant, entry: MockConfigEntry) -> set[str]:
    """Return the ids of the devices of an account."""
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return {id_ for device in devices for _, id_ in device.identifiers}


def entities(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, str]:
    """Return the entity ids of an account by their unique ids."""
    found = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    return {entity.unique_id: entity.entity_id for entity in found}


def of_house(unique_ids: Iterable[str]) -> set[str]:
    """Return what is of the station that both accounts see."""
    return {each for each in unique_ids if each.startswith((HOUSE.station_id, HOUSE_SERIAL))}


def asked_for_house(simulator: PortalSimulator, email: str) -> int:
    """Return how often an account asked for anything of that station."""
    house = {HOUSE.station_id, HOUSE_SERIAL, HOUSE.inverters[0].device_id}
    calls = [call for call in simulator.requests if call.account == email]
    return sum(any(id_ in f"{call.path} {call.query} {call.body}" for id_ in house) for call in calls)


async def restart(home: Home, *entries: MockConfigEntry) -> None:
    """Unload the accounts and set them up in this order, from what the registries keep."""
    for entry in entries:
        assert await home.hass.config_entries.async_unload(entry.entry_id)
    for entry in entries:
        assert await set_up_again(home.hass, entry)


async def test_station_stays_with_the_account_that_had_it_first(home: Home, set_up: SetUp) -> None:
    """The other one follows the rest, says once whose it is, and asks for nothing of it; restarts change nothing."""
    family = await set_up(FAMILY)
    house = entities(home.hass, family)
    village = await set_up(VILLAGE)
    assert of_house(house) == house.keys()
    for order in ((family, village), (village, family), (village, family)):
        await home.poll(2)
        await home.poll(after=LOOKUP_INTERVAL)
        assert entities(home.hass, family) == house
        assert ids(home.hass, family) == {HOUSE.station_id, HOUSE_SERIAL}
        assert not of_house(entities(home.hass, village))
        assert len(ids(home.hass, village)) == 5
        assert not home.unavailable()
        assert home.is_fresh(HOUSE, HOUSE_POWER)
        assert home.said("Haus am See is followed by the account") == 1
        home.caplog.clear()
        await restart(home, *order)
    assert asked_for_house(home.simulator, VILLAGE) == 0
    assert home.complaints() == []
    assert not home.said("does not generate unique IDs")


async def test_account_whose_stations_are_all_of_others(home: Home, set_up: SetUp) -> None:
    """It is loaded, without devices and without errors, and loads again."""
    village = await set_up(VILLAGE)
    family = await set_up(FAMILY)
    await home.poll(3)
    await home.poll(2, after=LOOKUP_INTERVAL)
    await restart(home, family, village)
    assert family.state is village.state is ConfigEntryState.LOADED
    assert not ids(home.hass, family)
    assert not entities(home.hass, family)
    assert not home.unavailable()
    assert home.complaints() == []


async def stop_following(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    hass.config_entries.async_update_entry(entry, options={CONF_IGNORED_STATIONS: {HOUSE.station_id: HOUSE.name}})
    await reload(hass, entry)


async def disable(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)


async def remove(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await hass.config_entries.async_remove(entry.entry_id)


@pytest.mark.parametrize("leave", [remove, disable, stop_following])
async def test_next_account_takes_over_at_its_next_poll(home: Home, set_up: SetUp, leave: Any) -> None:
    """With the entity ids, also those that a person chose."""
    family = await set_up(FAMILY)
    er.async_get(home.hass).async_update_entity(HOUSE_POWER, new_entity_id="sensor.our_roof")
    house = entities(home.hass, family)
    village = await set_up(VILLAGE)
    await leave(home.hass, family)
    await home.poll()

    assert home.is_fresh(HOUSE, "sensor.our_roof")
    taken_over = entities(home.hass, village)
    assert {each: taken_over[each] for each in of_house(taken_over)} == house
    assert {HOUSE.station_id, HOUSE_SERIAL} <= ids(home.hass, village)
    assert not ids(home.hass, family)
    assert not home.unavailable()
    assert {home.value(entity_id) for entity_id in house.values() if entity_id in home.states()} != {"unknown"}
    assert home.complaints() == []
    assert not home.said("does not generate unique IDs")


async def test_station_taken_over_stays_taken_over(home: Home, set_up: SetUp) -> None:
    """An account that is enabled again follows what the other one has left."""
    family, village = await set_up(FAMILY), await set_up(VILLAGE)
    await disable(home.hass, family)
    await home.poll()
    await home.hass.config_entries.async_set_disabled_by(family.entry_id, None)
    await home.poll(2)
    assert family.state is ConfigEntryState.LOADED
    assert not ids(home.hass, family)
    await restart(home, family, village)
    assert HOUSE.station_id in ids(home.hass, village)
    assert not home.unavailable()
    assert home.complaints() == []


async def test_two_accounts_that_have_devices_of_one_station(home: Home, set_up: SetUp) -> None:
    """As they had them before: the one whose device is older keeps it, whichever starts first."""
    family = await set_up(FAMILY)
    village = await set_up(VILLAGE)
    registry = dr.async_get(home.hass)
    for entry in (family, village):
        await home.hass.config_entries.async_unload(entry.entry_id)
    home.freezer.tick(60)
    station = registry.async_get_or_create(
        config_entry_id=village.entry_id, identifiers={(DOMAIN, HOUSE.station_id)}, name=HOUSE.name
    )
    inverter = registry.async_get_or_create(
        config_entry_id=village.entry_id, identifiers={(DOMAIN, HOUSE_SERIAL)}, via_device_id=station.id
    )
    er.async_get(home.hass).async_update_entity(HOUSE_POWER, config_entry_id=village.entry_id, device_id=station.id)
    for entry in (village, family):
        await set_up_again(home.hass, entry)
    await home.poll()
    assert registry.async_get(station.id) is registry.async_get(inverter.id) is None
    assert ids(home.hass, family) == {HOUSE.station_id, HOUSE_SERIAL}
    assert home.is_fresh(HOUSE, HOUSE_POWER)
    assert not of_house(entities(home.hass, village))
    assert home.complaints() == []


# What is left of an account


async def test_nothing_is_written_after_removal(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    simulator: PortalSimulator,
    set_up: SetUp,
    hass_storage: dict[str, Any],
) -> None:
    """What an account has missed is kept when it is unloaded, and forgotten when it is removed, also minutes later."""
    entry = await set_up(VILLAGE)
    key = f"mtec.missing_devices.{entry.entry_id}"
    station = simulator.accounts[VILLAGE].stations.pop()

    await poll(hass, freezer, after=LOOKUP_INTERVAL)
    assert key not in hass_storage
    assert await reload(hass, entry)
    assert hass_storage[key]["data"].keys() == {station.description.station_id, *(i.serial for i in station.inverters)}

    await poll(hass, freezer, after=LOOKUP_INTERVAL)
    await hass.config_entries.async_remove(entry.entry_id)
    await poll(hass, freezer, 3, after=timedelta(minutes=2))
    assert key not in hass_storage


def open_sessions() -> int:
    """Return how many HTTP sessions are open."""
    gc.collect()
    return sum(isinstance(each, aiohttp.ClientSession) and not each.closed for each in gc.get_objects())


async def test_no_session_stays_open(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> None:
    """Neither of a set-up that fails, nor of a dialog, whatever comes of it, nor of an account that is removed."""
    before = open_sessions()
    simulator.faults.add("malformed", matching="tation")
    entry = await set_up(VILLAGE, expected=ConfigEntryState.SETUP_RETRY)
    await poll(hass, freezer, 3, after=timedelta(minutes=5))
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert open_sessions() == before

    flow = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    form = await hass.config_entries.flow.async_configure(flow["flow_id"], {"next_step_id": "account"})
    listeners = []
    for email, password, error in (
        (FAMILY, "sunshine", "invalid_response"),
        (FAMILY, "wrong", "invalid_auth"),
        ("empty@example.com", "nothing", "no_stations"),
    ):
        form = await hass.config_entries.flow.async_configure(
            form["flow_id"],
            {CONF_EMAIL: email, CONF_PASSWORD: password, SECTION_PORTAL: {CONF_URL: simulator.url}},
        )
        simulator.faults.clear()
        assert form["type"] is FlowResultType.FORM
        assert error in (form["errors"] or {}).values()
        assert open_sessions() == before
        listeners.append(hass.bus.async_listeners()["homeassistant_close"])
    assert len(set(listeners)) == 1

    assert await reload(hass, entry)
    assert open_sessions() == before + 1
    await hass.config_entries.async_remove(entry.entry_id)
    assert open_sessions() == before


# What an account is called


def test_titles_tell_accounts_apart() -> None:
    assert title_of(["Haus am See"], []) == "Haus am See"
    assert title_of(["Haus am See", "Hof", "Stall"], ["Haus am See"]) == "Haus am See + 2"
    assert title_of(["Hof"], ["Hof", "Hof (2)"]) == "Hof (3)"
    assert title_of([], []) == "M-TEC"


async def test_email_gives_way_to_the_stations_in_the_title(hass: HomeAssistant, set_up: SetUp) -> None:
    """An account was called by its e-mail: it is called by its stations from the next start on; others stay."""
    entry = await set_up(VILLAGE)
    hass.config_entries.async_update_entry(entry, title=VILLAGE.upper())
    assert await reload(hass, entry)
    assert entry.title.endswith(" + 2")
    hass.config_entries.async_update_entry(entry, title="Our village")
    assert await reload(hass, entry)
    assert entry.title == "Our village"


@pytest.mark.parametrize("title", [FAMILY, "Home of Family@example.com", "Haus am See"])
async def test_email_is_in_no_log(home: Home, set_up: SetUp, title: str) -> None:
    """Whatever fails, at any level of the log, in our lines: set-ups, polls, look-ups, logins, dialogs."""
    home.caplog.set_level(logging.DEBUG)
    simulator = home.simulator
    entry = entry_at(simulator.url, FAMILY, "sunshine", title=title)
    entry.add_to_hass(home.hass)
    for fault in ("malformed", "http_503", "reset"):
        simulator.faults.add(fault)
        await reload(home.hass, entry)
        await home.poll(3)
        assert entry.state is ConfigEntryState.SETUP_RETRY
        simulator.faults.clear()
        home.freezer.tick(3600)
    await home.poll(3)
    assert entry.state is ConfigEntryState.LOADED
    for fault in ("malformed", "hang", "expired", "wrong_types", "login_refused"):
        simulator.faults.add(fault)
        simulator.expire_tokens()
        await home.poll(8)
        await home.poll(after=LOOKUP_INTERVAL)
        simulator.faults.clear()
    await reload(home.hass, entry)
    await home.hass.config_entries.async_remove(entry.entry_id)
    assert home.said("gives no values")
    # A title that a person has chosen is Home Assistant's to write.
    records = home.caplog.records
    if title not in {FAMILY, HOUSE.name}:
        records = [each for each in records if each.name == "custom_components.mtec" and "Config entry" not in each.msg]
    assert len(records) > 20
    assert not [each for each in records if FAMILY in home.caplog.handler.format(each).casefold()]
