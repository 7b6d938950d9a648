"""Setting up an account, as a person would, against the simulated portal."""

from datetime import timedelta
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigEntryState, ConfigFlowResult
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_SCAN_INTERVAL, CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_socket import socket_allow_hosts

from custom_components.mtec.config_flow import CONF_ALLOW_HTTP, SECTION_PORTAL
from custom_components.mtec.const import CONF_DIGEST, CONF_GENERATION, CONF_IGNORED_STATIONS, DOMAIN
from custom_components.mtec.errors import ADDRESS_ERRORS
from custom_components.mtec.portal_client import async_rate_limiter
from tests.conftest import FAMILY, GENERATION1, NOON, VILLAGE, SetUp
from tests.dialogs import Loads, choose, sign_in, submit
from tests.odd_portal import odd_portal
from tests.portal_simulator import BARN, FARM, HOUSE, PortalSimulator

DIGEST = "0571749e2ac330a7455809c6b0e7af90"
"""The md5 of the family's password."""


def is_portal_open(form: ConfigFlowResult) -> bool:
    """Return whether the section with the portal's address is open."""
    assert form["data_schema"] is not None
    collapsed: bool = form["data_schema"].schema[SECTION_PORTAL].options["collapsed"]
    return not collapsed


async def test_account(hass: HomeAssistant, simulator: PortalSimulator, generation: int) -> None:
    result = await sign_in(hass, simulator.url + "/", email=" Family@example.com ")
    await hass.async_block_till_done(wait_background_tasks=True)

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "Haus am See"
    # The password is not stored, only the hash the portal asks for.
    assert result["data"] == {
        CONF_URL: simulator.url,
        CONF_EMAIL: "Family@example.com",
        CONF_DIGEST: DIGEST,
        CONF_GENERATION: generation,
    }
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None


@GENERATION1
async def test_demo_account(hass: HomeAssistant, simulator: PortalSimulator, generation: int) -> None:
    result = await submit(hass, await choose(hass, "demo"), **{CONF_URL: simulator.url})
    await hass.async_block_till_done(wait_background_tasks=True)

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == {CONF_URL: simulator.url, CONF_GENERATION: generation}
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None


async def test_address_without_scheme_is_https(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    """The simulator speaks no TLS, so the connection fails, as it would to a portal with a broken certificate."""
    result = await sign_in(hass, simulator.url.removeprefix("http://"))
    assert result["errors"] == {SECTION_PORTAL: "cannot_connect"}


@pytest.mark.parametrize(
    ("email", "password", "path", "error"),
    [
        (FAMILY, "wrong", "", "invalid_auth"),
        ("nobody@example.com", "sunshine", "", "invalid_auth"),
        ("empty@example.com", "nothing", "", "no_stations"),
        (FAMILY, "sunshine", "ftp://portal", "invalid_url"),
        (FAMILY, "sunshine", "foo bar", "invalid_url"),
        (FAMILY, "sunshine", "https://foo,bar", "invalid_url"),
        (FAMILY, "sunshine", "https://", "invalid_url"),
        (FAMILY, "sunshine", "http://portal:port", "invalid_url"),
        (FAMILY, "sunshine", "http://127.0.0.1:1", "cannot_connect"),
    ],
)
async def test_what_can_be_wrong(
    hass: HomeAssistant, simulator: PortalSimulator, email: str, password: str, path: str, error: str
) -> None:
    """Each mistake has its own message, and the same dialog goes on once it is mended."""
    result = await sign_in(hass, path or simulator.url, email=email, password=password)
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == {SECTION_PORTAL if error in ADDRESS_ERRORS else "base": error}
    assert is_portal_open(result) is (error in ADDRESS_ERRORS)

    result = await submit(hass, result, **{CONF_EMAIL: FAMILY, CONF_PASSWORD: "sunshine", CONF_URL: simulator.url})
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"code": "3010107", "msg": "busy"}, "busy"),
        (b"<html>Not a portal", "invalid_response"),
        ({"code": "1000000", "data": {"top10List": {}}}, "invalid_response"),
    ],
)
async def test_what_can_be_wrong_with_a_portal(hass: HomeAssistant, answer: Any, error: str) -> None:
    async with odd_portal(lambda _: answer) as portal:
        result = await sign_in(hass, portal.url)
    assert list((result["errors"] or {}).values()) == [error]
    assert is_portal_open(result) is (error == "invalid_response")


