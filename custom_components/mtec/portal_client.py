"""Clients of the portal in Home Assistant: the HTTP session, the time zone and the rate limiter of each."""

from collections.abc import Generator
from contextlib import contextmanager

from aiohttp import ClientSession, DummyCookieJar
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_create_clientsession
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from yarl import URL

from .const import DOMAIN
from .portal import Client, Connection, Credentials, RateLimiter
from .portal.rate_limiter import PAUSE

_RATE_LIMITERS: HassKey[dict[str, RateLimiter]] = HassKey(f"{DOMAIN}_rate_limiters")


@callback
def async_rate_limiter(hass: HomeAssistant, url: str) -> RateLimiter:
    """Return the rate limiter of the portal at `url`, shared by all accounts on it."""
    return hass.data.setdefault(_RATE_LIMITERS, {}).setdefault(portal_key(url), RateLimiter(PAUSE))


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
        Connection(
            http,
            credentials,
            time_zone=dt_util.get_default_time_zone(),
            url=url,
            rate_limiter=async_rate_limiter(hass, url),
            api_version=generation,
        )
    )
