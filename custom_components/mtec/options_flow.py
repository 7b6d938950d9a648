"""The options flow."""

from collections.abc import Mapping
from typing import Any

from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.const import CONF_SCAN_INTERVAL, CONF_URL, UnitOfTime
from homeassistant.core import callback
from homeassistant.helpers.selector import (
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
from .energy_dashboard import async_added
from .energy_flow import EnergyFlow
from .history.flow import CONF_STATIONS, ImportHistoryFlow
from .home import Home, MtecConfigEntry
from .publishing.flow import PublishingFlow

NEXT_STEPS = {"next_step_id": "next_steps"}
"""The input with which the options flow of a home that has just been set up begins."""


class MtecOptionsFlow(EnergyFlow, ImportHistoryFlow, PublishingFlow, OptionsFlow):
    """Change the options of a home, or do what else can be done with it. Without an account that is only MQTT."""

    config_entry: MtecConfigEntry

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the user choose what to change. An import and the settings need an account."""
        if CONF_URL not in self.config_entry.data:
            return self.async_show_menu(step_id="init", menu_options=["mqtt"])
        if user_input == NEXT_STEPS or self._take_over():
            return await self.async_step_next_steps()
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
            if flow["flow_id"] != self.flow_id and flow.get("step_id") == "next_steps"
        ]
        for flow_id in prepared:
            flows.async_abort(flow_id)
        return bool(prepared)

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
        home: Home | None = getattr(self.config_entry, "runtime_data", None)
        return {} if home is None else {station.id: station.name for station in home.stations.values()}


def _kept(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the settings leave alone."""
    return {CONF_MQTT: options[CONF_MQTT]} if CONF_MQTT in options else {}
