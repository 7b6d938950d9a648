"""The energy sensors of a home: readings that come late, a clock that is wrong, what a plant does not have."""

from datetime import UTC, datetime, timedelta

from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, EventStateChangedData, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
import pytest

from tests.conftest import FAMILY, GENERATION2, SetUp
from tests.energies import SHOWN_ENERGIES
from tests.home import SEED, Home, reload
from tests.portal_simulator import HOUSE, plant_of

TODAY = "sensor.haus_am_see_pv_energy_today"
ROWS = {1: "durationType': 2", 2: "durationType': '2'"}
"""What is in a request for the rows of a month, by generation."""


def _shown(home: Home) -> dict[str, tuple[float, object]]:
    """Return the value of each energy, and since when it counts."""
    states = home.states()
    return {id_: (float(states[id_].state), states[id_].attributes.get("last_reset")) for id_ in SHOWN_ENERGIES}


@pytest.mark.parametrize("now", [datetime(2026, 6, 15, 21, 58, 50, tzinfo=UTC)], ids=["before midnight"])
async def test_poll_that_straddles_midnight_counts_for_the_day_before(
    home: Home, set_up: SetUp, generation: int
) -> None:
    """The answers are made before midnight and arrive after it; the rows fail, so that readings have no day."""
    home.simulator.faults.add("busy", matching=ROWS[generation])
    await set_up(FAMILY)
    before = _shown_today(home)
    assert before[0] > 1
    home.simulator.faults.add("late", matching="getSingleStation")
    await home.poll(after=timedelta(seconds=60))
    assert dt_util.now().date().isoformat() == "2026-06-16"
    assert _shown_today(home) == before
    home.simulator.faults.clear()
    await home.poll(8)
    value, since = _shown_today(home)
    assert (value, str(since)[:10]) == (0.0, "2026-06-16")


def _shown_today(home: Home) -> tuple[float, object]:
    state = home.states()[TODAY]
    return float(state.state), state.attributes.get("last_reset")


@pytest.mark.parametrize("now", [datetime(2026, 6, 15, 18, 0, tzinfo=UTC)], ids=["in the evening"])
async def test_rest_of_a_day_is_counted_late_without_a_recorder(home: Home, set_up: SetUp) -> None:
    """Filling of gaps is switched on, but there is nothing to fill: a night without the account loses no energy."""
    entry = await set_up(FAMILY)
    evening, since = _shown_today(home)
    shown: list[tuple[float, object]] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        if event.data["entity_id"] == TODAY and home.value(TODAY)[0].isdigit():
            shown.append(_shown_today(home))

    home.hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.freezer.tick(timedelta(hours=14))
    await home.hass.config_entries.async_setup(entry.entry_id)
    await home.poll(8)
    day = plant_of(HOUSE, SEED).day(datetime(2026, 6, 15, tzinfo=UTC).date()).pv
    assert evening < day
    [late] = {value for value, begin in shown if begin == since and value > evening}
    assert late == pytest.approx(day, abs=0.011)
    assert shown[-1][1] != since


@pytest.mark.parametrize("days", [30, -30])
async def test_clock_that_is_wrong_for_a_poll_does_not_stop_the_counting(
    home: Home, set_up: SetUp, monkeypatch: pytest.MonkeyPatch, generation: int, days: int
) -> None:
    """The clock of the computer alone jumps: the portal's goes on, and so does what measures pauses."""
    entry = await set_up(FAMILY)
    await home.poll(6)
    before, now, portal = _shown(home), home.simulator.clock.now(), home.simulator.clock
    with monkeypatch.context() as wrong_clock:
        utcnow, local_now = dt_util.utcnow, dt_util.now
        wrong_clock.setattr(dt_util, "utcnow", lambda: utcnow() + timedelta(days=days))
        wrong_clock.setattr(dt_util, "now", lambda zone=None: local_now(zone) + timedelta(days=days))
        await entry.runtime_data.async_refresh()
    assert _shown(home).keys() == before.keys()
    for _ in range(20):
        home.freezer.tick(timedelta(minutes=6))
        await entry.runtime_data.async_refresh()
    after = _shown(home)
    made = plant_of(HOUSE, SEED).energy(now, portal.now())
    assert made.pv > 4
    for id_ in SHOWN_ENERGIES:
        assert after[id_][1] == before[id_][1], id_
    assert after[TODAY][0] - before[TODAY][0] == pytest.approx(made.pv, abs=0.5)
    rise = after["sensor.haus_am_see_pv_energy_total"][0] - before["sensor.haus_am_see_pv_energy_total"][0]
    assert rise == pytest.approx(made.pv, abs=1.1)


async def test_plant_without_battery_and_meter_has_no_sensors_of_them(home: Home, set_up: SetUp) -> None:
    """Its rows have 0.0 where others have nothing: today no five sensors of what it lacks, and no 100 %."""
    await set_up("cabin@example.com")
    await home.poll(6)
    there = {id_.partition(".")[2] for id_ in home.states() if id_.startswith("sensor.")}
    assert any(id_.endswith("pv_energy_today") for id_ in there)
    lacking = ("grid_import_today", "grid_export_today", "battery_charge_today", "battery_discharge_today")
    for what in (*lacking, "consumption_today", "self_consumption_today", "self_sufficiency_today"):
        assert not [id_ for id_ in there if id_.endswith(what)], what


@GENERATION2
@pytest.mark.parametrize("now", [datetime(2026, 6, 15, 22, 30, tzinfo=UTC)], ids=["after midnight"])
async def test_points_of_yesterday_do_not_count_for_today(home: Home, set_up: SetUp) -> None:
    """An inverter's points have a time: those of yesterday complete yesterday, whenever they come."""
    entry = await set_up(FAMILY)
    entity_id = "sensor.energy_butler_pv_energy_today"
    er.async_get(home.hass).async_update_entity(entity_id, disabled_by=None)
    await reload(home.hass, entry)
    await home.hass.async_block_till_done()
    assert float(home.value(entity_id)) == 0.0
    home.simulator.faults.add("yesterday")
    await home.poll(10, after=timedelta(minutes=10))
    assert float(home.value(entity_id)) == 0.0
    home.simulator.faults.clear()
    await home.poll(30, after=timedelta(minutes=20))
    plant = plant_of(HOUSE, SEED)
    today = plant.energy(plant.day_start(plant.local_date(home.simulator.clock.now())), home.simulator.clock.now()).pv
    assert today > 3
    assert float(home.value(entity_id)) == pytest.approx(today, abs=1.5)
