"""A home: what an entry reads. Here are its inverters in the network; `account.py` adds the portal."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator

from .const import LOGGER, POLL_INTERVAL
from .coordinator import MtecCoordinator
from .devices import (
    async_device,
    async_inverters_below,
    async_remove_all_but,
    async_station_id,
    async_update_inverter_device,
)
from .energies import DailyEnergies, LifetimeEnergies
from .errors import validation_error
from .listing import ListedInverter, Listing
from .models import InverterReading, Station, StationReading
from .network import NetworkInverter, network_inverters, station_reading
from .ownership import async_claim
from .settings import SettingsCoordinator
from .sources import HistorySource
from .time_limit import TimeLimit, UnexpectedErrorLog
from .titles import log_name

type MtecConfigEntry = ConfigEntry[Home]


class Home(DataUpdateCoordinator[Listing]):
    """The inverters of an entry that are in the network. Its data is the listing of stations and inverters."""

    config_entry: MtecConfigEntry
    has_account: ClassVar[bool] = False

    def __init__(self, hass: HomeAssistant, entry: MtecConfigEntry) -> None:
        super().__init__(hass, LOGGER, config_entry=entry, name=log_name(entry))
        self.data = Listing()
        self.station_readings: dict[str, MtecCoordinator[StationReading]] = {}
        self.daily_energies: dict[str, MtecCoordinator[DailyEnergies]] = {}
        self.lifetime_energies: dict[str, MtecCoordinator[LifetimeEnergies]] = {}
        self.inverter_readings: dict[str, MtecCoordinator[InverterReading]] = {}
        self.network: dict[str, NetworkInverter] = {}
        self.settings: dict[str, SettingsCoordinator] = {}
        self.interval = POLL_INTERVAL
        self._limit = TimeLimit()
        self._errors = UnexpectedErrorLog()
        self._unreachable: set[str] = set()
        self._unsubscribe: list[Callable[[], None]] = []

    @override
    async def async_shutdown(self) -> None:
        await super().async_shutdown()
        while self._unsubscribe:
            self._unsubscribe.pop()()

    @property
    def stations(self) -> Mapping[str, Station]:
        """The stations by id."""
        return self.data.stations

    def station_of(self, id_: str) -> Station | None:
        """Return the station with an id, or the station of the inverter with a serial number, None if there is none."""
        inverter = self.data.inverters.get(id_)
        station_id = id_ if inverter is None else inverter.station_id
        return None if station_id is None else self.stations.get(station_id)

    @property
    def history_source(self) -> HistorySource:
        """A source of history. Raises ServiceValidationError without an account."""
        raise validation_error("no_account")

    async def async_wait_for_first_poll(self) -> None:
        """Wait until the first poll of the portal is over. Before it, not all entities are there."""

    def live_coordinator(self, id_: str) -> MtecCoordinator[Any] | None:
        """Return the coordinator of the live values of a station or an inverter, None if it is not listed."""
        return self.station_readings.get(id_) or self.inverter_readings.get(id_)

    def inverter_coordinators(self, station_id: str) -> list[MtecCoordinator[InverterReading]]:
        """Return the coordinators of the inverters of a station."""
        inverters = self.data.inverters.items()
        return [self.inverter_readings[id_] for id_, inverter in inverters if inverter.station_id == station_id]

    def in_turn(self) -> list[MtecCoordinator[Any]]:
        """Return the coordinators of what is listed in the order of a poll: least recently asked first."""
        energies = (each[id_] for each in (self.daily_energies, self.lifetime_energies) for id_ in self.data.stations)
        listed: list[MtecCoordinator[Any]] = [*self._live_coordinators(), *energies]
        return sorted(listed, key=lambda coordinator: coordinator.asked_at)

    @callback
    def async_is_removable(self, ids: set[str]) -> bool:
        """Return whether a device with these ids is not listed any more."""
        return not ids & self.data.ids

    @callback
    def async_forget(self, id_: str) -> None:
        """Forget a station or inverter whose device is removed. If it is listed again, it gets new entities."""
        for coordinators in self._coordinators():
            coordinators.pop(id_, None)

    async def async_start(self) -> None:
        """List what there is. Raises ConfigEntryNotReady and ConfigEntryAuthFailed."""
        self._async_find_network_inverters()
        async_remove_all_but(self.hass, self.config_entry.entry_id, self.network)
        self._async_set_listing(Listing())

    @callback
    def async_begin_reading(self) -> None:
        """Begin to read what is listed. Nothing waits for it: entities are added as readings come."""
        entry = self.config_entry
        for inverter in self.network.values():
            self._unsubscribe.append(inverter.async_add_listener(partial(self._async_take_reading, inverter)))
            entry.async_create_background_task(self.hass, inverter.async_refresh(), "mtec first read in the network")
        for settings in self.settings.values():
            entry.async_create_background_task(self.hass, settings.async_refresh(), "mtec first read of settings")

    @override
    async def _async_update_data(self) -> Listing:
        for inverter in self.network.values():
            await inverter.async_refresh()
        return self.data

    def _coordinators(self) -> tuple[dict[str, MtecCoordinator[Any]], ...]:
        return (self.station_readings, self.inverter_readings, self.daily_energies, self.lifetime_energies)

    def _live_coordinators(self) -> list[MtecCoordinator[Any]]:
        stations = [self.station_readings[id_] for id_ in self.data.stations]
        return [*stations, *(self.inverter_readings[id_] for id_ in self.data.inverters)]

    @callback
    def _async_find_network_inverters(self) -> None:
        for inverter in network_inverters(self.hass, self.config_entry):
            if (owner := async_claim(self.hass, self.config_entry, inverter.id)) is None:
                self.network[inverter.id] = inverter
                if inverter.has_settings:
                    self.settings[inverter.id] = SettingsCoordinator(self.hass, self.config_entry, inverter)
            else:
                LOGGER.warning("%s belongs to %s already, and is left to it", inverter.name, log_name(owner))

    @callback
    def _async_set_listing(self, listing: Listing) -> None:
        """Take what the portal lists, and create the coordinators of those inverters that it does not list."""
        inverters = dict(listing.inverters)
        for id_, network in self.network.items():
            if id_ not in inverters:
                inverters[id_] = self._async_network_only(network, listing)
                self._update_coordinator(self.inverter_readings, id_, network.name, None)
            self._async_update_device(inverters[id_], network)
        self.data = replace(listing, inverters=inverters)

    @callback
    def _async_network_only(self, network: NetworkInverter, listing: Listing) -> ListedInverter:
        """Return an inverter that the portal does not list, or not yet."""
        device = async_device(self.hass, self.config_entry.entry_id, network.id)
        station_id = async_station_id(self.hass, self.config_entry.entry_id, network.id)
        return ListedInverter(
            name=(device and device.name) or network.name,
            serial_number=network.id,
            model=(device and device.model) or network.identity.model,
            station_id=station_id if station_id in listing.stations else None,
        )

    @callback
    def _async_update_device(self, inverter: ListedInverter, network: NetworkInverter) -> None:
        async_update_inverter_device(self.hass, self.config_entry, inverter.station_id, inverter, network.identity)

    def _update_coordinator[DataT](
        self,
        coordinators: dict[str, MtecCoordinator[DataT]],
        id_: str,
        name: str,
        fetch: Callable[[], Awaitable[DataT]] | None,
        interval: timedelta = timedelta(),
    ) -> None:
        if (known := coordinators.get(id_)) is None:
            coordinators[id_] = MtecCoordinator(
                self.hass, self.config_entry, id_=id_, name=name, fetch=fetch, limit=self._limit, interval=interval
            )
        else:
            known.name, known.fetch = name, fetch

    @callback
    def _async_take_reading(self, network: NetworkInverter) -> None:
        """Take a reading of an inverter in the network, or that there is none any more."""
        self._errors.update(f"{network.id} network", network.name, network.error)
        if network.is_data_kept or (live := self.inverter_readings.get(network.id)) is None:
            return
        self._log_source(network, live)
        was_served = live.has_preferred
        live.async_set_preferred(network.reading)
        if (station := self.station_of(network.id)) is not None:
            self._async_set_station_reading(station.id)
        if network.reading is not None:
            self._async_update_device(self.data.inverters[network.id], network)
        elif was_served:
            self._async_replace_network()

    @callback
    def _async_replace_network(self) -> None:
        """Read at once from another source what the network does not give any more."""

    def _log_source(self, network: NetworkInverter, live: MtecCoordinator[InverterReading]) -> None:
        """Log once when an inverter does not answer in the network, and once when it does again."""
        if network.reading is not None:
            if network.id in self._unreachable:
                self._unreachable.discard(network.id)
                LOGGER.info("%s can be read in the network again", network.name)
        elif network.id not in self._unreachable:
            self._unreachable.add(network.id)
            then = "it is unavailable" if live.fetch is None else "its values come from the portal until it can"
            LOGGER.warning("%s cannot be read in the network, %s: %s", network.name, then, network.error)

    @callback
    def _async_set_station_reading(self, station_id: str) -> None:
        """Let a station take its live values from its inverters if all of them are in the network."""
        # At a start the portal has not listed all inverters yet.
        ids = {id_ for id_, inverter in self.data.inverters.items() if inverter.station_id == station_id}
        ids |= async_inverters_below(self.hass, self.config_entry.entry_id, station_id)
        readings = [self.network[id_].reading if id_ in self.network else None for id_ in ids]
        known = [reading for reading in readings if reading is not None]
        complete = len(known) == len(readings) > 0
        self.station_readings[station_id].async_set_preferred(station_reading(known) if complete else None)
