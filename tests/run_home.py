"""A Home Assistant with an inverter in the network, as a process of its own that a test can kill.

Run with the folder of its configuration and the address of the simulated inverter; it prints what it does.
"""

import asyncio
import json
import logging
from pathlib import Path
import sys
from typing import Any

from homeassistant import bootstrap, loader
from homeassistant.config_entries import ConfigEntries
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from custom_components.mtec import network
from custom_components.mtec.battery import connection
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.local import controls
from custom_components.mtec.local.exchange import Timing

_COMPONENTS = Path(__file__).resolve().parent.parent / "custom_components"


def _hurry() -> None:
    """Wait less: between requests, and between writes."""
    for module in (network, connection):
        vars(module)["TIMING"] = Timing(timeout=1.0, spacing=0)
    vars(controls).update(BETWEEN_WRITES=0.02, READ_BACK_PAUSE=0.02)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _start(folder: Path) -> HomeAssistant:
    """Start Home Assistant on what it left in a folder."""
    if not (folder / "custom_components").exists():
        (folder / "custom_components").symlink_to(_COMPONENTS)
    hass = HomeAssistant(str(folder))
    hass.config.skip_pip = True
    hass.config_entries = ConfigEntries(hass, {})
    loader.async_setup(hass)
    await bootstrap.async_load_base_functionality(hass)
    await hass.config.async_load()
    assert await async_setup_component(hass, DOMAIN, {})
    await hass.async_start()
    await hass.async_block_till_done()
    return hass


async def _run(folder: Path, actions: list[dict[str, Any]]) -> None:
    hass = await _start(folder)
    _say("started")
    for action in actions:
        name = action.pop("action")
        response = await hass.services.async_call(DOMAIN, name, action, blocking=True, return_response=True)
        _say(json.dumps(response))
    _say("done")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await hass.async_stop(force=True)
    _say("stopped")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    _hurry()
    asyncio.run(_run(Path(sys.argv[1]), json.loads(sys.argv[2])))
