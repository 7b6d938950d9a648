"""The dialog in which a person chooses how readings are published to MQTT."""

from collections.abc import Mapping
from typing import Any

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigFlowResult, OptionsFlow
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectSelector,
    SelectSelectorConfig,
    TextSelector,
)
import voluptuous as vol

from custom_components.mtec.const import CONF_MQTT

from .layouts import DEFAULT_TOPIC, MOST_DECIMALS, Layout, is_topic_level
from .publisher import CONF_DECIMALS, CONF_INVERTERS, CONF_LAYOUT, CONF_RETAIN, CONF_STATIONS, CONF_TOPIC

CONF_PUBLISH = "publish"

_SCHEMA = vol.Schema(
    {
        vol.Required(CONF_PUBLISH): BooleanSelector(),
        vol.Required(CONF_LAYOUT, default=Layout.M_TEC_API.value): SelectSelector(
            SelectSelectorConfig(options=[layout.value for layout in Layout], translation_key="mqtt_layout")
        ),
        vol.Required(CONF_TOPIC, default=DEFAULT_TOPIC): TextSelector(),
        vol.Optional(CONF_DECIMALS): NumberSelector(
            NumberSelectorConfig(min=0, max=MOST_DECIMALS, step=1, mode=NumberSelectorMode.BOX)
        ),
        vol.Required(CONF_STATIONS, default=True): BooleanSelector(),
        vol.Required(CONF_INVERTERS, default=True): BooleanSelector(),
        vol.Required(CONF_RETAIN, default=False): BooleanSelector(),
    }
)


class PublishingFlow(OptionsFlow):
    """Change how readings are published to MQTT."""

    async def async_step_mqtt(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the layout of the topics and what is published."""
        options = self.config_entry.options
        known: Mapping[str, Any] | None = options.get(CONF_MQTT)
        if known is None and not mqtt.mqtt_config_entry_enabled(self.hass):
            return self.async_abort(reason="mqtt_missing")
        errors: dict[str, str] = {}
        if user_input is not None:
            settings = _settings(user_input)
            if settings is None:
                return self._finish({name: value for name, value in options.items() if name != CONF_MQTT})
            if is_topic_level(settings[CONF_TOPIC]):
                return self._finish({**options, CONF_MQTT: settings})
            errors[CONF_TOPIC] = "invalid_topic"
        # Who opens this for the first time wants to publish.
        suggested = user_input or {CONF_PUBLISH: True, **(known or {})}
        return self.async_show_form(
            step_id="mqtt",
            data_schema=self.add_suggested_values_to_schema(_SCHEMA, suggested),
            errors=errors,
        )

    def _finish(self, options: dict[str, Any]) -> ConfigFlowResult:
        return self.async_create_entry(data=options)


def _settings(user_input: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how readings are published, None if they are not."""
    settings = {**user_input, CONF_TOPIC: user_input[CONF_TOPIC].strip()}
    if CONF_DECIMALS in settings:
        # The field has floats.
        settings[CONF_DECIMALS] = int(settings[CONF_DECIMALS])
    return settings if settings.pop(CONF_PUBLISH) else None
