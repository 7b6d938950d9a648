"""What the entities of stations and inverters have in common."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, override

from homeassistant.core import callback
from homeassistant.helpers.entity import EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import GRACE_POLLS
from .coordinator import MtecConfigEntry, MtecCoordinator, Part


@dataclass(frozen=True, kw_only=True)
class MtecEntityDescription[ReadingT](EntityDescription):
    """How to read an entity's value from a reading; `number` is that of its phase or PV string."""

    value_fn: Callable[[ReadingT], Any]
    number: int | None = None


class MtecEntity[ReadingT](CoordinatorEntity[MtecCoordinator]):
    """An entity of a station or an inverter. Unavailable while the portal gives no reading of it."""

    _attr_has_entity_name = True
    entity_description: MtecEntityDescription[ReadingT]

    def __init__(
        self, coordinator: MtecCoordinator, part: Part[ReadingT], description: MtecEntityDescription[ReadingT]
    ) -> None:
        super().__init__(coordinator)
        self.entity_description = description
        self.part = part
        self._attr_unique_id = f"{part.id}_{description.key}"
        self._attr_device_info = part.device_info
        if description.number is not None:
            self._attr_translation_placeholders = {"number": str(description.number)}
        self.value: Any = None
        self._polls_without = 0
        self._read()

    @property
    @override
    def available(self) -> bool:
        return super().available and self.part.reading is not None

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._read()
        super()._handle_coordinator_update()

    def _read(self) -> None:
        """Read the value. One that a reading leaves out stays as it was for a few polls."""
        value = None if self.part.reading is None else self.entity_description.value_fn(self.part.reading)
        self._polls_without = self._polls_without + 1 if value is None else 0
        if value is not None or self._polls_without > GRACE_POLLS:
            self.value = value


def what_has_a_value[ReadingT, DescriptionT: MtecEntityDescription[Any]](
    parts: Iterable[Part[ReadingT]], descriptions: Callable[[ReadingT], Iterable[DescriptionT]]
) -> Iterator[tuple[Part[ReadingT], DescriptionT]]:
    """Yield the descriptions that have a value in a part's reading: what the hardware lacks never has one."""
    for part in parts:
        if (reading := part.reading) is not None:
            yield from ((part, each) for each in descriptions(reading) if each.value_fn(reading) is not None)


@callback
def async_add_what_appears(
    entry: MtecConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    discover: Callable[[MtecCoordinator], Iterator[MtecEntity[Any]]],
) -> None:
    """Add the entities that `discover` yields, now and whenever a poll brings new ones."""
    coordinator = entry.runtime_data
    known: dict[str | None, Part[Any]] = {}

    @callback
    def add_new() -> None:
        # What comes back after its device was removed is another part.
        new = [entity for entity in discover(coordinator) if known.get(entity.unique_id) is not entity.part]
        known.update((entity.unique_id, entity.part) for entity in new)
        async_add_entities(new)

    add_new()
    entry.async_on_unload(coordinator.async_add_listener(add_new))
