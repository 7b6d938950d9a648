"""Titles of accounts. They do not contain the e-mail address, because Home Assistant logs them."""

from collections.abc import Collection, Sequence
from itertools import count
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_EMAIL

DEFAULT_TITLE: Final = "M-TEC"


def title_of(stations: Sequence[str], taken: Collection[str]) -> str:
    """Return a title for an account with these names of stations, different from the `taken` ones."""
    title = stations[0] if stations else DEFAULT_TITLE
    if len(stations) > 1:
        title = f"{title} + {len(stations) - 1}"
    numbered = (title if number == 1 else f"{title} ({number})" for number in count(1))
    return next(each for each in numbered if each not in taken)


def is_email(entry: ConfigEntry) -> bool:
    """Return whether the title of an account contains its e-mail address."""
    email: str | None = entry.data.get(CONF_EMAIL)
    return email is not None and email.casefold() in entry.title.casefold()


def log_name(entry: ConfigEntry) -> str:
    """Return the title of an account, or the default title if the own one is private."""
    return DEFAULT_TITLE if is_email(entry) else entry.title
