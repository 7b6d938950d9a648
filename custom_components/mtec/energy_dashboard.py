"""The plants in Home Assistant's Energy dashboard: what is lacking, what was added, and how it goes in and out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.storage import Store
from homeassistant.helpers.translation import async_get_translations

from .const import DOMAIN
from .devices import async_device, async_inverters_below
from .home import MtecConfigEntry
from .home_assistant_internals import Feature, async_energy_sources, async_set_energy_sources, is_supported

_VERSION: Final = 1
_IDENTITY: Final = ("type", "stat_energy_from", "stat_energy_to")
"""What a source is known by. All else of it, such as its price, a person may change."""

_SENSORS: Final[Mapping[str, Mapping[str, str]]] = {
    "grid": {
        "stat_energy_from": "grid_import_today",
        "stat_energy_to": "grid_export_today",
        "stat_rate": "grid_power",
    },
    "solar": {"stat_energy_from": "pv_energy_today", "stat_rate": "pv_power"},
    "battery": {
        "stat_energy_from": "battery_discharge_today",
        "stat_energy_to": "battery_charge_today",
        "stat_rate": "battery_power",
        "stat_soc": "state_of_charge",
    },
}
"""The keys of a station's sensors by the fields of each type of source."""

_NEEDED: Final = {"grid": ("stat_energy_from",), "solar": ("stat_energy_from",)}
_NEEDED_OF_BATTERY: Final = ("stat_energy_from", "stat_energy_to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What energy costs and earns: a number in the currency for each kWh, or an entity. None: not known."""

    imported: float | None = None
    imported_entity: str | None = None
    exported: float | None = None
    exported_entity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A source that the Energy dashboard lacks of a station. `sensors` are statistic ids by field."""

    station: str
    type: str
    name: str
    sensors: Mapping[str, str]
    capacity: float | None = None

    def source(self, prices: Prices) -> dict[str, Any]:
        """Return the source as the Energy dashboard stores it."""
        source: dict[str, Any] = {"type": self.type, "name": self.name, **self.sensors}
        if self.type == "grid":
            source |= {
                "stat_energy_to": self.sensors.get("stat_energy_to"),
                "stat_cost": None,
                "entity_energy_price": prices.imported_entity,
                "number_energy_price": prices.imported,
                "stat_compensation": None,
                "entity_energy_price_export": prices.exported_entity,
                "number_energy_price_export": prices.exported,
                "cost_adjustment_day": 0.0,
            }
        elif self.type == "solar":
            source["config_entry_solar_forecast"] = None
        elif self.capacity is not None:
            source["capacity"] = self.capacity
        return source


async def async_additions(hass: HomeAssistant, entry: MtecConfigEntry) -> list[Addition]:
    """Return what the Energy dashboard lacks of the stations of a loaded account.

    A station is there already if the dashboard has its energies, or those of one of its inverters.
    """
    stations = entry.runtime_data.stations
    names = await _async_names(hass)
    present = await async_present(hass)
    additions = []
    for id_, station in stations.items():
        ours = _async_entities(hass, entry, id_)
        for type_ in _SENSORS:
            if not _is_present(type_, ours, present) and (sensors := _async_sensors(hass, type_, id_)):
                name = names[type_] if len(stations) == 1 else f"{station.name}: {names[type_]}"
                additions.append(Addition(station=station.name, type=type_, name=name, sensors=sensors))
    return additions


@callback
def async_capacity(
    hass: HomeAssistant, entry: MtecConfigEntry, station_id: str, sources: Iterable[Mapping[str, Any]]
) -> float | None:
    """Return the capacity in kWh of a station's batteries as the Energy dashboard has it, None if it does not."""
    batteries = [source for source in sources if source["type"] == "battery" and source.get("capacity")]
    if not batteries:
        return None
    ours = _async_entities(hass, entry, station_id)
    return sum(source["capacity"] for source in batteries if _is_present("battery", ours, [source])) or None


async def async_add(
    hass: HomeAssistant,
    entry: MtecConfigEntry,
    additions: Sequence[Addition],
    prices: Prices,
    capacity: float | None = None,
) -> None:
    """Add sources to the Energy dashboard. `capacity` (kWh) is that of the battery. Raises NotSupportedError."""
    sources = [replace(each, capacity=capacity).source(prices) for each in additions]
    await async_set_energy_sources(hass, [*await async_present(hass), *sources])
    store = _store(hass, entry.entry_id)
    await store.async_save([*(await store.async_load() or []), *(_identity(source) for source in sources)])


async def async_added(hass: HomeAssistant, entry: MtecConfigEntry) -> list[Mapping[str, Any]]:
    """Return the sources in the Energy dashboard that were added for an account."""
    stored = await _store(hass, entry.entry_id).async_load() or []
    return [source for source in await async_present(hass) if _identity(source) in stored]


async def async_take_out(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Remove from the Energy dashboard what was added for an account, and nothing else. Raises NotSupportedError."""
    added = [_identity(source) for source in await async_added(hass, entry)]
    rest = [source for source in await async_present(hass) if _identity(source) not in added]
    await async_set_energy_sources(hass, rest)
    await async_forget_added(hass, entry.entry_id)


async def async_forget_added(hass: HomeAssistant, entry_id: str) -> None:
    """Forget what was added for an account."""
    await _store(hass, entry_id).async_remove()


async def async_present(hass: HomeAssistant) -> Sequence[Mapping[str, Any]]:
    """Return the sources of the Energy dashboard, none if they cannot be known."""
    return await async_energy_sources(hass) if is_supported(Feature.COSTS) else []


def _store(hass: HomeAssistant, entry_id: str) -> Store[list[dict[str, Any]]]:
    return Store(hass, _VERSION, f"{DOMAIN}.energy_dashboard.{entry_id}")


def _identity(source: Mapping[str, Any]) -> dict[str, Any]:
    return {field: source.get(field) for field in _IDENTITY}


async def _async_names(hass: HomeAssistant) -> dict[str, str]:
    """Return what each type of source is called in Home Assistant's language."""
    texts = await async_get_translations(hass, hass.config.language, "selector", {DOMAIN})
    return {type_: texts[f"component.{DOMAIN}.selector.energy_source.options.{type_}"] for type_ in _SENSORS}


@callback
def _async_entities(hass: HomeAssistant, entry: MtecConfigEntry, station_id: str) -> set[str]:
    """Return the entities of a station and its inverters."""
    registry, found = er.async_get(hass), set[str]()
    for id_ in (station_id, *async_inverters_below(hass, entry.entry_id, station_id)):
        device: dr.DeviceEntry | None = async_device(hass, entry.entry_id, id_)
        if device is not None:
            entities = er.async_entries_for_device(registry, device.id, include_disabled_entities=True)
            found |= {each.entity_id for each in entities}
    return found


def _is_present(type_: str, ours: set[str], present: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether one of these entities is the energy of a source of this type."""
    return any(
        source["type"] == type_ and ours & {source.get("stat_energy_from"), source.get("stat_energy_to")}
        for source in present
    )


@callback
def _async_sensors(hass: HomeAssistant, type_: str, station_id: str) -> dict[str, str]:
    """Return the enabled sensors for a type of source by field, none if a necessary one is not there."""
    registry, found = er.async_get(hass), dict[str, str]()
    for field, key in _SENSORS[type_].items():
        entity_id = registry.async_get_entity_id("sensor", DOMAIN, f"{station_id}_{key}")
        entity = None if entity_id is None else registry.async_get(entity_id)
        if entity is not None and entity.disabled_by is None:
            found[field] = entity.entity_id
    return found if all(field in found for field in _NEEDED.get(type_, _NEEDED_OF_BATTERY)) else {}
