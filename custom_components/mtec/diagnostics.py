"""Diagnostics of an account or a device, without private data."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from homeassistant.const import CONF_EMAIL, CONF_URL, __version__ as ha_version
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.loader import async_get_integration
from homeassistant.util import dt as dt_util
from yarl import URL

from .account import Account
from .const import CONF_DIGEST, CONF_IGNORED_STATIONS, DOMAIN
from .coordinator import MtecCoordinator
from .devices import is_inverter
from .home import Home, MtecConfigEntry
from .models import Inverter, Station
from .network import NetworkInverter
from .portal import PORTAL_URL
from .portal.redaction import Redactor, Shown
from .portal.request_log import LastAnswer, LastError, RequestLog

type IsWanted = Callable[[str, str], bool]
"""Whether to include a station or an inverter, by its id or serial number and the id of its station."""


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: MtecConfigEntry) -> dict[str, Any]:
    """Return the diagnostics of an account."""
    return await _async_diagnostics(hass, entry, lambda *_: True)


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: MtecConfigEntry, device: dr.DeviceEntry
) -> dict[str, Any]:
    """Return the diagnostics of a station with its inverters, or of an inverter, and of its account."""
    ids = {id_ for domain, id_ in device.identifiers if domain == DOMAIN}
    return await _async_diagnostics(hass, entry, lambda *each: not ids.isdisjoint(each))


async def _async_diagnostics(hass: HomeAssistant, entry: MtecConfigEntry, is_wanted: IsWanted) -> dict[str, Any]:
    integration = await async_get_integration(hass, DOMAIN)
    versions = {"integration": str(integration.version), "home_assistant": ha_version}
    redactor = Redactor()
    for private, pseudonym in (
        (entry.data.get(CONF_EMAIL), "email"),
        (entry.data.get(CONF_DIGEST), "digest"),
        (entry.title, "title"),
        (hass.config.location_name, "home"),
    ):
        redactor.learn(private, pseudonym)
    url = entry.data.get(CONF_URL, PORTAL_URL)
    if url != PORTAL_URL:
        redactor.learn(url, "portal")
        redactor.learn(URL(url).authority, "portal")
        redactor.learn(URL(url).host, "portal")
    # A home that was never set up since the start has no runtime data.
    home: Home | None = getattr(entry, "runtime_data", None)
    if home is not None:
        _learn(home, redactor)
    _learn_others(hass, entry, redactor)
    return {
        "versions": versions,
        "now": dt_util.utcnow().isoformat(),
        "entry": redactor.redact_data(
            {
                "state": entry.state,
                "reason": entry.reason,
            }
        )
        | {"data": redactor.redact_answer(_data(entry)), "options": redactor.redact_answer(entry.options)},
        **(_account(home, redactor, is_wanted) if isinstance(home, Account) else {}),
        **({} if home is None else {"network": _network(home, redactor, is_wanted)}),
    }


def _data(entry: MtecConfigEntry) -> dict[str, Any]:
    """Return the data of the config entry. The address of M-TEC's own portal is shown."""
    return {key: Shown(value) if value == PORTAL_URL else value for key, value in entry.data.items()}


def _learn(home: Home, redactor: Redactor) -> None:
    """Replace the names and ids of stations and inverters by numbers in the order of the portal."""
    device_ids = home.client.device_ids if isinstance(home, Account) else {}
    for station in home.stations.values():
        redactor.station(station)
    for inverter in home.data.inverters.values():
        pseudonym = redactor.inverter(inverter)
        redactor.learn(device_ids.get(inverter.serial_number), f"id-of-{pseudonym}")
    for network in home.network.values():
        pseudonym = redactor.inverter(Inverter(name=network.name, serial_number=network.id, model=None))
        redactor.learn(network.host, f"host-of-{pseudonym}")


def _learn_others(hass: HomeAssistant, entry: MtecConfigEntry, redactor: Redactor) -> None:
    """Replace those of stations and inverters that are not followed, or not listed any more."""
    for id_, name in entry.options.get(CONF_IGNORED_STATIONS, {}).items():
        redactor.station(Station(id=id_, name=name))
    for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id):
        kind = "inverter" if is_inverter(device) else "station"
        for _, id_ in device.identifiers:
            pseudonym = redactor.pseudonym(kind, id_)
            redactor.learn(device.name, f"name-of-{pseudonym}")
            redactor.learn(device.name_by_user, f"name-of-{pseudonym}")


