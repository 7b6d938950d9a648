"""The entities and devices of the simulated plants."""

from datetime import timedelta

from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.entity import Entity
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.conftest import GENERATION1, GENERATION2, NOON, SetUp
from tests.portal_simulator import HOUSE, PortalSimulator


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


def crowd(generation: int) -> set[str]:
    """Return what starts disabled of the family's inverter."""
    phases = {f"phase_{what}_{number}" for what in ("voltage", "current") for number in (1, 2, 3)}
    strings = {f"string_{what}_{number}" for what in ("voltage", "current") for number in (1, 2)}
    if generation == 1:
        return phases | strings
    backup = {f"backup_phase_{what}_{n}" for what in ("power", "voltage", "current", "frequency") for n in (1, 2, 3)}
    cells = {f"cell_{what}_{which}" for what in ("voltage", "temperature") for which in ("highest", "lowest")}
    codes = {f"{what}_flags_{number}" for what in ("fault", "warning") for number in (1, 2, 3)}
    codes |= {"battery_mode", "battery_error_code", "battery_warning_code"}
    limits = {"charge_current_limit", "discharge_current_limit"}
    counters = (
        "pv_energy",
        "grid_import",
        "grid_export",
        "battery_charge",
        "battery_discharge",
        "consumption",
        "backup",
    )
    return phases | strings | backup | cells | codes | limits | {f"{counter}_today" for counter in counters}


async def test_what_would_crowd_a_dashboard_starts_disabled(
    hass: HomeAssistant, set_up: SetUp, generation: int, entity_registry: er.EntityRegistry
) -> None:
    entry = await set_up("family@example.com")
    disabled = {
        entity.unique_id.removeprefix("EB083P2304180127_")
        for entity in er.async_entries_for_config_entry(entity_registry, entry.entry_id)
        if entity.disabled
    }
    station = {f"{HOUSE.station_id}_{what}" for what in ("installed_power", "signal_strength") if generation == 2}
    assert disabled == crowd(generation) | station


@GENERATION1
async def test_grid_outage(hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp) -> None:
    entry = await set_up("family@example.com")
    outage = "binary_sensor.haus_am_see_grid_outage"
    assert _state(hass, outage) == STATE_OFF
    simulator.accounts["family@example.com"].stations[0].outage = True
    await entry.runtime_data.async_refresh()
    assert _state(hass, outage) == STATE_ON


@GENERATION2
async def test_fault(hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp) -> None:
    entry = await set_up("family@example.com")
    fault, status = "binary_sensor.energy_butler_fault", "sensor.energy_butler_work_status"
    assert (_state(hass, fault), _state(hass, status)) == (STATE_OFF, "on_grid")
    simulator.accounts["family@example.com"].stations[0].fault = 4
    simulator.clock.advance(timedelta(minutes=15))
    await entry.runtime_data.async_refresh()
    assert (_state(hass, fault), _state(hass, status)) == (STATE_ON, "fault")


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
