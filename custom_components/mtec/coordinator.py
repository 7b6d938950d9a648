"""When to ask the portal, and what an answer or an error means to Home Assistant."""

from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from math import ceil
from typing import Any, override

from aiohttp import ClientSession, DummyCookieJar
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_EMAIL, CONF_SCAN_INTERVAL, CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryAuthFailed
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.aiohttp_client import async_create_clientsession
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from yarl import URL

from .const import (
    BALANCE_INTERVAL,
    CONF_DIGEST,
    CONF_GENERATION,
    CONF_IGNORED_STATIONS,
    DOMAIN,
    GRACE_POLLS,
    LOGGER,
    LOOKUP_INTERVAL,
    MANUFACTURER,
    POLL_INTERVAL,
    SHORTEST_TIME_LIMIT,
)
from .errors import update_failed
from .inverter_ids import InverterIds
from .issues import NO_STATIONS, NOT_UNDERSTOOD, SILENT, async_note
from .models import Inverter, InverterReading, Station, StationReading, UsageRow
from .ownership import async_claim, async_owner, async_remove_devices
from .portal import Client, Connection, Credentials, RateLimiter
from .portal.rate_limiter import PATIENCE, PAUSE
from .presence import is_present
from .sources import AuthenticationError, ResponseError, SourceError
from .stale import Absences
from .time_limit import OutOfTimeError, TimeLimit, UnreadableError
from .titles import log_name

_PACINGS: HassKey[dict[str, RateLimiter]] = HassKey(f"{DOMAIN}_pacings")

_NEVER = datetime.min.replace(tzinfo=UTC)

ALL_AT_ONCE = timedelta()
"""The interval of what every poll asks for."""

type MtecConfigEntry = ConfigEntry[MtecCoordinator]


@callback
def async_pacing(hass: HomeAssistant, url: str) -> RateLimiter:
    """Return the pacing of the portal at `url`, one for all accounts on it."""
    return hass.data.setdefault(_PACINGS, {}).setdefault(portal_key(url), RateLimiter(PAUSE))


def portal_key(url: str) -> str:
    """Return what the addresses of one portal have in common: its host, without a dot at its end, and port."""
    parsed = URL(url)
    return parsed.authority.replace(f"{parsed.host}", f"{parsed.host}".removesuffix("."), 1)


@callback
def async_create_client(
    hass: HomeAssistant, url: str, credentials: Credentials | None, generation: int | None = None
) -> Client:
    """Return a client of the portal at `url`, which shares its pacing with all others of that portal.

    `generation` is that of the API which the portal spoke before. Its HTTP session is closed when the account that is
    being set up is unloaded.
    """
    # Without cookies: those of one account would speak for another.
    http = async_create_clientsession(hass, cookie_jar=DummyCookieJar())
    return _client(hass, http, url, credentials, generation)


@contextmanager
def temporary_client(
    hass: HomeAssistant, url: str, credentials: Credentials | None, generation: int | None = None
) -> Generator[Client]:
    """Provide a client as `async_create_client` does, whose HTTP session is closed at the end of this context."""
    http = async_create_clientsession(hass, auto_cleanup=False, cookie_jar=DummyCookieJar())
    try:
        yield _client(hass, http, url, credentials, generation)
    finally:
        # The connector is Home Assistant's, and stays.
        http.detach()


@callback
def _client(
    hass: HomeAssistant, http: ClientSession, url: str, credentials: Credentials | None, generation: int | None
) -> Client:
    return Client(
        Connection(
            http,
            credentials,
            time_zone=dt_util.get_default_time_zone(),
            url=url,
            rate_limiter=async_pacing(hass, url),
            api_version=generation,
        )
    )


