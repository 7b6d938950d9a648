"""The switch platform: limits and reserves of an inverter in the network, on or off."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MtecEntityDescription
from .home import MtecConfigEntry
from .models import InverterSettings
from .settings_entity import SettingEntity, async_add_settings

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class SettingSwitchDescription(SwitchEntityDescription, MtecEntityDescription[InverterSettings]):
    """A setting that is on or off."""

    value_fn: Callable[[InverterSettings], bool | None]


def _switch(key: str, value_fn: Callable[[InverterSettings], bool | None]) -> SettingSwitchDescription:
    return SettingSwitchDescription(key=key, translation_key=key, value_fn=value_fn)


SWITCHES = (
    _switch("is_feed_in_limited", lambda settings: settings.is_feed_in_limited),
    _switch("is_drawing_limited", lambda settings: settings.is_drawing_limited),
    _switch("has_reserve_on_grid", lambda settings: settings.has_reserve_on_grid),
    _switch("has_reserve_off_grid", lambda settings: settings.has_reserve_off_grid),
)


class SettingSwitch(SettingEntity, SwitchEntity):
    """A setting that is on or off."""

    entity_description: SettingSwitchDescription

    @property
    @override
    def is_on(self) -> bool | None:
        is_on: bool | None = self.setting
        return is_on

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        await self.coordinator.async_write(self.entity_description.key, True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        await self.coordinator.async_write(self.entity_description.key, False)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the switches of a home."""
    async_add_settings(entry, async_add_entities, SWITCHES, SettingSwitch)
