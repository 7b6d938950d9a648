"""A home that lives on while Home Assistant is off, or the network or the portal away, and what it has recorded."""

from bisect import bisect_left
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder.statistics import statistics_during_period
from homeassistant.util import dt as dt_util
import pytest

from tests.home import SEED, portal_at
from tests.household import Household, Names, household
from tests.portal_simulator import HOUSE, Energies, PortalSimulator, plant_of

EMAIL, PASSWORD = "family@example.com", "sunshine"
PORTAL = "localhost"
"""The portal's name, which is not known while the network is away."""

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PLANT = plant_of(HOUSE, SEED)
EXACT = 0.02
"""kWh by which a day may differ from the plant's: the portal rounds to hundredths."""

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


class Away(Enum):
    """What is away in an outage."""

    HOME_ASSISTANT = auto()
    NETWORK = auto()
    PORTAL = auto()


@dataclass(frozen=True)
class Outage:
    """Home Assistant is off, or the network or the portal away, from `start` until `end`."""

    start: datetime
    end: datetime
    what: Away = Away.HOME_ASSISTANT

    @property
    def is_off(self) -> bool:
        return self.what is Away.HOME_ASSISTANT

    def covers(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=HOUSE.zone).astimezone(UTC)  # type: ignore[misc,arg-type]


def midnight_after(moment: datetime, days: int = 0) -> datetime:
    """Return the next midnight of the plant, or one so many days later."""
    return PLANT.day_start(moment.astimezone(HOUSE.zone).date() + (1 + days) * DAY)


async def rows(home: Household, sensors: Iterable[str] = SENSORS) -> dict[str, list[dict[str, Any]]]:
    await home.recorded()
    begin, ids = datetime(2020, 1, 1, tzinfo=UTC), {*sensors}
    found: dict[str, list[Any]] = await home.recorder.async_add_executor_job(
        lambda: statistics_during_period(home.hass, begin, None, ids, "hour", None, {"state", "sum", "change"})
    )
    return found


def recorded(found: dict[str, list[dict[str, Any]]]) -> Rows:
    return {id_: {row["start"]: (row["state"], row["change"]) for row in each} for id_, each in found.items()}


