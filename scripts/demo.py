"""A real Home Assistant with this integration and the portal simulator, started to look at or to check."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
import contextlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
import fcntl
import ipaddress
import json
import os
from pathlib import Path
import re
import shutil
import signal
import socket
import sys
import time
from typing import Any, cast

import aiohttp

from scripts.demo_automations import BLUEPRINTS, add_automations, check_automations
from tests.energies import ENERGIES_TODAY, station_entity
from tests.portal_simulator import HOUSE, plant_of
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
IMPORTED = {
    station_entity(key): part for key, part in ENERGIES_TODAY.items()
}  # and what the model of the plant calls it
COSTS = {"sensor.haus_am_see_grid_import_today_cost", "sensor.haus_am_see_grid_export_today_compensation"}
PRECISION = 0.02
"""Largest difference in kWh between an imported day and the plant's: the portal rounds to 0.01 kWh."""
DAYS_BY_HOURS = timedelta(days=14)
VISITORS_PAST, VISITORS_DAYS_BY_HOURS = timedelta(days=90), timedelta(days=4)
"""The part of the past that is imported for a visitor, who does not want to wait for all of it."""
SEED = 1  # the portal simulator's
RESTART = 100  # Home Assistant's exit code when somebody asked it to restart
START_SECONDS = 120
VALUES_SECONDS = 40
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


async def import_history(demo: Demo) -> list[dict[str, Any]]:
    """Let the integration import all of a plant's past, the last days by hours. Return its two reports."""
    return [
        await act(demo, "import_history", resolution="hours", start=days_ago(DAYS_BY_HOURS).isoformat()),
        await act(demo, "import_history", resolution="days"),
    ]


async def import_recent_history(demo: Demo) -> list[dict[str, Any]]:
    """Let the integration import the last months of a plant's past, the last days by hours. Return its two reports."""
    return [
        await act(demo, "import_history", resolution="hours", start=days_ago(VISITORS_DAYS_BY_HOURS).isoformat()),
        await act(demo, "import_history", resolution="days", start=days_ago(VISITORS_PAST).isoformat()),
    ]


def days_ago(time: timedelta) -> date:
    """Return the day that was so long ago at the plant."""
    return datetime.now(HOUSE.zone).date() - time


async def compare_history(demo: Demo, first: date = HOUSE.installed) -> tuple[int, float]:
    """Ask what the Energy dashboard asks. Return how many days it has, and by how many kWh one differs at the most."""
    plant = plant_of(HOUSE, SEED)
    today = datetime.now(HOUSE.zone).date()
    found = await demo.command(
        "recorder/statistics_during_period",
        start_time=plant.day_start(first).isoformat(),
        end_time=plant.day_start(today).isoformat(),
        statistic_ids=list(IMPORTED),
        period="day",
        types=["change"],
        units={"energy": "kWh"},
    )
    wanted = [first + timedelta(days=number) for number in range((today - first).days)]
    differences = [0.0]
    for sensor, part in IMPORTED.items():
        changes = {
            datetime.fromtimestamp(row["start"] / 1000, HOUSE.zone).date(): row["change"] for row in found[sensor]
        }
        differences += [abs(changes.get(day, 0.0) - getattr(plant.day(day), part)) for day in wanted]
    return len(wanted), max(differences)


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


async def wait_for_costs(demo: Demo) -> None:
    """Wait until the Energy dashboard's sensors of costs have a value, or time is up."""
    deadline = time.monotonic() + VALUES_SECONDS
    while time.monotonic() < deadline:
        states = {state["entity_id"]: state["state"] for state in await demo.command("get_states")}
        if not {states.get(cost, "unknown") for cost in COSTS} & {"unavailable", "unknown"}:
            return
        await asyncio.sleep(1)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def complaints(log: Path) -> list[str]:
    """Warnings and errors in Home Assistant's log which this integration is the cause of."""
    # The checkout may well lie in a folder of that name, which is in every path of every traceback.
    text = log.read_text(errors="replace").replace(str(CHECKOUT), "")
    records = re.split(r"^(?=\d{4}-\d\d-\d\d [\d:.]+ [A-Z]+ \()", text, flags=re.MULTILINE)
    return [
        record.strip()
        for record in records
        if re.search(rf"\b{DOMAIN}\b", record) and "which has not been tested by Home Assistant" not in record
    ]


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


async def check_export(demo: Demo, config: Path) -> list[str]:
    """Export yesterday as a response and into a file. Return what is wrong."""
    yesterday = datetime.now(HOUSE.zone).date() - timedelta(days=1)
    day = {"type": "day", "start": yesterday.isoformat(), "end": yesterday.isoformat()}
    response = await act(demo, "export_csv", **day)
    report = await act(demo, "export_csv", **day, filename="yesterday.csv")
    written = (config / DOMAIN / "yesterday.csv").read_text(encoding="utf-8-sig").splitlines()
    print(f"Exported yesterday: {response['rows']} rows.")
    whole = 0 < response["rows"] == report["rows"] == len(written) - 1
    if whole and written == response["csv"].removeprefix("\ufeff").splitlines():
        return []
    return [f"The export of yesterday is {report}, of {len(written)} lines, and as a response {response}"]


async def check_history(demo: Demo) -> list[str]:
    """Import a plant's past and its costs. Return what is wrong."""
    await fill_energy_dashboard(demo)
    reports = await import_history(demo)
    days, difference = await compare_history(demo)
    costs = set().union(*(report["costs"] for report in reports))
    print(f"Imported {days} days, off by {difference:.3f} kWh at the most, and the costs of {len(costs)} energies.")
    problems = [] if difference <= PRECISION else [f"A day of the imported history is off by {difference:.3f} kWh"]
    return problems if costs == COSTS else [*problems, f"The import has filled in the costs {sorted(costs)}"]


