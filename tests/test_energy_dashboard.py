"""The Energy dashboard, set up in a dialog and taken back, and what can be done after the set-up."""

from collections.abc import Mapping
import json
from typing import Any

from homeassistant.components.energy.data import ENERGY_SOURCE_SCHEMA, async_get_manager
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr
import pytest
import voluptuous as vol

from custom_components.mtec import home_assistant_internals
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.options_flow import NEXT_STEPS
from tests.checkout import MTEC
from tests.conftest import FAMILY, GENERATION1, SetUp
from tests.home import Home
from tests.portal_simulator import PortalSimulator

OTHER = {
    "type": "solar",
    "stat_energy_from": "sensor.roof_of_somebody_else",
    "config_entry_solar_forecast": None,
}
HOUSE = "sensor.haus_am_see_"


@pytest.fixture(autouse=True)
def _at_the_portals_time(home: Home) -> None:
    """Have the energies of today, which are those of the portal's day."""


async def sources(hass: HomeAssistant) -> list[dict[str, Any]]:
    data = (await async_get_manager(hass)).data
    return [] if data is None else [dict(source) for source in data["energy_sources"]]


async def save(hass: HomeAssistant, *stored: dict[str, Any]) -> None:
    await (await async_get_manager(hass)).async_update({"energy_sources": [*stored]})  # type: ignore[typeddict-item]


async def choose(hass: HomeAssistant, entry: ConfigEntry, option: str) -> ConfigFlowResult:
    menu = await hass.config_entries.options.async_init(entry.entry_id)
    assert menu["type"] is FlowResultType.MENU
    return await hass.config_entries.options.async_configure(menu["flow_id"], {"next_step_id": option})


def placeholders(step: ConfigFlowResult) -> Mapping[str, str]:
    found = step["description_placeholders"]
    assert found is not None
    return found


async def submit(hass: HomeAssistant, form: ConfigFlowResult, **fields: Any) -> ConfigFlowResult:
    assert form["type"] is FlowResultType.FORM, form
    return await hass.config_entries.options.async_configure(form["flow_id"], fields)


async def test_sets_up_what_the_energy_dashboard_lacks(hass: HomeAssistant, set_up: SetUp) -> None:
    entry = await set_up(FAMILY)
    await save(hass, OTHER)
    form = await choose(hass, entry, "energy_dashboard")
    listed = placeholders(form)["sources"]
    assert "**Haus am See**" in listed
    assert "- Grid: Grid import today, Grid export today, Grid power" in listed
    # The dialog alone changes nothing.
    assert await sources(hass) == [OTHER]
    result = await submit(hass, form, import_price=0.32, export_price=0.08, capacity=10.2)
    assert result["reason"] == "energy_added"
    other, grid, solar, battery = stored = await sources(hass)
    assert other == OTHER
    assert grid == {
        "type": "grid",
        "name": "Grid",
        "stat_energy_from": f"{HOUSE}grid_import_today",
        "stat_energy_to": f"{HOUSE}grid_export_today",
        "stat_rate": f"{HOUSE}grid_power",
        "stat_cost": None,
        "entity_energy_price": None,
        "number_energy_price": 0.32,
        "stat_compensation": None,
        "entity_energy_price_export": None,
        "number_energy_price_export": 0.08,
        "cost_adjustment_day": 0.0,
    }
    assert (solar["name"], solar["stat_energy_from"], solar["stat_rate"]) == (
        "PV",
        f"{HOUSE}pv_energy_today",
        f"{HOUSE}pv_power",
    )
    assert (battery["stat_soc"], battery["capacity"]) == (f"{HOUSE}battery_state_of_charge", 10.2)
    ENERGY_SOURCE_SCHEMA(stored)
    # A second time there is nothing left to do.
    assert (await choose(hass, entry, "energy_dashboard"))["reason"] == "energy_complete"
    assert await sources(hass) == stored


