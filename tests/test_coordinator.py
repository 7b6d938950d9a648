"""Polling: what comes and goes, what fails and recovers."""

from datetime import timedelta
import logging

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
import pytest

from custom_components.mtec.const import GRACE_POLLS, LOOKUP_INTERVAL
from tests.conftest import FAMILY, VILLAGE, SetUp
from tests.home import add_account, entry_at, poll
from tests.portal_simulator import PortalSimulator

PV_POWER = "sensor.haus_am_see_pv_power"
FARM_PV_POWER = "sensor.hof_lindner_pv_power"
INVERTER_BATTERY = "sensor.energy_butler_battery_power"
SHED_PHASE = "sensor.scheune_l1_inverter_power"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def state(hass: HomeAssistant, entity_id: str) -> str | None:
    found = hass.states.get(entity_id)
    return None if found is None else found.state


async def test_poll_brings_new_values(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> None:
    await set_up()
    before = state(hass, PV_POWER)
    simulator.clock.advance(timedelta(hours=3))
    await poll(hass, freezer)
    after = state(hass, PV_POWER)
    assert before != after
    assert float(after or "nan") == pytest.approx(
        simulator.plant(simulator.accounts[VILLAGE].stations[0]).power(simulator.clock.now()).pv, abs=0.6
    )


async def test_update_of_one_entity_polls_the_whole_account(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp
) -> None:
    """Within the time limit and the request budget of a poll."""
    await set_up()
    await async_setup_component(hass, "homeassistant", {})
    before, farm_before = state(hass, PV_POWER), state(hass, FARM_PV_POWER)
    simulator.clock.advance(timedelta(hours=3))
    await hass.services.async_call("homeassistant", "update_entity", {"entity_id": PV_POWER}, blocking=True)
    await hass.async_block_till_done()
    assert state(hass, PV_POWER) not in {before, STATE_UNAVAILABLE}
    assert state(hass, FARM_PV_POWER) not in {farm_before, STATE_UNAVAILABLE}


async def test_what_is_new_appears_within_an_hour(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> None:
    stations = simulator.accounts[VILLAGE].stations
    farm = stations.pop()
    shed = farm.inverters.pop()
    await set_up()
    assert state(hass, FARM_PV_POWER) is None

    stations.append(farm)
    await poll(hass, freezer)
    assert state(hass, FARM_PV_POWER) is None
    freezer.tick(LOOKUP_INTERVAL)
    await poll(hass, freezer)
    assert state(hass, FARM_PV_POWER) not in {None, STATE_UNAVAILABLE}
    assert state(hass, SHED_PHASE) is None

    farm.inverters.append(shed)
    freezer.tick(LOOKUP_INTERVAL)
    await poll(hass, freezer)
    assert state(hass, SHED_PHASE) not in {None, STATE_UNAVAILABLE}


async def test_one_part_fails_the_others_go_on(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    simulator: PortalSimulator,
    set_up: SetUp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It keeps its values for three polls, then is unavailable alone; said once, and once when it is back."""
    await set_up()
    stations = simulator.accounts[VILLAGE].stations
    house = stations.pop(0)

    before = state(hass, PV_POWER)
    simulator.clock.advance(timedelta(hours=2))
    farm_before = state(hass, FARM_PV_POWER)
    await poll(hass, freezer, GRACE_POLLS)
    assert state(hass, PV_POWER) == before
    assert state(hass, FARM_PV_POWER) != farm_before
    assert "unavailable" not in caplog.text

    await poll(hass, freezer, 3)
    assert state(hass, PV_POWER) == STATE_UNAVAILABLE
    assert state(hass, INVERTER_BATTERY) == STATE_UNAVAILABLE
    assert state(hass, FARM_PV_POWER) not in {None, STATE_UNAVAILABLE}
    assert caplog.text.count("Haus am See is unavailable") == 1

    stations.insert(0, house)
    await poll(hass, freezer, 2)
    assert state(hass, PV_POWER) not in {None, STATE_UNAVAILABLE}
    assert state(hass, INVERTER_BATTERY) not in {None, STATE_UNAVAILABLE}
    assert caplog.text.count("Haus am See is available again") == 1


async def test_portal_gone_and_back(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    simulator: PortalSimulator,
    set_up: SetUp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await set_up()
    stations = list(simulator.accounts[VILLAGE].stations)
    simulator.accounts[VILLAGE].stations.clear()
    # The simulator's clock stands still, and an inverter of version 2 is asked again when its next point is due.
    simulator.clock.advance(timedelta(minutes=5))
    await poll(hass, freezer, GRACE_POLLS)
    assert state(hass, PV_POWER) != STATE_UNAVAILABLE
    # An inverter of generation 2 is asked only when it may have a new point.
    simulator.clock.advance(timedelta(minutes=10))
    await poll(hass, freezer, GRACE_POLLS + 1)
    assert {state.state for state in hass.states.async_all()} == {STATE_UNAVAILABLE}
    assert caplog.text.count("The portal gives no values") == 1

    simulator.accounts[VILLAGE].stations.extend(stations)
    await poll(hass, freezer, 2)
    assert STATE_UNAVAILABLE not in {state.state for state in hass.states.async_all()}
    assert caplog.text.count("recovered") == 1


async def test_lookup_that_fails_changes_nothing(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> None:
    """Neither a portal that fails at the hourly look-up, nor one that knows no station any more for a while."""
    entry = await set_up()
    coordinator = entry.runtime_data
    stations = list(simulator.accounts[VILLAGE].stations)
    simulator.accounts[VILLAGE].stations.clear()
    freezer.tick(LOOKUP_INTERVAL)
    await poll(hass, freezer)
    assert len(coordinator.data.stations) == 3
    assert len(coordinator.data.inverters) == 4
    simulator.accounts[VILLAGE].stations.extend(stations)
    await poll(hass, freezer)

    simulator.delay = 1
    freezer.tick(LOOKUP_INTERVAL)
    simulator._busy.add("127.0.0.1")
    await poll(hass, freezer)
    assert len(coordinator.data.stations) == 3
    assert state(hass, PV_POWER) not in {None, STATE_UNAVAILABLE}


async def test_vanished_station_is_unavailable(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> None:
    """Once the portal has not listed it for several polls: a list may have a hole."""
    await set_up()
    house = simulator.accounts[VILLAGE].stations.pop(0)
    freezer.tick(LOOKUP_INTERVAL)
    await poll(hass, freezer, GRACE_POLLS)
    assert state(hass, PV_POWER) != STATE_UNAVAILABLE
    await poll(hass, freezer)
    assert state(hass, PV_POWER) == STATE_UNAVAILABLE

    simulator.accounts[VILLAGE].stations.append(house)
    freezer.tick(LOOKUP_INTERVAL)
    await poll(hass, freezer)
    assert state(hass, PV_POWER) not in {None, STATE_UNAVAILABLE}


async def test_expired_token_loses_no_poll(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> None:
    await set_up()
    logins = simulator.logins
    simulator.expire_tokens()
    simulator.clock.advance(timedelta(hours=1))
    before = state(hass, PV_POWER)
    await poll(hass, freezer)
    assert state(hass, PV_POWER) != before
    assert simulator.logins == logins + 1


async def test_unreachable_portal_is_tried_again(hass: HomeAssistant) -> None:
    entry = entry_at("http://127.0.0.1:1")
    assert not await add_account(hass, entry)
    assert entry.state is ConfigEntryState.SETUP_RETRY


async def test_refused_login_is_tried_again_then_the_person_is_asked(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator
) -> None:
    """A refused login may be maintenance: it is tried three times within minutes, and then no more."""
    simulator.accounts[FAMILY].password = "else"
    entry = entry_at(simulator.url, FAMILY, "sunshine")
    await add_account(hass, entry)
    states = [entry.state]
    await poll(hass, freezer, 20)
    states.append(entry.state)
    assert states == [ConfigEntryState.SETUP_RETRY, ConfigEntryState.SETUP_ERROR]
    assert [flow["context"]["source"] for flow in hass.config_entries.flow.async_progress()] == ["reauth"]
    assert len([call for call in simulator.requests if "login" in call.path and call.status == 200]) == 3
