"""A real Home Assistant with this integration and the simulators, started as a house that can be asked and changed."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
import contextlib
from dataclasses import dataclass, field
import fcntl
import ipaddress
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import sys
import time
from typing import Any, cast

import aiohttp

from scripts.demo_automations import BLUEPRINTS
from tests.portal_simulator import HOUSE
from tests.portal_simulator.plants import make_accounts

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = CHECKOUT / ".cache" / "demo"
DOMAIN = "mtec"
LOG = "home-assistant.log"
LOOPBACK = "127.0.0.1"
STRATEGY = {"strategy": {"type": "custom:mtec"}}
PATH = "m-tec"  # of the dashboard that builds itself
USER, PASSWORD = "demo", "demo"
ACCOUNT = make_accounts()["village@example.com"]
STATION = HOUSE.name  # the one whose history is imported
RESTART = 100  # Home Assistant's exit code when somebody asked it to restart
START_SECONDS = 120
VALUES_SECONDS = 90
STOP_SECONDS = 30
EMPTY: Mapping[str, str] = {}
NEVER_HAVE_VALUES = ("button", "event", "scene")  # their state is when they were last used
# The integrations to put into configuration.yaml; others come without being named there.
CONFIGURED = ("config", "energy", "history", "logbook", "sun")
CONFIGURATION = """\
automation: !include automations.yaml
input_boolean:
  heating_rod:
    name: Heating rod
logger:
  default: warning
  logs:
    haffmpeg: critical
