"""The simulated inverter as a Modbus server on this machine."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from random import Random
import socket
import struct
from typing import Literal, Self, override

from tests.portal_simulator import BARN, CABIN, FARM, HOUSE, Clock, Inverter, PlantDescription, Station, plant_of

from .commanded import CommandedPlant
from .faults import SLOW, Faults, Strike
from .frames import FRAMINGS, Frame, FramingName
from .modbus import (
    ILLEGAL_ADDRESS,
    RefusedError,
    Request,
    UnansweredError,
    check,
    exception_answer,
    parse,
    read_answer,
    write_answer,
)
from .registers import KNOWN, View, words
from .settings import SETTINGS, Settings

PLANTS = {"house": HOUSE, "barn": BARN, "farm": FARM, "cabin": CABIN}
"""The plants by their names."""

DELAY = (0.05, 0.5)
"""The shortest and longest time in s that an inverter takes for an answer."""

HANG = 60.0
"""Seconds for which a stick hangs."""

FIRMWARE = bytes([1, 0, 0, 1, 27, 52, 4, 0])
"""V1.0.0.1-V27.52.4.0"""

_PAUSE = 0.5
"""Seconds after which the rest of an unfinished request is forgotten."""

_LONGEST_SERIAL = 16

type SecondClient = Literal["refused", "replaces"]
"""What becomes of a client beside the first: its connection is reset, or that of the first is."""
type Unknown = Literal["hang", "refuse", "zeros"]
"""What becomes of a read that has an unknown register: the stick hangs, it is refused, or the register is 0."""


def find_inverter(plant: PlantDescription | None, serial: str | None) -> tuple[PlantDescription, Inverter]:
    """Return the inverter with a serial number, and its plant.

    Without a plant it is the one that has this inverter, or the house. Where the plant has no such inverter, its first
    one gets the serial number. Raises ValueError if that is too long.
    """
    if serial is not None and not (serial.isascii() and 0 < len(serial) <= _LONGEST_SERIAL):
        raise ValueError(f"{serial!r} is no serial number")
    for description in [plant] if plant else PLANTS.values():
        for inverter in description.inverters:
            if inverter.serial == serial:
                return description, inverter
    description = plant or HOUSE
    first = description.inverters[0]
    return description, first if serial is None else replace(first, serial=serial)


class InverterSimulator:
    """An inverter of a plant, served at `host` and `port` while the context is entered.

    It speaks RTU frames over TCP as unit 252, or Modbus/TCP as unit 255; requests to other units are not answered.

    `plant` and `serial_number` choose the inverter: without a plant the one that has the inverter, or the house.
    `seed`, `now` and `running` are those of the portal's simulator, and with the same ones both say the same. With
    `clock` it lives in the time of another simulator; with `station`, which the portal's accounts have, it shares the
    grid's outage and the faults. To let a portal see what commands make of the plant, give it this simulator's `plant`:
    `portal.plants[description.station_id] = inverter.plant`.

    `requests` has every request received, in order, `writes` address and word of those that asked for a change.
    `delay` is between how many seconds an answer takes, `sleep` how those wait that take time. `raw` has words that are
    read in place of what registers hold. `lacking` are registers that this stick does not know, in addition to those
    that none does; `unknown` says what becomes of a read of one, `hang` for how many seconds a stick hangs, and `slow`
    how many a slow answer takes. `second_client` says which one of two clients is reset. `after_answer` is called with
    each request once it has been answered, or has not been.

    Where a test freezes the time, the event loop's clock stands still too: what takes time lasts until time is moved.
    """

    def __init__(
        self,
        plant: PlantDescription | None = None,
        serial_number: str | None = None,
        *,
        seed: int = 1,
        now: datetime | None = None,
        running: bool = False,
        clock: Clock | None = None,
        station: Station | None = None,
        port: int = 0,
        framing: FramingName = "rtu",
        unit: int | None = None,
        delay: tuple[float, float] = (0.0, 0.0),
        second_client: SecondClient = "refused",
        unknown: Unknown = "hang",
    ) -> None:
        if plant is None and station is not None:
            plant = station.description
        self.description, self._inverter = find_inverter(plant, serial_number)
        self.clock = clock or Clock(now, running=running)
        self.plant = CommandedPlant(plant_of(self.description, seed), self.clock, self._inverter)
        self.station = station or Station(self.description)
        self.settings = Settings(self._inverter)
        self.framing = FRAMINGS[framing]
        self.unit = self.framing.unit if unit is None else unit
        self.host, self.port = "127.0.0.1", port
        self.firmware = FIRMWARE
        self.delay = delay
        self.hang = HANG
        self.slow = SLOW
        self.second_client: SecondClient = second_client
        self.unknown: Unknown = unknown
        self.lacking: set[int] = set()
        self.raw: dict[int, int] = {}
        self.faults = Faults()
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self.requests: list[Request] = []
        self.after_answer: Callable[[Request], None] = lambda _: None
        self.connections = 0
        """Connections that clients have opened, those that were reset at once too."""
        self.received = 0
        """Bytes of all requests."""
        self.sent = 0
        """Bytes of all answers."""
        self._random = Random(seed)  # noqa: S311
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._hangs_until = 0.0

    async def __aenter__(self) -> Self:
        """Begin to serve."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cease to serve."""
        await self.stop()

    async def start(self) -> None:
        """Be in the network, at the same port as before."""
        # The years up to now are computed before anybody asks.
        self.words(31102)
        self._hangs_until = 0.0
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), self.host, self.port, reuse_address=True
        )
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Be gone from the network. Settings and what the battery holds stay."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self.disconnect()
            await asyncio.gather(*(connection.task for connection in self._open), return_exceptions=True)
            await server.wait_closed()

    async def restart(self) -> None:
        """Reset all connections and be back at once. Add the fault `zeros` for values that take their time."""
        await self.stop()
        await self.start()

    def disconnect(self) -> None:
        """Reset all connections."""
        for connection in list(self._open):
            connection.reset()

    @property
    def address(self) -> str:
        """Host and port, as a client is told them."""
        return f"{self.host}:{self.port}"

    @property
    def serial_number(self) -> str:
        """The serial number. Set it to have another inverter of the plant at the address, or another like this one."""
        return self._inverter.serial

    @serial_number.setter
    def serial_number(self, serial: str) -> None:
        others = {inverter.serial: inverter for inverter in self.description.inverters}
        self._inverter = others.get(serial) or replace(self._inverter, serial=serial)

    @property
    def inverter(self) -> Inverter:
        """The inverter as its plant describes it."""
        return self._inverter

    @property
    def clients(self) -> int:
        """Connections that are open."""
        return len(self._open)

    @property
    def reads(self) -> list[tuple[int, int]]:
        """Address and count of every read."""
        return [(request.address, request.count) for request in self.requests if not request.is_write]

    @property
    def writes(self) -> list[tuple[int, int]]:
        """Address and word of everything that was to be written, whether it was or not."""
        return [
            (request.address + number, value)
            for request in self.requests
            for number, value in enumerate(request.values)
        ]

    def change(self, address: int, value: int) -> None:
        """Change a setting as another client does; a negative value too. Raises RefusedError."""
        self.settings.write(address, value & 0xFFFF)
        self._follow()

    def view(self) -> View:
        """The inverter as it is now."""
        self._follow()
        now = self.clock.now()
        return View(
            inverter=self._inverter,
            plant=self.plant,
            station=self.station,
            moment=now,
            calendar=now,
            firmware=self.firmware,
        )

    def words(self, address: int, count: int = 1) -> list[int]:
        """Return what registers hold, whatever goes wrong on the way to a client."""
        return self._words(address, count, self.view(), self.raw)

    def _follow(self) -> None:
        """Let the plant do what the settings say."""
        self.plant.command(self.settings.control())

    def _words(self, address: int, count: int, view: View, instead: dict[int, int]) -> list[int]:
        found = words(address, count, view)
        for number, each in enumerate(range(address, address + count)):
            if each in SETTINGS:
                found[number] = self.settings.word(each)
            found[number] = instead.get(each, found[number])
        return found

    # A client

    def admit(self, connection: _Connection) -> bool:
        """Return whether a new client may stay."""
        self.connections += 1
        others = [other for other in self._open if not other.ended]
        if (
            self._server is None
            or self.faults.refuses_connection(self.clock.now())
            or (others and self.second_client == "refused")
        ):
            return False
        for other in others:
            other.reset()
        self._open.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """A client has gone."""
        self._open.discard(connection)

    async def serve(self, connection: _Connection, frame: Frame) -> None:
        """Answer a request, or do what else becomes of it."""
        loop = asyncio.get_running_loop()
        request = parse(frame.pdu)
        request.connection, request.started = connection.number, loop.time()
        self.requests.append(request)
        try:
            await self._serve(connection, frame, request)
        except UnansweredError as unanswered:
            if unanswered.hangs:
                self._hangs_until = loop.time() + self.hang
            if unanswered.resets:
                connection.reset()
        finally:
            request.ended = connection.quiet_since = loop.time()
        self.after_answer(request)

    async def _serve(self, connection: _Connection, frame: Frame, request: Request) -> None:
        now = request.started
        if now < self._hangs_until:
            raise UnansweredError
        strikes = self.faults.strike(
            request,
            self.clock.now(),
            sleep=self.sleep,
            slow=self.slow,
            framing=self.framing,
            idle=now - connection.quiet_since,
        )
        if any(self.delay):
            await self.sleep(self._random.uniform(*self.delay))
        try:
            for strike in strikes:
                if strike.fault.before is not None:
                    await strike.fault.before(strike)
            check(request)
            pdu = self._write(request, strikes) if request.is_write else self._read(request, strikes)
        except RefusedError as refused:
            request.exception = refused.code
            pdu = exception_answer(request, refused.code)
        if any(strike.fault.silent for strike in strikes):
            raise UnansweredError
        await self._send(connection, self.framing.encode(replace(frame, pdu=pdu)), strikes)
        request.answered = True

    def _read(self, request: Request, strikes: list[Strike]) -> bytes:
        asked = set(range(request.address, request.address + request.count))
        if not asked <= KNOWN - self.lacking:
            if self.unknown == "hang":
                raise UnansweredError(hangs=True)
            if self.unknown == "refuse":
                raise RefusedError(ILLEGAL_ADDRESS)
        view, instead = self.view(), dict(self.raw)
        for strike in strikes:
            if strike.fault.view is not None:
                view = strike.fault.view(view, strike)
            instead |= strike.fault.words
        found = self._words(request.address, request.count, view, instead)
        for address in asked:
            self.settings.note_read(address)
        self._follow()
        return read_answer(found)

    def _write(self, request: Request, strikes: list[Strike]) -> bytes:
        pairs = list(enumerate(request.values, request.address))
        for address, value in pairs:
            self.settings.check(address, value)
        if not any(strike.fault.forgets for strike in strikes):
            for address, value in pairs:
                self.change(address, value)
        return write_answer(request)

    async def _send(self, connection: _Connection, data: bytes, strikes: list[Strike]) -> None:
        pieces = [data]
        for strike in strikes:
            if strike.fault.frame is not None:
                pieces = strike.fault.frame(b"".join(pieces), strike)
        earlier, connection.held = connection.held, []
        if any(strike.fault.held for strike in strikes):
            connection.held, pieces = pieces, []
        for piece in (*earlier, *pieces):
            self.sent += len(piece)
            connection.send(piece)
            # Lets a client in the same event loop find the pieces one by one.
            await asyncio.sleep(0)
        if any(strike.fault.ends for strike in strikes):
            connection.reset()


