"""Which account has a station or an inverter that several accounts see, such as the owner's and the installer's.

An account has what it has a device of in the device registry, so that this does not change with the order in which
accounts start. One that is disabled has nothing.
"""

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr

from .const import DOMAIN


@callback
def async_owner(hass: HomeAssistant, id_: str) -> ConfigEntry | None:
    """Return the account that has a station or an inverter, the first one if several have a device of it."""
    owners = [
        (device.created_at, entry.created_at, entry.entry_id, entry)
        for entry in hass.config_entries.async_entries(DOMAIN, include_disabled=False)
        if (device := _device(hass, entry.entry_id, id_)) is not None
    ]
    return min(owners, key=lambda owner: owner[:3])[3] if owners else None


@callback
def async_claim(hass: HomeAssistant, entry: ConfigEntry, id_: str) -> ConfigEntry | None:
    """Claim a station or an inverter for an account. Return the other account that has it, None if it is free.

    Only the account that has it keeps its devices; the registries restore the entities of removed ones under their ids.
    """
    owner = async_owner(hass, id_)
    if owner is not None and owner.entry_id != entry.entry_id:
        async_remove_devices(hass, entry.entry_id, id_)
        return owner
    for other in hass.config_entries.async_entries(DOMAIN):
        if other.disabled_by is not None:
            async_remove_devices(hass, other.entry_id, id_)
    return None


@callback
def async_remove_devices(hass: HomeAssistant, entry_id: str, id_: str) -> None:
    """Remove an account's device of a station or an inverter, and those below it."""
    if (device := _device(hass, entry_id, id_)) is None:
        return
    registry = dr.async_get(hass)
    for each in dr.async_entries_for_config_entry(registry, entry_id):
        if device.id in {each.id, each.via_device_id}:
            registry.async_remove_device(each.id)


def _device(hass: HomeAssistant, entry_id: str, id_: str) -> dr.DeviceEntry | None:
    return dr.async_get(hass).async_get_device_by_identifier((DOMAIN, id_), entry_id)
