"""Behaviour without names of Home Assistant that it never promised to integrations."""

import ast
from collections.abc import Iterator
import importlib
import logging
from typing import Any

from homeassistant.components import recorder
from homeassistant.components.recorder import Recorder
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec.const import DOMAIN
from tests.checkout import MTEC
from tests.conftest import FAMILY, GENERATION1
from tests.home import add_account, entry_at
from tests.imported_anew import not_yet_imported
from tests.portal_simulator import HOUSE, PortalSimulator

ENTRY_ID = "family"
INTERNALS = MTEC / "home_assistant_internals.py"


def _guarded(*, component: str) -> list[tuple[str, str]]:
    """Return the names that the module imports if they are there, with the module each is in."""
    guards = [node for node in ast.parse(INTERNALS.read_text(encoding="utf-8")).body if isinstance(node, ast.Try)]
    return [
        name for names in map(_imported, guards) if any(component in module for module, _ in names) for name in names
    ]


def _imported(guard: ast.Try) -> list[tuple[str, str]]:
    nodes = [node for node in guard.body if isinstance(node, ast.ImportFrom)]
    return [(node.module or "", alias.name) for node in nodes for alias in node.names]


RECORDER_METHODS = ("async_add_executor_job", "async_adjust_statistics", "queue_task")
_HIDDEN = ("homeassistant.components.recorder", "homeassistant.components.energy")
RECORDER_NAMES = _guarded(component="recorder")
ENERGY_NAMES = _guarded(component="energy")


def test_internals_are_imported_in_one_module_alone() -> None:
    """No other module takes anything out of the recorder or the Energy dashboard, and this one only what is guarded."""
    assert len(RECORDER_NAMES) == 12 and len(ENERGY_NAMES) == 2
    for path in MTEC.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            node.module
            for node in (tree.body if path == INTERNALS else ast.walk(tree))
            if isinstance(node, ast.ImportFrom) and node.module is not None
        }
        assert not [name for name in imported if name.startswith(_HIDDEN)], path


@pytest.fixture(autouse=True)
def _ready(recorder_mock: Recorder, socket_enabled: None, enable_custom_integrations: None) -> None:
    """Have the recorder before all else."""


@pytest.fixture(autouse=True)
async def _loaded(hass: HomeAssistant) -> None:
    """Have a Home Assistant all of whose own parts are loaded, so that they do not miss what is taken away."""
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
    await hass.config.async_set_time_zone("Europe/Berlin")
    for component in ("sensor", "binary_sensor", "energy"):
        assert await async_setup_component(hass, component, {})
    await hass.async_block_till_done(wait_background_tasks=True)


@pytest.fixture(autouse=True)
def _integration_not_yet_imported() -> Iterator[None]:
    """Let the integration be imported anew."""
    with not_yet_imported():
        yield