def _account(account: Account, redactor: Redactor, is_wanted: IsWanted) -> dict[str, Any]:
    """Return what an account knows, with those stations and inverters that are wanted."""
    client = account.client
    stations = {id_: id_ for id_ in account.stations}
    inverters = {id_: inverter.station_id or "" for id_, inverter in account.data.inverters.items()}
    station_ids = {id_: station_id for id_, station_id in (stations | inverters).items() if is_wanted(id_, station_id)}
    unwanted = {
        name
        for id_ in (stations | inverters).keys() - station_ids.keys()
        for name in (id_, client.device_ids.get(id_, id_))
    }

    def coordinators(of_kind: Mapping[str, MtecCoordinator[Any]], ids: Iterable[str]) -> list[dict[str, Any]]:
        return [
            _coordinator(of_kind[id_], station_ids[id_], redactor) | {"model": _model(account, id_, redactor)}
            for id_ in ids
            if id_ in station_ids
        ]

    return {
        "poll": redactor.redact_data(
            {
                "interval": account.interval.total_seconds(),
                "last_update_success": account.last_update_success,
                "last_exception": _error(account.last_exception),
                "generation": client.api_version,
            }
        )
        | {
            "power_units": _by_stand_in(client.power_units, redactor),
            "not_listed_since": _by_stand_in(account.missing_devices.as_dict(), redactor),
        },
        "rate_limiter": asdict(account.rate_limiter.statistics),
        "session": _session(client.request_log, redactor),
        "stations": coordinators(account.station_readings, stations),
        "daily_energies": coordinators(account.daily_energies, stations),
        "lifetime_energies": coordinators(account.lifetime_energies, stations),
        "inverters": coordinators(account.inverter_readings, inverters),
        "answers": [
            _answer(answer, redactor) for answer in client.request_log.answers if not _is_about(answer, unwanted)
        ],
    }


def _network(home: Home, redactor: Redactor, is_wanted: IsWanted) -> list[dict[str, Any]]:
    """Return what is known of the inverters in the network that are wanted."""
    stations = {id_: inverter.station_id or "" for id_, inverter in home.data.inverters.items()}
    return [
        _coordinator(network, stations[id_], redactor) | {"link": _link(network), "read": _read(network, redactor)}
        for id_, network in home.network.items()
        if is_wanted(id_, stations[id_])
    ]


def _link(network: NetworkInverter) -> dict[str, Any]:
    return asdict(network.link) | {"interval": network.chosen_interval.total_seconds()}


def _read(network: NetworkInverter, redactor: Redactor) -> dict[str, Any]:
    """Return who is expected and who answered, and how often values were dropped."""
    inverter, identity = network.inverter, network.identity
    return {
        "serial_number": redactor.redact_data(identity.serial_number),
        "answered": redactor.redact_data(None if inverter is None else inverter.serial_number),
        "is_other": inverter is not None and inverter.serial_number not in {None, identity.serial_number},
        "model": identity.model,
        "firmware": identity.firmware,
        "rated_power": identity.rated_power,
        "dropped": {} if inverter is None else dict(inverter.dropped),
    }


def _by_stand_in(values: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Return values by the stand-ins of ids, which may not be listed and have no device any more."""
    return {redactor.redact_data(id_): redactor.redact_data(value) for id_, value in values.items()}


def _coordinator(coordinator: MtecCoordinator[Any], station_id: str, redactor: Redactor) -> dict[str, Any]:
    known: dict[str, Any] = redactor.redact_data(
        {
            "id": coordinator.id,
            "station": station_id,
            "read_at": coordinator.read_at,
            "failed_polls": coordinator.failed_polls,
            "error_counts": coordinator.error_counts,
            "last_error": _error(coordinator.error),
            "reading": coordinator.reading,
        }
    )
    return known


def _model(account: Account, id_: str, redactor: Redactor) -> Any:
    inverter = account.data.inverters.get(id_)
    return redactor.redact_model_name(None if inverter is None else inverter.model)


def _session(log: RequestLog, redactor: Redactor) -> Any:
    return redactor.redact_data(
        {
            "began": log.began,
            "last_success": log.last_success,
            "last_login": log.last_login,
            "requests": log.requests,
            "logins": log.logins,
            "error_counts": log.error_counts,
            "last_errors": [_noted(error, redactor) for error in log.errors.values()],
        }
    )


def _noted(error: LastError, redactor: Redactor) -> dict[str, Any]:
    return asdict(error) | {"notes": [redactor.redact_shape(note) for note in error.notes]}


def _answer(answer: LastAnswer, redactor: Redactor) -> dict[str, Any]:
    return {
        "at": answer.at.isoformat(),
        "path": redactor.redact_text(answer.path),
        "question": redactor.redact_answer(answer.question),
        "data": redactor.redact_answer(answer.data),
    }


def _is_about(answer: LastAnswer, ids: set[str]) -> bool:
    """Return whether an answer is only about one of these stations or inverters."""
    asked = {*answer.path.split("/"), *map(str, answer.question.values())}
    return bool(ids & asked)


def _error(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