class _Connection(asyncio.Protocol):
    """A client's connection: its requests are answered one after the other."""

    def __init__(self, simulator: InverterSimulator) -> None:
        loop = asyncio.get_running_loop()
        self.ended = False
        self.held: list[bytes] = []
        self.number = 0
        self.quiet_since = -_PAUSE
        self.task: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._simulator = simulator
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._last_heard = 0.0
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # One iteration later the end of a client that has just gone is known.
        self.task = self._loop.create_task(self._serve())

    async def _serve(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not self._simulator.admit(self):
            self.reset()
            return
        self.number = self._simulator.connections
        while True:
            await self._simulator.serve(self, await self._frames.get())

    @override
    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        if now - self._last_heard > _PAUSE:
            self._buffer.clear()
        self._last_heard = now
        self._buffer += data
        self._simulator.received += len(data)
        while frame := self._simulator.framing.take(self._buffer):
            if frame.unit == self._simulator.unit:
                self._frames.put_nowait(frame)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._simulator.forget(self)
        self.task.cancel()

    def send(self, data: bytes) -> None:
        """Send bytes if the client is still there."""
        if self._transport is not None and not self.ended:
            self._transport.write(data)

    def reset(self) -> None:
        """End the connection with a reset."""
        if self._transport is None or self.ended:
            return
        self.ended = True
        # Closing without lingering sends a reset.
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()
