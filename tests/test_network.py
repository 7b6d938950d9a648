"""Inverters in the home network: their values beside the portal's, without a portal, and changes between the two."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
import json
from types import MappingProxyType
from typing import Any, cast

from homeassistant.components.modbus import async_get_unit
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
from modbus_connection import ModbusSerialParams
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, get_system_health_info
from pytest_homeassistant_custom_component.components.diagnostics import get_diagnostics_for_config_entry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.mtec import network
from custom_components.mtec.const import (
    DOMAIN,
    GRACE_POLLS,
    NETWORK_INTERVAL,
)
from custom_components.mtec.energy_sensor import INVERTER_ENERGIES
from custom_components.mtec.local.exchange import Timing
from tests.conftest import NOON
from tests.home import SEED, Home, add_account, device, entry_at, reload
from tests.inverter_entries import RTU_UNIT, subentry
from tests.inverter_simulator import InverterSimulator
from tests.portal_simulator import BARN, FARM, HOUSE, PlantDescription, plant_of

SERIAL = HOUSE.inverters[0].serial
FAMILY = "family@example.com"


PV_POWER = "sensor.energy_butler_pv_power"
STATION_PV_POWER = "sensor.haus_am_see_pv_power"
SOURCE = "sensor.energy_butler_source"


@pytest.fixture
def generation() -> int:
    """The version of the API in which the portal has an inverter's energies."""
    return 2


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


def entry_with(home: Home, *inverters: InverterSimulator, email: str = FAMILY, **about: Any) -> MockConfigEntry:
    """Return the entry of an account with inverters in the network."""
    password = home.simulator.accounts[email].password
    return entry_at(
        home.simulator.url, email, password, title="Home", subentries_data=[*map(subentry, inverters)], **about
    )


def entry_without_account(*inverters: InverterSimulator) -> MockConfigEntry:
    """Return the entry of a home without an account."""
    return MockConfigEntry(domain=DOMAIN, title="Cellar", data={}, subentries_data=[*map(subentry, inverters)])


async def advance(home: Home, polls: int = 1) -> None:
    """Let the inverter be read so often."""
    await home.poll(polls, after=NETWORK_INTERVAL)


def asked_for(home: Home, id_: str, since: int) -> int:
    """Return how often the portal was asked for the live values of a station or an inverter."""
    return sum(
        id_ in f"{call.path} {call.query} {call.body}" and "Curve" not in call.path and "statistics" not in call.path
        for call in home.simulator.requests[since:]
    )


@pytest.fixture
async def entry(home: Home, inverter: InverterSimulator) -> MockConfigEntry:
    """The family's account with the house's inverter in the network, set up."""
    entry = entry_with(home, inverter)
    assert await add_account(home.hass, entry)
    return entry


# With the portal behind


async def test_live_values_come_from_the_network_every_ten_seconds(home: Home, entry: MockConfigEntry) -> None:
    assert home.value(SOURCE) == "network"
    plant = plant_of(HOUSE, SEED)
    station, fetched = entry.runtime_data.station_readings[HOUSE.station_id], set()
    for _ in range(40):
        fetched.add(station.fetched_at)
        await advance(home)
        powers = plant.power(home.simulator.clock.now())
        assert float(home.value(PV_POWER)) == pytest.approx(powers.pv, abs=1)
        # The station has no other inverter.
        assert float(home.value(STATION_PV_POWER)) == pytest.approx(powers.pv, abs=1)
        assert float(home.value("sensor.haus_am_see_grid_power")) == pytest.approx(powers.grid, abs=2)
    # Seven minutes: the portal is asked every five.
    assert 2 <= len(fetched) <= 3
    assert home.complaints() == []


