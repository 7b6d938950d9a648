"""Permissions of the actions: users of a real Home Assistant, in calls and over the WebSocket API."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from homeassistant.auth.const import GROUP_ID_ADMIN, GROUP_ID_READ_ONLY, GROUP_ID_USER
from homeassistant.auth.models import Group, User
from homeassistant.auth.permissions.const import CAT_ENTITIES, POLICY_CONTROL, POLICY_READ
from homeassistant.auth.permissions.types import PolicyType
from homeassistant.components.automation import DOMAIN as AUTOMATION
from homeassistant.components.script import DOMAIN as SCRIPT
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError, Unauthorized, UnknownUser
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import CLIENT_ID, MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.mtec.const import DOMAIN
from tests.conftest import FAMILY, SetUp
from tests.home import device
from tests.portal_simulator import BARN, FARM, HOUSE, PortalSimulator

LIFE = {"type": "lifetime"}
WRITING: list[tuple[str, dict[str, str]]] = [
    ("export_csv", {**LIFE, "filename": "usage.csv"}),
    ("export_csv", {**LIFE, "filename": "{www}/usage.csv"}),
    ("import_history", {"resolution": "days"}),
]
READING: list[tuple[str, dict[str, str]]] = [("export_csv", LIFE), ("get_usage", LIFE)]

type CallAs = Callable[..., Any]


@pytest.fixture
def generation() -> int:
    """The generation of the API that the portal speaks."""
    return 1


@pytest.fixture(autouse=True)
def www(hass: HomeAssistant, tmp_path: Path) -> Path:
    """Let Home Assistant have a folder that it serves to everybody, with a file in it."""
    hass.config.config_dir = str(tmp_path)
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "usage.csv").write_text("old", encoding="utf-8")
    hass.config.allowlist_external_dirs = {str(folder)}
    return folder


@pytest.fixture(autouse=True)
async def _owner(hass: HomeAssistant) -> None:
    """The first user owns Home Assistant and may do everything: it is none of those of the tests."""
    await hass.auth.async_create_user("Owner", group_ids=[GROUP_ID_ADMIN])


@pytest.fixture
def call_as(hass: HomeAssistant, www: Path) -> CallAs:
    """Call an action as a user, by the id, and return its response. None is Home Assistant itself."""

    async def call(user_id: str | None, action: str, **data: Any) -> Any:
        data = {name: value.replace("{www}", str(www)) for name, value in data.items()}
        return await hass.services.async_call(
            DOMAIN, action, data, blocking=True, return_response=True, context=Context(user_id=user_id)
        )

    return call


async def user_of(hass: HomeAssistant, group: str) -> User:
    """Return a new user of one of Home Assistant's own groups."""
    return await hass.auth.async_create_user("Somebody", group_ids=[group])


def user_with(hass: HomeAssistant, policy: PolicyType) -> MockUser:
    """Return a new user with these permissions alone."""
    return MockUser(groups=[Group(id="guests", name="Guests", policy=policy)]).add_to_hass(hass)


def entities_of(hass: HomeAssistant, station_id: str) -> list[str]:
    """Return all entities of a station's own device."""
    return [
        entity.entity_id
        for entity in er.async_entries_for_device(
            er.async_get(hass), device(hass, station_id), include_disabled_entities=True
        )
    ]


def readable(*entity_ids: str) -> PolicyType:
    """Return the permission to read these entities."""
    return {CAT_ENTITIES: {"entity_ids": {entity_id: {POLICY_READ: True} for entity_id in entity_ids}}}


@pytest.mark.parametrize("group", [GROUP_ID_READ_ONLY, GROUP_ID_USER])
@pytest.mark.parametrize(("action", "data"), WRITING)
async def test_writing_and_importing_need_an_administrator(
    hass: HomeAssistant,
    simulator: PortalSimulator,
    set_up: SetUp,
    call_as: CallAs,
    www: Path,
    group: str,
    action: str,
    data: dict[str, str],
) -> None:
    await set_up(FAMILY)
    user = await user_of(hass, group)
    simulator.requests.clear()
    with pytest.raises(Unauthorized):
        await call_as(user.id, action, **data)
    assert (www / "usage.csv").read_text(encoding="utf-8") == "old"
    assert [each.name for each in www.parent.iterdir()] == ["www"]
    assert simulator.requests == []


