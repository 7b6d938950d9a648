"""The base of all entities of stations and inverters."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .account import Account, MtecConfigEntry
from .const import GRACE_POLLS
from .coordinator import MtecCoordinator
from .devices import async_inverter_device_info, async_station_device_info


@dataclass(frozen=True, kw_only=True)
class MtecEntityDescription[DataT](EntityDescription):
    """An entity whose `value_fn` returns its value from a reading. `number` is the number of its phase or PV string."""

    value_fn: Callable[[DataT], Any]
    number: int | None = None


class MtecEntity[DataT](CoordinatorEntity[Account]):
    """An entity of a station or an inverter. Available while the data of its reader is."""

    _attr_has_entity_name = True
    entity_description: MtecEntityDescription[DataT]

    def __init__(
        self, account: Account, reader: MtecCoordinator[DataT], description: MtecEntityDescription[DataT]
    ) -> None:
        super().__init__(account)
        self.reader = reader
        self.entity_description = description
        self.value: Any = None
        self._polls_without = 0
        self._attr_unique_id = f"{reader.id}_{description.key}"
        self._attr_device_info = _device_info(account, reader.id)
        if description.number is not None:
            self._attr_translation_placeholders = {"number": str(description.number)}
        self._update_value()

    @property
    @override
    def available(self) -> bool:
        return super().available and self.reader.last_update_success

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._update_value()
        super()._handle_coordinator_update()

    @callback
    def _update_value(self) -> None:
        """Take the value from the reading. A value that is missing stays as it was for GRACE_POLLS polls."""
        reading = self.reader.reading
        value = None if reading is None else self.entity_description.value_fn(reading)
        self._polls_without = self._polls_without + 1 if value is None else 0
        if value is not None or self._polls_without > GRACE_POLLS:
            self.value = value


@callback
def _device_info(account: Account, id_: str) -> DeviceInfo:
    entry = account.config_entry
    if (inverter := account.data.inverters.get(id_)) is not None:
        return async_inverter_device_info(account.hass, entry, inverter.station_id, inverter)
    return async_station_device_info(entry, account.stations[id_])


def supported_descriptions[DataT, DescriptionT: MtecEntityDescription[Any]](
    reader: MtecCoordinator[DataT], descriptions: Iterable[DescriptionT]
) -> Iterator[DescriptionT]:
    """Yield the descriptions that have a value in the reading. A plant without the hardware never has one."""
    if (reading := reader.reading) is not None:
        yield from (each for each in descriptions if each.value_fn(reading) is not None)


@callback
def async_add_supported(
    entry: MtecConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    discover: Callable[[Account], Iterator[MtecEntity[Any]]],
) -> None:
    """Add the entities that `discover` yields, now and after each poll."""
    account = entry.runtime_data
    known: dict[str | None, MtecCoordinator[Any]] = {}

    @callback
    def add_new() -> None:
        # A station or inverter whose device was removed has another coordinator when it is listed again.
        new = [entity for entity in discover(account) if known.get(entity.unique_id) is not entity.reader]
        known.update((entity.unique_id, entity.reader) for entity in new)
        async_add_entities(new)

    add_new()
    entry.async_on_unload(account.async_add_listener(add_new))
