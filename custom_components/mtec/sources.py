"""Protocols of what readings and history come from, and the errors of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date
from typing import Any, Final, Protocol

from .models import CurvePoint, DayUsage, Inverter, InverterReading, Station, StationReading, UsageRow

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds that a source may ask to be left alone for: its clock may be wrong."""


class SourceError(Exception):
    """A source did not return what it was asked for.

    The text is safe to log: it has no secret and, but for a short code, no text of the source.
    """


class AuthenticationError(SourceError):
    """The source does not accept the credentials."""


class SourceConnectionError(SourceError):
    """The source could not be reached, or the connection broke: DNS, TLS, timeout, reset."""


class BusyError(SourceError):
    """The source refuses for the moment.

    `retry_after` is the pause in seconds that it asks for, never more than LONGEST_RETRY_AFTER. None if it gave none.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = None if retry_after is None else min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)


class ResponseError(SourceError):
    """The source answered, but with something that makes no sense, or refused the request."""


class LiveSource(Protocol):
    """A source of live readings. Every method raises SourceError."""

    async def stations(self) -> list[Station]:
        """Return the stations."""

    async def inverters(self, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""

    async def station_reading(self, station_id: str) -> StationReading:
        """Return the values of a station now."""

    async def inverter_reading(self, station_id: str, serial_number: str) -> InverterReading:
        """Return the values of an inverter now."""


class HistorySource(Protocol):
    """A source of energy of the past. Every method raises SourceError."""

    async def day_usage(self, station_id: str, day: date) -> DayUsage:
        """Return a day as its five-minute curve and its summary."""

    async def day_curve(self, station_id: str, day: date) -> Sequence[CurvePoint]:
        """Return a day as its five-minute curve."""

    async def month_rows(self, station_id: str, year: int, month: int) -> list[UsageRow]:
        """Return the days of a month that have data."""

    async def year_rows(self, station_id: str, year: int) -> list[UsageRow]:
        """Return the months of a year that have data."""

    async def lifetime_rows(self, station_id: str) -> list[UsageRow]:
        """Return the years that have data."""


def combine[ReadingT](primary: ReadingT, fallback: ReadingT) -> ReadingT:
    """Return the primary reading, field by field with the value of the fallback where the primary has none.

    Energies of today are those of one source if it reports when it measured them: the other may be of yesterday.
    """
    combined = _combined(primary, fallback)
    if isinstance(primary, InverterReading) and primary.measured is not None:
        combined = replace(combined, today=primary.today)
    result: ReadingT = combined
    return result


def _combined(primary: Any, fallback: Any) -> Any:
    if primary is None:
        return fallback
    if isinstance(primary, Mapping) and isinstance(fallback, Mapping):
        return {**fallback, **{key: _combined(value, fallback.get(key)) for key, value in primary.items()}}
    if is_dataclass(primary) and not isinstance(primary, type) and type(primary) is type(fallback):
        names = [field.name for field in fields(primary)]
        return replace(primary, **{name: _combined(getattr(primary, name), getattr(fallback, name)) for name in names})
    return primary
