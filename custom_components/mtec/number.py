"""The number platform: limits and reserves of an inverter in the network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.number import NumberDeviceClass, NumberEntity, NumberEntityDescription, NumberMode
from homeassistant.const import PERCENTAGE, UnitOfApparentPower, UnitOfElectricCurrent
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import MtecEntityDescription
from .home import MtecConfigEntry
from .local.registers import SETTINGS
from .models import BatteryReading, InverterSettings
from .settings_entity import SettingEntity, async_add_settings

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class SettingNumberDescription(NumberEntityDescription, MtecEntityDescription[InverterSettings]):
    """A setting that is a number. `allowed_fn` returns what the battery's electronics allow, None if not known."""

    value_fn: Callable[[InverterSettings], float | None]
    allowed_fn: Callable[[BatteryReading], float | None] | None = None


_PERCENT = (None, PERCENTAGE)
_KILO_VOLT_AMPERE = (NumberDeviceClass.APPARENT_POWER, UnitOfApparentPower.KILO_VOLT_AMPERE)
_AMPERE = (NumberDeviceClass.CURRENT, UnitOfElectricCurrent.AMPERE)


def _number(
    kind: tuple[NumberDeviceClass | None, str],
    key: str,
    value_fn: Callable[[InverterSettings], float | None],
    allowed_fn: Callable[[BatteryReading], float | None] | None = None,
) -> SettingNumberDescription:
    """Return a setting with the range and the step that can be written."""
    setting = SETTINGS[key]
    return SettingNumberDescription(
        key=key,
        translation_key=key,
        device_class=kind[0],
        native_unit_of_measurement=kind[1],
        native_min_value=setting.lowest,
        native_max_value=setting.highest,
        native_step=setting.step,
        mode=NumberMode.BOX if kind is _KILO_VOLT_AMPERE else NumberMode.SLIDER,
        value_fn=value_fn,
        allowed_fn=allowed_fn,
    )


NUMBERS = (
    _number(_PERCENT, "feed_in_limit", lambda settings: settings.feed_in_limit),
    _number(_KILO_VOLT_AMPERE, "drawing_limit", lambda settings: settings.drawing_limit),
    _number(_PERCENT, "reserve_on_grid", lambda settings: settings.reserve_on_grid),
    _number(_PERCENT, "reserve_off_grid", lambda settings: settings.reserve_off_grid),
    _number(
        _AMPERE,
        "most_charge_current",
        lambda settings: settings.most_charge_current,
        lambda battery: battery.charge_current_limit,
    ),
    _number(
        _AMPERE,
        "most_discharge_current",
        lambda settings: settings.most_discharge_current,
        lambda battery: battery.discharge_current_limit,
    ),
)


class SettingNumber(SettingEntity, NumberEntity):
    """A setting that is a number."""

    entity_description: SettingNumberDescription

    @property
    @override
    def native_value(self) -> float | None:
        value: float | None = self.setting
        return value

    @property
    @override
    def native_max_value(self) -> float:
        highest: float = SETTINGS[self.entity_description.key].highest
        reading, allowed_fn = self.coordinator.network.reading, self.entity_description.allowed_fn
        allowed = None if reading is None or allowed_fn is None else allowed_fn(reading.battery)
        return highest if allowed is None else min(highest, allowed)

    @override
    async def async_set_native_value(self, value: float) -> None:
        await self.coordinator.async_write(self.entity_description.key, value)


async def async_setup_entry(
    hass: HomeAssistant, entry: MtecConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Set up the numbers of a home."""
    async_add_settings(entry, async_add_entities, NUMBERS, SettingNumber)