@dataclass(slots=True, kw_only=True)
class Part[ReadingT]:
    """Something that is polled, with its last reading: a station, an inverter, or the energy balance of a station.

    `id` is the station's id or the inverter's serial number. `reading` is None while the portal has given none for
    longer than the grace. `interval` is how long a reading is good for.
    """

    id: str
    name: str
    station_id: str
    device_info: DeviceInfo
    read: Callable[[], Awaitable[ReadingT]]
    interval: timedelta = ALL_AT_ONCE
    reading: ReadingT | None = None
    read_at: datetime | None = None
    asked_at: datetime = _NEVER
    error: SourceError | None = None
    failed_polls: int = 0
    error_counts: Counter[str] = field(default_factory=Counter)
    said_unavailable: bool = False

    @property
    def is_due(self) -> bool:
        """Whether the last reading is not good any more."""
        return _is_over(self.read_at, self.interval)

    def was_read_since(self, moment: datetime) -> bool:
        """Return whether the last reading was asked for since then."""
        return self.read_at is not None and self.read_at >= moment

    async def async_poll(self, limit: TimeLimit) -> None:
        """Read once, unless the last reading is still good.

        Raises AuthenticationError; any other exception is kept in `error`.
        """
        if not self.is_due:
            return
        now = dt_util.utcnow()
        try:
            self.reading = await limit.read(self.read)
        except AuthenticationError:
            raise
        except SourceError as error:
            self.failed(error)
        else:
            self.error = None
            self.failed_polls = 0
            self.read_at = now

    def failed(self, error: SourceError) -> None:
        """Note a poll that brought no reading."""
        self.error = error
        self.failed_polls += 1
        self.error_counts[error.kind if isinstance(error, UnreadableError) else type(error).__name__] += 1
        if self.failed_polls > GRACE_POLLS:
            self.reading = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyBalance:
    """A station's daily energies of `day`, the day before and the rest of their months, as far as there is a row."""

    day: date
    rows: Mapping[date, UsageRow]
    has_meter: bool = True
    """Whether the station measures what it draws from the grid and feeds in: without, the rows may say 0.0."""

    @property
    def today(self) -> UsageRow | None:
        """The energies of today, None if the portal has no row of it."""
        return self.rows.get(self.day)

    @property
    def self_consumption(self) -> float | None:
        """The part of today's PV energy in % that was not fed in, None before there is any or without a meter."""
        if self.today is None or not self.has_meter:
            return None
        return _share_kept(self.today.pv, self.today.grid_export)

    @property
    def self_sufficiency(self) -> float | None:
        """The part of today's consumption in % that was not drawn, None before there is any or without a meter."""
        if self.today is None or not self.has_meter:
            return None
        return _share_kept(self.today.consumption, self.today.grid_import)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountData:
    """What an account has: its stations and their energy balances by station id, its inverters by serial number."""

    stations: Mapping[str, Part[StationReading]]
    balances: Mapping[str, Part[EnergyBalance]]
    inverters: Mapping[str, Part[InverterReading]]


