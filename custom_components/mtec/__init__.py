"""M-TEC Energybutler: solar inverters and batteries, through M-TEC's portal."""

from homeassistant.const import Platform
from homeassistant.core import HomeAssistant

from .coordinator import MtecConfigEntry, MtecCoordinator

PLATFORMS = [Platform.BINARY_SENSOR, Platform.SENSOR]


async def async_setup_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> bool:
    """Set up an account."""
    coordinator = MtecCoordinator(hass, entry)
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: MtecConfigEntry) -> bool:
    """Unload an account."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
