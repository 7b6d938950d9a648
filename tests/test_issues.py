"""Repair issues, and devices that the portal does not list any more."""

from datetime import timedelta

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, issue_registry as ir

from custom_components.mtec import async_remove_config_entry_device
from custom_components.mtec.const import CONF_IGNORED_STATIONS, DOMAIN, GRACE_POLLS, LOOKUP_INTERVAL
from custom_components.mtec.missing_devices import REMOVED_AFTER, REMOVED_AFTER_LISTINGS
from tests.conftest import FAMILY, GENERATION1, VILLAGE, SetUp
from tests.home import Home, add_account, entry_at, reload, set_up as set_up_again
from tests.odd_portal import odd_portal, success
from tests.portal_simulator import BARN, FARM, HOUSE

HOUR = timedelta(hours=1)


def issues(hass: HomeAssistant) -> list[str | None]:
    """Return the kinds of the issues there are."""
    return [issue.translation_key for issue in ir.async_get(hass).issues.values() if issue.domain == DOMAIN]


# The portal is silent


async def test_portal_silent_for_a_day(home: Home, set_up: SetUp) -> None:
    await set_up(FAMILY)
    home.simulator.faults.add("busy")
    await home.poll(23, after=HOUR)
    assert issues(home.hass) == []
    await home.poll(2, after=HOUR)
    assert issues(home.hass) == ["portal_silent"]
    home.simulator.faults.clear()
    await home.poll(2, after=HOUR)
    assert issues(home.hass) == []


@GENERATION1
async def test_portal_that_answers_now_and_then_is_not_silent(home: Home, set_up: SetUp) -> None:
    await set_up(FAMILY)
    for _ in range(4):
        home.simulator.faults.add("busy")
        await home.poll(15, after=HOUR)
        home.simulator.faults.clear()
        await home.poll(2, after=HOUR)
        assert issues(home.hass) == []


@GENERATION1
async def test_portal_silent_from_the_start(home: Home, set_up: SetUp) -> None:
    """Home Assistant sets an account up anew again and again: a day is a day all the same."""
    home.simulator.faults.add("busy")
    entry = await set_up(FAMILY, ConfigEntryState.SETUP_RETRY)
    await home.poll(23, after=HOUR)
    assert issues(home.hass) == []
    await home.poll(2, after=HOUR)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert issues(home.hass) == ["portal_silent"]
    home.simulator.faults.clear()
    await home.poll(2, after=HOUR)
    assert home.value("sensor.haus_am_see_pv_power") != STATE_UNAVAILABLE
    assert issues(home.hass) == []


@GENERATION1
async def test_issues_go_with_the_account(home: Home, set_up: SetUp) -> None:
    entry = await set_up(FAMILY)
    home.simulator.faults.add("busy")
    await home.poll(26, after=HOUR)
    assert issues(home.hass) == ["portal_silent"]
    assert await home.hass.config_entries.async_remove(entry.entry_id)
    assert issues(home.hass) == []


# The portal is not understood


async def test_portal_that_is_not_understood(home: Home, set_up: SetUp) -> None:
    """That is said after an hour, not as silence."""
    await set_up(FAMILY)
    home.simulator.faults.add("malformed")
    await home.poll(50)
    assert issues(home.hass) == []
    await home.poll(20)
    assert issues(home.hass) == ["api_not_understood"]
    await home.poll(25, after=HOUR)
    assert issues(home.hass) == ["api_not_understood"]
    home.simulator.faults.clear()
    await home.poll(2)
    assert issues(home.hass) == []


async def test_one_part_that_is_not_understood_is_no_issue(home: Home, set_up: SetUp, generation: int) -> None:
    await set_up(FAMILY)
    home.simulator.faults.add("malformed", matching={1: "getDeviceDataV3", 2: "queryRealTimeData"}[generation])
    await home.poll(30, after=HOUR)
    assert issues(home.hass) == []


