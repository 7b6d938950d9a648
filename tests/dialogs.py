"""The dialog in which a person adds an account."""

from typing import Any

from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigEntryState, ConfigFlowResult
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_URL
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType

from custom_components.mtec.config_flow import CONF_ALLOW_HTTP, SECTION_PORTAL
from custom_components.mtec.const import DOMAIN
from tests.conftest import FAMILY


async def choose(hass: HomeAssistant, option: str) -> ConfigFlowResult:
    """Open the dialog and choose an option of its menu."""
    menu = await hass.config_entries.flow.async_init(DOMAIN, context={"source": SOURCE_USER})
    assert menu["type"] is FlowResultType.MENU
    assert menu["menu_options"] == ["account", "inverter", "demo"]
    return await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": option})


async def submit(hass: HomeAssistant, form: ConfigFlowResult, **fields: Any) -> ConfigFlowResult:
    """Fill in a form and submit it."""
    assert form["type"] is FlowResultType.FORM
    portal = {name: fields.pop(name) for name in (CONF_URL, CONF_ALLOW_HTTP) if name in fields}
    return await hass.config_entries.flow.async_configure(form["flow_id"], fields | {SECTION_PORTAL: portal})


async def sign_in(hass: HomeAssistant, url: str, email: str = FAMILY, password: str = "sunshine") -> ConfigFlowResult:
    """Go through the whole dialog with an account."""
    form = await choose(hass, "account")
    return await submit(hass, form, **{CONF_EMAIL: email, CONF_PASSWORD: password, CONF_URL: url})


class Loads:
    """Counts how often a home is loaded."""

    def __init__(self, entry: ConfigEntry) -> None:
        self.count = 0
        self._entry = entry
        entry.async_on_state_change(self._changed)

    def _changed(self) -> None:
        self.count += self._entry.state is ConfigEntryState.SETUP_IN_PROGRESS