def _next(now: datetime) -> datetime:
    """Return when something happens next: a poll before the end of the hour, and the statistics after it."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(minutes=57) if now.minute < 57 else hour + HOUR + timedelta(seconds=30)


@dataclass
class Life:
    """A home from its first day on. Time goes on in steps, larger where nothing happens."""

    freezer: FrozenDateTimeFactory
    portal: PortalSimulator
    folder: Path
    outages: Sequence[Outage] = ()
    names: Names = field(default_factory=Names)
    sensors: dict[str, str] = field(default_factory=lambda: dict(SENSORS))
    seen: Rows = field(default_factory=lambda: {id_: {} for id_ in SENSORS})
    read: list[datetime] = field(default_factory=list)
    """When the energies were read, as far as the last reading in each step."""

    @asynccontextmanager
    async def home(self, *recorded_too: str) -> AsyncGenerator[Household]:
        """Start Home Assistant on what it has recorded so far."""
        self._strike()
        async with household(self.folder, HOUSE.time_zone, [*self.sensors, *recorded_too], self.names) as home:
            yield home

    async def add_account(self, home: Household) -> None:
        """Set up the account, at the portal's name."""
        await home.add_account(self.portal.url.replace("127.0.0.1", PORTAL), EMAIL, PASSWORD)

    async def live(self, home: Household, until: datetime) -> None:
        """Let time pass, and remember the rows that Home Assistant has written of hours in which it ran."""
        self._note_reading(home)
        while (now := self.portal.clock.now()) < until:
            self.freezer.move_to(max(now, min(self._next(now), until)))
            self._strike()
            await home.settle()
            await home.recorded()
            self._note_reading(home)
            if now.hour != self.portal.clock.now().hour:
                self._remember(recorded(await rows(home, self.sensors)), now.replace(minute=0, second=0, microsecond=0))

    def _next(self, now: datetime) -> datetime:
        """Return when something happens next. While a source is away for long, nothing does."""
        for outage in self.outages:
            if not outage.is_off and outage.covers(now) and now - outage.start > 3 * HOUR and outage.end - now > HOUR:
                return min(now + 12 * HOUR, outage.end - HOUR)
        return _next(now)

    def _strike(self) -> None:
        now = self.portal.clock.now()
        self.names.fails = any(each.what is Away.NETWORK and each.covers(now) for each in self.outages)

    def _note_reading(self, home: Household) -> None:
        energies = home.entry.runtime_data.daily_energies.get(HOUSE.station_id)
        at = None if energies is None or energies.reading is None else energies.fetched_at
        if at is not None and at not in self.read[-1:]:
            self.read.append(at)

    def rename(self, old: str, new: str) -> None:
        """Note that an entity has another id now."""
        self.sensors[new], self.seen[new] = self.sensors.pop(old), self.seen.pop(old)

    def _remember(self, found: Rows, hour: datetime) -> None:
        for id_, each in found.items():
            if id_ in self.seen and (row := each.get(hour.timestamp())) is not None and row[1] is not None:
                self.seen[id_].setdefault(hour.timestamp(), row)

    def late(self) -> Iterator[tuple[date, date, Energies]]:
        """Yield what of a day is recorded later, and on which day: if its last hour was recorded, what came after that.

        Home Assistant recorded that hour, so that it keeps its state and its change; the rest is in the hour of the
        next reading.
        """
        days = sorted({at.astimezone(HOUSE.zone).date() for at in self.read})
        for day in days:
            midnight = PLANT.day_start(day + DAY)
            number = bisect_left(self.read, midnight)
            last = self.read[number - 1]
            if last >= midnight - HOUR and number < len(self.read):
                yield day, self.read[number].astimezone(HOUSE.zone).date(), PLANT.energy(last, midnight)

    def expected(self, part: str, first: date, last: date) -> dict[date, float]:
        """Return what is to be recorded of each day."""
        days = {first + number * DAY: 0.0 for number in range((last - first).days + 1)}
        days = {day: getattr(PLANT.day(day), part) for day in days}
        for day, shown_on, energy in self.late():
            for each, sign in ((day, -1), (shown_on, 1)):
                if each in days:
                    days[each] += sign * getattr(energy, part)
        return days

    def check(self, found: dict[str, list[dict[str, Any]]], first: date, last: date) -> None:
        """See that each day is the plant's, that what was recorded is as it was, and that no sum falls."""
        self.check_days(found, first, last)
        for id_ in self.sensors:
            known = recorded(found)[id_]
            altered = {
                str(dt_util.utc_from_timestamp(start)): (old, known[start])
                for start, old in self.seen[id_].items()
                if known[start] != pytest.approx(old, abs=1e-6)
            }
            assert not altered, (id_, altered)
            for before, after in pairwise(found[id_]):
                assert after["sum"] - before["sum"] > -1e-6, (id_, before, after)

    def check_days(self, found: dict[str, list[dict[str, Any]]], first: date, last: date) -> None:
        for id_, part in self.sensors.items():
            days: dict[date, float] = {}
            for row in found[id_]:
                day = dt_util.utc_from_timestamp(row["start"]).astimezone(HOUSE.zone).date()
                days[day] = days.get(day, 0.0) + (row["change"] or 0.0)
            expected = self.expected(part, first, last)
            wrong = {
                str(day): (round(days.get(day, 0.0), 3), round(energy, 3))
                for day, energy in expected.items()
                if days.get(day, 0.0) != pytest.approx(energy, abs=EXACT)
            }
            assert not wrong, (id_, wrong)


@asynccontextmanager
async def life(
    freezer: FrozenDateTimeFactory, begin: datetime, outages: Sequence[Outage] = (), generation: int = 1
) -> AsyncGenerator[Life]:
    """Provide a life that begins now, with outages of the network and the portal where they are due."""
    async with portal_at(freezer, begin, generation) as portal:
        with TemporaryDirectory() as folder:
            for away in outages:
                if away.what is Away.PORTAL:
                    portal.faults.add("page", since=away.start, until=away.end)
            yield Life(freezer, portal, Path(folder), outages)


type Act = Callable[[Life, Household], Awaitable[None]]


async def live(
    life: Life,
    end: datetime,
    prepare: Act | None = None,
    finish: Act | None = None,
    on_return: Callable[[], None] = lambda: None,
    recorded_too: Sequence[str] = (),
) -> None:
    """Live with the outages of a life, and see in the end that no day but the first is missing.

    `prepare` is what happens once the account is set up, `on_return` before each later start of Home Assistant,
    `finish` before the end.
    """
    begin = life.portal.clock.now()
    stops = [*(outage for outage in life.outages if outage.is_off), Outage(end, end)]
    for number, outage in enumerate(stops):
        if number:
            on_return()
        async with life.home(*recorded_too) as home:
            if number == 0:
                await life.add_account(home)
                if prepare is not None:
                    await prepare(life, home)
            await life.live(home, outage.start)
            if number == len(stops) - 1:
                if finish is not None:
                    await finish(life, home)
                first, last = (at.astimezone(HOUSE.zone).date() for at in (begin, end))
                life.check(await rows(home, life.sensors), first + DAY, last - DAY)
        life.freezer.move_to(outage.end)
