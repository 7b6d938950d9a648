"""Constants of the integration."""

from datetime import timedelta
import logging
from typing import Final

DOMAIN: Final = "mtec"
LOGGER: Final = logging.getLogger(__package__)

MANUFACTURER: Final = "M-TEC"

CONF_DIGEST: Final = "digest"
"""The md5 digest of the password, in hexadecimal: all that the portal asks for."""

POLL_INTERVAL: Final = timedelta(seconds=60)
LOOKUP_INTERVAL: Final = timedelta(hours=1)
"""How often the stations and inverters of the account are looked up again."""

GRACE_POLLS: Final = 3
"""How many polls in a row a station or inverter may fail and keep its last values."""
