"""Which inverters have a device: those with an id of their own, whatever the portal leaves out."""

from dataclasses import replace
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec.const import LOOKUP_INTERVAL
from custom_components.mtec.portal import values
from tests.conftest import FAMILY, GENERATION1, VILLAGE, SetUp
from tests.home import Home, reload
from tests.portal_simulator import BARN, FARM, HOUSE
from tests.portal_simulator.plant import Inverter

HOUSE_BATTERY = "sensor.energy_butler_battery_power"
INVERTER = HOUSE.inverters[0]


def ids(hass: HomeAssistant, entry: MockConfigEntry) -> set[str]:
    """Return the ids of the devices of an account."""
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return {id_ for device in devices for _, id_ in device.identifiers}


@pytest.mark.parametrize(
    "raw",
    [None, "", " ", "--", "-", "0", "000000", 0, "null", "NULL", "None", "nan", "N/A", "unknown", "undefined", {}],
)
def test_what_is_no_serial_number(raw: Any) -> None:
    assert values.serial_number(raw) is None


@pytest.mark.parametrize(
    ("raw", "expected"), [(" EB083P2304180127 ", "EB083P2304180127"), (17, "17"), ("0A", "0A"), ("null-1", "null-1")]
)
def test_what_is_a_serial_number(raw: Any, expected: str) -> None:
    assert values.serial_number(raw) == expected


@pytest.mark.parametrize("missing", ["", "--", "null", "0"])
@GENERATION1
async def test_look_ups_without_a_serial_number_make_no_ghost(home: Home, set_up: SetUp, missing: str) -> None:
    """A known inverter is recognised by the portal's id of it, however often its serial number is missing."""
    entry = await set_up(FAMILY)
    before, devices = home.states().keys(), ids(home.hass, entry)
    inverters = home.simulator.accounts[FAMILY].stations[0].inverters
    inverters[0] = replace(INVERTER, serial=missing)
    for _ in range(5):
        await home.poll(after=LOOKUP_INTERVAL)
        await home.poll()
        assert ids(home.hass, entry) == devices
    assert home.states().keys() == before
    assert not home.unavailable()
    inverters[0] = INVERTER
    await home.poll(after=LOOKUP_INTERVAL)
    assert ids(home.hass, entry) == devices
    assert home.complaints() == []


@GENERATION1
async def test_new_inverter_waits_for_its_serial_number(home: Home, set_up: SetUp) -> None:
    """Two look-ups without it, at one poll after the other, are too few to take the portal's id; so after a restart."""
    inverters = home.simulator.accounts[FAMILY].stations[0].inverters
    inverters[0] = replace(INVERTER, serial="--")
    entry = await set_up(FAMILY)
    await home.poll()
    assert ids(home.hass, entry) == {HOUSE.station_id}
    inverters[0] = INVERTER
    await home.poll()
    assert ids(home.hass, entry) == {HOUSE.station_id, INVERTER.serial}
    assert home.is_fresh(HOUSE, "sensor.haus_am_see_pv_power")

    inverters[0] = replace(INVERTER, serial="--")
    await reload(home.hass, entry)
    assert ids(home.hass, entry) == {HOUSE.station_id, INVERTER.serial}
    inverters[0] = INVERTER
    await home.poll()
    assert ids(home.hass, entry) == {HOUSE.station_id, INVERTER.serial}
    assert not home.unavailable()


@GENERATION1
async def test_inverter_that_never_has_a_serial_number_goes_by_the_portals_id(home: Home, set_up: SetUp) -> None:
    """From the third look-up on, and at once after a restart."""
    home.simulator.accounts[FAMILY].stations[0].inverters[0] = replace(INVERTER, serial="")
    entry = await set_up(FAMILY)
    await home.poll(2)
    assert ids(home.hass, entry) == {HOUSE.station_id, INVERTER.device_id}
    await reload(home.hass, entry)
    await home.hass.async_block_till_done()
    assert HOUSE_BATTERY in home.states()
    assert not home.unavailable()


@pytest.mark.parametrize(
    "serial", [HOUSE.station_id, BARN.station_id, FARM.station_id, INVERTER.serial, BARN.inverters[0].serial]
)
async def test_serial_number_that_another_has_breaks_no_device(home: Home, set_up: SetUp, serial: str) -> None:
    """The inverter is left out, which is said once; its station, and who has the id, are as they were."""
    clashing = replace(FARM.inverters[0], device_id="1616375661729357999", serial=serial)
    home.simulator.accounts[VILLAGE].stations[2].inverters.append(clashing)
    entry = await set_up()
    await home.poll(2, after=LOOKUP_INTERVAL)
    stations, inverters = entry.runtime_data.data.stations, entry.runtime_data.data.inverters
    everybody = {each.serial for plant in (HOUSE, BARN, FARM) for each in plant.inverters}
    assert ids(home.hass, entry) == everybody | stations.keys()
    assert inverters.keys() == everybody
    assert [home.said(f"The serial number {serial} is the id of another")] == [1]
    registry = dr.async_get(home.hass)
    names = {
        id_: device.name
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id)
        for _, id_ in device.identifiers
    }
    assert {names[plant.station_id] for plant in (HOUSE, BARN, FARM)} == {HOUSE.name, BARN.name, FARM.name}
    assert all(
        device.via_device_id is None
        for device in dr.async_entries_for_config_entry(registry, entry.entry_id)
        if not device.serial_number
    )
    assert not home.unavailable()


@GENERATION1
@pytest.mark.parametrize("first", [INVERTER, FARM.inverters[0]], ids=["another_station", "same_station"])
async def test_inverter_that_another_has_the_number_of_keeps_its_own_readings(
    home: Home, set_up: SetUp, first: Inverter
) -> None:
    """The readings of the first one with a serial number are asked for with its own id."""
    shed = replace(FARM.inverters[1], serial=first.serial)
    home.simulator.accounts[VILLAGE].stations[2].inverters[1] = shed
    await set_up()
    await home.poll(after=LOOKUP_INTERVAL)
    asked = [call.query.get("id") for call in home.simulator.requests if "getDeviceData" in call.path]
    assert first.device_id in asked
    assert shed.device_id not in asked
