"""Publishes the readings of a home through Home Assistant's MQTT integration."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util

from custom_components.mtec.const import CONF_MQTT, DOMAIN
from custom_components.mtec.coordinator import MtecCoordinator
from custom_components.mtec.devices import is_inverter, own_id
from custom_components.mtec.home import Home, MtecConfigEntry
from custom_components.mtec.models import UsageRow

from .layouts import (
    DEFAULT_TOPIC,
    Format,
    InverterValues,
    Layout,
    inverter_messages,
    station_messages,
    supported_row,
    topic_level,
    topic_levels,
)
from .outbox import Outbox, async_outbox

CONF_LAYOUT: Final = "layout"
CONF_TOPIC: Final = "topic"
CONF_DECIMALS: Final = "decimals"
CONF_STATIONS: Final = "stations"
CONF_INVERTERS: Final = "inverters"
CONF_RETAIN: Final = "retain"


async def async_set_up_publishing(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Publish the readings of a home if its options say so. If they do not, its retained topics are cleared."""
    settings: Mapping[str, Any] | None = entry.options.get(CONF_MQTT)
    outbox = await async_outbox(hass)
    outbox.async_begin(entry.entry_id, settings)
    if settings is not None:
        entry.async_on_unload(Publisher(hass, entry.runtime_data, settings, outbox).async_start())


