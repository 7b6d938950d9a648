"""The devices of stations and inverters in Home Assistant."""

from collections.abc import Collection
from dataclasses import replace

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_URL
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceInfo

from .const import DOMAIN, MANUFACTURER
from .models import Inverter, InverterIdentity, Station


@callback
def async_station_device_info(entry: ConfigEntry, station: Station) -> DeviceInfo:
    """Return the device of a station."""
    return DeviceInfo(
        identifiers={(DOMAIN, station.id)},
        name=station.name,
        manufacturer=MANUFACTURER,
        model="Station",
        configuration_url=entry.data[CONF_URL],
    )


@callback
def async_inverter_device_info(
    hass: HomeAssistant, entry: ConfigEntry, station_id: str | None, inverter: Inverter
) -> DeviceInfo:
    """Return the device of an inverter, below the device of its station, which has to exist if it has one."""
    info = DeviceInfo(
        identifiers={(DOMAIN, inverter.serial_number)},
        name=inverter.name,
        manufacturer=MANUFACTURER,
        model=inverter.model,
        serial_number=inverter.serial_number,
    )
    if station_id is not None:
        info["via_device_id"] = dr.async_get_device_id_by_identifier(
            hass, (DOMAIN, station_id), config_entry_id=entry.entry_id
        )
    return info


@callback
def async_update_inverter_device(
    hass: HomeAssistant, entry: ConfigEntry, station_id: str | None, inverter: Inverter, identity: InverterIdentity
) -> None:
    """Create or update the device of an inverter in the home network with what the inverter says of itself."""
    info = async_inverter_device_info(
        hass, entry, station_id, replace(inverter, model=inverter.model or identity.model)
    )
    if identity.firmware is not None:
        info["sw_version"] = identity.firmware
    device = async_device(hass, entry.entry_id, inverter.serial_number)
    if device is None or any(
        getattr(device, key) != info[key] for key in ("model", "sw_version", "via_device_id") if key in info
    ):
        dr.async_get(hass).async_get_or_create(config_entry_id=entry.entry_id, **info)


def is_inverter(device: dr.DeviceEntry) -> bool:
    """Return whether a device is an inverter. A station has no serial number."""
    return device.serial_number is not None


def own_id(device: dr.DeviceEntry | dr.ChildDeviceEntry) -> str:
    """Return the id of the station, or the serial number of the inverter, that a device is."""
    return next(id_ for domain, id_ in device.identifiers if domain == DOMAIN)


@callback
def async_station_id(hass: HomeAssistant, entry_id: str, serial_number: str) -> str | None:
    """Return the id of the station that the device of an inverter is below, None if there is none."""
    device = async_device(hass, entry_id, serial_number)
    via_id = None if device is None else device.via_device_id
    station = None if via_id is None else dr.async_get(hass).async_get(via_id)
    return None if station is None else own_id(station)


@callback
def async_inverters_below(hass: HomeAssistant, entry_id: str, station_id: str) -> set[str]:
    """Return the serial numbers of the inverters whose devices are below that of a station."""
    if (station := async_device(hass, entry_id, station_id)) is None:
        return set()
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry_id)
    return {own_id(device) for device in devices if device.via_device_id == station.id}


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
def async_remove_all_but(hass: HomeAssistant, entry_id: str, ids: Collection[str]) -> None:
    """Remove an entry's devices of all stations and inverters but these."""
    registry = dr.async_get(hass)
    for device in dr.async_entries_for_config_entry(registry, entry_id):
        if own_id(device) not in ids:
            registry.async_remove_device(device.id)


@callback
def async_remove_devices(hass: HomeAssistant, entry_id: str, id_: str) -> None:
    """Remove an account's device of a station or an inverter, and the devices below it."""
    if (device := async_device(hass, entry_id, id_)) is None:
        return
    registry = dr.async_get(hass)
    for each in dr.async_entries_for_config_entry(registry, entry_id):
        if device.id in {each.id, each.via_device_id}:
            registry.async_remove_device(each.id)
