"""The import of a plant's past into Home Assistant's long-term statistics, with a real recorder on SQLite."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, product
from time import sleep
from typing import Any, cast
from zoneinfo import ZoneInfo

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.energy.data import EnergyPreferencesUpdate, async_get_manager
from homeassistant.components.recorder import Recorder, get_instance
from homeassistant.components.recorder.tasks import AdjustStatisticsTask, ImportStatisticsTask
from homeassistant.config_entries import SOURCE_USER, FlowType
from homeassistant.core import HomeAssistant, callback
from homeassistant.data_entry_flow import EVENT_DATA_ENTRY_FLOW_PROGRESS_UPDATE, FlowResultType
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done

from custom_components.mtec import home_assistant_internals as internals
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.energies import ENERGIES, Energy
from custom_components.mtec.history import importer
from custom_components.mtec.history.hours import distribute_over_hours, hours_of_day
from custom_components.mtec.history.importer import Resolution
from custom_components.mtec.history.manager import async_import_manager
from custom_components.mtec.history.report import Phase
from custom_components.mtec.history.statistics import PastHour, Series, async_series
from custom_components.mtec.home_assistant_internals import Row
from tests.conftest import FAMILY, GENERATION1, GENERATION2
from tests.energies import ENERGIES_TODAY
from tests.past import (
    BARN_OWNER,
    DAY,
    FARMER,
    FIVE_MINUTES,
    HOUR,
    INSTALLED,
    ROUNDING,
    Home,
    MoveIn,
    _fast,
    _quick_database,
    _ready,
    begins_day,
    by_day,
    each_day,
    finished,
    local_day,
    move_in,
    open_import,
    restart,
    until,
)
from tests.portal_simulator import BARN, FARM, HOUSE, PortalSimulator, plant_of

__all__ = ["_fast", "_quick_database", "_ready", "move_in"]
"""Fixtures of this module."""


@GENERATION1
async def test_whole_life_by_hours(move_in: MoveIn) -> None:
    """Every day, month and year of every sensor is the model's, and the hours are close to it; twice is once."""
    installed = datetime(2023, 6, 3, 10, 22, 30, tzinfo=UTC)
    home = await move_in(at=installed)
    assert len(home.sensors) == 6
    await home.live_until(installed + timedelta(minutes=10), FIVE_MINUTES)
    report = await home.import_history()
    assert report["first"] == HOUSE.installed.isoformat()
    assert report["last"] == installed.date().isoformat()
    assert report["days"] == (installed.date() - HOUSE.installed).days + 1
    assert report["requests"] == report["days"] + 3 + 2  # days, months, year and lifetime
    assert report["days_without_data_count"] == 0
    await home.live_until(datetime(2023, 6, 4, 22, 0, tzinfo=UTC))
    await home.check_days(HOUSE.installed, date(2023, 6, 4))
    assert await home.rises()

    model, rows = home.model, await home.rows("hour")
    for sensor, part in home.sensors.items():
        for row in rows[sensor]:
            start = dt_util.utc_from_timestamp(row["start"])
            if start < datetime(2023, 6, 3, 8, tzinfo=UTC):
                expected = getattr(model.energy(start, start + HOUR), part)
                assert row["change"] == pytest.approx(expected, abs=0.06), (sensor, start)
    starts = [HOUSE.installed, *(date(2023, month, 1) for month in range(5, 8))]
    for by_period, bounds in (
        (await home.rows("month"), starts),
        (await home.rows("year"), [starts[0], starts[-1]]),
    ):
        for sensor, part in home.sensors.items():
            for row, (first, last) in zip(by_period[sensor], pairwise(bounds), strict=True):
                end = min(last, date(2023, 6, 5))
                expected = getattr(model.energy(model.day_start(first), model.day_start(end)), part)
                days = (end - first).days
                assert row["change"] == pytest.approx(expected, abs=ROUNDING * days + 0.1), (sensor, first)

    before = await home.rows("hour")
    again = await home.import_history()
    assert again["days"] == again["hours"] == 0
    assert again["requests"] <= 3
    assert await home.rows("hour") == before


@GENERATION1
async def test_whole_life_by_days(move_in: MoveIn) -> None:
    """A request a month; a plant without battery and meter has but one sensor."""
    installed = datetime(2024, 4, 15, 10, 22, 30, tzinfo=UTC)
    home = await move_in(BARN_OWNER, at=installed)
    assert list(home.sensors) == [home.sensor("pv_energy_today")]
    await home.live_until(installed + HOUR)
    report = await home.import_history(resolution="days")
    assert report["requests"] == 8 + 2  # months, year and lifetime
    await home.live_until(datetime(2024, 4, 15, 23, 0, tzinfo=UTC))
    await home.check_days(BARN.installed, date(2024, 4, 15))
    assert await home.rises()
    rows = (await home.rows("hour"))[home.sensor("pv_energy_today")]
    spring = [row for row in rows if local_day(row) == date(2024, 3, 31)]
    assert len(spring) == 23
    lit = [row["change"] for row in spring if row["change"]]
    assert len(lit) == 12 and max(lit) - min(lit) < 0.002


