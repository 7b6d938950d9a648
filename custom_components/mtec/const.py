"""Constants of the integration."""

from datetime import timedelta
import logging
from typing import Final

DOMAIN: Final = "mtec"
LOGGER: Final = logging.getLogger(__package__)

MANUFACTURER: Final = "M-TEC"

CONF_DIGEST: Final = "digest"
"""The MD5 digest of the password in hexadecimal. The portal does not need the password itself."""

CONF_GENERATION: Final = "generation"
"""The version of the portal's API: 1 or 2."""

CONF_IGNORED_STATIONS: Final = "ignored_stations"
"""The stations that the user does not want to follow: names by id."""

CONF_FILL_GAPS: Final = "fill_gaps"
"""Whether gaps in the statistics are filled by themselves; they are if the person did not choose."""

SHORTEST_POLL_INTERVAL: Final = timedelta(seconds=30)
LONGEST_POLL_INTERVAL: Final = timedelta(hours=1)
POLL_INTERVAL: Final = timedelta(seconds=60)
SHORTEST_TIME_LIMIT: Final = timedelta(seconds=60)
"""A poll may take as long as its interval, but at least this long, and the first one twice as long."""
LOOKUP_INTERVAL: Final = timedelta(hours=1)
"""Interval at which the stations and inverters of an account are listed."""

DAILY_ENERGIES_INTERVAL: Final = timedelta(minutes=5)
"""Interval at which the energies of today are read: the portal updates them every five minutes."""

GRACE_POLLS: Final = 3
"""Number of polls in a row that something may fail and keep its last data."""
