"""Outages of a home with an inverter in the network, beside an account or without one, and a recorder."""

import asyncio
from datetime import timedelta
import logging
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder import get_instance
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_SCAN_INTERVAL
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.mtec import network
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.history.healing import fills_gaps
from custom_components.mtec.local.exchange import Timing
from custom_components.mtec.portal import rate_limiter
from tests.home import SEED
from tests.household import Household
from tests.inverter_entries import subentry
from tests.inverter_simulator import InverterSimulator
from tests.outages import DAY, HOUR, SENSORS, Away, Life, Outage, life, live, local, midnight_after, rows
from tests.portal_simulator import HOUSE

ALONE = "sensor.inverter_in_the_cellar_pv_energy_today"


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests talk to the simulators; Home Assistant they start themselves."""
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    monkeypatch.setattr(rate_limiter, "PAUSE", 0.0)
    # The clock stands still while an inverter is read.
    monkeypatch.setattr(network, "TIMING", Timing(spacing=0))
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.INFO, "custom_components.mtec")


def inverter_in(lived: Life) -> InverterSimulator:
    return InverterSimulator(HOUSE, clock=lived.portal.clock, seed=SEED, framing="tcp")


@pytest.mark.parametrize("what", Away)
def test_a_day_away_with_an_inverter_in_the_network_beside_the_account(
    freezer: FrozenDateTimeFactory, caplog: pytest.LogCaptureFixture, what: Away
) -> None:
    """The inverter in the network has no energies of the station: what was missed comes from the portal."""
    outage = Outage(local(2026, 6, 16, 14, 20), local(2026, 6, 17, 19, 10), what)

    async def lived() -> None:
        async with (
            life(freezer, local(2026, 6, 15, 22), [outage], generation=2) as lived,
            inverter_in(lived) as inverter,
        ):
            if what is Away.NETWORK:
                inverter.faults.add("reset", since=outage.start, until=outage.end)

            async def prepare(_: Life, home: Household) -> None:
                freezer.tick(5)
                await home.add_inverter(inverter)
                source = home.hass.states.get("sensor.energy_butler_source")
                assert source is not None and source.state == "network"

            await live(lived, midnight_after(outage.end) + 2 * HOUR, prepare)

    asyncio.run(lived())
    assert "What Home Assistant missed of Haus am See from 2026-06-16 to " in caplog.text


def test_home_without_an_account_beside_a_recorder(
    freezer: FrozenDateTimeFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """It is set up, runs, is off for hours and is unloaded; there is no history to fill in or to import."""
    caplog.set_level(logging.DEBUG, "custom_components.mtec")
    begin, outage = local(2026, 6, 16, 10), Outage(local(2026, 6, 16, 12, 20), local(2026, 6, 16, 15, 10))

    async def see(home: Household) -> dict[str, Any]:
        assert home.entry.state is ConfigEntryState.LOADED
        assert fills_gaps(home.hass, home.entry.runtime_data.config_entry) is False
        state = home.hass.states.get(ALONE)
        assert state is not None and float(state.state) > 0
        return (await rows(home, [ALONE]))[ALONE][-1]

    async def lived() -> None:
        async with life(freezer, begin) as lived, inverter_in(lived) as inverter:
            async with lived.home(ALONE) as home:
                alone = MockConfigEntry(
                    domain=DOMAIN,
                    title="Cellar",
                    data={},
                    subentries_data=[subentry(inverter, **{CONF_SCAN_INTERVAL: 300})],
                )
                await home.hass.config_entries.async_add(alone)
                await home.settle()
                await lived.live(home, outage.start)
                before = await see(home)
            freezer.move_to(outage.end)
            async with lived.home(ALONE) as home:
                await lived.live(home, outage.end + 3 * HOUR)
                assert (await see(home))["start"] > before["start"]
                with pytest.raises(ServiceValidationError) as raised:
                    await home.hass.services.async_call(DOMAIN, "import_history", {}, blocking=True)
                assert raised.value.translation_key == "no_account"
                assert await home.hass.config_entries.async_unload(home.entry.entry_id)
                await home.settle()
                assert not [task for task in asyncio.all_tasks() if "mtec" in task.get_name()]

    asyncio.run(lived())
    assert "missed" not in caplog.text


def test_entity_is_renamed_in_the_middle(freezer: FrozenDateTimeFactory) -> None:
    """Once while it lives and once before what was missed is filled in: its statistics go with it."""
    outage = Outage(local(2026, 6, 16, 14, 20), local(2026, 6, 17, 9, 10))
    first, second = "sensor.bought", "sensor.bought_from_the_grid"

    async def lived() -> None:
        async with life(freezer, local(2026, 6, 15, 22), [outage]) as lived:

            async def rename(home: Household, old: str, new: str) -> None:
                er.async_get(home.hass).async_update_entity(old, new_entity_id=new)
                await home.settle()
                await home.recorded()
                lived.rename(old, new)

            async with lived.home(first, second) as home:
                await lived.add_account(home)
                await lived.live(home, local(2026, 6, 16, 9, 20))
                await rename(home, "sensor.haus_am_see_grid_import_today", first)
                await lived.live(home, outage.start)
            freezer.move_to(outage.end)
            async with lived.home(first, second) as home:
                await rename(home, first, second)
                await lived.live(home, midnight_after(outage.end) + 2 * HOUR)
                lived.check(
                    await rows(home, lived.sensors),
                    local(2026, 6, 16).astimezone(HOUSE.zone).date(),
                    local(2026, 6, 17).astimezone(HOUSE.zone).date(),
                )

    asyncio.run(lived())


def test_statistics_are_deleted_in_the_middle(freezer: FrozenDateTimeFactory) -> None:
    """Of one sensor after an outage, of all of them later: an import brings all days again, of the others nothing."""
    outage = Outage(local(2026, 6, 16, 14, 20), local(2026, 6, 17, 9, 10))
    sensor = "sensor.haus_am_see_consumption_today"

    async def lived() -> None:
        async with life(freezer, local(2026, 6, 15, 22), [outage]) as lived:

            async def delete(home: Household, *ids: str) -> None:
                get_instance(home.hass).async_clear_statistics([*ids])
                await home.recorded()
                for id_ in ids:
                    lived.seen[id_].clear()

            async def imported(home: Household, *deleted: str) -> dict[str, Any]:
                for id_ in deleted:
                    # What leads up to the state of the first row tells its change.
                    for start in sorted(lived.seen[id_])[:1]:
                        del lived.seen[id_][start]
                report = await home.hass.services.async_call(
                    DOMAIN, "import_history", {"start": "2026-06-16"}, blocking=True, return_response=True
                )
                assert report is not None
                return dict(report)

            async def see(home: Household) -> None:
                days = [at.astimezone(HOUSE.zone).date() for at in (local(2026, 6, 16), local(2026, 6, 18))]
                lived.check(await rows(home), *days)

            async def finish(_: Life, home: Household) -> None:
                await delete(home, sensor)
                await lived.live(home, lived.portal.clock.now() + 3 * HOUR)
                report = await imported(home, sensor)
                assert [key for key, energy in report["energy"].items() if energy] == ["consumption_today"]
                await see(home)
                await delete(home, *SENSORS)
                await lived.live(home, lived.portal.clock.now() + 3 * HOUR)
                assert len((await imported(home, *SENSORS))["energy"]) == len(SENSORS)

            await live(lived, midnight_after(outage.end) + DAY + timedelta(hours=2), finish=finish)

    asyncio.run(lived())
