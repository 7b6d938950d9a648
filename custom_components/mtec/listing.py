"""The stations and inverters that an account follows, as its source lists them."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.util import dt as dt_util

from .const import CONF_IGNORED_STATIONS, GRACE_POLLS, LOGGER, LOOKUP_INTERVAL
from .coordinator import is_over
from .devices import (
    async_create_stations,
    async_remove_devices,
    async_station_id,
    async_with_known_name,
    is_inverter,
    own_id,
)
from .inverter_ids import InverterIds
from .issues import NO_STATIONS, async_note
from .missing_devices import MissingDevices
from .models import Inverter, Station
from .ownership import async_claim, async_owner
from .sources import AuthenticationError, LiveSource, SourceError
from .time_limit import TimeLimit, UnexpectedErrorLog
from .titles import log_name

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedInverter(Inverter):
    """An inverter and the id of its station, None if it is in no station that the portal lists."""

    station_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Stations by id and inverters by serial number."""

    stations: Mapping[str, Station] = field(default_factory=dict)
    inverters: Mapping[str, ListedInverter] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        """The ids of all stations and inverters."""
        return {*self.stations, *self.inverters}


@callback
def async_known_listing(hass: HomeAssistant, entry_id: str) -> Listing:
    """Return the stations and inverters that an entry has devices of, as they were listed last."""
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry_id)
    names = {own_id(device): device.name or own_id(device) for device in devices}
    return Listing(
        stations={
            own_id(each): Station(id=own_id(each), name=names[own_id(each)])
            for each in devices
            if not is_inverter(each)
        },
        inverters={
            own_id(each): ListedInverter(
                name=names[own_id(each)],
                serial_number=own_id(each),
                model=each.model,
                station_id=async_station_id(hass, entry_id, own_id(each)),
            )
            for each in devices
            if is_inverter(each)
        },
    )


class ListingSource(LiveSource, Protocol):
    """A source that may know an inverter by another id than its serial number."""

    @property
    def device_ids(self) -> Mapping[str, str]:
        """Ids of inverters by serial number."""


