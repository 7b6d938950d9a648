"""The options flow."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.const import CONF_SCAN_INTERVAL, CONF_URL, UnitOfTime
from homeassistant.core import callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.selector import (
    AreaSelector,
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
)
import voluptuous as vol

from .const import (
    CONF_FILL_GAPS,
    CONF_IGNORED_STATIONS,
    CONF_MQTT,
    LONGEST_POLL_INTERVAL,
    POLL_INTERVAL,
    SHORTEST_POLL_INTERVAL,
)
from .devices import own_id
from .energy_dashboard import async_added
from .energy_flow import EnergyFlow
from .history.flow import CONF_STATIONS, ImportHistoryFlow
from .home import Home, MtecConfigEntry
from .publishing.flow import PublishingFlow

NEXT_STEPS = {"next_step_id": "next_steps"}
"""The input with which the options flow of a home that has just been set up begins."""

_LONGEST_WAIT: Final = 5.0
"""Seconds that the dialog waits for the devices of a home that has just been set up."""
_MOST_DEVICES: Final = 20
"""Of more devices than a person can look through, areas are not asked for."""


class MtecOptionsFlow(EnergyFlow, ImportHistoryFlow, PublishingFlow, OptionsFlow):
    """Change the options of a home, or do what else can be done with it. Without an account that is only MQTT."""

    config_entry: MtecConfigEntry
    _asked: frozenset[str] = frozenset()
    """The names of the devices whose areas were asked for."""

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the user choose what to change. An import and the settings need an account."""
        if CONF_URL not in self.config_entry.data:
            return self.async_show_menu(step_id="init", menu_options=["mqtt"])
        if user_input == NEXT_STEPS or self._take_over():
            return await self.async_step_areas()
        options = ["settings", "energy_dashboard", "import_history", "mqtt", "open_dashboard"]
        if await async_added(self.hass, self.config_entry):
            options.insert(2, "energy_remove")
        return self.async_show_menu(step_id="init", menu_options=options)

    @callback
    def _take_over(self) -> bool:
        """Return whether the set-up has prepared a dialog that shows what can be done next, and end that.

        The frontend does not go on with the prepared one: it begins another.
        """
        flows = self.hass.config_entries.options
        prepared = [
            flow["flow_id"]
            for flow in flows.async_progress_by_handler(self.config_entry.entry_id)
            if flow["flow_id"] != self.flow_id and flow.get("step_id") in {"areas", "next_steps"}
        ]
        for flow_id in prepared:
            flows.async_abort(flow_id)
        return bool(prepared)

    async def async_step_areas(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the devices of a home that has just been set up, and ask for their areas.

        Home Assistant's own page for that does not appear before another dialog.
        """
        registry = dr.async_get(self.hass)
        if user_input is not None:
            # A device that has come since then keeps what it has.
            for name, device in self._devices_by_name().items():
                if name in self._asked:
                    registry.async_update_device(device.id, area_id=user_input.get(name))
            return await self.async_step_next_steps()
        if self._home is not None:
            # What is not known in time gets no area here.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._home.async_wait_for_first_poll(), _LONGEST_WAIT)
        devices = self._devices_by_name()
        if not 0 < len(devices) <= _MOST_DEVICES:
            return await self.async_step_next_steps()
        self._asked = frozenset(devices)
        # The names of devices are the labels: names that have no translation are shown as they are.
        schema = vol.Schema({vol.Optional(name): AreaSelector() for name in devices})
        known = {name: device.area_id for name, device in devices.items()}
        return self.async_show_form(
            step_id="areas",
            data_schema=self.add_suggested_values_to_schema(schema, known),
            description_placeholders={"home": self.config_entry.title},
            last_step=False,
        )

    def _devices_by_name(self) -> dict[str, dr.DeviceEntry]:
        """Return the home's devices by a name that no two of them share."""
        found: dict[str, dr.DeviceEntry] = {}
        for device in dr.async_entries_for_config_entry(dr.async_get(self.hass), self.config_entry.entry_id):
            name = device.name_by_user or device.name or own_id(device)
            found[f"{name} ({own_id(device)})" if name in found else name] = device
        return found

    async def async_step_next_steps(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show that the home is set up, and what can be done next."""
        has_history = "recorder" in self.hass.config.components
        return self.async_show_menu(
            step_id="next_steps",
            menu_options=[
                "energy_dashboard",
                *(["import_history"] if has_history else []),
                "open_dashboard",
                "later",
            ],
            description_placeholders={
                "home": self.config_entry.title,
                "stations": ", ".join(self._station_names().values()),
            },
        )

    async def async_step_later(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Tell where all of it can be found."""
        return self.async_abort(reason="later")

    async def async_step_settings(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Change the polling interval and the stations to follow."""
        options = self.config_entry.options
        ignored = options.get(CONF_IGNORED_STATIONS, {})
        names = ignored | self._station_names()
        followed = [station for station in names if station not in ignored]
        errors: dict[str, str] = {}
        if user_input is not None:
            # Store the stations to ignore, so that new stations are followed.
            unwanted = {station: name for station, name in names.items() if station not in user_input[CONF_STATIONS]}
            if len(unwanted) < len(names):
                return self.async_create_entry(
                    data=_kept(options)
                    | {
                        CONF_SCAN_INTERVAL: int(user_input[CONF_SCAN_INTERVAL]),
                        CONF_IGNORED_STATIONS: unwanted,
                    }
                    | ({} if user_input.get(CONF_FILL_GAPS, True) else {CONF_FILL_GAPS: False})
                )
            errors[CONF_STATIONS] = "no_station_chosen"
        schema = vol.Schema(
            {
                vol.Required(CONF_SCAN_INTERVAL, default=POLL_INTERVAL.seconds): NumberSelector(
                    NumberSelectorConfig(
                        min=SHORTEST_POLL_INTERVAL.seconds,
                        max=LONGEST_POLL_INTERVAL.seconds,
                        step=1,
                        unit_of_measurement=UnitOfTime.SECONDS,
                        mode=NumberSelectorMode.BOX,
                    )
                ),
                vol.Required(CONF_STATIONS, default=followed): SelectSelector(
                    SelectSelectorConfig(
                        options=[SelectOptionDict(value=station, label=name) for station, name in names.items()],
                        multiple=True,
                    )
                ),
                vol.Optional(CONF_FILL_GAPS, default=True): BooleanSelector(),
            }
        )
        return self.async_show_form(
            step_id="settings",
            data_schema=self.add_suggested_values_to_schema(schema, user_input or options),
            errors=errors,
        )

    def _station_names(self) -> dict[str, str]:
        """Return the names of the followed stations by id, none while the account is not loaded."""
        return {} if self._home is None else {station.id: station.name for station in self._home.stations.values()}

    @property
    def _home(self) -> Home | None:
        """The home, None while it is not loaded."""
        return getattr(self.config_entry, "runtime_data", None)


def _kept(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the settings leave alone."""
    return {CONF_MQTT: options[CONF_MQTT]} if CONF_MQTT in options else {}
