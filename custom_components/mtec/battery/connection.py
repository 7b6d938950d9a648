"""The connection to an inverter that is to be controlled, also if its home is not loaded."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from homeassistant.components.modbus import async_get_temporary_unit
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from custom_components.mtec.local.controls import Controls
from custom_components.mtec.local.inverter import LocalInverter
from custom_components.mtec.local.link import Link
from custom_components.mtec.models import InverterIdentity
from custom_components.mtec.network import TIMING, NetworkInverter

from .command import BatteryCommand


def address_of(network: NetworkInverter) -> dict[str, Any]:
    """Return what is stored of where an inverter answers."""
    return {
        "host": network.host,
        "port": network.link.port,
        "framing": network.link.framing,
        "unit_id": network.link.unit_id,
        "model": network.identity.model,
        "rated_power": network.identity.rated_power,
    }


@asynccontextmanager
async def open_controls(hass: HomeAssistant, command: BatteryCommand) -> AsyncGenerator[Controls]:
    """Provide the controls of the inverter of a command, over a link of their own.

    Raises HomeAssistantError if another integration uses the address with other settings.
    """
    link = Link(port=command.port, framing=command.framing, unit_id=command.unit_id)
    identity = InverterIdentity(
        serial_number=command.serial_number, model=command.model, rated_power=command.rated_power
    )
    async with async_get_temporary_unit(hass, link.params(command.host), link.unit_id) as unit:
        inverter = LocalInverter(unit, time_zone=dt_util.get_default_time_zone(), identity=identity, timing=TIMING)
        try:
            yield Controls(inverter, hass.loop.time)
        finally:
            inverter.close()
