"""The actions that tell the battery of an inverter in the network what to do."""

from datetime import timedelta
from functools import partial
from typing import Final

from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.const import Platform
from homeassistant.core import Context, HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import Unauthorized, UnknownUser
from homeassistant.helpers import config_validation as cv, device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util
import voluptuous as vol

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.errors import validation_error
from custom_components.mtec.settings import SettingsCoordinator

from .command import LONGEST, CommandKind
from .commands import async_battery_commands

ATTR_DEVICE: Final = "device"
ATTR_POWER: Final = "power"
ATTR_DURATION: Final = "duration"
ATTR_UNTIL: Final = "until_state_of_charge"

_SHORTEST: Final = timedelta(minutes=1)
_POWER_STEP: Final = 10
_CALLERS: Final = ("automation", "script")

_DEVICE = {vol.Optional(ATTR_DEVICE): cv.string}
_FLOW_SCHEMA = vol.Schema(
    {
        **_DEVICE,
        vol.Required(ATTR_POWER): vol.All(vol.Coerce(float), vol.Range(min=_POWER_STEP)),
        vol.Optional(ATTR_UNTIL): vol.All(vol.Coerce(float), vol.Range(min=0, max=100)),
        vol.Optional(ATTR_DURATION): cv.positive_time_period,
    }
)
_HOLD_SCHEMA = vol.Schema({**_DEVICE, vol.Required(ATTR_DURATION): cv.positive_time_period})
_END_SCHEMA = vol.Schema(_DEVICE)


@callback
def async_setup_battery_services(hass: HomeAssistant) -> None:
    """Register the actions."""
    for kind, schema in (
        (CommandKind.CHARGE, _FLOW_SCHEMA),
        (CommandKind.DISCHARGE, _FLOW_SCHEMA),
        (CommandKind.HOLD, _HOLD_SCHEMA),
    ):
        hass.services.async_register(
            DOMAIN,
            f"{kind}_battery",
            partial(_async_begin, kind),
            schema=schema,
            supports_response=SupportsResponse.OPTIONAL,
        )
    hass.services.async_register(
        DOMAIN, "end_battery_command", _async_end, schema=_END_SCHEMA, supports_response=SupportsResponse.OPTIONAL
    )


async def _async_begin(kind: CommandKind, call: ServiceCall) -> ServiceResponse:
    """Tell a battery what to do, and return what was set and when it ends."""
    settings = await _async_settings(call)
    duration: timedelta | None = call.data.get(ATTR_DURATION)
    until: float | None = call.data.get(ATTR_UNTIL)
    if duration is None and until is None:
        raise validation_error("no_end_given")
    if duration is not None and not _SHORTEST <= duration <= LONGEST:
        raise validation_error("duration_out_of_range")
    power = _power(settings, call.data.get(ATTR_POWER, 0.0))
    _check_state_of_charge(settings, kind, until)
    commands = async_battery_commands(call.hass)
    replaces = commands.store.get(settings.id) is not None
    try:
        command = await commands.async_begin(
            settings.network,
            kind,
            power,
            until=dt_util.utcnow() + (duration or LONGEST),
            until_state_of_charge=until,
            began_by=await _async_name(call.hass, call.context),
        )
    finally:
        await settings.async_refresh()
    return {
        "command": kind.value,
        "power": command.power,
        "ends_at": command.until.isoformat(),
        "until_state_of_charge": command.until_state_of_charge,
        "replaces_another": replaces,
    }


async def _async_end(call: ServiceCall) -> ServiceResponse:
    """End a command to a battery, and return whether there was one."""
    settings = await _async_settings(call)
    try:
        ended = await async_battery_commands(call.hass).async_end(settings.id)
    finally:
        await settings.async_refresh()
    mode = None if settings.reading is None else settings.reading.mode
    return {"ended": ended, "mode": None if mode is None else mode.value}


def _power(settings: SettingsCoordinator, power: float) -> float:
    """Return a power as it can be told, in W. Raises ServiceValidationError."""
    rated = settings.network.identity.rated_power
    if rated is not None and power > rated:
        raise validation_error("power_out_of_range", highest=f"{rated:g}")
    return round(power / _POWER_STEP) * float(_POWER_STEP)


def _check_state_of_charge(settings: SettingsCoordinator, kind: CommandKind, until: float | None) -> None:
    """Raise ServiceValidationError if the state of charge to end at is reached already."""
    reading = settings.network.reading
    now = None if reading is None else reading.battery.state_of_charge
    if until is None or now is None:
        return
    if now >= until if kind is CommandKind.CHARGE else now <= until:
        raise validation_error("state_of_charge_reached", now=f"{now:g}", until=f"{until:g}")


async def _async_settings(call: ServiceCall) -> SettingsCoordinator:
    """Return the settings of the inverter that an action is for. Raises ServiceValidationError or Unauthorized."""
    found = _loaded_settings(call.hass)
    if device_id := call.data.get(ATTR_DEVICE):
        device = dr.async_get(call.hass).async_get(device_id)
        identifiers = set() if device is None else device.identifiers
        found = [settings for settings in found if (DOMAIN, settings.id) in identifiers]
    if not found:
        raise validation_error("no_settings")
    if len(found) > 1:
        raise validation_error("several_inverters")
    await _async_check_permission(call, found[0])
    return found[0]


@callback
def _loaded_settings(hass: HomeAssistant) -> list[SettingsCoordinator]:
    """Return the settings of all inverters that have them switched on and are loaded."""
    entries = hass.config_entries.async_loaded_entries(DOMAIN)
    return [settings for entry in entries for settings in entry.runtime_data.settings.values()]


async def _async_check_permission(call: ServiceCall, settings: SettingsCoordinator) -> None:
    """Raise Unauthorized if a user may not control the mode of the inverter, UnknownUser if there is none such."""
    if call.context.user_id is None:
        return
    if (user := await call.hass.auth.async_get_user(call.context.user_id)) is None:
        raise UnknownUser(context=call.context, permission=POLICY_CONTROL)
    entity_id = er.async_get(call.hass).async_get_entity_id(Platform.SELECT, DOMAIN, f"{settings.id}_mode")
    if not user.permissions.check_entity(entity_id or "", POLICY_CONTROL):
        raise Unauthorized(context=call.context, permission=POLICY_CONTROL)


async def _async_name(hass: HomeAssistant, context: Context) -> str | None:
    """Return the name of the automation, script or person that called an action, None if it is not known."""
    ids = {context.id, context.parent_id} - {None}
    for state in hass.states.async_all(_CALLERS):
        if state.context.id in ids:
            return state.name
    user = None if context.user_id is None else await hass.auth.async_get_user(context.user_id)
    return None if user is None else user.name
