"""Clients of the portal in Home Assistant: the HTTP session, the time zone and the request budget of each."""

from collections.abc import Generator
from contextlib import contextmanager

from aiohttp import ClientSession, DummyCookieJar
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_create_clientsession
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from yarl import URL

from .const import DOMAIN
from .portal import Client, Credentials, Pacing
from .portal.pacing import PAUSE

_PACINGS: HassKey[dict[str, Pacing]] = HassKey(f"{DOMAIN}_pacings")


@callback
def async_pacing(hass: HomeAssistant, url: str) -> Pacing:
    """Return the request budget of the portal at `url`, shared by all accounts on it."""
    return hass.data.setdefault(_PACINGS, {}).setdefault(portal_key(url), Pacing(PAUSE))


def portal_key(url: str) -> str:
    """Return the host, without a trailing dot, and port of `url`: the same for all addresses of one portal."""
    parsed = URL(url)
    return parsed.authority.replace(f"{parsed.host}", f"{parsed.host}".removesuffix("."), 1)


@callback
def async_create_client(
    hass: HomeAssistant, url: str, credentials: Credentials | None, generation: int | None = None
) -> Client:
    """Return a client of the portal at `url`. Its HTTP session is closed when the config entry is unloaded.

    `credentials` None is the demo account. `generation` is the version of the API to try first.
    """
    # A shared cookie jar would sign in one account as another.
    http = async_create_clientsession(hass, cookie_jar=DummyCookieJar())
    return _client(hass, http, url, credentials, generation)


@contextmanager
def temporary_client(
    hass: HomeAssistant, url: str, credentials: Credentials | None, generation: int | None = None
) -> Generator[Client]:
    """Provide a client like `async_create_client`, whose HTTP session is closed at the end of the context."""
    http = async_create_clientsession(hass, auto_cleanup=False, cookie_jar=DummyCookieJar())
    try:
        yield _client(hass, http, url, credentials, generation)
    finally:
        # The connector is shared with the rest of Home Assistant and stays open.
        http.detach()


@callback
def _client(
    hass: HomeAssistant, http: ClientSession, url: str, credentials: Credentials | None, generation: int | None
) -> Client:
    return Client(
        http,
        credentials,
        time_zone=dt_util.get_default_time_zone(),
        url=url,
        pacing=async_pacing(hass, url),
        generation=generation,
    )