async def _load_account(
    hass: HomeAssistant, simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> MockConfigEntry:
    for module, name, value in (
        ("portal_client", "PAUSE", 0),
        ("portal.rate_limiter", "REQUESTS_A_MINUTE", 10_000),
        ("history.importer", "LONGEST_WAIT", 0),
    ):
        monkeypatch.setattr(importlib.import_module(f"custom_components.{DOMAIN}.{module}"), name, value)
    entry = entry_at(simulator.url, FAMILY, simulator.accounts[FAMILY].password, entry_id=ENTRY_ID)
    await add_account(hass, entry)
    return entry


async def _import(hass: HomeAssistant) -> Any:
    """Import two days into the sensors, which the recorder has begun."""
    return await hass.services.async_call(
        DOMAIN, "import_history", {"start": "2026-06-14", "resolution": "days"}, blocking=True, return_response=True
    )


async def _check_account_lives(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert entry.state is ConfigEntryState.LOADED
    states = [hass.states.get(f"sensor.haus_am_see_{key}") for key in ("pv_power", "pv_energy_today")]
    assert all(state is not None and float(state.state) > 0 for state in states)
    days = {"type": "day", "start": "2026-06-14", "end": "2026-06-14"}
    usage = await hass.services.async_call(DOMAIN, "get_usage", days, blocking=True, return_response=True)
    assert usage and usage["rows"]


async def _check_import_says_so(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    with pytest.raises(HomeAssistantError) as raised:
        await _import(hass)
    assert raised.value.translation_key == "import_not_supported"
    assert f"Home Assistant {__version__} no longer has" in str(raised.value)
    options = hass.config_entries.options
    flow = await options.async_init(entry.entry_id)
    await options.async_configure(flow["flow_id"], {"next_step_id": "import_history"})
    result = await options.async_configure(flow["flow_id"], {"resolution": "days"})
    assert result["reason"] == "import_failed"
    assert "no longer has" in str(result["description_placeholders"])


@GENERATION1
@pytest.mark.parametrize(("module", "name"), RECORDER_NAMES)
async def test_name_of_the_recorder_is_gone(
    hass: HomeAssistant, simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    """The account loads, the sensors live, usage is read; only the import says that it cannot run."""
    with monkeypatch.context() as patch:
        patch.delattr(f"{module}.{name}")
        entry = await _load_account(hass, simulator, monkeypatch)
    await _check_account_lives(hass, entry)
    await _check_import_says_so(hass, entry)


@GENERATION1
@pytest.mark.parametrize("method", RECORDER_METHODS)
async def test_method_of_the_recorder_is_gone(
    hass: HomeAssistant, simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    with monkeypatch.context() as patch:
        # Home Assistant itself cannot do without some of them.
        left = {name: object() for name in dir(Recorder) if not name.startswith("__") and name != method}
        patch.setattr(recorder, "Recorder", type("Recorder", (), left))
        entry = await _load_account(hass, simulator, monkeypatch)
    await _check_account_lives(hass, entry)
    await _check_import_says_so(hass, entry)


@GENERATION1
@pytest.mark.parametrize(("module", "name"), ENERGY_NAMES)
async def test_name_of_the_energy_dashboard_is_gone(
    hass: HomeAssistant, simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    """The account loads, and the import itself can run; what it says of the costs, its own tests show."""
    with monkeypatch.context() as patch:
        patch.delattr(f"{module}.{name}")
        entry = await _load_account(hass, simulator, monkeypatch)
    await _check_account_lives(hass, entry)
    internals = importlib.import_module(f"custom_components.{DOMAIN}.home_assistant_internals")
    assert internals.is_supported(internals.Feature.IMPORT)
    if name == "async_get_manager":
        with pytest.raises(HomeAssistantError, match="fills in the costs with"):
            internals.check_supported(internals.Feature.COSTS)
        return
    with pytest.raises(HomeAssistantError, match="does not let the integration change the Energy dashboard"):
        internals.check_supported(internals.Feature.ENERGY_DASHBOARD)


@GENERATION1
async def test_all_is_supported_by_this_version(
    hass: HomeAssistant, simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _load_account(hass, simulator, monkeypatch)
    internals = importlib.import_module(f"custom_components.{DOMAIN}.home_assistant_internals")
    assert all(internals.is_supported(feature) for feature in internals.Feature)


@GENERATION1
async def test_import_begun_before_is_kept(
    hass: HomeAssistant,
    simulator: PortalSimulator,
    monkeypatch: pytest.MonkeyPatch,
    hass_storage: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was begun with another version of Home Assistant waits for one that supports it, and its account loads."""
    caplog.set_level(logging.INFO)
    job = {"entry_id": ENTRY_ID, "start": "2026-06-14", "resolution": "days"}
    hass_storage["mtec.history"] = {
        "version": 1,
        "minor_version": 1,
        "key": "mtec.history",
        "data": {HOUSE.station_id: job},
    }
    monkeypatch.delattr("homeassistant.components.recorder.tasks.SynchronizeTask")
    entry = await _load_account(hass, simulator, monkeypatch)
    await _check_account_lives(hass, entry)
    assert "does not support import of history" in caplog.text
    assert "goes on" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert hass_storage["mtec.history"]["data"] == {HOUSE.station_id: job}
