"""The entities and devices of the simulated plants."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE, STATE_UNKNOWN, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.icon import async_get_icons
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from custom_components.mtec.const import GRACE_POLLS
from custom_components.mtec.models import WorkStatus
from tests.conftest import GENERATION1, GENERATION2, NOON, SetUp
from tests.energies import INVERTER_ENERGIES_TODAY
from tests.home import Home
from tests.portal_simulator import FAULTS, HOUSE, PortalSimulator
from tests.portal_simulator.faults import Fault


@pytest.fixture
def all_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable what starts disabled."""
    monkeypatch.setattr(Entity, "entity_registry_enabled_default", True)


@pytest.mark.usefixtures("all_enabled")
@pytest.mark.parametrize("email", ["family@example.com", "barn@example.com", "farm@example.com"])
async def test_entities_and_devices(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    set_up: SetUp,
    email: str,
    entity_registry: er.EntityRegistry,
    device_registry: dr.DeviceRegistry,
    snapshot: SnapshotAssertion,
) -> None:
    """All of a plant: no battery, meter, phase or string that it does not have."""
    freezer.move_to(NOON)
    entry = await set_up(email)
    devices = dr.async_entries_for_config_entry(device_registry, entry.entry_id)
    names = {device.id: device.name for device in devices}
    entities = er.async_entries_for_config_entry(entity_registry, entry.entry_id)
    states = {state.entity_id: state for state in hass.states.async_all()}
    assert states.keys() == {entity.entity_id for entity in entities}
    assert {
        "devices": [
            {
                "name": device.name,
                "identifiers": sorted(identifier for _, identifier in device.identifiers),
                "manufacturer": device.manufacturer,
                "model": device.model,
                "serial_number": device.serial_number,
                "below": names.get(device.via_device_id or ""),
            }
            for device in devices
        ],
        "entities": {
            entity.entity_id: {
                "state": states[entity.entity_id].state,
                "attributes": {str(name): value for name, value in states[entity.entity_id].attributes.items()},
                "unique_id": entity.unique_id,
                "translation_key": entity.translation_key,
                "options": entity.options,
            }
            for entity in entities
        },
    } == snapshot(extension_class=JSONSnapshotExtension)


OF_BATTERY = {"battery_charge_power", "battery_discharge_power"}
OF_GRID = {"grid_import_power", "grid_export_power"}
"""Powers by direction, which are told by one with a sign, too."""


def crowd(generation: int) -> set[str]:
    """Return what starts disabled of the family's inverter."""
    electric, numbers = ("voltage", "current"), (1, 2, 3)
    crowding = keys("phase", electric, numbers) | keys("string", electric, (1, 2)) | OF_BATTERY
    if generation == 1:
        return crowding
    crowding |= OF_GRID
    crowding |= keys("backup_phase", ("power", "voltage", "current", "frequency"), numbers)
    crowding |= keys("cell", ("voltage", "temperature"), ("highest", "lowest"))
    crowding |= keys("fault", ["flags"], numbers) | keys("warning", ["flags"], numbers)
    crowding |= {"battery_mode", "battery_error_code", "battery_warning_code"}
    crowding |= {"charge_current_limit", "discharge_current_limit"}
    return crowding | INVERTER_ENERGIES_TODAY.keys() | {"backup_today"}


def keys(what: str, measures: Iterable[str], which: Iterable[object]) -> set[str]:
    """Return the keys of what there is several of."""
    return {f"{what}_{measure}_{each}" for measure, each in product(measures, which)}


async def test_what_would_crowd_a_dashboard_starts_disabled(
    hass: HomeAssistant, set_up: SetUp, generation: int, entity_registry: er.EntityRegistry
) -> None:
    entry = await set_up("family@example.com")
    disabled = {
        entity.unique_id.removeprefix("EB083P2304180127_")
        for entity in er.async_entries_for_config_entry(entity_registry, entry.entry_id)
        if entity.disabled
    }
    of_station = OF_BATTERY | OF_GRID | ({"installed_power", "signal_strength"} if generation == 2 else set())
    assert disabled == crowd(generation) | {f"{HOUSE.station_id}_{what}" for what in of_station}


