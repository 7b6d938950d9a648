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
from .portal.journal import Journal, LastAnswer, LastError
from .portal.redaction import Redaction, Shown


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
    redaction = Redaction()
    for private, stand_in in (
        (entry.data.get(CONF_EMAIL), "email"),
        (entry.data.get(CONF_DIGEST), "digest"),
        (entry.title, "title"),
        (hass.config.location_name, "home"),
    ):
        redaction.learn(private, stand_in)
    if entry.data[CONF_URL] != PORTAL_URL:
        redaction.learn(entry.data[CONF_URL], "portal")
        redaction.learn(URL(entry.data[CONF_URL]).authority, "portal")
        redaction.learn(URL(entry.data[CONF_URL]).host, "portal")
    # There is none if the account was never set up since the start.
    coordinator: MtecCoordinator | None = getattr(entry, "runtime_data", None)
    if coordinator is not None:
        _learn(coordinator, redaction)
    _learn_others(hass, entry, redaction)
    account = {} if coordinator is None else _account(coordinator, redaction, wanted)
    return {
        "versions": versions,
        "now": dt_util.utcnow().isoformat(),
        "entry": redaction.parsed(
            {
                "state": entry.state,
                "reason": entry.reason,
            }
        )
        | {"data": redaction.answer(_data(entry)), "options": redaction.answer(entry.options)},
        **account,
    }


def _data(entry: MtecConfigEntry) -> dict[str, Any]:
    """Return the data of an account. The address of M-TEC's own portal is no secret."""
    return {key: Shown(value) if value == PORTAL_URL else value for key, value in entry.data.items()}


def _learn(coordinator: MtecCoordinator, redaction: Redaction) -> None:
    """Learn the stations and inverters in the order of the portal."""
    for station in coordinator.data.stations.values():
        redaction.station(Station(id=station.id, name=station.name))
    for inverter in coordinator.data.inverters.values():
        stand_in = redaction.inverter(Inverter(name=inverter.name, serial_number=inverter.id, model=None))
        redaction.learn(coordinator.client.device_ids.get(inverter.id), f"id-of-{stand_in}")


def _learn_others(hass: HomeAssistant, entry: MtecConfigEntry, redaction: Redaction) -> None:
    """Learn the stations and inverters that are not followed, or not listed any more."""
    for id_, name in entry.options.get(CONF_IGNORED_STATIONS, {}).items():
        redaction.station(Station(id=id_, name=name))
    for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id):
        kind = "station" if device.via_device_id is None else "inverter"
        for _, id_ in device.identifiers:
            stand_in = redaction.stand_in(kind, id_)
            redaction.learn(device.name, f"name-of-{stand_in}")
            redaction.learn(device.name_by_user, f"name-of-{stand_in}")


def _account(coordinator: MtecCoordinator, redaction: Redaction, wanted: Callable[[Part[Any]], bool]) -> dict[str, Any]:
    """Return what a coordinator knows of those stations and inverters that are wanted."""
    data, client = coordinator.data, coordinator.client
    parts = {
        kind: [part for part in parts.values() if wanted(part)]
        for kind, parts in (("stations", data.stations), ("balances", data.balances), ("inverters", data.inverters))
    }
    unwanted = {
        name
        for each in (data.stations, data.inverters)
        for part in each.values()
        if not wanted(part)
        for name in (part.id, client.device_ids.get(part.id, part.id))
    }
    return {
        "poll": redaction.parsed(
            {
                "interval": coordinator.update_interval and coordinator.update_interval.total_seconds(),
                "last_update_success": coordinator.last_update_success,
                "last_exception": _error(coordinator.last_exception),
                "generation": client.generation,
                "not_listed_since": coordinator.absences.as_dict(),
            }
        ),
        "pacing": asdict(coordinator.pacing.statistics),
        "session": _session(client.journal, redaction),
        **{kind: [_part(part, redaction) for part in found] for kind, found in parts.items()},
        "answers": [_answer(answer, redaction) for answer in client.journal.answers if not _is_about(answer, unwanted)],
    }


def _part(part: Part[Any], redaction: Redaction) -> dict[str, Any]:
    known: dict[str, Any] = redaction.parsed(
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
    return known | {"model": redaction.model(part.device_info.get("model"))}


def _session(journal: Journal, redaction: Redaction) -> Any:
    return redaction.parsed(
        {
            "began": journal.began,
            "last_success": journal.last_success,
            "last_login": journal.last_login,
            "requests": journal.requests,
            "logins": journal.logins,
            "error_counts": journal.error_counts,
            "last_errors": [_noted(error, redaction) for error in journal.errors.values()],
        }
    )


def _noted(error: LastError, redaction: Redaction) -> dict[str, Any]:
    return asdict(error) | {"notes": [redaction.shape(note) for note in error.notes]}


def _answer(answer: LastAnswer, redaction: Redaction) -> dict[str, Any]:
    return {
        "at": answer.at.isoformat(),
        "path": redaction.text(answer.path),
        "question": redaction.answer(answer.question),
        "data": redaction.answer(answer.data),
    }


def _is_about(answer: LastAnswer, ids: set[str]) -> bool:
    """Return whether an answer is about one of these stations or inverters alone."""
    asked = {*answer.path.split("/"), *map(str, answer.question.values())}
    return bool(ids & asked)


def _error(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"