def missing(entries: Sequence[dict[str, Any]], entities: Sequence[Entity]) -> Iterator[str]:
    """Yield what is wrong with the account and its entities."""
    unloaded = [entry for entry in entries if entry["state"] != "loaded"]
    yield from (f"The account is {entry['state']}: {entry['reason']}" for entry in unloaded)
    yield from (f"{each.entity_id} has no value" for each in entities if each.state is None)
    yield from (f"{name} was not read" for name in sorted(unread(entities)))
    if not entries:
        yield "There is no account"


async def check(*, history: bool, generation: str) -> None:
    """Start everything, see that all is well, and end it."""
    with state_folder("check") as folder:
        async with demo_house(folder, account=False, generation=generation) as demo:
            errors = await add_account(demo, "not this one")
            found = [] if errors == ["invalid_auth"] else [f"The set-up dialog says {errors} to a wrong password"]
            await add_inverter(demo)
            found += await check_inverter(demo)
            entities = await wait_for_values(demo)
            entries = await demo.command("config_entries/get", domain=DOMAIN)
            version = (await demo.get("/api/config"))["version"]
            found += await check_automations(demo)
            found += await check_export(demo, folder / "config")
            found += await check_history(demo) if history else []
        heading = ("Device", "Entity", "Name", "State", "Unit")
        rows = [(each.device, each.entity_id, each.name, each.state or "-", each.unit) for each in entities]
        print(table([heading, *rows]))
        found += [*missing(entries, entities), *complaints(folder / LOG)]
        if found:
            raise DemoError("\n".join(found))
        print(
            f"\nAll {len(entities)} entities have a value, and the log of Home Assistant {version} has no complaint"
            " about this integration."
        )


async def show_history(demo: Demo) -> None:
    """Fill the Energy dashboard with a plant's past."""
    print(
        f"\nThe last months of {STATION} are being imported; the Energy dashboard shows them in about two minutes.",
        flush=True,
    )
    try:
        await fill_energy_dashboard(demo)
        await wait_for_costs(demo)
        await demo.post("/api/services/demo_statistics/compile")
        requests = sum(report["requests"] for report in await import_recent_history(demo))
        days, difference = await compare_history(demo, days_ago(VISITORS_PAST))
    except DemoError:
        # The visitor has restarted Home Assistant, and the integration goes on automatically.
        return
    print(
        f"They are imported, with {requests} requests to the portal: {days} days, none of which differs from the"
        f" plant's energies by more than {difference:.3f} kWh.",
        flush=True,
    )


async def visit(host: str, port: int, *, account: bool, generation: str) -> None:
    """Start everything and leave it running until interrupted. Then say that it has ended, and what with it."""
    stopped = ""
    try:
        with state_folder("visit") as folder:
            print("Starting Home Assistant, this takes half a minute ...", flush=True)
            async with demo_house(folder, account=account, host=host, port=port, generation=generation) as demo:
                if not demo.home.endswith(f":{port}"):
                    print(f"Port {port} is taken, so another one is used.")
                print(
                    f"\nHome Assistant    {demo.home}"
                    f"\nUser, password    {USER}, {PASSWORD}"
                    f"\nThis integration  {demo.home}/config/integrations/integration/{DOMAIN}"
                    f"\nEnergy            {demo.home}/energy"
                    f"\nAutomations       {demo.home}/config/automation/dashboard"
                    f"\nPortal simulator  {demo.portal}"
                    f"\nInverter          {demo.inverter}, the house's, in the network: read every ten seconds"
                )
                if not account:
                    accounts = [(each.email, each.password, each.about) for each in make_accounts().values()]
                    print(
                        f"\nTo try the set-up dialog open {demo.home}/config/integrations/dashboard/add"
                        f"?domain={DOMAIN},"
                        f'\nopen its section "Portal address" and enter {demo.portal} there.'
                        f"\n\n{table([('E-mail', 'Password', 'Plants'), *accounts])}"
                    )
                print("\nCtrl-C ends both.", flush=True)
                if account:
                    await wait_for_values(demo)
                    await add_automations(demo)
                    await add_dashboard(demo)
                    print(f"\nThe dashboard is at {demo.home}/{PATH}.", flush=True)
                    stopped = f" The import of the history of {STATION} was stopped."
                    await show_history(demo)
                    stopped = ""
                await asyncio.Event().wait()
    except asyncio.CancelledError:
        print(f"\nHome Assistant and the simulators have ended.{stopped}", flush=True)
        raise


async def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--check", action="store_true", help="see that every entity gets a value and usage can be exported, and end"
    )
    mode.add_argument("--empty", action="store_true", help="add no account, to try the set-up dialog")
    mode.add_argument("--prepare", action="store_true", help="start nothing, only fetch what later starts need")
    parser.add_argument(
        "--history", action="store_true", help="with --check: import a plant's past, too, which takes ten minutes"
    )
    parser.add_argument(
        "--portal-generation", choices=("1", "2", "both"), default="both", help="the generation that the portal speaks"
    )
    parser.add_argument("--port", type=int, default=8123, help="Home Assistant's port (another one if it is taken)")
    parser.add_argument(
        "--host",
        type=ipaddress.IPv4Address,
        default=LOOPBACK,
        help="the address to listen on; 0.0.0.0 for visitors from other machines",
    )
    arguments = parser.parse_args()
    work = (
        check(history=arguments.history, generation=arguments.portal_generation)
        if arguments.check
        else visit(
            str(arguments.host),
            arguments.port,
            account=not arguments.empty,
            generation=arguments.portal_generation,
        )
    )
    return await exit_code(work, when_interrupted=130 if arguments.check else 0)


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


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