@GENERATION2
@pytest.mark.parametrize(("clocks_change", "hours"), [(date(2023, 10, 29), 25), (date(2024, 3, 31), 23)])
async def test_day_on_which_the_clocks_change(move_in: MoveIn, clocks_change: date, hours: int) -> None:
    installed = datetime(clocks_change.year, clocks_change.month, clocks_change.day, 10, 2, 30, tzinfo=UTC) + DAY
    home = await move_in(at=installed)
    await home.live_until(installed + timedelta(minutes=10), FIVE_MINUTES)
    asked = len(home.simulator.requests)
    await home.import_history(start=(clocks_change - DAY).isoformat())
    months = [call for call in home.simulator.requests[asked:] if call.query.get("durationType") == "2"]
    assert len(months) == len({day.month for day in each_day(clocks_change - DAY, installed.date())})
    await home.check_days(clocks_change - DAY, clocks_change)
    rows = await home.rows("hour")
    for sensor, part in home.sensors.items():
        of_day = [row for row in rows[sensor] if local_day(row) == clocks_change]
        assert len(of_day) == hours
        for row in of_day:
            start = dt_util.utc_from_timestamp(row["start"])
            expected = getattr(home.model.energy(start, start + HOUR), part)
            assert row["change"] == pytest.approx(expected, abs=0.06), (sensor, start)
    assert await home.rises()


@GENERATION2
@pytest.mark.parametrize("resolution", ["hours", "days"])
async def test_consumption_that_was_not_recorded_is_not_zero(move_in: MoveIn, resolution: str) -> None:
    """The portal knows of no consumption before 2023-03-07."""
    installed = datetime(2023, 3, 20, 10, 22, 30, tzinfo=UTC)
    home = await move_in(FARMER, at=installed)
    await home.live_until(installed + timedelta(minutes=10), FIVE_MINUTES)
    await home.import_history(resolution=resolution)
    rows = await home.rows("hour")
    assert {sensor: local_day(rows[sensor][0]) for sensor in home.sensors} == {
        sensor: date(2023, 3, 7) if sensor.endswith("consumption_today") else FARM.installed for sensor in home.sensors
    }
    others = {sensor: part for sensor, part in home.sensors.items() if part != "consumption"}
    await home.check_days(FARM.installed, date(2023, 3, 19), others)
    await home.check_days(date(2023, 3, 8), date(2023, 3, 19))
    assert await home.rises()


@GENERATION1
async def test_import_before_the_first_own_row(move_in: MoveIn, hass: HomeAssistant) -> None:
    """It waits for Home Assistant to begin the statistics, and the installation day has no jump."""
    home = await move_in()
    station = home.entry.runtime_data.stations[HOUSE.station_id]
    running = await async_import_manager(hass).async_start(home.entry, station, date(2026, 6, 13), Resolution.HOURS)
    await until(lambda: running.work.progress.phase is Phase.WAITING)
    assert running.work.progress.done == 3
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    await asyncio.wait([running.task])
    await home.live_until(INSTALLED + 2 * HOUR, FIVE_MINUTES)
    await home.live_until(datetime(2026, 6, 16, 23, 0, tzinfo=UTC))
    await home.check_days(date(2026, 6, 13), date(2026, 6, 16))
    assert await home.rises()
    rows = await home.rows("hour")
    for sensor, part in home.sensors.items():
        for row in rows[sensor]:
            if local_day(row) == date(2026, 6, 15):
                start = dt_util.utc_from_timestamp(row["start"])
                expected = getattr(home.model.energy(start, start + HOUR), part)
                # Polls in the middle of five minutes do not end with the hour.
                assert row["change"] == pytest.approx(expected, abs=0.35), (sensor, start)


@GENERATION1
async def test_import_begun_before_the_first_poll_is_over_has_all_sensors(move_in: MoveIn, hass: HomeAssistant) -> None:
    """As a person or a script does at once after the set-up, when no sensor is there yet."""
    home = await move_in()
    await hass.config_entries.async_unload(home.entry.entry_id)
    registry = er.async_get(hass)
    for entity in er.async_entries_for_config_entry(registry, home.entry.entry_id):
        registry.async_remove(entity.entity_id)
    await hass.config_entries.async_setup(home.entry.entry_id)
    assert not er.async_entries_for_config_entry(registry, home.entry.entry_id)
    station = home.entry.runtime_data.stations[HOUSE.station_id]
    running = await async_import_manager(hass).async_start(home.entry, station, date(2026, 6, 13), Resolution.HOURS)
    await until(lambda: running.work.progress.phase is Phase.WAITING)
    assert len(home.sensors) == 6
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    await asyncio.wait([running.task])
    assert running.task.result().energy.keys() == ENERGIES_TODAY.keys()
    assert running.task.result().not_recorded == []


