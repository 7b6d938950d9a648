"""The registers of the inverter that can be read: one table of what they hold, and of what.

Words are big-endian, the high one first. A raw value is the value times its scale.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import sqrt
from operator import attrgetter
from typing import Literal

from tests.portal_simulator import Inverter, Plant, Station
from tests.portal_simulator.common import BACKED_UP, Phase, battery_volts, peak, phases, string_volts, temperatures

from .settings import SETTINGS, allowed_current

type Kind = Literal["text", "bytes", "u16", "i16", "u32", "i32"]
type Value = float | str | bytes

CLUSTERS = (
    (10000, 15),
    (10100, 16),
    (10994, 22),
    (11016, 14),
    (11032, 4),
    (11038, 4),
    (11062, 4),
    (25100, 4),
    (30200, 26),
    (30230, 26),
    (30254, 6),
    (31000, 7),
    (31102, 14),
    (33000, 16),
    (50000, 1),
    (52502, 4),
    (52601, 3),
)
"""Start and length of what is known to be readable at once. Words in it that hold nothing are 0."""

_MODELS = {
    30: ("4K-25", "5K-25", "6K-25", "8K-25", "10K-25", "12K-25", "10K-40", "12K-40", "15K-40", "20K-40"),
    31: ("3K-30D", "3.6K-30D", "4.2K-30D", "4.6K-30D", "5K-30D", "6K-30D", "7K-30D", "8K-30D", "3K-30S", "3.6K-30S"),
}
"""Models by the low byte of the register, by its high byte."""

_ON_GRID, _FAULT, _OFF_GRID = 2, 3, 5
_MAINS_LOST = 1
_MOST_STRINGS = 6
_LETTERS = "ABC"
_NO_PHASE = Phase(0.0, 0.0, None)


def model_code(inverter: Inverter) -> bytes:
    """Return the two bytes of an inverter's model: three-phase or single-phase, and which of those."""
    kilowatts = f"{inverter.rated / 1000:g}K"
    if len(inverter.phases) == len(_LETTERS):
        return bytes([30, _MODELS[30].index(f"{kilowatts}-25")])
    return bytes([31, _MODELS[31].index(f"{kilowatts}-{'30S' if len(inverter.strings) == 1 else '30D'}")])


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Energies of a period in kWh that the inverter counts; 0 for what it cannot measure."""

    export: float
    import_: float
    backup: float
    charge: float
    discharge: float
    pv: float
    consumption: float


@dataclass(frozen=True, kw_only=True)
class View:
    """The inverter at a moment.

    `calendar` is what its clock shows. Its day begins when that reaches midnight, or earlier by `early` (later, if that
    is negative).
    """

    inverter: Inverter
    plant: Plant
    station: Station
    moment: datetime
    calendar: datetime
    firmware: bytes
    early: timedelta = timedelta()
    zeros: bool = False
    """Whether all that is measured and counted reads 0."""

    @cached_property
    def powers(self) -> _Shown:
        """The powers, and the inverter's part of them."""
        return _Shown(self)

    @cached_property
    def today(self) -> Counted:
        """The energies since the inverter's day began."""
        day = self.plant.local_date(self.calendar + self.early)
        return self._counted(self.plant.day_start(day) - self.early)

    @cached_property
    def life(self) -> Counted:
        """The energies since the plant was built."""
        return self._counted(self.plant.day_start(self.plant.description.installed))

    @property
    def local(self) -> datetime:
        """The inverter's clock, in the plant's time zone."""
        return self.calendar.astimezone(self.plant.description.zone)

    @property
    def hours(self) -> float:
        """Hours since the plant was built."""
        return (self.moment - self.plant.day_start(self.plant.description.installed)) / timedelta(hours=1)

    @property
    def faults(self) -> int:
        """The first word of faults."""
        return self.station.fault | (_MAINS_LOST if self.station.outage else 0)

    @property
    def status(self) -> int:
        """What the inverter does."""
        return _OFF_GRID if self.station.outage else _FAULT if self.station.fault else _ON_GRID

    def _counted(self, start: datetime) -> Counted:
        """The energies since a moment, as the portal has them. An inverter has its part of the PV by its strings' peak.

        Without a meter an inverter takes all that it gives for the household's.
        """
        energies, inverter = self.plant.energy(start, self.moment), self.inverter
        pv = energies.pv * peak(inverter) / sum(map(peak, self.plant.description.inverters))
        metered, battery = inverter.meter, inverter.battery is not None
        return Counted(
            export=energies.export if metered else 0.0,
            import_=energies.import_ if metered else 0.0,
            backup=energies.consumption * BACKED_UP if battery else 0.0,
            charge=energies.charge if battery else 0.0,
            discharge=energies.discharge if battery else 0.0,
            pv=pv,
            consumption=energies.consumption if metered else pv,
        )