async def async_forget_publishing(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Clear the retained topics of a home that is removed."""
    outbox = await async_outbox(hass)
    outbox.async_forget_messages(entry.entry_id)
    outbox.async_clear(entry.entry_id)


class Publisher:
    """Publishes what the coordinators of a home read, each time that they have read something new."""

    def __init__(self, hass: HomeAssistant, home: Home, settings: Mapping[str, Any], outbox: Outbox) -> None:
        self._hass = hass
        self._home = home
        self._outbox = outbox
        self._entry_id = home.config_entry.entry_id
        self._format = Format(
            layout=Layout(settings.get(CONF_LAYOUT, Layout.M_TEC_API)),
            topic=settings.get(CONF_TOPIC, DEFAULT_TOPIC),
            decimals=settings.get(CONF_DECIMALS),
        )
        self._has_stations: bool = settings.get(CONF_STATIONS, True)
        self._has_inverters: bool = settings.get(CONF_INVERTERS, True)
        self._retain: bool = settings.get(CONF_RETAIN, False)
        self._read_at: dict[tuple[int, str], Any] = {}
        self._followed: dict[tuple[int, str], tuple[MtecCoordinator[Any], Callable[[], None]]] = {}

    @callback
    def async_start(self) -> Callable[[], None]:
        """Begin to publish, and return a function to stop."""
        unsubscribe = [
            self._home.async_add_listener(self._async_follow),
            self._outbox.async_add_publisher(self._async_publish_all),
        ]
        self._async_follow()

        def stop() -> None:
            for each in (*unsubscribe, *(stop_following for _, stop_following in self._followed.values())):
                each()
            self._outbox.async_forget_messages(self._entry_id)

        return stop

    def _kinds(self) -> Iterator[tuple[int, Mapping[str, MtecCoordinator[Any]], Callable[[str], None]]]:
        home = self._home
        yield 0, home.station_readings, self._async_publish_station
        yield 1, home.daily_energies, self._async_publish_only_inverter
        yield 2, home.inverter_readings, self._async_publish_inverter

    @callback
    def _async_follow(self) -> None:
        """Follow the coordinators of what is listed, and clear what was retained of things that are gone."""
        for kind, coordinators, publish in self._kinds():
            for id_, coordinator in coordinators.items():
                known, stop = self._followed.get((kind, id_), (None, None))
                if known is coordinator:
                    continue
                if stop is not None:
                    stop()
                changed = partial(self._async_changed, kind, coordinator, publish)
                self._followed[kind, id_] = coordinator, coordinator.async_add_listener(changed)
                changed()
        topics = self._outbox.async_topics(self._entry_id)
        gone = {thing for thing in {*topics.values()} if self._home.async_is_removable({thing})}
        self._outbox.async_clear(self._entry_id, lambda topic: topics[topic] in gone)

    @callback
    def _async_changed(self, kind: int, coordinator: MtecCoordinator[Any], publish: Callable[[str], None]) -> None:
        """Publish if something new was read: coordinators tell of failures, too, and of data that they keep."""
        if coordinator.reading is None or self._read_at.get((kind, coordinator.id)) == coordinator.read_at:
            return
        self._read_at[kind, coordinator.id] = coordinator.read_at
        publish(coordinator.id)

    @callback
    def _async_publish_all(self) -> None:
        for _, coordinators, publish in self._kinds():
            for id_ in coordinators:
                publish(id_)

    @callback
    def _async_publish_station(self, id_: str) -> None:
        station, coordinator = self._home.stations.get(id_), self._home.station_readings.get(id_)
        if station is None or coordinator is None or coordinator.reading is None:
            return
        if self._has_stations:
            level = self._station_levels()[id_]
            texts = station_messages(self._format, level, coordinator.reading)
            self._async_put(id_, (level,), texts)
        self._async_publish_only_inverter(id_)

    @callback
    def _async_publish_only_inverter(self, station_id: str) -> None:
        """Publish the only inverter of a station, if the layout has the station's values among its own."""
        if self._format.layout is Layout.MTECMQTT and (only := self._only_inverter(station_id)) is not None:
            self._async_publish_inverter(only)

    def _only_inverter(self, station_id: str) -> str | None:
        inverters = self._inverters_of(station_id)
        return next(iter(inverters)) if len(inverters) == 1 else None

    def _inverters_of(self, station_id: str | None) -> dict[str, str]:
        """Return the names of a station's inverters by id."""
        inverters = self._home.data.inverters.items()
        return {id_: inverter.name for id_, inverter in inverters if inverter.station_id == station_id}

    @callback
    def _async_publish_inverter(self, id_: str) -> None:
        inverter, coordinator = self._home.data.inverters.get(id_), self._home.inverter_readings.get(id_)
        if not self._has_inverters or inverter is None or coordinator is None or coordinator.reading is None:
            return
        network, settings = self._home.network.get(id_), self._home.settings.get(id_)
        values = InverterValues(
            serial_number=id_,
            reading=coordinator.reading,
            firmware=None if network is None else network.identity.firmware,
            settings=None if settings is None else settings.reading,
        )
        station_id = inverter.station_id
        if station_id is not None and self._only_inverter(station_id) == id_:
            values = self._with_station(values, station_id)
        levels = self._inverter_path(id_, station_id)
        self._async_put(id_, levels, inverter_messages(self._format, levels, values))

    def _with_station(self, values: InverterValues, station_id: str) -> InverterValues:
        """Return the values of the only inverter of a station with those of the station."""
        coordinator = self._home.station_readings.get(station_id)
        reading = None if coordinator is None else coordinator.reading
        return replace(values, station=reading, today=self._today(station_id))

    def _today(self, station_id: str) -> UsageRow | None:
        """Return the energies of today of a station. Soon after midnight those that were read are yesterday's."""
        coordinator = self._home.daily_energies.get(station_id)
        energies = None if coordinator is None else coordinator.reading
        if energies is None or energies.today is None or energies.day != dt_util.now().date():
            return None
        reading = self._home.station_readings[station_id].reading
        return supported_row(energies.today, energies.rows.values(), reading, has_meter=energies.has_meter)

    def _inverter_path(self, id_: str, station_id: str | None) -> tuple[str, ...]:
        if self._format.layout is Layout.MTECMQTT:
            return (topic_level(id_) or "_",)
        stations = self._station_levels()
        if station_id is None:
            # Without an account there is no station.
            return (stations[id_], topic_level(self._home.data.inverters[id_].name) or id_)
        return (stations[station_id], topic_levels(self._inverters_of(station_id))[id_])

    def _station_levels(self) -> dict[str, str]:
        """Return the levels of all stations of all homes, and of inverters without a station, by their id.

        The registry also knows homes that are not loaded: a level must not depend on the order in which they are.
        """
        entries = self._hass.config_entries.async_entries(DOMAIN)
        registry = dr.async_get(self._hass)
        devices = (each for entry in entries for each in dr.async_entries_for_config_entry(registry, entry.entry_id))
        names = dict(named for device in devices if (named := _named(device)) is not None)
        names |= {id_: id_ for id_, each in self._home.data.inverters.items() if each.station_id is None}
        return topic_levels(names | {id_: station.name for id_, station in self._home.stations.items()})

    @callback
    def _async_put(self, thing: str, levels: tuple[str, ...], texts: Mapping[str, str]) -> None:
        base = "/".join((self._format.topic, *levels))
        self._outbox.async_put(self._entry_id, thing, base, texts, retain=self._retain)


def _named(device: dr.DeviceEntry) -> tuple[str, str] | None:
    """Return the id and the name of a station or of an inverter without one, None for an inverter of a station."""
    id_ = own_id(device)
    if not is_inverter(device):
        return id_, device.name or ""
    return None if device.via_device_id else (id_, id_)
