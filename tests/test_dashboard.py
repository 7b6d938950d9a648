"""The dashboard: what is served while there is a home, and what the module builds from the demo plants."""

import asyncio
import json
import os
from pathlib import Path
import shutil
from typing import Any

from homeassistant.components.frontend import DATA_EXTRA_MODULE_URL, UrlManager
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.dashboard import MODULE, async_dashboard_path, async_load_dashboard
from tests.checkout import CHECKOUT
from tests.conftest import FAMILY, GENERATION1, VILLAGE, SetUp
from tests.home import Home

LARGEST = 20_000


@pytest.fixture
async def _frontend(hass: HomeAssistant) -> None:
    """Have what of the frontend matters here; the package with its pages is not needed."""
    assert await async_setup_component(hass, "http", {})
    hass.data[DATA_EXTRA_MODULE_URL] = UrlManager(lambda change, url: None, [])
    hass.config.components.add("frontend")


def _ours(hass: HomeAssistant) -> list[str]:
    return [url for url in hass.data[DATA_EXTRA_MODULE_URL].urls if DOMAIN in url]


@GENERATION1
@pytest.mark.usefixtures("_frontend")
async def test_module_is_served_while_there_is_a_home(
    hass: HomeAssistant, set_up: SetUp, hass_client_no_auth: ClientSessionGenerator
) -> None:
    assert _ours(hass) == []
    entries = [await set_up(FAMILY), await set_up(VILLAGE)]
    [url] = _ours(hass)
    client = await hass_client_no_auth()
    answer = await client.get(url)
    assert answer.status == 200
    assert await answer.text() == MODULE.read_text(encoding="utf-8")
    assert "javascript" in answer.headers["Content-Type"]
    assert "max-age" in answer.headers["Cache-Control"]
    await hass.config_entries.async_remove(entries[0].entry_id)
    assert _ours(hass) == [url]
    await hass.config_entries.async_remove(entries[1].entry_id)
    assert _ours(hass) == []
    # An account that is added later finds the address registered already.
    await set_up(FAMILY)
    assert _ours(hass) == [url]


@GENERATION1
async def test_home_assistant_may_lack_a_frontend(hass: HomeAssistant, set_up: SetUp) -> None:
    await set_up(FAMILY)
    await async_load_dashboard(hass)
    assert DATA_EXTRA_MODULE_URL not in hass.data


@pytest.mark.usefixtures("_frontend")
async def test_address_changes_with_the_file(
    hass: HomeAssistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update is never a stale file of a browser's cache, even if the version stays."""
    urls = set()
    for time in (1_000, 2_000):
        file = tmp_path / MODULE.name
        file.write_text("")
        os.utime(file, (time, time))
        monkeypatch.setattr("custom_components.mtec.dashboard.MODULE", file)
        hass.data.pop("mtec_dashboard_url", None)
        hass.data.pop("mtec_dashboard_loaded", None)
        hass.data[DATA_EXTRA_MODULE_URL] = UrlManager(lambda change, url: None, [])
        await async_load_dashboard(hass)
        urls |= set(_ours(hass))
    assert len(urls) == 2


async def test_path_of_the_dashboard_is_that_of_our_strategy(hass: HomeAssistant) -> None:
    class Dashboard:
        def __init__(self, kind: str | None) -> None:
            self.kind = kind

        async def async_load(self, force: bool) -> dict[str, Any]:
            return {"strategy": {"type": self.kind}} if self.kind else {"views": []}

    class Lovelace:
        def __init__(self) -> None:
            kinds = {None: "original-states", "own": None, "sun": "custom:mtec"}
            self.dashboards = {path: Dashboard(kind) for path, kind in kinds.items()}

    assert await async_dashboard_path(hass) is None
    hass.data["lovelace"] = Lovelace()
    assert await async_dashboard_path(hass) == "sun"


def test_module_is_small_and_needs_no_other() -> None:
    text = MODULE.read_text(encoding="utf-8")
    assert MODULE.stat().st_size <= LARGEST
    assert "import " not in text
    assert all(len(line) <= 170 for line in text.splitlines())


def _dump(hass: HomeAssistant) -> dict[str, Any]:
    """Return what the frontend knows of the integration: the hass object that a strategy gets."""
    registry = er.async_get(hass)
    entities = [each for each in registry.entities.values() if each.disabled_by is None and each.platform == DOMAIN]
    return {
        "entities": {
            each.entity_id: {
                "entity_id": each.entity_id,
                "device_id": each.device_id,
                "platform": each.platform,
                "translation_key": each.translation_key,
                "entity_category": each.entity_category,
            }
            for each in entities
        },
        "devices": {
            device.id: {
                "id": device.id,
                "name": device.name,
                "name_by_user": device.name_by_user,
                "via_device_id": device.via_device_id,
                "serial_number": device.serial_number,
            }
            for entry in hass.config_entries.async_entries(DOMAIN)
            for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        },
        "states": {
            state.entity_id: {"state": state.state, "attributes": {"friendly_name": state.name}}
            for state in hass.states.async_all()
        },
    }


@pytest.mark.parametrize("email", [FAMILY, VILLAGE])
async def test_module_builds_the_views_of_real_plants(
    hass: HomeAssistant, home: Home, set_up: SetUp, tmp_path: Path, email: str
) -> None:
    """Run the tests of the module under Node, with what a real set-up of the demo plants gives the frontend."""
    if (node := shutil.which("node")) is None:
        pytest.skip("Node is not installed")
    await set_up(email)
    file = tmp_path / "hass.json"
    file.write_text(json.dumps({email: _dump(hass)}))
    process = await asyncio.create_subprocess_exec(
        node,
        "--test",
        "tests/dashboard.test.mjs",
        cwd=CHECKOUT,
        env={**os.environ, "HASS_OBJECTS": str(file)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert "pass 9" in output.decode()
