"""Which of the inverters that the portal lists can have a device: those with an id of their own."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from .const import LOGGER
from .models import Inverter
from .ownership import async_claim, async_owner

LOOKUPS_WITHOUT: Final = 3
"""Look-ups without a serial number after which the portal's id of the inverter is taken instead.

They are in a row: once the portal has given the serial number, it is known.
"""


class InverterIds:
    """Tells inverters apart by their serial numbers, over the look-ups of an account."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        self._hass = hass
        self._entry = entry
        self._lookups_without: Counter[str] = Counter()
        self._said: set[str] = set()
        self.is_waiting = False

    @callback
    def async_accept(
        self, inverters: Iterable[Inverter], taken: set[str], device_ids: Mapping[str, str]
    ) -> list[Inverter]:
        """Return the inverters that can have a device, and add their ids to those `taken`.

        `device_ids` are the portal's ids by serial number. `is_waiting` tells whether an inverter without a serial
        number waits for the next look-up.
        """
        accepted: list[Inverter] = []
        for inverter in inverters:
            if self._has_to_wait(inverter.serial_number, device_ids.get(inverter.serial_number)):
                self.is_waiting = True
            elif inverter.serial_number in taken or async_claim(self._hass, self._entry, inverter.serial_number):
                self._say_taken(inverter.serial_number)
            else:
                taken.add(inverter.serial_number)
                accepted.append(inverter)
        return accepted

    def _has_to_wait(self, serial_number: str, device_id: str | None) -> bool:
        """Return whether an inverter's serial number is missing, and may come with the next look-up."""
        if device_id != serial_number:
            return False
        self._lookups_without[device_id] += 1
        owner = async_owner(self._hass, device_id)
        return self._lookups_without[device_id] < LOOKUPS_WITHOUT and owner is None

    def _say_taken(self, serial_number: str) -> None:
        if serial_number not in self._said:
            self._said.add(serial_number)
            LOGGER.warning(
                "The serial number %s is the id of another station or inverter too: this inverter is left out",
                serial_number,
            )
