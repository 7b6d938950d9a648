"""M-TEC Energybutler solar inverters and batteries, read in the home network and from M-TEC's portal."""

from typing import Any

from homeassistant.const import CONF_EMAIL, CONF_URL, Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.typing import ConfigType

from .account import Account
from .battery.commands import async_battery_commands, async_setup_battery_commands
from .const import DOMAIN
from .dashboard import async_load_dashboard, async_unload_dashboard
from .devices import is_inverter
from .energy_dashboard import async_forget_added
from .history.healing import async_heal_by_itself
from .history.manager import async_import_manager
from .home import Home, MtecConfigEntry
from .issues import async_forget
from .missing_devices import async_forget_missing_devices
from .publishing.publisher import async_forget_publishing, async_set_up_publishing
from .services import async_setup_services
from .settings import async_remove_settings_entities
from .titles import title_of

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)
PLATFORMS = [Platform.BINARY_SENSOR, Platform.NUMBER, Platform.SELECT, Platform.SENSOR, Platform.SWITCH]


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions, and load what batteries are told."""
    async_setup_services(hass)
    await async_setup_battery_commands(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> bool:
    """Set up a home."""
    _async_reload_on_changes(hass, entry)
    _replace_email_in_title(hass, entry)
    # The diagnostics need it too if the stations cannot be listed.
    entry.runtime_data = home = Account(hass, entry) if CONF_URL in entry.data else Home(hass, entry)
    await home.async_start()
    # Before anything else is asked: an inverter may have to be brought back from a command.
    for inverter in home.network.values():
        async_battery_commands(hass).async_attach(inverter)
    async_remove_settings_entities(hass, entry, home.settings)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    await async_set_up_publishing(hass, entry)
    # A start of Home Assistant does not wait for the readings.
    home.async_begin_reading()
    await async_load_dashboard(hass)
    await async_import_manager(hass).async_continue(entry)
    async_heal_by_itself(hass, entry)
    return True


@callback
def _async_reload_on_changes(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Reload a home when its options change, or inverters in the network are added, changed or removed.

    Other changes do not reload it: an account stores the version of the portal's API itself, and the dialogs that
    change the login reload it even if the login turns out to be the same.
    """

    def configuration() -> tuple[Any, ...]:
        return dict(entry.options), {id_: dict(subentry.data) for id_, subentry in entry.subentries.items()}

    loaded_with = configuration()

    async def async_reload_if_changed(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
        if configuration() != loaded_with:
            hass.config_entries.async_schedule_reload(entry.entry_id)

    entry.async_on_unload(entry.add_update_listener(async_reload_if_changed))


@callback
def _replace_email_in_title(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Replace a title that is the e-mail address, which would get into the log, by the names of the stations."""
    if entry.title.casefold() != str(entry.data.get(CONF_EMAIL)).casefold():
        return
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    stations = [device.name for device in devices if not is_inverter(device) and device.name]
    taken = {other.title for other in hass.config_entries.async_entries(DOMAIN)}
    hass.config_entries.async_update_entry(entry, title=title_of(stations, taken))


async def async_unload_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> bool:
    """Unload a home. A command to a battery ends before."""
    await async_battery_commands(hass).async_detach(entry.runtime_data.network.values())
    async_forget(hass, entry.entry_id)
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Delete all that is stored of a home."""
    async_forget(hass, entry.entry_id)
    if not [other for other in hass.config_entries.async_entries(DOMAIN) if other.entry_id != entry.entry_id]:
        async_unload_dashboard(hass)
    await async_forget_missing_devices(hass, entry.entry_id)
    await async_forget_added(hass, entry.entry_id)
    await async_import_manager(hass).async_forget_account(entry.entry_id)
    await async_forget_publishing(hass, entry)


async def async_remove_config_entry_device(hass: HomeAssistant, entry: MtecConfigEntry, device: dr.DeviceEntry) -> bool:
    """Return whether a user may remove a device: only one that is not listed any more."""
    # A home that was never set up since the start has no runtime data.
    home: Home | None = getattr(entry, "runtime_data", None)
    ids = {id_ for domain, id_ in device.identifiers if domain == DOMAIN}
    if home is None or not home.async_is_removable(ids):
        return False
    for id_ in ids:
        home.async_forget(id_)
    return True
