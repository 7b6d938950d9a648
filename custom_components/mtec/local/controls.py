"""The settings of an inverter and commands to its battery: each register is written alone, and read back."""

import asyncio
from collections.abc import Callable
from dataclasses import fields
from time import monotonic
from typing import Any, Final

from custom_components.mtec.models import InverterMode, InverterSettings
from custom_components.mtec.sources import BusyError, SourceError

from .errors import (
    InvalidSettingError,
    NoAnswerError,
    NotTakenError,
    OtherInverterError,
    RefusedError,
    UnsupportedHardwareError,
    WriteRefusedError,
)
from .inverter import LocalInverter
from .modes import MODES
from .registers import (
    DISPENSABLE_SETTINGS,
    OPEN_CAPS,
    SETTINGS,
    TOLD_POWER_STEP,
    BatteryLimits,
    Block,
    Command,
    Mode,
)

BETWEEN_WRITES: Final = 1.0
"""Seconds between the starts of two writes."""
READ_BACK_PAUSE: Final = 0.5
"""Seconds between two attempts to read back what was written."""
_READ_BACKS: Final = 3
MODE_READ_BACKS: Final = 12
"""Attempts to read back a mode: the inverter changes it some time after it has confirmed the write."""

_ALLOWED: Final = {"most_charge_current": "charge_current_limit", "most_discharge_current": "discharge_current_limit"}
"""What the battery's electronics allow, by the setting that it bounds."""

sleep = asyncio.sleep
"""Waits. Where the time stands still in a test, it has to move it."""

_MODE_OF_CODE: Final = {code: mode for mode, code in MODES.items()}
_SWITCHES: Final = frozenset(name for name, setting in SETTINGS.items() if setting.scale == 1)


class Controls:
    """The settings of an inverter in the network, and commands to its battery."""

    def __init__(self, inverter: LocalInverter, clock: Callable[[], float] = monotonic) -> None:
        self._inverter = inverter
        self._clock = clock
        self._next_write = clock()
        self._missing: set[type[Block]] = set()

    @property
    def rated_power(self) -> float | None:
        """The rated power of the inverter in W, None if it is not known."""
        identity = self._inverter.identity
        return None if identity is None else identity.rated_power

    async def settings(self) -> InverterSettings:
        """Return the settings. Raises SourceError."""
        values: dict[str, Any] = {"mode": await self.mode()}
        for block in dict.fromkeys(setting.block for setting in SETTINGS.values()):
            for name, raw in (await self._read_if_there(block)).items():
                values[name] = bool(raw) if name in _SWITCHES else raw / SETTINGS[name].scale
        return InverterSettings(**{each.name: values.get(each.name) for each in fields(InverterSettings)})

    async def mode(self) -> InverterMode | None:
        """Return the mode, None if it is one that nobody knows. Raises SourceError."""
        return _MODE_OF_CODE.get(await self._get(Mode, "mode"))

    async def highest(self, name: str) -> float:
        """Return the highest value of a setting: that of a current is what the battery's electronics allow.

        Raises SourceError.
        """
        highest = SETTINGS[name].highest
        if name not in _ALLOWED:
            return highest
        try:
            allowed: float | None = (await self._inverter.read(BatteryLimits))[_ALLOWED[name]]
        except RefusedError:
            return highest
        return highest if allowed is None else min(highest, allowed)

    async def wait_for_turn(self) -> None:
        """Wait until a second has passed since the last write."""
        while (left := self._next_write - self._clock()) > 0:
            await sleep(left)

    async def write(self, name: str, value: float) -> None:
        """Write a setting, and return when it reads back. What is so already is not written.

        Raises InvalidSettingError without sending anything, WriteRefusedError, NotTakenError, or another SourceError
        if it is not known what the inverter has now.
        """
        setting = SETTINGS[name]
        highest = await self.highest(name)
        if (raw := setting.raw(float(value), highest)) is None:
            raise InvalidSettingError(f"{value:g} is not from {setting.lowest:g} to {highest:g} by {setting.step:g}")
        await self._put(setting.block, name, raw)

    async def set_mode(self, mode: InverterMode) -> None:
        """Write a mode, but for that of a command, and return when it reads back. Raises SourceError."""
        if mode is InverterMode.COMMANDED:
            raise InvalidSettingError("This mode is not set, but entered by a command")
        await self._put(Mode, "mode", MODES[mode], MODE_READ_BACKS)

    async def command(self, power: float) -> None:
        """Tell the battery its power in W, positive discharges, and return when all of it reads back.

        Raises SourceError. Then the inverter may be under command, and has to be brought back.
        """
        await self._inverter.prove_generation()
        rated, raw = self.rated_power, round(power / TOLD_POWER_STEP)
        if rated is None or abs(raw * TOLD_POWER_STEP) > rated:
            raise InvalidSettingError("The power is more than the rated power of the inverter, or that is not known")
        # Caps that are written before the mode is in force are confirmed and ignored.
        await self._put(Mode, "mode", MODES[InverterMode.COMMANDED], MODE_READ_BACKS)
        for name, cap in OPEN_CAPS.items():
            await self._put(Command, name, cap)
        await self._put(Command, "told_power", raw)

    async def is_commanded(self, *, may_follow: bool = False) -> bool:
        """Return whether the battery is under a command. Raises SourceError.

        With `may_follow` the mode may have been written just now, and is watched until it would be in force.
        """
        for attempt in range(MODE_READ_BACKS if may_follow else 1):
            if attempt:
                await sleep(READ_BACK_PAUSE)
            if await self.mode() is InverterMode.COMMANDED:
                return True
        return False

    async def leave(self) -> None:
        """Bring an inverter that is under a command back to the general mode. Raises SourceError.

        If it does not take the power or a cap, the mode is written all the same: only the mode gives them a meaning.
        """
        if await self.mode() is not InverterMode.COMMANDED:
            return
        for name, raw in {"told_power": 0, **OPEN_CAPS}.items():
            try:
                await self._put(Command, name, raw)
            except RefusedError, WriteRefusedError, NotTakenError:
                continue
        await self.set_mode(InverterMode.GENERAL)

    async def _read_if_there(self, block: type[Block]) -> dict[str, int]:
        """Return the raw values of a block by name, nothing if this inverter does without it. Raises SourceError."""
        if block in self._missing:
            return {}
        try:
            return await self._inverter.read(block)
        except (RefusedError, NoAnswerError) as error:
            if block in DISPENSABLE_SETTINGS:
                # Not even once more: a stick that does not know a register hangs for a minute.
                self._missing.add(block)
            if block not in DISPENSABLE_SETTINGS or not isinstance(error, RefusedError):
                raise
            return {}

    async def _get(self, block: type[Block], name: str) -> int:
        raw: int = (await self._inverter.read(block))[name]
        return raw

    async def _put(self, block: type[Block], name: str, raw: int, read_backs: int = _READ_BACKS) -> None:
        """Write a register if it is not so already, and return when it reads back. Raises SourceError."""
        if await self._get(block, name) == raw:
            return
        await self.wait_for_turn()
        self._next_write = self._clock() + BETWEEN_WRITES
        unanswered: SourceError | None = None
        try:
            await self._inverter.write(block, name, raw & 0xFFFF)
        except WriteRefusedError, BusyError, OtherInverterError, UnsupportedHardwareError:
            raise
        except SourceError as error:
            # It may have been written.
            unanswered = error
        for attempt in range(read_backs):
            if attempt:
                await sleep(READ_BACK_PAUSE)
            if await self._get(block, name) == raw:
                return
        raise NotTakenError("The inverter still has another value after it was written") from unanswered
