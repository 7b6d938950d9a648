"""Readings on a broker of MQTT, without Home Assistant, until the command is stopped."""

import argparse
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import tzinfo
import logging
from pathlib import Path
import re
import signal
import sys
from typing import Final

import aiomqtt

from custom_components.mtec.energies import has_grid_meter
from custom_components.mtec.models import InverterReading, Station, StationReading, UsageRow
from custom_components.mtec.publishing.layouts import (
    Format,
    InverterValues,
    Layout,
    inverter_messages,
    is_topic_level,
    station_messages,
    supported_row,
    topic_level,
    topic_levels,
)
from custom_components.mtec.sources import AuthenticationError, SourceError

from .account import Account
from .errors import MisuseError, PublishingError
from .stand_ins import StandIns, sentence

type Read = Callable[[], AsyncGenerator[dict[str, str]]]
"""Yields the messages of one thing after the other. Raises SourceError."""

_PORT: Final = 1883
_ENERGIES_INTERVAL: Final = 300.0
"""Seconds between two reads of the energies of today: the portal updates them every five minutes."""
_PORTAL_INTERVAL: Final = 60
_SHORTEST_PORTAL_INTERVAL: Final = 30
_LOCAL_INTERVAL: Final = 10
_TIMEOUT: Final = 10.0
_SHORTEST_BREAK: Final = 1.0
_HIGHEST_PORT: Final = 65535


async def publish_account(account: Account, arguments: argparse.Namespace) -> None:
    """Publish the readings of an account. Raises MisuseError, PublishingError, and with --once SourceError."""
    portal = _Portal(account, _format(arguments), arguments.station)
    every = _PORTAL_INTERVAL if arguments.every is None else arguments.every
    if every < _SHORTEST_PORTAL_INTERVAL:
        raise MisuseError(f"The portal can be asked every {_SHORTEST_PORTAL_INTERVAL} seconds, not more often.")
    await _run(portal.read, arguments, every, account.stand_ins)


async def publish_local(stand_ins: StandIns, zone: tzinfo, arguments: argparse.Namespace) -> None:
    """Publish the readings of inverters in the network. Raises as `publish_account`."""
    # Only this needs the package that it imports.
    from .local_inverter import LocalReader  # noqa: PLC0415

    format_ = _format(arguments)
    async with AsyncExitStack() as stack:
        readers = [LocalReader(stack, host, zone, arguments) for host in dict.fromkeys(arguments.local)]

        async def read() -> AsyncGenerator[dict[str, str]]:
            first: SourceError | None = None
            for reader in readers:
                try:
                    identity, reading = await reader.read()
                except SourceError as error:
                    # The other inverters go on.
                    first = first or error
                    continue
                serial = identity.serial_number
                levels = (topic_level(serial) or "_",) * (2 if format_.layout is Layout.M_TEC_API else 1)
                values = InverterValues(serial_number=serial, reading=reading, firmware=identity.firmware)
                yield inverter_messages(format_, levels, values)
            if first is not None:
                raise first

        await _run(read, arguments, _LOCAL_INTERVAL if arguments.every is None else arguments.every, stand_ins)


def _format(arguments: argparse.Namespace) -> Format:
    if not is_topic_level(arguments.topic):
        raise MisuseError("The topic must not be empty, begin with $, or have /, + or # in it.")
    return Format(layout=Layout(arguments.layout), topic=arguments.topic, decimals=arguments.decimals)


class _Portal:
    """What is read of the portal, one request after the other."""

    def __init__(self, account: Account, format_: Format, station: str | None) -> None:
        self._account = account
        self._format = format_
        self._station = station
        self._rows: dict[str, tuple[float, UsageRow | None]] = {}

    async def read(self) -> AsyncGenerator[dict[str, str]]:
        """Yield the messages of each station and inverter. Raises SourceError of what failed first, at the end."""
        everything = await self._account.stations()
        levels = topic_levels({station.id: station.name for station in everything})
        first: SourceError | None = None
        for station in await self._account.chosen(self._station):
            try:
                async for messages in self._read_station(station, levels[station.id]):
                    yield messages
            except AuthenticationError:
                raise
            except SourceError as error:
                first = first or error
        if first is not None:
            raise first

    async def _read_station(self, station: Station, level: str) -> AsyncIterator[dict[str, str]]:
        reading = await self._account.client.station_reading(station.id)
        yield station_messages(self._format, level, reading)
        inverters = await self._account.inverters(station)
        names = topic_levels({inverter.serial_number: inverter.name for inverter in inverters})
        is_alone = len(inverters) == 1
        for inverter in inverters:
            serial = inverter.serial_number
            read: InverterReading = await self._account.client.inverter_reading(station.id, serial)
            values = InverterValues(
                serial_number=serial,
                reading=read,
                station=reading if is_alone else None,
                today=await self._today(station, reading) if is_alone else None,
            )
            is_tool = self._format.layout is Layout.MTECMQTT
            path = (topic_level(serial) or "_",) if is_tool else (level, names[serial])
            yield inverter_messages(self._format, path, values)

    async def _today(self, station: Station, reading: StationReading) -> UsageRow | None:
        """Return the energies of today, which only one layout has."""
        if self._format.layout is not Layout.MTECMQTT:
            return None
        now = asyncio.get_running_loop().time()
        read_at, row = self._rows.get(station.id, (-_ENERGIES_INTERVAL, None))
        today = self._account.today
        if now - read_at >= _ENERGIES_INTERVAL or row is None or row.start != today:
            rows = await self._account.client.month_rows(station.id, today.year, today.month)
            row = next((each for each in rows if each.start == today), None)
            if row is not None:
                row = supported_row(row, rows, reading, has_meter=has_grid_meter(rows, reading))
            self._rows[station.id] = now, row
        return row


