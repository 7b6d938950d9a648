"""Home Assistant is off, or the portal away, and in the end no day is missing: in a real Home Assistant."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder.statistics import statistics_during_period
from homeassistant.util import dt as dt_util
import pytest

from custom_components.mtec.portal import rate_limiter
from tests.home import SEED, portal_at
from tests.household import Household, Names, household
from tests.portal_simulator import HOUSE, PortalSimulator, plant_of

EMAIL, PASSWORD = "family@example.com", "sunshine"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PLANT = plant_of(HOUSE, SEED)
LATE = 0.4
"""kWh that are drawn at most in the minutes before midnight, which are read after it."""

ENERGIES = {
    "pv_energy_today": "pv",
    "grid_import_today": "import_",
    "grid_export_today": "export",
    "battery_charge_today": "charge",
    "battery_discharge_today": "discharge",
    "consumption_today": "consumption",
}
SENSORS = {f"sensor.haus_am_see_{key}": part for key, part in ENERGIES.items()}

type Rows = dict[str, dict[float, tuple[float, float]]]


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None, caplog: pytest.LogCaptureFixture) -> None:
    """Let the tests talk to the simulator; Home Assistant they start themselves."""
    caplog.set_level(logging.WARNING)
    caplog.set_level(logging.INFO, "custom_components.mtec")


@dataclass(frozen=True)
class Outage:
    """Home Assistant is off, or the portal away, from `start` until `end`."""

    start: datetime
    end: datetime
    is_off: bool = True


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=HOUSE.zone).astimezone(UTC)  # type: ignore[misc,arg-type]


async def rows(home: Household, period: Any = "hour") -> dict[str, list[dict[str, Any]]]:
    await home.recorded()
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    found: dict[str, list[Any]] = await home.recorder.async_add_executor_job(
        lambda: statistics_during_period(home.hass, begin, None, set(SENSORS), period, None, {"state", "sum", "change"})
    )
    return found


def recorded(found: dict[str, list[dict[str, Any]]]) -> Rows:
    return {id_: {row["start"]: (row["state"], row["change"]) for row in each} for id_, each in found.items()}


def _next(now: datetime) -> datetime:
    """Return when something happens next: a poll before the end of the hour, and the statistics after it."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(minutes=57) if now.minute < 57 else hour + HOUR + timedelta(seconds=30)


class Life:
    """A home from its first day on. Time goes on in steps, larger where nothing happens."""

    def __init__(self, freezer: FrozenDateTimeFactory, portal: PortalSimulator, folder: Path) -> None:
        self.freezer, self.portal, self.folder = freezer, portal, folder
        self.seen: Rows = {id_: {} for id_ in SENSORS}

    async def live(self, home: Household, until: datetime) -> None:
        """Let time pass, and remember the rows that Home Assistant has written of hours in which it ran."""
        while (now := self.portal.clock.now()) < until:
            before = now
            self.freezer.move_to(max(now, min(_next(now), until)))
            await home.settle()
            await home.recorded()
            if before.hour != self.portal.clock.now().hour:
                self._remember(recorded(await rows(home)), before.replace(minute=0, second=0, microsecond=0))

    def _remember(self, found: Rows, hour: datetime) -> None:
        for id_, each in found.items():
            if (row := each.get(hour.timestamp())) is not None and row[1] is not None:
                self.seen[id_].setdefault(hour.timestamp(), row)

    def check(self, found: dict[str, list[dict[str, Any]]], first: date, last: date) -> None:
        """See that each day is the plant's, that what was recorded is as it was, and that no sum falls."""
        for id_, part in SENSORS.items():
            days: dict[date, float] = {}
            for row in found[id_]:
                day = dt_util.utc_from_timestamp(row["start"]).astimezone(HOUSE.zone).date()
                days[day] = days.get(day, 0.0) + (row["change"] or 0.0)
            day = first
            while day <= last:
                assert days[day] == pytest.approx(getattr(PLANT.day(day), part), abs=LATE), (id_, day)
                day += DAY
            known = recorded(found)[id_]
            altered = {
                str(dt_util.utc_from_timestamp(start)): (old, known[start])
                for start, old in self.seen[id_].items()
                if known[start] != pytest.approx(old, abs=1e-6)
            }
            assert not altered, id_
            for before, after in pairwise(found[id_]):
                assert after["sum"] - before["sum"] > -1e-6, (id_, before, after)


async def _live(
    freezer: FrozenDateTimeFactory, begin: datetime, outages: Sequence[Outage], end: datetime, nulls: bool = False
) -> None:
    """Live with outages, and see that no day is missing in the end."""
    async with portal_at(freezer, begin, 1) as portal:
        with TemporaryDirectory() as folder:
            life = Life(freezer, portal, Path(folder))
            names = Names()
            for away in outages:
                if not away.is_off:
                    portal.faults.add("page", since=away.start, until=away.end)
            stops = [*(outage for outage in outages if outage.is_off), Outage(end, end)]
            for number, outage in enumerate(stops):
                async with household(life.folder, HOUSE.time_zone, SENSORS, names) as home:
                    if number == 0:
                        await home.add_account(portal.url, EMAIL, PASSWORD)
                    await life.live(home, outage.start)
                    if number == len(stops) - 1:
                        first = begin.astimezone(HOUSE.zone).date() + DAY
                        life.check(await rows(home), first, end.astimezone(HOUSE.zone).date() - DAY)
                freezer.move_to(outage.end)