@GENERATION1
async def test_what_was_recorded_is_only_raised(move_in: MoveIn) -> None:
    """An import days after the installation: each own row keeps its state and change, all sums rise by the same."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(days=2))
    before, short_before = await home.rows("hour"), await home.rows("5minute")
    await home.import_history(start="2026-06-10")
    after, short_after = await home.rows("hour"), await home.rows("5minute")
    for sensor in home.sensors:
        own = after[sensor][-len(before[sensor]) :]
        raised = own[0]["sum"] - before[sensor][0]["sum"]
        assert raised >= 0
        for old, new in zip(before[sensor], own, strict=True):
            assert new["state"] == old["state"] and new["start"] == old["start"]
            assert new["last_reset"] == old["last_reset"]
            assert new["sum"] - old["sum"] == pytest.approx(raised)
        for old, new in zip(short_before[sensor], short_after[sensor], strict=True):
            assert new["sum"] - old["sum"] == pytest.approx(raised)
    await home.check_days(date(2026, 6, 10), date(2026, 6, 16))
    await home.live_until(datetime(2026, 6, 17, 23, 0, tzinfo=UTC))
    await home.check_days(date(2026, 6, 10), date(2026, 6, 17))
    assert await home.rises()


@GENERATION1
@pytest.mark.parametrize(("hour", "minute"), [(21, 2), (21, 57), (22, 2), (22, 57), (4, 22)])
async def test_installed_around_midnight(move_in: MoveIn, hour: int, minute: int) -> None:
    """The first own row is the first of a day, the last, or one in the night."""
    installed = datetime(2026, 6, 15, hour, minute, 30, tzinfo=UTC)
    home = await move_in(at=installed)
    await home.live_until(installed + timedelta(minutes=10), FIVE_MINUTES)
    await home.import_history(start="2026-06-14")
    await home.live_until(datetime(2026, 6, 16, 23, 0, tzinfo=UTC))
    await home.check_days(date(2026, 6, 14), date(2026, 6, 16))
    assert await home.rises()


@GENERATION1
async def test_a_longer_range_later(move_in: MoveIn) -> None:
    home = await move_in()
    await home.live_until(INSTALLED + 2 * HOUR)
    first = await home.import_history(start="2026-06-14", resolution="days")
    assert first["days"] == 2
    changes = {id_: [row["change"] for row in rows] for id_, rows in (await home.rows("hour")).items()}
    second = await home.import_history(start="2026-05-30")
    assert (second["first"], second["last"]) == ("2026-05-30", "2026-06-13")
    await home.check_days(date(2026, 5, 30), date(2026, 6, 14))
    after = await home.rows("hour")
    for sensor, old in changes.items():
        assert [row["change"] for row in after[sensor]][-len(old) :] == pytest.approx(old)
    assert await home.rises()
    shorter = await home.import_history(start="2026-06-10")
    assert shorter["hours"] == 0
    assert await home.rows("hour") == after


class Crash:
    """Loses what the recorder is told, from the import or adjustment number `survived` + 1 on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, survived: int) -> None:
        self.happened = asyncio.Event()
        self._monkeypatch = monkeypatch
        self._left = survived
        queue = Recorder.queue_task

        def lossy(recorder: Recorder, task: Any) -> None:
            if isinstance(task, ImportStatisticsTask | AdjustStatisticsTask):
                self._left -= 1
                if self._left < 0:
                    self.happened.set()
            if not self.happened.is_set() or not isinstance(task, ImportStatisticsTask | AdjustStatisticsTask):
                queue(recorder, task)

        monkeypatch.setattr(Recorder, "queue_task", lossy)


@GENERATION1
@pytest.mark.parametrize("survived", [0, 1, 2, 3, 10, 17])
async def test_crash_between_any_two_steps(
    move_in: MoveIn,
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    survived: int,
) -> None:
    """Home Assistant ends after any step: between the rows and their rise, between sensors, between days."""
    monkeypatch.setitem(importer._DAYS_AT_ONCE, Resolution.HOURS, 2)
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    station = home.entry.runtime_data.stations[HOUSE.station_id]
    with monkeypatch.context() as patch:
        crash = Crash(patch, survived)
        running = await async_import_manager(hass).async_start(home.entry, station, date(2026, 6, 12), Resolution.HOURS)
        happened = hass.async_create_task(crash.happened.wait())
        await asyncio.wait([happened, running.task], return_when=asyncio.FIRST_COMPLETED)
        assert happened.done()
        running.task.cancel()
        await asyncio.wait([running.task])
        await hass.async_block_till_done()
        await async_wait_recording_done(hass)
    assert hass_storage["mtec.history"]["data"]
    await restart(hass, home)
    await finished(hass)
    assert not hass_storage["mtec.history"]["data"]
    await home.live_until(datetime(2026, 6, 15, 23, 0, tzinfo=UTC))
    await home.check_days(date(2026, 6, 12), date(2026, 6, 15))
    assert await home.rises()
    assert {sensor: local_day(rows[0]) for sensor, rows in (await home.rows("hour")).items()} == dict.fromkeys(
        home.sensors, date(2026, 6, 12)
    )