class Lister:
    """Lists the stations and inverters every hour, and at the next poll again if something is missing.

    `forget` is called with the id of each device that is removed because it has been missing for too long.
    `kept` are ids that are never missing.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        source: ListingSource,
        *,
        limit: TimeLimit,
        errors: UnexpectedErrorLog,
        missing_devices: MissingDevices,
        forget: Callable[[str], None],
        kept: Collection[str] = (),
    ) -> None:
        self._hass = hass
        self._entry = entry
        self._source = source
        self._limit = limit
        self._errors = errors
        self._missing_devices = missing_devices
        self._forget = forget
        self._kept = kept
        self._inverter_ids = InverterIds(hass, entry)
        self._inverters_asked_at: dict[str, datetime] = {}
        self._owners: dict[str, str] = {}
        self._station_ids: set[str] = set()
        self._listed_at: datetime | None = None
        self._is_complete = True
        self._incomplete_listings = 0
        self._first_list: list[Station] | None = None
        self.listing = Listing()
        self.has_stations = False

    @property
    def is_complete(self) -> bool:
        """Whether the last listing had stations, and nothing was missing."""
        return self._listed_at is not None and self.has_stations

    @callback
    def async_is_due(self) -> bool:
        """Return whether to list again."""
        if is_over(self._listed_at, LOOKUP_INTERVAL):
            return True
        return any(async_owner(self._hass, station_id) is None for station_id in self._owners)

    @callback
    def async_forget(self, id_: str) -> None:
        """Forget a station whose device is removed."""
        self._station_ids.discard(id_)

    async def async_list_stations(self) -> Listing:
        """Return the stations alone. The first listing does not ask for them again. Raises SourceError."""
        self._first_list = listed = await self._async_list_stations()
        self.listing = Listing(stations={station.id: station for station in self._async_followed(listed)})
        return self.listing

    async def async_list(self) -> Listing:
        """Return what is listed now. What cannot be listed stays as it was.

        Raises AuthenticationError, and any other SourceError if no station is known yet.
        """
        now = dt_util.utcnow()
        try:
            listed = self._first_list or await self._async_list_stations()
        except AuthenticationError:
            raise
        except SourceError as error:
            self._errors.update("", "The list of stations", error)
            if not self.listing.stations:
                raise
            return self.listing
        self._first_list = None
        if self.listing.stations and not listed:
            # The portal sometimes lists no station at all for a while.
            return self.listing
        self._is_complete = True
        found = await self._async_followed_listing(listed)
        if listed:
            self._async_remove_missing(found)
        self.listing = self._with_missing(found)
        self._listed_at = now if self._is_complete else None
        return self.listing

    async def _async_list_stations(self) -> list[Station]:
        async with self._limit.enforce():
            listed = await self._source.stations()
        self._errors.update("", "The list of stations", None)
        async_note(self._hass, self._entry.entry_id, {NO_STATIONS: not listed})
        if listed or not self.listing.stations:
            self.has_stations = bool(listed)
        return listed

    async def _async_followed_listing(self, listed: list[Station]) -> Listing:
        stations = self._async_followed(listed)
        answers = await self._async_answers(stations)
        taken = {station.id for station in listed} | self._station_ids
        return Listing(
            stations={station.id: station for station in stations},
            inverters=self._async_inverters(stations, answers, taken),
        )

    @callback
    def _async_followed(self, stations: list[Station]) -> list[Station]:
        """Return the stations, each with a device, without those that the user ignores or another account has."""
        ignored = self._entry.options.get(CONF_IGNORED_STATIONS, ())
        for station_id in ignored:
            async_remove_devices(self._hass, self._entry.entry_id, station_id)
        wanted = [station for station in stations if station.id not in ignored]
        owners: dict[str, str] = {}
        for station in wanted:
            if (owner := async_claim(self._hass, self._entry, station.id)) is None:
                continue
            owners[station.id] = owner.entry_id
            if self._owners.get(station.id) != owner.entry_id:
                LOGGER.info("%s is followed by the account %s already, and left to it", station.name, log_name(owner))
        self._owners = owners
        followed = [station for station in wanted if station.id not in owners]
        async_create_stations(self._hass, self._entry, followed)
        self._station_ids.update(station.id for station in followed)
        return followed

    async def _async_answers(self, stations: list[Station]) -> dict[str, list[Inverter]]:
        """Return the source's lists of inverters by station id, the station asked least recently first."""
        answers: dict[str, list[Inverter]] = {}
        for station in sorted(stations, key=lambda station: self._inverters_asked_at.get(station.id, _NEVER)):
            # The other half of the time is for the readings.
            if self._limit.is_half_over() or (inverters := await self._async_list_inverters(station)) is None:
                self._is_complete = False
            else:
                answers[station.id] = inverters
        return answers

    async def _async_list_inverters(self, station: Station) -> list[Inverter] | None:
        """Return the inverters of a station, None if the source does not list them. Raises AuthenticationError."""
        self._inverters_asked_at[station.id] = dt_util.utcnow()
        name = f"The list of {station.name}'s inverters"
        try:
            async with self._limit.enforce():
                inverters = await self._source.inverters(station.id)
        except AuthenticationError:
            raise
        except SourceError as error:
            self._errors.update(station.id, name, error)
            LOGGER.debug("The inverters of %s cannot be listed: %s", station.name, error)
            return None
        self._errors.update(station.id, name, None)
        return inverters

    @callback
    def _async_inverters(
        self, stations: list[Station], answers: Mapping[str, list[Inverter]], taken: set[str]
    ) -> dict[str, ListedInverter]:
        """Return the inverters by serial number, with those known of a station that has no answer.

        `taken` are ids that no inverter may have.
        """
        self._inverter_ids.is_waiting = False
        found: dict[str, ListedInverter] = {}
        for station in stations:
            if station.id not in answers:
                known = self.listing.inverters.items()
                found |= {id_: inverter for id_, inverter in known if inverter.station_id == station.id}
                continue
            for accepted in self._inverter_ids.async_accept(answers[station.id], taken, self._source.device_ids):
                inverter = async_with_known_name(self._hass, self._entry.entry_id, accepted)
                found[inverter.serial_number] = ListedInverter(
                    name=inverter.name,
                    serial_number=inverter.serial_number,
                    model=inverter.model,
                    station_id=station.id,
                )
        if self._inverter_ids.is_waiting:
            self._is_complete = False
        return found

    @callback
    def _async_remove_missing(self, found: Listing) -> None:
        """Remove devices that have not been listed for long. An empty list of inverters does not count."""
        with_inverters = {inverter.station_id for inverter in found.inverters.values() if inverter.station_id}
        for id_ in self._missing_devices.async_update(
            listed=found.ids.union(self._kept), without_inverters=found.stations.keys() - with_inverters
        ):
            self._forget(id_)

    def _with_missing(self, found: Listing) -> Listing:
        """Return what was found together with what has been missing for at most GRACE_POLLS listings in a row."""
        self._incomplete_listings = self._incomplete_listings + 1 if self.listing.ids - found.ids else 0
        if not 0 < self._incomplete_listings <= GRACE_POLLS:
            self._incomplete_listings = 0
            return found
        self._is_complete = False
        return Listing(
            stations={**self.listing.stations, **found.stations},
            inverters={**self.listing.inverters, **found.inverters},
        )
