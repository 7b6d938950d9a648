"""Modbus frames: RTU frames with their CRC, sent over TCP by the stick, and those of Modbus/TCP."""

from collections.abc import Callable
from dataclasses import dataclass
import struct
from typing import Literal

type FramingName = Literal["rtu", "tcp"]

LONGEST = 260
"""Bytes of the longest frame."""


@dataclass(frozen=True)
class Frame:
    """A request or an answer without what carries it; `transaction` is used in Modbus/TCP alone."""

    unit: int
    pdu: bytes
    transaction: int = 0


@dataclass(frozen=True)
class Framing:
    """A way to carry frames.

    `take` removes the first request from a buffer, or returns None until more of it has come. What cannot be the
    beginning of a request is thrown away. `encode` is the bytes of a frame, `spoil` makes them ones that do not fit.
    """

    unit: int
    take: Callable[[bytearray], Frame | None]
    encode: Callable[[Frame], bytes]
    spoil: Callable[[bytes], bytes]


def crc(data: bytes) -> bytes:
    """Return the CRC of an RTU frame, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


_FIXED_LENGTHS = dict.fromkeys(range(1, 7), 8)
_MULTIPLE = (15, 16)


def _rtu_length(buffer: bytearray) -> int:
    """Bytes of the RTU request at the start of a buffer. A function that is not known has all that has come."""
    function = buffer[1]
    if function in _MULTIPLE:
        return 9 + buffer[6] if len(buffer) > 6 else LONGEST
    return _FIXED_LENGTHS.get(function, len(buffer))


def _take_rtu(buffer: bytearray) -> Frame | None:
    if len(buffer) < 4 or len(buffer) < (length := _rtu_length(buffer)):
        return None
    data = bytes(buffer[:length])
    if crc(data[:-2]) != data[-2:]:
        # Where the next frame begins is not known: all is lost until the sender pauses.
        buffer.clear()
        return None
    del buffer[:length]
    return Frame(data[0], data[1:-2])


def _encode_rtu(frame: Frame) -> bytes:
    data = bytes([frame.unit]) + frame.pdu
    return data + crc(data)


def _spoil_rtu(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 0x55])


_HEADER = struct.Struct(">HHHB")


def _take_tcp(buffer: bytearray) -> Frame | None:
    if len(buffer) < _HEADER.size:
        return None
    transaction, protocol, length, unit = _HEADER.unpack_from(buffer)
    if protocol != 0 or not 2 <= length <= LONGEST:
        buffer.clear()
        return None
    if len(buffer) < 6 + length:
        return None
    pdu = bytes(buffer[_HEADER.size : 6 + length])
    del buffer[: 6 + length]
    return Frame(unit, pdu, transaction)


def _encode_tcp(frame: Frame) -> bytes:
    return _HEADER.pack(frame.transaction, 0, len(frame.pdu) + 1, frame.unit) + frame.pdu


def _spoil_tcp(data: bytes) -> bytes:
    """There is no checksum to be wrong: the answer names another transaction."""
    return bytes([data[0] ^ 0x55]) + data[1:]


FRAMINGS: dict[FramingName, Framing] = {
    "rtu": Framing(252, _take_rtu, _encode_rtu, _spoil_rtu),
    "tcp": Framing(255, _take_tcp, _encode_tcp, _spoil_tcp),
}
"""The framings by their names, each with the unit that it usually goes with."""
