"""Devices that were taken for inverters and are none: they are left alone for a day."""

from datetime import timedelta
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.helpers.singleton import singleton
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

LEFT_ALONE_FOR: Final = timedelta(days=1)

_VERSION: Final = 1


class WrongGuesses:
    """When a device at an address was last probed and found to be no inverter, stored over restarts."""

    def __init__(self, hass: HomeAssistant) -> None:
        self._store: Store[dict[str, float]] = Store(hass, _VERSION, f"{DOMAIN}.wrong_guesses")
        self._times: dict[str, float] = {}

    async def async_load(self) -> None:
        """Load what was stored."""
        self._times = await self._store.async_load() or {}

    def has(self, mac: str, address: str) -> bool:
        """Return whether a device was probed at this address within a day."""
        return _key(mac, address) in self._recent()

    async def async_add(self, mac: str, address: str) -> None:
        """Remember that a device at an address is no inverter."""
        self._times = {**self._recent(), _key(mac, address): dt_util.utcnow().timestamp()}
        await self._store.async_save(self._times)

    def _recent(self) -> dict[str, float]:
        now = dt_util.utcnow().timestamp()
        # Where the clock was put back, times in the future do not count either.
        return {key: time for key, time in self._times.items() if 0 <= now - time < LEFT_ALONE_FOR.total_seconds()}


def _key(mac: str, address: str) -> str:
    return f"{mac} {address}"


@singleton(HassKey[WrongGuesses](f"{DOMAIN}_wrong_guesses"), async_=True)
async def async_wrong_guesses(hass: HomeAssistant) -> WrongGuesses:
    """Return the wrong guesses."""
    guesses = WrongGuesses(hass)
    await guesses.async_load()
    return guesses
