"""What Home Assistant lacks is put in where it belongs: after nulls, gaps and stops, with a real recorder on SQLite."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
import logging
from typing import Any, cast, override

from homeassistant.components.recorder import get_instance
from homeassistant.components.recorder.statistics import statistics_during_period
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done

from custom_components.mtec import home_assistant_internals as internals
from custom_components.mtec.history import refining
from custom_components.mtec.history.importer import HistoryImport, NothingRecordedError, Resolution
from custom_components.mtec.history.manager import async_import_manager
from custom_components.mtec.history.report import Phase, Progress
from custom_components.mtec.home_assistant_internals import Feature
from tests.conftest import GENERATION1
from tests.nulls import Nulls
from tests.past import (
    FIVE_MINUTES,
    HOUR,
    INSTALLED,
    Home,
    MoveIn,
    _fast,
    _quick_database,
    _ready,
    finished,
    local_day,
    move_in,
    open_import,
    restart,
)
from tests.portal_simulator import HOUSE, PortalSimulator

__all__ = ["_fast", "_quick_database", "_ready", "move_in"]
"""Fixtures of this module."""


async def away(hass: HomeAssistant, home: Home, until: datetime) -> None:
    """Let the account be unloaded until a moment: no rows are written."""
    await hass.config_entries.async_unload(home.entry.entry_id)
    home.freezer.move_to(until)
    home.simulator.clock.set(until)
    await hass.config_entries.async_setup(home.entry.entry_id)
    await hass.async_block_till_done()


def own_rows(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[float, tuple[Any, Any]]]:
    return {id_: {row["start"]: (row["state"], row["change"]) for row in rows} for id_, rows in found.items()}


async def means(home: Home, key: str) -> list[dict[str, Any]]:
    await async_wait_recording_done(home.hass)
    found: Any = await get_instance(home.hass).async_add_executor_job(
        statistics_during_period,
        home.hass,
        datetime(2000, 1, 1, tzinfo=UTC),
        None,
        {home.sensor(key)},
        "hour",
        None,
        {"mean", "min", "max"},
    )
    rows: list[dict[str, Any]] = found[home.sensor(key)]
    return rows


@GENERATION1
@pytest.mark.parametrize(("unit", "kwh"), [("Wh", 1000), ("MWh", 0.001)])
async def test_gap_is_filled_and_nothing_recorded_is_altered(
    move_in: MoveIn, hass: HomeAssistant, unit: str, kwh: float
) -> None:
    """Two nights and the day between them, in the unit of the person; run again it changes nothing."""
    home = await move_in()
    hass.config_entries.async_update_entry(home.entry, options={"fill_gaps": False})
    sensor = home.sensor("pv_energy_today")
    er.async_get(hass).async_update_entity_options(sensor, "sensor", {"unit_of_measurement": unit})
    renamed = "sensor.bought"
    er.async_get(hass).async_update_entity(home.sensor("grid_import_today"), new_entity_id=renamed)
    await hass.async_block_till_done()
    await home.live_until(INSTALLED + timedelta(hours=6))
    await away(hass, home, datetime(2026, 6, 17, 7, 40, tzinfo=UTC))
    await home.live_until(datetime(2026, 6, 17, 10, 10, tzinfo=UTC))
    others = {id_: part for id_, part in home.sensors.items() if id_ != sensor} | {renamed: "import_"}
    before = own_rows(await home.rows("hour", sensor, *others))
    report = await home.import_history(start="2026-06-14")
    assert (report["first"], report["last"]) == ("2026-06-14", "2026-06-17")
    after_rows = await home.rows("hour", sensor, *others)
    after = own_rows(after_rows)
    for id_, rows in before.items():
        recorded = {start: old for start, old in rows.items() if start > min(rows)}
        assert {start: after[id_][start] for start in recorded} == {
            start: pytest.approx(old, abs=1e-6) for start, old in recorded.items()
        }, id_
        assert {later["start"] - row["start"] for row, later in pairwise(after_rows[id_])} == {3600}
    days = await home.rows("day", sensor, *others)
    for id_, part in {**others, sensor: "pv"}.items():
        factor = kwh if id_ == sensor else 1
        for row in days[id_]:
            if (day := local_day(row)) < date(2026, 6, 17):
                expected = getattr(home.model.day(day), part) * factor
                assert row["change"] == pytest.approx(expected, abs=0.011 * factor), (id_, day)
    again = await home.import_history(start="2026-06-14")
    assert (again["days"], again["hours"], again["energy"]) == (0, 0, {})
    assert own_rows(await home.rows("hour", sensor, *others)) == after


@GENERATION1
async def test_gap_is_filled_by_itself_and_said_once(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A request for the rows of the month and a curve for each day that lacks something."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(hours=6))
    asked = len(simulator.requests)
    await away(hass, home, datetime(2026, 6, 17, 7, 40, tzinfo=UTC))
    caplog.set_level("INFO", "custom_components.mtec")
    await home.live_until(datetime(2026, 6, 17, 13, 10, tzinfo=UTC))
    await hass.async_block_till_done(wait_background_tasks=True)
    curves = [call.field("date", str) for call in simulator.requests[asked:] if call.path.endswith("StationCurve")]
    assert curves == ["2026-06-15", "2026-06-16"]
    await home.check_days(date(2026, 6, 16), date(2026, 6, 16))
    said = [record.getMessage() for record in caplog.records if "missed" in record.getMessage()]
    assert len(said) == 1
    assert "from 2026-06-15 to 2026-06-17 is filled in: " in said[0]
    assert "with 3 requests" in said[0]
    asked = len(simulator.requests)
    await home.live_until(datetime(2026, 6, 17, 15, 10, tzinfo=UTC))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not [call for call in simulator.requests[asked:] if call.path.endswith("StationCurve")]


@GENERATION1
async def test_sensor_that_is_excluded_in_the_middle_of_it_is_left_alone(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows stay as they are when gaps are filled; those of the others are filled."""
    home = await move_in()
    hidden, other = home.sensor("consumption_today"), home.sensor("grid_import_today")
    await home.live_until(INSTALLED + timedelta(hours=6))
    monkeypatch.setattr(get_instance(hass), "entity_filter", lambda entity_id: entity_id != hidden)
    before = await home.rows("hour", hidden, other)
    await away(hass, home, datetime(2026, 6, 17, 7, 40, tzinfo=UTC))
    for hour in (9, 10):
        await home.live_until(datetime(2026, 6, 17, hour, 10, tzinfo=UTC))
        await hass.async_block_till_done(wait_background_tasks=True)
    after = await home.rows("hour", hidden, other)
    assert after[hidden] == before[hidden]
    assert len(after[other]) > len(before[other]) + 30


