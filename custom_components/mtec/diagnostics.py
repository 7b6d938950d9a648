"""What helps to find out what is wrong, in one file that can be shown to anybody."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from homeassistant.const import CONF_EMAIL, CONF_URL, __version__ as ha_version
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.loader import async_get_integration
from homeassistant.util import dt as dt_util
from yarl import URL

from .const import CONF_DIGEST, CONF_IGNORED_STATIONS, DOMAIN
from .coordinator import MtecConfigEntry, MtecCoordinator, Part
from .models import Inverter, Station
from .portal import PORTAL_URL
from .portal.redaction import Redactor, Shown
from .portal.request_log import LastAnswer, LastError, RequestLog


async def async_get_config_entry_diagnostics(hass: HomeAssistant, entry: MtecConfigEntry) -> dict[str, Any]:
    """Return all that is known of an account."""
    return await _async_diagnostics(hass, entry, lambda _: True)


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: MtecConfigEntry, device: dr.DeviceEntry
) -> dict[str, Any]:
    """Return what is known of a station with its inverters, or of an inverter, and of its account."""
    ids = {id_ for domain, id_ in device.identifiers if domain == DOMAIN}
    return await _async_diagnostics(hass, entry, lambda part: bool(ids & {part.id, part.station_id}))


async def _async_diagnostics(
    hass: HomeAssistant, entry: MtecConfigEntry, wanted: Callable[[Part[Any]], bool]
) -> dict[str, Any]:
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
    if entry.data[CONF_URL] != PORTAL_URL:
        redactor.learn(entry.data[CONF_URL], "portal")
        redactor.learn(URL(entry.data[CONF_URL]).authority, "portal")
        redactor.learn(URL(entry.data[CONF_URL]).host, "portal")
    # There is none if the account was never set up since the start.
    coordinator: MtecCoordinator | None = getattr(entry, "runtime_data", None)
    if coordinator is not None:
        _learn(coordinator, redactor)
    _learn_others(hass, entry, redactor)
    account = {} if coordinator is None else _account(coordinator, redactor, wanted)
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
        **account,
    }


def _data(entry: MtecConfigEntry) -> dict[str, Any]:
    """Return the data of an account. The address of M-TEC's own portal is no secret."""
    return {key: Shown(value) if value == PORTAL_URL else value for key, value in entry.data.items()}


def _learn(coordinator: MtecCoordinator, redactor: Redactor) -> None:
    """Learn the stations and inverters in the order of the portal."""
    for station in coordinator.data.stations.values():
        redactor.station(Station(id=station.id, name=station.name))
    for inverter in coordinator.data.inverters.values():
        pseudonym = redactor.inverter(Inverter(name=inverter.name, serial_number=inverter.id, model=None))
        redactor.learn(coordinator.client.device_ids.get(inverter.id), f"id-of-{pseudonym}")


def _learn_others(hass: HomeAssistant, entry: MtecConfigEntry, redactor: Redactor) -> None:
    """Learn the stations and inverters that are not followed, or not listed any more."""
    for id_, name in entry.options.get(CONF_IGNORED_STATIONS, {}).items():
        redactor.station(Station(id=id_, name=name))
    for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id):
        kind = "station" if device.via_device_id is None else "inverter"
        for _, id_ in device.identifiers:
            pseudonym = redactor.pseudonym(kind, id_)
            redactor.learn(device.name, f"name-of-{pseudonym}")
            redactor.learn(device.name_by_user, f"name-of-{pseudonym}")


def _account(coordinator: MtecCoordinator, redactor: Redactor, wanted: Callable[[Part[Any]], bool]) -> dict[str, Any]:
    """Return what a coordinator knows of those stations and inverters that are wanted."""
    data, client = coordinator.data, coordinator.client
    parts = {
        kind: [part for part in parts.values() if wanted(part)]
        for kind, parts in (("stations", data.stations), ("balances", data.balances), ("inverters", data.inverters))
    }
    unwanted = _unwanted_ids(coordinator, wanted)
    return {
        "poll": redactor.redact_data(
            {
                "interval": coordinator.update_interval and coordinator.update_interval.total_seconds(),
                "last_update_success": coordinator.last_update_success,
                "last_exception": _error(coordinator.last_exception),
                "generation": client.api_version,
                "power_units": dict(client.power_units),
                "not_listed_since": coordinator.absences.as_dict(),
            }
        ),
        "pacing": asdict(coordinator.pacing.statistics),
        "session": _session(client.request_log, redactor),
        **{kind: [_part(part, redactor) for part in found] for kind, found in parts.items()},
        "answers": [
            _answer(answer, redactor) for answer in client.request_log.answers if not _is_about(answer, unwanted)
        ],
    }


def _unwanted_ids(coordinator: MtecCoordinator, wanted: Callable[[Part[Any]], bool]) -> set[str]:
    """Return the ids of the stations and inverters that are not wanted, the portal's own ids of inverters too."""
    data, device_ids = coordinator.data, coordinator.client.device_ids
    ids = [part.id for each in (data.stations, data.inverters) for part in each.values() if not wanted(part)]
    return {*ids, *(device_ids[id_] for id_ in ids if id_ in device_ids)}


def _part(part: Part[Any], redactor: Redactor) -> dict[str, Any]:
    known: dict[str, Any] = redactor.redact_data(
        {
            "id": part.id,
            "station": part.station_id,
            "read_at": part.read_at,
            "failed_polls": part.failed_polls,
            "error_counts": part.error_counts,
            "last_error": _error(part.error),
            "reading": part.reading,
        }
    )
    return known | {"model": redactor.redact_model_name(part.device_info.get("model"))}


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
    """Return whether an answer is about one of these stations or inverters alone."""
    asked = {*answer.path.split("/"), *map(str, answer.question.values())}
    return bool(ids & asked)


def _error(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