@GENERATION1
async def test_what_is_there_is_left_with_its_price(hass: HomeAssistant, set_up: SetUp) -> None:
    entry = await set_up(FAMILY)
    mine = {
        "type": "grid",
        "stat_energy_from": f"{HOUSE}grid_import_today",
        "stat_energy_to": None,
        "stat_cost": None,
        "entity_energy_price": "sensor.tariff",
        "number_energy_price": None,
        "stat_compensation": None,
        "entity_energy_price_export": None,
        "number_energy_price_export": None,
        "cost_adjustment_day": 0,
    }
    await save(hass, mine)
    form = await choose(hass, entry, "energy_dashboard")
    # Without a grid to add there are no prices to ask for.
    schema = form["data_schema"]
    assert schema is not None
    assert {str(field) for field in schema.schema} == {"capacity"}
    await submit(hass, form)
    assert [source["type"] for source in await sources(hass)] == ["grid", "solar", "battery"]
    assert (await sources(hass))[0] == mine
    result = await submit(hass, await choose(hass, entry, "energy_remove"))
    assert result["reason"] == "energy_removed"
    assert await sources(hass) == [mine]


@GENERATION1
async def test_energies_of_an_inverter_count_as_those_of_its_station(hass: HomeAssistant, set_up: SetUp) -> None:
    entry = await set_up(FAMILY)
    inverter = "sensor.energy_butler_pv_energy_total"
    await save(hass, OTHER | {"stat_energy_from": inverter})
    before = hass.states.get(inverter)
    await submit(hass, await choose(hass, entry, "energy_dashboard"))
    solar = [source for source in await sources(hass) if source["type"] == "solar"]
    assert len(solar) == (1 if before is not None else 2)


async def test_takes_out_exactly_what_was_added(hass: HomeAssistant, set_up: SetUp) -> None:
    entry = await set_up(FAMILY)
    await save(hass, OTHER)
    menu = await hass.config_entries.options.async_init(entry.entry_id)
    assert "energy_remove" not in menu["menu_options"]
    hass.config_entries.options.async_abort(menu["flow_id"])
    await submit(hass, await choose(hass, entry, "energy_dashboard"), import_price_entity="sensor.tariff")
    grid = next(source for source in await sources(hass) if source["type"] == "grid")
    assert (grid["entity_energy_price"], grid["number_energy_price"]) == ("sensor.tariff", None)
    # A price that the person has changed since does not keep it in.
    await save(
        hass, *((each | {"entity_energy_price": None} if each == grid else each) for each in await sources(hass))
    )
    form = await choose(hass, entry, "energy_remove")
    assert placeholders(form)["sources"] == "- Grid\n- PV\n- Battery"
    assert (await submit(hass, form))["reason"] == "energy_removed"
    assert await sources(hass) == [OTHER]


@GENERATION1
async def test_a_price_is_a_number_or_an_entity(hass: HomeAssistant, set_up: SetUp) -> None:
    form = await choose(hass, await set_up(FAMILY), "energy_dashboard")
    result = await submit(hass, form, export_price=0.08, export_price_entity="sensor.tariff")
    assert result["errors"] == {"export_price_entity": "price_twice"}
    assert await sources(hass) == []


@GENERATION1
async def test_several_stations_are_told_apart_and_lack_what_they_lack(hass: HomeAssistant, set_up: SetUp) -> None:
    await submit(hass, await choose(hass, await set_up(), "energy_dashboard"))
    stored = await sources(hass)
    ENERGY_SOURCE_SCHEMA(stored)
    names = [source["name"] for source in stored]
    assert len(names) == len(set(names))
    assert "Haus am See: Grid" in names
    # This one has neither a meter nor a battery.
    assert [name for name in names if name.startswith("Stall")] == ['Stall; "Süd"/Müller: PV']


@GENERATION1
async def test_names_are_in_home_assistants_language(hass: HomeAssistant, set_up: SetUp) -> None:
    hass.config.language = "de"
    await submit(hass, await choose(hass, await set_up(FAMILY), "energy_dashboard"))
    assert [source["name"] for source in await sources(hass)] == ["Netz", "PV", "Batterie"]