# Addresses


@pytest.fixture
def portal_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name portal.example be this machine's, as any portal at home has a name."""

    async def resolve(
        self: AbstractResolver, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host.rstrip(".") not in {"portal.example", "localhost"}:
            raise OSError(None, "DNS server returned answer with no data")
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    monkeypatch.setattr(AsyncResolver, "resolve", resolve)


ACCOUNT = {CONF_EMAIL: FAMILY, CONF_PASSWORD: "sunshine"}


@pytest.mark.usefixtures("portal_example")
@pytest.mark.parametrize("step", ["account", "demo", "reconfigure"])
@GENERATION1
async def test_unencrypted_address_needs_consent(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, step: str
) -> None:
    """Nothing is sent to it before."""
    if step == "reconfigure":
        form = await (await set_up(FAMILY)).start_reconfigure_flow(hass)
    else:
        form = await choose(hass, step)
    fields = {"account": ACCOUNT, "demo": {}, "reconfigure": {CONF_PASSWORD: "sunshine"}}[step]
    url = simulator.url.replace("127.0.0.1", "portal.example")
    simulator.requests.clear()
    for consent in ({}, {CONF_ALLOW_HTTP: False}):
        form = await submit(hass, form, **fields, **consent, **{CONF_URL: url})
        assert form["errors"] == {SECTION_PORTAL: "insecure_url"}
        assert is_portal_open(form)
    assert simulator.requests == []

    result = await submit(hass, form, **fields, **{CONF_URL: url, CONF_ALLOW_HTTP: True})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert result["type"] is (FlowResultType.ABORT if step == "reconfigure" else FlowResultType.CREATE_ENTRY)
    [entry] = hass.config_entries.async_entries(DOMAIN)
    assert entry.data[CONF_URL] == url
    assert CONF_ALLOW_HTTP not in entry.data
    assert entry.state is ConfigEntryState.LOADED


@pytest.mark.usefixtures("portal_example")
@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://localhost:1", "cannot_connect"),
        ("http://LOCALHOST.:1", "cannot_connect"),
        ("https://127.0.0.1:1", "cannot_connect"),
        ("http://192.168.1.5:1", "insecure_url"),
        ("http://localhost.example.com", "insecure_url"),
        ("http://127.0.0.1.example.com", "insecure_url"),
        ("http://127.0.0.1@portal.example", "insecure_url"),
        ("http://0.0.0.0:1", "insecure_url"),
        ("http://[fe80::1]:1", "insecure_url"),
        ("HTTP://portal.example", "insecure_url"),
    ],
)
async def test_only_this_machine_needs_no_encryption(hass: HomeAssistant, url: str, error: str) -> None:
    assert (await sign_in(hass, url))["errors"] == {SECTION_PORTAL: error}


@pytest.mark.parametrize("url", ["http://127.3.2.1:1", "http://[::1]:1"])
async def test_this_machine_has_more_addresses(hass: HomeAssistant, url: str) -> None:
    """The next test may connect to none but 127.0.0.1 again."""
    socket_allow_hosts(["127.0.0.1", "127.3.2.1", "::1"], allow_unix_socket=True)
    assert (await sign_in(hass, url))["errors"] == {SECTION_PORTAL: "cannot_connect"}


