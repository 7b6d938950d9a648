"""Clients of a portal that need no Home Assistant."""

from zoneinfo import ZoneInfo

import aiohttp

from custom_components.mtec.portal import Client, Connection, Credentials, RateLimiter

BERLIN = ZoneInfo("Europe/Berlin")
CREDENTIALS = Credentials("someone@example.com", "0123456789abcdef0123456789abcdef")


def client_of(
    http: aiohttp.ClientSession,
    url: str,
    credentials: Credentials | None = CREDENTIALS,
    pause: float = 0,
    generation: int | None = None,
) -> Client:
    return Client(
        Connection(
            http, credentials, time_zone=BERLIN, url=url, rate_limiter=RateLimiter(pause), api_version=generation
        )
    )
