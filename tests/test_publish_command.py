"""The command that publishes to MQTT without Home Assistant, in a process of its own, at a real broker."""

import asyncio
import os
from pathlib import Path
import signal
import subprocess
import sys

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
import pytest

from cli import app
from tests.broker import Broker, Listener, until
from tests.checkout import CHECKOUT
from tests.conftest import NOON
from tests.inverter_simulator import InverterSimulator
from tests.mqtt_messages import golden
from tests.portal_simulator import HOUSE, PortalSimulator

PV = "MTEC/Haus am See/current_PV"


@pytest.fixture
def generation() -> int:
    """The generation of the API that the portal speaks."""
    return 1


class Command:
    """The command in a process of its own."""

    def __init__(self, *words: str, program: str = "import cli.__main__ as m; m.sys.exit(m.main())") -> None:
        environment = {**os.environ, "TZ": "Europe/Berlin", "MTEC_PASSWORD": "sunshine"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def ended(self) -> tuple[int, str, str]:
        """Return the exit code, the output and the errors, once it has ended."""
        out, err = await asyncio.to_thread(self.process.communicate, timeout=40)
        return self.process.returncode, out, err

    async def stop(self) -> tuple[int, str, str]:
        """Stop it with SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


def of_account(simulator: PortalSimulator, broker: Broker, *words: str) -> list[str]:
    return [
        *("--url", simulator.url, "--email", "family@example.com"),
        *("publish", "--broker", f"127.0.0.1:{broker.port}", *words),
    ]


@pytest.mark.parametrize("layout", ["m_tec_api", "mtecmqtt"])
async def test_account_is_published_once(simulator: PortalSimulator, broker: Broker, layout: str) -> None:
    async with Listener(broker.port) as listener:
        command = Command(*of_account(simulator, broker, "--once", "--layout", layout))
        assert await command.ended() == (0, "", "")
        expected = golden(f"family-generation1-{layout}")
        if layout == "mtecmqtt":
            # Today is that of the computer, not of the simulated portal.
            expected = {topic: text for topic, text in expected.items() if "/day/" not in topic}
        await until(lambda: expected.keys() <= listener.texts.keys())
        assert {topic: text for topic, text in listener.texts.items() if "/day/" not in topic} == expected


async def test_topic_and_decimals_are_those_of_the_command_line(simulator: PortalSimulator, broker: Broker) -> None:
    async with Listener(broker.port, "Solar/#") as listener:
        command = Command(*of_account(simulator, broker, "--once", "--topic", "Solar", "--decimals", "0"))
        assert await command.ended() == (0, "", "")
        expected = golden("family-generation1-m_tec_api")
        await until(lambda: len(listener.texts) == len(expected))
        assert listener.texts["Solar/Haus am See/current_PV"] == expected[PV].partition(".")[0]


async def test_inverters_in_the_network_are_published(broker: Broker) -> None:
    async with InverterSimulator(HOUSE, seed=1, now=NOON) as inverter, Listener(broker.port) as listener:
        command = Command(
            *("publish", "--broker", f"127.0.0.1:{broker.port}", "--once", "--layout", "mtecmqtt"),
            *("--local", inverter.host, "--port", str(inverter.port)),
        )
        assert await command.ended() == (0, "", "")
        expected = golden("family-network-mtecmqtt")
        await until(lambda: expected.keys() <= listener.texts.keys())
        assert listener.texts == expected


async def test_command_ends_cleanly_on_sigterm(simulator: PortalSimulator, broker: Broker) -> None:
    async with Listener(broker.port) as listener:
        command = Command(*of_account(simulator, broker))
        await until(lambda: PV in listener.texts)
        assert command.process.poll() is None
        assert await command.stop() == (0, "", "")


async def test_broker_that_restarts_gets_the_newest_values(broker: Broker) -> None:
    async with InverterSimulator(HOUSE, seed=1, now=NOON) as inverter:
        command = Command(
            *("publish", "--broker", f"127.0.0.1:{broker.port}", "--layout", "mtecmqtt", "--every", "5"),
            *("--local", inverter.host, "--port", str(inverter.port)),
        )
        expected = golden("family-network-mtecmqtt")
        async with Listener(broker.port) as listener:
            await until(lambda: expected.keys() <= listener.texts.keys())
        await broker.stop()
        await asyncio.sleep(7)
        await broker.start()
        async with Listener(broker.port) as listener:
            await until(lambda: expected.keys() <= listener.texts.keys())
        code, _, err = await command.stop()
        assert code == 0
        lines = err.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("The broker at 127.0.0.1 cannot be reached")
        assert lines[1] == "The broker is back."


async def test_login_at_the_broker(simulator: PortalSimulator, tmp_path: Path) -> None:
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    passwords.write_text(f"me:{PasswordHash((Argon2Hasher(),)).hash('letmein')}\n")
    async with Broker(tmp_path, passwords) as broker:
        for password, expected in (("letmein\n", 0), ("wrong", 1)):
            secret.write_text(password)
            login = ("--username", "me", "--password-file", str(secret), "--once")
            code, _, err = await Command(*of_account(simulator, broker, *login)).ended()
            assert code == expected, err
            assert password.strip() not in err
    assert err.startswith("The broker at 127.0.0.1 cannot be reached")


async def test_broker_that_is_not_there_fails_once(simulator: PortalSimulator, tmp_path: Path) -> None:
    code, _, err = await Command(*of_account(simulator, Broker(tmp_path), "--once")).ended()
    assert code == 1
    assert err.startswith("The broker at 127.0.0.1 cannot be reached")
    assert len(err.splitlines()) == 1


async def test_portal_that_fails_is_said_once_and_the_command_goes_on(
    simulator: PortalSimulator, broker: Broker
) -> None:
    async with Listener(broker.port) as listener:
        command = Command(*of_account(simulator, broker))
        await until(lambda: PV in listener.texts)
        assert command.process.poll() is None
        await command.stop()
        simulator.faults.add("http_500")
        code, _, err = await Command(*of_account(simulator, broker, "--once")).ended()
        assert code == 1
        assert len(err.splitlines()) == 1


def test_other_commands_do_not_need_the_package() -> None:
    """With a path that has no aiomqtt: the module is missing where it is imported."""
    blocked = "import sys; sys.modules['aiomqtt'] = None; import cli.__main__ as m; m.sys.exit(m.main())"
    environment = {**os.environ, "TZ": "Europe/Berlin"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", blocked, *words],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("stations", "--help").returncode == 0
    done = run("publish", "--broker", "127.0.0.1", "--local", "127.0.0.1", "--once")
    assert done.returncode == 1
    assert done.stderr == "Publishing to MQTT needs a package more: pip install aiomqtt.\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--broker", "host:port"),
        ("--broker", "host:0"),
        ("--broker", "host:70000"),
        ("--broker", ""),
        ("--broker", "host", "--topic", "a/b"),
        ("--broker", "host", "--topic", ""),
        ("--broker", "host", "--password-file", "/nowhere"),
    ],
)
async def test_misuse_is_a_sentence(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert await app.run(["publish", *words, "--local", "127.0.0.1", "--once"]) == 2
    said = capsys.readouterr().err
    assert said.endswith(".\n")
    assert len(said.splitlines()) == 1


async def test_portal_is_not_asked_too_often(
    simulator: PortalSimulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTEC_PASSWORD", "sunshine")
    words = ["--url", simulator.url, "--email", "family@example.com", "publish", "--broker", "host", "--every", "29"]
    assert await app.run(words) == 2
    assert "every 30 seconds" in capsys.readouterr().err
