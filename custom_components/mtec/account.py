"""A home with an account: its client of the portal, the listing, and the poll of all that the portal is asked for."""

import asyncio
from collections.abc import Iterable
from datetime import date, timedelta
from functools import partial
from math import ceil
from typing import Any, override

from homeassistant.const import CONF_EMAIL, CONF_SCAN_INTERVAL, CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed, ConfigEntryNotReady
from homeassistant.util import dt as dt_util

from .const import (
    CONF_DIGEST,
    CONF_GENERATION,
    DAILY_ENERGIES_INTERVAL,
    DOMAIN,
    LIFETIME_ENERGIES_INTERVAL,
    LOGGER,
    POLL_INTERVAL,
    SHORTEST_TIME_LIMIT,
)
from .coordinator import MtecCoordinator
from .energies import DailyEnergies, LifetimeEnergies, has_grid_meter, read_recent_rows
from .errors import update_failed
from .home import Home, MtecConfigEntry
from .issues import async_note_errors
from .listing import Lister, Listing, async_known_listing
from .missing_devices import MissingDevices
from .poll import Poll
from .portal import Client, Credentials
from .portal_client import async_create_client, async_rate_limiter
from .sources import AuthenticationError, HistorySource, SourceError

_SHORTEST_BREAK = timedelta(seconds=1)