demo_statistics:
"""
"""The rest of configuration.yaml: automations and what they switch, and a log without missing cameras."""
# Home Assistant cannot start without its voice assistant and cameras, whose packages want a C compiler or a library of
# the system. Nobody talks to the demo, so empty classes do instead.
STAND_INS = {
    "pymicro-vad": "pymicro_vad.MicroVad",
    "pyspeex-noise": "pyspeex_noise.AudioProcessor",
    "PyTurboJPEG": "turbojpeg.TurboJPEG",
}
CORE_CONFIG = {
    "location_name": "Home",
    "latitude": 47.85,
    "longitude": 11.3,
    "elevation": 600,
    "unit_system": "metric",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "country": "DE",
    "language": "en",
}


class DemoError(Exception):
    """A failure, in words for the person at the terminal."""


@dataclass
class Demo:
    """The running demo: the addresses of Home Assistant, portal and inverter, and ways to ask Home Assistant."""

    home: str
    portal: str
    inverter: str
    session: aiohttp.ClientSession
    log: Path
    tokens: dict[str, Any] = field(default_factory=dict)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request to Home Assistant's REST API."""
        return await self._request("POST", path, json=body or {}, timeout=aiohttp.ClientTimeout())

    async def get(self, path: str) -> Any:
        """Ask Home Assistant's REST API."""
        return await self._request("GET", path)

    async def sign_in(self, code: str) -> None:
        """Exchange an authorization code for tokens."""
        form = {"grant_type": "authorization_code", "code": code, "client_id": f"{self.home}/"}
        self.tokens = await self._request("POST", "/auth/token", data=form)

    async def command(self, kind: str, **arguments: Any) -> Any:
        """Send a command over Home Assistant's websocket."""
        with self._hoping_for_an_answer():
            async with self.session.ws_connect(f"{self.home}/api/websocket", max_msg_size=0) as connection:
                await connection.receive_json()
                await connection.send_json({"type": "auth", "access_token": self.tokens["access_token"]})
                await connection.receive_json()
                await connection.send_json({"id": 1, "type": kind, **arguments})
                answer = await connection.receive_json()
        if not answer["success"]:
            raise DemoError(f"Home Assistant refused {kind}: {answer['error']['message']}")
        return answer["result"]

    async def _request(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"} if self.tokens else {}
        with self._hoping_for_an_answer():
            async with self.session.request(method, self.home + path, headers=headers, **arguments) as response:
                if not response.ok:
                    text = f"Home Assistant answered {path} with {response.status}: {await response.text()}"
                    raise DemoError(f"{text}\nThe end of its log:\n{tail(self.log)}")
                return await response.json()

    @contextlib.contextmanager
    def _hoping_for_an_answer(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, aiohttp.WSMessageTypeError) as error:
            raise DemoError(
                f"Home Assistant does not answer: {error}. The end of its log:\n{tail(self.log)}"
            ) from error


@contextlib.contextmanager
def state_folder(name: str) -> Iterator[Path]:
    """Make a fresh folder for one run; refuse a second run of the same kind at the same time."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"This is already running in another terminal (it holds {lock.name}).") from None
        folder = STATE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder


def free_port(wanted: int = 0) -> int:
    """Find the wanted port of this machine free, or else any other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError, OverflowError:
            return free_port()
        return int(probe.getsockname()[1])


def write_config(folder: Path, host: str, port: int) -> None:
    """Write Home Assistant's configuration, and what it should believe to have been set up before."""
    storage = folder / ".storage"
    storage.mkdir(parents=True)
    components = folder / "custom_components"
    (components / "demo_statistics").mkdir(parents=True)
    (components / DOMAIN).symlink_to(CHECKOUT / "custom_components" / DOMAIN)
    shutil.copy(CHECKOUT / "scripts" / "demo_statistics.py", components / "demo_statistics" / "__init__.py")
    manifest = {"domain": "demo_statistics", "name": "Demo", "version": "1.0.0", "dependencies": ["recorder"]}
    (components / "demo_statistics" / "manifest.json").write_text(json.dumps(manifest))
    shutil.copytree(CHECKOUT / BLUEPRINTS, folder / BLUEPRINTS)
    (folder / "automations.yaml").write_text("[]\n")
    (folder / "configuration.yaml").write_text("".join(f"{name}:\n" for name in CONFIGURED) + CONFIGURATION)

    def store(key: str, version: int, minor_version: int, data: dict[str, Any]) -> None:
        content = {"version": version, "minor_version": minor_version, "key": key, "data": data}
        (storage / key).write_text(json.dumps(content))

    # Address and port in configuration.yaml would be on trial: a dialog asks the visitor, and five minutes later they
    # are undone. Stored as confirmed they simply hold.
    http = {
        "server_host": [host],
        "server_port": port,
        "cors_allowed_origins": [],
        "login_attempts_threshold": -1,
        "ip_ban_enabled": False,
        "ssl_profile": "modern",
        "use_x_frame_options": True,
        "created_at": "2026-01-01T00:00:00+00:00",
        "error": None,
        "error_message": None,
    }
    store("http", 2, 2, {"stable": http, "pending": None, "yaml_migration_done": True})
    # On a machine without any network Home Assistant's search for devices fails, and every HTTP client with it; on one
    # with a network the demo need not search it.
    store("core.network", 1, 1, {"configured_adapters": ["lo", "lo0"]})
    # This step of the onboarding would add integrations that need the internet (weather, radio, speech).
    store("onboarding", 4, 1, {"done": ["core_config"]})


@contextlib.asynccontextmanager
async def running(*command: str, **arguments: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program in a process group of its own (Ctrl-C reaches only us), and end the whole group afterwards."""
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True, **arguments)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@contextlib.asynccontextmanager
async def simulator(folder: Path, kind: str, *options: str) -> AsyncIterator[str]:
    """Run the simulator of the portal or of an inverter, and yield the address that it prints."""
    log = folder / f"{kind}.log"
    with log.open("wb") as errors:
        command = (sys.executable, "-m", f"tests.{kind}_simulator", *options)
        async with running(*command, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, stderr=errors) as process:
            line = (await cast("asyncio.StreamReader", process.stdout).readline()).decode().strip()
            if not line:
                raise DemoError(f"The simulator of the {kind} does not start:\n{tail(log)}")
            yield line


async def keep_home_assistant_running(config: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Run Home Assistant, again when the visitor restarts it, until cancelled. It never ends in another way."""
    modules = config.parent / "stand-ins"
    modules.mkdir()
    for path in STAND_INS.values():
        module, _, name = path.partition(".")
        (modules / f"{module}.py").write_text(f"class {name}:\n    pass\n")
    command = (sys.executable, "-m", "homeassistant", "--config", str(config), "--log-no-color")
    skipped = ("--skip-pip-packages", ",".join(STAND_INS))
    variables = {**os.environ, "PYTHONPATH": str(modules), **environment}
    with log.open("wb") as output:
        while True:
            streams = {"stdin": asyncio.subprocess.DEVNULL, "stdout": output, "stderr": output}
            async with running(*command, *skipped, cwd=config, env=variables, **streams) as process:
                code = await process.wait()
            if code != RESTART:
                raise DemoError(f"Home Assistant ended with exit code {code}. The end of its log:\n{tail(log)}")


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""


async def wait_until_answering(demo: Demo, path: str, wanted: Any = None) -> None:
    """Wait until Home Assistant answers (and is in the wanted state)."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(DemoError):
                    answer = await demo.get(path)
                    if wanted is None or answer["state"] == wanted:
                        return
                await asyncio.sleep(0.3)
    except TimeoutError:
        raise DemoError(f"Home Assistant was not ready within {START_SECONDS} seconds.") from None


async def move_in(demo: Demo) -> None:
    """Go through the onboarding: a user, the place and units, no analytics."""
    await wait_until_answering(demo, "/api/onboarding")
    client = f"{demo.home}/"
    user = {"name": "Demo", "username": USER, "password": PASSWORD, "client_id": client, "language": "en"}
    await demo.sign_in((await demo.post("/api/onboarding/users", user))["auth_code"])
    await demo.command("config/core/update", **CORE_CONFIG)
    # The frontend notes this at the end of its onboarding; without it, it greets a visitor from an older version.
    version = (await demo.get("/api/config"))["version"]
    await demo.command("frontend/set_system_data", key="core", value={"onboarded_version": version})
    await demo.post("/api/onboarding/analytics")
    await demo.post("/api/onboarding/integration", {"client_id": client, "redirect_uri": f"{client}?auth_callback=1"})
    await wait_until_answering(demo, "/api/config", "RUNNING")


async def add_account(demo: Demo, *wrong_passwords: str) -> list[str]:
    """Go through the integration's set-up dialog, as the frontend does. Return the errors that it showed."""
    flows = "/api/config/config_entries/flow"
    passwords = [*wrong_passwords, ACCOUNT.password]
    errors: list[str] = []
    flow = await demo.post(flows, {"handler": DOMAIN})
    while flow["type"] != "create_entry":
        errors += (flow.get("errors") or {}).values()
        answer: dict[str, Any] = {}
        match flow["type"], flow.get("step_id"):
            case "menu", _:
                answer = {"next_step_id": "account"}
            case "form", "account" if passwords:
                answer = {"email": ACCOUNT.email, "password": passwords.pop(0), "portal": {"url": demo.portal}}
            case "form", step if step != "account":
                pass
            case "progress", _:
                await asyncio.sleep(0.2)
                flow = await demo.get(f"{flows}/{flow['flow_id']}")
                continue
            case _:
                raise DemoError(f"The account could not be added: {json.dumps(flow, indent=2)}")
        flow = await demo.post(f"{flows}/{flow['flow_id']}", answer)
    return errors


async def add_inverter(demo: Demo) -> None:
    """Go through the dialog that adds an inverter in the network to the account, as the frontend does."""
    flows = "/api/config/config_entries/subentries/flow"
    [entry] = await demo.command("config_entries/get", domain=DOMAIN)
    flow = await demo.post(flows, {"handler": [entry["entry_id"], "inverter"]})
    host, port = demo.inverter.rsplit(":", 1)
    for answer in {"host": host, "advanced": {"port": int(port)}}, {}:
        if not flow.get("errors"):
            flow = await demo.post(f"{flows}/{flow['flow_id']}", answer)
    if flow["type"] != "create_entry":
        raise DemoError(f"The inverter could not be added: {json.dumps(flow, indent=2)}")


async def fill_energy_dashboard(demo: Demo) -> None:
    """Give the Energy dashboard its sources, as a visitor would."""

    def sensor(key: str) -> str:
        return f"sensor.haus_am_see_{key}"

    grid = {
        "type": "grid",
        "name": "Grid",
        "stat_energy_from": sensor("grid_import_today"),
        "stat_energy_to": sensor("grid_export_today"),
        "stat_rate": sensor("grid_power"),
        "stat_cost": None,
        "entity_energy_price": None,
        "number_energy_price": 0.32,
        "stat_compensation": None,
        "entity_energy_price_export": None,
        "number_energy_price_export": 0.08,
        "cost_adjustment_day": 0,
    }
    solar = {
        "type": "solar",
        "name": "PV",
        "stat_energy_from": sensor("pv_energy_today"),
        "stat_rate": sensor("pv_power"),
        "config_entry_solar_forecast": None,
    }
    battery = {
        "type": "battery",
        "name": "Battery",
        "stat_energy_from": sensor("battery_discharge_today"),
        "stat_energy_to": sensor("battery_charge_today"),
        "stat_rate": sensor("battery_power"),
        "stat_soc": sensor("battery_state_of_charge"),
    }
    await demo.command("energy/save_prefs", energy_sources=[grid, solar, battery])


async def add_dashboard(demo: Demo) -> None:
    """Add the dashboard as a person would: a new one of our strategy."""
    await demo.command(
        "lovelace/dashboards/create",
        url_path=PATH,
        mode="storage",
        title="M-TEC",
        icon="mdi:solar-power",
        show_in_sidebar=True,
    )
    await demo.command("lovelace/config/save", url_path=PATH, config=STRATEGY)


async def act(demo: Demo, action: str, **data: Any) -> dict[str, Any]:
    """Call an action for the station whose history is imported, and return its response."""
    devices = await demo.command("config/device_registry/list")
    [station] = [each["id"] for each in devices if each["name"] == STATION]
    answer = await demo.post(f"/api/services/{DOMAIN}/{action}?return_response", {"device": station, **data})
    return cast("dict[str, Any]", answer["service_response"])


@contextlib.asynccontextmanager
async def demo_house(
    folder: Path,
    *,
    account: bool,
    host: str = LOOPBACK,
    port: int = 0,
    simulator_options: Sequence[str] = (),
    environment: Mapping[str, str] = EMPTY,
    generation: str = "both",
) -> AsyncIterator[Demo]:
    """Everything started and set up, and ended when left. If Home Assistant ends on its own, so does the block."""
    config, log = folder / "config", folder / LOG
    port = free_port(port)
    write_config(config, host, port)
    async with (
        simulator(folder, "portal", "--generation", generation, *simulator_options) as portal,
        simulator(folder, "inverter", "--plant", "house", *simulator_options) as inverter,
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as background,
    ):
        home_assistant = background.create_task(keep_home_assistant_running(config, log, environment))
        reachable = LOOPBACK if ipaddress.ip_address(host).is_unspecified else host
        demo = Demo(f"http://{reachable}:{port}", portal, inverter, session, log)
        await move_in(demo)
        if account:
            await add_account(demo)
            await add_inverter(demo)
        yield demo
        home_assistant.cancel()


@dataclass(frozen=True, order=True)
class Entity:
    """One enabled entity of the integration; `state` is None while it has no value."""

    device: str
    entity_id: str
    name: str
    state: str | None
    unit: str


async def entities_of(demo: Demo) -> list[Entity]:
    """List the integration's enabled entities."""
    devices = {device["id"]: device for device in await demo.command("config/device_registry/list")}
    states = {state["entity_id"]: state for state in await demo.command("get_states")}

    def entity(entry: dict[str, Any]) -> Entity:
        device = devices.get(entry["device_id"], {})
        state = states.get(entry["entity_id"], {"state": "missing", "attributes": {}})
        domain = entry["entity_id"].split(".")[0]
        lacks = state["state"] in ("missing", "unavailable") or (
            state["state"] == "unknown" and domain not in NEVER_HAVE_VALUES
        )
        return Entity(
            device.get("name_by_user") or device.get("name") or "",
            entry["entity_id"],
            entry["name"] or entry["original_name"] or "",
            None if lacks else state["state"],
            state["attributes"].get("unit_of_measurement") or "",
        )

    registry = await demo.command("config/entity_registry/list")
    return sorted(entity(entry) for entry in registry if entry["platform"] == DOMAIN and not entry["disabled_by"])


def unread(entities: Sequence[Entity]) -> set[str]:
    """Return the plants without an energy of today: what is read last of the first poll."""
    read = {each.device for each in entities if each.entity_id.endswith("_pv_energy_today") and each.state is not None}
    return {station.description.name for station in ACCOUNT.stations} - read


async def wait_for_values(demo: Demo) -> list[Entity]:
    """Wait until all plants have been read and every entity has a value, or time is up."""
    deadline = time.monotonic() + VALUES_SECONDS
    while True:
        entities = await entities_of(demo)
        is_complete = not unread(entities) and all(entity.state is not None for entity in entities)
        if is_complete or time.monotonic() > deadline:
            return entities
        await asyncio.sleep(1)


async def check_inverter(demo: Demo) -> list[str]:
    """Wait until the house's inverter is read in the network, or time is up. Return what is wrong."""
    deadline = time.monotonic() + VALUES_SECONDS
    while True:
        served = [
            state["entity_id"]
            for state in await demo.command("get_states")
            if state["entity_id"].endswith("_source") and state["state"] == "network"
        ]
        if len(served) == 1:
            return []
        if time.monotonic() > deadline:
            return [f"{len(served)} inverters instead of one are read in the network"]
        await asyncio.sleep(1)


async def exit_code(work: Coroutine[Any, Any, None], *, when_interrupted: int) -> int:
    """Do the work, and say what went wrong if something did."""
    task = asyncio.create_task(work)
    end_when_told(task)
    code = 0
    try:
        try:
            await task
        except* DemoError as errors:
            print("", *errors.exceptions, sep="\n", file=sys.stderr)
            code = 1
    except asyncio.CancelledError:
        code = when_interrupted
    return code


def end_when_told(task: asyncio.Task[None]) -> None:
    """Make the first Ctrl-C (or its like) cancel the task; while it cleans up more of them change nothing."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end() -> None:
        for each in signals:
            loop.add_signal_handler(each, lambda: None)
        task.cancel()

    for each in signals:
        loop.add_signal_handler(each, end)