@pytest.mark.parametrize(("action", "data"), WRITING[:2])
async def test_administrators_may_write(
    hass: HomeAssistant, set_up: SetUp, call_as: CallAs, www: Path, action: str, data: dict[str, str]
) -> None:
    await set_up(FAMILY)
    for user_id in ((await user_of(hass, GROUP_ID_ADMIN)).id, None):
        response = await call_as(user_id, action, **data)
        path = Path(response["path"])
        assert path.read_text(encoding="utf-8").count("\n") == 5
        path.write_text("old", encoding="utf-8")


async def test_administrators_may_import(hass: HomeAssistant, set_up: SetUp, call_as: CallAs) -> None:
    """They are not turned away, but told what stands in the way of this import."""
    await set_up(FAMILY)
    for user_id in ((await user_of(hass, GROUP_ID_ADMIN)).id, None):
        with pytest.raises(ServiceValidationError) as raised:
            await call_as(user_id, "import_history", start="2999-01-01")
        assert raised.value.translation_key == "start_in_future"


@pytest.mark.parametrize(("action", "data"), READING)
async def test_reading_needs_no_more_than_permission_to_read(
    hass: HomeAssistant, set_up: SetUp, call_as: CallAs, action: str, data: dict[str, str]
) -> None:
    await set_up(FAMILY)
    users = [await user_of(hass, group) for group in (GROUP_ID_READ_ONLY, GROUP_ID_USER, GROUP_ID_ADMIN)]
    guest = user_with(hass, readable(*entities_of(hass, HOUSE.station_id)))
    for user_id in (*(user.id for user in users), guest.id, None):
        assert (await call_as(user_id, action, **data))["first"] == "2023-01-01"


@pytest.mark.parametrize(("action", "data"), READING)
async def test_reading_needs_permission_for_all_of_the_station(
    hass: HomeAssistant,
    simulator: PortalSimulator,
    set_up: SetUp,
    call_as: CallAs,
    action: str,
    data: dict[str, str],
) -> None:
    await set_up(FAMILY)
    first, *others = entities_of(hass, HOUSE.station_id)
    everything_but_one = {entity_id: {POLICY_READ: True} for entity_id in others}
    policies: list[PolicyType] = [
        {},
        {CAT_ENTITIES: {"domains": {"light": True}}},
        {CAT_ENTITIES: {"entity_ids": everything_but_one}},
        {CAT_ENTITIES: {"entity_ids": {**everything_but_one, first: {POLICY_CONTROL: True}}}},
    ]
    simulator.requests.clear()
    for policy in policies:
        user = user_with(hass, policy)
        for station in ({}, {"device": device(hass, HOUSE.station_id)}):
            with pytest.raises(Unauthorized):
                await call_as(user.id, action, **data, **station)
    assert simulator.requests == []


async def test_station_without_an_entity_is_for_those_who_may_read_everything(
    hass: HomeAssistant, set_up: SetUp, call_as: CallAs
) -> None:
    await set_up(FAMILY)
    registry = er.async_get(hass)
    guest = user_with(hass, readable(*(entities := entities_of(hass, HOUSE.station_id))))
    for entity_id in entities:
        registry.async_remove(entity_id)
    with pytest.raises(Unauthorized):
        await call_as(guest.id, "get_usage", **LIFE)
    reader = await user_of(hass, GROUP_ID_READ_ONLY)
    assert (await call_as(reader.id, "get_usage", **LIFE))["first"] == "2023-01-01"


async def test_only_stations_that_may_be_read_are_there_to_choose_from(
    hass: HomeAssistant, set_up: SetUp, call_as: CallAs
) -> None:
    """An error names no station that the user may not see."""
    await set_up()
    house, barn = (entities_of(hass, plant.station_id) for plant in (HOUSE, BARN))
    guest = user_with(hass, readable(*house, *barn))
    with pytest.raises(ServiceValidationError) as raised:
        await call_as(guest.id, "get_usage", **LIFE)
    assert raised.value.translation_key == "several_stations"
    assert raised.value.translation_placeholders == {"stations": f"{HOUSE.name}, {BARN.name}"}
    for forbidden in (FARM.station_id, FARM.inverters[1].serial):
        with pytest.raises(Unauthorized):
            await call_as(guest.id, "get_usage", **LIFE, device=device(hass, forbidden))
    # The only one that may be read need not be named.
    guest = user_with(hass, readable(*barn))
    assert (await call_as(guest.id, "get_usage", **LIFE))["rows"][0]["grid_load"] is None


