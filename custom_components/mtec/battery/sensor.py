"""The sensor of what the battery of an inverter is told."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from custom_components.mtec.entity import MtecEntityDescription
from custom_components.mtec.home import Home, MtecConfigEntry
from custom_components.mtec.models import InverterMode, InverterSettings
from custom_components.mtec.settings import COMMAND_KEY, SettingsCoordinator
from custom_components.mtec.settings_entity import SettingEntity, async_add_settings

from .command import BatteryCommand, CommandKind, Phase
from .commands import async_battery_commands


class ShownCommand(StrEnum):
    """What a battery is told: nothing, one of our commands, the end of one, or a command of another program."""

    NONE = "none"
    CHARGE = "charge"
    DISCHARGE = "discharge"
    HOLD = "hold"
    ENDING = "ending"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class CommandDescription(SensorEntityDescription, MtecEntityDescription[InverterSettings]):
    """The sensor of what a battery is told."""


_KINDS = {
    CommandKind.CHARGE: ShownCommand.CHARGE,
    CommandKind.DISCHARGE: ShownCommand.DISCHARGE,
    CommandKind.HOLD: ShownCommand.HOLD,
}

SENSORS = (
    CommandDescription(
        key=COMMAND_KEY,
        translation_key=COMMAND_KEY,
        device_class=SensorDeviceClass.ENUM,
        options=list(ShownCommand),
        value_fn=lambda settings: settings.mode,
    ),
)


class BatteryCommandSensor(SettingEntity, SensorEntity):
    """What the battery of an inverter is told, until when, and who began it."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    entity_description: CommandDescription

    def __init__(self, home: Home, settings: SettingsCoordinator, description: CommandDescription) -> None:
        super().__init__(home, settings, description)
        self._commands = async_battery_commands(home.hass)

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        self.async_on_remove(self._commands.store.async_listen(self.coordinator.id, self._async_command_changed))

    @callback
    def _async_command_changed(self) -> None:
        self.async_write_ha_state()

    @property
    def _command(self) -> BatteryCommand | None:
        return self._commands.store.get(self.coordinator.id)

    @property
    @override
    def native_value(self) -> str | None:
        if (command := self._command) is not None:
            return ShownCommand.ENDING if command.phase is Phase.ENDING else _KINDS[command.kind]
        if self.setting is None:
            return None
        return ShownCommand.OTHER if self.setting is InverterMode.COMMANDED else ShownCommand.NONE

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        if (command := self._command) is None:
            return {}
        return {
            "power": command.power,
            "ends_at": command.until.isoformat(),
            "until_state_of_charge": command.until_state_of_charge,
            "began_by": command.began_by,
        }


@callback
def async_add_command_sensors(entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback) -> None:
    """Add the sensors of what batteries are told."""
    async_add_settings(entry, async_add_entities, SENSORS, BatteryCommandSensor)
