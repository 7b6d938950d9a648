"""A Home Assistant with its storage and database in a folder, as it runs in a home: it can be restarted."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
import socket
from types import MappingProxyType
from typing import Any, override

from aiohttp.abc import AbstractResolver, ResolveResult
from homeassistant import bootstrap, loader
from homeassistant.components.recorder import DOMAIN as RECORDER, Recorder, get_instance
from homeassistant.components.recorder.statistics import statistics_during_period
from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntries, ConfigEntry, ConfigSubentry
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_SCAN_INTERVAL, EVENT_STATE_CHANGED
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import recorder as recorder_helper
from homeassistant.helpers.aiohttp_client import DATA_RESOLVER
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util

from custom_components.mtec.account import Account
from custom_components.mtec.const import CONF_FRAMING, CONF_SERIAL_NUMBER, CONF_UNIT_ID, DOMAIN, SUBENTRY_INVERTER
from custom_components.mtec.local.link import Framing
from tests.dialogs import sign_in
from tests.inverter_simulator import InverterSimulator

_COMPONENTS = Path(__file__).resolve().parent.parent / "custom_components"


@dataclass
class Names(AbstractResolver):
    """Resolves every name to this machine, or none at all while `fails`."""

    fails: bool = False

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self.fails:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    @override
    async def close(self) -> None:
        """Nothing is open."""

    async def real_close(self) -> None:
        """Nothing is open: Home Assistant closes its own resolver so."""


@dataclass(frozen=True)
class Household:
    """A running Home Assistant with an account of the integration."""

    hass: HomeAssistant

    @property
    def entry(self) -> ConfigEntry[Account]:
        """The account's config entry."""
        entry: ConfigEntry[Account] = self.hass.config_entries.async_entries(DOMAIN)[0]
        return entry

    @property
    def recorder(self) -> Recorder:
        return get_instance(self.hass)

    async def add_account(self, url: str, email: str, password: str) -> None:
        """Set up an account as a person does."""
        await sign_in(self.hass, url, email, password)
        await self.hass.async_block_till_done(wait_background_tasks=True)

    async def add_inverter(self, inverter: InverterSimulator) -> None:
        """Add an inverter in the network, which is read every five minutes."""
        data = {
            CONF_HOST: inverter.host,
            CONF_PORT: inverter.port,
            CONF_FRAMING: Framing.TCP.value,
            CONF_UNIT_ID: inverter.unit,
            CONF_SERIAL_NUMBER: inverter.serial_number,
            CONF_SCAN_INTERVAL: 300,
        }
        subentry = ConfigSubentry(
            data=MappingProxyType(data),
            subentry_type=SUBENTRY_INVERTER,
            title="Inverter",
            unique_id=inverter.serial_number,
        )
        self.hass.config_entries.async_add_subentry(self.entry, subentry)
        await self.hass.async_block_till_done(wait_background_tasks=True)

    async def sign_in_again(self, password: str) -> bool:
        """Give the password if Home Assistant asks for it. Return whether it did."""
        flows = self.hass.config_entries.flow
        asked = [flow for flow in flows.async_progress() if flow["context"]["source"] == SOURCE_REAUTH]
        for flow in asked:
            await flows.async_configure(flow["flow_id"], {CONF_PASSWORD: password})
        await self.hass.async_block_till_done(wait_background_tasks=True)
        return bool(asked)

    async def settle(self) -> None:
        """Let everything happen for which it is time: polls, statistics."""
        # Once for the timers, once for what they start.
        for _ in range(2):
            await self.hass.async_block_till_done(wait_background_tasks=True)

    async def recorded(self) -> None:
        """Wait until the recorder has written all."""
        await self.hass.async_block_till_done()
        await self.recorder.async_block_till_done()

    async def sums(self, begin: datetime, entity_ids: set[str]) -> dict[str, list[float]]:
        """Return the sums of energies, by statistics of five minutes."""
        found = await self.recorder.async_add_executor_job(
            lambda: statistics_during_period(self.hass, begin, None, entity_ids, "5minute", None, {"sum"})
        )
        return {entity_id: [row["sum"] or 0.0 for row in rows] for entity_id, rows in found.items()}


@asynccontextmanager
async def home_assistant(
    folder: Path, time_zone: str, recorder: dict[str, Any], names: Names
) -> AsyncGenerator[HomeAssistant]:
    """Provide Home Assistant on what it left in a folder, with a recorder, before it starts. Stop it at the end."""
    if not (folder / "custom_components").exists():
        (folder / "custom_components").symlink_to(_COMPONENTS)
    hass = HomeAssistant(str(folder))
    hass.config.skip_pip = True
    hass.config_entries = ConfigEntries(hass, {})
    hass.data[str(DATA_RESOLVER)] = names
    loader.async_setup(hass)
    await bootstrap.async_load_base_functionality(hass)
    await hass.config.async_load()
    await hass.config.async_update(time_zone=time_zone)
    recorder_helper.async_initialize_recorder(hass)
    config = {"db_url": f"sqlite:///{folder}/home-assistant.db"} | recorder
    assert await async_setup_component(hass, RECORDER, {RECORDER: config})
    await async_setup_component(hass, "sensor", {})
    try:
        yield hass
    finally:
        await hass.async_block_till_done()
        await hass.async_stop(force=True)
        # A process that ends takes its timers and connections with it.
        for entry in hass.config_entries.async_loaded_entries(DOMAIN):
            await hass.config_entries.async_unload(entry.entry_id)
        # Home Assistant leaves a note on the event loop that it is over, which here goes on.
        vars(hass.loop).pop("_shutdown_run_callback_threadsafe", None)
        dt_util.set_default_time_zone(UTC)


@asynccontextmanager
async def household(
    folder: Path, time_zone: str, recorded: Iterable[str], names: Names, tick: Callable[[], object] = lambda: None
) -> AsyncGenerator[Household]:
    """Start Home Assistant on what it left in a folder, and stop it. It records some entities.

    `tick` moves a clock that stands still, after each state: the recorder knows no order of two states of one moment.
    """
    recorder = {"commit_interval": 0, "auto_purge": False, "include": {"entities": list(recorded)}}
    async with home_assistant(folder, time_zone, recorder, names) as hass:

        @callback
        def tick_after(_: object) -> None:
            tick()

        hass.bus.async_listen(EVENT_STATE_CHANGED, tick_after)
        await async_setup_component(hass, DOMAIN, {})
        await hass.async_start()
        await hass.async_block_till_done()
        home = Household(hass)
        # The recorder makes up for what it missed, which has to be over before time goes on.
        await home.recorded()
        yield home