@pytest.mark.parametrize(("action", "data"), [*WRITING, *READING])
async def test_users_that_are_gone(
    hass: HomeAssistant, set_up: SetUp, call_as: CallAs, action: str, data: dict[str, str]
) -> None:
    await set_up(FAMILY)
    with pytest.raises(UnknownUser):
        await call_as("nobody", action, **data)


async def test_scripts_act_for_who_runs_them(hass: HomeAssistant, set_up: SetUp, www: Path) -> None:
    await set_up(FAMILY)
    action = {"action": "mtec.export_csv", "data": {**LIFE, "filename": str(www / "usage.csv")}}
    assert await async_setup_component(hass, SCRIPT, {SCRIPT: {"export": {"sequence": [action]}}})
    reader, admin = [await user_of(hass, group) for group in (GROUP_ID_USER, GROUP_ID_ADMIN)]
    with pytest.raises(Unauthorized):
        await hass.services.async_call(SCRIPT, "export", blocking=True, context=Context(user_id=reader.id))
    assert (www / "usage.csv").read_text(encoding="utf-8") == "old"
    await hass.services.async_call(SCRIPT, "export", blocking=True, context=Context(user_id=admin.id))
    assert (www / "usage.csv").read_text(encoding="utf-8").count("\n") == 5


async def test_automations_need_nobody(hass: HomeAssistant, set_up: SetUp, www: Path) -> None:
    """Only an administrator can make one; it runs without a user, also if something that a user did triggers it."""
    await set_up(FAMILY)
    automation = {
        "triggers": [{"trigger": "event", "event_type": "evening"}],
        "actions": [{"action": "mtec.export_csv", "data": {**LIFE, "filename": str(www / "usage.csv")}}],
    }
    assert await async_setup_component(hass, AUTOMATION, {AUTOMATION: [automation]})
    await hass.async_block_till_done()
    reader = await user_of(hass, GROUP_ID_READ_ONLY)
    hass.bus.async_fire("evening", context=Context(user_id=reader.id))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert (www / "usage.csv").read_text(encoding="utf-8").count("\n") == 5


async def test_websocket_of_a_user_who_is_no_administrator(
    hass: HomeAssistant, set_up: SetUp, hass_ws_client: WebSocketGenerator, www: Path
) -> None:
    await set_up(FAMILY)
    assert await async_setup_component(hass, "api", {})

    async def called(token: str, action: str, data: dict[str, str]) -> Any:
        client = await hass_ws_client(hass, token)
        data = {name: value.replace("{www}", str(www)) for name, value in data.items()}
        await client.send_json_auto_id(
            {"type": "call_service", "domain": DOMAIN, "service": action, "service_data": data, "return_response": True}
        )
        answer = await client.receive_json()
        await client.close()
        return answer

    for group, message in (
        (GROUP_ID_READ_ONLY, "Unauthorized"),
        (GROUP_ID_USER, "Unauthorized"),
        (GROUP_ID_ADMIN, None),
    ):
        token = await _token(hass, await user_of(hass, group))
        for action, data in WRITING[:2]:
            answer = await called(token, action, data)
            assert answer.get("error", {}).get("message") == message
            assert (www / "usage.csv").read_text(encoding="utf-8") == "old" or message is None
        for action, data in READING:
            assert (await called(token, action, data))["result"]["response"]["first"] == "2023-01-01"


async def _token(hass: HomeAssistant, user: User) -> str:
    refresh = await hass.auth.async_create_refresh_token(user, CLIENT_ID)
    return hass.auth.async_create_access_token(refresh)


async def test_account_that_is_named_has_to_be_readable(hass: HomeAssistant, set_up: SetUp, call_as: CallAs) -> None:
    entry: MockConfigEntry = await set_up()
    guest = user_with(hass, readable(*entities_of(hass, FARM.station_id)))
    usage = await call_as(guest.id, "get_usage", **LIFE, config_entry=entry.entry_id)
    assert usage["first"] == "2023-01-01"
    stranger = user_with(hass, {})
    with pytest.raises(Unauthorized):
        await call_as(stranger.id, "get_usage", **LIFE, config_entry=entry.entry_id)
