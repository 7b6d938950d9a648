"""M-TEC Energybutler: solar inverters and batteries, through M-TEC's portal."""

from homeassistant.const import CONF_EMAIL, Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.typing import ConfigType

from .const import DOMAIN
from .coordinator import MtecConfigEntry, MtecCoordinator
from .history.healing import async_heal_by_itself
from .history.manager import async_import_manager
from .issues import async_forget
from .services import async_setup_services
from .stale import async_forget_absences
from .titles import title_of

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)
PLATFORMS = [Platform.BINARY_SENSOR, Platform.SENSOR]


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions."""
    async_setup_services(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> bool:
    """Set up an account."""
    _take_email_from_title(hass, entry)
    coordinator = MtecCoordinator(hass, entry)
    # Before the first poll: if that fails, the diagnostics tell why.
    entry.runtime_data = coordinator
    await coordinator.async_config_entry_first_refresh()
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    await async_import_manager(hass).async_continue(entry)
    async_heal_by_itself(hass, entry)
    return True


@callback
def _take_email_from_title(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Call an account by its stations if it is called by its e-mail, as they were before: titles get into the log."""
    if entry.title.casefold() != str(entry.data.get(CONF_EMAIL)).casefold():
        return
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    stations = [device.name for device in devices if device.via_device_id is None and device.name]
    taken = {other.title for other in hass.config_entries.async_entries(DOMAIN)}
    hass.config_entries.async_update_entry(entry, title=title_of(stations, taken))


async def async_unload_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> bool:
    """Unload an account."""
    async_forget(hass, entry.entry_id)
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Leave nothing behind of an account that is removed."""
    async_forget(hass, entry.entry_id)
    await async_forget_absences(hass, entry.entry_id)
    await async_import_manager(hass).async_forget_account(entry.entry_id)


async def async_remove_config_entry_device(hass: HomeAssistant, entry: MtecConfigEntry, device: dr.DeviceEntry) -> bool:
    """Return whether a person may remove a device: one that the portal does not list any more."""
    # There is none if the account was never set up since the start.
    coordinator: MtecCoordinator | None = getattr(entry, "runtime_data", None)
    ids = {id_ for domain, id_ in device.identifiers if domain == DOMAIN}
    if coordinator is None or not coordinator.knows_what_is_listed:
        return False
    if ids & (coordinator.data.stations.keys() | coordinator.data.inverters.keys()):
        return False
    for id_ in ids:
        coordinator.async_forget_part(id_)
    return True
