"""The config flow and the options flow."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, override

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlowResult,
    ConfigSubentryFlow,
    FlowType,
)
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_URL
from homeassistant.core import callback
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import (
    BooleanSelector,
    TextSelector,
    TextSelectorConfig,
    TextSelectorType,
)
from homeassistant.util.network import is_host_valid
import voluptuous as vol
from yarl import URL

from .const import (
    CONF_DIGEST,
    CONF_GENERATION,
    DOMAIN,
    SUBENTRY_INVERTER,
)
from .errors import ADDRESS_ERRORS, error_key
from .forms import with_open_section
from .home import MtecConfigEntry
from .inverter_flow import InverterFlow, InverterSubentryFlow
from .inverter_search import inverters_in_network
from .models import Station
from .options_flow import NEXT_STEPS, MtecOptionsFlow
from .portal import PORTAL_URL, Client, Credentials, digest_of
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


class MtecConfigFlow(InverterFlow, domain=DOMAIN):
    """Set up a home: with an account, or with an inverter in the network."""

    _title = DEFAULT_TITLE

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the user choose what the home begins with."""
        return self.async_show_menu(step_id="user", menu_options=["account", "inverter", "demo"])

    async def async_step_account(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set up the user's own account, or add it to a home that began without one."""
        error = None
        if user_input is not None:
            email = user_input[CONF_EMAIL].strip()
            credentials = Credentials(email, digest_of(user_input.pop(CONF_PASSWORD)))
            if self.source == SOURCE_RECONFIGURE:
                self._home = self._get_reconfigure_entry()
            portal, error = await self._async_try(user_input, credentials)
            if error is None:
                data = portal | {CONF_EMAIL: email, CONF_DIGEST: credentials.digest}
                if self._home is None:
                    return self.async_create_entry(title=self._title, data=data)
                self._async_change(self._home, data, self.unique_id)
                return self.async_abort(reason="account_added", description_placeholders={"home": self._home.title})
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
        """Show what can be done next with the account that has been set up."""
        entry = result["result"]
        is_loaded = entry.state is ConfigEntryState.LOADED
        if is_loaded and CONF_URL in entry.data:
            offer = await self.hass.config_entries.options.async_init(entry.entry_id, data=NEXT_STEPS)
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
                changes = {CONF_DIGEST: credentials.digest, CONF_GENERATION: generation}
                self._async_change(entry, changes, entry.unique_id)
                return self.async_abort(reason="reauth_successful")
        return self._async_show(
            "reauth_confirm", vol.Schema({vol.Required(CONF_PASSWORD): _PASSWORD}), None, error, entry.data[CONF_EMAIL]
        )

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change the password or the portal address of an account, or add one if the home has none."""
        entry = self._get_reconfigure_entry()
        if CONF_URL not in entry.data:
            return await self.async_step_account()
        email = entry.data.get(CONF_EMAIL)
        error = None
        if user_input is not None:
            credentials = None if email is None else Credentials(email, digest_of(user_input.pop(CONF_PASSWORD)))
            portal, error = await self._async_try(user_input, credentials, entry.unique_id)
            if error is None:
                secret = {} if credentials is None else {CONF_DIGEST: credentials.digest}
                self._async_change(entry, portal | secret, self.unique_id)
                return self.async_abort(reason="reconfigure_successful")
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

    @classmethod
    @callback
    @override
    def async_get_supported_subentry_types(cls, config_entry: ConfigEntry) -> dict[str, type[ConfigSubentryFlow]]:
        """Return what can be added to a home."""
        return {SUBENTRY_INVERTER: InverterSubentryFlow}

    @callback
    def _async_change(self, entry: ConfigEntry, changes: Mapping[str, Any], unique_id: str | None) -> None:
        """Change what is stored of an account, and load it with that.

        Even if nothing is changed, as the account does not try again if the portal has refused the login.
        """
        self.hass.config_entries.async_update_entry(entry, data={**entry.data, **changes}, unique_id=unique_id)
        self.hass.config_entries.async_schedule_reload(entry.entry_id)

    def _async_show(
        self, step: str, schema: vol.Schema, user_input: dict[str, Any] | None, error: str | None, email: str = ""
    ) -> ConfigFlowResult:
        """Show a form with the previous input and its error. An error of the portal's address opens its section."""
        field = "base"
        if error in ADDRESS_ERRORS and SECTION_PORTAL in schema.schema:
            field, schema = SECTION_PORTAL, with_open_section(schema, SECTION_PORTAL)
        if error == "invalid_auth" and CONF_PASSWORD in schema.schema and CONF_EMAIL not in schema.schema:
            error = "invalid_password"
        return self.async_show_form(
            step_id=step,
            data_schema=self.add_suggested_values_to_schema(schema, user_input),
            errors=None if error is None else {field: error},
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
                if self.source == SOURCE_USER:
                    self._home = await self._async_home_with(client, stations)
            except SourceError as error:
                return None, error_key(error)
        taken = {entry.title for entry in self._async_current_entries()}
        self._title = title_of([station.name for station in stations], taken)
        return client.api_version, None if stations else "no_stations"

    async def _async_home_with(self, client: Client, stations: Sequence[Station]) -> ConfigEntry | None:
        """Return the home that began with an inverter of these stations, None if there is none. Raises SourceError."""
        homes = {
            subentry.unique_id: entry
            for entry, subentry in inverters_in_network(self.hass)
            if CONF_URL not in entry.data
        }
        # Usually there is no such home, and no need to list the inverters.
        for station in stations if homes else ():
            for inverter in await client.inverters(station.id):
                if inverter.serial_number in homes:
                    return homes[inverter.serial_number]
        return None


def _portal_url(typed: str) -> str | None:
    """Return a normalized address of a portal, None if it is not an address."""
    typed = typed.strip()
    try:
        url = URL(typed if "://" in typed else f"https://{typed}").origin()
        host = (url.host or "").removesuffix(".")
        if url.scheme not in {"http", "https"} or not is_host_valid(url.raw_host or ""):
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
