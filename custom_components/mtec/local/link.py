"""How an inverter is reached, and finding that out."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Final

from modbus_connection import ModbusSerialParams, ModbusTcpParams, ModbusUnit

from custom_components.mtec.models import InverterIdentity
from custom_components.mtec.sources import ResponseError, SourceError

from .errors import ConnectionHeldError, NoAnswerError, UnreachableError
from .exchange import USUAL, Timing
from .inverter import LocalInverter

_BAUD_RATE: Final = 115200
"""Without a meaning over a network, but part of what Home Assistant compares to share a connection."""


class Framing(StrEnum):
    """How requests are framed: as on a serial line, or as Modbus/TCP."""

    RTU = "rtu"
    TCP = "tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where at an address an inverter answers, and how."""

    port: int
    framing: Framing
    unit_id: int

    def params(self, host: str) -> ModbusSerialParams | ModbusTcpParams:
        """Return the parameters of a connection to a host name or address."""
        if self.framing is Framing.TCP:
            return ModbusTcpParams(host=host, port=self.port)
        written = f"[{host}]" if ":" in host else host.lower()
        return ModbusSerialParams(device=f"socket://{written}:{self.port}", framer="rtu", baudrate=_BAUD_RATE)


LINKS: Final = (
    Link(port=502, framing=Framing.RTU, unit_id=252),
    Link(port=5743, framing=Framing.RTU, unit_id=252),
    Link(port=502, framing=Framing.TCP, unit_id=255),
    Link(port=502, framing=Framing.TCP, unit_id=247),
)
"""The links of known inverters, in the order in which they are tried."""


def links(port: int | None = None, framing: Framing | None = None, unit_id: int | None = None) -> tuple[Link, ...]:
    """Return the links to try if a person knows some of it; what they do not know is None."""
    found = tuple(
        Link(
            port=link.port if port is None else port,
            framing=link.framing,
            unit_id=link.unit_id if unit_id is None else unit_id,
        )
        for link in LINKS
        if framing in {None, link.framing}
    )
    # Without those that have become the same.
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An inverter that answered, and on which link."""

    link: Link
    identity: InverterIdentity


type OpenUnit = Callable[[Link], AbstractAsyncContextManager[ModbusUnit]]
"""Opens a connection for a link, closed at the end of the context."""


async def probe(open_unit: OpenUnit, to_try: Iterable[Link] = LINKS, timing: Timing = USUAL) -> Found:
    """Return the first link on which an inverter answers, and which inverter it is.

    Raises UnsupportedHardwareError, NotAnInverterError if something else answers, ConnectionHeldError if another client
    seems to be connected, NoAnswerError if nothing answers, or any SourceError if the inverter stops answering. Raises
    what `open_unit` raises.
    """
    failures: list[SourceError] = []
    closed: set[int] = set()
    for link in to_try:
        if link.port in closed:
            continue
        async with open_unit(link) as unit:
            inverter = LocalInverter(unit, time_zone=UTC, timing=timing)
            try:
                return Found(link=link, identity=await inverter.identify())
            except SourceError as error:
                if inverter.serial_number is not None:
                    # On another link it cannot be better.
                    raise
                failures.append(error)
                if isinstance(error, UnreachableError):
                    closed.add(link.port)
            finally:
                inverter.close()
    raise _most_telling(failures)


def _most_telling(failures: Sequence[SourceError]) -> SourceError:
    for kind in (ResponseError, ConnectionHeldError):
        for error in failures:
            if isinstance(error, kind):
                return error
    return next(iter(failures), NoAnswerError("There is nothing to try"))
