"""The registers of the inverter that can be written, and what the battery makes of them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
import time

from tests.portal_simulator.plant import Inverter

from .commanded import Control
from .modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, RefusedError

MODE = 50000
GENERAL, ECONOMIC, UPS, PEAK_SHIFT, FEED_IN, OFF_GRID, COMMANDED = 257, 258, 259, 260, 261, 512, 771
MODES = frozenset({GENERAL, ECONOMIC, UPS, PEAK_SHIFT, FEED_IN, OFF_GRID, COMMANDED})

TOLD_POWER, MOST_OUTPUT, MOST_INPUT = 50207, 50208, 50209
RESERVE_IS_ON, RESERVE = 52502, 52503
CHARGE_LIMIT, DISCHARGE_LIMIT = 52601, 52603

VOLTS_OF_LIMIT = 50
"""Volts by which a limit of the battery's current bounds its power."""

type OfInverter = Callable[[Inverter], int]


@dataclass(frozen=True)
class Setting:
    """A register that can be written: its smallest and greatest raw value, and the one it has at first.

    Where the smallest is negative it is signed.
    """

    address: int
    smallest: OfInverter
    greatest: OfInverter
    initial: OfInverter
    what: str


def _battery_current(inverter: Inverter) -> int:
    """The most the battery takes and gives, in tenths of an A."""
    return round(10 * allowed_current(inverter))


def allowed_current(inverter: Inverter) -> float:
    """Current in A that the battery's electronics allow, 0 without a battery."""
    return inverter.battery.power / VOLTS_OF_LIMIT if inverter.battery else 0.0


def _setting(address: int, smallest: int, greatest: int, initial: int, what: str) -> Setting:
    return Setting(address, lambda _: smallest, lambda _: greatest, lambda _: initial, what)


SETTINGS: dict[int, Setting] = {
    setting.address: setting
    for setting in (
        _setting(MODE, 0, 0xFFFF, GENERAL, "mode, one of MODES"),
        _setting(25100, 0, 1, 0, "limit of feeding in, on"),
        _setting(25103, 0, 1000, 1000, "limit of feeding in, tenths of a %"),
        _setting(50007, 0, 1, 0, "limit of drawing, on"),
        _setting(50009, 0, 1000, 1000, "limit of drawing, tenths of a kVA"),
        _setting(RESERVE_IS_ON, 0, 1, 0, "state of charge to keep on the grid, on"),
        _setting(RESERVE, 50, 1000, 100, "state of charge to keep on the grid, tenths of a %"),
        _setting(52504, 0, 1, 0, "state of charge to keep off the grid, on"),
        _setting(52505, 50, 1000, 100, "state of charge to keep off the grid, tenths of a %"),
        Setting(CHARGE_LIMIT, lambda _: 0, lambda _: 2000, _battery_current, "charge current limit, tenths of an A"),
        Setting(
            DISCHARGE_LIMIT, lambda _: 0, lambda _: 2000, _battery_current, "discharge current limit, tenths of an A"
        ),
        Setting(
            TOLD_POWER,
            lambda inverter: -round(inverter.rated / 10),
            lambda inverter: round(inverter.rated / 10),
            lambda _: 0,
            "battery power while under command, tens of W",
        ),
        _setting(MOST_OUTPUT, 0, 20000, 20000, "cap of the AC output while under command, tens of W"),
        _setting(MOST_INPUT, -20000, 0, -20000, "cap of the AC input while under command, tens of W"),
    )
}
"""What can be written, by its address."""


class Settings:
    """The settings of an inverter. They stay for ever: there is no watchdog, and a restart changes nothing.

    `modes` are the modes it takes. The mode 771 is in force `settling` seconds after it was written, or once
    the mode has been read in between and found to be the old one. Caps of the AC power that are written before then
    are confirmed and forgotten.
    """

    def __init__(self, inverter: Inverter) -> None:
        self.modes = set(MODES)
        self.settling = 0.5
        self._inverter = inverter
        self._values = {address: setting.initial(inverter) for address, setting in SETTINGS.items()}
        self._settles_at = -inf
        self._mode_before = GENERAL

    @property
    def mode(self) -> int:
        """The mode that is in force."""
        return self._mode_before if time.monotonic() < self._settles_at else self._values[MODE]

    def __getitem__(self, address: int) -> int:
        """The value of a register, negative where it is signed."""
        return self.mode if address == MODE else self._values[address]

    def word(self, address: int) -> int:
        """The word of a register."""
        return self[address] & 0xFFFF

    def note_read(self, address: int) -> None:
        """Be in the mode that was written once its register has been read."""
        if address == MODE:
            self._settles_at = -inf

    def check(self, address: int, word: int) -> int:
        """Return the value of a word that may be written. Raises RefusedError."""
        setting = SETTINGS.get(address)
        if setting is None:
            raise RefusedError(ILLEGAL_ADDRESS)
        smallest, greatest = setting.smallest(self._inverter), setting.greatest(self._inverter)
        value = word - 0x10000 if smallest < 0 and word >= 0x8000 else word
        if not smallest <= value <= greatest or (address == MODE and value not in self.modes):
            raise RefusedError(ILLEGAL_VALUE)
        return value

    def write(self, address: int, word: int) -> None:
        """Write a word. Raises RefusedError."""
        value = self.check(address, word)
        if address in {MOST_OUTPUT, MOST_INPUT} and self.mode != COMMANDED:
            return
        if address == MODE:
            self._mode_before = self.mode
            is_new = value == COMMANDED != self._mode_before
            self._settles_at = time.monotonic() + self.settling if is_new else -inf
        self._values[address] = value

    def control(self) -> Control:
        """Return what the battery makes of it."""
        commanded = self.mode == COMMANDED
        values, usual = self._values, _battery_current(self._inverter)
        return Control(
            told=values[TOLD_POWER] * 10.0 if commanded else None,
            most_output=values[MOST_OUTPUT] * 10.0 if commanded else inf,
            most_input=values[MOST_INPUT] * 10.0 if commanded else -inf,
            reserve=self._reserve(),
            charge=_watts(values[CHARGE_LIMIT], usual),
            discharge=_watts(values[DISCHARGE_LIMIT], usual),
        )

    def _reserve(self) -> float:
        """The reserve in %, 0 if the battery's own is not less."""
        reserve = self._values[RESERVE] / 10 if self._values[RESERVE_IS_ON] else 0.0
        own = self._inverter.battery.reserve if self._inverter.battery else 0.0
        return reserve if reserve > own else 0.0


def _watts(tenths: int, usual: int) -> float:
    """The power to which a limit of the current bounds the battery; infinite if its own electronics allow less."""
    return inf if tenths >= usual else tenths / 10 * VOLTS_OF_LIMIT
