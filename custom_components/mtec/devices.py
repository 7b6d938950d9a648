"""The devices of stations and inverters in Home Assistant."""

from dataclasses import replace

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceInfo

from .const import DOMAIN, MANUFACTURER
from .models import Inverter, Station


@callback
def async_station_device_info(entry: ConfigEntry, station: Station) -> DeviceInfo:
    """Return the device of a station."""
    return DeviceInfo(
        identifiers={(DOMAIN, station.id)},
        name=station.name,
        manufacturer=MANUFACTURER,
        configuration_url=entry.data[CONF_URL],
    )


@callback
def async_inverter_device_info(
    hass: HomeAssistant, entry: ConfigEntry, station_id: str, inverter: Inverter
) -> DeviceInfo:
    """Return the device of an inverter, below the device of its station, which has to exist."""
    return DeviceInfo(
        identifiers={(DOMAIN, inverter.serial_number)},
        name=inverter.name,
        manufacturer=MANUFACTURER,
        model=inverter.model,
        serial_number=inverter.serial_number,
        via_device_id=dr.async_get_device_id_by_identifier(hass, (DOMAIN, station_id), config_entry_id=entry.entry_id),
    )


@callback
def async_device(hass: HomeAssistant, entry_id: str, id_: str) -> dr.DeviceEntry | None:
    """Return an account's device of a station or an inverter, None if it has none."""
    return dr.async_get(hass).async_get_device_by_identifier((DOMAIN, id_), entry_id)


@callback
def async_with_known_name(hass: HomeAssistant, entry_id: str, inverter: Inverter) -> Inverter:
    """Return an inverter with the name and model of its device if the source does not give them.

    Only one version of the portal's API does, and the portal may change to the other.
    """
    device = async_device(hass, entry_id, inverter.serial_number)
    if device is None or inverter.name != inverter.serial_number:
        return inverter
    return replace(inverter, name=device.name or inverter.name, model=inverter.model or device.model)


@callback
def async_create_stations(hass: HomeAssistant, entry: ConfigEntry, stations: list[Station]) -> None:
    """Create or update the devices of stations."""
    for station in stations:
        dr.async_get(hass).async_get_or_create(
            config_entry_id=entry.entry_id, **async_station_device_info(entry, station)
        )


@callback
def async_remove_devices(hass: HomeAssistant, entry_id: str, id_: str) -> None:
    """Remove an account's device of a station or an inverter, and the devices below it."""
    if (device := async_device(hass, entry_id, id_)) is None:
        return
    registry = dr.async_get(hass)
    for each in dr.async_entries_for_config_entry(registry, entry_id):
        if device.id in {each.id, each.via_device_id}:
            registry.async_remove_device(each.id)
