"""The settings of an inverter in the network: read every minute, and written one at a time."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from .battery.commands import async_battery_commands
from .const import SETTINGS_INTERVAL
from .coordinator import MtecCoordinator
from .errors import control_error, validation_error
from .local.controls import Controls
from .models import InverterMode, InverterSettings
from .network import NetworkInverter
from .sources import SourceError
from .time_limit import TimeLimit

_TIME_LIMIT: Final = timedelta(seconds=60)

OFFERED_MODES: Final = (InverterMode.GENERAL, InverterMode.ECONOMIC, InverterMode.UPS)
"""The modes that every inverter has."""
NEWER_MODES: Final = (InverterMode.PEAK_SHIFT, InverterMode.FEED_IN)
"""The modes of newer firmware, offered once the inverter was seen in them."""

_PLATFORMS: Final = (Platform.NUMBER, Platform.SELECT, Platform.SWITCH)

COMMAND_KEY: Final = "battery_command"
"""The key of the sensor of what the battery is told."""


class SettingsCoordinator(MtecCoordinator[InverterSettings]):
    """The settings of an inverter in the network for which a person has switched them on."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry, network: NetworkInverter) -> None:
        super().__init__(
            hass,
            entry,
            id_=network.id,
            name=f"{network.name}'s settings",
            fetch=self._async_read,
            limit=TimeLimit(),
            update_interval=SETTINGS_INTERVAL,
        )
        self.network = network
        self._commands = async_battery_commands(hass)
        self._lock = asyncio.Lock()
        self._last_wanted: dict[str, object] = {}
        self._unsubscribe = self._commands.store.async_listen(self.id, self._async_command_changed)

    @override
    async def async_shutdown(self) -> None:
        await super().async_shutdown()
        self._unsubscribe()

    @callback
    def _async_command_changed(self) -> None:
        """Take the mode that a command has put the inverter in, before the entities show anything."""
        mode = self._commands.mode_set(self.id)
        if self.reading is not None and mode not in {None, self.reading.mode}:
            self._fetched = self.data = replace(self.reading, mode=mode)
            self.async_update_listeners()

    @property
    def modes(self) -> list[InverterMode]:
        """The modes that can be chosen."""
        seen = self._commands.store.seen_modes(self.id)
        return [*OFFERED_MODES, *(mode for mode in NEWER_MODES if mode in seen)]

    async def async_write(self, name: str, value: float) -> None:
        """Write a setting. A value that is overtaken by a newer one while it waits is not written.

        Raises HomeAssistantError.
        """
        self._last_wanted[name] = wanted = object()
        async with self._lock:
            controls = self._controls()
            await controls.wait_for_turn()
            if self._last_wanted[name] is not wanted:
                return
            try:
                await controls.write(name, value)
            except SourceError as error:
                raise control_error(error) from error
            finally:
                await self.async_refresh()

    async def async_set_mode(self, mode: InverterMode) -> None:
        """Write the mode. A command to the battery ends. Raises HomeAssistantError."""
        if mode not in self.modes:
            raise validation_error("mode_not_offered")
        async with self._lock:
            try:
                await self._commands.async_set_mode(self.network, mode)
            finally:
                await self.async_refresh()

    def _controls(self) -> Controls:
        try:
            return self.network.controls()
        except SourceError as error:
            raise control_error(error) from error

    @override
    async def _async_update_data(self) -> InverterSettings:
        self._limit.start(_TIME_LIMIT.total_seconds())
        return await super()._async_update_data()

    async def _async_read(self) -> InverterSettings:
        settings = await self.network.controls().settings()
        self._commands.async_take_mode(self.network, settings.mode)
        return settings


@callback
def async_remove_settings_entities(hass: HomeAssistant, entry: ConfigEntry, having: Collection[str]) -> None:
    """Remove the entities of settings of all inverters but these, whose settings are on."""
    registry = er.async_get(hass)
    for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
        is_setting = entity.domain in _PLATFORMS or entity.unique_id.endswith(f"_{COMMAND_KEY}")
        if is_setting and not entity.unique_id.startswith(tuple(f"{id_}_" for id_ in having)):
            registry.async_remove(entity.entity_id)