async def test_portal_takes_over_after_three_polls_and_leaves_again(
    home: Home, entry: MockConfigEntry, inverter: InverterSimulator
) -> None:
    """Both are said once, and the portal is asked at once, then every minute again."""
    await inverter.stop()
    before = home.value(PV_POWER)
    await advance(home, GRACE_POLLS)
    assert (home.value(SOURCE), home.value(PV_POWER)) == ("network", before)
    since = len(home.simulator.requests)
    await advance(home)
    assert home.value(SOURCE) == "portal"
    assert len(home.simulator.requests) > since
    assert home.is_fresh(HOUSE, PV_POWER)
    for _ in range(5):
        since = len(home.simulator.requests)
        await home.poll()
        assert len(home.simulator.requests) > since
        assert home.is_fresh(HOUSE, PV_POWER)
        assert home.is_fresh(HOUSE, STATION_PV_POWER)
    assert home.unavailable() == set()

    await inverter.start()
    await advance(home, 2)
    assert home.value(SOURCE) == "network"
    assert home.said("cannot be read in the network, its values come from the portal until it can") == 1
    assert home.said("can be read in the network again") == 1
    # The library logs a lost connection as an error.
    expected = ("cannot be read in the network", "connection lost")
    assert [line for line in home.complaints() if not any(text in line for text in expected)] == []


async def test_live_values_go_on_while_the_portal_is_gone(home: Home, entry: MockConfigEntry) -> None:
    home.simulator.faults.add("http_503")
    for _ in range(10):
        await home.poll()
        await advance(home)
        assert home.is_fresh(HOUSE, PV_POWER)
        assert home.is_fresh(HOUSE, STATION_PV_POWER)
    live = ("_power", "state_of_charge", "voltage", "frequency", "source", "temperature", "battery_current")
    assert [each for each in home.unavailable() if each.endswith(live)] == []
    home.simulator.faults.clear()
    await home.poll(8)
    assert home.unavailable() == set()


async def test_both_gone_and_back(home: Home, entry: MockConfigEntry, inverter: InverterSimulator) -> None:
    home.simulator.faults.add("http_503")
    await home.poll(6)
    await inverter.stop()
    await home.poll(2 * GRACE_POLLS + 2)
    assert home.value(PV_POWER) == STATE_UNAVAILABLE
    await inverter.start()
    await advance(home, 2)
    assert home.is_fresh(HOUSE, PV_POWER)
    assert home.value(SOURCE) == "network"


async def test_start_while_the_portal_is_gone(home: Home, entry: MockConfigEntry) -> None:
    """What is known of stations and inverters is enough for the live values. Once it is back, all is as before."""
    everything = home.states().keys()
    home.simulator.faults.add("http_503")
    assert await reload(home.hass, entry)
    await advance(home)
    assert entry.state is ConfigEntryState.LOADED
    assert home.is_fresh(HOUSE, PV_POWER)
    assert home.is_fresh(HOUSE, STATION_PV_POWER)
    assert home.said("The portal cannot be read, only what is in the network") == 1
    home.simulator.faults.clear()
    await home.poll(3)
    assert home.unavailable() == set()
    assert home.states().keys() == everything


async def test_refused_login_starts_reauth_without_stopping_the_network(home: Home, entry: MockConfigEntry) -> None:
    home.simulator.accounts[FAMILY].password = "else"
    home.simulator.expire_tokens()
    assert await reload(home.hass, entry)
    for _ in range(20):
        await home.poll()
        await advance(home)
        assert home.is_fresh(HOUSE, PV_POWER)
    assert [flow["context"]["source"] for flow in home.hass.config_entries.flow.async_progress()] == ["reauth"]
    assert entry.state is ConfigEntryState.LOADED
    logins = [call for call in home.simulator.requests if "login" in call.path]
    await home.poll(20)
    assert [call for call in home.simulator.requests if "login" in call.path] == logins


async def test_another_inverter_at_the_address_is_never_shown(
    home: Home, entry: MockConfigEntry, inverter: InverterSimulator
) -> None:
    inverter.serial_number = "EB083P2304189999"
    inverter.raw = {11028: 0, 11029: 4321}
    inverter.disconnect()
    # The portal takes over at once: no value is kept for three polls.
    await advance(home)
    assert home.value(SOURCE) == "portal"
    await advance(home, 5)
    assert home.is_fresh(HOUSE, PV_POWER)
    assert home.said("Another inverter than before answers there") == 1
    assert not [state for state in home.states().values() if state.state.startswith("4321")]

    inverter.serial_number, inverter.raw = SERIAL, {}
    inverter.disconnect()
    await advance(home, 2)
    assert home.value(SOURCE) == "network"