@GENERATION1
@pytest.mark.parametrize("request_number", [1, 3, 4, 6])
async def test_goes_on_after_a_restart(
    move_in: MoveIn,
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    simulator: PortalSimulator,
    request_number: int,
) -> None:
    """The account is unloaded while a request is on its way; what is there is not asked for again."""
    monkeypatch.setitem(importer._DAYS_AT_ONCE, Resolution.HOURS, 2)
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    station = home.entry.runtime_data.stations[HOUSE.station_id]
    asked = len(simulator.requests)
    running = await async_import_manager(hass).async_start(home.entry, station, date(2026, 6, 10), Resolution.HOURS)
    await until(lambda: len(simulator.requests) >= asked + request_number)
    await hass.config_entries.async_unload(home.entry.entry_id)
    assert running.task.cancelled()
    assert hass_storage["mtec.history"]["data"]
    rows = await home.rows("hour")
    there = set.intersection(
        *({local_day(row) for row in rows.get(id_, ()) if begins_day(row)} for id_ in home.sensors)
    )
    asked = len(simulator.requests)
    await restart(hass, home)
    await finished(hass)
    await home.live_until(datetime(2026, 6, 15, 23, 0, tzinfo=UTC))
    await home.check_days(date(2026, 6, 10), date(2026, 6, 15))
    assert await home.rises()
    curves = [call for call in simulator.requests[asked:] if call.path.endswith("queryStationCurve")]
    lacking = {day.isoformat() for day in each_day(date(2026, 6, 10), date(2026, 6, 15)) if day not in there}
    assert {call.field("date", str) for call in curves} == lacking
    assert len(curves) == len(lacking)