class _Shown:
    """What an inverter shows of its plant's powers, in W, V, A, % and °C; 0 for what it lacks."""

    def __init__(self, view: View) -> None:
        inverter = view.inverter
        powers = view.plant.power(view.moment)
        share = powers.inverters[inverter.device_id]
        has_battery = inverter.battery is not None
        self.ac = share.ac
        self.pv = sum(share.strings.values())
        self.fed_in = -powers.grid if inverter.meter else 0.0
        self.phases = dict.fromkeys(_LETTERS, _NO_PHASE) | phases(inverter, share, powers)
        self.strings = {int(name.removeprefix("PV")): watts for name, watts in share.strings.items()}
        self.celsius = temperatures(inverter, share)
        self.backup = powers.load * BACKED_UP if has_battery else 0.0
        self.phase_count = len(inverter.phases)
        self.battery = share.battery
        self.battery_volts = battery_volts(powers) if has_battery else 0.0
        self.soc = powers.soc or 0.0 if has_battery else 0.0

    def amperes(self, letter: str) -> float:
        """The inverter's current of a phase."""
        phase = self.phases[letter]
        return abs(phase.watts) / phase.volts if phase.volts else 0.0

    def line_volts(self, first: str, second: str) -> float:
        """Voltage between two phases."""
        a, b = self.phases[first].volts, self.phases[second].volts
        return sqrt(a * a + b * b + a * b) if a and b else 0.0

    def string(self, number: int) -> tuple[float, float, float]:
        """V, A and W of a string."""
        watts = self.strings.get(number, 0.0)
        volts = string_volts(watts)
        return volts, watts / volts if volts else 0.0, watts

    def backup_of(self, letter: str) -> tuple[float, float, float, float]:
        """V, A, Hz and W of a phase of the backup output."""
        volts = self.phases[letter].volts
        if not self.battery_volts or not volts:
            return 0.0, 0.0, 0.0, 0.0
        watts = self.backup / self.phase_count
        return volts, watts / volts, 50.0, watts


@dataclass(frozen=True)
class Register:
    """A value: the address of its first word, how many it has, its type, its scale, and how to find it.

    One that is `fixed` tells who the inverter is or what its clock shows: it is neither measured nor counted.
    """

    address: int
    words: int
    kind: Kind
    scale: int
    value: Callable[[View], Value]
    fixed: bool = False

    def encode(self, view: View) -> list[int]:
        """Return the words."""
        value: Value = 0 if view.zeros and not self.fixed else self.value(view)
        if isinstance(value, str):
            value = value.encode("ascii")
        size = 2 * self.words
        raw = (
            value.ljust(size, b"\0")
            if isinstance(value, bytes)
            else round(value * self.scale).to_bytes(size, "big", signed=self.kind in {"i16", "i32"})
        )
        if len(raw) != size:
            raise ValueError(f"{value!r} does not fit into {self.words} words")
        return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, size, 2)]


def _clock(view: View) -> bytes:
    local = view.local
    return bytes([local.year - 2000, local.month, local.day, local.hour, local.minute, local.second])


_OF_PHASES: tuple[tuple[int, int, int, Kind, int, Callable[[_Shown, str], float]], ...] = (
    (10994, 2, 2, "i32", 1, lambda shown, letter: -(shown.phases[letter].grid or 0.0)),
    (11009, 2, 1, "u16", 10, lambda shown, letter: shown.phases[letter].volts),
    (11010, 2, 1, "u16", 10, lambda shown, letter: shown.amperes(letter)),
    (30200, 10, 1, "u16", 10, lambda shown, letter: shown.backup_of(letter)[0]),
    (30201, 10, 1, "u16", 10, lambda shown, letter: shown.backup_of(letter)[1]),
    (30202, 10, 1, "u16", 100, lambda shown, letter: shown.backup_of(letter)[2]),
    (30204, 10, 2, "i32", 1, lambda shown, letter: shown.backup_of(letter)[3]),
    (30236, 6, 2, "i32", 1, lambda shown, letter: shown.phases[letter].watts),
)
"""Values of each phase: address of phase A, from there to the next phase, words, type, scale, and how to find it."""

_OF_STRINGS: tuple[tuple[int, int, int, Kind, int, Callable[[_Shown, int], float]], ...] = (
    (11038, 2, 1, "u16", 10, lambda shown, number: shown.string(number)[0]),
    (11039, 2, 1, "u16", 10, lambda shown, number: shown.string(number)[1]),
    (11062, 2, 2, "u32", 1, lambda shown, number: shown.string(number)[2]),
)
"""Values of each string, likewise."""

_COUNTERS = ("export", "import_", "backup", "charge", "discharge", "pv", "consumption")
"""The counters in the order of their registers."""


def _repeated[T](
    rows: Iterable[tuple[int, int, int, Kind, int, Callable[[_Shown, T], float]]], parts: Sequence[T]
) -> Iterator[Register]:
    """The registers of values that each phase or string has."""

    def value_of(part: T, find: Callable[[_Shown, T], float]) -> Callable[[View], Value]:
        return lambda view: find(view.powers, part)

    for address, distance, length, kind, scale, find in rows:
        for number, part in enumerate(parts):
            yield Register(address + distance * number, length, kind, scale, value_of(part, find))


