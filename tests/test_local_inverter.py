"""The inverter in the home network, against a server over real sockets that answers from an image of registers.

The image, the ranges and the expected readings are written down from the reference of the registers, not from the code.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
import json
from pathlib import Path
import socket
import struct
import sys
from typing import Any, Self
from zoneinfo import ZoneInfo

from modbus_connection import ModbusError, ModbusUnit
from modbus_connection.tmodbus import ModbusConnection
import pytest
from tmodbus.utils.crc import calculate_crc16

from cli import app
from custom_components.mtec import models
from custom_components.mtec.local import registers
from custom_components.mtec.local.errors import (
    ConnectionHeldError,
    NoAnswerError,
    NotAnInverterError,
    OtherInverterError,
    RefusedError,
    UnreachableError,
    UnsupportedHardwareError,
)
from custom_components.mtec.local.exchange import Timing
from custom_components.mtec.local.inverter import LocalInverter
from custom_components.mtec.local.link import LINKS, Found, Framing, Link, links, probe
from custom_components.mtec.models import (
    BackupReading,
    BatteryMode,
    BatteryReading,
    Energies,
    InverterIdentity,
    InverterReading,
    PhaseReading,
    ReadingSource,
    StringReading,
    WorkStatus,
)
from custom_components.mtec.sources import BusyError, ResponseError, SourceConnectionError, SourceError

BERLIN = ZoneInfo("Europe/Berlin")
SERIAL_NUMBER = "EB083P2304180127"
OTHER_SERIAL_NUMBER = "EB103P2301120311"
TIMING = Timing(timeout=0.25, spacing=0)

type Image = dict[int, int]


def words(number: int, count: int = 2) -> list[int]:
    """Return a number, negative ones as two's complement, as words with the high word first."""
    return list(struct.unpack(f">{count}H", (number % 2 ** (16 * count)).to_bytes(2 * count, "big")))


def image_of(rows: dict[int, list[int]]) -> Image:
    return {address + offset: word for address, row in rows.items() for offset, word in enumerate(row)}


def text(serial_number: str) -> list[int]:
    return words(int.from_bytes(serial_number.encode().ljust(16, b"\0"), "big"), 8)


def moment(year: int, *rest: int) -> list[int]:
    return words(int.from_bytes(bytes([year - 2000, *rest]), "big"), 3)


THREE_PHASE: Image = image_of(
    {
        10000: text(SERIAL_NUMBER),
        10008: [30 << 8 | 3],
        10011: words(int.from_bytes(bytes([1, 0, 0, 1, 27, 52, 4, 0]), "big"), 4),
        10100: moment(2026, 6, 15, 12, 2, 30),
        10105: [2],
        10112: words(1 << 8),
        10114: words(1 << 5),
        10120: words(1 << 2),
        # 400 W, 300 W and 200 W are fed in.
        10994: words(400) + words(300) + words(200) + words(900),
        11002: words(123_456) + words(65_432),
        11006: [4012, 4013, 4014, 2314, 51, 2315, 52, 2316, 53, 5002],
        11016: words(3500),
        11022: words(4321),
        11028: words(5200),
        # The third is below zero.
        11032: [412, 398, 0x10000 - 5, 305],
        11038: [5123, 61, 4987, 42],
        11062: words(3120) + words(2080),
        30200: [2301, 11, 5001, 0, *words(250)],
        30210: [2302, 12, 5001, 0, *words(260)],
        30220: [2303, 13, 5001, 0, *words(270)],
        30230: words(780),
        30236: words(1200),
        30242: words(1100),
        30248: words(1200),
        # Charging.
        30254: [4018, 0x10000 - 38, 1, 0, *words(-1530)],
        31000: [123, 45, 6, 78, 31, 256, 999],
        31102: words(12_345)
        + words(6_543)
        + words(77)
        + words(8_765)
        + words(7_654)
        + words(34_567)
        + words(9_999_999),
        32005: [250, 350],
        33000: [7345, 9800],
        # Half a degree below zero, which another program read as 6553.1.
        33003: [0x10000 - 5],
        33009: [13],
        33011: [0x10000 - 21],
        33013: [3344],
        33015: [3312],
        33016: words(4) + words(9),
    }
)
"""A house at noon in which 3500 W - 900 W = 2600 W are used."""

THREE_PHASE_READING = InverterReading(
    battery=BatteryReading(
        power=-1530,
        voltage=401.8,
        current=-3.8,
        state_of_charge=73.45,
        state_of_health=98,
        mode=BatteryMode.CHARGING,
        temperature=-0.5,
        highest_cell_voltage=3.344,
        lowest_cell_voltage=3.312,
        highest_cell_temperature=1.3,
        lowest_cell_temperature=-2.1,
        charge_current_limit=25,
        discharge_current_limit=35,
        error_code=4,
        warning_code=9,
    ),
    phases={
        1: PhaseReading(inverter_power=1200, voltage=231.4, current=5.1, grid_power=-400),
        2: PhaseReading(inverter_power=1100, voltage=231.5, current=5.2, grid_power=-300),
        3: PhaseReading(inverter_power=1200, voltage=231.6, current=5.3, grid_power=-200),
    },
    strings={
        1: StringReading(power=3120, voltage=512.3, current=6.1),
        2: StringReading(power=2080, voltage=498.7, current=4.2),
    },
    temperatures={1: 41.2, 2: 39.8, 3: -0.5, 4: 30.5},
    power=3500,
    pv_power=5200,
    grid_power=-900,
    consumption_power=2600,
    grid_frequency=50.02,
    grid_outage=False,
    work_status=WorkStatus.ON_GRID,
    backup_power=780,
    backup_phases={
        1: BackupReading(power=250, voltage=230.1, current=1.1, frequency=50.01),
        2: BackupReading(power=260, voltage=230.2, current=1.2, frequency=50.01),
        3: BackupReading(power=270, voltage=230.3, current=1.3, frequency=50.01),
    },
    # Used are 4.5 + 25.6 + 3.1 - 12.3 - 7.8 kWh.
    today=Energies(
        pv=25.6,
        grid_import=4.5,
        grid_export=12.3,
        battery_charge=7.8,
        battery_discharge=3.1,
        consumption=13.1,
        backup=0.6,
    ),
    total=Energies(
        pv=3456.7,
        grid_import=654.3,
        grid_export=1234.5,
        battery_charge=876.5,
        battery_discharge=765.4,
        consumption=2765.4,
        backup=7.7,
    ),
    faults={1: 1 << 8, 2: 1 << 5, 3: 1 << 2},
    first_fault=models.Fault.OVER_TEMPERATURE,
    source=ReadingSource.NETWORK,
    measured=datetime(2026, 6, 15, 12, 2, 30, tzinfo=BERLIN),
    line_voltages={1: 401.2, 2: 401.3, 3: 401.4},
    pv_time=4321,
)

