"""When to ask the portal, and what an answer or an error means to Home Assistant."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, override

from aiohttp import DummyCookieJar
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_EMAIL, CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.aiohttp_client import async_create_clientsession
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from yarl import URL

from .const import CONF_DIGEST, DOMAIN, GRACE_POLLS, LOGGER, LOOKUP_INTERVAL, MANUFACTURER, POLL_INTERVAL
from .portal import (
    AuthenticationError,
    BusyError,
    Client,
    Credentials,
    Inverter,
    InverterReading,
    Pacing,
    PortalError,
    Station,
    StationReading,
)
from .portal.pacing import PAUSE

_PACINGS: HassKey[dict[str, Pacing]] = HassKey(f"{DOMAIN}_pacings")

type MtecConfigEntry = ConfigEntry[MtecCoordinator]


@callback
def async_create_client(hass: HomeAssistant, url: str, credentials: Credentials | None) -> Client:
    """Return a client of the portal at `url`, which shares its pacing with all others of that portal."""
    pacings = hass.data.setdefault(_PACINGS, {})
    return Client(
        # Without cookies: those of one account would speak for another.
        async_create_clientsession(hass, cookie_jar=DummyCookieJar()),
        credentials,
        time_zone=dt_util.get_default_time_zone(),
        url=url,
        pacing=pacings.setdefault(URL(url).authority, Pacing(PAUSE)),
    )


@dataclass(slots=True, kw_only=True)
class Part[ReadingT]:
    """A station or an inverter that is polled, with its last reading. `id` is the station's id or a serial number.

    `reading` is None while the portal has given none for longer than the grace.
    """

    id: str
    name: str
    station_id: str
    device_info: DeviceInfo
    read: Callable[[], Awaitable[ReadingT]]
    reading: ReadingT | None = None
    error: PortalError | None = None
    failed_polls: int = 0

    async def async_poll(self) -> None:
        """Read once. Raises AuthenticationError; any other PortalError is kept in `error`."""
        try:
            self.reading = await self.read()
        except AuthenticationError:
            raise
        except PortalError as error:
            self.error = error
            self.failed_polls += 1
            if self.failed_polls > GRACE_POLLS:
                self.reading = None
        else:
            self.error = None
            self.failed_polls = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountData:
    """What an account has: its stations by id, its inverters by serial number."""

    stations: Mapping[str, Part[StationReading]]
    inverters: Mapping[str, Part[InverterReading]]


class MtecCoordinator(DataUpdateCoordinator[AccountData]):
    """Polls the stations and inverters of an account."""

    config_entry: MtecConfigEntry

    def __init__(self, hass: HomeAssistant, entry: MtecConfigEntry) -> None:
        super().__init__(hass, LOGGER, config_entry=entry, name=entry.title, update_interval=POLL_INTERVAL)
        self._is_demo = CONF_EMAIL not in entry.data
        self.client = async_create_client(
            hass,
            entry.data[CONF_URL],
            None if self._is_demo else Credentials(entry.data[CONF_EMAIL], entry.data[CONF_DIGEST]),
        )
        self.data = AccountData(stations={}, inverters={})
        self._stations: dict[str, Part[StationReading]] = {}
        self._inverters: dict[str, Part[InverterReading]] = {}
        self._looked_up: datetime | None = None
        self._unavailable: set[str] = set()

    @override
    async def _async_update_data(self) -> AccountData:
        try:
            data = await self._async_look_up()
            parts: list[Part[Any]] = [*data.stations.values(), *data.inverters.values()]
            for part in parts:
                await part.async_poll()
        except AuthenticationError as error:
            if self._is_demo:
                raise _update_failed(error) from error
            raise ConfigEntryAuthFailed(translation_domain=DOMAIN, translation_key="authentication") from error
        except PortalError as error:
            raise _update_failed(error) from error
        if parts and all(part.reading is None for part in parts):
            raise _update_failed(parts[0].error) from parts[0].error
        self._log_availability(parts)
        return data

    async def _async_look_up(self) -> AccountData:
        """Return the account's stations and inverters, looked up again if that was an hour ago.

        What cannot be looked up stays as it was, and is asked for again at the next poll.
        """
        now = dt_util.utcnow()
        if self._looked_up is not None and now - self._looked_up < LOOKUP_INTERVAL:
            return self.data
        try:
            stations = await self.client.stations()
        except AuthenticationError:
            raise
        except PortalError:
            if not self.data.stations:
                raise
            return self.data
        if self.data.stations and not stations:
            # A portal that knows none of the stations any more is having a bad hour.
            return self.data
        self._looked_up = now
        data = AccountData(
            stations={station.id: _renewed(self._stations, self._station_part(station)) for station in stations},
            inverters={part.id: part for station in stations for part in await self._async_look_up_inverters(station)},
        )
        for station_id in self._stations.keys() - data.stations.keys():
            self._stations[station_id].reading = None
        for serial_number in self._inverters.keys() - data.inverters.keys():
            self._inverters[serial_number].reading = None
        return data

    async def _async_look_up_inverters(self, station: Station) -> list[Part[InverterReading]]:
        """Return a station's inverters, those known if the portal does not say."""
        try:
            inverters = await self.client.inverters(station.id)
        except AuthenticationError:
            raise
        except PortalError as error:
            LOGGER.debug("The inverters of %s cannot be looked up: %s", station.name, error)
            self._looked_up = None
            return [part for part in self.data.inverters.values() if part.station_id == station.id]
        return [_renewed(self._inverters, self._inverter_part(station, inverter)) for inverter in inverters]

    def _station_part(self, station: Station) -> Part[StationReading]:
        """Return a station to poll, known to Home Assistant before its inverters refer to it."""
        device_info = DeviceInfo(
            identifiers={(DOMAIN, station.id)},
            name=station.name,
            manufacturer=MANUFACTURER,
            configuration_url=self.config_entry.data[CONF_URL],
        )
        dr.async_get(self.hass).async_get_or_create(config_entry_id=self.config_entry.entry_id, **device_info)
        return Part(
            id=station.id,
            name=station.name,
            station_id=station.id,
            device_info=device_info,
            read=partial(self.client.station_reading, station.id),
        )

    def _inverter_part(self, station: Station, inverter: Inverter) -> Part[InverterReading]:
        """Return an inverter to poll, a device below its station."""
        device_info = DeviceInfo(
            identifiers={(DOMAIN, inverter.serial_number)},
            name=inverter.name,
            manufacturer=MANUFACTURER,
            model=inverter.model,
            serial_number=inverter.serial_number,
            via_device_id=dr.async_get_device_id_by_identifier(
                self.hass, (DOMAIN, station.id), config_entry_id=self.config_entry.entry_id
            ),
        )
        return Part(
            id=inverter.serial_number,
            name=inverter.name,
            station_id=station.id,
            device_info=device_info,
            read=partial(self.client.inverter_reading, inverter.id),
        )

    def _log_availability(self, parts: Iterable[Part[Any]]) -> None:
        """Log once when a part becomes unavailable, and once when it is back."""
        for part in parts:
            if part.reading is None and part.id not in self._unavailable:
                self._unavailable.add(part.id)
                LOGGER.warning("%s is unavailable: %s", part.name, part.error)
            elif part.reading is not None and part.id in self._unavailable:
                self._unavailable.remove(part.id)
                LOGGER.info("%s is available again", part.name)


def _renewed[ReadingT](known: dict[str, Part[ReadingT]], found: Part[ReadingT]) -> Part[ReadingT]:
    """Return what was found now; a part seen before stays the same object, which its entities hold."""
    part = known.setdefault(found.id, found)
    part.name, part.station_id = found.name, found.station_id
    part.device_info, part.read = found.device_info, found.read
    return part


def _update_failed(error: PortalError | None) -> UpdateFailed:
    return UpdateFailed(
        translation_domain=DOMAIN,
        translation_key="update_failed",
        translation_placeholders={"error": str(error)},
        retry_after=error.retry_after if isinstance(error, BusyError) else None,
    )
