"""The inverter in the home network, read over its own Modbus without the portal."""

import argparse
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import tzinfo
from functools import partial
import logging
from typing import Any, cast

from modbus_connection import ModbusUnit
from modbus_connection.tmodbus import ModbusConnection

from custom_components.mtec.local.inverter import LocalInverter
from custom_components.mtec.local.link import Found, Framing, Link, links, probe
from custom_components.mtec.local.registers import RegisterValue
from custom_components.mtec.models import InverterIdentity, InverterReading

from .output import data_of, print_json, print_readings
from .stand_ins import StandIns

_LOGGERS = ("modbus_connection", "tmodbus", "serialx")
"""Loggers that report on the standard error what the command itself reports."""


class LocalReader:
    """An inverter in the home network that is read again and again. It is looked for until it is found."""

    def __init__(self, stack: AsyncExitStack, host: str, zone: tzinfo, arguments: argparse.Namespace) -> None:
        _silence()
        self._stack = stack
        self._host = host
        self._zone = zone
        framing = None if arguments.framing is None else Framing(arguments.framing)
        self._links = links(arguments.port, framing, arguments.unit)
        self._inverter: LocalInverter | None = None

    async def read(self) -> tuple[InverterIdentity, InverterReading]:
        """Return who it is, and its reading. Raises SourceError."""
        if self._inverter is None:
            found = await probe(partial(_open_unit, self._host), self._links)
            unit = await self._stack.enter_async_context(_open_unit(self._host, found.link))
            self._inverter = LocalInverter(unit, time_zone=self._zone, identity=found.identity)
            self._stack.callback(self._inverter.close)
        reading = await self._inverter.reading()
        # It is known once it was read.
        return cast("InverterIdentity", self._inverter.identity), reading


@asynccontextmanager
async def _open_unit(host: str, link: Link) -> AsyncIterator[ModbusUnit]:
    connection = ModbusConnection(link.params(host))
    try:
        yield connection.for_unit(link.unit_id)
    finally:
        await connection.close()


def _silence() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(logging.NullHandler())


async def show_local_inverter(stand_ins: StandIns, zone: tzinfo, arguments: argparse.Namespace) -> None:
    """Print the reading of an inverter in the home network, or its registers. Raises SourceError."""
    _silence()
    host: str = arguments.local
    framing = None if arguments.framing is None else Framing(arguments.framing)
    found = await probe(partial(_open_unit, host), links(arguments.port, framing, arguments.unit))
    stand_ins.add("inverter-1", found.identity.serial_number)
    async with _open_unit(host, found.link) as unit:
        inverter = LocalInverter(unit, time_zone=zone)
        try:
            reading = await inverter.reading()
            if not arguments.raw:
                _print(found, {"reading": data_of(reading)}, stand_ins, as_json=arguments.json)
        finally:
            # What was read before an error is worth to be seen.
            if arguments.raw:
                registers = [_shown(register, stand_ins) for register in inverter.registers()]
                _print(found, {"registers": registers}, stand_ins, as_json=arguments.json)
            inverter.close()


def _print(found: Found, data: dict[str, Any], stand_ins: StandIns, *, as_json: bool) -> None:
    serial_number = stand_ins.shown(found.identity.serial_number)
    if as_json:
        print_json([asdict(found.identity) | asdict(found.link) | {"serial_number": serial_number} | data])
        return
    model, firmware = found.identity.model or "unknown model", found.identity.firmware or "unknown firmware"
    link = f"port {found.link.port}, {found.link.framing}, unit {found.link.unit_id}"
    title = f"{serial_number}  ({model}, {firmware}; {link})"
    if "reading" in data:
        print_readings([{"name": title, "reading": data["reading"]}], as_json=False)
        return
    print(title)
    for register in data["registers"]:
        words = " ".join(register["words"])
        value = "dropped" if register["value"] is None else f"{register['value']} {register['unit'] or ''}"
        print(f"  {register['address']:5}  {words:39}  {register['name'].replace('_', ' '):28} {value}".rstrip())


def _shown(register: RegisterValue, stand_ins: StandIns) -> dict[str, Any]:
    """Return a register as it is shown: words in hexadecimal, nothing of a serial number that is hidden."""
    shown = asdict(register) | {"words": [f"{word:04x}" for word in register.words]}
    if register.name == "serial_number":
        shown["value"] = stand_ins.shown(str(register.value).strip())
        if stand_ins.hide:
            shown["words"] = ["hidden"]
    return shown
