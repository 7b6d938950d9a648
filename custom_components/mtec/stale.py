"""Stations and inverters that the portal does not list any more: removed once they are gone for good."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from .const import DOMAIN, LOGGER

GONE_AFTER: Final = timedelta(days=7)
GONE_AFTER_LOOKUPS: Final = 24
"""How long, and in how many look-ups, something has to be missing until it is taken to be gone for good."""

_VERSION: Final = 1
_SAVE_DELAY = 60


class _Absence(TypedDict):
    """Since when something has not been listed, and in how many look-ups."""

    since: str
    lookups: int


class Absences:
    """What an account's look-ups have missed, kept over restarts."""

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        self._hass = hass
        self._entry_id = entry_id
        self._store = _store(hass, entry_id)
        self._absences: dict[str, _Absence] = {}
        self._is_saved = True
        self._is_closed = False

    async def async_load(self) -> None:
        """Go on from before a restart."""
        self._absences = await self._store.async_load() or {}

    @callback
    def async_looked_up(self, listed: Collection[str], unsure: Collection[str]) -> list[str]:
        """Note a look-up that listed these ids, and return those of devices now removed: gone for good.

        `unsure` are stations whose inverters are not known: of what is below them nothing is noted.
        """
        registry = dr.async_get(self._hass)
        devices = self._async_devices(registry)
        unsure_devices = {devices[id_].id for id_ in unsure if id_ in devices}
        absences = self._async_counted(devices, listed, unsure_devices)
        gone = [id_ for id_, absence in absences.items() if id_ in devices and _is_gone(absence)]
        for id_ in gone:
            since = absences.pop(id_)["since"]
            LOGGER.info("The portal has not listed %s since %s: it is removed", devices[id_].name, since)
            registry.async_remove_device(devices[id_].id)
        if absences != self._absences:
            self._absences = absences
            self._async_save_soon()
        return gone

    @callback
    def _async_devices(self, registry: dr.DeviceRegistry) -> dict[str, dr.DeviceEntry]:
        """Return the devices of the account by their station's id or inverter's serial number."""
        return {
            id_: device
            for device in dr.async_entries_for_config_entry(registry, self._entry_id)
            for domain, id_ in device.identifiers
            if domain == DOMAIN
        }

    @callback
    def _async_counted(
        self, devices: Mapping[str, dr.DeviceEntry], listed: Collection[str], unsure_devices: Collection[str]
    ) -> dict[str, _Absence]:
        """Return the absences with this look-up counted.

        What is listed, or no device any more, is forgotten; of what is below an unsure device nothing is counted.
        """
        now = dt_util.utcnow().isoformat()
        absences = {id_: each for id_, each in self._absences.items() if id_ in devices and id_ not in listed}
        for id_, device in devices.items():
            if id_ not in listed and device.via_device_id not in unsure_devices:
                known = absences.get(id_) or _Absence(since=now, lookups=0)
                absences[id_] = _Absence(since=known["since"], lookups=known["lookups"] + 1)
        return absences

    @callback
    def _async_save_soon(self) -> None:
        if not self._is_closed:
            self._is_saved = False
            self._store.async_delay_save(self._async_data_to_save, _SAVE_DELAY)

    @callback
    def _async_data_to_save(self) -> dict[str, _Absence]:
        self._is_saved = True
        return self._absences

    async def async_close(self) -> None:
        """Save at once what was to be saved soon, and nothing from then on: the account is unloaded."""
        self._is_closed = True
        if not self._is_saved:
            self._is_saved = True
            await self._store.async_save(self._absences)

    def as_dict(self) -> dict[str, Any]:
        """Return the absences by id."""
        return dict(self._absences)


def _is_gone(absence: _Absence) -> bool:
    """Return whether something has been missing for so long, and so often, that it is gone for good."""
    duration = dt_util.utcnow() - datetime.fromisoformat(absence["since"])
    return duration >= GONE_AFTER and absence["lookups"] >= GONE_AFTER_LOOKUPS


async def async_forget_absences(hass: HomeAssistant, entry_id: str) -> None:
    """Forget the absences of an account that is removed."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, _Absence]]:
    return Store(hass, _VERSION, f"{DOMAIN}.absences.{entry_id}")
