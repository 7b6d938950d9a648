"""The select platform: the mode of an inverter in the network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MtecEntityDescription
from .home import MtecConfigEntry
from .models import InverterMode, InverterSettings
from .settings_entity import SettingEntity, async_add_settings

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class SettingSelectDescription(SelectEntityDescription, MtecEntityDescription[InverterSettings]):
    """A setting with a few choices."""

    value_fn: Callable[[InverterSettings], InverterMode | None]


SELECTS = (SettingSelectDescription(key="mode", translation_key="mode", value_fn=lambda settings: settings.mode),)


class ModeSelect(SettingEntity, SelectEntity):
    """The mode of an inverter."""

    entity_description: SettingSelectDescription

    @property
    @override
    def options(self) -> list[str]:
        """The modes that can be chosen, and the one that it is in: Home Assistant shows no other."""
        modes = [str(mode) for mode in self.coordinator.modes]
        return modes if self.setting is None or self.setting in modes else [*modes, str(self.setting)]

    @property
    @override
    def current_option(self) -> str | None:
        return None if self.setting is None else str(self.setting)

    @override
    async def async_select_option(self, option: str) -> None:
        await self.coordinator.async_set_mode(InverterMode(option))


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the selects of a home."""
    async_add_settings(entry, async_add_entities, SELECTS, ModeSelect)
