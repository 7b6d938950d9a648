"""An inverter in the home network: who it is, and what it measures."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, time, tzinfo
import re
from time import monotonic
from typing import Any, Final

from modbus_connection import ModbusUnit

from custom_components.mtec.models import InverterIdentity, InverterReading
from custom_components.mtec.sources import ResponseError, SourceError

from .errors import (
    ConnectionClosedError,
    NoAnswerError,
    NotAnInverterError,
    OtherInverterError,
    RefusedError,
    UnsupportedHardwareError,
)
from .exchange import USUAL, Exchange, Timing
from .reading import inverter_reading
from .registers import (
    EACH_HOUR,
    EACH_MINUTE,
    MOVING,
    OF_LARGE_MODELS,
    OPTIONAL,
    BatteryFlow,
    Block,
    Firmware,
    HardwareModel,
    Model,
    RegisterValue,
    SerialNumber,
    Status,
    Strings,
    Today,
    Total,
    model_named,
    model_of,
    register_values,
)

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

_NEARLY_MIDNIGHT: Final = time(23, 59, 40)
"""From then on energies are read after midnight: on their way they could become those of the next day."""
_LONGEST_WAIT: Final = 60.0
"""Seconds to wait for midnight: the inverter's clock may stand still."""

_NO_INVERTER: Final = "Something answers there, but it is no inverter of this kind"
_SERIAL_NUMBER: Final = re.compile(r"(?=.*\d)[A-Z0-9-]{6,16}", re.IGNORECASE | re.ASCII)


