"""Parts that the responses of several actions share."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from homeassistant.util.json import JsonObjectType

MOST_DAYS_LISTED: Final = 366
"""Days that a response lists at most; the count covers them all."""


def days_without_data(days: Sequence[date]) -> JsonObjectType:
    """Return the number of days without data, and the first of them as a list."""
    return _listed("days_without_data", days)


def days_left_out(days: Sequence[date]) -> JsonObjectType:
    """Return the number of days that could not be read, and the first of them as a list."""
    return _listed("left_out", days)


def days_with_more_recorded(days: Sequence[date]) -> JsonObjectType:
    """Return the number of days of which more is recorded than the portal says, and the first of them as a list."""
    return _listed("more_recorded", days)


def _listed(name: str, days: Sequence[date]) -> JsonObjectType:
    listed: list[Any] = [day.isoformat() for day in days[:MOST_DAYS_LISTED]]
    return {name: listed, f"{name}_count": len(days)}
