"""Constants of the integration."""

from datetime import timedelta
import logging
from typing import Final

DOMAIN: Final = "mtec"
LOGGER: Final = logging.getLogger(__package__)

MANUFACTURER: Final = "M-TEC"

CONF_DIGEST: Final = "digest"
"""The md5 digest of the password, in hexadecimal: all that the portal asks for."""

CONF_GENERATION: Final = "generation"
"""The generation of the portal's API that was found: 1 or 2."""

CONF_IGNORED_STATIONS: Final = "ignored_stations"
"""The ids of the stations that the person does not want to follow."""

CONF_FILL_GAPS: Final = "fill_gaps"
"""Whether gaps in the statistics are filled by themselves; they are if the person did not choose."""

SHORTEST_POLL_INTERVAL: Final = timedelta(seconds=30)
LONGEST_POLL_INTERVAL: Final = timedelta(hours=1)
POLL_INTERVAL: Final = timedelta(seconds=60)
SHORTEST_TIME_LIMIT: Final = timedelta(seconds=60)
"""A poll may take as long as its interval, and this at the least; the first one twice as long."""
LOOKUP_INTERVAL: Final = timedelta(hours=1)
"""How often the stations and inverters of the account are looked up again."""

BALANCE_INTERVAL: Final = timedelta(minutes=5)
"""How often the energy balance of the day is asked for: the portal books in steps of five minutes."""

GRACE_POLLS: Final = 3
"""How many polls in a row a station or inverter may fail and keep its last values."""
