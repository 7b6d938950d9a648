"""The steps of the dialogs that set up inverters in the home network."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, override

from homeassistant.config_entries import (
    SOURCE_DHCP,
    SOURCE_IGNORE,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlow,
    ConfigFlowResult,
    ConfigSubentry,
    ConfigSubentryFlow,
    SubentryFlowResult,
)
from homeassistant.const import CONF_HOST, CONF_PORT, CONF_SCAN_INTERVAL, UnitOfTime
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import section
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
)
from homeassistant.helpers.service_info.dhcp import DhcpServiceInfo
import voluptuous as vol

from .const import (
    CONF_FRAMING,
    CONF_RELEASE,
    CONF_SETTINGS,
    CONF_UNIT_ID,
    LONGEST_NETWORK_INTERVAL,
    MANUFACTURER,
    NETWORK_INTERVAL,
    SHORTEST_NETWORK_INTERVAL,
)
from .discovery import async_wrong_guesses
from .errors import inverter_error_key
from .forms import with_open_section
from .inverter_search import (
    LocatedInverter,
    async_add_inverter,
    async_is_at,
    async_locate,
    async_take_over_address,
    async_update_inverter,
    inverters_in_network,
    normalized_host,
    stored_link,
)
from .local.errors import ConnectionHeldError, OtherInverterError
from .local.link import LINKS, Framing, Link, links
from .ownership import async_owner
from .sources import SourceError
from .titles import title_of

SECTION_ADVANCED: Final = "advanced"

SETTLING_TIME = 10.0
"""Seconds before a discovered device is probed: it is discovered when it asks for an address, before it has one."""

_ADDRESS = {
    vol.Required(CONF_HOST): TextSelector(),
    vol.Required(SECTION_ADVANCED): section(
        vol.Schema(
            {
                vol.Optional(CONF_PORT): NumberSelector(
                    NumberSelectorConfig(min=1, max=65535, step=1, mode=NumberSelectorMode.BOX)
                ),
                vol.Optional(CONF_FRAMING): SelectSelector(
                    SelectSelectorConfig(options=[str(each) for each in Framing], translation_key=CONF_FRAMING)
                ),
                vol.Optional(CONF_UNIT_ID): NumberSelector(
                    NumberSelectorConfig(min=1, max=255, step=1, mode=NumberSelectorMode.BOX)
                ),
            }
        ),
        {"collapsed": True},
    ),
}
_INVERTER = vol.Schema(_ADDRESS)
_INVERTER_AND_SETTINGS = vol.Schema(
    {
        vol.Required(CONF_SCAN_INTERVAL, default=NETWORK_INTERVAL.seconds): NumberSelector(
            NumberSelectorConfig(
                min=SHORTEST_NETWORK_INTERVAL.seconds,
                max=LONGEST_NETWORK_INTERVAL.seconds,
                step=1,
                unit_of_measurement=UnitOfTime.SECONDS,
                mode=NumberSelectorMode.BOX,
            )
        ),
        vol.Required(CONF_RELEASE, default=False): BooleanSelector(),
        vol.Required(CONF_SETTINGS, default=False): BooleanSelector(),
        **_ADDRESS,
    }
)
_CONFIRM = vol.Schema({})

_FIELDS: Final = {"invalid_host": CONF_HOST, "address_in_use": SECTION_ADVANCED}
"""The fields that errors are shown at, by the error. Others are about the whole form."""


def _errors(error: Exception) -> dict[str, str]:
    """Return the errors of a form if an inverter was searched in the network."""
    key = inverter_error_key(error)
    return {_FIELDS.get(key, "base"): key}


def _form(schema: vol.Schema, user_input: Mapping[str, Any] | None, errors: Mapping[str, str]) -> vol.Schema:
    """Return the schema of a form, with Advanced open if there is an error and something was typed there."""
    typed = user_input is not None and any(user_input[SECTION_ADVANCED].values())
    is_open = SECTION_ADVANCED in errors or (typed and bool(errors))
    return with_open_section(schema, SECTION_ADVANCED) if is_open else schema


def _links(user_input: Mapping[str, Any]) -> tuple[Link, ...]:
    """Return the links to try for what was typed under Advanced."""
    advanced = user_input[SECTION_ADVANCED]
    port, framing, unit_id = (advanced.get(name) for name in (CONF_PORT, CONF_FRAMING, CONF_UNIT_ID))
    return links(
        None if port is None else int(port),
        None if framing is None else Framing(framing),
        None if unit_id is None else int(unit_id),
    )


async def _async_search(hass: HomeAssistant, user_input: Mapping[str, Any]) -> LocatedInverter:
    """Return the inverter at what was typed. Raises ValueError, SourceError and HomeAssistantError."""
    if (host := normalized_host(user_input[CONF_HOST])) is None:
        raise ValueError(user_input[CONF_HOST])
    return await async_locate(hass, host, _links(user_input))


class InverterFlow(ConfigFlow):
    """Set up an inverter in the network, which a person knows the address of or which has asked for one by DHCP."""

    _located: LocatedInverter
    _home: ConfigEntry | None = None
    mac: str | None = None
    """The MAC address of a device that was discovered."""

    async def async_step_inverter(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask where the inverter is."""
        errors: dict[str, str] = {}
        if user_input is not None:
            try:
                located = await _async_search(self.hass, user_input)
            except (ValueError, SourceError, HomeAssistantError) as error:
                errors = _errors(error)
            else:
                return await self._async_offer(located)
        return self.async_show_form(
            step_id="inverter",
            data_schema=self.add_suggested_values_to_schema(_form(_INVERTER, user_input, errors), user_input),
            errors=errors,
        )

    async def async_step_dhcp(self, discovery_info: DhcpServiceInfo) -> ConfigFlowResult:
        """Offer what has asked for an address, if it is an inverter. Its host name alone proves nothing."""
        self.mac, address = discovery_info.macaddress, discovery_info.ip
        known = [subentry.data for _, subentry in inverters_in_network(self.hass)]
        for data in known:
            if await async_is_at(self.hass, data[CONF_HOST], address):
                return self.async_abort(reason="inverter_already_configured")
        guesses = await async_wrong_guesses(self.hass)
        if guesses.has(self.mac, address):
            return self.async_abort(reason="not_an_inverter")
        if self.hass.config_entries.flow.async_has_matching_flow(self):
            return self.async_abort(reason="already_in_progress")
        await asyncio.sleep(SETTLING_TIME)
        try:
            located = await async_locate(
                self.hass, address, dict.fromkeys([*(stored_link(data) for data in known), *LINKS])
            )
        except SourceError, HomeAssistantError:
            await guesses.async_add(self.mac, address)
            return self.async_abort(reason="not_an_inverter")
        return await self._async_offer(located)

    @override
    def is_matching(self, other_flow: ConfigFlow) -> bool:
        """Return whether another dialog is about the same device."""
        return isinstance(other_flow, InverterFlow) and other_flow.mac == self.mac

    async def _async_offer(self, located: LocatedInverter) -> ConfigFlowResult:
        """Show what was found before anything is created."""
        is_discovery = self.source == SOURCE_DHCP
        entry = await self.async_set_unique_id(located.serial_number, raise_on_progress=is_discovery)
        if async_take_over_address(self.hass, located):
            return self.async_abort(reason="inverter_already_configured")
        if entry is not None and entry.source == SOURCE_IGNORE:
            if is_discovery:
                return self.async_abort(reason="inverter_already_configured")
            entry = None
        self._located = located
        # Two homes cannot have the same devices and entities.
        self._home = async_owner(self.hass, located.serial_number) or entry
        self.context["title_placeholders"] = {"name": located.title}
        return await (self.async_step_inverter_confirm() if self._home is None else self.async_step_inverter_home())

    async def async_step_inverter_confirm(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Set up a home with this inverter."""
        if user_input is None:
            return self._async_confirm("inverter_confirm")
        if async_take_over_address(self.hass, self._located):
            return self.async_abort(reason="inverter_already_configured")
        model = self._located.identity.model
        # Home Assistant logs titles: it has no serial number.
        name = MANUFACTURER if model is None else f"{MANUFACTURER} {model}"
        taken = {entry.title for entry in self._async_current_entries()}
        return self.async_create_entry(
            title=title_of([name], taken), data={}, subentries=[self._located.subentry_data()]
        )

    async def async_step_inverter_home(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Add this inverter to the home that it belongs to."""
        home = None if self._home is None else self.hass.config_entries.async_get_entry(self._home.entry_id)
        if home is None:
            # It has been deleted in the meantime.
            return await self.async_step_inverter_confirm()
        if user_input is None:
            return self._async_confirm("inverter_home", home=home.title)
        if async_take_over_address(self.hass, self._located):
            return self.async_abort(reason="inverter_already_configured")
        async_add_inverter(self.hass, home, self._located)
        return self.async_abort(reason="inverter_added", description_placeholders={"home": home.title})

    def _async_confirm(self, step: str, **placeholders: str) -> ConfigFlowResult:
        self._set_confirm_only()
        return self.async_show_form(
            step_id=step,
            data_schema=_CONFIRM,
            description_placeholders=self._located.placeholders | placeholders,
        )


class InverterSubentryFlow(ConfigSubentryFlow):
    """Add an inverter in the network to a home, or change where and how it is read."""

    _located: LocatedInverter

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask where the inverter is."""
        errors: dict[str, str] = {}
        if user_input is not None:
            try:
                self._located = await _async_search(self.hass, user_input)
            except (ValueError, SourceError, HomeAssistantError) as error:
                errors = _errors(error)
            else:
                return await self._async_offer()
        return self.async_show_form(
            step_id="user",
            data_schema=self.add_suggested_values_to_schema(_form(_INVERTER, user_input, errors), user_input),
            errors=errors,
        )

    async def _async_offer(self) -> SubentryFlowResult:
        """Show what was found before anything is created."""
        if async_take_over_address(self.hass, self._located):
            return self.async_abort(reason="inverter_already_configured")
        owner = async_owner(self.hass, self._located.serial_number)
        if owner is not None and owner.entry_id != self._entry_id:
            return self.async_abort(reason="other_home", description_placeholders={"home": owner.title})
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Add this inverter."""
        if user_input is None:
            return self.async_show_form(
                step_id="confirm", data_schema=_CONFIRM, description_placeholders=self._located.placeholders
            )
        if async_take_over_address(self.hass, self._located):
            return self.async_abort(reason="inverter_already_configured")
        new = self._located.subentry_data()
        return self.async_create_entry(title=new["title"], data=new["data"], unique_id=new["unique_id"])

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Change where the inverter is, and how it is read."""
        subentry = self._get_reconfigure_subentry()
        errors: dict[str, str] = {}
        if user_input is not None:
            try:
                found = await self._async_changed_address(subentry, user_input)
            except (ValueError, SourceError, HomeAssistantError) as error:
                errors = _errors(error)
            else:
                settings = {
                    CONF_SCAN_INTERVAL: int(user_input[CONF_SCAN_INTERVAL]),
                    CONF_RELEASE: user_input[CONF_RELEASE],
                    CONF_SETTINGS: user_input[CONF_SETTINGS],
                }
                async_update_inverter(self.hass, self._get_entry(), subentry, found | settings)
                return self.async_abort(reason="reconfigure_successful")
        return self.async_show_form(
            step_id="reconfigure",
            data_schema=self.add_suggested_values_to_schema(
                _form(_INVERTER_AND_SETTINGS, user_input, errors), user_input or _as_input(subentry.data)
            ),
            errors=errors,
            description_placeholders={"name": subentry.title},
        )

    async def _async_changed_address(self, subentry: ConfigSubentry, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is to be stored of the inverter, nothing if its address is the same.

        Raises ValueError, SourceError and HomeAssistantError.
        """
        same_host = normalized_host(user_input[CONF_HOST]) == subentry.data[CONF_HOST]
        if same_host and _links(user_input) == (stored_link(subentry.data),):
            # It need not answer for that.
            return {}
        try:
            return await self._async_expected(subentry, user_input)
        except ConnectionHeldError:
            # Maybe by this home, at the address that it has so far.
            if self._get_entry().state is not ConfigEntryState.LOADED:
                raise
            return await self._async_expected_unloaded(subentry, user_input)

    async def _async_expected_unloaded(self, subentry: ConfigSubentry, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Do the same as `_async_expected`, but without the home. If that succeeds it is left unloaded."""
        await self.hass.config_entries.async_unload(self._entry_id)
        try:
            return await self._async_expected(subentry, user_input)
        except BaseException:
            self.hass.config_entries.async_schedule_reload(self._entry_id)
            raise

    async def _async_expected(self, subentry: ConfigSubentry, user_input: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is to be stored of the inverter at what was typed, which has to be the same one."""
        located = await _async_search(self.hass, user_input)
        if located.serial_number != subentry.unique_id:
            raise OtherInverterError(located.serial_number)
        return located.data


def _as_input(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored of an inverter as a form has it."""
    advanced = (CONF_PORT, CONF_FRAMING, CONF_UNIT_ID)
    return {**data, SECTION_ADVANCED: {name: data[name] for name in advanced}}
