"""The requests of Modbus that the inverter knows, and its refusals."""

from dataclasses import dataclass
import struct

READ, WRITE, WRITE_SEVERAL = 3, 6, 16
MOST_READ, MOST_WRITTEN = 125, 123

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3

_FAILED = 0x80


class RefusedError(Exception):
    """An exception of Modbus in place of an answer."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class UnansweredError(Exception):
    """There is no answer; `hangs` if neither is one to what follows, `resets` if the connection ends."""

    def __init__(self, *, hangs: bool = False, resets: bool = False) -> None:
        super().__init__()
        self.hangs = hangs
        self.resets = resets


@dataclass(eq=False)
class Request:
    """A request the simulator has received.

    `values` are the raw words to be written. `connection` counts the connections of the simulator. `started` and
    `ended` are in seconds of the event loop's clock; `ended` is None while the request is being answered. `exception`
    is the code of the Modbus exception it was answered with, None if it was not refused. `answered` says whether bytes
    of an answer were sent by then. `faults` are the names of those that strike it.
    """

    function: int
    address: int
    count: int
    values: tuple[int, ...] = ()
    connection: int = 0
    started: float = 0.0
    ended: float | None = None
    exception: int | None = None
    answered: bool = False
    faults: tuple[str, ...] = ()

    @property
    def is_write(self) -> bool:
        """Whether it is to change something."""
        return self.function in {WRITE, WRITE_SEVERAL}


def parse(pdu: bytes) -> Request:
    """Return the request that a PDU holds. A function that the inverter does not know has address and count 0."""
    function, rest = pdu[0], pdu[1:]
    if function not in {READ, WRITE, WRITE_SEVERAL} or len(rest) < 4:
        return Request(function, 0, 0)
    address, second = struct.unpack_from(">HH", rest)
    if function == READ:
        return Request(function, address, second)
    if function == WRITE:
        return Request(function, address, 1, (second,))
    words = rest[5:]
    return Request(function, address, second, struct.unpack(f">{len(words) // 2}H", words[: len(words) // 2 * 2]))


def check(request: Request) -> None:
    """Raise RefusedError if no inverter could answer a request."""
    if request.function not in {READ, WRITE, WRITE_SEVERAL}:
        raise RefusedError(ILLEGAL_FUNCTION)
    most = MOST_READ if request.function == READ else MOST_WRITTEN
    if not 1 <= request.count <= most or (request.is_write and len(request.values) != request.count):
        raise RefusedError(ILLEGAL_VALUE)
    if request.address + request.count > 0x10000:
        raise RefusedError(ILLEGAL_ADDRESS)


def read_answer(words: list[int]) -> bytes:
    """Return the PDU that answers a read."""
    return struct.pack(f">BB{len(words)}H", READ, 2 * len(words), *words)


def write_answer(request: Request) -> bytes:
    """Return the PDU that confirms a write."""
    return struct.pack(
        ">BHH",
        request.function,
        request.address,
        request.values[0] if request.function == WRITE else request.count,
    )


def exception_answer(request: Request, code: int) -> bytes:
    """Return the PDU of an exception."""
    return bytes([request.function | _FAILED, code])