@GENERATION1
async def test_stopped_for_good(move_in: MoveIn, hass: HomeAssistant, hass_storage: dict[str, Any]) -> None:
    """What was imported stays and is right; begun again it goes on from there."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    action = hass.async_create_task(home.import_history(start="2026-04-01"))
    await until(lambda: any(each.work.report.energy for each in async_import_manager(hass).running.values()))
    with pytest.raises(HomeAssistantError, match="already"):
        await home.import_history()
    await async_import_manager(hass).async_stop(HOUSE.station_id)
    with pytest.raises(HomeAssistantError, match="stopped"):
        await action
    assert not hass_storage["mtec.history"]["data"]
    assert await home.rises()
    await restart(hass, home)
    assert not async_import_manager(hass).running
    await home.import_history(start="2026-04-01")
    await home.check_days(date(2026, 4, 1), date(2026, 6, 14))
    assert await home.rises()


@GENERATION1
async def test_first_row_in_the_middle_of_a_day_is_left_alone(
    move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator
) -> None:
    """Only a first row that begins a day has its state for a sum: an import that puts nothing before raises nothing."""
    home = await move_in()
    await home.live_until(INSTALLED + 2 * HOUR)
    before = await home.rows("hour")
    assert any(rows[0]["sum"] < rows[0]["state"] - 1 for rows in before.values())
    simulator._busy.add("127.0.0.1")
    with pytest.raises(HomeAssistantError, match="busy"):
        await home.import_history()
    assert await home.rows("hour") == before


@GENERATION1
async def test_stopped_between_rows_and_their_rise(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being written when an import is stopped for good is written to its end: no sum stays below zero."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    stopping: list[asyncio.Task[None]] = []
    queue = Recorder.queue_task

    def stop(recorder: Recorder, task: Any) -> None:
        queue(recorder, task)
        if isinstance(task, ImportStatisticsTask) and task.metadata["has_sum"] and not stopping:
            stopping.append(
                hass.async_create_task(async_import_manager(hass).async_stop(HOUSE.station_id), eager_start=False)
            )

    monkeypatch.setattr(Recorder, "queue_task", stop)
    with pytest.raises(HomeAssistantError, match="stopped"):
        await home.import_history(start="2026-06-13")
    await asyncio.wait(stopping)
    await hass.async_block_till_done()
    imported = [rows for rows in (await home.rows("hour")).values() if begins_day(rows[0])]
    assert len(imported) == 1  # It was stopped at the first sensor.
    for rows in imported:
        assert rows[0]["sum"] == pytest.approx(rows[0]["state"], abs=1e-6)
        assert all(after["sum"] - before["sum"] > -1e-6 for before, after in pairwise(rows))


class SlowRecorder:
    """Takes a second before the first adjustment and what comes after it, so that others come in between who may."""

    def __init__(self, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> None:
        self._held: list[Any] | None = None
        self._queue = Recorder.queue_task

        def hold(recorder: Recorder, task: Any) -> None:
            if self._held is None and isinstance(task, AdjustStatisticsTask):
                self._held = []
                hass.async_create_task(self._release(recorder), eager_start=False)
            if self._held is None:
                self._queue(recorder, task)
            else:
                self._held.append(task)

        monkeypatch.setattr(Recorder, "queue_task", hold)

    async def _release(self, recorder: Recorder) -> None:
        await asyncio.to_thread(sleep, 1)
        while self._held:
            self._queue(recorder, self._held.pop(0))
        # From here on all goes as it comes, but for the next adjustment.
        self._held = None


async def writing(home: Home, series: Series) -> tuple[Row, list[PastHour]]:
    """Return the first row of a sensor, and the hours of the day before it."""
    day = INSTALLED.date() - DAY
    begin = home.model.day_start(day)
    first = await series.async_first()
    assert first is not None
    hours = distribute_over_hours(energy_of("pv_energy_today"), 7.77, day, HOUSE.zone)
    return first, [PastHour(hour.start, hour.total, hour.energy, begin) for hour in hours]


@GENERATION1
async def test_one_writes_into_the_statistics_at_a_time(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks, or settles, while hours are put before a sensor's first row, finds them with sums that rise."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    sensor = home.sensor("pv_energy_today")
    [series] = (await async_series(hass, {sensor})).values()
    first, hours = await writing(home, series)
    SlowRecorder(hass, monkeypatch)
    _, seen, _, _ = await asyncio.gather(
        series.async_prepend(first, hours, first.state),
        series.async_first(),
        series.async_rebase_sums(),
        series.async_rebase_sums(),
    )
    assert seen is not None and seen.start == hours[0].start
    assert seen.sum == pytest.approx(seen.state, abs=1e-6)
    rows = (await home.rows("hour"))[sensor]
    assert rows[0]["sum"] == pytest.approx(hours[0].state, abs=1e-6)
    assert rows[len(hours) - 1]["sum"] == pytest.approx(7.77, abs=1e-6)


@GENERATION1
async def test_an_import_writes_portions_and_raises_them_once(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By days, each hour of a sensor is written once, in portions that begin a day, and all sums are raised once."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    told: list[Any] = []
    queue = Recorder.queue_task

    def watched(recorder: Recorder, task: Any) -> None:
        told.append(task)
        queue(recorder, task)

    monkeypatch.setattr(Recorder, "queue_task", watched)
    await home.import_history(start="2026-04-01", resolution="days")
    for sensor in home.sensors:
        portions = [
            list(task.statistics)
            for task in told
            if isinstance(task, ImportStatisticsTask) and task.metadata["statistic_id"] == sensor
        ]
        starts = [row["start"] for rows in portions for row in rows]
        assert len(set(starts)) == len(starts) > 70 * 24
        assert all(0 < len(rows) <= 11 * 24 for rows in portions)
        assert all(rows[0]["start"] == rows[0]["last_reset"] for rows in portions)
        raised = [task for task in told if isinstance(task, AdjustStatisticsTask) and task.statistic_id == sensor]
        assert len(raised) == 1
    assert await home.rises()


@GENERATION1
async def test_two_who_find_sums_not_raised_raise_them_once(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    sensor = home.sensor("pv_energy_today")
    [series] = (await async_series(hass, {sensor})).values()
    first, hours = await writing(home, series)
    with monkeypatch.context() as patch:
        crash = Crash(patch, 1)
        await series.async_prepend(first, hours, first.state)
        assert crash.happened.is_set()
    assert (await home.rows("hour"))[sensor][0]["sum"] < -1
    SlowRecorder(hass, monkeypatch)
    await asyncio.gather(series.async_rebase_sums(), series.async_rebase_sums())
    rows = (await home.rows("hour"))[sensor]
    assert rows[0]["sum"] == pytest.approx(rows[0]["state"], abs=1e-6)


@GENERATION1
async def test_costs(move_in: MoveIn, hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    """The years before have costs at the price that is set in the Energy dashboard."""
    home = await move_in()
    assert await async_setup_component(hass, "energy", {})
    await hass.async_block_till_done()
    manager = await async_get_manager(hass)
    bought, sold = home.sensor("grid_import_today"), home.sensor("grid_export_today")
    grid: Any = {
        "type": "grid",
        "stat_energy_from": bought,
        "stat_energy_to": sold,
        "stat_cost": None,
        "entity_energy_price": None,
        "number_energy_price": 0.32,
        "stat_compensation": None,
        "entity_energy_price_export": None,
        "number_energy_price_export": 0.08,
        "cost_adjustment_day": 0,
    }
    await manager.async_update(cast("EnergyPreferencesUpdate", {"energy_sources": [grid]}))
    await hass.async_block_till_done()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    first = await home.import_history(start="2026-06-11")
    prices = {f"{bought}_cost": (bought, 0.32), f"{sold}_compensation": (sold, 0.08)}
    assert first["costs"].keys() == prices.keys()
    await home.import_history(start="2026-06-01")
    await home.live_until(datetime(2026, 6, 16, 23, 0, tzinfo=UTC))

    energies, costs = await home.rows("day"), await home.rows("day", *prices)
    for id_, (energy, price) in prices.items():
        assert len(costs[id_]) == 17
        for kwh, money in zip(by_day(energies[energy]).values(), by_day(costs[id_]).values(), strict=True):
            assert money == pytest.approx(kwh * price, abs=1e-6)
    again = await home.import_history(start="2026-06-01")
    assert again["costs"] == {}
    assert await home.rows("day", *prices) == costs


@GENERATION1
@pytest.mark.parametrize("gone", ["async_get_manager", "cost_sensors"])
async def test_costs_are_not_supported(
    move_in: MoveIn, hass: HomeAssistant, hass_storage: dict[str, Any], monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """Without the names that costs need the energies are imported all the same, and the error says so."""
    home = await move_in()
    assert await async_setup_component(hass, "energy", {})
    grid: Any = {
        "type": "grid",
        "stat_energy_from": home.sensor("grid_import_today"),
        "stat_energy_to": None,
        "stat_cost": None,
        "entity_energy_price": None,
        "number_energy_price": 0.32,
        "stat_compensation": None,
        "entity_energy_price_export": None,
        "number_energy_price_export": None,
        "cost_adjustment_day": 0,
    }
    await (await async_get_manager(hass)).async_update(cast("EnergyPreferencesUpdate", {"energy_sources": [grid]}))
    await hass.async_block_till_done()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    with monkeypatch.context() as patch:
        if gone == "cost_sensors":
            patch.delitem(hass.data["energy"], gone)
        else:
            # As the module notes it; that it does, the tests of that module show.
            patch.setitem(internals._LACKING, internals.Feature.COSTS, f"cannot import name {gone!r}")
        with pytest.raises(HomeAssistantError, match=r"fills in the costs with. The energies are imported\.") as raised:
            await home.import_history(start="2026-06-11")
    assert raised.value.translation_key == "costs_not_supported"
    await home.check_days(date(2026, 6, 11), date(2026, 6, 14))
    assert await home.rises()
    await finished(hass)
    assert not hass_storage["mtec.history"]["data"]  # Nothing to try again at each start.


@GENERATION1
async def test_price_set_after_the_import(move_in: MoveIn, hass: HomeAssistant) -> None:
    """Running the import again fills in the costs, also those of days that Home Assistant has recorded itself."""
    home = await move_in()
    assert await async_setup_component(hass, "energy", {})
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    await home.import_history(start="2026-06-11")
    await home.live_until(INSTALLED + timedelta(days=2))
    bought = home.sensor("grid_import_today")
    grid: Any = {
        "type": "grid",
        "stat_energy_from": bought,
        "stat_energy_to": None,
        "stat_cost": None,
        "entity_energy_price": None,
        "number_energy_price": 0.32,
        "stat_compensation": None,
        "entity_energy_price_export": None,
        "number_energy_price_export": None,
        "cost_adjustment_day": 0,
    }
    await (await async_get_manager(hass)).async_update(cast("EnergyPreferencesUpdate", {"energy_sources": [grid]}))
    await hass.async_block_till_done()
    await home.live_until(INSTALLED + timedelta(days=2, minutes=20), FIVE_MINUTES)
    report = await home.import_history(start="2026-06-11")
    assert report["hours"] == 0 and report["costs"]
    await home.live_until(datetime(2026, 6, 18, 22, 0, tzinfo=UTC))
    energies, costs = await home.days(bought), await home.days(f"{bought}_cost")
    assert costs.keys() == energies.keys()
    for day, kwh in energies.items():
        assert costs[day] == pytest.approx(kwh * 0.32, abs=1e-6), day


@GENERATION1
async def test_unit_that_the_person_has_chosen(move_in: MoveIn, hass: HomeAssistant) -> None:
    """Statistics begun in another unit go on in that one."""
    home = await move_in()
    sensor = home.sensor("pv_energy_today")
    er.async_get(hass).async_update_entity_options(sensor, "sensor", {"unit_of_measurement": "Wh"})
    await hass.async_block_till_done()
    await home.poll(INSTALLED + timedelta(seconds=70))
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    await home.import_history(start="2026-06-13")
    days = await home.days(sensor)
    for day in each_day(date(2026, 6, 13), date(2026, 6, 14)):
        assert days[day] == pytest.approx(home.model.day(day).pv * 1000, abs=ROUNDING * 1000)


@GENERATION1
async def test_nothing_is_recorded(move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> None:
    home = await move_in()
    monkeypatch.setattr(importer, "LONGEST_WAIT", 0)
    with pytest.raises(HomeAssistantError, match="records none"):
        await home.import_history(start="2026-06-13")
    with pytest.raises(ServiceValidationError, match="future"):
        await home.import_history(start="2026-06-16")


@GENERATION1
async def test_midnight_passes_while_it_waits(move_in: MoveIn, hass: HomeAssistant) -> None:
    """What was read of a day that was not over then is read again."""
    installed = datetime(2026, 6, 15, 21, 56, 30, tzinfo=UTC)
    home = await move_in(at=installed)
    station = home.entry.runtime_data.stations[HOUSE.station_id]
    running = await async_import_manager(hass).async_start(home.entry, station, date(2026, 6, 14), Resolution.HOURS)
    await until(lambda: running.work.progress.phase is Phase.WAITING)
    # The sensors are of the next day when they get their first row.
    await home.poll(datetime(2026, 6, 15, 22, 2, 30, tzinfo=UTC))
    await home.live_until(datetime(2026, 6, 15, 22, 10, tzinfo=UTC), FIVE_MINUTES)
    await asyncio.wait([running.task])
    await home.live_until(datetime(2026, 6, 16, 23, 0, tzinfo=UTC))
    await home.check_days(date(2026, 6, 14), date(2026, 6, 16))
    assert await home.rises()


@GENERATION1
async def test_sensor_that_is_not_recorded(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left alone, and nobody waits for it."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    hidden = home.sensor("consumption_today")
    monkeypatch.setattr(get_instance(hass), "entity_filter", lambda entity_id: entity_id != hidden)
    report = await home.import_history(start="2026-06-14")
    assert report["not_recorded"] == [hidden]
    assert report["energy"].keys() == ENERGIES_TODAY.keys() - {"consumption_today"}


@GENERATION1
async def test_busy_portal(move_in: MoveIn, hass: HomeAssistant, simulator: PortalSimulator) -> None:
    """It waits for a portal that is busy on the way, and tells a person at once if it is so from the beginning."""
    home = await move_in()
    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    simulator._busy.add("127.0.0.1")
    with pytest.raises(HomeAssistantError, match="busy"):
        await home.import_history(start="2026-06-13")
    simulator._busy.clear()
    await finished(hass)
    action = hass.async_create_task(home.import_history(start="2026-06-01"))
    asked = len(simulator.requests)
    await until(lambda: len(simulator.requests) >= asked + 5)
    simulator._busy.add("127.0.0.1")
    await until(lambda: len(simulator.requests) >= asked + 8)
    simulator._busy.clear()
    await action
    await home.check_days(date(2026, 6, 1), date(2026, 6, 14))


# The dialog


@GENERATION1
async def test_offered_after_set_up(hass: HomeAssistant, simulator: PortalSimulator) -> None:
    """The set-up dialog goes on with what can be done next; whoever closes it there has the account all the same."""
    flows = hass.config_entries.flow
    flow = await flows.async_init(DOMAIN, context={"source": SOURCE_USER})
    flow = await flows.async_configure(flow["flow_id"], {"next_step_id": "account"})
    account = {"email": FAMILY, "password": "sunshine", "portal": {"url": simulator.url}}
    flow = await flows.async_configure(flow["flow_id"], account)
    assert flow["type"] is FlowResultType.CREATE_ENTRY
    kind, offer_id = flow["next_flow"]
    assert kind is FlowType.OPTIONS_FLOW
    offer = await hass.config_entries.options.async_configure(offer_id)
    assert offer["step_id"] == "areas"
    offer = await hass.config_entries.options.async_configure(offer_id, {})
    assert offer["step_id"] == "next_steps"
    assert "import_history" in offer["menu_options"]
    hass.config_entries.options.async_abort(offer_id)
    await hass.async_block_till_done()
    assert not async_import_manager(hass).running


@GENERATION1
async def test_dialog_shows_progress_and_result(move_in: MoveIn, hass: HomeAssistant) -> None:
    home = await move_in()
    updates: list[float] = []
    hass.bus.async_listen(
        EVENT_DATA_ENTRY_FLOW_PROGRESS_UPDATE, callback(lambda event: updates.append(event.data["progress"]))
    )
    options = hass.config_entries.options
    flow = await open_import(hass, home)
    assert flow["step_id"] == "import_history"
    wrong = await options.async_configure(flow["flow_id"], {"resolution": "hours", "start": "2026-06-16"})
    assert wrong["errors"] == {"start": "start_in_future"}
    flow = await options.async_configure(flow["flow_id"], {"resolution": "hours", "start": "2026-06-10"})
    assert flow["type"] is FlowResultType.SHOW_PROGRESS
    assert flow["progress_action"] == "reading"
    [running] = async_import_manager(hass).running.values()
    await until(lambda: running.work.progress.phase is Phase.WAITING)
    flow = await options.async_configure(flow["flow_id"])
    assert flow["progress_action"] == "waiting"
    assert flow["description_placeholders"] == {"stations": "Haus am See", "time_left": "1 min"}

    await home.live_until(INSTALLED + timedelta(minutes=10), FIVE_MINUTES)
    await asyncio.wait([running.task])
    await hass.async_block_till_done(wait_background_tasks=True)
    flow = await options.async_configure(flow["flow_id"])
    assert flow["type"] is FlowResultType.ABORT
    assert flow["reason"] == "history_imported"
    assert flow["description_placeholders"] == {
        "days": "6",
        "first": "2026-06-10",
        "last": "2026-06-15",
        "requests": "9",
    }
    assert updates and all(0 <= update <= 1 for update in updates)
    await home.check_days(date(2026, 6, 10), date(2026, 6, 14))


@GENERATION1
async def test_dialog_closed_and_opened_again(move_in: MoveIn, hass: HomeAssistant) -> None:
    """Closing the dialog stops nothing; opened again, one may watch or stop."""
    home = await move_in()
    options = hass.config_entries.options
    flow = await open_import(hass, home)
    flow = await options.async_configure(flow["flow_id"], {"resolution": "days"})
    options.async_abort(flow["flow_id"])
    [running] = async_import_manager(hass).running.values()
    await until(lambda: running.work.progress.phase is Phase.WAITING)

    flow = await open_import(hass, home)
    assert flow["type"] is FlowResultType.MENU
    watched = await options.async_configure(flow["flow_id"], {"next_step_id": "import_watch"})
    assert watched["progress_action"] == "waiting"
    options.async_abort(watched["flow_id"])

    flow = await open_import(hass, home)
    stopped = await options.async_configure(flow["flow_id"], {"next_step_id": "import_stop"})
    assert (stopped["type"], stopped["reason"]) == (FlowResultType.ABORT, "import_stopped")
    assert running.task.cancelled()
    assert not async_import_manager(hass).running


@GENERATION1
async def test_dialog_tells_what_went_wrong(
    move_in: MoveIn, hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await move_in()
    monkeypatch.setattr(importer, "LONGEST_WAIT", 0)
    options = hass.config_entries.options
    flow = await open_import(hass, home)
    flow = await options.async_configure(flow["flow_id"], {"resolution": "days", "start": "2026-06-10"})
    [running] = async_import_manager(hass).running.values()
    await asyncio.wait([running.task])
    await hass.async_block_till_done(wait_background_tasks=True)
    flow = await options.async_configure(flow["flow_id"])
    assert flow["reason"] == "import_failed"
    assert "records none" in str(flow["description_placeholders"])


# The rule by which a day's energy is spread


def energy_of(key: str) -> Energy:
    return next(energy for energy in ENERGIES if energy.key == key)


def test_hours_of_a_day() -> None:
    """24 of UTC, 23 or 25 where the clocks change, and whole ones also where zones are half an hour off."""
    for day, zone, hours, first in (
        (date(2026, 6, 15), "Europe/Berlin", 24, datetime(2026, 6, 14, 22, tzinfo=UTC)),
        (date(2026, 3, 29), "Europe/Berlin", 23, datetime(2026, 3, 28, 23, tzinfo=UTC)),
        (date(2026, 10, 25), "Europe/Berlin", 25, datetime(2026, 10, 24, 22, tzinfo=UTC)),
        (date(2026, 6, 15), "Asia/Kolkata", 24, datetime(2026, 6, 14, 19, tzinfo=UTC)),
        (date(2026, 4, 5), "Australia/Lord_Howe", 25, datetime(2026, 4, 4, 13, tzinfo=UTC)),
    ):
        found = hours_of_day(day, ZoneInfo(zone))
        assert (len(found), found[0]) == (hours, first)
        assert all(later - earlier == HOUR for earlier, later in pairwise(found))


def test_spread_without_a_curve() -> None:
    days = date(2026, 6, 15), date(2026, 3, 29), date(2026, 10, 25)
    for energy, day, total in product(ENERGIES, days, (0.0, 0.01, 7.77, 123.456)):
        hours = distribute_over_hours(energy, total, day, HOUSE.zone)
        assert sum(hour.energy for hour in hours) == pytest.approx(total, abs=1e-9)
        assert hours[-1].total == total
        assert all(hour.energy >= 0 for hour in hours)
        dark = {hour.energy for hour in hours if not 6 <= hour.start.astimezone(HOUSE.zone).hour < 18}
        if energy.key in {"pv_energy_today", "grid_export_today", "battery_charge_today"}:
            assert dark == {0.0}
        elif total > 1:
            assert max(hour.energy for hour in hours) - min(hour.energy for hour in hours) < 0.002


def test_spread_ends_with_the_total_itself() -> None:
    """Hours are rounded, the day is not: nothing of its energy is lost."""
    day = date(2026, 6, 15)
    begin = plant_of(HOUSE, 1).day_start(day)
    for energy, total in product(ENERGIES, (12.3454, 10 / 3, 0.0004)):
        for end in (None, begin + 13.4 * HOUR):
            hours = distribute_over_hours(energy, total, day, HOUSE.zone, end=end)
            assert hours[-1].total == total
            assert sum(hour.energy for hour in hours) == pytest.approx(total, abs=1e-12)


def test_spread_of_a_day_that_still_runs() -> None:
    end = datetime(2026, 6, 15, 10, 25, tzinfo=UTC)
    hours = distribute_over_hours(energy_of("consumption_today"), 12.0, date(2026, 6, 15), HOUSE.zone, end=end)
    assert len(hours) == 13
    assert hours[-1].energy == pytest.approx(12 * 25 / 745, abs=0.002)
    night = distribute_over_hours(energy_of("pv_energy_today"), 0.4, date(2026, 6, 15), HOUSE.zone, end=end - 8 * HOUR)
    assert sum(hour.energy for hour in night) == pytest.approx(0.4)
