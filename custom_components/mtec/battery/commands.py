"""Commands to the batteries of inverters in the network, and that each of them ends.

An inverter under command stays so for ever, whatever becomes of Home Assistant. So a command is stored before the
first register is written, and forgotten only after the inverter was read to be under command no more.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.event import async_call_later, async_track_point_in_utc_time
from homeassistant.helpers.start import async_at_started
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from custom_components.mtec.const import DOMAIN, LOGGER
from custom_components.mtec.errors import control_error, validation_error
from custom_components.mtec.local.controls import Controls
from custom_components.mtec.local.errors import NotTakenError, WriteRefusedError
from custom_components.mtec.models import InverterMode
from custom_components.mtec.network import NetworkInverter
from custom_components.mtec.sources import SourceConnectionError, SourceError
from custom_components.mtec.time_limit import UnexpectedError

from .command import BatteryCommand, CommandKind, Phase
from .connection import address_of, open_controls
from .issues import async_note_foreign_command, async_note_not_ended
from .store import CommandStore

RETRY_INTERVAL: Final = timedelta(seconds=30)
"""How long after an attempt to end a command that failed the next one is made."""

REPAIR_AFTER: Final = timedelta(minutes=10)
"""For how long a command cannot be ended until a repair issue says so."""

END_LIMIT: Final = 15.0
"""Seconds that an unload, or a stop of Home Assistant, waits for commands to end."""

_ATTEMPT_LIMIT: Final = 90.0

_COMMANDABLE: Final = frozenset(InverterMode) - {InverterMode.OFF_GRID, InverterMode.COMMANDED}
"""The modes that a command may begin in, and goes back to."""


class BatteryCommands:
    """All commands to batteries, by the serial number of the inverter: the watchdog that inverters lack."""

    def __init__(self, hass: HomeAssistant) -> None:
        self._hass = hass
        self.store = CommandStore(hass)
        self._networks: dict[str, NetworkInverter] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._timers: dict[str, CALLBACK_TYPE] = {}
        self._unsubscribe: dict[str, CALLBACK_TYPE] = {}
        self._failing_since: dict[str, datetime] = {}
        self._left_in: dict[str, InverterMode | None] = {}
        self._is_stopping = False

    async def async_load(self) -> None:
        """Load what was stored, and end commands at a stop of Home Assistant."""
        await self.store.async_load()
        self._hass.async_add_shutdown_job(HassJob(self._async_stop, "mtec end of battery commands"))
        async_at_started(self._hass, self._async_end_those_without_a_home)

    @callback
    def mode_set(self, serial_number: str) -> InverterMode | None:
        """Return the mode in which a command has put or left an inverter, None while that is not known."""
        if (command := self.store.get(serial_number)) is None:
            return self._left_in.get(serial_number)
        return InverterMode.COMMANDED if command.phase is Phase.RUNNING else None

    # Homes come and go

    @callback
    def async_attach(self, network: NetworkInverter) -> None:
        """Take an inverter of a home that is being loaded: go on with a command to its battery, or end it."""
        serial_number = network.id
        self._networks[serial_number] = network
        self._unsubscribe[serial_number] = network.async_add_listener(partial(self._async_check, serial_number))
        if (command := self.store.get(serial_number)) is None:
            return
        goes_on = command.phase is Phase.RUNNING and network.has_settings and not command.is_over(dt_util.utcnow())
        self._async_create_task(self._async_resume(command) if goes_on else self._async_try_end(serial_number))

    async def async_detach(self, inverters: Iterable[NetworkInverter]) -> None:
        """End the commands to inverters of a home that is being unloaded. What fails is tried further."""
        ids = [network.id for network in inverters if self._networks.get(network.id) is network]
        await self._async_end_all(ids)
        for serial_number in ids:
            self._networks.pop(serial_number)
            self._unsubscribe.pop(serial_number)()
            async_note_foreign_command(self._hass, serial_number, None)

    async def _async_stop(self) -> None:
        self._is_stopping = True
        await self._async_end_all(self.store.ids)

    async def _async_end_all(self, ids: Iterable[str]) -> None:
        """End commands within a time limit. Those that are left are stored, and tried further."""
        try:
            async with asyncio.timeout(END_LIMIT):
                await asyncio.gather(*(self._async_try_end(each) for each in ids if each in self.store.ids))
        except TimeoutError:
            LOGGER.warning("A command to a battery could not be ended in time, and will be as soon as it can be")

    async def _async_end_those_without_a_home(self, _: HomeAssistant) -> None:
        for serial_number in [each for each in self.store.ids if each not in self._networks]:
            await self._async_try_end(serial_number)

    # Beginning

    async def async_begin(
        self,
        network: NetworkInverter,
        kind: CommandKind,
        power: float,
        *,
        until: datetime,
        until_state_of_charge: float | None,
        began_by: str | None,
    ) -> BatteryCommand:
        """Tell a battery what to do; one that is told something already is told this instead.

        Raises HomeAssistantError. Then it is under no command, or brought back as soon as it answers.
        """
        serial_number = network.id
        async with self._locks[serial_number]:
            if self._is_stopping or self._networks.get(serial_number) is not network:
                raise validation_error("inverter_not_loaded")
            try:
                controls = network.controls()
                command = BatteryCommand(
                    serial_number=serial_number,
                    kind=kind,
                    power=power,
                    began=dt_util.utcnow(),
                    until=until,
                    until_state_of_charge=until_state_of_charge,
                    mode_before=await self._async_mode_before(serial_number, controls),
                    phase=Phase.STARTING,
                    began_by=began_by,
                    **address_of(network),
                )
                return await self._async_start(controls, command)
            except SourceError as error:
                raise control_error(error) from error

    async def _async_mode_before(self, serial_number: str, controls: Controls) -> InverterMode:
        """Return the mode to go back to. Raises SourceError, and ServiceValidationError if there is none."""
        mode, previous = await controls.mode(), self.store.get(serial_number)
        if mode is InverterMode.COMMANDED:
            if previous is None:
                raise validation_error("foreign_command")
            return previous.mode_before
        if mode is None or mode not in _COMMANDABLE:
            raise validation_error("mode_not_commandable")
        return mode

    async def _async_start(self, controls: Controls, command: BatteryCommand) -> BatteryCommand:
        """Store and write a command, and return it as it runs. Goes back at once if that fails. Raises SourceError."""
        serial_number = command.serial_number
        self._async_cancel_timer(serial_number)
        await self.store.async_keep(command)
        try:
            await controls.command(command.told_power)
            running = replace(command, phase=Phase.RUNNING)
            await self.store.async_keep(running)
        except SourceError:
            await self._async_end_once(serial_number)
            raise
        except BaseException:
            # It was cancelled; or it is a bug.
            self._async_end_later(serial_number, timedelta())
            raise
        self._async_watch_time(running)
        return running

    async def _async_resume(self, stored: BatteryCommand) -> None:
        """Go on with a command after a start of Home Assistant, if the inverter is still under it."""
        self._async_watch_time(stored)
        serial_number = stored.serial_number
        async with self._locks[serial_number]:
            command = self.store.get(serial_number)
            if command is None or command.phase is not Phase.RUNNING:
                return
            try:
                async with self._controls(command) as controls:
                    if await controls.is_commanded():
                        await controls.command(command.told_power)
                        return
            except (SourceError, HomeAssistantError) as error:
                LOGGER.info("It is not known yet whether a battery is still under command: %s", error)
                return
            await self._async_forget(serial_number)

    # Ending

    async def async_end(self, serial_number: str) -> bool:
        """End a command to a battery. Return whether there was one.

        Raises HomeAssistantError if the inverter could not be brought back; then it is tried further.
        """
        if serial_number not in self.store.ids:
            return False
        if (error := await self._async_try_end(serial_number)) is not None:
            raise error if isinstance(error, HomeAssistantError) else control_error(error)
        return True

    async def async_bring_back(self, network: NetworkInverter) -> None:
        """Bring an inverter back that is under a command that is not ours. Raises HomeAssistantError."""
        async with self._locks[network.id]:
            if network.id not in self.store.ids:
                now = dt_util.utcnow()
                await self.store.async_keep(
                    BatteryCommand(
                        serial_number=network.id,
                        kind=CommandKind.HOLD,
                        power=0.0,
                        began=now,
                        until=now,
                        until_state_of_charge=None,
                        mode_before=InverterMode.GENERAL,
                        phase=Phase.ENDING,
                        began_by=None,
                        **address_of(network),
                    )
                )
        await self.async_end(network.id)
        async_note_foreign_command(self._hass, network.id, None)

    async def async_set_mode(self, network: NetworkInverter, mode: InverterMode) -> None:
        """Write the mode of an inverter. If it is under a command, that ends. Raises HomeAssistantError."""
        try:
            controls = network.controls()
            if (command := self.store.get(network.id)) is not None:
                await self.store.async_keep(replace(command, mode_before=InverterMode.GENERAL))
                await self.async_end(network.id)
            elif await controls.is_commanded():
                await self.async_bring_back(network)
            async with self._locks[network.id]:
                await controls.set_mode(mode)
        except SourceError as error:
            raise control_error(error) from error

    async def _async_try_end(self, serial_number: str) -> SourceError | HomeAssistantError | None:
        async with self._locks[serial_number]:
            return await self._async_end_once(serial_number)

    async def _async_end_once(self, serial_number: str) -> SourceError | HomeAssistantError | None:
        """Bring an inverter back from a command. If that fails, return the error, and try again later."""
        self._async_cancel_timer(serial_number)
        if (command := self.store.get(serial_number)) is None:
            return None
        failure: SourceError | HomeAssistantError
        try:
            async with asyncio.timeout(_ATTEMPT_LIMIT):
                await self._async_leave(command)
        except (SourceError, HomeAssistantError) as error:
            failure = error
        except TimeoutError:
            failure = SourceConnectionError("It took too long to bring the inverter back")
        except asyncio.CancelledError:
            self._async_end_later(serial_number, RETRY_INTERVAL)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the inverter has to be brought back
            failure = UnexpectedError(error)
            LOGGER.debug("%s while a battery command was ended:\n%s", failure.kind, failure.trace)
        else:
            await self._async_forget(serial_number)
            return None
        self._async_note_failure(serial_number, failure)
        self._async_end_later(serial_number, RETRY_INTERVAL)
        return failure

    async def _async_leave(self, command: BatteryCommand) -> None:
        """Bring an inverter back. One that is in another mode than we left it in was changed by somebody else."""
        is_sure = command.phase is Phase.RUNNING
        self._left_in.pop(command.serial_number, None)
        async with self._controls(command) as controls:
            # A mode that was written shortly before may come into force only now.
            is_commanded = await controls.is_commanded(may_follow=not is_sure)
            if not is_commanded and command.phase is not Phase.ENDING:
                return
            await self.store.async_keep(replace(command, phase=Phase.ENDING))
            await controls.leave()
            await self._async_restore_mode(controls, command.mode_before)
            self._left_in[command.serial_number] = await controls.mode()

    async def _async_restore_mode(self, controls: Controls, mode: InverterMode) -> None:
        """Write the mode that a person had chosen, if it is not general. Raises SourceError."""
        if mode is InverterMode.GENERAL or await controls.mode() is not InverterMode.GENERAL:
            return
        try:
            await controls.set_mode(mode)
        except (WriteRefusedError, NotTakenError) as error:
            LOGGER.warning("After a battery command the inverter stays in the mode general: %s", error)

    # What the inverter says meanwhile

    @callback
    def async_take_mode(self, network: NetworkInverter, mode: InverterMode | None) -> None:
        """Take the mode that an inverter was read to be in."""
        if mode is not None:
            self.store.async_add_seen_mode(network.id, mode)
        command, is_commanded = self.store.get(network.id), mode is InverterMode.COMMANDED
        async_note_foreign_command(self._hass, network.id, network.name if is_commanded and command is None else None)
        if command is not None and command.phase is Phase.RUNNING and not is_commanded:
            # Somebody else ended it: it is read again, and forgotten.
            self._async_create_task(self._async_try_end(network.id))

    @callback
    def _async_check(self, serial_number: str) -> None:
        """End a command whose state of charge is reached, or whose time is over."""
        command, network = self.store.get(serial_number), self._networks[serial_number]
        if command is None or command.phase is not Phase.RUNNING or self._locks[serial_number].locked():
            return
        reading = network.reading
        state_of_charge = None if reading is None else reading.battery.state_of_charge
        if command.is_reached(state_of_charge) or command.is_over(dt_util.utcnow()):
            self._async_create_task(self._async_try_end(serial_number))

    # Timers, the store, and the way to an inverter

    @callback
    def _async_watch_time(self, command: BatteryCommand) -> None:
        self._async_cancel_timer(command.serial_number)
        self._timers[command.serial_number] = async_track_point_in_utc_time(
            self._hass,
            HassJob(partial(self._async_end_by_timer, command.serial_number), cancel_on_shutdown=True),
            command.until,
        )

    @callback
    def _async_end_later(self, serial_number: str, delay: timedelta) -> None:
        self._async_cancel_timer(serial_number)
        self._timers[serial_number] = async_call_later(
            self._hass, delay, HassJob(partial(self._async_end_by_timer, serial_number), cancel_on_shutdown=True)
        )

    @callback
    def _async_cancel_timer(self, serial_number: str) -> None:
        if (cancel := self._timers.pop(serial_number, None)) is not None:
            cancel()

    @callback
    def _async_end_by_timer(self, serial_number: str, _: datetime) -> None:
        self._timers.pop(serial_number, None)
        self._async_create_task(self._async_try_end(serial_number))

    @callback
    def _async_create_task(self, ending: Any) -> None:
        self._hass.async_create_background_task(ending, "mtec battery command")

    @callback
    def _async_note_failure(self, serial_number: str, error: Exception) -> None:
        now = dt_util.utcnow()
        if serial_number not in self._failing_since:
            LOGGER.warning("A command to a battery cannot be ended now, and is tried until it can: %s", error)
        since = self._failing_since.setdefault(serial_number, now)
        network = self._networks.get(serial_number)
        if now - since >= REPAIR_AFTER:
            async_note_not_ended(self._hass, serial_number, serial_number if network is None else network.name)

    async def _async_forget(self, serial_number: str) -> None:
        """Forget a command that has ended."""
        self._async_cancel_timer(serial_number)
        if self._failing_since.pop(serial_number, None) is not None:
            LOGGER.info("The command to a battery that could not be ended is ended")
        async_note_not_ended(self._hass, serial_number, None)
        await self.store.async_forget(serial_number)

    @asynccontextmanager
    async def _controls(self, command: BatteryCommand) -> AsyncGenerator[Controls]:
        """Provide the controls of the inverter of a command, over a link of their own if its home is not loaded."""
        if (network := self._networks.get(command.serial_number)) is not None:
            yield network.controls()
        else:
            async with open_controls(self._hass, command) as controls:
                yield controls


_COMMANDS: HassKey[BatteryCommands] = HassKey(f"{DOMAIN}_battery_commands")


async def async_setup_battery_commands(hass: HomeAssistant) -> None:
    """Load the commands to batteries."""
    hass.data[_COMMANDS] = commands = BatteryCommands(hass)
    await commands.async_load()


@callback
def async_battery_commands(hass: HomeAssistant) -> BatteryCommands:
    """Return the commands to batteries."""
    return hass.data[_COMMANDS]
