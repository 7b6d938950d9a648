"""Requests to an inverter, one after the other, on a link that is dropped if an answer may still be under way."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from modbus_connection import (
    AcknowledgeError,
    GatewayPathUnavailableError,
    GatewayTargetError,
    ModbusConnectionError,
    ModbusError,
    ModbusExceptionError,
    ModbusProtocolError,
    ModbusUnit,
    ServerDeviceBusyError,
)

from custom_components.mtec.sources import BusyError, ResponseError, SourceError

from .errors import (
    ConnectionClosedError,
    ConnectionHeldError,
    NoAnswerError,
    RefusedError,
    UnreachableError,
    WriteRefusedError,
)
from .registers import Block

_LONGEST: Final = 3
"""Waiting for its turn and the answer together take at most so many time-outs."""
_LONGEST_CONNECTING: Final = 15.0
"""Seconds for a read that connects first. The library tries for 10 s, and logs an error if it is stopped earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds after which an answer does not come any more, and between requests: more of them hang some sticks."""

    timeout: float = 5.0
    spacing: float = 0.05


USUAL: Final = Timing()


class Exchange:
    """Reads blocks of registers, and writes registers. Drops the link whenever an answer may still be under way.

    An inverter answers without saying to which question: on the same link, a late answer would be taken for that to the
    next question of the same length.
    """

    def __init__(self, unit: ModbusUnit, timing: Timing) -> None:
        self._limit = timing.timeout
        # The units of Home Assistant 2026.9 do not have it: there a read as a whole has the time of an answer.
        if require_timeout := getattr(unit, "require_timeout", None):
            require_timeout(timing.timeout)
            self._limit *= _LONGEST
        unit.set_message_spacing(timing.spacing)
        self._unit = unit
        self._timeout = timing.timeout
        self._unsettled = False
        self._lost = False
        self._links = 0
        self._unsubscribe = unit.on_connection_lost(self._connection_lost)

    def close(self) -> None:
        """Stop listening to the connection."""
        self._unsubscribe()

    @property
    def link(self) -> int | None:
        """The number of the link, another one after each reconnect; None while there is none."""
        return self._links if self._unit.connected else None

    async def settle(self) -> None:
        """Drop the link if an answer may still be under way because a read was cancelled."""
        if self._unsettled:
            await self.disconnect()

    async def read(self, block: Block) -> dict[int, int | bool]:
        """Read a block, and return its words by address. Raises SourceError."""
        try:
            raw = await self._request(lambda: block.async_read_raw(notify=False))
        except ModbusExceptionError as error:
            raise _refusal(error) from error
        return raw["holding"]

    async def write(self, address: int, word: int) -> None:
        """Write one register. Raises SourceError; unless it is WriteRefusedError, it may have been written."""
        try:
            await self._request(lambda: self._unit.write_register(address, word))
        except ModbusExceptionError as error:
            refusal = _refusal(error)
            if not isinstance(refusal, RefusedError):
                raise refusal from error
            code = error.exception_code
            raise WriteRefusedError(None if code is None else int(code)) from error

    async def _request[AnswerT](self, send: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Send a request, and return its answer. Raises SourceError, or ModbusExceptionError if it is refused."""
        await self.settle()
        is_new = not self._unit.connected
        self._lost = False
        # Until the answer is there, in case that this task is cancelled.
        self._unsettled = True
        try:
            async with asyncio.timeout(_LONGEST_CONNECTING if is_new else self._limit):
                answer = await send()
        except ModbusExceptionError:
            self._settled(is_new=is_new)
            raise
        except (ModbusError, OSError) as error:
            # An OSError of a connection that was closed while it was idle is not always turned into a ModbusError.
            failure = self._failure(error, is_new=is_new)
            await self.disconnect()
            raise failure from error
        self._settled(is_new=is_new)
        return answer

    async def disconnect(self) -> None:
        """Drop the link. The next read opens a new one."""
        self._links += 1
        with suppress(ModbusError):
            await self._unit.disconnect()
        self._unsettled = False

    def _settled(self, *, is_new: bool) -> None:
        self._unsettled = False
        self._links += is_new

    def _connection_lost(self) -> None:
        self._lost = True
        self._links += 1

    def _failure(self, error: ModbusError | OSError, *, is_new: bool) -> SourceError:
        """Return the error of a request that was not answered, or not with a frame that fits."""
        if isinstance(error, TimeoutError):
            return NoAnswerError(f"The inverter did not answer within {self._timeout:g} s")
        if isinstance(error, ModbusProtocolError):
            return ResponseError("The inverter sent a frame that does not fit the request")
        if not isinstance(error, ModbusConnectionError | OSError):
            return ResponseError("The inverter sent an answer that makes no sense")
        if not self._lost and isinstance(error, ModbusConnectionError):
            return UnreachableError("The inverter cannot be reached")
        if is_new:
            return ConnectionHeldError(
                "The connection was closed at once from the other side: another client seems to hold it"
            )
        return ConnectionClosedError("The inverter closed the connection")


def _refusal(error: ModbusExceptionError) -> SourceError:
    """Return the error of a request that was answered with an exception code."""
    if isinstance(error, ServerDeviceBusyError | AcknowledgeError):
        return BusyError("The inverter is busy")
    if isinstance(error, GatewayTargetError | GatewayPathUnavailableError):
        return NoAnswerError("The gateway answers, but the inverter behind it does not")
    code = error.exception_code
    return RefusedError(f"The inverter refuses to read registers (code {'unknown' if code is None else int(code)})")
