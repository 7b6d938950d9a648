"""Devices of stations and inverters that are not listed any more. They are removed after a while."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from .const import DOMAIN, LOGGER

REMOVED_AFTER: Final = timedelta(days=7)
REMOVED_AFTER_LISTINGS: Final = 24
"""Time, and number of listings, for which a device has to be missing before it is removed."""

_VERSION: Final = 1
_SAVE_DELAY = 60


class _Missing(TypedDict):
    """The first moment (ISO 8601) at which a device was missing, and the number of listings since."""

    since: str
    listings: int


class MissingDevices:
    """The devices of an account that are not listed, stored over restarts."""

    def __init__(self, hass: HomeAssistant, entry_id: str) -> None:
        self._hass = hass
        self._entry_id = entry_id
        self._store = _store(hass, entry_id)
        self._missing: dict[str, _Missing] = {}
        self._is_saved = True
        self._is_closed = False

    async def async_load(self) -> None:
        """Load what was stored."""
        self._missing = await self._store.async_load() or {}

    @callback
    def async_update(self, listed: Collection[str], without_inverters: Collection[str]) -> list[str]:
        """Take the ids of a listing. Remove the devices that have been missing for too long, and return their ids.

        `without_inverters` are ids of listed stations without inverters. Their devices below do not count as missing.
        """
        devices, now = self._devices(), dt_util.utcnow()
        missing_ids = _missing_ids(devices, listed, without_inverters)
        # Keep what does not count now. Forget what is listed again, or is not a device any more.
        missing = {id_: each for id_, each in self._missing.items() if id_ in devices and id_ not in listed}
        missing |= {id_: _counted(missing.get(id_), now) for id_ in missing_ids}
        removed = [id_ for id_ in missing_ids if _is_too_old(missing[id_], now)]
        for id_ in removed:
            self._remove(devices[id_], missing.pop(id_)["since"])
        if missing != self._missing:
            self._missing = missing
            self._async_save_soon()
        return removed

    def _devices(self) -> dict[str, dr.DeviceEntry]:
        """Return the devices of the account by the id of the station or inverter."""
        return {
            id_: device
            for device in dr.async_entries_for_config_entry(dr.async_get(self._hass), self._entry_id)
            for domain, id_ in device.identifiers
            if domain == DOMAIN
        }

    def _remove(self, device: dr.DeviceEntry, since: str) -> None:
        LOGGER.info("The portal has not listed %s since %s: it is removed", device.name, since)
        dr.async_get(self._hass).async_remove_device(device.id)

    @callback
    def _async_save_soon(self) -> None:
        if not self._is_closed:
            self._is_saved = False
            self._store.async_delay_save(self._async_data_to_save, _SAVE_DELAY)

    @callback
    def _async_data_to_save(self) -> dict[str, _Missing]:
        self._is_saved = True
        return self._missing

    async def async_close(self) -> None:
        """Save what is not saved yet, and nothing from then on."""
        self._is_closed = True
        if not self._is_saved:
            self._is_saved = True
            await self._store.async_save(self._missing)

    def as_dict(self) -> dict[str, Any]:
        """Return what is missing by id."""
        return dict(self._missing)


def _missing_ids(
    devices: Mapping[str, dr.DeviceEntry], listed: Collection[str], without_inverters: Collection[str]
) -> list[str]:
    """Return the ids of devices that are not listed, but not of those below a station without inverters."""
    uncertain = {devices[id_].id for id_ in without_inverters if id_ in devices}
    return [id_ for id_, device in devices.items() if id_ not in listed and device.via_device_id not in uncertain]


def _counted(before: _Missing | None, now: datetime) -> _Missing:
    """Return the record of a device that is missing in one more listing."""
    if before is None:
        return _Missing(since=now.isoformat(), listings=1)
    return _Missing(since=before["since"], listings=before["listings"] + 1)


def _is_too_old(missing: _Missing, now: datetime) -> bool:
    since = datetime.fromisoformat(missing["since"])
    return now - since >= REMOVED_AFTER and missing["listings"] >= REMOVED_AFTER_LISTINGS


async def async_forget_missing_devices(hass: HomeAssistant, entry_id: str) -> None:
    """Delete what is stored of an account."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> Store[dict[str, _Missing]]:
    return Store(hass, _VERSION, f"{DOMAIN}.missing_devices.{entry_id}")
