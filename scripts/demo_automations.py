"""Automations of the demo, made from the blueprints so that a visitor can try them."""

import asyncio
from pathlib import Path
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .demo_house import Demo

CHECKOUT = Path(__file__).resolve().parent.parent
BLUEPRINTS = Path("blueprints", "automation", "mtec")
NEED_SETTINGS = {"charge_at_low_price", "hold_while_car_charges", "limit_feed_in_at_negative_price"}
"""The blueprints that need an inverter whose settings are switched on, which the visitor may do."""
HEATING_ROD = "input_boolean.heating_rod"
LOAD_SECONDS = 20


def automations(states: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the inputs of an automation from each blueprint that needs no setting of the inverter, by blueprint."""

    def sensor(key: str) -> str:
        return f"sensor.haus_am_see_{key}"

    # Only generation 1 of the portal has the first.
    outage = next(
        entity_id
        for entity_id, state in sorted(states.items())
        if entity_id == "binary_sensor.haus_am_see_grid_outage" or "off_grid" in state["attributes"].get("options", ())
    )
    return {
        "battery_full": {"state_of_charge": sensor("battery_state_of_charge")},
        "battery_low": {"state_of_charge": sensor("battery_state_of_charge")},
        "daily_archive": {"station": states[sensor("pv_power")]["device_id"]},
        "evening_summary": {
            "produced": sensor("pv_energy_today"),
            "imported": sensor("grid_import_today"),
            "exported": sensor("grid_export_today"),
            "self_sufficiency": sensor("self_sufficiency_today"),
        },
        "grid_outage": {"outage": outage},
        "source_silent": {"watched": sensor("pv_power"), "delay": {"minutes": 5}},
        "surplus_power": {"grid_power": sensor("grid_power"), "load": HEATING_ROD},
    }


async def add_automations(demo: Demo) -> None:
    """Make automations from the blueprints, as the frontend does."""
    registry = await demo.command("config/entity_registry/list")
    devices = {entry["entity_id"]: entry["device_id"] for entry in registry}
    states = {
        state["entity_id"]: state | {"device_id": devices.get(state["entity_id"])}
        for state in await demo.command("get_states")
    }
    for blueprint, inputs in automations(states).items():
        use = {"path": f"mtec/{blueprint}.yaml", "input": inputs}
        alias = f"Demo: {blueprint.replace('_', ' ')}"
        await demo.post(f"/api/config/automation/config/{blueprint}", {"alias": alias, "use_blueprint": use})


async def check_automations(demo: Demo) -> list[str]:
    """Make the automations, and wait until they are on. Return those that are not when time is up."""
    await add_automations(demo)
    wanted = {path.stem for path in (CHECKOUT / BLUEPRINTS).glob("*.yaml")} - NEED_SETTINGS
    deadline = time.monotonic() + LOAD_SECONDS
    while True:
        states = [each for each in await demo.command("get_states") if each["entity_id"].startswith("automation.")]
        on = {state["attributes"].get("id") for state in states if state["state"] == "on"}
        if wanted == on or time.monotonic() > deadline:
            print(f"Made {len(on)} automations from the blueprints.")
            return [f"The automation {blueprint} is not on" for blueprint in sorted(wanted - on)]
        await asyncio.sleep(0.3)
