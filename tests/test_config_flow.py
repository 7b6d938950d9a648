"""Setting up an account, as a person would, against the simulated portal."""

from typing import Any

from homeassistant.config_entries import SOURCE_USER, ConfigFlowResult
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
import pytest

from custom_components.mtec.config_flow import SECTION_PORTAL
from custom_components.mtec.const import CONF_DIGEST, DOMAIN
from tests.conftest import SetUp
from tests.odd_portal import odd_portal
from tests.portal_simulator import PortalSimulator

FAMILY = "family@example.com"
DIGEST = "0571749e2ac330a7455809c6b0e7af90"
"""The md5 of the family's password."""


async def choose(hass: HomeAssistant, option: str) -> ConfigFlowResult:
    """Open the dialog and choose an option of its menu."""
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    assert menu["type"] is FlowResultType.MENU
    assert menu["menu_options"] == ["account", "demo"]
    return await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": option})


async def submit(hass: HomeAssistant, form: ConfigFlowResult, **fields: Any) -> ConfigFlowResult:
    """Fill in a form and submit it."""
    assert form["type"] is FlowResultType.FORM
    url = fields.pop(CONF_URL)
    return await hass.config_entries.flow.async_configure(form["flow_id"], fields | {SECTION_PORTAL: {CONF_URL: url}})


async def sign_in(hass: HomeAssistant, url: str, email: str = FAMILY, password: str = "sunshine") -> ConfigFlowResult:
    """Go through the whole dialog with an account."""
    form = await choose(hass, "account")
    return await submit(hass, form, **{CONF_EMAIL: email, CONF_PASSWORD: password, CONF_URL: url})


async def test_account(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    result = await sign_in(hass, simulator.url + "/", email=" Family@example.com ")
    await hass.async_block_till_done()

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "Family@example.com"
    # The password is not stored, only the digest the portal asks for.
    assert result["data"] == {CONF_URL: simulator.url, CONF_EMAIL: "Family@example.com", CONF_DIGEST: DIGEST}
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None


async def test_demo_account(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    result = await submit(hass, await choose(hass, "demo"), **{CONF_URL: simulator.url})
    await hass.async_block_till_done()

    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["data"] == {CONF_URL: simulator.url}
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None


async def test_address_without_scheme_is_https(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    """The simulator speaks no TLS, so the connection fails, as it would to a portal with a broken certificate."""
    result = await sign_in(hass, simulator.url.removeprefix("http://"))
    assert result["errors"] == {"base": "cannot_connect"}


@pytest.mark.parametrize(
    ("email", "password", "path", "error"),
    [
        (FAMILY, "wrong", "", "invalid_auth"),
        ("nobody@example.com", "sunshine", "", "invalid_auth"),
        ("empty@example.com", "nothing", "", "no_stations"),
        (FAMILY, "sunshine", "ftp://portal", "invalid_url"),
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
    assert result["errors"] == {"base": error}

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
    assert result["errors"] == {"base": error}


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


async def test_demo_account_twice(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    for _ in range(2):
        result = await submit(hass, await choose(hass, "demo"), **{CONF_URL: simulator.url})
    assert result["reason"] == "already_configured"


async def test_demo_account_of_no_portal(hass: HomeAssistant) -> None:
    result = await submit(hass, await choose(hass, "demo"), **{CONF_URL: "http://127.0.0.1:1"})
    assert result["errors"] == {"base": "cannot_connect"}


async def test_changed_password(hass: HomeAssistant, simulator: PortalSimulator, set_up: SetUp) -> None:
    """A password changed on the portal asks for the new one, and all goes on."""
    entry = await set_up(FAMILY)
    simulator.accounts[FAMILY].password = "moonlight"
    simulator.expire_tokens()
    await entry.runtime_data.async_refresh()
    await hass.async_block_till_done()

    [flow] = hass.config_entries.flow.async_progress()
    assert flow["step_id"] == "reauth_confirm"
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {CONF_PASSWORD: "sunshine"})
    assert result["errors"] == {"base": "invalid_auth"}
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {CONF_PASSWORD: "moonlight"})
    await hass.async_block_till_done()

    assert result["reason"] == "reauth_successful"
    assert entry.runtime_data.last_update_success
    assert hass.states.get("sensor.haus_am_see_pv_power") is not None