async def _total_around(freezer: FrozenDateTimeFactory, outage: Outage) -> dict[str, float]:
    """Return what is recorded of each energy, less what the plant has, from before an outage until hours after it."""
    begin, end = outage.start - 2 * HOUR, (outage.end + 4 * HOUR).replace(minute=6)
    names = Names()
    async with portal_at(freezer, begin, 1) as portal:
        with TemporaryDirectory() as folder:
            life = Life(freezer, portal, Path(folder))
            async with household(life.folder, HOUSE.time_zone, SENSORS, names) as home:
                await home.add_account(portal.url, EMAIL, PASSWORD)
                await life.live(home, outage.start)
            freezer.move_to(outage.end)
            async with household(life.folder, HOUSE.time_zone, SENSORS, names) as home:
                await life.live(home, end)
                found = await rows(home)
    # The last hour has what was polled three minutes before its end.
    polled = end - timedelta(minutes=9)
    made = PLANT.energy(PLANT.day_start(begin.astimezone(HOUSE.zone).date()), polled)
    return {
        id_: found[id_][-1]["sum"] - found[id_][0]["sum"] + found[id_][0]["state"] - getattr(made, part)
        for id_, part in SENSORS.items()
    }


@pytest.mark.parametrize("minutes", [3, 11, 25, 61])
def test_off_in_the_last_hour_of_a_day_and_on_soon_after_it(freezer: FrozenDateTimeFactory, minutes: int) -> None:
    """Whether or not the row that is made up of that hour looks as if it was recorded, no energy is lost."""
    midnight = local(2026, 6, 17)
    outage = Outage(midnight - timedelta(minutes=63), midnight + timedelta(minutes=minutes))
    differences = asyncio.run(_total_around(freezer, outage))
    for id_, difference in differences.items():
        assert difference == pytest.approx(0, abs=0.03), id_


OFF = {
    "an hour": (local(2026, 6, 16, 12, 20), local(2026, 6, 16, 13, 25)),
    "a night": (local(2026, 6, 16, 20, 20), local(2026, 6, 17, 8, 10)),
    "three days": (local(2026, 6, 16, 18, 20), local(2026, 6, 19, 10, 10)),
}


@pytest.mark.parametrize("outage", OFF.values(), ids=OFF)
def test_home_assistant_is_off(freezer: FrozenDateTimeFactory, outage: tuple[datetime, datetime]) -> None:
    """It makes up rows for that time, which repeat what was: the hours get what the portal knows of them."""
    begin = local(2026, 6, 15, 22)
    end = outage[1].astimezone(HOUSE.zone).replace(hour=0, minute=0) + DAY + 2 * HOUR
    asyncio.run(_live(freezer, begin, [Outage(*outage)], end.astimezone(UTC)))


LONGER = {
    "over the change of the clocks in autumn": [Outage(local(2026, 10, 24, 18, 20), local(2026, 10, 25, 10, 10))],
    "over the change of the clocks in spring": [Outage(local(2026, 3, 28, 18, 20), local(2026, 3, 29, 10, 10))],
    "over New Year": [Outage(local(2026, 12, 31, 14, 20), local(2027, 1, 2, 9, 10))],
    "the portal away for two days": [Outage(local(2026, 6, 16, 18, 20), local(2026, 6, 18, 19, 10), is_off=False)],
    "restarts in between": [
        Outage(local(2026, 6, 16, 9, 20), local(2026, 6, 16, 9, 25)),
        Outage(local(2026, 6, 16, 11, 20), local(2026, 6, 16, 15, 10)),
        Outage(local(2026, 6, 16, 15, 12), local(2026, 6, 16, 15, 14)),
        Outage(local(2026, 6, 16, 19, 20), local(2026, 6, 17, 8, 10)),
        Outage(local(2026, 6, 17, 8, 14), local(2026, 6, 17, 8, 20)),
    ],
    "a month": [Outage(local(2026, 5, 14, 18, 20), local(2026, 6, 15, 9, 10))],
}


@pytest.mark.parametrize("outages", LONGER.values(), ids=LONGER)
def test_no_day_is_missing(
    freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch, outages: Sequence[Outage]
) -> None:
    # The clock stands still while gaps are filled, and no minute ends.
    for name in ("REQUESTS_A_MINUTE", "BACKGROUND_REQUESTS_A_MINUTE"):
        monkeypatch.setattr(rate_limiter, name, 100_000)
    monkeypatch.setattr(rate_limiter, "PAUSE", 0.0)
    begin = outages[0].start.astimezone(HOUSE.zone).replace(hour=0, minute=0) - 2 * HOUR
    end = outages[-1].end.astimezone(HOUSE.zone).replace(hour=0, minute=0) + DAY + 2 * HOUR
    asyncio.run(_live(freezer, begin.astimezone(UTC), outages, end.astimezone(UTC)))