class _Broker:
    """The broker. One that is away is tried again with the next messages; it then gets the newest of all topics."""

    def __init__(self, arguments: argparse.Namespace, said: _Said) -> None:
        self._host, self._port = _address(arguments.broker)
        self._username: str | None = arguments.username
        self._password = _password(arguments.password_file)
        self._said = said
        # Who ends at once waits until the broker has all.
        self._qos = 1 if arguments.once else 0
        self._newest: dict[str, str] = {}
        self._client: aiomqtt.Client | None = None

    async def send(self, messages: Mapping[str, str]) -> None:
        """Publish messages. Raises PublishingError."""
        self._newest.update(messages)
        try:
            if self._client is None:
                client = aiomqtt.Client(
                    self._host, self._port, username=self._username, password=self._password, timeout=_TIMEOUT
                )
                await client.__aenter__()
                self._client, messages = client, self._newest
            for topic, text in messages.items():
                await self._client.publish(topic, text, qos=self._qos)
        except aiomqtt.MqttError as error:
            await self.close()
            raise PublishingError(f"The broker at {self._host} cannot be reached: {error}.") from error

    async def send_if_possible(self, messages: Mapping[str, str]) -> None:
        """Publish messages, and say once if the broker is away, and once if it is back."""
        try:
            await self.send(messages)
        except PublishingError as error:
            self._said.update("broker", str(error))
        else:
            self._said.update("broker", None, "The broker is back.")

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)


class _Said:
    """What the person has been told of, so that it is said once."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def update(self, what: str, failure: str | None, back: str = "") -> None:
        """Say a failure, or that it is over."""
        if failure is not None and what not in self._failing:
            self._failing.add(what)
            print(failure, file=sys.stderr, flush=True)
        elif failure is None and what in self._failing:
            self._failing.discard(what)
            print(back, file=sys.stderr, flush=True)


def _address(text: str) -> tuple[str, int]:
    """Return HOST[:PORT] in its parts, an address of version 6 in brackets. Raises MisuseError."""
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?", text)
    port = _PORT if found is None or found["port"] is None else int(found["port"])
    if found is None or not 0 < port <= _HIGHEST_PORT:
        raise MisuseError("Give the broker as HOST or HOST:PORT.")
    return found["six"] or found["host"], port


def _password(path: Path | None) -> str | None:
    """Return the first line of a file. Raises MisuseError."""
    if path is None:
        return None
    try:
        return next(iter(path.read_text(encoding="utf-8").splitlines()), "")
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError("The password file cannot be read.") from error


async def _run(read: Read, arguments: argparse.Namespace, every: float, stand_ins: StandIns) -> None:
    """Publish once, or until SIGTERM."""
    # aiomqtt reports here what the command itself reports.
    logging.getLogger("mqtt").addHandler(logging.NullHandler())
    said = _Said()
    broker = _Broker(arguments, said)
    try:
        if arguments.once:
            async for messages in read():
                await broker.send(messages)
            return
        publishing = asyncio.ensure_future(_publish_until_stopped(broker, read, every, stand_ins, said))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, publishing.cancel)
        try:
            await asyncio.wait([publishing])
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            publishing.cancel()
        if not publishing.cancelled():
            await publishing
    finally:
        await broker.close()


async def _publish_until_stopped(broker: _Broker, read: Read, every: float, stand_ins: StandIns, said: _Said) -> None:
    """Publish again and again. What fails at the source is said once; a refused login ends it."""
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            async for messages in read():
                await broker.send_if_possible(messages)
            said.update("source", None, "All values can be read again.")
        except AuthenticationError:
            raise
        except SourceError as error:
            said.update("source", sentence(error, stand_ins))
        await asyncio.sleep(max(every - (loop.time() - started), _SHORTEST_BREAK))
