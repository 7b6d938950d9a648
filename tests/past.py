"""A home with a real recorder whose past is imported, and time that a test moves."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
import logging
from typing import Any, Literal

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder import Recorder, get_instance, statistics as recorder_statistics
from homeassistant.components.recorder.statistics import statistics_during_period
from homeassistant.components.recorder.tasks import StatisticsTask
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.util import dt as dt_util
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done

from custom_components.mtec import retry as retry_module
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.history import manager
from custom_components.mtec.history.manager import async_import_manager
from custom_components.mtec.portal import rate_limiter
from tests.conftest import FAMILY, SetUp
from tests.energies import ENERGIES_TODAY
from tests.portal_simulator import BARN, FARM, HOUSE, Plant, PlantDescription, PortalSimulator, plant_of

BARN_OWNER, FARMER = "barn@example.com", "farm@example.com"


INSTALLED = datetime(2026, 6, 15, 10, 22, 30, tzinfo=UTC)
"""When the integration is installed: in the middle of an hour, of a day, of a month."""


PERIODS: tuple[Literal["hour", "5minute"], ...] = ("hour", "5minute")


FIVE_MINUTES = timedelta(minutes=5)


HOUR = timedelta(hours=1)


DAY = timedelta(days=1)


ROUNDING = 0.0051
"""The portal rounds the energy of a day to 0.01 kWh."""


@pytest.fixture(autouse=True)
def _ready(recorder_mock: Recorder, socket_enabled: None, enable_custom_integrations: None) -> None:
    """Have the recorder before all else."""


@pytest.fixture(autouse=True)
async def _fast(hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live in the plants' time zone, and ask more often than a portal would like."""
    freezer.move_to(INSTALLED)
    await hass.config.async_set_time_zone("Europe/Berlin")
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    monkeypatch.setattr(retry_module, "RETRY_PAUSES", (0.0,))
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
    hass.loop.set_debug(False)  # It takes half of the time.


