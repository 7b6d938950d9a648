"""The base of the entities of an inverter's settings."""

from collections.abc import Callable, Iterable
from typing import Any

from homeassistant.const import EntityCategory
from homeassistant.core import callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .entity import MtecEntityDescription, device_info
from .home import Home, MtecConfigEntry
from .models import InverterSettings
from .settings import SettingsCoordinator


class SettingEntity(CoordinatorEntity[SettingsCoordinator]):
    """A setting of an inverter. Its description's key is its name in InverterSettings."""

    _attr_has_entity_name = True
    _attr_entity_category = EntityCategory.CONFIG
    entity_description: MtecEntityDescription[InverterSettings]

    def __init__(
        self,
        home: Home,
        settings: SettingsCoordinator,
        description: MtecEntityDescription[InverterSettings],
    ) -> None:
        super().__init__(settings)
        self.entity_description = description
        self._attr_unique_id = f"{settings.id}_{description.key}"
        self._attr_device_info = device_info(home, settings.id)

    @property
    def setting(self) -> Any:
        """The value that was read last, None if there is none."""
        reading = self.coordinator.reading
        return None if reading is None else self.entity_description.value_fn(reading)


@callback
def async_add_settings[DescriptionT: MtecEntityDescription[InverterSettings]](
    entry: MtecConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    descriptions: Iterable[DescriptionT],
    create: Callable[[Home, SettingsCoordinator, DescriptionT], SettingEntity],
) -> None:
    """Add the entities of the settings that an inverter has, now and after each read of them."""
    home, descriptions = entry.runtime_data, tuple(descriptions)

    @callback
    def add_new(settings: SettingsCoordinator, added: set[str]) -> None:
        if (reading := settings.reading) is None:
            return
        new = [each for each in descriptions if each.key not in added and each.value_fn(reading) is not None]
        added |= {each.key for each in new}
        async_add_entities([create(home, settings, each) for each in new])

    for settings in home.settings.values():
        added: set[str] = set()

        @callback
        def follow(settings: SettingsCoordinator = settings, added: set[str] = added) -> None:
            add_new(settings, added)

        entry.async_on_unload(settings.async_add_listener(follow))
        follow()