@GENERATION1
@pytest.mark.parametrize("change", ["gone", "refuses"])
async def test_says_what_to_enter_by_hand_if_home_assistant_has_changed(
    hass: HomeAssistant, set_up: SetUp, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    entry = await set_up(FAMILY)
    if change == "gone":
        lacking = home_assistant_internals._LACKING
        monkeypatch.setitem(lacking, home_assistant_internals.Feature.ENERGY_DASHBOARD, "no schema")
        monkeypatch.setitem(lacking, home_assistant_internals.Feature.COSTS, "no manager")
    else:
        monkeypatch.setattr(home_assistant_internals, "ENERGY_SOURCE_SCHEMA", _refuse)
    result = await submit(hass, await choose(hass, entry, "energy_dashboard"))
    assert result["reason"] == "energy_by_hand"
    assert "Grid import today" in placeholders(result)["sources"]
    assert await sources(hass) == []


def _refuse(_: Any) -> None:
    raise vol.Invalid("it has changed")


# After the set-up


async def test_after_the_set_up_is_shown_what_can_be_done(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    """The frontend does not open the prepared dialog but begins another, which takes its place."""
    flows, options = hass.config_entries.flow, hass.config_entries.options
    flow = await flows.async_init(DOMAIN, context={"source": SOURCE_USER})
    flow = await flows.async_configure(flow["flow_id"], {"next_step_id": "account"})
    account = {"email": FAMILY, "password": "sunshine", "portal": {"url": simulator.url}}
    flow = await flows.async_configure(flow["flow_id"], account)
    entry = flow["result"]
    page = await options.async_init(entry.entry_id)
    assert page["step_id"] == "areas"
    page = await options.async_configure(page["flow_id"], {"Energy Butler": "cellar"})
    registry = dr.async_get(hass)
    areas = {each.name: each.area_id for each in dr.async_entries_for_config_entry(registry, entry.entry_id)}
    assert areas == {"Haus am See": None, "Energy Butler": "cellar"}
    assert page["step_id"] == "next_steps"
    assert page["menu_options"] == ["energy_dashboard", "open_dashboard", "later"]
    assert page["description_placeholders"] == {"home": "Haus am See", "stations": "Haus am See"}
    assert [each["flow_id"] for each in options.async_progress()] == [page["flow_id"]]
    later = await options.async_configure(page["flow_id"], {"next_step_id": "later"})
    assert later["reason"] == "later"
    # From then on the options are the usual ones.
    menu = await options.async_init(entry.entry_id)
    assert menu["menu_options"] == ["settings", "energy_dashboard", "import_history", "mqtt", "open_dashboard"]
    way = await options.async_configure(menu["flow_id"], {"next_step_id": "open_dashboard"})
    assert (way["reason"], way["description_placeholders"]) == ("dashboard_new", {"url": "/config/lovelace/dashboards"})
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_areas_are_asked_for_each_device_and_not_for_too_many(hass: HomeAssistant, set_up: SetUp) -> None:
    """Two devices may have one name, and nobody looks through the devices of fifty stations."""
    home = await set_up(FAMILY)
    options, registry = hass.config_entries.options, dr.async_get(hass)
    station, inverter = dr.async_entries_for_config_entry(registry, home.entry_id)
    registry.async_update_device(station.id, area_id="roof")
    registry.async_update_device(inverter.id, name_by_user=station.name)
    page = await options.async_init(home.entry_id, data=NEXT_STEPS)
    assert page["data_schema"] is not None
    fields = {str(field): field.description for field in page["data_schema"].schema}
    assert fields == {
        "Haus am See": {"suggested_value": "roof"},
        f"Haus am See ({inverter.serial_number})": {"suggested_value": None},
    }
    late = registry.async_get_or_create(config_entry_id=home.entry_id, identifiers={(DOMAIN, "late")}, name="Barn")
    registry.async_update_device(late.id, area_id="barn")
    page = await options.async_configure(page["flow_id"], {f"Haus am See ({inverter.serial_number})": "cellar"})
    assert page["step_id"] == "next_steps"
    areas = {each.id: each.area_id for each in dr.async_entries_for_config_entry(registry, home.entry_id)}
    assert areas == {station.id: None, inverter.id: "cellar", late.id: "barn"}
    options.async_abort(page["flow_id"])
    for number in range(20):
        registry.async_get_or_create(config_entry_id=home.entry_id, identifiers={(DOMAIN, f"more {number}")})
    page = await options.async_init(home.entry_id, data=NEXT_STEPS)
    assert page["step_id"] == "next_steps"


def test_titles_of_the_options_have_no_placeholders() -> None:
    """The frontend fills in those of a menu's description, but not those of its title."""
    for path in (MTEC / "translations").glob("*.json"):
        steps = json.loads(path.read_text(encoding="utf-8"))["options"]["step"]
        assert not [name for name, step in steps.items() if "{" in step["title"]], path