class LocalInverter:
    """An inverter in the home network, read over a unit of a connection that belongs to somebody else.

    `identity` is who is expected to answer, None if anybody may. With `release` the connection is given up after each
    use, so that another client can have it. `clock` counts the seconds after which something is read again.
    """

    def __init__(
        self,
        unit: ModbusUnit,
        *,
        time_zone: tzinfo,
        identity: InverterIdentity | None = None,
        release: bool = False,
        timing: Timing = USUAL,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.identity = identity
        self.serial_number: str | None = None
        """The serial number of whoever answered last, None if nobody did."""
        self.dropped: Counter[str] = Counter()
        """How often a value was dropped because it cannot be, by its name."""
        self._unit = unit
        self._exchange = Exchange(unit, timing)
        self._time_zone = time_zone
        self._release = release
        self._clock = clock
        self._lock = asyncio.Lock()
        self._verified_link: int | None = None
        self._began: dict[float, float] = {}
        self._waiting_since: float | None = None
        self._refused: set[type[Block]] = set()
        self._unanswered: set[type[Block]] = set()
        self._model_requested = False
        self._is_proven = False
        self._blocks: dict[type[Block], Block] = {}
        self._registers: dict[type[Block], dict[str, RegisterValue]] = {}
        self._energies: dict[str, Any] = {}

    def close(self) -> None:
        """Stop listening to the connection."""
        self._exchange.close()

    async def identify(self) -> InverterIdentity:
        """Return who answers. Raises SourceError.

        Raises OtherInverterError if somebody else was expected. If nobody was, raises NotAnInverterError and
        UnsupportedHardwareError.
        """
        async with self._lock:
            try:
                identity = await self._verify()
                await self._read(Firmware)
                return self.identity or identity
            finally:
                await self._end()

    async def reading(self) -> InverterReading:
        """Return the values now; the energies are up to a minute old. Raises SourceError.

        Raises OtherInverterError if somebody else answers than before.
        """
        async with self._lock:
            try:
                await self._read_what_is_due()
            finally:
                await self._end()
            model = self._model
            return inverter_reading(
                {name: each.value for block in self._registers.values() for name, each in block.items()},
                self._energies,
                phases=None if model is None else model.phases,
                time_zone=self._time_zone,
            )

    async def read(self, kind: type[Block]) -> dict[str, Any]:
        """Return the values of a block now, by name. Raises SourceError."""
        async with self._lock:
            try:
                await self._ensure_verified()
                try:
                    values = await self._fetch_of_verified(kind)
                except ConnectionClosedError:
                    # While it was idle.
                    await self._ensure_verified()
                    values = await self._fetch_of_verified(kind)
            finally:
                await self._end()
        return {name: each.value for name, each in values.items()}

    async def prove_generation(self) -> None:
        """Read what only the third generation has, once. Raises UnsupportedHardwareError, and other SourceErrors."""
        async with self._lock:
            try:
                await self._ensure_verified()
                await self._prove_generation()
            finally:
                await self._end()

    async def write(self, kind: type[Block], name: str, word: int) -> None:
        """Write a register of a block. Raises SourceError; unless it was refused, it may have been written.

        Raises UnsupportedHardwareError, and writes nothing, if it is not proven to be of the third generation.
        """
        async with self._lock:
            try:
                await self._ensure_verified()
                await self._prove_generation()
                await self._ensure_verified()
                block = self._blocks.setdefault(kind, kind(self._unit))
                await self._exchange.write(block.resolved_fields[name].address, word)
            finally:
                await self._end()

    def registers(self) -> list[RegisterValue]:
        """Return all registers as they were read last, by address."""
        found = [each for block in self._registers.values() for each in block.values()]
        return sorted(found, key=lambda each: each.address)

    @property
    def _model(self) -> HardwareModel | None:
        return model_named(self.identity.model if self.identity else None)

    async def _end(self) -> None:
        if self._release:
            await self._exchange.disconnect()

    async def _read_what_is_due(self) -> None:
        # If the connection is released, the serial number is one more request of each reading.
        seldom = (Strings,) if self._release else ()
        if self._is_due(_HOUR):
            self._refused.clear()
            self._verified_link = None
        try:
            await self._read(Status)
        except ConnectionClosedError:
            # While it was idle.
            await self._read(Status)
        # Soon after the clock.
        if not self._must_wait_for_midnight():
            await self._read_if_due(_MINUTE, (*EACH_MINUTE, *seldom))
        await self._read_if_due(_HOUR, EACH_HOUR)
        for kind in MOVING:
            if kind is not Status and kind not in seldom:
                await self._read(kind)

    async def _read_if_due(self, period: float, kinds: Iterable[type[Block]]) -> None:
        if not self._is_due(period):
            return
        began = self._clock()
        for kind in kinds:
            await self._read(kind)
            if kind is Total:
                # With the clock, which was read before: it says of which day they are.
                self._energies = {
                    name: each.value for read in (Status, Today, Total) for name, each in self._registers[read].items()
                }
        self._began[period] = began

    def _is_due(self, period: float) -> bool:
        began = self._began.get(period)
        return began is None or self._clock() - began >= period

    def _must_wait_for_midnight(self) -> bool:
        clock: datetime | None = self._registers[Status]["clock"].value
        if clock is None or clock.time() < _NEARLY_MIDNIGHT:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = self._clock()
        return self._clock() - self._waiting_since < _LONGEST_WAIT

    async def _read(self, kind: type[Block]) -> None:
        """Read a block, or do without it for an hour if it is optional and the inverter refuses it."""
        actual = self._actual(kind)
        if actual in self._refused:
            return
        await self._ensure_verified()
        try:
            self._registers[kind] = values = await self._fetch_of_verified(actual)
        except (RefusedError, NoAnswerError) as error:
            if not self._can_do_without(actual, error):
                raise
            self._refused.add(actual)
            self._registers.pop(kind, None)
            if actual is not kind:
                await self._read(kind)
            return
        self._keep(kind, actual, values)

    def _keep(self, kind: type[Block], actual: type[Block], values: dict[str, RegisterValue]) -> None:
        """Count the values that were dropped, and keep the firmware."""
        self._unanswered.discard(actual)
        self.dropped.update(name for name, each in values.items() if each.value is None)
        if kind is Firmware and self.identity is not None:
            self.identity = replace(self.identity, firmware=values["firmware"].value)

    def _can_do_without(self, kind: type[Block], error: SourceError) -> bool:
        if kind not in OPTIONAL or isinstance(error, RefusedError):
            return kind in OPTIONAL
        # Once, the link can be the cause.
        again = kind in self._unanswered
        self._unanswered.add(kind)
        return again

    async def _fetch_of_verified(self, kind: type[Block]) -> dict[str, RegisterValue]:
        """Read a block on the link on which the serial number was read. Raises SourceError."""
        values = await self._fetch(kind)
        if self._exchange.link != self._verified_link:
            raise ConnectionClosedError("The connection was replaced while the inverter was read")
        return values

    def _actual(self, kind: type[Block]) -> type[Block]:
        """Return what this model has in the place of a block."""
        large = OF_LARGE_MODELS.get(kind)
        return large if large and self._model and self._model.large and large not in self._refused else kind

    async def _fetch(self, kind: type[Block]) -> dict[str, RegisterValue]:
        """Read a block of whoever answers. Raises SourceError."""
        block = self._blocks.setdefault(kind, kind(self._unit))
        words = await self._exchange.read(block)
        return register_values(block, words, self.identity.rated_power if self.identity else None)

    async def _ensure_verified(self) -> None:
        """Read who answers if the link is new. Raises SourceError."""
        await self._exchange.settle()
        if self._exchange.link is None or self._exchange.link != self._verified_link:
            await self._verify()

    async def _verify(self) -> InverterIdentity:
        """Read who answers on this link. Raises SourceError."""
        serial_number = await self._read_serial_number()
        link = self._exchange.link
        if self.identity is None:
            identity = await self._read_identity(serial_number)
            if self._exchange.link != link:
                # An answer did not come, and the link is another one.
                serial_number, link = await self._read_serial_number(), self._exchange.link
        else:
            identity = self.identity
        if serial_number != identity.serial_number:
            raise OtherInverterError(serial_number)
        self.identity, self._verified_link = identity, link
        return identity

    async def _read_serial_number(self) -> str:
        try:
            values = await self._fetch(SerialNumber)
        except ResponseError as error:
            if self.identity is not None:
                raise
            raise NotAnInverterError(_NO_INVERTER) from error
        serial_number = str(values["serial_number"].value).strip()
        if not _SERIAL_NUMBER.fullmatch(serial_number):
            raise NotAnInverterError(_NO_INVERTER)
        self.serial_number, self._registers[SerialNumber] = serial_number, values
        return serial_number

    async def _read_identity(self, serial_number: str) -> InverterIdentity:
        model = await self._read_model()
        try:
            await self._fetch(BatteryFlow)
        except RefusedError as error:
            raise UnsupportedHardwareError(
                "The inverter is of the second hardware generation, which is not supported"
            ) from error
        return InverterIdentity(
            serial_number=serial_number,
            model=None if model is None else model.name,
            rated_power=None if model is None else model.rated_power,
        )

    async def _prove_generation(self) -> None:
        if self._is_proven:
            return
        if self._model is None and self.identity is not None and (model := await self._read_model()) is not None:
            self.identity = replace(self.identity, model=model.name, rated_power=model.rated_power)
        if self._model is None:
            raise UnsupportedHardwareError("The inverter does not say which model it is, and so nothing is written")
        try:
            await self._fetch(BatteryFlow)
        except RefusedError as error:
            raise UnsupportedHardwareError(
                "The inverter is of the second hardware generation, to which nothing is written"
            ) from error
        self._is_proven = True

    async def _read_model(self) -> HardwareModel | None:
        """Return the model, requested only once: one stick is known not to answer this. None if it is not known."""
        if not self._model_requested:
            self._model_requested = True
            try:
                self._registers[Model] = await self._fetch(Model)
            except RefusedError, NoAnswerError:
                return None
        return model_of(self._registers[Model]["model"].value) if Model in self._registers else None