class MtecCoordinator(DataUpdateCoordinator[AccountData]):
    """Polls the stations and inverters of an account."""

    config_entry: MtecConfigEntry

    def __init__(self, hass: HomeAssistant, entry: MtecConfigEntry) -> None:
        super().__init__(hass, LOGGER, config_entry=entry, name=log_name(entry), update_interval=POLL_INTERVAL)
        self._is_demo = CONF_EMAIL not in entry.data
        self.pacing = async_pacing(hass, entry.data[CONF_URL])
        self.client = async_create_client(
            hass,
            entry.data[CONF_URL],
            None if self._is_demo else Credentials(entry.data[CONF_EMAIL], entry.data[CONF_DIGEST]),
            entry.data.get(CONF_GENERATION),
        )
        self.data = AccountData(stations={}, balances={}, inverters={})
        self._stations: dict[str, Part[StationReading]] = {}
        self._balances: dict[str, Part[EnergyBalance]] = {}
        self._inverters: dict[str, Part[InverterReading]] = {}
        self._looked_up: datetime | None = None
        self._missing_lookups = 0
        self._listed_any = False
        self._inverters_asked_at: dict[str, datetime] = {}
        self._inverter_ids = InverterIds(hass, entry)
        self._left_to: dict[str, str] = {}
        self._unreadable: set[str] = set()
        self.absences = Absences(hass, entry.entry_id)

    @override
    async def _async_setup(self) -> None:
        await self.absences.async_load()

    @property
    def knows_what_is_listed(self) -> bool:
        """Whether the portal listed all it has at the last look-up."""
        return self._looked_up is not None and self._listed_any

    @callback
    def async_forget_part(self, id_: str) -> None:
        """Forget a station or inverter whose device is removed: if it comes back it is new."""
        for parts in (self._stations, self._balances, self._inverters):
            parts.pop(id_, None)

    @override
    async def async_shutdown(self) -> None:
        await super().async_shutdown()
        self.pacing.forget(self)
        await self.absences.async_close()

    @override
    async def _async_update_data(self) -> AccountData:
        try:
            data = await self._async_ask()
        except AuthenticationError as error:
            if self._is_demo:
                raise update_failed(error) from error
            raise ConfigEntryAuthFailed(translation_domain=DOMAIN, translation_key="authentication") from error
        except SourceError as error:
            self._async_note_errors([error])
            raise update_failed(error) from error
        parts: list[Part[Any]] = [*data.stations.values(), *data.inverters.values()]
        everything = [*parts, *data.balances.values()]
        self._async_note_errors([part.error for part in everything])
        if parts and all(part.reading is None for part in parts):
            cause = next((part.error for part in parts if part.error is not None), None)
            raise update_failed(cause) from cause
        self._log_availability(everything)
        self._remember_generation()
        return data

    async def _async_ask(self) -> AccountData:
        """Look up what the account has and read all that is due, within the time of a poll."""
        longest = max(self.update_interval or POLL_INTERVAL, SHORTEST_TIME_LIMIT).total_seconds()
        # When Home Assistant starts, all accounts ask for everything at once.
        limit = TimeLimit(longest if self._listed_any else 2 * longest)
        with self.pacing.foreground():
            data = await self._async_look_up(limit)
            await self._async_poll([*data.stations.values(), *data.inverters.values(), *data.balances.values()], limit)
        return data

    async def _async_poll(self, parts: list[Part[Any]], limit: TimeLimit) -> None:
        """Read all parts that are due, first those not read for lack of time before. Raises AuthenticationError."""
        started = dt_util.utcnow()
        late: list[Part[Any]] = []
        for number, part in enumerate(sorted(parts, key=lambda part: part.asked_at)):
            if limit.is_over():
                late.append(part)
                continue
            asked_at = part.asked_at
            # While the portal is to be left alone nothing is asked: next time it is the turn of what was left out.
            if self.pacing.backoff_remaining <= PATIENCE:
                part.asked_at = started
            await part.async_poll(limit)
            # What had the whole time for itself has had its turn.
            if number and isinstance(part.error, OutOfTimeError):
                part.asked_at = asked_at
            self._log_unreadable(f"{part.station_id} {part.name}", part.name, part.error)
        # A portal that is slow is asked for the rest at the next poll; one that gives nothing has failed for all.
        if not any(part.was_read_since(started) for part in parts):
            _fail_all([part for part in late if part.is_due])

    def _log_unreadable(self, key: str, name: str, error: SourceError | None) -> None:
        """Log an exception that no answer should cause, once until there is none any more."""
        if not isinstance(error, UnreadableError):
            if error is None:
                self._unreadable.discard(key)
        elif key not in self._unreadable:
            self._unreadable.add(key)
            LOGGER.warning("%s cannot be read, which is an error of this integration: %s", name, error.kind)
            LOGGER.debug("%s caused by %s at:\n%s", error.kind, name, error.trace)

    @callback
    def _async_note_errors(self, errors: list[SourceError | None]) -> None:
        """Note whether the portal answered anything at this poll, and anything that is understood."""
        if not errors or None in errors:
            wrong = {SILENT: False, NOT_UNDERSTOOD: False}
        else:
            wrong = {NOT_UNDERSTOOD if all(isinstance(error, ResponseError) for error in errors) else SILENT: True}
        async_note(self.hass, self.config_entry.entry_id, wrong)

    def _remember_generation(self) -> None:
        """Keep the generation of the portal's API for the next start."""
        known = self.config_entry.data
        if known.get(CONF_GENERATION) != (found := self.client.api_version):
            LOGGER.info("The portal speaks generation %s of its API", found)
            self.hass.config_entries.async_update_entry(self.config_entry, data={**known, CONF_GENERATION: found})

    async def _async_look_up(self, limit: TimeLimit) -> AccountData:
        """Return the account's stations and inverters, looked up again if that was an hour ago.

        What cannot be looked up stays as it was, and is asked for again at the next poll.
        """
        now = dt_util.utcnow()
        if not _is_over(self._looked_up, LOOKUP_INTERVAL) and not self._async_any_is_freed():
            return self.data
        if (listed := await self._async_listed_stations(limit)) is None:
            return self.data
        self._looked_up = now
        self._listed_any = bool(listed)
        stations = self._async_followed(listed)
        found = AccountData(
            stations={station.id: _renewed(self._stations, self._station_part(station)) for station in stations},
            balances={station.id: _renewed(self._balances, self._balance_part(station)) for station in stations},
            inverters=await self._async_inverters(stations, {station.id for station in listed}, limit),
        )
        if listed:
            self._async_remove_gone(found)
        data = self._async_with_missing(found)
        self._async_set_interval(data)
        _forget_readings(self._stations, data.stations)
        _forget_readings(self._balances, data.balances)
        _forget_readings(self._inverters, data.inverters)
        return data

    async def _async_listed_stations(self, limit: TimeLimit) -> list[Station] | None:
        """Return the stations that the portal lists, None if what is known of them stays as it is."""
        try:
            listed = await limit.read(self.client.stations)
        except AuthenticationError:
            raise
        except SourceError as error:
            self._log_unreadable("", "The list of stations", error)
            if not self.data.stations:
                raise
            return None
        self._log_unreadable("", "The list of stations", None)
        async_note(self.hass, self.config_entry.entry_id, {NO_STATIONS: not listed})
        # A portal that knows none of the stations any more is having a bad hour.
        return None if self.data.stations and not listed else listed

    @callback
    def _async_with_missing(self, found: AccountData) -> AccountData:
        """Return what was found and what is missing now for the first times: it is looked up again at the next poll."""
        known = self.data
        missing = (known.stations.keys() - found.stations.keys()) | (known.inverters.keys() - found.inverters.keys())
        self._missing_lookups = self._missing_lookups + 1 if missing else 0
        if not 0 < self._missing_lookups <= GRACE_POLLS:
            self._missing_lookups = 0
            return found
        self._looked_up = None
        return AccountData(
            stations={**known.stations, **found.stations},
            balances={**known.balances, **found.balances},
            inverters={**known.inverters, **found.inverters},
        )

    @callback
    def _async_remove_gone(self, data: AccountData) -> None:
        """Remove what the portal has not listed for long. An empty list of inverters is no news of them."""
        with_inverters = {part.station_id for part in data.inverters.values()}
        for id_ in self.absences.async_looked_up(
            listed=data.stations.keys() | data.inverters.keys(), unsure=data.stations.keys() - with_inverters
        ):
            self.async_forget_part(id_)

    @callback
    def _async_followed(self, stations: list[Station]) -> list[Station]:
        """Return the account's stations but those that the person does not want, or that another account has.

        These have no device.
        """
        ignored = self.config_entry.options.get(CONF_IGNORED_STATIONS, ())
        for station_id in ignored:
            async_remove_devices(self.hass, self.config_entry.entry_id, station_id)
        wanted = [station for station in stations if station.id not in ignored]
        owners = {station.id: async_claim(self.hass, self.config_entry, station.id) for station in wanted}
        left_to: dict[str, str] = {}
        for station in wanted:
            if (owner := owners[station.id]) is not None:
                left_to[station.id] = owner.entry_id
                if self._left_to.get(station.id) != owner.entry_id:
                    LOGGER.info(
                        "%s is followed by the account %s already, and left to it", station.name, log_name(owner)
                    )
        self._left_to = left_to
        return [station for station in wanted if station.id not in left_to]

    @callback
    def _async_any_is_freed(self) -> bool:
        """Return whether a station left to another account is that account's no more."""
        return any(async_owner(self.hass, station_id) is None for station_id in self._left_to)

    async def _async_inverters(
        self, stations: list[Station], listed: set[str], limit: TimeLimit
    ) -> dict[str, Part[InverterReading]]:
        """Return the inverters of stations by serial number, those known where the portal does not say.

        `listed` are the ids of all stations of the account.
        """
        answers: dict[str, list[Inverter]] = {}
        # What lacked the time before comes first.
        for station in sorted(stations, key=lambda station: self._inverters_asked_at.get(station.id, _NEVER)):
            if (answer := await self._async_listed_inverters(station, limit)) is None:
                self._looked_up = None
            else:
                answers[station.id] = answer
        known = self.data.inverters
        taken = listed | self._stations.keys()
        self._inverter_ids.is_waiting = False
        found: dict[str, Part[InverterReading]] = {}
        for station in stations:
            if station.id not in answers:
                found |= {id_: part for id_, part in known.items() if part.station_id == station.id}
                continue
            for inverter in self._inverter_ids.async_accept(answers[station.id], taken, self.client.device_ids):
                part = _renewed(self._inverters, self._inverter_part(station, inverter))
                found[part.id] = part
        if self._inverter_ids.is_waiting:
            self._looked_up = None
        return found

    async def _async_listed_inverters(self, station: Station, limit: TimeLimit) -> list[Inverter] | None:
        """Return the inverters that the portal lists of a station, None if it does not, or for lack of time."""
        # The other half is for the readings.
        if limit.is_half_over():
            return None
        self._inverters_asked_at[station.id] = dt_util.utcnow()
        key, name = f"{station.id} inverters", f"The list of {station.name}'s inverters"
        try:
            inverters = await limit.read(partial(self.client.inverters, station.id))
        except AuthenticationError:
            raise
        except SourceError as error:
            self._log_unreadable(key, name, error)
            LOGGER.debug("The inverters of %s cannot be looked up: %s", station.name, error)
            return None
        self._log_unreadable(key, name, None)
        return inverters

    def _async_set_interval(self, data: AccountData) -> None:
        """Poll as often as the person chose, or as the request budget allows."""
        chosen: timedelta = timedelta(seconds=self.config_entry.options.get(CONF_SCAN_INTERVAL, POLL_INTERVAL.seconds))
        parts = len(data.stations) + len(data.inverters)
        # Of the energy balances of five minutes, and the look-up of an hour, little falls to one poll.
        requests = parts + ceil(len(data.stations) * chosen / BALANCE_INTERVAL)
        interval = max(chosen, timedelta(seconds=ceil(self.pacing.interval(self, requests))))
        if interval != self.update_interval and interval > chosen:
            LOGGER.warning(
                "%s has %s stations and inverters; not to crowd the portal it is polled every %s instead of %s seconds",
                self.name,
                parts,
                interval.seconds,
                chosen.seconds,
            )
        self.update_interval = interval

    def _balance_part(self, station: Station) -> Part[EnergyBalance]:
        """Return a station's energy balance to poll."""
        return Part(
            id=station.id,
            name=f"{station.name}'s energy balance",
            station_id=station.id,
            device_info=self._stations[station.id].device_info,
            interval=BALANCE_INTERVAL,
            read=partial(self._async_energy_balance, station.id),
        )

    async def _async_energy_balance(self, station_id: str) -> EnergyBalance:
        """Return the energies of today and, which the portal completes after midnight, of yesterday."""
        today = dt_util.now().date()
        yesterday = today - timedelta(days=1)
        months = dict.fromkeys((day.year, day.month) for day in (yesterday, today))
        rows = {row.start: row for month in months for row in await self.client.month_rows(station_id, *month)}
        before, station = self._balances[station_id].reading, self._stations[station_id].reading
        has_meter = (before is not None and before.has_meter) or any(
            is_present(name, rows.values(), station) for name in ("grid_import", "grid_export")
        )
        return EnergyBalance(day=today, rows=rows, has_meter=has_meter)

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
        identifier = (DOMAIN, inverter.serial_number)
        known = dr.async_get(self.hass).async_get_device_by_identifier(identifier, self.config_entry.entry_id)
        name, model = inverter.name, inverter.model
        if known is not None and name == inverter.serial_number:
            # Not every generation of the API knows the names: what one of them told is not forgotten.
            name, model = known.name or name, model or known.model
        device_info = DeviceInfo(
            identifiers={identifier},
            name=name,
            manufacturer=MANUFACTURER,
            model=model,
            serial_number=inverter.serial_number,
            via_device_id=dr.async_get_device_id_by_identifier(
                self.hass, (DOMAIN, station.id), config_entry_id=self.config_entry.entry_id
            ),
        )
        return Part(
            id=inverter.serial_number,
            name=name,
            station_id=station.id,
            device_info=device_info,
            read=partial(self.client.inverter_reading, station.id, inverter.serial_number),
        )

    def _log_availability(self, parts: Iterable[Part[Any]]) -> None:
        """Log once when a part becomes unavailable, and once when it is back."""
        for part in parts:
            if part.reading is None and not part.said_unavailable:
                part.said_unavailable = True
                LOGGER.warning("%s is unavailable: %s", part.name, part.error)
            elif part.reading is not None and part.said_unavailable:
                part.said_unavailable = False
                LOGGER.info("%s is available again", part.name)


def _forget_readings(known: Mapping[str, Part[Any]], there: Mapping[str, Part[Any]]) -> None:
    """Forget the readings of what is not there any more."""
    for id_ in known.keys() - there.keys():
        known[id_].reading = None


def _fail_all(parts: Iterable[Part[Any]]) -> None:
    for part in parts:
        part.failed(OutOfTimeError("The portal did not answer within the time of a poll"))


def _is_over(begin: datetime | None, interval: timedelta) -> bool:
    """Return whether an interval is over, or begins in the future because the clock was wrong."""
    return begin is None or not timedelta() <= dt_util.utcnow() - begin < interval


def _renewed[ReadingT](known: dict[str, Part[ReadingT]], found: Part[ReadingT]) -> Part[ReadingT]:
    """Return what was found now; a part seen before stays the same object, which its entities hold."""
    part = known.setdefault(found.id, found)
    part.name, part.station_id = found.name, found.station_id
    part.device_info, part.read = found.device_info, found.read
    return part


def _share_kept(whole: float | None, given_away: float | None) -> float | None:
    """Return the part of an energy in % that remains when another is taken away."""
    if not whole or given_away is None:
        return None
    return min(100.0, max(0.0, 100 * (1 - given_away / whole)))
