"""What the system information says of the integration."""

from datetime import datetime
from typing import Any

from homeassistant.components import system_health
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .coordinator import MtecConfigEntry, async_pacing


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Register what the system information asks for."""
    register.async_register_info(_async_info)


async def _async_info(hass: HomeAssistant) -> dict[str, Any]:
    """Return the information, without what tells whose accounts these are: people paste it into bug reports."""
    entries: list[MtecConfigEntry] = hass.config_entries.async_entries(DOMAIN, include_disabled=False)
    urls = dict.fromkeys(entry.data[CONF_URL] for entry in entries)
    return {
        "can_reach_portal": _async_reachable(hass, list(urls)),
        "last_success": _last_success([_last_success_of(entry) for entry in entries]),
        "requests_last_hour": sum(async_pacing(hass, url).statistics.requests_last_hour for url in urls),
    }


async def _async_reachable(hass: HomeAssistant, urls: list[str]) -> Any:
    """Return "ok" if all portals can be reached, else what is wrong with one."""
    answers = [await system_health.async_check_can_reach_url(hass, url) for url in urls]
    return next((answer for answer in answers if answer != "ok"), "ok")


def _last_success_of(entry: MtecConfigEntry) -> datetime | None:
    coordinator = getattr(entry, "runtime_data", None)
    return None if coordinator is None else coordinator.client.request_log.last_success


def _last_success(moments: list[datetime | None]) -> Any:
    """Return the moment of one account; those of several one after another, in the order of the accounts."""
    if len(moments) == 1 and moments[0] is not None:
        return moments[0]
    return ", ".join("-" if moment is None else moment.isoformat(timespec="seconds") for moment in moments)
