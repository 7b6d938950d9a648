"""An account: its client, its stations and inverters, a coordinator for each thing that is read, and the poll."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from functools import partial
from math import ceil
from typing import Any, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_EMAIL, CONF_SCAN_INTERVAL, CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util

from .const import (
    CONF_DIGEST,
    CONF_GENERATION,
    DAILY_ENERGIES_INTERVAL,
    DOMAIN,
    LOGGER,
    POLL_INTERVAL,
    SHORTEST_TIME_LIMIT,
)
from .coordinator import MtecCoordinator
from .energies import DailyEnergies, has_grid_meter, read_recent_rows
from .errors import update_failed
from .issues import async_note_errors
from .listing import Lister, Listing
from .missing_devices import MissingDevices
from .models import InverterReading, Station, StationReading
from .poll import Poll
from .portal import Client, Credentials
from .portal_client import async_create_client, async_rate_limiter
from .sources import AuthenticationError, HistorySource, SourceError
from .time_limit import TimeLimit, UnexpectedErrorLog
from .titles import log_name

_SHORTEST_BREAK = timedelta(seconds=1)

type MtecConfigEntry = ConfigEntry[Account]


class Account(DataUpdateCoordinator[Listing]):
    """A login to the portal. Its data is the listing of stations and inverters.

    The first update lists the stations, which is all that a start of Home Assistant waits for. Each further one is a
    poll: it updates the listing and then refreshes the coordinators that are due, one after the other.
    """

    config_entry: MtecConfigEntry

    def __init__(self, hass: HomeAssistant, entry: MtecConfigEntry) -> None:
        super().__init__(hass, LOGGER, config_entry=entry, name=log_name(entry), update_interval=POLL_INTERVAL)
        self._is_demo = CONF_EMAIL not in entry.data
        self.rate_limiter = async_rate_limiter(hass, entry.data[CONF_URL])
        self.client = async_create_client(
            hass,
            entry.data[CONF_URL],
            None if self._is_demo else Credentials(entry.data[CONF_EMAIL], entry.data[CONF_DIGEST]),
            entry.data.get(CONF_GENERATION),
        )
        self.data = Listing()
        self.interval = POLL_INTERVAL
        self._is_started = False
        self._is_first_poll = True
        self.station_readings: dict[str, MtecCoordinator[StationReading]] = {}
        self.daily_energies: dict[str, MtecCoordinator[DailyEnergies]] = {}
        self.inverter_readings: dict[str, MtecCoordinator[InverterReading]] = {}
        self.missing_devices = MissingDevices(hass, entry.entry_id)
        self._limit = TimeLimit()
        self._errors = UnexpectedErrorLog()
        self._poll = Poll(self.rate_limiter, self._limit, self._errors)
        self._lister = Lister(
            hass,
            entry,
            self.client,
            limit=self._limit,
            errors=self._errors,
            missing_devices=self.missing_devices,
            forget=self.async_forget,
        )

    @override
    async def _async_setup(self) -> None:
        await self.missing_devices.async_load()

    @override
    async def async_shutdown(self) -> None:
        await super().async_shutdown()
        self.rate_limiter.forget(self)
        await self.missing_devices.async_close()

    @property
    def stations(self) -> Mapping[str, Station]:
        """The stations by id."""
        return self.data.stations

    def station_of(self, id_: str) -> Station | None:
        """Return the station with an id, or the station of the inverter with a serial number, None if there is none."""
        inverter = self.data.inverters.get(id_)
        return self.stations.get(id_ if inverter is None else inverter.station_id)

    @property
    def history_source(self) -> HistorySource:
        """A source of history, whose requests wait while an account is polled."""
        return Client(self.client.connection, background=True)

    def live_coordinator(self, id_: str) -> MtecCoordinator[Any] | None:
        """Return the coordinator of the live values of a station or an inverter, None if it is not listed."""
        return self.station_readings.get(id_) or self.inverter_readings.get(id_)

    def inverter_coordinators(self, station_id: str) -> list[MtecCoordinator[InverterReading]]:
        """Return the coordinators of the inverters of a station."""
        inverters = self.data.inverters.items()
        return [self.inverter_readings[id_] for id_, inverter in inverters if inverter.station_id == station_id]

    def in_turn(self) -> list[MtecCoordinator[Any]]:
        """Return the coordinators of what is listed in the order of a poll: least recently asked first."""
        listed = [*self._live_coordinators(), *(self.daily_energies[id_] for id_ in self.data.stations)]
        return sorted(listed, key=lambda coordinator: coordinator.asked_at)

    @callback
    def async_is_removable(self, ids: set[str]) -> bool:
        """Return whether a device with these ids is not listed any more."""
        return self._lister.is_complete and not ids & self.data.ids

    @callback
    def async_forget(self, id_: str) -> None:
        """Forget a station or inverter whose device is removed. If it is listed again, it gets new entities."""
        self._lister.async_forget(id_)
        for coordinators in self._coordinators():
            coordinators.pop(id_, None)

    def _coordinators(self) -> tuple[dict[str, MtecCoordinator[Any]], ...]:
        return (self.station_readings, self.inverter_readings, self.daily_energies)

    def _live_coordinators(self) -> list[MtecCoordinator[Any]]:
        stations = [self.station_readings[id_] for id_ in self.data.stations]
        return [*stations, *(self.inverter_readings[id_] for id_ in self.data.inverters)]

    @override
    async def _async_update_data(self) -> Listing:
        started = self.hass.loop.time()
        try:
            with self.rate_limiter.foreground():
                await (self._async_poll if self._is_started else self._async_start)()
        except AuthenticationError as error:
            for coordinator in self.in_turn():
                coordinator.async_set_unavailable()
            if self._is_demo:
                raise update_failed(error) from error
            raise ConfigEntryAuthFailed(translation_domain=DOMAIN, translation_key="authentication") from error
        except SourceError as error:
            async_note_errors(self.hass, self.config_entry.entry_id, [error])
            raise update_failed(error) from error
        finally:
            # The next update is scheduled when this one is over, but intervals are from start to start.
            elapsed = timedelta(seconds=self.hass.loop.time() - started)
            self.update_interval = max(self.interval - elapsed, _SHORTEST_BREAK)
        return self.data

    async def _async_start(self) -> None:
        """List the stations. Raises SourceError."""
        self._limit.start(SHORTEST_TIME_LIMIT.total_seconds())
        self._async_take_listing(await self._lister.async_list_stations())
        self._is_started = True

    async def _async_poll(self) -> None:
        """List what there is if that is due, and read what is due. Raises UpdateFailed and SourceError."""
        seconds = max(self.interval, SHORTEST_TIME_LIMIT).total_seconds()
        # When Home Assistant starts, all accounts are read at the same time.
        self._limit.start(2 * seconds if self._is_first_poll else seconds)
        self._is_first_poll = False
        if self._lister.async_is_due():
            self._async_take_listing(await self._lister.async_list())
        await self._poll.async_refresh(self.in_turn())
        self._async_finish_poll()

    @callback
    def _async_take_listing(self, listing: Listing) -> None:
        """Create the coordinators of what is listed. What is not listed any more is unavailable."""
        if listing is self.data:
            return
        self.data = listing
        for id_, station in listing.stations.items():
            read = partial(self.client.station_reading, id_)
            self._update_coordinator(self.station_readings, id_, station.name, read)
            read_energies = partial(self._async_read_daily_energies, id_)
            self._update_coordinator(
                self.daily_energies, id_, f"{station.name}'s energy balance", read_energies, DAILY_ENERGIES_INTERVAL
            )
        for id_, inverter in listing.inverters.items():
            read_inverter = partial(self.client.inverter_reading, inverter.station_id, id_)
            self._update_coordinator(self.inverter_readings, id_, inverter.name, read_inverter)
        for coordinators in self._coordinators():
            for id_ in coordinators.keys() - listing.ids:
                coordinators[id_].async_set_unavailable()
        self._set_interval()
        self.async_update_listeners()

    def _update_coordinator[DataT](
        self,
        coordinators: dict[str, MtecCoordinator[DataT]],
        id_: str,
        name: str,
        fetch: Callable[[], Awaitable[DataT]],
        interval: timedelta = timedelta(),
    ) -> None:
        if (known := coordinators.get(id_)) is None:
            coordinators[id_] = MtecCoordinator(
                self.hass, self.config_entry, id_=id_, name=name, fetch=fetch, limit=self._limit, interval=interval
            )
        else:
            known.name, known.fetch = name, fetch

    def _set_interval(self) -> None:
        """Poll as often as the user chose, or as the request budget allows."""
        chosen: timedelta = timedelta(seconds=self.config_entry.options.get(CONF_SCAN_INTERVAL, POLL_INTERVAL.seconds))
        interval = self._longer_interval(chosen)
        if interval != self.interval and interval > chosen:
            LOGGER.warning(
                "%s has %s stations and inverters; not to crowd the portal it is polled every %s instead of %s seconds",
                self.name,
                len(self.data.ids),
                interval.seconds,
                chosen.seconds,
            )
        self.interval = interval

    def _longer_interval(self, interval: timedelta) -> timedelta:
        """Return the interval, or the shortest longer one in which all can be read that is due then."""
        while True:
            # The daily energies are not due in every poll. The listing is so rarely that it does not matter.
            share = min(1.0, interval / DAILY_ENERGIES_INTERVAL)
            requests = len(self.data.ids) + ceil(len(self.stations) * share)
            allowed = timedelta(seconds=ceil(self.rate_limiter.interval(self, requests)))
            if allowed <= interval:
                return interval
            interval = allowed

    @callback
    def _async_finish_poll(self) -> None:
        """Report what failed. Raises UpdateFailed if there is no live reading at all."""
        coordinators, live = self.in_turn(), self._live_coordinators()
        async_note_errors(self.hass, self.config_entry.entry_id, [each.error for each in coordinators])
        if live and not any(each.last_update_success for each in live):
            for coordinator in coordinators:
                coordinator.async_set_unavailable()
            cause = next((each.error for each in live if each.error is not None), None)
            raise update_failed(cause) from cause
        self._poll.log_availability(coordinators)
        self._remember_generation()

    def _remember_generation(self) -> None:
        """Store the version of the portal's API for the next start."""
        known = self.config_entry.data
        if known.get(CONF_GENERATION) != (found := self.client.api_version):
            LOGGER.info("The portal speaks generation %s of its API", found)
            self.hass.config_entries.async_update_entry(self.config_entry, data={**known, CONF_GENERATION: found})

    async def _async_read_daily_energies(self, station_id: str) -> DailyEnergies:
        today: date = dt_util.now().date()
        rows = await read_recent_rows(self.client, station_id, today)
        before = self.daily_energies[station_id].reading
        reading = self.station_readings[station_id].reading
        has_meter = (before is not None and before.has_meter) or has_grid_meter(rows.values(), reading)
        return DailyEnergies(day=today, rows=rows, has_meter=has_meter)
