"""The options flow."""

from collections.abc import Mapping
from typing import Any

from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.const import CONF_SCAN_INTERVAL, CONF_URL, UnitOfTime
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
from .history.flow import CONF_STATIONS, ImportHistoryFlow
from .home import Home, MtecConfigEntry
from .publishing.flow import PublishingFlow

IMPORT_HISTORY = {"next_step_id": "import_history"}
"""The input with which the options flow starts an import of history."""


class MtecOptionsFlow(ImportHistoryFlow, PublishingFlow, OptionsFlow):
    """Change the options of an account, import its history, or publish to MQTT: a home without one does only that."""

    config_entry: MtecConfigEntry

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Let the user choose what to change. An import and the settings need an account."""
        if CONF_URL not in self.config_entry.data:
            return self.async_show_menu(step_id="init", menu_options=["mqtt"])
        if user_input == IMPORT_HISTORY:
            return await self.async_step_import_history()
        return self.async_show_menu(step_id="init", menu_options=["settings", "import_history", "mqtt"])

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
