"""What is stored of commands to batteries, and who is told when it changes."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.storage import Store

from custom_components.mtec.const import DOMAIN, LOGGER
from custom_components.mtec.models import InverterMode

from .command import BatteryCommand

_SAVE_DELAY = 10


class CommandStore:
    """The commands by the serial number of their inverter, and the modes that each inverter was seen in."""

    def __init__(self, hass: HomeAssistant) -> None:
        self._store: Store[dict[str, Any]] = Store(hass, 1, f"{DOMAIN}.battery_commands")
        self._commands: dict[str, BatteryCommand] = {}
        self._seen_modes: dict[str, list[str]] = {}
        self._listeners: defaultdict[str, dict[CALLBACK_TYPE, None]] = defaultdict(dict)

    async def async_load(self) -> None:
        """Load what was stored."""
        stored = await self._store.async_load() or {}
        self._seen_modes = stored.get("seen_modes", {})
        for each in stored.get("commands", ()):
            try:
                command = BatteryCommand.from_json(each)
            except KeyError, TypeError, ValueError:
                # If the inverter is under command, this is found when its mode is read, and a person is asked.
                LOGGER.warning("A stored command to a battery makes no sense, and is forgotten")
            else:
                self._commands[command.serial_number] = command

    @property
    def ids(self) -> list[str]:
        """The serial numbers of the inverters whose batteries are under a command."""
        return list(self._commands)

    @callback
    def get(self, serial_number: str) -> BatteryCommand | None:
        """Return the command to the battery of an inverter, None if there is none of ours."""
        return self._commands.get(serial_number)

    async def async_keep(self, command: BatteryCommand) -> None:
        """Store a command, before anything is written to the inverter."""
        self._commands[command.serial_number] = command
        await self._async_save(command.serial_number)

    async def async_forget(self, serial_number: str) -> None:
        """Forget a command that has ended."""
        self._commands.pop(serial_number, None)
        await self._async_save(serial_number)

    @callback
    def seen_modes(self, serial_number: str) -> set[str]:
        """Return the modes that an inverter was seen in."""
        return set(self._seen_modes.get(serial_number, ()))

    @callback
    def async_add_seen_mode(self, serial_number: str, mode: InverterMode) -> None:
        """Note that an inverter was seen in a mode."""
        if mode not in (seen := self._seen_modes.setdefault(serial_number, [])):
            seen.append(mode)
            self._store.async_delay_save(self._stored, _SAVE_DELAY)

    @callback
    def async_listen(self, serial_number: str, update: CALLBACK_TYPE) -> Callable[[], Any]:
        """Call `update` when the command to the battery of an inverter changes."""
        self._listeners[serial_number][update] = None
        return lambda: self._listeners[serial_number].pop(update, None)

    async def _async_save(self, serial_number: str) -> None:
        await self._store.async_save(self._stored())
        for update in list(self._listeners[serial_number]):
            update()

    @callback
    def _stored(self) -> dict[str, Any]:
        return {
            "commands": [command.as_json() for command in self._commands.values()],
            "seen_modes": self._seen_modes,
        }
