"""The owner of a station or an inverter that several accounts list, such as the owner's and the installer's accounts.

An account owns what it has a device of in the device registry. Therefore the order in which accounts start does not
matter. A disabled account owns nothing.
"""

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from .const import DOMAIN
from .devices import async_device, async_remove_devices


@callback
def async_owner(hass: HomeAssistant, id_: str) -> ConfigEntry | None:
    """Return the account that owns a station or an inverter, by the oldest device if several have one."""
    owners = [
        (device.created_at, entry.created_at, entry.entry_id, entry)
        for entry in hass.config_entries.async_entries(DOMAIN, include_disabled=False)
        if (device := async_device(hass, entry.entry_id, id_)) is not None
    ]
    return min(owners, key=lambda owner: owner[:3])[3] if owners else None


@callback
def async_claim(hass: HomeAssistant, entry: ConfigEntry, id_: str) -> ConfigEntry | None:
    """Claim a station or an inverter for an account. Return the account that owns it already, None if no other does.

    The devices of all other accounts are removed. If they are created again, Home Assistant restores their entities.
    """
    owner = async_owner(hass, id_)
    if owner is not None and owner.entry_id != entry.entry_id:
        async_remove_devices(hass, entry.entry_id, id_)
        return owner
    for other in hass.config_entries.async_entries(DOMAIN):
        if other.disabled_by is not None:
            async_remove_devices(hass, other.entry_id, id_)
    return None