@GENERATION1
async def test_grid_outage(hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp) -> None:
    entry = await set_up("family@example.com")
    outage = "binary_sensor.haus_am_see_grid_outage"
    assert _state(hass, outage) == STATE_OFF
    simulator.accounts["family@example.com"].stations[0].outage = True
    await entry.runtime_data.async_refresh()
    assert _state(hass, outage) == STATE_ON


OUTAGE = "binary_sensor.haus_am_see_grid_outage"


@GENERATION2
async def test_inverter_off_the_grid_is_a_grid_outage(home: Home, set_up: SetUp) -> None:
    """Known from the work status of its inverters: not known once none of them is."""
    simulator = home.simulator
    await set_up("family@example.com")
    assert home.value(OUTAGE) == STATE_OFF
    station = simulator.accounts["family@example.com"].stations[0]
    station.outage = True
    await home.poll(after=timedelta(minutes=10))
    assert home.value(OUTAGE) == STATE_ON
    assert home.value("sensor.energy_butler_work_status") == "off_grid"
    station.outage = False
    await home.poll(after=timedelta(minutes=10))
    assert home.value(OUTAGE) == STATE_OFF

    simulator.faults.add("malformed", matching="queryRealTimeData")
    await home.poll(GRACE_POLLS)
    assert home.value(OUTAGE) == STATE_OFF
    # An inverter of generation 2 is asked only when it may have a new point.
    await home.poll(GRACE_POLLS + 7)
    assert home.value("sensor.energy_butler_work_status") == STATE_UNAVAILABLE
    assert home.value(OUTAGE) == STATE_UNKNOWN
    simulator.faults.clear()
    await home.poll()
    assert home.value(OUTAGE) == STATE_OFF


@GENERATION2
async def test_one_of_two_inverters_off_the_grid_is_a_grid_outage(home: Home, set_up: SetUp) -> None:
    entry = await set_up("farm@example.com")
    outage = "binary_sensor.hof_lindner_grid_outage"
    [house, shed] = entry.runtime_data.inverter_readings.values()
    for first, second, expected in (
        (WorkStatus.ON_GRID, WorkStatus.OFF_GRID, STATE_ON),
        (WorkStatus.OFF_GRID, None, STATE_ON),
        (WorkStatus.FAULT, None, STATE_OFF),
        (WorkStatus.WAITING, WorkStatus.ON_GRID, STATE_OFF),
    ):
        assert house.reading is not None and shed.reading is not None
        house.data = replace(house.reading, work_status=first)
        shed.data = replace(shed.reading, work_status=second)
        shed.async_update_listeners()
        assert home.value(outage) == expected


@GENERATION2
async def test_outage_of_one_station_is_not_the_others(home: Home, set_up: SetUp) -> None:
    await set_up()
    home.simulator.accounts["village@example.com"].stations[0].outage = True
    await home.poll(after=timedelta(minutes=10))
    assert home.value(OUTAGE) == STATE_ON
    assert home.value("binary_sensor.hof_lindner_grid_outage") == STATE_OFF


def zero_rows(tree: Any, _: Any) -> Any:
    """Write 0.0 into each row for what the plant does not have."""
    if isinstance(tree, dict) and isinstance(data := tree.get("data"), dict) and "curve" in data:
        for row in data["curve"]:
            for name in ("ebuytotal", "eselltotal", "ebatteryCharge", "ebatteryDischarge", "eusetotal"):
                if row.get(name) is None:
                    row[name] = 0.0
    return tree


SHARES = ("self_consumption_today", "self_sufficiency_today")