NO_BATTERY: Image = THREE_PHASE | image_of({30254: [0] * 6, 33000: [0] * 16, 32005: [0, 0], 31003: [0, 0]})

NO_METER: Image = THREE_PHASE | image_of({10994: [0] * 12, 31000: [0, 0], 31102: [0] * 4})

SINGLE_PHASE: Image = THREE_PHASE | image_of(
    {
        10008: [31 << 8 | 8],
        10994: words(-700) + [0] * 4 + words(-700),
        11006: [0, 0, 0, 2314, 51, 0, 0, 0, 0, 4998],
        11016: words(1100),
        11028: words(1900),
        11062: words(1900) + words(0),
        30210: [0] * 6,
        30220: [0] * 6,
        30242: words(0),
        30248: words(0),
    }
)

LARGE: Image = THREE_PHASE | image_of(
    {
        10008: [32 << 8 | 4],
        11042: [6001, 71, 6002, 72, 6003, 73, 6004, 74],
        11066: words(4_301) + words(4_302) + words(4_303) + words(4_304),
    }
)

CLUSTERS = (
    *((10000, 15), (10100, 16), (10994, 22), (11016, 14), (11032, 4), (11038, 4), (11062, 4), (25100, 4), (30200, 26)),
    *((30230, 26), (30254, 6), (31000, 7), (31102, 14), (33000, 16), (50000, 1), (52502, 4), (52601, 3)),
)
KNOWN = {address for start, count in CLUSTERS for address in range(start, start + count)} | {
    *(10120, 10121, 32005, 32006, 33016, 33017, 33018, 33019),
    *range(11042, 11050),
    *range(11066, 11074),
}
"""All that is in the reference."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with an answer. `held` is kept back until the next request."""

    code: int | None = None
    silent: bool = False
    held: bool = False
    split: bool = False
    merged: bool = False
    bad_crc: bool = False
    reset: bool = False
    short: bool = False
    after: Callable[[], object] | None = None