async def test_issue_tells_what_to_attach(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    async with odd_portal(lambda _: success({"nothing": "known"})) as portal:
        entry = entry_at(portal.url, "erika@example.com", "x", title="Gartenstraße")
        await add_account(hass, entry)
        freezer.tick(HOUR)
        await reload(hass, entry)
    issue = ir.async_get(hass).async_get_issue(DOMAIN, f"api_not_understood_{entry.entry_id}")
    assert issue is not None
    assert issue.learn_more_url == "https://github.com/home-assistant-mtec/mtec/issues/new"
    assert issue.translation_placeholders == {"account": "Gartenstraße", "url": portal.url}
    assert not issue.is_persistent


# The account has no stations


@GENERATION1
async def test_account_without_stations(home: Home, set_up: SetUp) -> None:
    await set_up("empty@example.com")
    assert issues(home.hass) == []
    await home.poll(2, after=HOUR)
    assert issues(home.hass) == ["no_stations"]
    home.simulator.accounts["empty@example.com"].stations += home.simulator.accounts[FAMILY].stations
    await home.poll(2, after=HOUR)
    assert issues(home.hass) == []


@GENERATION1
async def test_bad_hour_of_the_portal_is_no_issue(home: Home, set_up: SetUp) -> None:
    """A portal that lists no station for a moment is asked again at every poll."""
    await set_up(FAMILY)
    stations = home.simulator.accounts[FAMILY].stations
    gone = stations.pop()
    await home.poll(after=LOOKUP_INTERVAL)
    await home.poll(30)
    stations.append(gone)
    await home.poll(40)
    assert issues(home.hass) == []


# Devices that are gone


def devices(hass: HomeAssistant) -> set[str]:
    """Return the ids of all stations and inverters that are devices."""
    return {
        id_
        for entry in hass.config_entries.async_entries(DOMAIN)
        for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        for _, id_ in device.identifiers
    }


HOUSE_IDS = {HOUSE.station_id, HOUSE.inverters[0].serial}
SHED_ID = FARM.inverters[1].serial
ALL = {
    *(plant.station_id for plant in (HOUSE, BARN, FARM)),
    *(inverter.serial for plant in (HOUSE, BARN, FARM) for inverter in plant.inverters),
}


async def remove_by_hand(hass: HomeAssistant, identifier: str) -> bool:
    """Remove a device as Home Assistant does when a person asks for it, and return whether that was allowed."""
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    registry = dr.async_get(hass)
    device = registry.async_get_device_by_identifier((DOMAIN, identifier), entry.entry_id)
    assert device is not None
    allowed = await async_remove_config_entry_device(hass, entry, device)
    if allowed:
        registry.async_remove_device(device.id)
        await hass.async_block_till_done()
    return allowed


async def look_up(home: Home, times: int) -> None:
    """Let the portal be asked what it has, every seven hours."""
    await home.poll(times, after=7 * LOOKUP_INTERVAL)


@GENERATION1
async def test_station_that_is_gone_for_good(home: Home, set_up: SetUp) -> None:
    """It is removed after a week, with its inverter; the others stay."""
    await set_up(VILLAGE)
    assert devices(home.hass) == ALL
    home.simulator.accounts[VILLAGE].stations.pop(0)
    await look_up(home, 24)
    assert devices(home.hass) == ALL
    assert home.value("sensor.haus_am_see_pv_power") == STATE_UNAVAILABLE
    await look_up(home, 1)
    assert devices(home.hass) == ALL - HOUSE_IDS
    assert home.hass.states.get("sensor.haus_am_see_pv_power") is None
    assert home.value("sensor.hof_lindner_pv_power") != STATE_UNAVAILABLE


async def test_inverter_that_is_gone_for_good(home: Home, set_up: SetUp) -> None:
    await set_up(VILLAGE)
    home.simulator.accounts[VILLAGE].stations[2].inverters.pop()
    await look_up(home, 25)
    assert devices(home.hass) == ALL - {SHED_ID}


@GENERATION1
async def test_what_comes_back_in_time_stays(home: Home, set_up: SetUp) -> None:
    """And its absence begins anew the next time."""
    await set_up(VILLAGE)
    farm = home.simulator.accounts[VILLAGE].stations[2]
    for _ in range(2):
        shed = farm.inverters.pop()
        await look_up(home, 23)
        farm.inverters.append(shed)
        await look_up(home, 1)
        assert devices(home.hass) == ALL
        assert home.value("sensor.scheune_l1_inverter_power") != STATE_UNAVAILABLE


@GENERATION1
async def test_what_comes_back_after_it_was_removed_is_there_again(home: Home, set_up: SetUp) -> None:
    await set_up(VILLAGE)
    stations = home.simulator.accounts[VILLAGE].stations
    house = stations.pop(0)
    await look_up(home, 25)
    assert devices(home.hass) == ALL - HOUSE_IDS
    stations.append(house)
    await look_up(home, 1)
    assert devices(home.hass) == ALL
    assert home.value("sensor.haus_am_see_pv_power") != STATE_UNAVAILABLE
    assert home.value("sensor.haus_am_see_pv_energy_total") != STATE_UNAVAILABLE
    assert home.value("sensor.energy_butler_battery_power") != STATE_UNAVAILABLE


@GENERATION1
async def test_empty_list_is_no_absence(home: Home, set_up: SetUp) -> None:
    """A portal that lists no station, or no inverter of a station, has a bad hour, however long it lasts."""
    await set_up(FAMILY)
    station = home.simulator.accounts[FAMILY].stations[0]
    station.inverters.clear()
    await look_up(home, 27)
    home.simulator.accounts[FAMILY].stations.clear()
    await look_up(home, 27)
    assert devices(home.hass) == HOUSE_IDS


@GENERATION1
async def test_portal_that_fails_is_no_absence(home: Home, set_up: SetUp) -> None:
    await set_up(VILLAGE)
    home.simulator.faults.add("busy")
    await look_up(home, 27)
    home.simulator.faults.clear()
    home.simulator.faults.add("malformed", matching="station/devices")
    await look_up(home, 27)
    assert devices(home.hass) == ALL


@GENERATION1
async def test_absence_outlives_a_restart(home: Home, set_up: SetUp) -> None:
    entry = await set_up(VILLAGE)
    home.simulator.accounts[VILLAGE].stations.pop(0)
    for _ in range(5):
        await look_up(home, 5)
        await reload(home.hass, entry)
    assert devices(home.hass) == ALL - HOUSE_IDS


@GENERATION1
async def test_long_time_without_look_ups_is_no_absence(home: Home, set_up: SetUp) -> None:
    """Home Assistant was off for a month, between two bad hours of the portal."""
    entry = await set_up(VILLAGE)
    stations = home.simulator.accounts[VILLAGE].stations
    house = stations.pop(0)
    await look_up(home, 2)
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.freezer.tick(4 * REMOVED_AFTER)
    await set_up_again(home.hass, entry)
    await look_up(home, REMOVED_AFTER_LISTINGS - 5)
    assert devices(home.hass) == ALL
    stations.append(house)
    await look_up(home, 1)
    assert home.value("sensor.haus_am_see_pv_power") != STATE_UNAVAILABLE


@GENERATION1
async def test_remove_by_hand(home: Home, set_up: SetUp) -> None:
    """What the portal lists cannot be removed, what it does not list any more can; if it comes back it is new."""
    await set_up(VILLAGE)
    assert not await remove_by_hand(home.hass, HOUSE.station_id)
    assert not await remove_by_hand(home.hass, SHED_ID)
    farm = home.simulator.accounts[VILLAGE].stations[2]
    shed = farm.inverters.pop()
    await look_up(home, 1)
    await home.poll(GRACE_POLLS)
    assert await remove_by_hand(home.hass, SHED_ID)
    assert devices(home.hass) == ALL - {SHED_ID}
    await look_up(home, 1)
    assert devices(home.hass) == ALL - {SHED_ID}
    farm.inverters.append(shed)
    await look_up(home, 1)
    assert devices(home.hass) == ALL
    assert home.value("sensor.scheune_l1_inverter_power") != STATE_UNAVAILABLE


@GENERATION1
async def test_nothing_can_be_removed_while_the_portal_says_nothing(home: Home, set_up: SetUp) -> None:
    """Neither while it fails, nor while it lists no station at all."""
    entry = await set_up(FAMILY)
    stations = list(home.simulator.accounts[FAMILY].stations)
    home.simulator.accounts[FAMILY].stations.clear()
    await reload(home.hass, entry)
    assert not await remove_by_hand(home.hass, HOUSE.station_id)
    home.simulator.accounts[FAMILY].stations += stations
    home.simulator.faults.add("http_500")
    await reload(home.hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert not await remove_by_hand(home.hass, HOUSE.station_id)
    assert devices(home.hass) == HOUSE_IDS


@GENERATION1
async def test_only_followed_station_is_gone(home: Home, set_up: SetUp) -> None:
    """The portal lists another one: that is an absence."""
    entry = await set_up(VILLAGE)
    ignored = {plant.station_id: plant.name for plant in (BARN, FARM)}
    home.hass.config_entries.async_update_entry(entry, options={CONF_IGNORED_STATIONS: ignored})
    await reload(home.hass, entry)
    assert devices(home.hass) == HOUSE_IDS
    home.simulator.accounts[VILLAGE].stations.pop(0)
    await look_up(home, 25)
    assert devices(home.hass) == set()
    assert issues(home.hass) == []
