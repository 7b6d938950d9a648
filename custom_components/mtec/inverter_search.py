"""Finding inverters in the home network, and what is stored of them."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
import socket
from types import MappingProxyType
from typing import Any, Final

from homeassistant.components.modbus import async_get_temporary_unit
from homeassistant.config_entries import ConfigEntry, ConfigSubentry, ConfigSubentryData
from homeassistant.const import CONF_HOST, CONF_MODEL, CONF_PORT, CONF_SCAN_INTERVAL
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util.network import is_host_valid
from modbus_connection import ModbusUnit

from .const import (
    CONF_FIRMWARE,
    CONF_FRAMING,
    CONF_RATED_POWER,
    CONF_RELEASE,
    CONF_SERIAL_NUMBER,
    CONF_UNIT_ID,
    DOMAIN,
    NETWORK_INTERVAL,
    SUBENTRY_INVERTER,
)
from .local.exchange import USUAL, Timing
from .local.link import Found, Framing, Link, probe
from .models import InverterIdentity
from .sources import SourceConnectionError

TIMING: Timing = USUAL
"""How long an answer may take during a search."""

NOT_KNOWN: Final = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocatedInverter:
    """An inverter that answered at a host."""

    host: str
    link: Link
    identity: InverterIdentity

    @property
    def serial_number(self) -> str:
        """The serial number."""
        return self.identity.serial_number

    @property
    def placeholders(self) -> dict[str, str]:
        """What a form shows of it."""
        return {
            "host": self.host,
            "serial_number": self.serial_number,
            "model": self.identity.model or NOT_KNOWN,
            "firmware": self.identity.firmware or NOT_KNOWN,
        }

    @property
    def title(self) -> str:
        """The title of its subentry."""
        return " ".join(filter(None, (self.identity.model, self.serial_number)))

    @property
    def address(self) -> dict[str, Any]:
        """What is stored of where it answers."""
        return {
            CONF_HOST: self.host,
            CONF_PORT: self.link.port,
            CONF_FRAMING: str(self.link.framing),
            CONF_UNIT_ID: self.link.unit_id,
        }

    @property
    def data(self) -> dict[str, Any]:
        """What is stored of it, but for its settings."""
        return self.address | {
            CONF_SERIAL_NUMBER: self.serial_number,
            CONF_MODEL: self.identity.model,
            CONF_FIRMWARE: self.identity.firmware,
            CONF_RATED_POWER: self.identity.rated_power,
        }

    def subentry_data(self) -> ConfigSubentryData:
        """Return its subentry with the settings that an inverter has at first."""
        settings = {CONF_SCAN_INTERVAL: NETWORK_INTERVAL.seconds, CONF_RELEASE: False}
        return ConfigSubentryData(
            data=self.data | settings,
            subentry_type=SUBENTRY_INVERTER,
            title=self.title,
            unique_id=self.serial_number,
        )


def normalized_host(typed: str) -> str | None:
    """Return a host name or an address as it is stored, None if it is neither."""
    host = typed.strip().lower()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host.removesuffix(".") if host and is_host_valid(host) else None


async def async_locate(hass: HomeAssistant, host: str, to_try: Iterable[Link]) -> LocatedInverter:
    """Return the inverter at a host, on the first link on which one answers.

    Raises SourceError as `probe` does, and HomeAssistantError if another integration uses this address with other
    settings and there is no answer on the links that are left.
    """

    @asynccontextmanager
    async def open_unit(link: Link) -> AsyncGenerator[ModbusUnit]:
        async with async_get_temporary_unit(hass, link.params(host), link.unit_id) as unit:
            yield unit

    usable: list[Link] = []
    conflict: HomeAssistantError | None = None
    for link in to_try:
        try:
            # Nothing is sent yet.
            async with open_unit(link):
                usable.append(link)
        except HomeAssistantError as error:
            conflict = error
    try:
        found: Found = await probe(open_unit, usable, TIMING)
    except SourceConnectionError as error:
        if conflict is not None:
            raise conflict from error
        raise
    return LocatedInverter(host=host, link=found.link, identity=found.identity)


@callback
def inverters_in_network(hass: HomeAssistant) -> list[tuple[ConfigEntry, ConfigSubentry]]:
    """Return all inverters in the network that are set up, each with its home; those of disabled homes too."""
    return [
        (entry, subentry)
        for entry in hass.config_entries.async_entries(DOMAIN)
        for subentry in entry.subentries.values()
        if subentry.subentry_type == SUBENTRY_INVERTER
    ]


def stored_link(data: Mapping[str, Any]) -> Link:
    """Return the link that is stored of an inverter."""
    return Link(
        port=data[CONF_PORT],
        framing=Framing(data[CONF_FRAMING]),
        unit_id=data[CONF_UNIT_ID],
    )


async def async_is_at(hass: HomeAssistant, host: str, ip: str) -> bool:
    """Return whether a host is an IP address, or a name of it."""
    if host == ip:
        return True
    try:
        found = await hass.loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(address[0] == ip for *_, address in found)


@callback
def async_take_over_address(hass: HomeAssistant, located: LocatedInverter) -> bool:
    """Store the address of an inverter. Return whether this inverter is set up, in whatever home."""
    for entry, subentry in inverters_in_network(hass):
        if subentry.unique_id == located.serial_number:
            async_update_inverter(hass, entry, subentry, located.address)
            return True
    return False


@callback
def async_update_inverter(
    hass: HomeAssistant, entry: ConfigEntry, subentry: ConfigSubentry, changes: Mapping[str, Any]
) -> None:
    """Change what is stored of an inverter, and reload its home if that is another than before."""
    with _reloading(hass, entry):
        hass.config_entries.async_update_subentry(entry, subentry, data={**subentry.data, **changes})


@callback
def async_add_inverter(hass: HomeAssistant, entry: ConfigEntry, located: LocatedInverter) -> None:
    """Add an inverter to a home, and reload the home."""
    new = located.subentry_data()
    added = ConfigSubentry(
        data=MappingProxyType(dict(new["data"])),
        subentry_type=new["subentry_type"],
        title=new["title"],
        unique_id=new["unique_id"],
    )
    with _reloading(hass, entry):
        hass.config_entries.async_add_subentry(entry, added)


@contextmanager
def _reloading(hass: HomeAssistant, entry: ConfigEntry) -> Iterator[None]:
    """Reload a home whose set-up has failed after a change. One that is loaded listens to changes itself.

    Since Home Assistant 2026.11 that one is being unloaded already when the change is over.
    """
    is_listening = bool(entry.update_listeners)
    yield
    if not is_listening:
        hass.config_entries.async_schedule_reload(entry.entry_id)