class Server:
    """An inverter's stick."""

    def __init__(self, image: Image, *, unit_id: int = 252, framing: Framing = Framing.RTU) -> None:
        self.image = dict(image)
        self.unit_id = unit_id
        self.framing = framing
        self.requests: list[tuple[int, int]] = []
        self.connections = 0
        self.resets_at_once = False
        self.faults: dict[int, list[Fault]] = {}
        """What goes wrong with the next requests that begin at an address."""
        self.always: dict[int, Fault] = {}
        """What always goes wrong there."""
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop_connections()
        await self._server.wait_closed()

    def drop_connections(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.resets_at_once:
            reset(writer)
            return
        self._writers.add(writer)
        held = b""
        try:
            while True:
                header, request = await self._request(reader)
                start, count = struct.unpack(">HH", request[2:6])
                self.requests.append((start, count))
                faults = self.faults.get(start)
                fault = faults.pop(0) if faults else self.always.get(start, Fault())
                held = await self._answer(writer, fault, self._frame(header, request, fault), held)
        except asyncio.IncompleteReadError, ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        if self.framing is Framing.RTU:
            return b"", (await reader.readexactly(8))[:6]
        return await reader.readexactly(6), await reader.readexactly(6)

    def _frame(self, header: bytes, request: bytes, fault: Fault) -> bytes:
        start, count = struct.unpack(">HH", request[2:6])
        count -= fault.short
        if request[0] != self.unit_id:
            pdu = bytes([request[0], request[1] | 0x80, 0x0B])
        elif fault.code is not None:
            pdu = bytes([request[0], request[1] | 0x80, fault.code])
        else:
            values = [self.image.get(address, 0) for address in range(start, start + count)]
            pdu = bytes([request[0], request[1], 2 * count]) + struct.pack(f">{count}H", *values)
        if header:
            return header[:4] + len(pdu).to_bytes(2, "big") + pdu
        return pdu + (b"\0\0" if fault.bad_crc else bytes(calculate_crc16(pdu)))

    async def _answer(self, writer: asyncio.StreamWriter, fault: Fault, frame: bytes, held: bytes) -> bytes:
        """Send an answer, and return what is kept back of it."""
        if fault.reset:
            reset(writer)
        elif fault.held:
            return frame
        elif fault.split:
            for position in range(0, len(frame), 5):
                writer.write(frame[position : position + 5])
                await asyncio.sleep(0.002)
        elif not fault.silent:
            writer.write(held + frame + (frame if fault.merged else b""))
        if fault.after is not None:
            fault.after()
        return b""


def reset(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


class Seconds:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def unit_of(link: Link, seconds: float = TIMING.timeout) -> AsyncIterator[ModbusUnit]:
    connection = ModbusConnection(link.params("127.0.0.1"), timeout=seconds)
    try:
        yield connection.for_unit(link.unit_id)
    finally:
        await connection.close()


SINCE_2026_10 = pytest.mark.skipif(
    not hasattr(ModbusUnit, "require_timeout"),
    reason="The command line has the Modbus library of Home Assistant 2026.10, which connects again in another way",
)


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None) -> None:
    """Let the tests talk to the server. Home Assistant has no part in them."""


@pytest.fixture
def image() -> Image:
    return THREE_PHASE


@pytest.fixture
async def server(image: Image) -> AsyncGenerator[Server]:
    async with Server(image) as running:
        yield running


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
async def unit(server: Server) -> AsyncGenerator[ModbusUnit]:
    async with unit_of(rtu(server)) as opened:
        yield opened


@pytest.fixture
async def inverter(unit: ModbusUnit, seconds: Seconds) -> AsyncGenerator[LocalInverter]:
    local = inverter_at(unit, seconds)
    yield local
    local.close()


def inverter_at(unit: ModbusUnit, seconds: Seconds, **options: Any) -> LocalInverter:
    return LocalInverter(unit, time_zone=BERLIN, timing=TIMING, clock=seconds, **options)


def rtu(server: Server) -> Link:
    return Link(port=server.port, framing=Framing.RTU, unit_id=252)


def with_image(image: Image) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("image", [image])


# Readings


async def test_reading_of_a_three_phase_inverter(inverter: LocalInverter) -> None:
    assert await inverter.reading() == THREE_PHASE_READING
    assert inverter.dropped == {}
    assert inverter.identity == InverterIdentity(
        serial_number=SERIAL_NUMBER, model="8K-25", firmware="V1.0.0.1-V27.52.4.0", rated_power=8000
    )


@with_image(SINGLE_PHASE)
async def test_reading_of_a_single_phase_inverter(inverter: LocalInverter) -> None:
    reading = await inverter.reading()
    assert inverter.identity is not None and inverter.identity.model == "3K-30S"
    assert reading.phases == {1: PhaseReading(inverter_power=1200, voltage=231.4, current=5.1, grid_power=700)}
    assert reading.backup_phases.keys() == {1}
    # 1100 W of its own and 700 W drawn.
    assert (reading.power, reading.grid_power, reading.consumption_power) == (1100, 700, 1800)


@with_image(NO_BATTERY)
async def test_reading_without_a_battery(inverter: LocalInverter) -> None:
    reading = await inverter.reading()
    assert reading.battery == BatteryReading()
    assert (reading.today.battery_charge, reading.total.battery_discharge) == (None, None)
    assert reading.today.consumption == pytest.approx(4.5 + 25.6 - 12.3)
    assert inverter.dropped == {}


@with_image(NO_METER)
async def test_reading_without_a_meter(inverter: LocalInverter) -> None:
    reading = await inverter.reading()
    assert (reading.power, reading.grid_power, reading.consumption_power) == (3500, None, None)
    assert reading.phases[2] == replace(THREE_PHASE_READING.phases[2], grid_power=None)
    for energies in (reading.today, reading.total):
        assert (energies.grid_import, energies.grid_export, energies.consumption) == (None, None, None)
    assert reading.today.pv == 25.6


@with_image(THREE_PHASE | image_of({11000: [0, 0]}))
async def test_meter_without_a_flow_is_one(inverter: LocalInverter) -> None:
    reading = await inverter.reading()
    assert (reading.grid_power, reading.consumption_power) == (0, 3500)


@with_image(THREE_PHASE | {33000: 0})
async def test_empty_battery_is_one(inverter: LocalInverter) -> None:
    assert (await inverter.reading()).battery.state_of_charge == 0


@with_image(LARGE)
async def test_reading_of_a_large_model_with_six_strings(inverter: LocalInverter, server: Server) -> None:
    reading = await inverter.reading()
    assert inverter.identity is not None and inverter.identity.model == "50K-100"
    assert reading.strings.keys() == {1, 2, 3, 4, 5, 6}
    assert reading.strings[3] == StringReading(power=4301, voltage=600.1, current=7.1)
    assert reading.strings[6] == StringReading(power=4304, voltage=600.4, current=7.4)


@with_image(LARGE)
async def test_large_model_that_refuses_more_strings_has_two(
    inverter: LocalInverter, server: Server, seconds: Seconds
) -> None:
    refused = {(11038, 12): 11038, (11062, 12): 11062}
    server.faults = {start: [Fault(code=2)] for start in refused.values()}
    assert (await inverter.reading()).strings == THREE_PHASE_READING.strings
    server.requests.clear()
    seconds.now = 10
    assert (await inverter.reading()).strings == THREE_PHASE_READING.strings
    assert not refused.keys() & set(server.requests)


async def test_signs(inverter: LocalInverter, server: Server) -> None:
    """Drawing from the grid at night, while the battery is discharging."""
    server.image |= image_of({11000: words(-350), 11016: words(450), 11028: words(0), 30258: words(470), 30256: [0]})
    reading = await inverter.reading()
    assert (reading.grid_power, reading.battery.power) == (350, 470)
    assert reading.battery.mode is BatteryMode.DISCHARGING
    assert reading.consumption_power == 800


async def test_zero_has_no_sign(inverter: LocalInverter, server: Server) -> None:
    server.image |= image_of({11000: words(0)})
    assert str((await inverter.reading()).grid_power) == "0"


async def test_grid_outage(inverter: LocalInverter, server: Server) -> None:
    server.image |= image_of({10105: [5], 10112: words(1), 11009: [0] * 6, 11015: [0]})
    reading = await inverter.reading()
    assert (reading.grid_outage, reading.work_status, reading.grid_frequency) == (True, WorkStatus.OFF_GRID, 0)
    assert reading.faults[1] == 1
    assert inverter.dropped == {}


async def test_high_word_comes_first(inverter: LocalInverter, server: Server) -> None:
    server.image |= image_of({10112: [0x8000, 0x0001]})
    assert (await inverter.reading()).faults[1] == 0x80000001


# Values that cannot be


@pytest.mark.parametrize(
    ("rows", "name", "value"),
    [
        ({33000: [10_001]}, "state_of_charge", lambda reading: reading.battery.state_of_charge),
        ({33000: [0xFFFF]}, "state_of_charge", lambda reading: reading.battery.state_of_charge),
        ({33001: [10_050]}, "state_of_health", lambda reading: reading.battery.state_of_health),
        ({33003: [0x7FFF]}, "battery_temperature", lambda reading: reading.battery.temperature),
        ({11032: [0x8000]}, "temperature_1", lambda reading: reading.temperatures.get(1)),
        ({33013: [0xFFFF]}, "highest_cell_voltage", lambda reading: reading.battery.highest_cell_voltage),
        ({30254: [0xFFFF]}, "battery_voltage", lambda reading: reading.battery.voltage),
        ({30258: words(-24_001)}, "battery_power", lambda reading: reading.battery.power),
        ({11028: words(24_001)}, "pv_power", lambda reading: reading.pv_power),
        ({11016: words(-24_001)}, "power", lambda reading: reading.consumption_power),
        ({11000: words(-100_001)}, "meter_power", lambda reading: reading.grid_power),
        ({11015: [0xFFFF]}, "grid_frequency", lambda reading: reading.grid_frequency),
        ({11015: [3999]}, "grid_frequency", lambda reading: reading.grid_frequency),
        ({11009: [0xFFFF]}, "phase_voltage_1", lambda reading: reading.phases[1].voltage),
        ({11039: [0xFFFF]}, "string_current_1", lambda reading: reading.strings[1].current),
        ({31005: [0xFFFF]}, "pv_today", lambda reading: reading.today.pv),
        ({31112: words(0xFFFFFFFF)}, "pv_total", lambda reading: reading.total.pv),
        ({10105: [6]}, "work_status", lambda reading: reading.work_status),
        ({30256: [2]}, "battery_mode", lambda reading: reading.battery.mode),
        ({10100: moment(2026, 13, 1, 0, 0, 0)}, "clock", lambda reading: reading.measured),
        ({10100: moment(2000, 0, 0, 0, 0, 0)}, "clock", lambda reading: reading.measured),
    ],
)
async def test_value_that_cannot_be_is_dropped_alone_and_counted(
    inverter: LocalInverter,
    server: Server,
    rows: dict[int, list[int]],
    name: str,
    value: Callable[[InverterReading], Any],
) -> None:
    assert value(await inverter.reading()) is not None
    server.image |= image_of(rows)
    reading = await fresh_reading(inverter)
    assert value(reading) is None
    assert inverter.dropped == {name: 1}
    missing = set(flat(THREE_PHASE_READING)) - set(flat(reading))
    assert 0 < len(missing) <= 2, "alone, but for what is calculated from it"
    server.image |= image_of(
        {address: [THREE_PHASE[address + i] for i in range(len(row))] for address, row in rows.items()}
    )
    assert await fresh_reading(inverter) == THREE_PHASE_READING
    assert inverter.dropped == {name: 1}


async def fresh_reading(inverter: LocalInverter) -> InverterReading:
    """Return a reading with all that is read each hour."""
    assert isinstance(inverter._clock, Seconds)
    inverter._clock.now += 3600
    return await inverter.reading()


def flat(reading: InverterReading) -> list[str]:
    """Return the names of all values that are known."""

    def names(data: Any, path: str) -> list[str]:
        if isinstance(data, dict):
            return [name for key, value in data.items() for name in names(value, f"{path}.{key}")]
        return [] if data is None else [path]

    return names(asdict(reading), "")


@pytest.mark.parametrize("watts", [23_999, 24_000])
async def test_three_times_the_rated_power_can_be(inverter: LocalInverter, server: Server, watts: int) -> None:
    server.image |= image_of({11028: words(watts)})
    assert (await inverter.reading()).pv_power == watts


async def test_house_may_draw_more_than_three_times_its_inverter_delivers(
    inverter: LocalInverter, server: Server
) -> None:
    server.image |= image_of({11000: words(-30_000)})
    assert (await inverter.reading()).grid_power == 30_000


# What is requested, and when


def requested(server: Server) -> list[tuple[int, int]]:
    found = list(server.requests)
    server.requests.clear()
    return found


@pytest.mark.parametrize("image", [THREE_PHASE, SINGLE_PHASE, LARGE, NO_BATTERY])
@pytest.mark.parametrize("release", [False, True])
async def test_only_known_registers_in_at_most_six_requests(
    unit: ModbusUnit, server: Server, seconds: Seconds, release: bool
) -> None:
    inverter = inverter_at(unit, seconds, release=release)
    await inverter.reading()
    everything = requested(server)
    assert {address for start, count in everything for address in range(start, start + count)} <= KNOWN
    for seconds.now in (10, 20, 50):
        assert (await inverter.reading()).pv_power is not None
        polled = requested(server)
        assert 0 < len(polled) <= 6
        assert len(set(polled)) == len(polled)
    inverter.close()


@with_image(LARGE)
async def test_no_large_model_no_strings_beyond_two(inverter: LocalInverter, server: Server) -> None:
    await inverter.reading()
    assert (11062, 12) in requested(server)
    server.image |= {10008: 30 << 8 | 9}
    async with unit_of(rtu(server)) as unit:
        smaller = inverter_at(unit, Seconds())
        assert (await smaller.reading()).strings.keys() == {1, 2}
        asked = {address for start, count in requested(server) for address in range(start, start + count)}
        assert not asked & {*range(11042, 11062), *range(11066, 11100)}
        smaller.close()


async def test_energies_each_minute_and_what_is_fixed_each_hour(
    inverter: LocalInverter, server: Server, seconds: Seconds
) -> None:
    counts: dict[str, int] = {"moving": 0, "energies": 0, "fixed": 0, "model": 0}
    for seconds.now in (*range(0, 240, 20), *range(3600, 3720, 20)):
        server.requests.clear()
        await inverter.reading()
        starts = [start for start, _ in server.requests]
        counts["moving"] += 11016 in starts or 10994 in starts
        counts["energies"] += 31000 in starts
        counts["fixed"] += 10011 in starts
        counts["model"] += 10008 in starts
    assert counts == {"moving": 18, "energies": 6, "fixed": 2, "model": 1}


async def test_energies_keep_the_time_at_which_they_were_read(
    inverter: LocalInverter, server: Server, seconds: Seconds
) -> None:
    """Before they are read again after midnight, they must not become those of the new day."""
    server.image |= image_of({10100: moment(2026, 6, 15, 23, 59, 20)})
    await inverter.reading()
    server.image |= image_of({10100: moment(2026, 6, 16, 0, 0, 10), 31000: [0] * 7})
    seconds.now = 50
    reading = await inverter.reading()
    assert (reading.today.pv, reading.measured) == (25.6, datetime(2026, 6, 15, 23, 59, 20, tzinfo=BERLIN))
    seconds.now = 60
    reading = await inverter.reading()
    assert (reading.today.pv, reading.measured) == (0, datetime(2026, 6, 16, 0, 0, 10, tzinfo=BERLIN))


async def test_energies_wait_for_midnight_but_not_for_a_clock_that_stands_still(
    inverter: LocalInverter, server: Server, seconds: Seconds
) -> None:
    await inverter.reading()
    server.image |= image_of({10100: moment(2026, 6, 15, 23, 59, 45), 31005: [300]})
    for seconds.now, energy in ((100, 25.6), (140, 25.6), (161, 30)):
        assert (await inverter.reading()).today.pv == energy


async def test_refused_optional_registers_are_left_out_for_an_hour(
    inverter: LocalInverter, server: Server, seconds: Seconds
) -> None:
    server.always = {start: Fault(code=2) for start in (10011, 10120, 32005, 33016)}
    expected = replace(
        THREE_PHASE_READING,
        battery=replace(
            THREE_PHASE_READING.battery,
            **dict.fromkeys(("charge_current_limit", "discharge_current_limit", "error_code", "warning_code")),
        ),
        faults={1: 1 << 8, 2: 1 << 5},
    )
    for seconds.now in (0, 60):
        assert await inverter.reading() == expected
    assert [start for start, _ in server.requests if start in server.always] == [10120, 33016, 10011, 32005]
    server.always.clear()
    assert await fresh_reading(inverter) == THREE_PHASE_READING


async def test_optional_registers_without_an_answer_are_left_out_the_second_time(
    inverter: LocalInverter, server: Server, seconds: Seconds
) -> None:
    server.always = {33016: Fault(silent=True)}
    with pytest.raises(NoAnswerError):
        await inverter.reading()
    reading = await inverter.reading()
    assert (reading.battery.error_code, reading.battery.power) == (None, -1530)
    server.requests.clear()
    seconds.now = 60
    await inverter.reading()
    assert 33016 not in [start for start, _ in server.requests]


async def test_model_without_an_answer_is_requested_once(inverter: LocalInverter, server: Server) -> None:
    server.always = {10008: Fault(silent=True)}
    reading = await inverter.reading()
    assert inverter.identity == InverterIdentity(serial_number=SERIAL_NUMBER, firmware="V1.0.0.1-V27.52.4.0")
    assert reading.phases.keys() == {1, 2, 3}
    await fresh_reading(inverter)
    assert [start for start, _ in server.requests].count(10008) == 1
    # The link on which an answer was missing is not used again.
    assert server.connections == 2


async def test_model_without_an_answer_is_requested_once_even_if_what_follows_fails(
    inverter: LocalInverter, server: Server
) -> None:
    server.always = {10008: Fault(silent=True)}
    server.faults = {30254: [Fault(reset=True)]}
    with pytest.raises(SourceConnectionError):
        await inverter.reading()
    assert (await inverter.reading()).pv_power == 5200
    assert [start for start, _ in server.requests].count(10008) == 1


async def test_connection_is_released_between_readings(unit: ModbusUnit, server: Server, seconds: Seconds) -> None:
    inverter = inverter_at(unit, seconds, release=True)
    assert await inverter.reading() == THREE_PHASE_READING
    assert not unit.connected
    assert await inverter.reading() == THREE_PHASE_READING
    assert server.connections == 2
    inverter.close()


async def test_connection_is_kept_between_readings(inverter: LocalInverter, unit: ModbusUnit, server: Server) -> None:
    await inverter.reading()
    await inverter.reading()
    assert unit.connected
    assert server.connections == 1


async def test_pause_between_requests(unit: ModbusUnit, server: Server) -> None:
    inverter = LocalInverter(unit, time_zone=BERLIN)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await inverter.identify()
    assert loop.time() - began >= 0.05 * (len(server.requests) - 1)
    inverter.close()


# Errors


@SINCE_2026_10
@pytest.mark.skipif(version("tmodbus") >= "1", reason="The library of Home Assistant 2026.11 may tell them apart")
async def test_library_takes_a_late_answer_for_the_next_one(server: Server, unit: ModbusUnit) -> None:
    """Why the connection is dropped: without that, the battery's state is read as the clock."""
    unit.require_timeout(TIMING.timeout)
    server.faults = {33000: [Fault(held=True)]}
    with pytest.raises(ModbusError):
        await unit.read_holding_registers(33000, 16)
    assert await unit.read_holding_registers(10100, 16) == [THREE_PHASE.get(33000 + each, 0) for each in range(16)]


async def test_late_answer_of_the_same_length_never_reaches_a_reading(inverter: LocalInverter, server: Server) -> None:
    """The state of the battery is as long as the status, which is requested next."""
    await inverter.reading()
    server.faults = {33000: [Fault(held=True)]}
    with pytest.raises(NoAnswerError):
        await inverter.reading()
    assert await inverter.reading() == THREE_PHASE_READING
    assert inverter.dropped == {}
    assert server.connections == 2


async def test_answer_to_a_cancelled_reading_never_reaches_a_reading(inverter: LocalInverter, server: Server) -> None:
    await inverter.reading()
    server.faults = {33000: [Fault(held=True)]}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(inverter.reading(), TIMING.timeout / 2)
    assert await inverter.reading() == THREE_PHASE_READING
    assert inverter.dropped == {}


async def test_split_and_merged_frames(inverter: LocalInverter, server: Server) -> None:
    server.always = {10994: Fault(split=True), 33000: Fault(split=True)}
    assert await inverter.reading() == THREE_PHASE_READING
    # A frame twice: the second one must not become the answer to anything.
    server.always = {33000: Fault(merged=True), 11062: Fault(merged=True)}
    for _ in range(3):
        assert await fresh_reading(inverter) == THREE_PHASE_READING


@pytest.mark.parametrize("fault", [Fault(bad_crc=True), Fault(short=True)])
async def test_frame_that_does_not_fit(inverter: LocalInverter, server: Server, fault: Fault) -> None:
    await inverter.reading()
    server.faults = {30230: [fault]}
    with pytest.raises(SourceError) as caught:
        await inverter.reading()
    assert isinstance(caught.value, ResponseError | SourceConnectionError)
    assert await inverter.reading() == THREE_PHASE_READING
    assert server.connections == 2


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_refusal(inverter: LocalInverter, server: Server, code: int) -> None:
    await inverter.reading()
    server.faults = {11062: [Fault(code=code)]}
    with pytest.raises(RefusedError, match=f"code {code}"):
        await inverter.reading()
    assert await inverter.reading() == THREE_PHASE_READING
    assert server.connections == 1


async def test_busy(inverter: LocalInverter, server: Server) -> None:
    await inverter.reading()
    server.faults = {11062: [Fault(code=5)]}
    with pytest.raises(BusyError):
        await inverter.reading()


async def test_connection_that_is_closed(inverter: LocalInverter, server: Server) -> None:
    await inverter.reading()
    server.faults = {11062: [Fault(reset=True)]}
    with pytest.raises(SourceConnectionError) as caught:
        await inverter.reading()
    assert not isinstance(caught.value, ConnectionHeldError)
    assert await inverter.reading() == THREE_PHASE_READING
    # And while nothing is requested.
    server.drop_connections()
    assert await inverter.reading() == THREE_PHASE_READING


async def test_connection_that_another_client_holds(inverter: LocalInverter, server: Server) -> None:
    await inverter.reading()
    server.resets_at_once = True
    server.drop_connections()
    with pytest.raises(ConnectionHeldError):
        await inverter.reading()
    server.resets_at_once = False
    assert await inverter.reading() == THREE_PHASE_READING


async def test_inverter_that_is_gone(inverter: LocalInverter, server: Server) -> None:
    await inverter.reading()
    await server.__aexit__()
    await asyncio.sleep(0)
    with pytest.raises(UnreachableError):
        await inverter.reading()


async def test_other_inverter_after_a_reconnect(inverter: LocalInverter, server: Server) -> None:
    await inverter.reading()
    server.image |= image_of({10000: text(OTHER_SERIAL_NUMBER), 11028: words(1)})
    server.drop_connections()
    server.requests.clear()
    for _ in range(2):
        with pytest.raises(OtherInverterError) as caught:
            await inverter.reading()
        assert caught.value.serial_number == OTHER_SERIAL_NUMBER
        assert OTHER_SERIAL_NUMBER not in str(caught.value)
    assert {start for start, _ in server.requests} == {10000}
    server.image = dict(THREE_PHASE)
    assert await inverter.reading() == THREE_PHASE_READING


@SINCE_2026_10
async def test_other_inverter_behind_a_connection_that_is_replaced_during_a_reading(
    unit: ModbusUnit, server: Server
) -> None:
    """In the pause before the last request, in which the library reconnects by itself."""
    inverter = LocalInverter(unit, time_zone=BERLIN, timing=Timing(timeout=0.5, spacing=0.05))
    await inverter.reading()

    def swap() -> None:
        server.image |= image_of({10000: text(OTHER_SERIAL_NUMBER), 33000: [100]})
        server.drop_connections()

    server.faults = {30230: [Fault(after=swap)]}
    for _ in range(2):
        with pytest.raises(SourceError):
            await inverter.reading()
    assert server.requests[-2:] == [(33000, 16), (10000, 8)]
    assert not [each for each in inverter.registers() if (each.name, each.value) == ("state_of_charge", 1)]
    inverter.close()


async def test_other_inverter_on_the_same_connection_is_noticed_within_an_hour(
    inverter: LocalInverter, server: Server
) -> None:
    await inverter.reading()
    server.image |= image_of({10000: text(OTHER_SERIAL_NUMBER)})
    with pytest.raises(OtherInverterError):
        await fresh_reading(inverter)


async def test_expected_inverter(unit: ModbusUnit, server: Server, seconds: Seconds) -> None:
    expected = InverterIdentity(serial_number=SERIAL_NUMBER, model="8K-25", rated_power=8000)
    inverter = inverter_at(unit, seconds, identity=expected)
    assert await inverter.identify() == replace(expected, firmware="V1.0.0.1-V27.52.4.0")
    assert 10008 not in [start for start, _ in server.requests]
    inverter.close()
    other = inverter_at(unit, seconds, identity=replace(expected, serial_number=OTHER_SERIAL_NUMBER))
    with pytest.raises(OtherInverterError):
        await other.identify()
    with pytest.raises(OtherInverterError):
        await other.reading()
    other.close()


# Models


@pytest.mark.parametrize(
    ("code", "name", "watts", "phases"),
    [
        (30 << 8, "4K-25", 4000, 3),
        (30 << 8 | 9, "20K-40", 20_000, 3),
        (31 << 8 | 1, "3.6K-30D", 3600, 1),
        (31 << 8 | 9, "3.6K-30S", 3600, 1),
        (32 << 8 | 1, "30K-100", 30_000, 3),
    ],
)
def test_models(code: int, name: str, watts: float, phases: int) -> None:
    model = registers.model_of(code)
    assert model is not None
    assert (model.name, model.rated_power, model.phases) == (name, watts, phases)
    assert registers.model_named(name) == model


@pytest.mark.parametrize("code", [30 << 8 | 10, 32 << 8 | 5, 33 << 8, 0, 0xFFFF])
def test_unknown_models(code: int) -> None:
    assert registers.model_of(code) is None


def blocks() -> set[type[registers.Block]]:
    def below(kind: type[registers.Block]) -> set[type[registers.Block]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    return below(registers.Block) - {registers.Block}


def test_each_block_is_one_request_and_each_name_one_register(unit: ModbusUnit) -> None:
    addresses: dict[str, int] = {}
    for kind in blocks():
        block = kind(unit)
        assert sum(map(len, block._build_plan().blocks.values())) == 1, kind
        for name, resolved in block.resolved_fields.items():
            assert addresses.setdefault(name, resolved.address) == resolved.address, name
    assert len(set(addresses.values())) == len(addresses)


def test_clusters_and_ranges_are_those_of_the_reference() -> None:
    assert set(registers.CLUSTERS) <= set(CLUSTERS)
    assert {address for first, last in registers.READABLE for address in range(first, last + 1)} <= KNOWN


# Finding it


class Network:
    """Ports of an address by the number that they have for a client."""

    def __init__(self, ports: dict[int, Server]) -> None:
        self.ports = ports
        self.tried: list[Link] = []

    @asynccontextmanager
    async def open(self, link: Link) -> AsyncIterator[ModbusUnit]:
        self.tried.append(link)
        actual = self.ports[link.port].port if link.port in self.ports else 1
        async with unit_of(replace(link, port=actual)) as unit:
            yield unit

    async def probe(self, to_try: tuple[Link, ...] = LINKS) -> Found:
        return await probe(self.open, to_try, TIMING)


IDENTITY = InverterIdentity(
    serial_number=SERIAL_NUMBER, model="8K-25", firmware="V1.0.0.1-V27.52.4.0", rated_power=8000
)


@pytest.mark.parametrize("number", range(4))
async def test_probing_tries_the_known_links_in_order(number: int) -> None:
    link = LINKS[number]
    assert (link.port, link.framing, link.unit_id) == [
        (502, "rtu", 252),
        (5743, "rtu", 252),
        (502, "tcp", 255),
        (502, "tcp", 247),
    ][number]
    async with Server(THREE_PHASE, unit_id=link.unit_id, framing=link.framing) as server:
        network = Network({link.port: server})
        assert await network.probe() == Found(link=link, identity=IDENTITY)
        # A port that is closed is not tried with another framing.
        assert network.tried == ([LINKS[0], LINKS[1]] if number == 1 else list(LINKS[: number + 1]))


async def test_probing_nothing() -> None:
    network = Network({})
    with pytest.raises(NoAnswerError):
        await network.probe()
    assert network.tried == [LINKS[0], LINKS[1]]


async def test_probing_silence(server: Server) -> None:
    server.always = {10000: Fault(silent=True)}
    with pytest.raises(NoAnswerError, match="did not answer"):
        await Network({502: server}).probe((LINKS[0],))


async def test_an_inverter_that_is_off(caplog: pytest.LogCaptureFixture) -> None:
    """Not even the connection is answered, and the log has no error of the library, which tries for longer."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        closed.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            # A queue that is full drops what comes next.
            client.connect_ex(closed.getsockname())
        link = Link(port=closed.getsockname()[1], framing=Framing.TCP, unit_id=255)
        # The time-out of Home Assistant's own connections.
        async with unit_of(link, seconds=10) as unit:
            inverter = LocalInverter(unit, time_zone=BERLIN, timing=TIMING)
            with pytest.raises(SourceConnectionError):
                await inverter.reading()
            inverter.close()
        for client in waiting:
            client.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_probing_a_connection_that_another_client_holds(server: Server) -> None:
    server.resets_at_once = True
    with pytest.raises(ConnectionHeldError):
        await Network({502: server}).probe()


@pytest.mark.parametrize(
    "serial_number", ["", "\xff" * 8, "A B", "hello world!", "NOTHING", "12", "\x01\x02\x03\x04\x05\x06\x07"]
)
async def test_probing_something_else_with_registers(server: Server, serial_number: str) -> None:
    raw = serial_number.encode("latin-1").ljust(16, b"\0")
    server.image |= image_of({10000: words(int.from_bytes(raw, "big"), 8)})
    with pytest.raises(NotAnInverterError):
        await Network({502: server}).probe()


async def test_probing_something_else_that_refuses(server: Server) -> None:
    server.always = {10000: Fault(code=2)}
    with pytest.raises(NotAnInverterError):
        await Network({502: server}).probe()


async def test_probing_the_second_generation(server: Server) -> None:
    server.always = {30254: Fault(code=2)}
    network = Network({502: server})
    with pytest.raises(UnsupportedHardwareError):
        await network.probe()
    assert network.tried == [LINKS[0]]


async def test_probing_an_inverter_that_stops_answering(server: Server) -> None:
    server.always = {30254: Fault(silent=True)}
    network = Network({502: server})
    with pytest.raises(NoAnswerError):
        await network.probe()
    assert network.tried == [LINKS[0]]


async def test_probing_leaves_no_connection(server: Server) -> None:
    await Network({502: server}).probe()
    await asyncio.sleep(0.01)
    assert server._writers == set()


async def test_probing_raises_what_opening_raises() -> None:
    class InUse(AbstractAsyncContextManager[ModbusUnit]):
        async def __aenter__(self) -> ModbusUnit:
            raise LookupError("in use with other settings")

        async def __aexit__(self, *_: object) -> None:
            """Nothing was opened."""

    with pytest.raises(LookupError):
        await probe(lambda _: InUse())


def test_links_of_what_is_known() -> None:
    assert links() == LINKS
    assert links(port=5743, framing=Framing.RTU) == (LINKS[1],)
    assert links(port=1502) == (
        Link(port=1502, framing=Framing.RTU, unit_id=252),
        Link(port=1502, framing=Framing.TCP, unit_id=255),
        Link(port=1502, framing=Framing.TCP, unit_id=247),
    )
    assert links(port=502, framing=Framing.TCP, unit_id=1) == (Link(port=502, framing=Framing.TCP, unit_id=1),)


def test_address_of_a_connection() -> None:
    assert rtu_params("FE80::1").device == "socket://[FE80::1]:502"
    assert rtu_params("Espressif").device == "socket://espressif:502"


def rtu_params(host: str) -> Any:
    return LINKS[0].params(host)


# The command line


type Run = Callable[..., Any]


@pytest.fixture
def run(server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line about the server. Returns the exit code, the output and the errors."""
    monkeypatch.setenv("TZ", "Europe/Berlin")

    async def run_words(*more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = await app.run(["inverter", "--local", "127.0.0.1", "--port", str(server.port), *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_words


async def test_command_prints_the_reading(run: Run) -> None:
    code, out, err = await run()
    assert (code, err) == (0, "")
    title, *lines = out.splitlines()
    assert title.startswith(f"{SERIAL_NUMBER}  (8K-25, V1.0.0.1-V27.52.4.0; port ")
    assert title.endswith(", rtu, unit 252)")
    shown = dict(line.strip().rsplit("  ", 1) for line in lines if "  " in line.strip())
    assert {name.strip(): value.strip() for name, value in shown.items()}["pv power"] == "5200 W"
    assert any(line.split() == ["battery", "temperature", "-0.5", "°C"] for line in lines)
    assert any(line.split() == ["today", "pv", "25.6", "kWh"] for line in lines)
    assert any(line.split() == ["measured", "2026-06-15", "12:02:30+02:00"] for line in lines)


async def test_command_prints_json(run: Run, server: Server) -> None:
    code, out, err = await run("--json", "--framing", "rtu", "--unit", "252")
    assert (code, err) == (0, "")
    [inverter] = json.loads(out)
    assert (inverter["serial_number"], inverter["port"], inverter["unit_id"]) == (SERIAL_NUMBER, server.port, 252)
    assert inverter["reading"] == json.loads(json.dumps(asdict(THREE_PHASE_READING), default=str))


async def test_command_prints_registers_and_what_became_of_them(run: Run, server: Server) -> None:
    server.image |= image_of({33000: [0xFFFF]})
    code, out, err = await run("--raw")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()[1:]]
    assert ["10008", "1e03", "model", "7683"] in lines
    assert ["11000", "0000", "0384", "meter", "power", "900", "W"] in lines
    assert ["33003", "fffb", "battery", "temperature", "-0.5", "°C"] in lines
    assert ["33000", "ffff", "state", "of", "charge", "dropped"] in lines
    assert [int(line[0]) for line in lines] == sorted(int(line[0]) for line in lines)
    _, out, _ = await run("--raw", "--json")
    [inverter] = json.loads(out)
    assert {
        "address": 33003,
        "name": "battery_temperature",
        "words": ["fffb"],
        "value": -0.5,
        "unit": "°C",
    } in inverter["registers"]


@pytest.mark.parametrize("words_", [[], ["--json"], ["--raw"], ["--raw", "--json"]])
async def test_command_hides_the_serial_number(run: Run, words_: list[str]) -> None:
    code, out, err = await run(*words_, "--hide-sensitive")
    assert (code, err) == (0, "")
    assert "inverter-1" in out
    assert SERIAL_NUMBER not in out
    assert f"{THREE_PHASE[10000]:04x}" not in out


async def test_command_prints_registers_that_were_read_before_an_error(run: Run, server: Server) -> None:
    server.always = {11062: Fault(code=2)}
    code, out, err = await run("--raw")
    assert (code, err) == (1, "The inverter refuses to read registers (code 2).\n")
    assert "pv power" in out


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({10000: Fault(code=2)}, "Something answers there, but it is no inverter of this kind.\n"),
        ({30254: Fault(code=2)}, "The inverter is of the second hardware generation, which is not supported.\n"),
    ],
)
async def test_command_says_what_is_wrong(run: Run, server: Server, faults: dict[int, Fault], said: str) -> None:
    server.always = faults
    assert await run("--framing", "rtu") == (1, "", said)


async def test_command_says_that_another_client_holds_the_connection(run: Run, server: Server) -> None:
    server.resets_at_once = True
    code, out, err = await run()
    assert (code, out) == (1, "")
    assert "another client" in err


async def test_command_says_that_nothing_answers(run: Run) -> None:
    assert await run("--port", "1") == (1, "", "The inverter cannot be reached.\n")


@pytest.mark.parametrize("words_", [["--port", "0"], ["--unit", "256"], ["--framing", "ascii"], ["--port", "modbus"]])
async def test_command_refuses_what_makes_no_sense(run: Run, words_: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        await run(*words_)
    assert caught.value.code == 2


async def start(block: str, server: Server) -> tuple[int | None, str, str]:
    """Run the command line in a process of its own in which a package is missing."""
    code = (
        f"import runpy, sys; sys.modules[{block!r}] = None; sys.path.append(sys.argv.pop(1)); "
        "runpy.run_module('cli', run_name='__main__', alter_sys=True)"
    )
    words_ = ("inverter", "--local", "127.0.0.1", "--port", str(server.port))
    root = str(Path(__file__).parent.parent)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", code, root, *words_),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_command_without_home_assistant(server: Server) -> None:
    code, out, err = await start("homeassistant", server)
    assert (code, err) == (0, "")
    assert out.startswith(SERIAL_NUMBER)


async def test_command_without_the_package_that_it_needs(server: Server) -> None:
    code, out, err = await start("modbus_connection", server)
    assert (code, out) == (1, "")
    assert (
        err == "Reading an inverter in your network needs a package more: pip install 'modbus-connection[tmodbus]'.\n"
    )
