"""The actions: export usage, return usage, import history."""

from collections.abc import Mapping
import ntpath
from pathlib import Path
from typing import Final

from homeassistant.auth.models import User
from homeassistant.auth.permissions.const import POLICY_READ
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import Unauthorized, UnknownUser
from homeassistant.helpers import config_validation as cv, device_registry as dr, entity_registry as er
from homeassistant.helpers.service import async_get_config_entry, async_register_admin_service
from homeassistant.util import dt as dt_util
import voluptuous as vol

from .battery.services import async_setup_battery_services
from .const import DOMAIN
from .errors import validation_error
from .export.exporter import UsageExport, range_error
from .export.table import DECIMALS, DELIMITERS, CsvFormat, Timestamps
from .export.usage import RangeError, UsageQuery, UsageType
from .history.importer import Resolution
from .history.manager import async_import_history
from .home import MtecConfigEntry
from .models import Station

ATTR_CONFIG_ENTRY: Final = "config_entry"
ATTR_DEVICE: Final = "device"
ATTR_TYPE: Final = "type"
ATTR_START: Final = "start"
ATTR_END: Final = "end"
ATTR_DECIMAL: Final = "decimal"
ATTR_DELIMITER: Final = "delimiter"
ATTR_TIMESTAMPS: Final = "timestamps"
ATTR_FILENAME: Final = "filename"
ATTR_RESOLUTION: Final = "resolution"
ATTR_REFINE: Final = "refine"

_LONGEST_NAME = 200

_DECIMAL_CHOICES: Final[Mapping[str, str]] = {"point": ".", "comma": ","}
_DELIMITER_CHOICES: Final[Mapping[str, str]] = {"semicolon": ";", "comma": ",", "tab": "\t", "pipe": "|"}
"""What the action offers by name, as a translated label needs one. It takes the characters themselves, too."""

type _StationOfAccount = tuple[MtecConfigEntry, Station]

_USAGE_SCHEMA = vol.Schema(
    {
        vol.Optional(ATTR_CONFIG_ENTRY): cv.string,
        vol.Optional(ATTR_DEVICE): cv.string,
        vol.Required(ATTR_TYPE): vol.All(cv.string, vol.In([type_.value for type_ in UsageType])),
        vol.Optional(ATTR_START): cv.date,
        vol.Optional(ATTR_END): cv.date,
    }
)
_IMPORT_SCHEMA = vol.Schema(
    {
        vol.Optional(ATTR_CONFIG_ENTRY): cv.string,
        vol.Optional(ATTR_DEVICE): cv.string,
        vol.Optional(ATTR_START): cv.date,
        vol.Optional(ATTR_RESOLUTION, default=Resolution.HOURS.value): vol.All(
            cv.string, vol.In([resolution.value for resolution in Resolution])
        ),
        vol.Optional(ATTR_REFINE, default=False): cv.boolean,
    }
)
_EXPORT_SCHEMA = _USAGE_SCHEMA.extend(
    {
        vol.Optional(ATTR_DECIMAL, default="."): vol.In([*_DECIMAL_CHOICES, *DECIMALS]),
        vol.Optional(ATTR_DELIMITER, default=";"): vol.In([*_DELIMITER_CHOICES, *DELIMITERS]),
        vol.Optional(ATTR_TIMESTAMPS, default=Timestamps.ISO.value): vol.In([each.value for each in Timestamps]),
        vol.Optional(ATTR_FILENAME): cv.string,
    }
)


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    async_setup_battery_services(hass)
    hass.services.async_register(
        DOMAIN,
        "export_csv",
        _async_export_csv,
        schema=_EXPORT_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )
    hass.services.async_register(
        DOMAIN, "get_usage", _async_get_usage, schema=_USAGE_SCHEMA, supports_response=SupportsResponse.ONLY
    )
    async_register_admin_service(
        hass,
        DOMAIN,
        "import_history",
        _async_import_history,
        schema=_IMPORT_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )


async def _async_export_csv(call: ServiceCall) -> ServiceResponse:
    """Write usage to a CSV file, or return it as CSV. Only an administrator may write a file."""
    user = await _async_user(call)
    if ATTR_FILENAME in call.data and user is not None and not user.is_admin:
        raise Unauthorized(context=call.context)
    export = _usage_export(call, user)
    decimal, delimiter = call.data[ATTR_DECIMAL], call.data[ATTR_DELIMITER]
    try:
        csv_format = CsvFormat(
            decimal=_DECIMAL_CHOICES.get(decimal, decimal),
            delimiter=_DELIMITER_CHOICES.get(delimiter, delimiter),
            timestamps=Timestamps(call.data[ATTR_TIMESTAMPS]),
        )
    except ValueError as error:
        raise validation_error("same_separators") from error
    if ATTR_FILENAME not in call.data:
        return await export.async_text(csv_format)
    path = await call.hass.async_add_executor_job(_target, call.hass, call.data[ATTR_FILENAME])
    return await export.async_file(csv_format, path)


async def _async_get_usage(call: ServiceCall) -> ServiceResponse:
    """Return usage."""
    return await _usage_export(call, await _async_user(call)).async_rows()


async def _async_import_history(call: ServiceCall) -> ServiceResponse:
    """Import a station's past into the statistics of its sensors."""
    entry, station = _station(call, None)
    start = call.data.get(ATTR_START)
    if start is not None and start > dt_util.now().date():
        raise validation_error("start_in_future")
    resolution, refine = Resolution(call.data[ATTR_RESOLUTION]), call.data[ATTR_REFINE]
    return await async_import_history(call.hass, entry, station, start, resolution, refine=refine)


