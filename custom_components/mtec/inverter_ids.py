"""Ids of inverters: a device needs a unique one, and the portal sometimes leaves out serial numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from .const import LOGGER
from .models import Inverter
from .ownership import async_claim, async_owner

LISTINGS_WITHOUT_SERIAL_NUMBER: Final = 3
"""Listings in a row without a serial number after which the portal's id of the inverter is used instead."""


class InverterIds:
    """Accepts inverters with a unique id, over several listings of an account."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        self._hass = hass
        self._entry = entry
        self._listings_without: Counter[str] = Counter()
        self._logged: set[str] = set()
        self.is_waiting = False

    @callback
    def async_accept(
        self, inverters: Iterable[Inverter], taken: set[str], device_ids: Mapping[str, str]
    ) -> list[Inverter]:
        """Return the inverters that can have a device, and add their ids to `taken`.

        `device_ids` are the portal's ids by serial number. Sets `is_waiting` if an inverter has to wait for a listing
        with its serial number.
        """
        accepted: list[Inverter] = []
        for inverter in inverters:
            if self._has_to_wait(inverter.serial_number, device_ids.get(inverter.serial_number)):
                self.is_waiting = True
            elif inverter.serial_number in taken or async_claim(self._hass, self._entry, inverter.serial_number):
                self._log_taken(inverter.serial_number)
            else:
                taken.add(inverter.serial_number)
                accepted.append(inverter)
        return accepted

    def _has_to_wait(self, serial_number: str, device_id: str | None) -> bool:
        """Return whether an inverter's serial number is missing, and the next listing may have it."""
        if device_id != serial_number:
            self._listings_without.pop(device_id or "", None)
            return False
        self._listings_without[device_id] += 1
        owner = async_owner(self._hass, device_id)
        return self._listings_without[device_id] < LISTINGS_WITHOUT_SERIAL_NUMBER and owner is None

    def _log_taken(self, serial_number: str) -> None:
        if serial_number not in self._logged:
            self._logged.add(serial_number)
            LOGGER.warning(
                "The serial number %s is the id of another station or inverter too: this inverter is left out",
                serial_number,
            )
