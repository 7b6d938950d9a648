"""The base of all entities of stations and inverters."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import GRACE_POLLS
from .coordinator import MtecCoordinator
from .devices import async_inverter_device_info, async_station_device_info
from .home import Home, MtecConfigEntry


@dataclass(frozen=True, kw_only=True)
class MtecEntityDescription[DataT](EntityDescription):
    """An entity whose `value_fn` returns its value from a reading. `number` is the number of its phase or PV string.

    `in_station` is whether the station of an inverter has the same. If there is one, it is disabled by default.
    """

    value_fn: Callable[[DataT], Any]
    number: int | None = None
    in_station: bool = False


class MtecEntity[DataT](CoordinatorEntity[MtecCoordinator[DataT]]):
    """An entity of a station or an inverter. `others` are coordinators whose data it shows too."""

    _attr_has_entity_name = True
    entity_description: MtecEntityDescription[DataT]

    def __init__(
        self,
        home: Home,
        coordinator: MtecCoordinator[DataT],
        description: MtecEntityDescription[DataT],
        others: Iterable[MtecCoordinator[Any]] = (),
    ) -> None:
        super().__init__(coordinator)
        self.entity_description = description
        self._home = home
        self._others = tuple(others)
        self.value: Any = None
        self._polls_without = 0
        self._written: object = None
        self._attr_unique_id = f"{coordinator.id}_{description.key}"
        self._attr_device_info = device_info(home, coordinator.id)
        if description.in_station:
            self._attr_entity_registry_enabled_default = home.station_of(coordinator.id) is None
        if description.number is not None:
            self._attr_translation_placeholders = {"number": str(description.number)}

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        for other in self._others:
            self.async_on_remove(other.async_add_listener(self._handle_other_update))
        self._update_value()
        self._written = self._shown()

    @override
    async def async_update(self) -> None:
        """Poll the account: its request budget and its time limit are those of a whole poll."""
        await self._home.async_request_refresh()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._update_value()
        self._write_if_changed()

    @callback
    def _handle_other_update(self) -> None:
        reading = self.coordinator.reading
        if reading is not None and (value := self.entity_description.value_fn(reading)) is not None:
            self.value = value
        self._write_if_changed()

    @callback
    def _update_value(self) -> None:
        """Take the value from the reading. A value that is missing stays as it was for GRACE_POLLS polls."""
        reading = self.coordinator.reading
        value = None if reading is None else self.entity_description.value_fn(reading)
        self._polls_without = self._polls_without + 1 if value is None else 0
        if value is not None or self._polls_without > GRACE_POLLS:
            self.value = value

    def _shown(self) -> object:
        """Return all that a state is made of and that can change."""
        return self.available, self.value

    @callback
    def _write_if_changed(self) -> None:
        """Write the state. Most polls change nothing: a night has no PV power, and totals rarely move."""
        if (shown := self._shown()) != self._written:
            self._written = shown
            self.async_write_ha_state()


@callback
def device_info(home: Home, id_: str) -> DeviceInfo:
    """Return the device of a station or an inverter."""
    entry = home.config_entry
    if (inverter := home.data.inverters.get(id_)) is not None:
        return async_inverter_device_info(home.hass, entry, inverter.station_id, inverter)
    return async_station_device_info(entry, home.stations[id_])


@dataclass(slots=True)
class Discovery:
    """Finds what the hardware of a station or an inverter supports. `known` are the keys of its entities so far."""

    home: Home
    id: str
    known: set[str] = field(default_factory=set)

    def new[DescriptionT: MtecEntityDescription[Any]](
        self, descriptions: Iterable[DescriptionT], is_supported: Callable[[DescriptionT], bool]
    ) -> Iterator[DescriptionT]:
        """Yield the supported descriptions that have no entity yet."""
        for description in descriptions:
            if description.key not in self.known and is_supported(description):
                self.known.add(description.key)
                yield description

    def with_value[DescriptionT: MtecEntityDescription[Any]](
        self, coordinator: MtecCoordinator[Any], descriptions: Iterable[DescriptionT]
    ) -> Iterator[DescriptionT]:
        """Yield the descriptions without an entity that have a value. A plant without the hardware never has one."""
        if (reading := coordinator.reading) is not None:
            yield from self.new(descriptions, lambda description: description.value_fn(reading) is not None)


@callback
def async_add_supported(
    entry: MtecConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    discover: Callable[[Discovery], Iterator[MtecEntity[Any]]],
) -> None:
    """Add the entities that `discover` yields for a station or an inverter, now and after each of its updates."""
    home = entry.runtime_data
    followed: set[MtecCoordinator[Any]] = set()
    discoveries: dict[MtecCoordinator[Any], Discovery] = {}

    @callback
    def add_new(coordinator: MtecCoordinator[Any]) -> None:
        # A station or inverter whose device was removed has another coordinator when it is listed again.
        if (live := home.live_coordinator(coordinator.id)) is not None:
            discovery = discoveries.setdefault(live, Discovery(home, live.id))
            if new := [*discover(discovery)]:
                async_add_entities(new)

    @callback
    def follow_new() -> None:
        for coordinator in home.in_turn():
            if coordinator not in followed:
                followed.add(coordinator)
                entry.async_on_unload(coordinator.async_add_listener(partial(add_new, coordinator)))
                add_new(coordinator)

    follow_new()
    entry.async_on_unload(home.async_add_listener(follow_new))
