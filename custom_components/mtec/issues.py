"""What lasts too long to be left to the log: issues that a person reads under Repairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

ISSUE_TRACKER: Final = "https://github.com/home-assistant-mtec/mtec/issues"

NOT_UNDERSTOOD: Final = "api_not_understood"
NO_STATIONS: Final = "no_stations"
SILENT: Final = "portal_silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """An issue there is once something has been wrong for `after`."""

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
"""Since when something has been wrong, by entry and kind: an account that cannot be set up begins anew each time."""


@callback
def async_note(hass: HomeAssistant, entry_id: str, wrong: Mapping[str, bool]) -> None:
    """Note what is wrong with an account and what is not. What is not said stays as it was."""
    since = hass.data.setdefault(_SINCE, {}).setdefault(entry_id, {})
    now = dt_util.utcnow()
    for kind, is_wrong in wrong.items():
        if not is_wrong:
            since.pop(kind, None)
            ir.async_delete_issue(hass, DOMAIN, f"{kind}_{entry_id}")
        elif now - since.setdefault(kind, now) >= _KINDS[kind].after:
            _async_create(hass, entry_id, kind)


@callback
def async_forget(hass: HomeAssistant, entry_id: str) -> None:
    """Take back all issues of an account."""
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
