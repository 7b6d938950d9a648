"""Commands to a battery, and every end of them, in a real Home Assistant with a simulated inverter."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
import time
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.repairs import DOMAIN as REPAIRS
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import Context, CoreState, HomeAssistant, State
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockUser, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.mtec.battery.command import LONGEST
from custom_components.mtec.battery.commands import (
    END_LIMIT,
    REPAIR_AFTER,
    RETRY_INTERVAL,
    async_battery_commands,
    async_setup_battery_commands,
)
from custom_components.mtec.battery.issues import FOREIGN, NOT_ENDED
from custom_components.mtec.const import CONF_SETTINGS, DOMAIN, SETTINGS_INTERVAL
from tests.home import device
from tests.inverter_home import COMMANDED, GENERAL, MODE, TOLD, InverterHome, inverter_home
from tests.inverter_simulator import Request

NIGHT = datetime.fromisoformat("2024-06-12T22:15:00+00:00")
"""The battery supplies the house, and PV gives nothing."""

SHORT = {"duration": {"minutes": 30}}


@pytest.fixture
async def house(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[InverterHome]:
    async with inverter_home(hass, freezer, monkeypatch, NIGHT) as home:
        yield home


def command(house: InverterHome) -> State:
    """Return the sensor of what the battery is told."""
    (state,) = [each for each in house.hass.states.async_all("sensor") if each.entity_id.endswith("_battery_command")]
    return state


def mode_entity(house: InverterHome) -> str:
    (state,) = house.hass.states.async_all("select")
    return state.entity_id


def issues(house: InverterHome) -> set[str | None]:
    """Return the kinds of repair issues that there are."""
    return {each.translation_key for (domain, _), each in ir.async_get(house.hass).issues.items() if domain == DOMAIN}


def is_back(house: InverterHome) -> bool:
    """Return whether the inverter is in general mode, nothing is told, and nothing is kept of a command."""
    kept = async_battery_commands(house.hass).store.get(house.inverter.serial_number)
    return (house.mode, house.register(TOLD), kept) == (GENERAL, 0, None)


async def run_shutdown_jobs(house: InverterHome) -> None:
    """Do what Home Assistant does first when it stops."""
    for job in house.hass._shutdown_jobs:
        if (running := house.hass.async_run_hass_job(job.job, *job.args)) is not None:
            await running


# What a command does


@pytest.mark.parametrize(
    ("action", "data", "told", "shown"),
    [
        ("charge_battery", {"power": 3000}, -300, "charge"),
        ("discharge_battery", {"power": 2000}, 200, "discharge"),
        ("hold_battery", {}, 0, "hold"),
    ],
)
async def test_a_command_is_set_shown_and_answered(
    house: InverterHome, action: str, data: dict[str, Any], told: int, shown: str
) -> None:
    began = house.inverter.clock.now()
    response = await house.act(action, **data, **SHORT)
    assert (house.mode, house.register(TOLD)) == (COMMANDED, told)
    assert house.inverter.view().powers.battery == 10 * told
    ends = datetime.fromisoformat(response.pop("ends_at"))
    assert ends == began + timedelta(minutes=30)
    assert response == {
        "command": shown,
        "power": abs(10.0 * told),
        "until_state_of_charge": None,
        "replaces_another": False,
    }
    state = command(house)
    assert state.state == shown
    assert state.attributes["ends_at"] == ends.isoformat()
    assert house.value(mode_entity(house)) == "commanded"
    assert issues(house) == set()


async def test_the_battery_charges_and_its_energies_say_so(house: InverterHome) -> None:
    before = float(house.value("sensor.inverter_battery_charge_total"))
    soc = float(house.value("sensor.inverter_battery_state_of_charge"))
    await house.act("charge_battery", power=3000, duration={"hours": 1})
    await house.advance(timedelta(minutes=10), steps=3)
    assert float(house.value("sensor.inverter_battery_power")) == -3000
    assert float(house.value("sensor.inverter_battery_charge_total")) - before == pytest.approx(1.5, abs=0.15)
    assert float(house.value("sensor.inverter_battery_state_of_charge")) > soc + 10


async def test_a_second_command_replaces_the_first(house: InverterHome) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    response = await house.act("discharge_battery", power=1000, duration={"minutes": 50})
    assert response["replaces_another"]
    assert (house.mode, house.register(TOLD)) == (COMMANDED, 100)
    assert command(house).state == "discharge"
    # The time of the first is no end any more.
    await house.advance(timedelta(minutes=10), steps=4)
    assert house.register(TOLD) == 100
    await house.advance(timedelta(minutes=10))
    assert is_back(house)


async def test_who_began_it_is_shown(house: InverterHome, hass_admin_user: MockUser) -> None:
    for context, name in ((Context(user_id=hass_admin_user.id), hass_admin_user.name), (None, None)):
        await house.hass.services.async_call(
            DOMAIN, "hold_battery", SHORT, blocking=True, return_response=True, context=context
        )
        assert command(house).attributes["began_by"] == name
    context = Context(parent_id="trigger")
    house.hass.states.async_set("automation.night", "on", {"friendly_name": "Cheap night"}, context=context)
    await house.hass.services.async_call(DOMAIN, "hold_battery", SHORT, blocking=True, context=context)
    assert command(house).attributes["began_by"] == "Cheap night"


# What is refused


@pytest.mark.parametrize(
    ("action", "data", "key"),
    [
        ("charge_battery", {"power": 3000}, "no_end_given"),
        ("charge_battery", {"power": 9000, **SHORT}, "power_out_of_range"),
        ("charge_battery", {"power": 3000, "duration": {"hours": 13}}, "duration_out_of_range"),
        ("hold_battery", {"duration": {"seconds": 10}}, "duration_out_of_range"),
        ("charge_battery", {"power": 3000, "until_state_of_charge": 1}, "state_of_charge_reached"),
        ("discharge_battery", {"power": 3000, "until_state_of_charge": 99}, "state_of_charge_reached"),
        ("charge_battery", {"power": 3000, "device": "another", **SHORT}, "no_settings"),
    ],
)
async def test_a_command_that_makes_no_sense_is_refused_before_anything_is_written(
    house: InverterHome, action: str, data: dict[str, Any], key: str
) -> None:
    with pytest.raises(ServiceValidationError) as refused:
        await house.act(action, **data)
    assert refused.value.translation_key == key
    assert house.inverter.writes == []


async def test_a_command_to_the_device_of_the_inverter(house: InverterHome) -> None:
    await house.act("hold_battery", device=device(house.hass, house.inverter.serial_number), **SHORT)
    assert house.mode == COMMANDED


async def test_a_user_who_may_not_control_the_inverter_cannot_command_it(
    house: InverterHome, hass_read_only_user: MockUser
) -> None:
    with pytest.raises(Unauthorized):
        await house.hass.services.async_call(
            DOMAIN, "hold_battery", SHORT, blocking=True, context=Context(user_id=hass_read_only_user.id)
        )
    assert house.inverter.writes == []


async def test_without_settings_there_is_no_command(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inverter_home(hass, freezer, monkeypatch, NIGHT, settings=False) as house:
        with pytest.raises(ServiceValidationError) as refused:
            await house.act("charge_battery", power=3000, **SHORT)
        assert refused.value.translation_key == "no_settings"
        await house.advance(timedelta(minutes=1), steps=3)
        assert house.inverter.writes == []
        assert all(count > 1 or address != MODE for address, count in house.inverter.reads)


async def test_off_the_grid_the_battery_is_not_commanded(house: InverterHome) -> None:
    house.inverter.change(MODE, 512)
    with pytest.raises(ServiceValidationError) as refused:
        await house.act("hold_battery", **SHORT)
    assert refused.value.translation_key == "mode_not_commandable"
    assert house.inverter.writes == []


# How it begins


def _writes(address: int) -> Callable[[Request], bool]:
    return lambda request: request.is_write and request.address == address


async def test_it_is_stored_before_the_first_register_is_written(
    house: InverterHome, hass_storage: dict[str, Any]
) -> None:
    seen: list[Any] = []

    def note(request: Request) -> None:
        if request.is_write:
            seen.append([each["phase"] for each in hass_storage[f"{DOMAIN}.battery_commands"]["data"]["commands"]])

    house.inverter.after_answer = note
    await house.act("charge_battery", power=3000, **SHORT)
    await house.act("end_battery_command")
    assert seen == [["starting"], ["starting"], ["ending"], ["ending"]]
    assert hass_storage[f"{DOMAIN}.battery_commands"]["data"]["commands"] == []


@pytest.mark.parametrize("fault", ["write_refused", "write_ignored"])
@pytest.mark.parametrize("address", [MODE, TOLD])
async def test_a_start_that_fails_in_the_middle_goes_back_at_once(
    house: InverterHome, fault: str, address: int
) -> None:
    house.inverter.faults.add(fault, matching=_writes(address), times=1)
    with pytest.raises(HomeAssistantError) as failed:
        await house.act("charge_battery", power=3000, **SHORT)
    assert failed.value.translation_key in {"write_refused_value", "write_not_taken"}
    assert is_back(house)
    assert command(house).state == "none"


async def test_a_start_that_is_cancelled_goes_back(house: InverterHome) -> None:
    task = house.hass.async_create_task(house.act("charge_battery", power=3000, **SHORT))

    def cancel(request: Request) -> None:
        if _writes(MODE)(request):
            task.cancel()

    house.inverter.after_answer = cancel
    with pytest.raises(asyncio.CancelledError):
        await task
    house.inverter.after_answer = lambda _: None
    await house.advance(timedelta(seconds=1))
    assert is_back(house)


async def test_an_inverter_that_is_gone_in_the_middle_of_the_start_is_brought_back_later(house: InverterHome) -> None:
    house.inverter.after_answer = lambda request: house.inverter.faults.add("reset") if _writes(MODE)(request) else None
    with pytest.raises(HomeAssistantError):
        await house.act("charge_battery", power=3000, **SHORT)
    assert house.mode == COMMANDED
    house.inverter.after_answer = lambda _: None
    house.inverter.faults.clear()
    await house.advance(RETRY_INTERVAL)
    assert is_back(house)


# How it ends


async def test_it_ends_at_its_time(house: InverterHome) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    await house.advance(timedelta(minutes=29))
    assert house.mode == COMMANDED
    await house.advance(timedelta(minutes=1))
    assert is_back(house)
    assert command(house).state == "none"


async def test_it_ends_at_its_state_of_charge(house: InverterHome) -> None:
    now = float(house.value("sensor.inverter_battery_state_of_charge"))
    await house.act("charge_battery", power=3000, until_state_of_charge=now + 10)
    for _ in range(60):
        await house.advance(timedelta(minutes=1))
        if house.mode == GENERAL:
            break
    assert is_back(house)
    assert now + 10 <= float(house.value("sensor.inverter_battery_state_of_charge")) < now + 13


async def test_a_discharge_ends_at_its_state_of_charge(house: InverterHome) -> None:
    now = float(house.value("sensor.inverter_battery_state_of_charge"))
    await house.act("discharge_battery", power=2000, until_state_of_charge=now - 5)
    for _ in range(60):
        await house.advance(timedelta(minutes=1))
        if house.mode == GENERAL:
            break
    assert is_back(house)


async def test_without_a_duration_it_ends_after_twelve_hours(house: InverterHome) -> None:
    """A battery that is not charged any more, such as a faulty one, never reaches its state of charge."""
    house.inverter.raw[33000] = 2000
    await house.advance()
    await house.act("charge_battery", power=100, until_state_of_charge=90)
    await house.advance(LONGEST - timedelta(minutes=1))
    assert house.mode == COMMANDED
    await house.advance(timedelta(minutes=1))
    assert is_back(house)


async def test_it_ends_when_it_is_told_to(house: InverterHome) -> None:
    assert await house.act("end_battery_command") == {"ended": False, "mode": "general"}
    await house.act("hold_battery", **SHORT)
    assert await house.act("end_battery_command") == {"ended": True, "mode": "general"}
    assert is_back(house)


async def test_it_ends_when_a_mode_is_chosen(house: InverterHome) -> None:
    await house.act("hold_battery", **SHORT)
    await house.call("select", "select_option", mode_entity(house), option="economic")
    assert (house.mode, command(house).state) == (258, "none")


async def test_it_goes_back_to_the_mode_that_a_person_had_chosen(house: InverterHome) -> None:
    await house.call("select", "select_option", mode_entity(house), option="ups")
    await house.act("hold_battery", **SHORT)
    house.inverter.requests.clear()
    await house.act("end_battery_command")
    assert house.mode == 259
    assert [value for address, value in house.inverter.writes if address == MODE] == [257, 259]


async def test_it_ends_when_the_settings_are_switched_off(house: InverterHome) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    (subentry,) = house.entry.subentries.values()
    house.hass.config_entries.async_update_subentry(house.entry, subentry, data={**subentry.data, CONF_SETTINGS: False})
    await house.settle()
    assert is_back(house)
    written = len(house.inverter.writes)
    await house.advance(SETTINGS_INTERVAL, steps=3)
    assert len(house.inverter.writes) == written


@pytest.mark.parametrize("way", ["unload", "reload", "disable", "remove", "remove the inverter"])
async def test_it_ends_when_its_home_goes(house: InverterHome, way: str) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    entries, entry_id = house.hass.config_entries, house.entry.entry_id
    if way == "unload":
        await entries.async_unload(entry_id)
    elif way == "reload":
        await entries.async_reload(entry_id)
    elif way == "disable":
        await entries.async_set_disabled_by(entry_id, ConfigEntryDisabler.USER)
    elif way == "remove":
        await entries.async_remove(entry_id)
    else:
        entries.async_remove_subentry(house.entry, next(iter(house.entry.subentries)))
    await house.settle()
    assert is_back(house)


@pytest.mark.parametrize("way", ["unload", "remove", "settings off"])
async def test_what_cannot_be_ended_when_its_home_goes_is_tried_until_it_is(house: InverterHome, way: str) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    await house.inverter.stop()
    entries, entry_id = house.hass.config_entries, house.entry.entry_id
    if way == "unload":
        await entries.async_unload(entry_id)
    elif way == "remove":
        await entries.async_remove(entry_id)
    else:
        (subentry,) = house.entry.subentries.values()
        entries.async_update_subentry(house.entry, subentry, data={**subentry.data, CONF_SETTINGS: False})
    await house.settle()
    await house.advance(RETRY_INTERVAL, steps=2)
    assert house.mode == COMMANDED
    await house.inverter.start()
    await house.advance(RETRY_INTERVAL)
    assert is_back(house)


async def test_it_ends_when_home_assistant_stops(house: InverterHome) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    await run_shutdown_jobs(house)
    assert is_back(house)
    with pytest.raises(ServiceValidationError):
        await house.act("hold_battery", **SHORT)


async def test_a_stop_of_home_assistant_is_not_held_up(house: InverterHome) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    house.inverter.faults.add("silence")
    loop = asyncio.get_running_loop()
    stop = asyncio.ensure_future(run_shutdown_jobs(house))
    for _ in range(40):
        # A connection takes real time: should the clock move on before, it fails, which is another thing than silence.
        await asyncio.to_thread(time.sleep, 0.01)
        house.freezer.tick(1)
        async_fire_time_changed(house.hass)
    began = loop.time()
    await stop
    assert loop.time() - began < END_LIMIT
    assert house.mode == COMMANDED
    kept = async_battery_commands(house.hass).store.get(house.inverter.serial_number)
    assert kept is not None
    house.inverter.faults.clear()
    await house.advance(RETRY_INTERVAL, steps=2)
    assert is_back(house)


async def test_an_inverter_that_does_not_answer_at_the_end_is_tried_until_it_does(house: InverterHome) -> None:
    """After ten minutes a repair says so, until it is over."""
    await house.act("charge_battery", power=3000, **SHORT)
    await house.inverter.stop()
    await house.advance(timedelta(minutes=30))
    assert command(house).state in {"charge", "ending", "unavailable"}
    await house.advance(REPAIR_AFTER - timedelta(minutes=1))
    assert NOT_ENDED not in issues(house)
    await house.advance(RETRY_INTERVAL, steps=3)
    assert NOT_ENDED in issues(house)
    await house.inverter.start()
    await house.advance(RETRY_INTERVAL)
    assert is_back(house)
    assert issues(house) == set()


@pytest.mark.parametrize("fault", ["write_refused", "write_ignored"])
async def test_an_inverter_that_does_not_leave_the_mode_is_tried_until_it_does(house: InverterHome, fault: str) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    house.inverter.faults.add(fault, matching=_writes(MODE))
    with pytest.raises(HomeAssistantError):
        await house.act("end_battery_command")
    assert command(house).state == "ending"
    await house.advance(RETRY_INTERVAL)
    house.inverter.faults.clear()
    await house.advance(RETRY_INTERVAL)
    assert is_back(house)


# Others


async def test_another_client_that_ends_it_is_left_alone(house: InverterHome) -> None:
    await house.act("charge_battery", power=3000, **SHORT)
    house.inverter.requests.clear()
    house.inverter.change(MODE, 258)
    await house.advance(SETTINGS_INTERVAL)
    assert command(house).state == "none"
    assert async_battery_commands(house.hass).store.get(house.inverter.serial_number) is None
    await house.advance(timedelta(minutes=30))
    assert house.inverter.writes == []
    assert house.mode == 258


async def test_a_foreign_command_is_left_alone_and_shown(house: InverterHome) -> None:
    house.inverter.change(MODE, COMMANDED)
    house.inverter.change(TOLD, -100)
    await house.advance(SETTINGS_INTERVAL, steps=3)
    assert command(house).state == "other"
    assert issues(house) == {FOREIGN}
    with pytest.raises(ServiceValidationError) as refused:
        await house.act("hold_battery", **SHORT)
    assert refused.value.translation_key == "foreign_command"
    assert await house.act("end_battery_command") == {"ended": False, "mode": "commanded"}
    await house.hass.config_entries.async_reload(house.entry.entry_id)
    await house.settle()
    assert house.inverter.writes == []
    assert house.register(TOLD) == -100
    # When the other program ends it, all is well.
    house.inverter.change(MODE, GENERAL)
    await house.advance(SETTINGS_INTERVAL)
    assert issues(house) == set()


async def test_a_repair_brings_back_an_inverter_under_a_foreign_command(
    house: InverterHome, hass_client: ClientSessionGenerator
) -> None:
    assert await async_setup_component(house.hass, REPAIRS, {})
    house.inverter.change(MODE, COMMANDED)
    house.inverter.change(TOLD, -100)
    await house.advance(SETTINGS_INTERVAL, steps=2)
    (issue_id,) = [id_ for domain, id_ in ir.async_get(house.hass).issues if domain == DOMAIN]
    client = await hass_client()

    async def post(path: str, about: dict[str, str]) -> Any:
        return await (await client.post(f"/api/repairs/issues/fix{path}", json=about)).json()

    flow = await post("", {"handler": DOMAIN, "issue_id": issue_id})
    assert (flow["type"], flow["step_id"], flow["description_placeholders"]) == (
        "form",
        "confirm",
        {"name": "Inverter"},
    )
    assert house.inverter.writes == []
    house.inverter.faults.add("write_refused", matching=_writes(MODE), times=1)
    flow = await post(f"/{flow['flow_id']}", {})
    assert flow["errors"] == {"base": "not_brought_back"}
    flow = await post(f"/{flow['flow_id']}", {})
    assert flow["type"] == "create_entry"
    await house.settle()
    assert is_back(house)
    assert issues(house) == set()
    assert command(house).state == "none"


async def test_a_person_who_chooses_general_ends_a_foreign_command(house: InverterHome) -> None:
    house.inverter.change(MODE, COMMANDED)
    house.inverter.change(TOLD, -100)
    await house.advance(SETTINGS_INTERVAL, steps=2)
    await house.call("select", "select_option", mode_entity(house), option="general")
    assert is_back(house)
    assert house.inverter.writes == [(TOLD, 0), (MODE, GENERAL)]


# After a start of Home Assistant, in a home whose store has a command. Real kills are in test_killed.py.


def stored(house: InverterHome, hass_storage: dict[str, Any], **changes: Any) -> None:
    """Let the store have what a Home Assistant that was killed left there."""
    now = house.inverter.clock.now()
    hass_storage[f"{DOMAIN}.battery_commands"] = {
        "version": 1,
        "minor_version": 1,
        "key": f"{DOMAIN}.battery_commands",
        "data": {
            "seen_modes": {},
            "commands": [
                {
                    "serial_number": house.inverter.serial_number,
                    "kind": "charge",
                    "power": 3000.0,
                    "began": (now - timedelta(minutes=10)).isoformat(),
                    "until": (now + timedelta(minutes=20)).isoformat(),
                    "until_state_of_charge": None,
                    "mode_before": "general",
                    "phase": "running",
                    "began_by": "Cheap night",
                    "host": house.inverter.host,
                    "port": house.inverter.port,
                    "framing": "tcp",
                    "unit_id": house.inverter.unit,
                    "model": "8K-25",
                    "rated_power": 8000.0,
                    **changes,
                }
            ],
        },
    }


async def start_again(house: InverterHome) -> None:
    """Load the home as after a start."""
    await house.hass.config_entries.async_unload(house.entry.entry_id)
    house.hass.set_state(CoreState.starting)
    await async_setup_battery_commands(house.hass)
    await house.set_up()
    house.hass.set_state(CoreState.running)


def under_command(house: InverterHome) -> None:
    house.inverter.change(MODE, COMMANDED)
    house.inverter.view()
    house.inverter.change(TOLD, -300)
    house.inverter.requests.clear()


async def test_after_a_start_it_goes_on_and_ends_at_its_time(house: InverterHome, hass_storage: dict[str, Any]) -> None:
    under_command(house)
    stored(house, hass_storage)
    await start_again(house)
    assert command(house).state == "charge"
    assert command(house).attributes["began_by"] == "Cheap night"
    assert house.inverter.writes == []
    await house.advance(timedelta(minutes=20))
    assert is_back(house)


@pytest.mark.parametrize(
    "changes",
    [
        {"until": "2024-06-12T22:10:00+00:00"},
        {"phase": "starting"},
        {"phase": "ending"},
        # The clock was wrong when it began, or is now.
        {"until": "2024-06-16T02:00:00+00:00"},
        {"began": "2024-06-12T23:00:00+00:00"},
    ],
    ids=["over", "starting", "ending", "too long", "in the future"],
)
async def test_after_a_start_an_inverter_is_brought_back_first_of_all(
    house: InverterHome, hass_storage: dict[str, Any], changes: dict[str, str]
) -> None:
    under_command(house)
    stored(house, hass_storage, **changes)
    await start_again(house)
    assert is_back(house)
    # Nothing else was read before, but who it is.
    addresses = [request.address for request in house.inverter.requests]
    assert set(addresses[: addresses.index(MODE)]) <= {10000}


async def test_after_a_start_without_its_home_it_is_brought_back(
    house: InverterHome, hass_storage: dict[str, Any]
) -> None:
    under_command(house)
    stored(house, hass_storage)
    await house.hass.config_entries.async_unload(house.entry.entry_id)
    await async_setup_battery_commands(house.hass)
    await house.settle()
    assert is_back(house)


async def test_after_a_start_a_command_that_somebody_ended_is_forgotten(
    house: InverterHome, hass_storage: dict[str, Any]
) -> None:
    stored(house, hass_storage)
    house.inverter.requests.clear()
    await start_again(house)
    assert command(house).state == "none"
    assert is_back(house)
    assert house.inverter.writes == []


async def test_after_a_kill_between_the_modes_the_mode_of_the_person_is_restored(
    house: InverterHome, hass_storage: dict[str, Any]
) -> None:
    stored(house, hass_storage, phase="ending", mode_before="economic")
    await start_again(house)
    assert house.mode == 258


async def test_a_stored_command_that_makes_no_sense_is_found_as_a_foreign_one(
    house: InverterHome, hass_storage: dict[str, Any]
) -> None:
    under_command(house)
    stored(house, hass_storage, phase="nonsense")
    await start_again(house)
    await house.advance(SETTINGS_INTERVAL)
    assert issues(house) == {FOREIGN}