class Account(Home):
    """A home with a login to the portal, behind the inverters in the network if there are any.

    The first update lists the stations, which is all that a start of Home Assistant waits for. Each further one is a
    poll: it updates the listing and then refreshes the coordinators that are due, one after the other.
    """

    has_account = True

    def __init__(self, hass: HomeAssistant, entry: MtecConfigEntry) -> None:
        super().__init__(hass, entry)
        self.update_interval = POLL_INTERVAL
        self._is_demo = CONF_EMAIL not in entry.data
        self.rate_limiter = async_rate_limiter(hass, entry.data[CONF_URL])
        self.client = async_create_client(
            hass,
            entry.data[CONF_URL],
            None if self._is_demo else Credentials(entry.data[CONF_EMAIL], entry.data[CONF_DIGEST]),
            entry.data.get(CONF_GENERATION),
        )
        self._is_started = False
        self._first_poll = asyncio.Event()
        self._listed: Listing | None = None
        self.missing_devices = MissingDevices(hass, entry.entry_id)
        self._poll = Poll(self.rate_limiter, self._limit, self._errors)
        self._lister = Lister(
            hass,
            entry,
            self.client,
            limit=self._limit,
            errors=self._errors,
            missing_devices=self.missing_devices,
            forget=self.async_forget,
            kept=self.network.keys(),
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
    @override
    def history_source(self) -> HistorySource:
        """A source of history, whose requests wait while an account is polled."""
        return Client(self.client.connection, background=True)

    @override
    async def async_wait_for_first_poll(self) -> None:
        await self._first_poll.wait()

    @callback
    @override
    def async_is_removable(self, ids: set[str]) -> bool:
        return self._lister.is_complete and super().async_is_removable(ids)

    @callback
    @override
    def async_forget(self, id_: str) -> None:
        self._lister.async_forget(id_)
        super().async_forget(id_)

    @override
    async def async_start(self) -> None:
        self._async_find_network_inverters()
        try:
            await self.async_config_entry_first_refresh()
        except (ConfigEntryNotReady, ConfigEntryAuthFailed) as error:
            if not self.network:
                raise
            LOGGER.warning("The portal cannot be read, only what is in the network: %s", self.last_exception)
            self._async_take_listing(async_known_listing(self.hass, self.config_entry.entry_id))
            if isinstance(error, ConfigEntryAuthFailed):
                self.update_interval = None
                self.config_entry.async_start_reauth(self.hass)

    @callback
    @override
    def async_begin_reading(self) -> None:
        super().async_begin_reading()
        if self._is_started:
            self.config_entry.async_create_background_task(self.hass, self.async_refresh(), "mtec first poll")

    @callback
    @override
    def _async_replace_network(self) -> None:
        # A refused login is not tried again until the user has given a password.
        if not isinstance(self.last_exception, ConfigEntryAuthFailed):
            self.config_entry.async_create_background_task(
                self.hass, self.async_request_refresh(), "mtec poll because an inverter is gone from the network"
            )

    @override
    async def _async_update_data(self) -> Listing:
        started = self.hass.loop.time()
        try:
            with self.rate_limiter.foreground():
                await (self._async_poll if self._is_started else self._async_start)()
        except AuthenticationError as error:
            self._async_set_unavailable()
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
        self._limit.start(seconds if self._first_poll.is_set() else 2 * seconds)
        try:
            if self._lister.async_is_due():
                self._async_take_listing(await self._lister.async_list())
            await self._poll.async_refresh(self.in_turn())
            self._async_finish_poll()
        finally:
            self._first_poll.set()

    @callback
    def _async_take_listing(self, listing: Listing) -> None:
        """Create the coordinators of what is listed. What is not listed any more is unavailable."""
        if listing is self._listed:
            return
        self._listed = listing
        for id_, station in listing.stations.items():
            read = partial(self.client.station_reading, id_)
            self._update_coordinator(self.station_readings, id_, station.name, read)
            read_energies = partial(self._async_read_daily_energies, id_)
            self._update_coordinator(
                self.daily_energies, id_, f"{station.name}'s energy balance", read_energies, DAILY_ENERGIES_INTERVAL
            )
            read_years = partial(self._async_read_lifetime_energies, id_)
            self._update_coordinator(
                self.lifetime_energies, id_, f"{station.name}'s years", read_years, LIFETIME_ENERGIES_INTERVAL
            )
        for id_, inverter in listing.inverters.items():
            if inverter.station_id is None:
                continue
            read_inverter = partial(self.client.inverter_reading, inverter.station_id, id_)
            self._update_coordinator(self.inverter_readings, id_, inverter.name, read_inverter)
        self._async_set_listing(listing)
        for coordinators in self._coordinators():
            for id_ in coordinators.keys() - self.data.ids:
                coordinators[id_].async_set_preferred(None)
                coordinators[id_].async_set_unavailable()
        self._set_interval()
        self.async_update_listeners()

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
            # The energies are not due in every poll. The listing is so rarely that it does not matter.
            intervals = (DAILY_ENERGIES_INTERVAL, LIFETIME_ENERGIES_INTERVAL)
            share = sum(min(1.0, interval / each) for each in intervals)
            requests = len(self.data.ids) + ceil(len(self.stations) * share)
            allowed = timedelta(seconds=ceil(self.rate_limiter.interval(self, requests)))
            if allowed <= interval:
                return interval
            interval = allowed

    @callback
    def _async_finish_poll(self) -> None:
        """Report what failed. Raises UpdateFailed if there is no live reading at all."""
        coordinators, live = _listed_by_portal(self.in_turn()), _listed_by_portal(self._live_coordinators())
        async_note_errors(self.hass, self.config_entry.entry_id, [each.error for each in coordinators])
        if live and not any(each.last_update_success for each in live):
            self._async_set_unavailable()
            cause = next((each.error for each in live if each.error is not None), None)
            raise update_failed(cause) from cause
        self._poll.log_availability(coordinators)
        self._remember_generation()

    @callback
    def _async_set_unavailable(self) -> None:
        """Make all data of the portal unavailable until the next successful refresh."""
        for coordinator in _listed_by_portal(self.in_turn()):
            coordinator.async_set_unavailable()

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

    async def _async_read_lifetime_energies(self, station_id: str) -> LifetimeEnergies:
        rows = await self.client.lifetime_rows(station_id)
        reading = self.station_readings[station_id].reading
        return LifetimeEnergies(year=dt_util.now().year, rows=rows, has_meter=has_grid_meter(rows, reading))


def _listed_by_portal(coordinators: Iterable[MtecCoordinator[Any]]) -> list[MtecCoordinator[Any]]:
    """Return the coordinators of what the portal is asked for."""
    return [coordinator for coordinator in coordinators if coordinator.fetch is not None]