@pytest.mark.parametrize(
    ("email", "station", "has_shares"),
    [("barn@example.com", "stall_sud_muller", False), ("family@example.com", "haus_am_see", True)],
)
async def test_no_shares_without_a_meter(
    home: Home,
    set_up: SetUp,
    monkeypatch: pytest.MonkeyPatch,
    email: str,
    station: str,
    has_shares: bool,
) -> None:
    """Its rows say that nothing was fed in and nothing drawn, which is not 100 %. A plant with a meter has them."""
    monkeypatch.setitem(FAULTS, "zero_rows", Fault(about="rows say 0.0 of what is not there", tree=zero_rows))
    home.simulator.faults.add("zero_rows")
    entry = await set_up(email)
    await home.poll(3, after=timedelta(minutes=6))
    assert home.simulator.faults.struck["zero_rows"]
    [energies] = entry.runtime_data.daily_energies.values()
    assert energies.reading is not None and energies.reading.today is not None
    assert energies.reading.today.grid_export is not None
    shown = [home.hass.states.get(f"sensor.{station}_{share}") is not None for share in SHARES]
    assert shown == [has_shares] * 2


@pytest.mark.parametrize("sent", [0.0, 0.01])
async def test_meter_that_was_seen_once_stays(home: Home, set_up: SetUp, sent: float) -> None:
    """The live power is missing from now on, and the day's rows are zero: what the month had tells of the meter."""
    entry = await set_up("family@example.com")
    account = entry.runtime_data
    [energies], [station] = account.daily_energies.values(), account.station_readings.values()
    assert energies.reading is not None and station.reading is not None
    station.data = replace(station.reading, grid_power=None)
    energies.data = replace(energies.reading, has_meter=bool(sent))
    home.simulator.faults.add("zero_energies")
    reading = await account._async_read_daily_energies(HOUSE.station_id)
    assert reading.has_meter is bool(sent)


@GENERATION2
async def test_fault(hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp) -> None:
    entry = await set_up("family@example.com")
    fault, status = "binary_sensor.energy_butler_fault", "sensor.energy_butler_work_status"
    assert (_state(hass, fault), _state(hass, status)) == (STATE_OFF, "on_grid")
    simulator.accounts["family@example.com"].stations[0].fault = 4
    simulator.clock.advance(timedelta(minutes=15))
    await entry.runtime_data.async_refresh()
    assert (_state(hass, fault), _state(hass, status)) == (STATE_ON, "fault")


@pytest.mark.usefixtures("all_enabled")
async def test_home_battery_is_not_among_the_batteries_to_be_replaced(hass: HomeAssistant, set_up: SetUp) -> None:
    """Home Assistant lists what has the device class of a battery, and its icon has the level all the same."""
    await set_up("family@example.com")
    assert not [
        state.entity_id
        for state in hass.states.async_all()
        if state.attributes.get("device_class") in {"battery", "battery_charging"}
    ]
    icons = await async_get_icons(hass, "entity", ["mtec"])
    charge = icons["mtec"]["sensor"]["state_of_charge"]
    assert [*charge["range"]] == [str(level) for level in range(0, 101, 10)]
    assert hass.states.get("sensor.haus_am_see_battery_state_of_charge") is not None


async def test_german_names(hass: HomeAssistant, set_up: SetUp) -> None:
    hass.config.language = "de"
    await set_up("family@example.com")
    state = hass.states.get("sensor.haus_am_see_pv_ertrag_heute")
    assert state is not None
    assert state.name == f"{HOUSE.name} PV-Ertrag heute"


async def test_unload(hass: HomeAssistant, set_up: SetUp) -> None:
    entry = await set_up("family@example.com")
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert {state.state for state in hass.states.async_all(Platform.SENSOR)} == {STATE_UNAVAILABLE}


def _state(hass: HomeAssistant, entity_id: str) -> str:
    state = hass.states.get(entity_id)
    assert state is not None
    return state.state
