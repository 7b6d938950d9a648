"""The repairs platform: brings an inverter back from a command of somebody else, with the person's consent."""

from typing import Any

from homeassistant.components.repairs import RepairsFlow
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
import voluptuous as vol

from .battery.commands import async_battery_commands
from .const import DOMAIN
from .home import Home


class ForeignCommandFlow(RepairsFlow):
    """Ask before the inverter is brought back to the mode general."""

    def __init__(self, serial_number: str, name: str) -> None:
        self._serial_number = serial_number
        self._name = name

    async def async_step_init(self, user_input: dict[str, Any] | None = None) -> Any:
        """Begin."""
        return await self.async_step_confirm()

    async def async_step_confirm(self, user_input: dict[str, Any] | None = None) -> Any:
        """Bring the inverter back once the person agrees."""
        errors: dict[str, str] = {}
        if user_input is not None:
            if (home := _home(self.hass, self._serial_number)) is None:
                return self.async_abort(reason="inverter_not_loaded")
            try:
                await async_battery_commands(self.hass).async_bring_back(home.network[self._serial_number])
            except HomeAssistantError:
                errors["base"] = "not_brought_back"
            else:
                if (settings := home.settings.get(self._serial_number)) is not None:
                    await settings.async_refresh()
                return self.async_create_entry(data={})
        return self.async_show_form(
            step_id="confirm",
            data_schema=vol.Schema({}),
            errors=errors,
            description_placeholders={"name": self._name},
        )


def _home(hass: HomeAssistant, serial_number: str) -> Home | None:
    """Return the loaded home that an inverter in the network is in."""
    homes = [entry.runtime_data for entry in hass.config_entries.async_loaded_entries(DOMAIN)]
    return next((home for home in homes if serial_number in home.network), None)


async def async_create_fix_flow(
    hass: HomeAssistant, issue_id: str, data: dict[str, str | int | float | None] | None
) -> RepairsFlow:
    """Return the dialog of an issue that can be fixed."""
    about = data or {}
    return ForeignCommandFlow(str(about.get("serial_number")), str(about.get("name")))
