"""Information about the integration for the system health page."""

from datetime import datetime
from typing import Any

from homeassistant.components import system_health
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback

from .account import Account
from .const import DOMAIN
from .home import Home, MtecConfigEntry
from .network import NetworkInverter
from .portal_client import async_rate_limiter


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Register the information."""
    register.async_register_info(_async_info)


async def _async_info(hass: HomeAssistant) -> dict[str, Any]:
    """Return the information. Users paste it into bug reports, so it does not identify an account."""
    entries: list[MtecConfigEntry] = hass.config_entries.async_entries(DOMAIN, include_disabled=False)
    network = [inverter for entry in entries for inverter in _network(entry)]
    information = {} if not network else {"network_inverters": _network_summary(network)}
    accounts = [entry for entry in entries if CONF_URL in entry.data]
    return (await _async_portal_info(hass, accounts) if accounts else {}) | information


async def _async_portal_info(hass: HomeAssistant, entries: list[MtecConfigEntry]) -> dict[str, Any]:
    """Return the information about the portals of accounts."""
    urls = dict.fromkeys(entry.data[CONF_URL] for entry in entries)
    return {
        "can_reach_portal": _async_reachable(hass, list(urls)),
        "last_success": _last_success([_last_success_of(entry) for entry in entries]),
        "requests_last_hour": sum(async_rate_limiter(hass, url).statistics.requests_last_hour for url in urls),
    }


def _network(entry: MtecConfigEntry) -> list[NetworkInverter]:
    """Return the inverters in the network of a home, none while it is not loaded."""
    home: Home | None = getattr(entry, "runtime_data", None)
    return [] if home is None else [*home.network.values()]


def _network_summary(inverters: list[NetworkInverter]) -> str:
    """Return how many inverters in the network answer, such as 1/2."""
    return f"{sum(each.last_update_success for each in inverters)}/{len(inverters)}"


async def _async_reachable(hass: HomeAssistant, urls: list[str]) -> Any:
    """Return "ok" if all portals can be reached, else the error of one."""
    answers = [await system_health.async_check_can_reach_url(hass, url) for url in urls]
    return next((answer for answer in answers if answer != "ok"), "ok")


def _last_success_of(entry: MtecConfigEntry) -> datetime | None:
    account = getattr(entry, "runtime_data", None)
    return account.client.request_log.last_success if isinstance(account, Account) else None


def _last_success(moments: list[datetime | None]) -> Any:
    """Return the time of one account, or the times of several as text, in the order of the accounts."""
    if len(moments) == 1 and moments[0] is not None:
        return moments[0]
    return ", ".join("-" if moment is None else moment.isoformat(timespec="seconds") for moment in moments)
