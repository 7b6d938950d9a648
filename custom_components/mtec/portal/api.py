"""The interface that both versions of the portal's API implement."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Protocol

from custom_components.mtec.models import DayUsage, Inverter, InverterReading, Station, StationReading, UsageRow

from .auth import Credentials
from .parsing import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to the portal; `path` is relative to the portal's address."""

    method: Literal["GET", "POST"]
    path: str
    params: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer of the portal: the `data` of its envelope, and the headers of the response."""

    data: Any
    headers: Mapping[str, str]


type Send = Callable[[Request], Awaitable[Any]]
"""A function that sends a request and returns the `data` of the answer. Raises SourceError."""


class Api(Protocol):
    """A version of the API.

    The methods that take `send` raise SourceError. `offset` is in minutes east of UTC.
    """

    version: int
    auth_codes: bool
    """Whether it refuses a login with codes that begin with "auth_"."""

    @property
    def device_ids(self) -> Mapping[str, str]:
        """The portal's own ids of inverters by serial number, empty if it has none."""

    @property
    def power_units(self) -> Mapping[str, str]:
        """The detected unit of powers without a unit, by the inverter's serial number."""

    def login(self, credentials: Credentials | None) -> Request:
        """Return the login request; None is the public demo account. Raises ResponseError if there is none."""

    def token(self, answer: Answer) -> str | None:
        """Return the token in the answer to a login, None if there is none."""

    def renewed_token(self, answer: Answer) -> str | None:
        """Return the token that replaces that of the request, None if there is none."""

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers of a request; None is a request before the login."""

    def alive(self) -> Request:
        """Return a request that succeeds as long as the portal speaks this version and the token is valid."""

    async def stations(self, send: Send) -> list[Station]:
        """Return the account's stations."""

    async def inverters(self, send: Send, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""

    async def station_reading(self, send: Send, station_id: str) -> StationReading:
        """Return the values of a station now."""

    async def inverter_reading(self, send: Send, station_id: str, serial_number: str) -> InverterReading:
        """Return the values of an inverter now."""

    async def day_usage(self, send: Send, station_id: str, day: date, offset: int) -> DayUsage:
        """Return the 24 hours from midnight at `offset`; the summary is empty if the portal has none."""

    async def usage_rows(self, send: Send, station_id: str, period: Period, offset: int) -> list[UsageRow]:
        """Return the rows of a period that have data."""
