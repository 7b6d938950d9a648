"""A real MQTT broker of its own process on a free port, and a client that listens to all topics."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

_STARTED = """
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: {anonymous}
{passwords}
"""
_PASSWORDS = """  amqtt.plugins.authentication.FileAuthPlugin:
    password_file: {file}
"""
_PATIENCE = 20.0
MARK = "mark"
"""A topic that listeners listen to, but do not count as a reading."""


class Broker:
    """A broker that a test starts and stops. It keeps nothing over a restart.

    The clock of a test may stand still: here is waited with threads, which do not mind.
    """

    def __init__(self, folder: Path, passwords: Path | None = None) -> None:
        self.folder = folder
        self.passwords = passwords
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port, which is the same after a restart."""
        if self._port is None:
            # Not before: sockets are only allowed while a test runs.
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self._port = free.getsockname()[1]
        return self._port

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it."""
        await self.stop()

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[Self]:
        """Lend it to a test: to start it takes longer than most tests. It is started if it does not run.

        Afterwards it keeps nothing of the test.
        """
        if self._process is None:
            await self.start()
        yield self
        if self._process is None:
            return
        async with Listener(self.port, "#") as listener:
            await listener.until_kept_is_known()
            for topic in [each for each in listener.retained if not each.startswith("$")]:
                listener.publish(topic, "", retain=True)
            # What comes back was published after the rest.
            await listener.until_kept_is_known()

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        config = self.folder / "broker.yaml"
        config.write_text(
            _STARTED.format(
                port=self.port,
                anonymous=str(self.passwords is None).lower(),
                passwords="" if self.passwords is None else _PASSWORDS.format(file=self.passwords),
            )
        )
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it is short
                [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(config)], stdout=log, stderr=log
            )
        await until(self._answers)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    async def stop(self) -> None:
        """Stop it at once."""
        await asyncio.to_thread(self.kill)

    def kill(self) -> None:
        """Stop it at once, from outside of an event loop."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Listener:
    """A client that listens to all topics below `MTEC` and others that are given. It knows their newest texts."""

    def __init__(self, port: int, *topics: str, login: tuple[str, str] | None = None) -> None:
        self.texts: dict[str, str] = {}
        self.retained: dict[str, str] = {}
        """The texts that the broker kept, which it sends when a client begins to listen."""
        self.received: list[tuple[str, str]] = []
        self._topics = (*(topics or ("MTEC/#",)), MARK)
        self._subscribed = False
        self._client = Client(CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(*login)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 0) for topic in self._topics])
        self._client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)
        self._client.on_message = lambda _client, _data, message: self._receive(message)
        self._port = port

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.loop_start()
        await until(lambda: self._subscribed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to listen."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def publish(self, topic: str, text: str, *, retain: bool = False) -> None:
        """Publish a text."""
        self._client.publish(topic, text, retain=retain)

    async def until_kept_is_known(self) -> None:
        """Wait for a message of its own, which comes after those that the broker kept."""
        mark = (MARK, str(len(self.received)))
        self.publish(*mark)
        await until(lambda: mark in self.received)

    def _receive(self, message: MQTTMessage) -> None:
        text = message.payload.decode()
        self.received.append((message.topic, text))
        if message.topic == MARK:
            return
        if text:
            self.texts[message.topic] = text
        else:
            self.texts.pop(message.topic, None)
        if message.retain:
            self.retained[message.topic] = text


async def until(condition: Callable[[], bool], patience: float = _PATIENCE) -> None:
    """Wait until a condition holds."""
    for _ in range(int(patience / 0.02)):
        if condition():
            return
        await asyncio.to_thread(time.sleep, 0.02)
    raise AssertionError(f"It did not come true: {condition}")