@pytest.fixture(autouse=True)
def _quick_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recorder import without a round to the database for each row: that alone takes most of the time."""
    slow = recorder_statistics._import_statistics_with_session

    def quick(instance: Recorder, session: Any, *arguments: Any) -> bool:
        with session.no_autoflush:
            return slow(instance, session, *arguments)

    monkeypatch.setattr(recorder_statistics, "_import_statistics_with_session", quick)


@dataclass
class Home:
    """Home Assistant with an account of one plant, and time that passes for both."""

    hass: HomeAssistant
    freezer: FrozenDateTimeFactory
    simulator: PortalSimulator
    entry: MockConfigEntry
    plant: PlantDescription
    since: datetime

    @property
    def model(self) -> Plant:
        return plant_of(self.plant, 1)

    def sensor(self, key: str) -> str:
        name = {HOUSE.station_id: "haus_am_see", BARN.station_id: "stall_sud_muller", FARM.station_id: "hof_lindner"}
        return f"sensor.{name[self.plant.station_id]}_{key}"

    @property
    def sensors(self) -> dict[str, str]:
        """The sensors that the plant has, and what the model calls them."""
        return {
            self.sensor(key): part
            for key, part in ENERGIES_TODAY.items()
            if self.hass.states.get(self.sensor(key)) is not None
        }

    async def poll(self, moment: datetime) -> None:
        self.freezer.move_to(moment)
        self.simulator.clock.set(moment)
        await self.entry.runtime_data.async_refresh()
        await self.hass.async_block_till_done()

    async def live_until(self, moment: datetime, every: timedelta = HOUR) -> None:
        """Let time pass: the portal is polled and statistics are compiled at the end of each hour, or more often."""
        now = datetime.now(UTC)
        start = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0)
        while (end := start + FIVE_MINUTES) <= moment:
            if every == FIVE_MINUTES or end.minute == 0:
                await self.poll(max(now, start + FIVE_MINUTES / 2))
                self.freezer.move_to(end + timedelta(seconds=10))
                get_instance(self.hass).queue_task(StatisticsTask(start, True))
                await async_wait_recording_done(self.hass)
            start = end

    async def import_history(self, **data: Any) -> Any:
        return await self.hass.services.async_call(DOMAIN, "import_history", data, blocking=True, return_response=True)

    async def rows(
        self, period: Literal["5minute", "day", "hour", "month", "year"], *ids: str
    ) -> dict[str, list[dict[str, Any]]]:
        """All statistics of the sensors: state, sum, change, last_reset."""
        await async_wait_recording_done(self.hass)
        found: dict[str, list[Any]] = await get_instance(self.hass).async_add_executor_job(
            statistics_during_period,
            self.hass,
            datetime(2000, 1, 1, tzinfo=UTC),
            None,
            set(ids or self.sensors),
            period,
            None,
            {"change", "last_reset", "state", "sum"},
        )
        return found

    async def days(self, sensor: str) -> dict[date, float]:
        """What the Energy dashboard shows of each day."""
        return by_day((await self.rows("day", sensor))[sensor])

    async def rises(self) -> bool:
        """Whether each sum begins with its state and never falls, from hour to hour and in the last five minutes."""
        for period in PERIODS:
            for sensor, rows in (await self.rows(period)).items():
                if period == "hour":
                    assert rows[0]["sum"] == pytest.approx(rows[0]["state"], abs=1e-6), sensor
                for before, after in pairwise(rows):
                    assert after["sum"] - before["sum"] > -1e-6, (sensor, period, before, after)
        return True

    async def check_days(self, first: date, last: date, sensors: dict[str, str] | None = None) -> None:
        """See that every day of every sensor is the model's."""
        model = self.model
        rows = await self.rows("day")
        for sensor, part in (sensors or self.sensors).items():
            days = by_day(rows[sensor])
            for day in each_day(first, last):
                expected = getattr(model.day(day), part)
                late = self._late(day, part) + self._late(day - DAY, part)
                assert days.pop(day) == pytest.approx(expected, abs=ROUNDING + late), (sensor, day)

    def _late(self, day: date, part: str) -> float:
        """What Home Assistant records of a day only after midnight: it polls in the middle of five minutes."""
        midnight = self.model.day_start(day + DAY)
        late = getattr(self.model.energy(midnight - FIVE_MINUTES / 2, midnight), part) if midnight > self.since else 0.0
        return float(late + ROUNDING) if late else 0.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, but not for ever; the frozen clock does not count."""
    for _ in range(200_000):
        if condition():
            return
        await asyncio.to_thread(int)  # gives way to the other threads, too
    raise AssertionError


def by_day(rows: list[dict[str, Any]]) -> dict[date, float]:
    return {dt_util.as_local(dt_util.utc_from_timestamp(row["start"])).date(): row["change"] for row in rows}


def local_day(row: dict[str, Any]) -> date:
    return dt_util.as_local(dt_util.utc_from_timestamp(row["start"])).date()


def begins_day(row: dict[str, Any]) -> bool:
    return dt_util.as_local(dt_util.utc_from_timestamp(row["start"])).hour == 0


def each_day(first: date, last: date) -> list[date]:
    return [first + number * DAY for number in range((last - first).days + 1)]


type MoveIn = Callable[..., Awaitable[Home]]


@pytest.fixture
async def move_in(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, simulator: PortalSimulator, set_up: SetUp
) -> AsyncGenerator[MoveIn]:
    """Install the integration for the account of one plant. What it fills by itself is over before the database is."""
    plants = {FAMILY: HOUSE, BARN_OWNER: BARN, FARMER: FARM}

    async def install(email: str = FAMILY, at: datetime = INSTALLED) -> Home:
        freezer.move_to(at)
        simulator.clock.set(at)
        entry = await set_up(email)

        @callback
        def tick(_: Event[Any]) -> None:
            # Two states of a sensor are never of the same moment.
            freezer.tick(0.001)

        hass.bus.async_listen(EVENT_STATE_CHANGED, tick)
        return Home(hass, freezer, simulator, entry, plants[email], at)

    yield install
    if filling := [task for task in asyncio.all_tasks() if f"{DOMAIN} gaps of" in task.get_name()]:
        await asyncio.wait(filling, timeout=60)


async def restart(hass: HomeAssistant, home: Home) -> None:
    """Load the account again with nothing but what is stored."""
    await hass.config_entries.async_unload(home.entry.entry_id)
    hass.data.pop(manager._MANAGER)
    await hass.config_entries.async_setup(home.entry.entry_id)


async def finished(hass: HomeAssistant) -> None:
    """Wait until no import is going on."""
    while running := list(async_import_manager(hass).running.values()):
        await asyncio.wait([each.task for each in running])
        await asyncio.sleep(0)


async def open_import(hass: HomeAssistant, home: Home) -> Any:
    options = hass.config_entries.options
    flow = await options.async_init(home.entry.entry_id)
    return await options.async_configure(flow["flow_id"], {"next_step_id": "import_history"})
