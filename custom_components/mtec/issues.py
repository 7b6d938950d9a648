"""Repair issues: problems of an account that last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .sources import ResponseError, SourceError

ISSUE_TRACKER: Final = "https://github.com/home-assistant-mtec/mtec/issues"

NOT_UNDERSTOOD: Final = "api_not_understood"
NO_STATIONS: Final = "no_stations"
SILENT: Final = "portal_silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """An issue that is created once its problem has lasted for `after`."""

    after: timedelta
    severity: ir.IssueSeverity
    learn_more_url: str | None = None


_KINDS: Mapping[str, _Kind] = {
    NOT_UNDERSTOOD: _Kind(
        after=timedelta(hours=1), severity=ir.IssueSeverity.ERROR, learn_more_url=f"{ISSUE_TRACKER}/new"
    ),
    NO_STATIONS: _Kind(after=timedelta(hours=1), severity=ir.IssueSeverity.WARNING),
    SILENT: _Kind(after=timedelta(days=1), severity=ir.IssueSeverity.ERROR),
}

_SINCE: HassKey[dict[str, dict[str, datetime]]] = HassKey(f"{DOMAIN}_wrong_since")
"""The start of each problem, by entry and kind. Kept here because a failed account is created again."""


@callback
def async_note(hass: HomeAssistant, entry_id: str, wrong: Mapping[str, bool]) -> None:
    """Take the problems that an account has (True) or does not have (False), by kind. Others stay as they were."""
    since = hass.data.setdefault(_SINCE, {}).setdefault(entry_id, {})
    now = dt_util.utcnow()
    for kind, is_wrong in wrong.items():
        if not is_wrong:
            since.pop(kind, None)
            ir.async_delete_issue(hass, DOMAIN, f"{kind}_{entry_id}")
        elif now - since.setdefault(kind, now) >= _KINDS[kind].after:
            _async_create(hass, entry_id, kind)


@callback
def async_note_errors(hass: HomeAssistant, entry_id: str, errors: Sequence[SourceError | None]) -> None:
    """Take the errors of a poll, None for what was read: whether the portal answered, and with something sensible."""
    if not errors or None in errors:
        async_note(hass, entry_id, {SILENT: False, NOT_UNDERSTOOD: False})
    else:
        kind = NOT_UNDERSTOOD if all(isinstance(error, ResponseError) for error in errors) else SILENT
        async_note(hass, entry_id, {kind: True})


@callback
def async_forget(hass: HomeAssistant, entry_id: str) -> None:
    """Delete all issues of an account."""
    async_note(hass, entry_id, dict.fromkeys(_KINDS, False))


@callback
def _async_create(hass: HomeAssistant, entry_id: str, kind: str) -> None:
    if (entry := hass.config_entries.async_get_entry(entry_id)) is None:
        return
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{kind}_{entry_id}",
        is_fixable=False,
        learn_more_url=_KINDS[kind].learn_more_url or entry.data[CONF_URL],
        severity=_KINDS[kind].severity,
        translation_key=kind,
        translation_placeholders={"account": entry.title, "url": entry.data[CONF_URL]},
    )
