"""What is published of a plant, read from a simulated portal or from a simulated inverter."""

from datetime import datetime
import json
from pathlib import Path
from typing import Final

import aiohttp
from modbus_connection.tmodbus import ModbusConnection

from custom_components.mtec.energies import has_grid_meter
from custom_components.mtec.local.exchange import Timing
from custom_components.mtec.local.inverter import LocalInverter
from custom_components.mtec.local.link import Framing, Link
from custom_components.mtec.portal import Credentials, digest_of
from custom_components.mtec.publishing.layouts import (
    Format,
    InverterValues,
    Layout,
    inverter_messages,
    station_messages,
    supported_row,
    topic_levels,
)
from tests.clients import BERLIN, client_of
from tests.conftest import NOON
from tests.inverter_simulator import InverterSimulator
from tests.portal_simulator import PlantDescription, PortalSimulator

API: Final = Format(layout=Layout.M_TEC_API)
TOOL: Final = Format(layout=Layout.MTECMQTT)

_GOLDEN: Final = Path(__file__).parent / "golden" / "mqtt"


def golden(name: str) -> dict[str, str]:
    """Return the topics and texts of a golden list."""
    found: dict[str, str] = json.loads((_GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return found


async def messages_of(simulator: PortalSimulator, account: str, layout: Layout, now: datetime = NOON) -> dict[str, str]:
    """Return what is published of an account of the portal, whose clock stands still."""
    email = f"{account}@example.com"
    credentials = Credentials(email, digest_of(simulator.accounts[email].password))
    format_ = Format(layout=layout)
    found: dict[str, str] = {}
    async with aiohttp.ClientSession() as http:
        client = client_of(http, simulator.url, credentials)
        stations = await client.stations()
        levels = topic_levels({station.id: station.name for station in stations})
        for station in stations:
            reading = await client.station_reading(station.id)
            found |= station_messages(format_, levels[station.id], reading)
            inverters = await client.inverters(station.id)
            rows = await client.month_rows(station.id, now.year, now.month)
            row = next(each for each in rows if each.start == now.date())
            today = supported_row(row, rows, reading, has_meter=has_grid_meter(rows, reading))
            names = topic_levels({inverter.serial_number: inverter.name for inverter in inverters})
            alone = len(inverters) == 1
            for inverter in inverters:
                serial = inverter.serial_number
                values = InverterValues(
                    serial_number=serial,
                    reading=await client.inverter_reading(station.id, serial),
                    station=reading if alone else None,
                    today=today if alone else None,
                )
                path = (levels[station.id], names[serial]) if layout is Layout.M_TEC_API else (serial,)
                found |= inverter_messages(format_, path, values)
    return found


async def local_values(description: PlantDescription, now: datetime = NOON) -> InverterValues:
    """Return what the first inverter of a plant says of itself in the network."""
    async with InverterSimulator(description, seed=1, now=now, framing="tcp") as simulator:
        connection = ModbusConnection(
            Link(port=simulator.port, framing=Framing.TCP, unit_id=simulator.unit).params(simulator.host)
        )
        try:
            inverter = LocalInverter(connection.for_unit(simulator.unit), time_zone=BERLIN, timing=Timing(spacing=0))
            reading = await inverter.reading()
            assert inverter.identity is not None
            inverter.close()
        finally:
            await connection.close()
    return InverterValues(
        serial_number=inverter.identity.serial_number, reading=reading, firmware=inverter.identity.firmware
    )