@pytest.mark.usefixtures("portal_example")
@GENERATION1
async def test_a_dot_at_the_end_of_a_host_is_the_same_portal(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    """The account is set up once, and the portal has one pace."""
    url = simulator.url.replace("127.0.0.1", "portal.example")
    with_dot = simulator.url.replace("127.0.0.1", "Portal.Example.")
    for address, result in ((with_dot, FlowResultType.CREATE_ENTRY), (url, FlowResultType.ABORT)):
        form = await choose(hass, "account")
        done = await submit(hass, form, **ACCOUNT, **{CONF_URL: address, CONF_ALLOW_HTTP: True})
        assert done["type"] is result
    [entry] = hass.config_entries.async_entries(DOMAIN)
    assert entry.data[CONF_URL] == url
    assert async_rate_limiter(hass, with_dot) is async_rate_limiter(hass, url) is entry.runtime_data.rate_limiter
    assert async_rate_limiter(hass, "https://portal.example.:8443") is not async_rate_limiter(hass, url)


async def test_form_keeps_what_was_typed_but_the_password(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    result = await sign_in(hass, simulator.url, password="wrong")
    assert result["data_schema"] is not None
    suggested = {str(key): (key.description or {}).get("suggested_value") for key in result["data_schema"].schema}
    assert suggested[CONF_EMAIL] == FAMILY
    assert suggested[CONF_PASSWORD] is None


@pytest.mark.parametrize("email", [FAMILY, " FAMILY@Example.COM"])
async def test_same_account_twice(hass: HomeAssistant, simulator: PortalSimulator, email: str) -> None:
    await sign_in(hass, simulator.url)
    result = await sign_in(hass, simulator.url + "/", email=email)
    assert result["type"] is FlowResultType.ABORT
    assert result["reason"] == "already_configured"


@GENERATION1
async def test_demo_account_twice(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    for _ in range(2):
        result = await submit(hass, await choose(hass, "demo"), **{CONF_URL: simulator.url})
    assert result["reason"] == "already_configured"


async def test_demo_account_of_no_portal(hass: HomeAssistant) -> None:
    result = await submit(hass, await choose(hass, "demo"), **{CONF_URL: "http://127.0.0.1:1"})
    assert result["errors"] == {SECTION_PORTAL: "cannot_connect"}


async def test_changed_password(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> None:
    """A password changed on the portal asks for the new one, and all goes on."""
    entry = await set_up(FAMILY)
    simulator.accounts[FAMILY].password = "moonlight"
    simulator.expire_tokens()
    for _ in range(3):
        freezer.tick(timedelta(minutes=6))
        await entry.runtime_data.async_refresh()
    await hass.async_block_till_done(wait_background_tasks=True)

    [flow] = hass.config_entries.flow.async_progress()
    assert flow["step_id"] == "reauth_confirm"
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {CONF_PASSWORD: "sunshine"})
    assert result["errors"] == {"base": "invalid_password"}
    assert result["data_schema"] is not None
    assert [str(key) for key in result["data_schema"].schema] == [CONF_PASSWORD]
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {CONF_PASSWORD: "moonlight"})
    await hass.async_block_till_done(wait_background_tasks=True)

    assert result["reason"] == "reauth_successful"
    assert entry.runtime_data.last_update_success
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None


@GENERATION1
@pytest.mark.parametrize("dialog", ["reauth", "reconfigure"])
async def test_same_password_loads_the_account_again(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp, dialog: str
) -> None:
    """The portal may have refused it for a while, after which the account does not try by itself. Once is enough."""
    entry = await set_up(FAMILY)
    loads = Loads(entry)
    if dialog == "reauth":
        form = await entry.start_reauth_flow(hass)
        result = await hass.config_entries.flow.async_configure(form["flow_id"], {CONF_PASSWORD: "sunshine"})
    else:
        form = await entry.start_reconfigure_flow(hass)
        result = await submit(hass, form, **{CONF_PASSWORD: "sunshine", CONF_URL: simulator.url})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert result["reason"] == f"{dialog}_successful"
    assert (loads.count, entry.state) == (1, ConfigEntryState.LOADED)


async def test_reconfigure_with_another_password_and_address(
    hass: HomeAssistant, simulator: PortalSimulator, generation: int, set_up: SetUp
) -> None:
    """The plant has moved to another portal, where the password is another: entities and their ids stay."""
    entry = await set_up(FAMILY)
    states = hass.states.async_entity_ids()
    async with PortalSimulator(seed=1, now=NOON) as portal:
        portal.speaks = {generation}
        portal.accounts[FAMILY].password = "moonlight"
        form = await entry.start_reconfigure_flow(hass)
        form = await submit(hass, form, **{CONF_PASSWORD: "sunshine", CONF_URL: portal.url})
        assert form["errors"] == {"base": "invalid_password"}
        assert not is_portal_open(form)
        result = await submit(hass, form, **{CONF_PASSWORD: "moonlight", CONF_URL: portal.url})
        await hass.async_block_till_done(wait_background_tasks=True)

        assert result["reason"] == "reconfigure_successful"
        assert entry.data[CONF_URL] == portal.url
        assert entry.unique_id == f"{portal.url.removeprefix('http://')}_{FAMILY}"
        assert entry.state is ConfigEntryState.LOADED
        assert hass.states.async_entity_ids() == states


async def test_reconfigure_to_an_account_that_is_set_up(
    hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp
) -> None:
    entry = await set_up(FAMILY)
    async with PortalSimulator(seed=1, now=NOON) as portal:
        assert (await sign_in(hass, portal.url))["type"] is FlowResultType.CREATE_ENTRY
        form = await entry.start_reconfigure_flow(hass)
        result = await submit(hass, form, **{CONF_PASSWORD: "sunshine", CONF_URL: portal.url})
        await hass.async_block_till_done(wait_background_tasks=True)
    assert result["reason"] == "already_configured"


@GENERATION1
async def test_reconfigure_the_demo_account(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    """It has an address, but no password."""
    await submit(hass, await choose(hass, "demo"), **{CONF_URL: simulator.url})
    [entry] = hass.config_entries.async_entries(DOMAIN)
    form = await hass.config_entries.flow.async_init(
        DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
    )
    result = await submit(hass, form, **{CONF_URL: simulator.url})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert result["reason"] == "reconfigure_successful"
    assert entry.state is ConfigEntryState.LOADED


async def settings(hass: HomeAssistant, entry: MockConfigEntry) -> ConfigFlowResult:
    """Open the settings of an account."""
    menu = await hass.config_entries.options.async_init(entry.entry_id)
    assert menu["type"] is FlowResultType.MENU
    return await hass.config_entries.options.async_configure(menu["flow_id"], {"next_step_id": "settings"})


async def test_options(hass: HomeAssistant, device_registry: dr.DeviceRegistry, set_up: SetUp) -> None:
    """A station that is not followed has no device; followed again it is what it was."""
    entry = await set_up(VILLAGE)
    form = await settings(hass, entry)
    result = await hass.config_entries.options.async_configure(
        form["flow_id"], {CONF_SCAN_INTERVAL: 120, "stations": []}
    )
    assert result["errors"] == {"stations": "no_station_chosen"}
    result = await hass.config_entries.options.async_configure(
        form["flow_id"], {CONF_SCAN_INTERVAL: 120, "stations": [HOUSE.station_id, BARN.station_id]}
    )
    await hass.async_block_till_done(wait_background_tasks=True)

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert entry.runtime_data.interval == timedelta(seconds=120)
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None
    assert hass.states.get("sensor.hof_lindner_pv_power") is None
    names = {device.name for device in dr.async_entries_for_config_entry(device_registry, entry.entry_id)}
    assert names.isdisjoint({"Hof Lindner", "Wohnhaus", "Scheune"})

    form = await settings(hass, entry)
    await hass.config_entries.options.async_configure(
        form["flow_id"],
        {CONF_SCAN_INTERVAL: 30, "stations": [HOUSE.station_id, BARN.station_id, FARM.station_id]},
    )
    await hass.async_block_till_done(wait_background_tasks=True)
    assert hass.states.get("sensor.hof_lindner_pv_power") is not None


async def test_options_while_the_portal_is_away(hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp) -> None:
    """The stations are not known then, but nothing that was chosen before is lost."""
    entry = await set_up(VILLAGE)
    assert await hass.config_entries.async_unload(entry.entry_id)
    hass.config_entries.async_update_entry(entry, options={CONF_IGNORED_STATIONS: {FARM.station_id: FARM.name}})
    form = await settings(hass, entry)
    assert form["data_schema"] is not None
    assert form["data_schema"]({CONF_SCAN_INTERVAL: 60}) is not None
