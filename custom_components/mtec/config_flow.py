"""Setting up an account, and signing in again."""

from collections.abc import Mapping
from hashlib import md5
from typing import Any, override

from homeassistant.config_entries import ConfigFlow, ConfigFlowResult
from homeassistant.const import CONF_EMAIL, CONF_PASSWORD, CONF_URL
from homeassistant.data_entry_flow import section
from homeassistant.helpers.selector import TextSelector, TextSelectorConfig, TextSelectorType
import voluptuous as vol
from yarl import URL

from .const import CONF_DIGEST, DOMAIN
from .coordinator import async_create_client
from .portal import (
    PORTAL_URL,
    AuthenticationError,
    BusyError,
    Credentials,
    PortalConnectionError,
    PortalError,
    ResponseError,
)

SECTION_PORTAL = "portal"

_ERRORS: dict[type[PortalError], str] = {
    AuthenticationError: "invalid_auth",
    PortalConnectionError: "cannot_connect",
    BusyError: "busy",
    ResponseError: "invalid_response",
}

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
                    )
                }
            ),
            {"collapsed": True},
        )
    }
)


class MtecConfigFlow(ConfigFlow, domain=DOMAIN):
    """Sets up an account."""

    @override
    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the person choose between their own account and the demo account."""
        return self.async_show_menu(step_id="user", menu_options=["account", "demo"])

    async def async_step_account(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set up the person's own account."""
        error = None
        if user_input is not None:
            email = user_input[CONF_EMAIL].strip()
            credentials = Credentials(email, _digest(user_input.pop(CONF_PASSWORD)))
            url, error = await self._async_try(user_input, credentials)
            if error is None:
                return self.async_create_entry(
                    title=email, data={CONF_URL: url, CONF_EMAIL: email, CONF_DIGEST: credentials.digest}
                )
        return self._async_show("account", _ACCOUNT.extend(_PORTAL.schema), user_input, error)

    async def async_step_demo(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set up the public demo account."""
        error = None
        if user_input is not None:
            url, error = await self._async_try(user_input, None)
            if error is None:
                return self.async_create_entry(title="M-TEC demo", data={CONF_URL: url})
        return self._async_show("demo", _PORTAL, user_input, error)

    async def async_step_reauth(self, entry_data: Mapping[str, Any]) -> ConfigFlowResult:
        """Sign in again: the portal does not accept the password any more."""
        return await self.async_step_reauth_confirm()

    async def async_step_reauth_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the password again."""
        entry = self._get_reauth_entry()
        error = None
        if user_input is not None:
            credentials = Credentials(entry.data[CONF_EMAIL], _digest(user_input.pop(CONF_PASSWORD)))
            if (error := await self._async_sign_in_error(entry.data[CONF_URL], credentials)) is None:
                return self.async_update_reload_and_abort(entry, data_updates={CONF_DIGEST: credentials.digest})
        return self._async_show(
            "reauth_confirm", vol.Schema({vol.Required(CONF_PASSWORD): _PASSWORD}), None, error, entry.data[CONF_EMAIL]
        )

    def _async_show(
        self, step: str, schema: vol.Schema, user_input: dict[str, Any] | None, error: str | None, email: str = ""
    ) -> ConfigFlowResult:
        """Show a form, with what the person typed before and what was wrong with it."""
        return self.async_show_form(
            step_id=step,
            data_schema=self.add_suggested_values_to_schema(schema, user_input),
            errors=None if error is None else {"base": error},
            description_placeholders={"email": email},
        )

    async def _async_try(
        self, user_input: Mapping[str, Any], credentials: Credentials | None
    ) -> tuple[str, str | None]:
        """Return the portal's address and what is wrong with the account, None if nothing is.

        Aborts if the account is set up already.
        """
        if (url := _portal_url(user_input[SECTION_PORTAL][CONF_URL])) is None:
            return "", "invalid_url"
        account = "demo" if credentials is None else credentials.email.casefold()
        await self.async_set_unique_id(f"{URL(url).authority}_{account}")
        self._abort_if_unique_id_configured()
        return url, await self._async_sign_in_error(url, credentials)

    async def _async_sign_in_error(self, url: str, credentials: Credentials | None) -> str | None:
        """Sign in and read the stations. Return what went wrong, None if nothing did."""
        client = async_create_client(self.hass, url, credentials)
        try:
            await client.sign_in()
            stations = await client.stations()
        except PortalError as error:
            return _ERRORS[type(error)]
        return None if stations else "no_stations"


def _digest(password: str) -> str:
    """Return what the portal asks for instead of the password."""
    return md5(password.encode(), usedforsecurity=False).hexdigest()


def _portal_url(typed: str) -> str | None:
    """Return the address of a portal as it is kept, None for one that cannot be an address."""
    typed = typed.strip()
    try:
        url = URL(typed if "://" in typed else f"https://{typed}")
        return str(url.origin()) if url.scheme in {"http", "https"} and url.host else None
    except ValueError:
        return None