@GENERATION1
async def test_home_that_is_polled_every_hour_loses_nothing_at_midnight(move_in: MoveIn, hass: HomeAssistant) -> None:
    """Its sensors are shown all the time, so that there is no gap to fill: the rest of the day counts after it."""
    home = await move_in()
    hass.config_entries.async_update_entry(home.entry, options={"scan_interval": 3600})
    await hass.config_entries.async_reload(home.entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    moment = INSTALLED.replace(minute=2, second=0)
    sensor = home.sensor("consumption_today")
    seen: set[tuple[str, float]] = set()
    while moment < datetime(2026, 6, 16, 2, tzinfo=UTC):
        moment += FIVE_MINUTES
        if moment.minute == 57 and moment.hour != 21:
            await home.poll(moment.replace(minute=50))
            state = hass.states.get(sensor)
            assert state is not None
            seen.add((state.attributes["last_reset"][:10], float(state.state)))
        if moment.hour == 22 and moment.minute == 7:
            await home.poll(moment)
            state = hass.states.get(sensor)
            assert state is not None
            seen.add((state.attributes["last_reset"][:10], float(state.state)))
    whole = home.model.day(date(2026, 6, 15)).consumption
    assert max(value for day, value in seen if day == "2026-06-15") == pytest.approx(whole, abs=0.011)


@GENERATION1
@pytest.mark.parametrize("without", ["nothing", "recording", "support"])
async def test_rest_of_a_day_is_counted_late_unless_history_fills_it(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    """Of a sensor that is not recorded, or if history cannot be written, no energy is lost: it is shown late."""
    home = await move_in()
    sensor = home.sensor("consumption_today")
    if without == "recording":
        monkeypatch.setattr(get_instance(hass), "entity_filter", lambda entity_id: entity_id != sensor)
    if without == "support":
        monkeypatch.setitem(internals._LACKING, Feature.IMPORT, "a name")
    await home.live_until(INSTALLED + timedelta(hours=6))
    evening = float(hass.states.get(sensor).state)  # type: ignore[union-attr]
    shown: list[tuple[float, str]] = []

    @callback
    def note(event: Event[Any]) -> None:
        state = event.data["new_state"]
        if state is not None and state.entity_id == sensor and state.state[0].isdigit():
            shown.append((float(state.state), state.attributes["last_reset"][:10]))

    hass.bus.async_listen(EVENT_STATE_CHANGED, note)
    await away(hass, home, datetime(2026, 6, 16, 7, 40, tzinfo=UTC))
    await home.live_until(datetime(2026, 6, 16, 9, 10, tzinfo=UTC))
    late = [value for value, day in shown if day == "2026-06-15" and value > evening]
    whole = home.model.day(date(2026, 6, 15)).consumption
    assert late == ([] if without == "nothing" else [pytest.approx(whole, abs=0.011)])
    assert shown[-1][1] == "2026-06-16"
    await hass.async_block_till_done(wait_background_tasks=True)


async def heal_from(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator, hours: int, fault: str, matching: str, times: int
) -> Home:
    """Be away for a night and a day while the portal answers with nonsense from then on, and live for some hours."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(hours=6))
    await away(hass, home, datetime(2026, 6, 17, 7, 40, tzinfo=UTC))
    simulator.faults.add(fault, matching=matching, times=times)
    for number in range(hours):
        await home.live_until(datetime(2026, 6, 17, 8, 10, tzinfo=UTC) + number * HOUR)
        # A request in the background waits for its turn by the system's clock.
        await hass.async_block_till_done(wait_background_tasks=True)
    return home


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of what was missed, but for details."""
    return [
        record.getMessage()
        for record in caplog.records
        if "missed" in record.getMessage() and record.levelno >= logging.INFO
    ]


@GENERATION1
async def test_gap_is_filled_by_the_next_attempt_after_an_answer_that_makes_no_sense(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "custom_components.mtec")
    home = await heal_from(move_in, hass, simulator, 3, "malformed", "queryStationCurve", 1)
    curves = [call.field("date", str) for call in simulator.requests if call.path.endswith("StationCurve")]
    assert curves == ["2026-06-15", "2026-06-15", "2026-06-16"]
    await home.check_days(date(2026, 6, 16), date(2026, 6, 16))
    assert "cannot be filled in yet: The portal's answer is not JSON" in caplog.text
    assert len(said(caplog)) == 1


@GENERATION1
async def test_gap_is_filled_by_usual_hours_if_the_curve_never_makes_sense(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "custom_components.mtec")
    home = await heal_from(move_in, hass, simulator, 6, "malformed", "queryStationCurve", 100)
    await home.check_days(date(2026, 6, 16), date(2026, 6, 16))
    assert len(said(caplog)) == 1


@GENERATION1
async def test_portal_that_never_answers_is_left_alone_and_that_is_said(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Six attempts in some eleven hours, and not one more."""
    caplog.set_level("INFO", "custom_components.mtec")
    home = await move_in(at=datetime(2026, 4, 29, 16, 22, tzinfo=UTC))
    await home.live_until(datetime(2026, 4, 29, 18, 10, tzinfo=UTC))
    simulator.faults.add("malformed", matching="2026-04")
    await away(hass, home, datetime(2026, 6, 10, 4, 10, tzinfo=UTC))
    requests = []
    for hour in range(5, 22):
        await home.poll(datetime(2026, 6, 10, hour - 1, 28, tzinfo=UTC))
        await home.live_until(datetime(2026, 6, 10, hour, 10, tzinfo=UTC))
        await hass.async_block_till_done(wait_background_tasks=True)
        requests.append(sum("2026-04" in f"{call.query}{call.body}" for call in simulator.requests))
    [text] = said(caplog)
    assert text.startswith("What Home Assistant missed of Haus am See cannot be filled in: ")
    assert requests[-1] - requests[0] == 5


@GENERATION1
async def test_nothing_is_filled_by_itself_if_the_person_does_not_want_it(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator
) -> None:
    home = await move_in()
    hass.config_entries.async_update_entry(home.entry, options={"fill_gaps": False})
    await home.live_until(INSTALLED + timedelta(hours=3))
    await away(hass, home, datetime(2026, 6, 16, 7, 40, tzinfo=UTC))
    asked = len(simulator.requests)
    await home.live_until(datetime(2026, 6, 16, 10, 10, tzinfo=UTC))
    assert not [call for call in simulator.requests[asked:] if call.path.endswith("StationCurve")]
    rows = (await home.rows("hour"))[home.sensor("pv_energy_today")]
    assert max(later["start"] - earlier["start"] for earlier, later in pairwise(rows)) > 3600 * 12


@GENERATION1
async def test_what_a_null_took_is_found_by_the_next_run(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month for which the portal says null to the end is listed, and filled in when the portal knows it again."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    nulls = Nulls(monkeypatch, simulator, "2026-04", 100)
    report = await home.import_history(start="2026-03-30", resolution="days")
    assert report["contradictions"] == ["2026-04"]
    assert report["days_without_data_count"] == 30
    nulls.left = 1
    report = await home.import_history(start="2026-03-30", resolution="days")
    assert nulls.left == 0
    assert (report["contradictions"], report["days"], report["days_without_data"]) == ([], 30, [])
    await home.check_days(date(2026, 3, 30), date(2026, 6, 14))
    assert await home.rises()


@GENERATION1
async def test_day_of_which_more_is_recorded_is_left_alone_and_listed(move_in: MoveIn, hass: HomeAssistant) -> None:
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(hours=3))
    await away(hass, home, datetime(2026, 6, 16, 7, 40, tzinfo=UTC))
    await home.live_until(datetime(2026, 6, 16, 10, 10, tzinfo=UTC))
    sensor = home.sensor("consumption_today")
    begin = INSTALLED.replace(minute=0) + HOUR
    get_instance(hass).async_adjust_statistics(sensor, begin, 500.0, "kWh")
    before = own_rows(await home.rows("hour"))[sensor]
    report = await home.import_history(start="2026-06-15")
    assert report["more_recorded"] == ["2026-06-15"]
    after = own_rows(await home.rows("hour"))[sensor]
    evening = {start for start in after if local_day({"start": start}) == date(2026, 6, 15)}
    assert {start for start in evening if start > begin.timestamp()} <= before.keys()


@GENERATION1
async def test_powers_and_charge_of_the_past(move_in: MoveIn, simulator: PortalSimulator) -> None:
    """Mean, lowest and highest of each hour before the first row, from the curves that the energies are read from."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    asked = len(simulator.requests)
    report = await home.import_history(start="2026-06-13")
    curves = [call for call in simulator.requests[asked:] if call.path.endswith("queryStationCurve")]
    assert len(curves) == 3
    parts = {
        "pv_power": "pv",
        "grid_power": "grid",
        "battery_power": "battery",
        "house_power": "load",
        "battery_state_of_charge": "soc",
    }
    hours = 2 * 24 + 12
    assert report["hours_of_powers"] == len(parts) * hours
    for key, part in parts.items():
        rows = await means(home, key)
        assert len([row for row in rows if row["start"] < INSTALLED.replace(minute=0).timestamp()]) == hours
        for row in rows[:hours]:
            start = dt_util.utc_from_timestamp(row["start"])
            values = [getattr(home.model.power(start + n * FIVE_MINUTES), part) for n in range(12)]
            limit = 0.1 if part == "soc" else 1.0
            assert row["mean"] == pytest.approx(sum(values) / 12, abs=limit), (key, start)
            assert (row["min"], row["max"]) == pytest.approx((min(values), max(values)), abs=limit)
    assert (await home.import_history(start="2026-06-13"))["hours_of_powers"] == 0


@GENERATION1
async def test_refined_in_place(move_in: MoveIn, simulator: PortalSimulator) -> None:
    """Days imported by days get the hours of their curves; days and sums stay, and once is enough."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    await home.import_history(start="2026-06-11", resolution="days")
    days, sums = await home.rows("day"), await home.rows("hour")
    report = await home.import_history(start="2026-06-11", resolution="days", refine=True)
    assert (report["hours"], report["refined_days"]) == (0, 4)
    after = await home.rows("hour")
    for id_, part in home.sensors.items():
        assert [row["change"] for row in (await home.rows("day"))[id_]] == pytest.approx(
            [row["change"] for row in days[id_]], abs=1e-6
        )
        assert after[id_][-1] == sums[id_][-1]
        for row in after[id_]:
            start = dt_util.utc_from_timestamp(row["start"])
            if local_day(row) < date(2026, 6, 15):
                expected = getattr(home.model.energy(start, start + HOUR), part)
                assert row["change"] == pytest.approx(expected, abs=0.06), (id_, start)
    assert await home.rises()
    asked = len(simulator.requests)
    assert (await home.import_history(start="2026-06-11", resolution="days", refine=True))["refined_days"] == 0
    assert not [call for call in simulator.requests[asked:] if call.path.endswith("queryStationCurve")]


@GENERATION1
@pytest.mark.parametrize("later", [{"resolution": "hours"}, {"resolution": "days", "refine": True}], ids=str)
async def test_powers_of_days_that_were_imported_by_days_come_with_their_refinement(
    move_in: MoveIn, monkeypatch: pytest.MonkeyPatch, later: dict[str, Any]
) -> None:
    """An import by days reads no curve. Later the curves are read, in portions, and no hour is left out."""
    monkeypatch.setattr(refining, "LONGEST_STEP", 2)
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    assert (await home.import_history(start="2026-06-11", resolution="days"))["hours_of_powers"] == 0
    report = await home.import_history(**{"start": "2026-06-11", "refine": True} | later)
    hours = 4 * 24
    assert (report["refined_days"], report["hours_of_powers"]) == (4, 5 * hours)
    for key in ("pv_power", "battery_state_of_charge"):
        rows = await means(home, key)
        assert [row["start"] for row in rows[: hours + 1]] == sorted(row["start"] for row in rows[: hours + 1])
        assert len(rows) >= hours
        first = dt_util.utc_from_timestamp(rows[0]["start"])
        assert first == datetime(2026, 6, 10, 22, tzinfo=UTC)
    noon = datetime(2026, 6, 12, 10, tzinfo=UTC)
    [row] = [row for row in await means(home, "pv_power") if row["start"] == noon.timestamp()]
    values = [home.model.power(noon + number * FIVE_MINUTES).pv for number in range(12)]
    assert row["mean"] == pytest.approx(sum(values) / 12, abs=1.0)


@GENERATION1
async def test_refinement_is_offered_in_the_dialog(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator
) -> None:
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    await home.import_history(start="2026-06-11", resolution="days")
    asked = len(simulator.requests)
    for refine, curves in ((False, 0), (True, 4)):
        flow = await open_import(hass, home)
        assert "refine" in flow["data_schema"].schema
        chosen = {"resolution": "days", "start": "2026-06-11", "refine": refine}
        await hass.config_entries.options.async_configure(flow["flow_id"], chosen)
        await finished(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
        ended = cast("Any", await hass.config_entries.options.async_configure(flow["flow_id"]))
        assert ended["reason"] == ("history_imported" if refine else "history_complete")
        read = [call for call in simulator.requests[asked:] if call.path.endswith("queryStationCurve")]
        assert len(read) == curves


@GENERATION1
async def test_stopped_between_rows_in_between_and_their_rise(move_in: MoveIn, hass: HomeAssistant) -> None:
    """A crash after the hours of a gap were written and before the sums were raised: the next run raises them."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(hours=3))
    await away(hass, home, datetime(2026, 6, 16, 7, 40, tzinfo=UTC))
    await home.live_until(datetime(2026, 6, 16, 10, 10, tzinfo=UTC))
    await home.import_history(start="2026-06-15")
    whole = await home.rows("hour")
    sensor = home.sensor("consumption_today")
    night = datetime(2026, 6, 15, 15, tzinfo=UTC)
    get_instance(hass).async_adjust_statistics(sensor, night, -5.0, "kWh")
    broken = (await home.rows("hour"))[sensor]
    assert any(row["change"] < -1 for row in broken[1:])
    await restart(hass, home)
    await home.import_history(start="2026-06-15")
    assert [row["sum"] for row in (await home.rows("hour"))[sensor]] == pytest.approx(
        [row["sum"] for row in whole[sensor]], abs=1e-6
    )


@GENERATION1
async def test_another_station_can_be_begun_meanwhile(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator, set_up: Any
) -> None:
    entry = await set_up()
    home = Home(hass, None, simulator, entry, HOUSE, INSTALLED)  # type: ignore[arg-type]
    options = hass.config_entries.options
    flow = await open_import(hass, home)
    flow = await options.async_configure(flow["flow_id"], {"stations": [HOUSE.station_id], "resolution": "days"})
    options.async_abort(flow["flow_id"])
    flow = await open_import(hass, home)
    assert flow["menu_options"] == ["import_watch", "import_stop", "import_another"]
    flow = cast("Any", await options.async_configure(flow["flow_id"], {"next_step_id": "import_another"}))
    assert flow["step_id"] == "import_history"
    [field] = [key for key in flow["data_schema"].schema if key == "stations"]
    others = field.default()
    assert len(others) == 2 and HOUSE.station_id not in others
    flow = await options.async_configure(flow["flow_id"], {"stations": others[:1], "resolution": "days"})
    assert async_import_manager(hass).running.keys() == {HOUSE.station_id, others[0]}
    options.async_abort(flow["flow_id"])
    for station_id in list(async_import_manager(hass).running):
        await async_import_manager(hass).async_stop(station_id)


@dataclass(slots=True)
class _Watched(Progress):
    """A progress during which something happens once."""

    happens: Callable[[Progress], bool] = lambda _: False
    then: Callable[[], None] = lambda: None
    has_happened: bool = False

    @override
    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name in {"phase", "done"} and hasattr(self, "has_happened") and not self.has_happened and self.happens(self):
            self.has_happened = True
            self.then()


@GENERATION1
@pytest.mark.parametrize("answers", [0, 2], ids=["before the first day", "among the days"])
async def test_all_statistics_are_deleted_while_history_is_imported(
    move_in: MoveIn, hass: HomeAssistant, answers: int
) -> None:
    """There is nothing to add to then, and nothing fails."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    ids = list(home.sensors)
    # The lifetime, the year and the month are read before.
    progress = _Watched(
        happens=lambda now: now.phase is Phase.IMPORTING and now.done >= 3 + answers,
        then=lambda: get_instance(hass).async_clear_statistics(ids),
    )
    source = home.entry.runtime_data.history_source
    work = HistoryImport(
        hass=hass,
        source=source,
        station_id=HOUSE.station_id,
        start=date(2026, 6, 10),
        resolution=Resolution.HOURS,
        progress=progress,
    )
    if answers:
        report = await work.async_run()
        assert report.hours == 0
    else:
        with pytest.raises(NothingRecordedError):
            await work.async_run()
    assert progress.has_happened
    assert not any((await home.rows("hour", *ids)).values())


def test_estimate_falls_and_all_is_shown_at_the_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("custom_components.mtec.history.report.monotonic", lambda: now[0])
    progress = Progress(planned=3)
    progress.start()
    for _ in range(2):
        shown = []
        for _ in range(4):
            now[0] += 1
            shown.append(progress.seconds_left)
        assert shown == sorted(shown, reverse=True)
        progress.answered()
    before = progress.seconds_left
    progress.waited(300)
    now[0] += 300
    assert progress.seconds_left == before
    progress.answered()
    assert progress.fraction == 0.99
    progress.has_ended = True
    assert progress.fraction == 1.0