async def _async_user(call: ServiceCall) -> User | None:
    """Return the user who called an action, None for Home Assistant itself. Raises UnknownUser."""
    if call.context.user_id is None:
        return None
    if (user := await call.hass.auth.async_get_user(call.context.user_id)) is None:
        raise UnknownUser(context=call.context, permission=POLICY_READ)
    return user


def _usage_export(call: ServiceCall, user: User | None) -> UsageExport:
    """Return the export that an action asks for. Raises ServiceValidationError or Unauthorized."""
    entry, station = _station(call, user)
    try:
        query = UsageQuery(
            type=UsageType(call.data[ATTR_TYPE]),
            start=call.data.get(ATTR_START),
            end=call.data.get(ATTR_END),
            today=dt_util.now().date(),
        )
    except RangeError as error:
        raise range_error(error, station.name) from error
    return UsageExport(
        hass=call.hass, entry=entry, source=entry.runtime_data.history_source, station=station, query=query
    )


def _station(call: ServiceCall, user: User | None) -> _StationOfAccount:
    """Return the account and the station of an action.

    Raises ServiceValidationError, or Unauthorized if the user may not read the station.
    """
    # A blueprint passes an empty string for an input that was not set.
    entry_id, device_id = call.data.get(ATTR_CONFIG_ENTRY) or None, call.data.get(ATTR_DEVICE) or None
    if device_id is not None:
        stations = [_station_of_device(call.hass, device_id, entry_id)]
    else:
        stations = _stations(call.hass, entry_id)
    # The errors below must not name stations that the user may not see.
    readable = [each for each in stations if _is_readable(call.hass, user, *each)]
    if not readable:
        raise Unauthorized(context=call.context, permission=POLICY_READ)
    if len(readable) > 1:
        raise validation_error("several_stations", stations=", ".join(station.name for _, station in readable))
    return readable[0]


def _stations(hass: HomeAssistant, entry_id: str | None) -> list[_StationOfAccount]:
    """Return the stations of an account, of all accounts for None. Raises ServiceValidationError."""
    entries: list[MtecConfigEntry] = (
        hass.config_entries.async_loaded_entries(DOMAIN)
        if entry_id is None
        else [async_get_config_entry(hass, DOMAIN, entry_id)]
    )
    accounts = [entry for entry in entries if entry.runtime_data.has_account]
    if not accounts:
        raise validation_error("no_account")
    stations = [(entry, station) for entry in accounts for station in entry.runtime_data.stations.values()]
    if not stations:
        raise validation_error("no_station")
    return stations


def _is_readable(hass: HomeAssistant, user: User | None, entry: MtecConfigEntry, station: Station) -> bool:
    """Return whether a user may read all entities of a station. Home Assistant itself, None, may."""
    if user is None or user.permissions.access_all_entities(POLICY_READ):
        return True
    device = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, station.id), entry.entry_id)
    entities = (
        []
        if device is None
        else er.async_entries_for_device(er.async_get(hass), device.id, include_disabled_entities=True)
    )
    return bool(entities) and all(user.permissions.check_entity(each.entity_id, POLICY_READ) for each in entities)


def _station_of_device(hass: HomeAssistant, device_id: str, entry_id: str | None) -> _StationOfAccount:
    """Return the account and the station of the device of a station or an inverter. Raises ServiceValidationError."""
    device = dr.async_get(hass).async_get(device_id)
    ids = [] if device is None else [id_ for domain, id_ in device.identifiers if domain == DOMAIN]
    if device is None or not ids or entry_id not in {None, device.config_entry_id}:
        raise validation_error("unknown_device")
    entry: MtecConfigEntry = async_get_config_entry(hass, DOMAIN, device.config_entry_id)
    if not entry.runtime_data.has_account:
        raise validation_error("no_account")
    if (station := entry.runtime_data.station_of(ids[0])) is None:
        raise validation_error("unknown_device")
    return entry, station


def _target(hass: HomeAssistant, filename: str) -> Path:
    """Return the path of a file to write. Blocks. Raises ServiceValidationError if it must not be written."""
    typed = Path(filename)
    if not filename.isprintable() or typed.suffix.lower() != ".csv" or len(typed.name.encode()) > _LONGEST_NAME:
        raise validation_error("bad_filename", filename=filename)
    # With a folder before it, a colon does not make a drive of what is before it.
    if "\\" in typed.name or ntpath.isreserved(f"./{typed.name}"):
        raise validation_error("name_not_portable", filename=typed.name)
    own_folder = Path(hass.config.path(DOMAIN)).resolve()
    if typed.is_absolute():
        return _allowed_path(hass, own_folder, filename)
    if "/" in filename:
        raise validation_error("bad_filename", filename=filename)
    return own_folder / filename


def _allowed_path(hass: HomeAssistant, own_folder: Path, filename: str) -> Path:
    """Return the resolved path of an absolute file name. Raises ServiceValidationError if it is not allowed."""
    try:
        path = Path(filename).resolve()
        allowed = path.parent == own_folder or hass.config.is_allowed_path(str(path))
    except (OSError, RuntimeError) as error:
        raise validation_error("path_not_allowed", path=filename) from error
    if not allowed or path.is_dir():
        raise validation_error("path_not_allowed", path=filename)
    return path
