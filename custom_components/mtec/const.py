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

SHORTEST_POLL_INTERVAL: Final = timedelta(seconds=30)
LONGEST_POLL_INTERVAL: Final = timedelta(hours=1)
POLL_INTERVAL: Final = timedelta(seconds=60)
SHORTEST_TIME_LIMIT: Final = timedelta(seconds=60)
"""A poll may take as long as its interval, but at least this long, and the first one twice as long."""
LOOKUP_INTERVAL: Final = timedelta(hours=1)
"""How often the stations and inverters of an account are listed."""

DAILY_ENERGIES_INTERVAL: Final = timedelta(minutes=5)
"""How often the energies of today are read: the portal updates them every five minutes."""

GRACE_POLLS: Final = 3
"""How many polls in a row something may fail and keep its last data."""

SUBENTRY_INVERTER: Final = "inverter"
"""The type of the subentries that are inverters in the home network. Their unique id is the serial number."""

CONF_FRAMING: Final = "framing"
"""How requests to an inverter are framed: a value of `Framing`."""

CONF_UNIT_ID: Final = "unit_id"
CONF_SERIAL_NUMBER: Final = "serial_number"
CONF_FIRMWARE: Final = "firmware"
CONF_RATED_POWER: Final = "rated_power"
"""The rated power of an inverter in W."""

CONF_RELEASE: Final = "release"
"""Whether the connection to an inverter is given up between two reads, so that another client can have it."""

SHORTEST_INVERTER_POLL_INTERVAL: Final = timedelta(seconds=5)
LONGEST_INVERTER_POLL_INTERVAL: Final = timedelta(minutes=5)
INVERTER_POLL_INTERVAL: Final = timedelta(seconds=10)
"""How often an inverter in the network is read, unless the user chose something else."""