async def test_other_settings_at_the_same_address_are_a_clear_error(home: Home, inverter: InverterSimulator) -> None:
    """Another integration has the connection: the portal serves until it lets go."""
    other = MockConfigEntry(domain="sofar")
    other.add_to_hass(home.hass)
    params = ModbusSerialParams(device=f"socket://{inverter.address}", framer="rtu", baudrate=9600)
    async_get_unit(home.hass, other, params, 1)
    inverter.unit = RTU_UNIT
    assert await add_account(home.hass, entry_with(home, inverter))
    assert home.value(SOURCE) == "portal"
    assert home.said("Another integration uses its address with other settings") == 1


async def test_late_answers_never_reach_a_state(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plant stands still: an answer that is taken for another one of the same length would change a state."""
    monkeypatch.setattr(network, "TIMING", Timing(timeout=0.2, spacing=0))
    async with InverterSimulator(HOUSE, seed=SEED, now=NOON) as inverter:
        entry = entry_without_account(inverter)
        assert await add_account(hass, entry)
        before = {state.entity_id: state.state for state in hass.states.async_all()}
        assert len(before) > 40
        inverter.faults.add("late", probability=0.15)
        answered = 0
        for _ in range(30):
            coordinator = entry.runtime_data.network[SERIAL]
            await coordinator.async_refresh()
            await hass.async_block_till_done()
            answered += coordinator.error is None
            shown = {state.entity_id: state.state for state in hass.states.async_all()}
            assert {
                each: value for each, value in shown.items() if value not in {before[each], STATE_UNAVAILABLE}
            } == {}
        assert inverter.faults.struck["late"] > 5
        assert answered > 5


# Stations


FARM_INVERTERS = [each.serial for each in FARM.inverters]


@pytest.mark.parametrize("serials", [FARM_INVERTERS[:1], FARM_INVERTERS], ids=["one", "all"])
async def test_station_takes_its_powers_from_the_network_if_all_inverters_are_there(
    home: Home, serials: list[str]
) -> None:
    email = "farm@example.com"
    async with AsyncExitStack() as stack:
        inverters = [await stack.enter_async_context(inverter_of(home, FARM, each, email)) for each in serials]
        entry = entry_with(home, *inverters, email=email)
        assert await add_account(home.hass, entry)
        # What the portal gave is half an hour old.
        home.simulator.faults.add("http_503")
        home.freezer.tick(timedelta(minutes=30))
        await advance(home)
        read_at = entry.runtime_data.network[serials[0]].fetched_at
        assert read_at is not None and home.simulator.clock.now() - read_at < timedelta(minutes=1)
        powers = plant_of(FARM, SEED).power(read_at)
        is_complete = serials == FARM_INVERTERS
        assert entry.runtime_data.station_readings[FARM.station_id].has_preferred is is_complete
        if is_complete:
            assert float(home.value("sensor.hof_lindner_pv_power")) == pytest.approx(powers.pv, abs=2)
            assert float(home.value("sensor.hof_lindner_grid_power")) == pytest.approx(powers.grid, abs=2)
            assert float(home.value("sensor.hof_lindner_house_power")) == pytest.approx(powers.load, abs=4)
            assert float(home.value("sensor.hof_lindner_battery_state_of_charge")) == pytest.approx(
                powers.soc or 0, abs=1
            )
            assert float(home.value("sensor.hof_lindner_battery_power")) == pytest.approx(powers.battery, abs=2)


# Without an account


@pytest.fixture
async def alone(home: Home, inverter: InverterSimulator) -> MockConfigEntry:
    """A home without an account, set up."""
    entry = entry_without_account(inverter)
    assert await add_account(home.hass, entry)
    await advance(home)
    return entry


async def test_home_without_account_has_all_that_the_registers_have(home: Home, alone: MockConfigEntry) -> None:
    registry = er.async_get(home.hass)
    entities = er.async_entries_for_config_entry(registry, alone.entry_id)
    enabled = {each.unique_id.removeprefix(f"{SERIAL}_") for each in entities if each.disabled_by is None}
    assert enabled >= {
        *("pv_power", "grid_power", "battery_power", "consumption_power", "inverter_power", "backup_power"),
        *("state_of_charge", "state_of_health", "battery_temperature", "grid_frequency", "work_status", "source"),
        *("grid_outage", "fault", "battery_fault", "first_fault", "string_power_1", "string_power_2"),
        *("phase_inverter_power_1", "phase_grid_power_3", "inverter_temperature_1"),
        *(f"{each.key}" for each in INVERTER_ENERGIES),
    }
    assert enabled | {each.unique_id.removeprefix(f"{SERIAL}_") for each in entities} >= {
        *("cell_voltage_highest", "cell_temperature_lowest", "charge_current_limit", "phase_voltage_2"),
        *("backup_phase_power_1", "fault_flags_3", "battery_error_code"),
    }
    powers = plant_of(HOUSE, SEED).power(home.simulator.clock.now())
    assert float(home.value("sensor.inverter_in_the_cellar_house_power")) == pytest.approx(powers.load, abs=2)
    assert home.value("sensor.inverter_in_the_cellar_first_fault") == "none"
    assert home.value("binary_sensor.inverter_in_the_cellar_grid_outage") == "off"
    devices = devices_of(home, alone)
    assert [(each.model, each.sw_version, each.serial_number, each.via_device_id) for each in devices] == [
        ("8K-25", "V1.0.0.1-V27.52.4.0", SERIAL, None)
    ]
    assert home.simulator.requests == []
    assert home.complaints() == []


async def test_fault_is_shown_in_words(home: Home, alone: MockConfigEntry, inverter: InverterSimulator) -> None:
    """The first of several; a mains loss is a grid outage."""
    for words, fault, outage in (
        ({10113: 0b11}, "mains_lost", "on"),
        ({10115: 0b10, 10121: 0b1}, "spi", "off"),
        ({10121: 1 << 10}, "phase_order", "off"),
    ):
        inverter.raw = words
        # The third word of faults is read every minute.
        await advance(home, 7)
        assert home.value("sensor.inverter_in_the_cellar_first_fault") == fault
        assert home.value("binary_sensor.inverter_in_the_cellar_fault") == "on"
        assert home.value("binary_sensor.inverter_in_the_cellar_grid_outage") == outage


async def test_inverter_alone_is_unavailable_after_three_polls(
    home: Home, alone: MockConfigEntry, inverter: InverterSimulator
) -> None:
    await inverter.stop()
    await advance(home, GRACE_POLLS)
    assert home.unavailable() == set()
    await advance(home)
    assert home.unavailable() == home.states().keys()
    await home.poll(3)
    await inverter.start()
    await advance(home)
    assert home.unavailable() == set()
    assert home.said("cannot be read in the network, it is unavailable") == 1
    assert home.said("can be read in the network again") == 1


async def test_start_does_not_wait_for_an_inverter(home: Home, inverter: InverterSimulator) -> None:
    """One that hangs holds up nothing; once it answers, its entities are there."""
    inverter.faults.add("silence")
    entry = entry_without_account(inverter)
    entry.add_to_hass(home.hass)
    assert await home.hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.LOADED
    inverter.faults.clear()
    inverter.disconnect()
    await home.hass.async_block_till_done(wait_background_tasks=True)
    await advance(home, 2)
    assert home.is_fresh(HOUSE, "sensor.inverter_in_the_cellar_pv_power")


async def test_actions_need_an_account(home: Home, alone: MockConfigEntry) -> None:
    call = partial(home.hass.services.async_call, DOMAIN, "get_usage", blocking=True, return_response=True)
    for target in ({}, {"config_entry": alone.entry_id}, {"device": device(home.hass, SERIAL)}):
        with pytest.raises(ServiceValidationError) as raised:
            await call({"type": "day"} | target)
        assert raised.value.translation_key == "no_account"


async def test_diagnostics_and_system_health_without_account(
    home: Home, alone: MockConfigEntry, inverter: InverterSimulator, hass_client: ClientSessionGenerator
) -> None:
    inverter.raw = {33000: 20000}
    await advance(home)
    await inverter.stop()
    await advance(home)
    assert await async_setup_component(home.hass, "diagnostics", {})
    assert await async_setup_component(home.hass, "system_health", {})
    shown = await get_diagnostics_for_config_entry(home.hass, hass_client, alone)
    (found,) = cast("list[dict[str, Any]]", shown["network"])
    assert found["link"] == {"port": inverter.port, "framing": "tcp", "unit_id": 255, "interval": 10.0}
    assert found["read"]["dropped"] == {"state_of_charge": 1}
    assert found["read"]["firmware"] == "V1.0.0.1-V27.52.4.0"
    assert found["error_counts"] == {"UnreachableError": 1}
    assert "UnreachableError" in found["last_error"]
    text = json.dumps(shown)
    assert not [private for private in (SERIAL, inverter.host, "cellar", "Cellar") if private in text]
    assert (await get_system_health_info(home.hass, DOMAIN)) == {"network_inverters": "1/1"}


# What comes and goes


async def test_account_and_inverter_come_and_go_without_a_change_of_ids(
    home: Home, alone: MockConfigEntry, inverter: InverterSimulator
) -> None:
    """An account is added to a home that began without one, then the inverter leaves the network."""
    before = {each.unique_id: each.entity_id for each in entities_of(home, alone)}
    entry_data = entry_with(home, inverter).data
    home.hass.config_entries.async_update_entry(alone, data=entry_data)
    assert await reload(home.hass, alone)
    await advance(home)
    known = dr.async_get(home.hass)
    butler = known.async_get_device_by_identifier((DOMAIN, SERIAL), alone.entry_id)
    assert butler is not None
    assert butler.via_device_id == device(home.hass, HOUSE.station_id)
    assert butler.sw_version == "V1.0.0.1-V27.52.4.0"
    assert home.value("sensor.inverter_in_the_cellar_source") == "network"
    assert home.is_fresh(HOUSE, STATION_PV_POWER)

    (subentry_id,) = alone.subentries
    home.hass.config_entries.async_remove_subentry(alone, subentry_id)
    await home.hass.async_block_till_done(wait_background_tasks=True)
    assert home.value("sensor.inverter_in_the_cellar_source") == "portal"
    after = {each.unique_id: each.entity_id for each in entities_of(home, alone)}
    assert after == after | before

    home.hass.config_entries.async_add_subentry(
        alone, ConfigSubentry(**subentry(inverter) | {"data": MappingProxyType(subentry(inverter)["data"])})
    )
    await home.hass.async_block_till_done(wait_background_tasks=True)
    await advance(home)
    assert home.value("sensor.inverter_in_the_cellar_source") == "network"
    assert {each.unique_id: each.entity_id for each in entities_of(home, alone)} == after


def devices_of(home: Home, entry: MockConfigEntry) -> list[dr.DeviceEntry]:
    return dr.async_entries_for_config_entry(dr.async_get(home.hass), entry.entry_id)


def entities_of(home: Home, entry: MockConfigEntry) -> list[er.RegistryEntry]:
    return er.async_entries_for_config_entry(er.async_get(home.hass), entry.entry_id)


async def test_removed_inverter_leaves_no_device(home: Home, alone: MockConfigEntry) -> None:
    (subentry_id,) = alone.subentries
    home.hass.config_entries.async_remove_subentry(alone, subentry_id)
    await home.hass.async_block_till_done(wait_background_tasks=True)
    assert devices_of(home, alone) == []


async def test_inverter_that_the_portal_does_not_list_stays(home: Home) -> None:
    """It has no station, and is not removed as one that has been missing for too long."""
    async with inverter_of(home, BARN) as inverter:
        entry = entry_with(home, inverter)
        assert await add_account(home.hass, entry)
        for _ in range(30):
            await home.poll(after=timedelta(hours=8))
        await advance(home)
        assert home.is_fresh(BARN, "sensor.inverter_in_the_cellar_pv_power")
        assert home.value("sensor.inverter_in_the_cellar_source") == "network"
        assert await home.hass.config_entries.async_unload(entry.entry_id) is not None


async def test_inverter_of_another_home_is_left_to_it(
    home: Home, entry: MockConfigEntry, inverter: InverterSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a copied configuration: the dialogs refuse it."""
    second = entry_without_account(inverter)
    assert await add_account(home.hass, second)
    assert second.runtime_data.network == {}
    assert er.async_entries_for_config_entry(er.async_get(home.hass), second.entry_id) == []
    assert "belongs to" in caplog.text
    assert inverter.serial_number not in caplog.text
    await advance(home)
    assert home.value(SOURCE) == "network"