def _counter_rows() -> Iterator[Register]:
    for number, name in enumerate(_COUNTERS):
        find = attrgetter(name)
        yield Register(31000 + number, 1, "u16", 10, _counter(find, lambda view: view.today))
        yield Register(31102 + 2 * number, 2, "u32", 10, _counter(find, lambda view: view.life))


def _counter(find: Callable[[Counted], float], period: Callable[[View], Counted]) -> Callable[[View], Value]:
    return lambda view: find(period(view))


def _of_battery(value: float) -> Callable[[View], float]:
    return lambda view: value if view.inverter.battery else 0.0


def _cell_volts(offset: float) -> Callable[[View], float]:
    return lambda view: view.powers.battery_volts / 16 + offset if view.inverter.battery else 0.0


TABLE: dict[int, Register] = {
    register.address: register
    for register in (
        Register(10000, 8, "text", 1, lambda v: v.inverter.serial, fixed=True),
        Register(10008, 1, "bytes", 1, lambda v: model_code(v.inverter), fixed=True),
        Register(10011, 4, "bytes", 1, lambda v: v.firmware, fixed=True),
        Register(10100, 3, "bytes", 1, _clock, fixed=True),
        Register(10105, 1, "u16", 1, lambda v: v.status),
        Register(10112, 2, "u32", 1, lambda v: v.faults),
        Register(10114, 2, "u32", 1, lambda _: 0),
        Register(10120, 2, "u32", 1, lambda _: 0),
        *_repeated(_OF_PHASES, _LETTERS),
        Register(11000, 2, "i32", 1, lambda v: v.powers.fed_in),
        Register(11002, 2, "u32", 100, lambda v: v.life.export),
        Register(11004, 2, "u32", 100, lambda v: v.life.import_),
        Register(11006, 1, "u16", 10, lambda v: v.powers.line_volts("A", "B")),
        Register(11007, 1, "u16", 10, lambda v: v.powers.line_volts("B", "C")),
        Register(11008, 1, "u16", 10, lambda v: v.powers.line_volts("C", "A")),
        Register(11015, 1, "u16", 100, lambda _: 50.0),
        Register(11016, 2, "i32", 1, lambda v: v.powers.ac),
        # Half of all hours are by day.
        Register(11022, 2, "u32", 1, lambda v: v.hours // 2),
        Register(11028, 2, "u32", 1, lambda v: v.powers.pv),
        Register(11032, 1, "i16", 10, lambda v: v.powers.celsius[0]),
        Register(11033, 1, "i16", 10, lambda v: v.powers.celsius[1]),
        # These sensors are not fitted.
        Register(11034, 1, "i16", 10, lambda _: 0),
        Register(11035, 1, "i16", 10, lambda _: 0),
        *_repeated(_OF_STRINGS, range(1, _MOST_STRINGS + 1)),
        Register(30230, 2, "i32", 1, lambda v: v.powers.backup),
        Register(30254, 1, "u16", 10, lambda v: v.powers.battery_volts),
        Register(
            30255,
            1,
            "i16",
            10,
            lambda v: v.powers.battery / v.powers.battery_volts if v.powers.battery_volts else 0.0,
        ),
        Register(30256, 1, "u16", 1, lambda v: v.powers.battery < 0),
        Register(30258, 2, "i32", 1, lambda v: v.powers.battery),
        *_counter_rows(),
        Register(32005, 1, "u16", 10, lambda v: allowed_current(v.inverter)),
        Register(32006, 1, "u16", 10, lambda v: allowed_current(v.inverter)),
        Register(33000, 1, "u16", 100, lambda v: v.powers.soc),
        Register(33001, 1, "u16", 100, _of_battery(98.0)),
        Register(33003, 1, "i16", 10, _of_battery(24.5)),
        Register(33009, 1, "i16", 10, _of_battery(25.1)),
        Register(33011, 1, "i16", 10, _of_battery(23.8)),
        Register(33013, 1, "u16", 1000, _cell_volts(0.004)),
        Register(33015, 1, "u16", 1000, _cell_volts(-0.003)),
        Register(33016, 2, "u32", 1, lambda _: 0),
        Register(33018, 2, "u32", 1, lambda _: 0),
    )
}
"""What can be read beside the settings, by the address of its first word."""

_HOLDERS = {
    address: register
    for register in TABLE.values()
    for address in range(register.address, register.address + register.words)
}
"""The register to which a word belongs."""

KNOWN = frozenset(
    [*_HOLDERS, *SETTINGS, *(address for start, length in CLUSTERS for address in range(start, start + length))]
)
"""All words that can be read."""


def words(address: int, count: int, view: View) -> list[int]:
    """Return words of which none belongs to a setting, 0 for those that hold nothing."""
    encoded: dict[int, list[int]] = {}
    found = []
    for each in range(address, address + count):
        if (register := _HOLDERS.get(each)) is None:
            found.append(0)
            continue
        if register.address not in encoded:
            encoded[register.address] = register.encode(view)
        found.append(encoded[register.address][each - register.address])
    return found
