"""The settings of an inverter and commands to its battery, written to a simulated inverter over real sockets."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from modbus_connection.tmodbus import ModbusConnection
import pytest

from custom_components.mtec.local import controls as controls_module
from custom_components.mtec.local.controls import Controls
from custom_components.mtec.local.errors import (
    InvalidSettingError,
    NoAnswerError,
    NotTakenError,
    OtherInverterError,
    UnsupportedHardwareError,
    WriteRefusedError,
)
from custom_components.mtec.local.exchange import Timing
from custom_components.mtec.local.inverter import LocalInverter
from custom_components.mtec.local.link import Framing, Link
from custom_components.mtec.models import InverterIdentity, InverterMode, InverterSettings
from custom_components.mtec.sources import SourceError
from tests.conftest import NOON
from tests.inverter_simulator import InverterSimulator, Request

MODE, TOLD, OUTPUT, INPUT = 50000, 50207, 50208, 50209
START = [(MODE, 771), (TOLD, 0xFFFF & -150)]
BACK = [(TOLD, 0), (MODE, 257)]


@dataclass
class Waiting:
    """Time that passes only by waiting."""

    now: float = 0.0
    at_writes: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    waiting = Waiting()
    monkeypatch.setattr(controls_module, "sleep", waiting.sleep)
    return waiting


@asynccontextmanager
async def controls_of(
    simulator: InverterSimulator, waiting: Waiting, *, identity: InverterIdentity | None = None, release: bool = False
) -> AsyncGenerator[Controls]:
    link = Link(port=simulator.port, framing=Framing.TCP, unit_id=simulator.unit)
    connection = ModbusConnection(link.params(simulator.host))
    inverter = LocalInverter(
        connection.for_unit(simulator.unit),
        time_zone=UTC,
        identity=identity,
        release=release,
        timing=Timing(timeout=0.2, spacing=0),
    )
    try:
        yield Controls(inverter, lambda: waiting.now)
    finally:
        inverter.close()
        await connection.close()


@pytest.fixture
async def simulator(waiting: Waiting) -> AsyncGenerator[InverterSimulator]:
    async with InverterSimulator(now=NOON, framing="tcp", unknown="refuse") as simulator:

        def note(request: Request) -> None:
            if request.is_write:
                waiting.at_writes.append(waiting.now)

        simulator.after_answer = note
        yield simulator


@pytest.fixture
async def controls(simulator: InverterSimulator, waiting: Waiting) -> AsyncGenerator[Controls]:
    async with controls_of(simulator, waiting) as controls:
        yield controls


SETTINGS_AT_FIRST = InverterSettings(
    mode=InverterMode.GENERAL,
    is_feed_in_limited=False,
    feed_in_limit=100,
    is_drawing_limited=False,
    drawing_limit=100,
    has_reserve_on_grid=False,
    reserve_on_grid=10,
    has_reserve_off_grid=False,
    reserve_off_grid=10,
    most_charge_current=100,
    most_discharge_current=100,
)


# Reading


async def test_settings_are_read_and_nothing_is_written(simulator: InverterSimulator, controls: Controls) -> None:
    assert await controls.settings() == SETTINGS_AT_FIRST
    simulator.change(25103, 455)
    simulator.change(50009, 123)
    simulator.change(MODE, 260)
    settings = await controls.settings()
    assert (settings.feed_in_limit, settings.drawing_limit, settings.mode) == (45.5, 12.3, InverterMode.PEAK_SHIFT)
    assert simulator.writes == []


async def test_no_register_is_read_that_nobody_names(simulator: InverterSimulator, controls: Controls) -> None:
    """50008 lies between the switch and the limit of drawing: with an unknown register a stick hangs."""
    simulator.unknown = "hang"
    await controls.settings()
    await controls.command(-1500)
    await controls.leave()
    assert all(request.answered for request in simulator.requests)


async def test_an_inverter_without_a_limit_of_drawing_is_not_asked_again(
    simulator: InverterSimulator, controls: Controls
) -> None:
    simulator.lacking = {50007, 50009}
    for _ in range(2):
        settings = await controls.settings()
        assert (settings.is_drawing_limited, settings.drawing_limit, settings.reserve_on_grid) == (None, None, 10)
    assert [address for address, _ in simulator.reads].count(50007) == 1


async def test_a_stick_that_hangs_on_the_limit_of_drawing_hangs_once(
    simulator: InverterSimulator, controls: Controls
) -> None:
    simulator.lacking, simulator.unknown, simulator.hang = {50007}, "hang", 0.1
    with pytest.raises(NoAnswerError):
        await controls.settings()
    assert (await controls.settings()).is_drawing_limited is None
    assert [address for address, _ in simulator.reads].count(50007) == 1


# Writing


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("is_feed_in_limited", True, (25100, 1)),
        ("feed_in_limit", 30, (25103, 300)),
        ("is_drawing_limited", True, (50007, 1)),
        ("drawing_limit", 12.3, (50009, 123)),
        ("has_reserve_on_grid", True, (52502, 1)),
        ("reserve_on_grid", 5, (52503, 50)),
        ("has_reserve_off_grid", True, (52504, 1)),
        ("reserve_off_grid", 100, (52505, 1000)),
        ("most_charge_current", 25, (52601, 250)),
        ("most_discharge_current", 0, (52603, 0)),
    ],
)
async def test_a_setting_is_written_alone_and_reads_back(
    simulator: InverterSimulator, controls: Controls, name: str, value: float, expected: tuple[int, int]
) -> None:
    await controls.write(name, value)
    assert simulator.writes == [expected]
    assert [request.function for request in simulator.requests if request.is_write] == [6]
    # It was read after it was written.
    assert not simulator.requests[-1].is_write
    assert getattr(await controls.settings(), name) == value
    await controls.write(name, value)
    assert len(simulator.writes) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("feed_in_limit", 101),
        ("feed_in_limit", -1),
        ("feed_in_limit", 50.5),
        ("drawing_limit", 0.05),
        ("reserve_on_grid", 4),
        ("reserve_off_grid", 101),
        ("is_feed_in_limited", 2),
        ("most_charge_current", 201),
        # The battery's electronics allow 100 A.
        ("most_charge_current", 101),
        ("most_discharge_current", 150),
        ("feed_in_limit", float("nan")),
    ],
)
async def test_a_value_out_of_range_is_never_sent(
    simulator: InverterSimulator, controls: Controls, name: str, value: float
) -> None:
    with pytest.raises(InvalidSettingError):
        await controls.write(name, value)
    assert simulator.writes == []


@pytest.mark.parametrize("mode", [InverterMode.ECONOMIC, InverterMode.UPS, InverterMode.PEAK_SHIFT])
async def test_a_mode_is_written(simulator: InverterSimulator, controls: Controls, mode: InverterMode) -> None:
    await controls.set_mode(mode)
    assert await controls.mode() is mode
    assert len(simulator.writes) == 1


async def test_the_mode_of_a_command_cannot_be_set(simulator: InverterSimulator, controls: Controls) -> None:
    with pytest.raises(InvalidSettingError):
        await controls.set_mode(InverterMode.COMMANDED)
    assert simulator.writes == []


async def test_a_refusal_says_with_which_code(simulator: InverterSimulator, controls: Controls) -> None:
    simulator.faults.add("write_refused", times=1)
    with pytest.raises(WriteRefusedError) as refused:
        await controls.write("reserve_on_grid", 30)
    assert refused.value.code == 3
    assert (await controls.settings()).reserve_on_grid == 10


@pytest.mark.parametrize("fault", ["write_ignored", "write_silence"])
async def test_a_write_that_is_not_taken_is_told(simulator: InverterSimulator, controls: Controls, fault: str) -> None:
    simulator.faults.add(fault, times=1)
    with pytest.raises(NotTakenError):
        await controls.write("reserve_on_grid", 30)
    assert simulator.writes == [(52503, 300)]
    assert (await controls.settings()).reserve_on_grid == 10


@pytest.mark.parametrize("fault", ["write_unconfirmed"])
async def test_a_write_that_is_carried_out_but_not_answered_is_so(
    simulator: InverterSimulator, controls: Controls, fault: str
) -> None:
    simulator.faults.add(fault, times=1)
    await controls.write("reserve_on_grid", 30)
    assert simulator.writes == [(52503, 300)]
    assert simulator.settings[52503] == 300


async def test_another_client_that_changes_the_setting_is_noticed(
    simulator: InverterSimulator, controls: Controls
) -> None:
    def meddle(request: Request) -> None:
        if request.is_write:
            simulator.change(52503, 800)

    simulator.after_answer = meddle
    with pytest.raises(NotTakenError):
        await controls.write("reserve_on_grid", 30)


async def test_at_most_one_write_a_second(simulator: InverterSimulator, controls: Controls, waiting: Waiting) -> None:
    for value in (20, 30, 40, 50):
        await controls.write("reserve_on_grid", value)
    await controls.command(-1500)
    await controls.leave()
    assert len(waiting.at_writes) == len(simulator.writes) == 8
    gaps = [later - earlier for earlier, later in pairwise(waiting.at_writes)]
    assert min(gaps) >= 1


# The generation, and who answers


async def test_nothing_is_written_before_the_generation_is_proven(
    simulator: InverterSimulator, controls: Controls
) -> None:
    await controls.write("reserve_on_grid", 30)
    addresses = [request.address for request in simulator.requests]
    before = addresses[: addresses.index(52503)]
    assert {10000, 10008} <= set(before)
    # 30254 is in it.
    assert any(address <= 30254 < address + count for address, count in simulator.reads)


@pytest.mark.parametrize("lacking", [{30254}, {10008}], ids=["second generation", "without a model"])
async def test_nothing_is_written_to_hardware_that_is_not_proven(
    simulator: InverterSimulator, waiting: Waiting, lacking: set[int]
) -> None:
    identity = InverterIdentity(
        serial_number=simulator.serial_number, model=None if lacking == {10008} else "8K-25", rated_power=8000
    )
    simulator.lacking = lacking
    async with controls_of(simulator, waiting, identity=identity) as controls:
        with pytest.raises(UnsupportedHardwareError):
            await controls.write("reserve_on_grid", 30)
    assert simulator.writes == []


async def test_a_model_that_is_not_stored_is_read_once(simulator: InverterSimulator, waiting: Waiting) -> None:
    identity = InverterIdentity(serial_number=simulator.serial_number)
    async with controls_of(simulator, waiting, identity=identity) as controls:
        await controls.write("reserve_on_grid", 30)
        await controls.write("reserve_on_grid", 40)
        assert controls.rated_power == 8000
    assert [address for address, _ in simulator.reads].count(10008) == 1


async def test_nothing_is_written_to_another_inverter(simulator: InverterSimulator, waiting: Waiting) -> None:
    identity = InverterIdentity(serial_number=simulator.serial_number, model="8K-25", rated_power=8000)
    async with controls_of(simulator, waiting, identity=identity) as controls:
        await controls.write("reserve_on_grid", 30)
        simulator.serial_number = "EB083P2304189999"
        await simulator.restart()
        with pytest.raises(OtherInverterError):
            await controls.write("reserve_on_grid", 40)
    assert simulator.writes == [(52503, 300)]


# Commands


@pytest.mark.parametrize("release", [False, True], ids=["held", "released"])
async def test_a_command_begins_and_ends_in_the_order_of_the_reference(
    simulator: InverterSimulator, waiting: Waiting, release: bool
) -> None:
    async with controls_of(simulator, waiting, release=release) as controls:
        await controls.settings()
        simulator.requests.clear()
        await controls.command(-1500)
        assert simulator.writes == START
        assert await controls.is_commanded()
        simulator.requests.clear()
        await controls.leave()
        assert simulator.writes == BACK
        assert not await controls.is_commanded()
        # What is so already is not written.
        await controls.leave()
        assert simulator.writes == BACK


async def test_caps_are_opened_once_the_mode_reads_back_and_closed_caps_are_opened_at_the_end(
    simulator: InverterSimulator, controls: Controls
) -> None:
    simulator.change(MODE, 771)
    simulator.settings.note_read(MODE)
    simulator.change(OUTPUT, 100)
    simulator.change(INPUT, -100)
    simulator.change(MODE, 257)
    await controls.command(2000)
    assert simulator.writes == [(MODE, 771), (OUTPUT, 20000), (INPUT, 0xFFFF & -20000), (TOLD, 200)]
    assert [simulator.settings[each] for each in (MODE, OUTPUT, INPUT, TOLD)] == [771, 20000, -20000, 200]
    simulator.change(OUTPUT, 100)
    simulator.requests.clear()
    await controls.leave()
    assert simulator.writes == [(TOLD, 0), (OUTPUT, 20000), (MODE, 257)]


async def test_each_step_of_a_command_is_read_back_before_the_next(
    simulator: InverterSimulator, controls: Controls
) -> None:
    await controls.command(-1500)
    await controls.leave()
    written: int | None = None
    for request in simulator.requests:
        if request.is_write:
            assert written is None
            written = request.address
        elif written is not None and request.address <= written < request.address + request.count:
            written = None
    assert written is None


@pytest.mark.parametrize("power", [-8010, 8010, 9000])
async def test_a_power_beyond_the_rated_one_is_never_sent(
    simulator: InverterSimulator, controls: Controls, power: float
) -> None:
    await controls.mode()
    with pytest.raises(InvalidSettingError):
        await controls.command(power)
    assert simulator.writes == []


def _writes(address: int) -> Callable[[Request], bool]:
    return lambda request: request.is_write and request.address == address


@pytest.mark.parametrize("fault", ["write_refused", "write_ignored", "write_silence"])
@pytest.mark.parametrize("address", [MODE, TOLD])
async def test_a_step_that_fails_ends_the_start(
    simulator: InverterSimulator, controls: Controls, fault: str, address: int
) -> None:
    simulator.faults.add(fault, matching=_writes(address), times=1)
    with pytest.raises(SourceError):
        await controls.command(-1500)
    assert simulator.writes == START[: 1 + START.index((address, dict(START)[address]))]
    await controls.leave()
    assert simulator.settings[MODE] == 257


@pytest.mark.parametrize("fault", ["write_refused", "write_ignored"])
async def test_the_mode_is_left_even_if_the_power_is_not_taken(
    simulator: InverterSimulator, controls: Controls, fault: str
) -> None:
    await controls.command(-1500)
    simulator.faults.add(fault, matching=_writes(TOLD))
    await controls.leave()
    assert simulator.settings[MODE] == 257


async def test_a_mode_that_comes_into_force_later_is_waited_for(
    simulator: InverterSimulator, controls: Controls
) -> None:
    simulator.change(MODE, 771)
    assert not await controls.is_commanded()
    simulator.change(MODE, 257)
    simulator.change(MODE, 771)
    assert await controls.is_commanded(may_follow=True)


async def test_the_battery_follows_a_command_and_the_end_of_it(waiting: Waiting) -> None:
    begin = datetime(2024, 1, 9, 2, 30, tzinfo=UTC)
    async with (
        InverterSimulator(now=begin, framing="tcp") as simulator,
        controls_of(simulator, waiting) as controls,
    ):
        await controls.command(-1500)
        assert simulator.view().powers.battery == -1500
        simulator.clock.advance(timedelta(minutes=30))
        assert simulator.plant.energy(begin, simulator.clock.now()).charge == pytest.approx(0.75, abs=0.01)
        await controls.leave()
        assert simulator.view().powers.battery > 0
