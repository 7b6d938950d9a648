"""The config flow and the options flow."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, override

from homeassistant.config_entries import ConfigEntryState, ConfigFlow, ConfigFlowResult, FlowType
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_URL
from homeassistant.core import callback
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
import voluptuous as vol
from yarl import URL

from .const import (
    CONF_DIGEST,
    CONF_GENERATION,
    DOMAIN,
)
from .errors import error_key
from .home import MtecConfigEntry
from .options_flow import IMPORT_HISTORY, MtecOptionsFlow
from .portal import PORTAL_URL, Credentials, digest_of
from .portal_client import portal_key, temporary_client
from .sources import SourceError
from .titles import DEFAULT_TITLE, title_of

SECTION_PORTAL = "portal"
CONF_ALLOW_HTTP = "allow_http"


_PASSWORD = TextSelector(TextSelectorConfig(type=TextSelectorType.PASSWORD, autocomplete="current-password"))

_ACCOUNT = vol.Schema(
    {
        vol.Required(CONF_EMAIL): TextSelector(
            TextSelectorConfig(type=TextSelectorType.EMAIL, autocomplete="username")
        ),
        vol.Required(CONF_PASSWORD): _PASSWORD,
    }
)
_PORTAL = vol.Schema(
    {
        vol.Required(SECTION_PORTAL): section(
            vol.Schema(
                {
                    vol.Required(CONF_URL, default=PORTAL_URL): TextSelector(
                        TextSelectorConfig(type=TextSelectorType.URL)
                    ),
                    vol.Optional(CONF_ALLOW_HTTP, default=False): BooleanSelector(),
                }
            ),
            {"collapsed": True},
        )
    }
)


class MtecConfigFlow(ConfigFlow, domain=DOMAIN):
    """Set up an account."""

    _title = DEFAULT_TITLE

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the user choose between their own account and the demo account."""
        return self.async_show_menu(step_id="user", menu_options=["account", "demo"])

    async def async_step_account(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set up the user's own account."""
        error = None
        if user_input is not None:
            email = user_input[CONF_EMAIL].strip()
            credentials = Credentials(email, digest_of(user_input.pop(CONF_PASSWORD)))
            portal, error = await self._async_try(user_input, credentials)
            if error is None:
                return self.async_create_entry(
                    title=self._title, data=portal | {CONF_EMAIL: email, CONF_DIGEST: credentials.digest}
                )
        return self._async_show("account", _ACCOUNT.extend(_PORTAL.schema), user_input, error)

    async def async_step_demo(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set up the public demo account."""
        error = None
        if user_input is not None:
            portal, error = await self._async_try(user_input, None)
            if error is None:
                return self.async_create_entry(title="M-TEC demo", data=portal)
        return self._async_show("demo", _PORTAL, user_input, error)

    @override
    async def async_on_create_entry(self, result: ConfigFlowResult) -> ConfigFlowResult:
        """Offer to import the history of the account that has been set up."""
        entry = result["result"]
        if entry.state is ConfigEntryState.LOADED and "recorder" in self.hass.config.components:
            offer = await self.hass.config_entries.options.async_init(entry.entry_id, data=IMPORT_HISTORY)
            result["next_flow"] = (FlowType.OPTIONS_FLOW, offer["flow_id"])
        return result

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Sign in again, because the portal does not accept the password any more."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the password again."""
        entry = self._get_reauth_entry()
        error = None
        if user_input is not None:
            credentials = Credentials(entry.data[CONF_EMAIL], digest_of(user_input.pop(CONF_PASSWORD)))
            known = entry.data.get(CONF_GENERATION)
            generation, error = await self._async_sign_in(entry.data[CONF_URL], credentials, known)
            if error is None:
                return self.async_update_reload_and_abort(
                    entry, data_updates={CONF_DIGEST: credentials.digest, CONF_GENERATION: generation}
                )
        return self._async_show(
            "reauth_confirm", vol.Schema({vol.Required(CONF_PASSWORD): _PASSWORD}), None, error, entry.data[CONF_EMAIL]
        )

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change the password or the portal address of an account."""
        entry = self._get_reconfigure_entry()
        email = entry.data.get(CONF_EMAIL)
        error = None
        if user_input is not None:
            credentials = None if email is None else Credentials(email, digest_of(user_input.pop(CONF_PASSWORD)))
            portal, error = await self._async_try(user_input, credentials, entry.unique_id)
            if error is None:
                secret = {} if credentials is None else {CONF_DIGEST: credentials.digest}
                return self.async_update_reload_and_abort(entry, unique_id=self.unique_id, data_updates=portal | secret)
        schema = (
            _PORTAL if email is None else vol.Schema({vol.Required(CONF_PASSWORD): _PASSWORD}).extend(_PORTAL.schema)
        )
        known = user_input or {SECTION_PORTAL: {CONF_URL: entry.data[CONF_URL]}}
        return self._async_show("reconfigure", schema, known, error, email or entry.title)

    @staticmethod
    @callback
    @override
    def async_get_options_flow(config_entry: MtecConfigEntry) -> MtecOptionsFlow:
        """Return the options flow."""
        return MtecOptionsFlow()

    def _async_show(
        self, step: str, schema: vol.Schema, user_input: dict[str, Any] | None, error: str | None, email: str = ""
    ) -> ConfigFlowResult:
        """Show a form with the previous input and its error."""
        return self.async_show_form(
            step_id=step,
            data_schema=self.add_suggested_values_to_schema(schema, user_input),
            errors=None if error is None else {"base": error},
            description_placeholders={"email": email},
        )

    async def _async_try(
        self, user_input: Mapping[str, Any], credentials: Credentials | None, unique_id: str | None = None
    ) -> tuple[dict[str, Any], str | None]:
        """Return the data of the portal, and the error of the account, None if it can be set up.

        Aborts if the account is set up already by another entry than the one with `unique_id`.
        """
        portal = user_input[SECTION_PORTAL]
        if (url := _portal_url(portal[CONF_URL])) is None:
            return {}, "invalid_url"
        if not _is_private(URL(url)) and not portal.get(CONF_ALLOW_HTTP):
            return {}, "insecure_url"
        account = "demo" if credentials is None else credentials.email.casefold()
        await self.async_set_unique_id(f"{portal_key(url)}_{account}")
        if self.unique_id != unique_id:
            self._abort_if_unique_id_configured()
        generation, error = await self._async_sign_in(url, credentials)
        return {CONF_URL: url, CONF_GENERATION: generation}, error

    async def _async_sign_in(
        self, url: str, credentials: Credentials | None, generation: int | None = None
    ) -> tuple[int | None, str | None]:
        """Sign in and read the stations. Return the version of the API, and an error, None if that succeeded."""
        with temporary_client(self.hass, url, credentials, generation) as client:
            try:
                await client.sign_in()
                stations = await client.stations()
            except SourceError as error:
                return None, error_key(error)
        taken = {entry.title for entry in self._async_current_entries()}
        self._title = title_of([station.name for station in stations], taken)
        return client.api_version, None if stations else "no_stations"


def _portal_url(typed: str) -> str | None:
    """Return a normalized address of a portal, None if it is not an address."""
    typed = typed.strip()
    try:
        url = URL(typed if "://" in typed else f"https://{typed}").origin()
        if url.scheme not in {"http", "https"} or not (host := (url.host or "").removesuffix(".")):
            return None
        # A trailing dot only changes how the name is resolved.
        return str(url.with_host(host) if host != url.host else url)
    except ValueError:
        return None


def _is_private(url: URL) -> bool:
    """Return whether a connection cannot be intercepted: it is encrypted, or does not leave this machine."""
    if url.scheme == "https" or url.host == "localhost":
        return True
    try:
        return ip_address(url.host or "").is_loopback
    except ValueError:
        return False
