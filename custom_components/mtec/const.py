"""Constants of the integration."""

from datetime import timedelta
import logging
from typing import Final

DOMAIN: Final = "mtec"
LOGGER: Final = logging.getLogger(__package__)

MANUFACTURER: Final = "M-TEC"

CONF_DIGEST: Final = "digest"
"""The MD5 hash of the password in hexadecimal. The portal does not need the password itself."""

CONF_GENERATION: Final = "generation"
"""The version of the portal's API: 1 or 2."""

CONF_IGNORED_STATIONS: Final = "ignored_stations"
"""The stations that the user does not want to follow: names by id."""

CONF_FILL_GAPS: Final = "fill_gaps"
"""Whether gaps in the statistics are filled automatically; they are if the person did not choose."""

SHORTEST_POLL_INTERVAL: Final = timedelta(seconds=30)
LONGEST_POLL_INTERVAL: Final = timedelta(hours=1)
POLL_INTERVAL: Final = timedelta(seconds=60)
SHORTEST_TIME_LIMIT: Final = timedelta(seconds=60)
"""A poll may take as long as its interval, but at least this long, and the first one twice as long."""
LOOKUP_INTERVAL: Final = timedelta(hours=1)
"""Interval at which the stations and inverters of an account are listed."""

DAILY_ENERGIES_INTERVAL: Final = timedelta(minutes=5)
"""Interval at which the energies of today are read: the portal updates them every five minutes."""

LIFETIME_ENERGIES_INTERVAL: Final = timedelta(hours=1)
"""Interval at which the energies of all years are read."""

GRACE_POLLS: Final = 3
"""Number of polls in a row that something may fail and keep its last data."""

FALLBACK_INTERVAL: Final = timedelta(minutes=5)
"""Interval at which the portal is asked for what is read in the home network too."""

SHORTEST_NETWORK_INTERVAL: Final = timedelta(seconds=5)
LONGEST_NETWORK_INTERVAL: Final = timedelta(minutes=5)
NETWORK_INTERVAL: Final = timedelta(seconds=10)
"""Interval at which an inverter in the home network is read."""

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

CONF_SETTINGS: Final = "settings"
"""Whether the settings of an inverter may be changed, and its battery commanded; not if the person did not choose."""

SETTINGS_INTERVAL: Final = timedelta(minutes=1)
"""Interval at which the settings of an inverter are read."""

CONF_MQTT: Final = "mqtt"
"""How readings are published to MQTT; they are not if the option is not there."""
