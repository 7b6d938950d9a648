"""Energies in the statistics of a real recorder, while the portal fails in many ways."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from freezegun.api import FrozenDateTimeFactory
from hypothesis import HealthCheck, Phase, example, given, settings, strategies as st
import pytest

from custom_components.mtec import network
from custom_components.mtec.local.exchange import Timing
from tests.energies import INVERTER_DELAY, INVERTER_ENERGIES, STATION_ENERGIES, WHOLE, inverter_entity, station_entity
from tests.home import SEED, portal_at
from tests.household import Household, Names, household
from tests.inverter_simulator import InverterSimulator
from tests.portal_simulator import FAULTS, HOUSE, Energies, plant_of

EMAIL, PASSWORD = "family@example.com", "sunshine"
TICK = timedelta(microseconds=1)
"""Time from one state to the next."""
STEP = timedelta(minutes=5, milliseconds=10)
"""Time from one poll to the next: longer than the interval of the energies, by more than the ticks of a poll."""
WELL = timedelta(hours=1)
"""Time without faults at the end."""

PLANT = plant_of(HOUSE, SEED)

COARSE = 10.0
"""Step in kWh of a portal that shows hundredths of a MWh."""
TOLD_COARSELY = {"pv_energy_this_month", "pv_energy_this_year", "pv_energy_total"}


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None, caplog: pytest.LogCaptureFixture) -> None:
    """Let the tests talk to the simulator; Home Assistant they start themselves."""
    # Of the database's every word the log would be long.
    caplog.set_level(logging.WARNING, "sqlalchemy.engine")


@pytest.fixture
def no_spacing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between requests to an inverter: the clock stands still meanwhile."""
    monkeypatch.setattr(network, "TIMING", Timing(spacing=0))


@dataclass(frozen=True)
class Trouble:
    """A fault from some minutes on after the beginning, for some minutes, with a probability."""

    name: str
    begins: int
    lasts: int
    probability: float = 1.0


async def _live(
    freezer: FrozenDateTimeFactory,
    begin: datetime,
    hours: float,
    troubles: Sequence[Trouble],
    restarts: Collection[int] = (),
    generation: int = 1,
    network_troubles: Sequence[Trouble] | None = None,
) -> None:
    """Live for some hours with troubles and some without, restart at some steps, and compare with the plant.

    With `network_troubles` the inverter is in the network too, and fails there.
    """

    # The inverter's registers show tenths of a kWh.
    precision = 0.03 if network_troubles is None else 0.1
    tick = partial(freezer.tick, TICK)

    async def add_inverter(home: Household, inverter: InverterSimulator) -> None:
        if network_troubles is not None:
            await home.add_inverter(inverter)
            _plan(network_troubles, begin, begin + timedelta(hours=hours), inverter.faults.add)

    entity_ids = {*map(station_entity, STATION_ENERGIES), *map(inverter_entity, INVERTER_ENERGIES)}
    async with (
        portal_at(freezer, begin, generation) as portal,
        InverterSimulator(HOUSE, clock=portal.clock, seed=SEED, framing="tcp") as inverter,
    ):
        with TemporaryDirectory() as folder:
            steps = round((timedelta(hours=hours) + WELL) / STEP)
            stops = [*sorted(set(restarts) & set(range(1, steps))), steps]
            step, last, sums = 0, begin, dict[str, list[float]]()
            for stop in stops:
                async with household(Path(folder), HOUSE.time_zone, entity_ids, Names(), tick) as home:
                    if step == 0:
                        await home.add_account(portal.url, EMAIL, PASSWORD)
                        _plan(troubles, begin, begin + timedelta(hours=hours), portal.faults.add)
                        await add_inverter(home, inverter)
                    while step < stop:
                        step += 1
                        # A poll may have taken long: nothing shall move the clock back.
                        freezer.move_to(max(begin + step * STEP, portal.clock.now()))
                        await home.settle()
                        if step > hours * 12:
                            # A person is asked after three refused logins, and helps.
                            await home.sign_in_again(PASSWORD)
                        await home.recorded()
                    if stop == steps:
                        last = portal.clock.now()
                        # The next step writes the statistics of the last one.
                        freezer.tick(STEP)
                        await home.settle()
                        await home.recorded()
                        sums = await home.sums(begin, entity_ids)
                        source = home.hass.states.get("sensor.energy_butler_source")
                        assert network_troubles is None or (source is not None and source.state == "network")
        is_coarse = any(trouble.name == "coarse_totals" for trouble in troubles)
        _compare(sums, PLANT.energy(begin, last), _this_month(last), COARSE if is_coarse else 0.0)
        if generation == 2:
            _compare_inverter(sums, begin, last, precision)


def _plan(troubles: Sequence[Trouble], begin: datetime, end: datetime, add: Callable[..., None]) -> None:
    for number, trouble in enumerate(troubles):
        since = begin + timedelta(minutes=trouble.begins)
        until = min(since + timedelta(minutes=trouble.lasts), end)
        add(trouble.name, since=since, until=until, probability=trouble.probability, seed=number)


def _this_month(moment: datetime) -> float:
    """Return the kWh of PV of the month so far."""
    return PLANT.energy(PLANT.day_start(moment.astimezone(HOUSE.zone).date().replace(day=1)), moment).pv


def _compare(sums: dict[str, list[float]], made: Energies, this_month: float, coarse: float) -> None:
    """Compare the sums with what the plant has made; `coarse` is the step in kWh of what the portal has reported."""
    for key, (part, usual) in STATION_ENERGIES.items():
        found = sums[station_entity(key)]
        precision = WHOLE if key == "pv_energy_this_month" and this_month > 1000 else usual
        if key in TOLD_COARSELY:
            precision += coarse
        assert found[-1] == pytest.approx(part(made), abs=precision), key
        # Nothing was added that had to be taken away again.
        assert min((later - earlier for earlier, later in pairwise(found)), default=0.0) >= -0.001, key


def _compare_inverter(sums: dict[str, list[float]], begin: datetime, last: datetime, precision: float) -> None:
    made, least = PLANT.energy(begin, last), PLANT.energy(begin + INVERTER_DELAY, last - INVERTER_DELAY)
    most = PLANT.energy(begin - INVERTER_DELAY, last)
    for key, part in INVERTER_ENERGIES.items():
        assert part(least) - precision <= sums[inverter_entity(key)][-1] <= part(most) + precision, (key, part(made))


GENERATIONS = pytest.mark.parametrize("generation", [1, 2], ids=["generation1", "generation2"])


@GENERATIONS
def test_last_answer_repeated_over_new_year(freezer: FrozenDateTimeFactory, generation: int) -> None:
    """For five hours, in which the portal shows the old day, month and year as those of now."""
    begin = PLANT.day_start(date(2026, 1, 1)) - timedelta(minutes=90)
    asyncio.run(_live(freezer, begin, 7, [Trouble("stale", 60, 300)], generation=generation))


@GENERATIONS
def test_data_of_yesterday_with_coarse_totals_over_the_end_of_a_month(
    freezer: FrozenDateTimeFactory, generation: int
) -> None:
    """For hours after midnight the total does not show that the data is old, for it is told in steps of 10 kWh."""
    begin = PLANT.day_start(date(2026, 6, 1)) - timedelta(minutes=45)
    troubles = [Trouble("coarse_totals", 30, 330), Trouble("yesterday", 40, 320)]
    asyncio.run(_live(freezer, begin, 6.5, troubles, restarts=(30,), generation=generation))


@GENERATIONS
def test_garbage_as_the_first_row_of_a_day(freezer: FrozenDateTimeFactory, generation: int) -> None:
    """9000 kWh for five minutes, after Home Assistant was restarted, and a total that is less for hours."""
    begin = PLANT.day_start(date(2026, 6, 16)) - timedelta(minutes=45)
    troubles = [Trouble("garbage_rows", 44, 8), Trouble("garbage_rows", 100, 5), Trouble("total_falls", 20, 120)]
    asyncio.run(_live(freezer, begin, 3, troubles, restarts=(9, 20), generation=generation))


def test_a_day_and_two_nights(freezer: FrozenDateTimeFactory) -> None:
    """All that is wrong with energies strikes on one day, beside failing requests and restarts."""
    troubles = [
        Trouble("late_reset", 0, 60 * 32),
        Trouble("zero_energies", 60 * 10, 25),
        Trouble("yesterday", 60 * 12, 150),
        Trouble("zero_energies", 60 * 15, 50),
        Trouble("yesterday", 60 * 17, 90, 0.5),
        Trouble("hang", 60 * 8, 60, 0.3),
        Trouble("http_503", 60 * 8, 600, 0.1),
        Trouble("null_nodes", 60 * 6, 60 * 20, 0.2),
        Trouble("missing_nodes", 60 * 6, 60 * 20, 0.2),
        Trouble("zero_energies", 60 * 25, 20),
    ]
    begin = PLANT.day_start(date(2026, 5, 30)) - timedelta(hours=2)
    asyncio.run(_live(freezer, begin, 32, troubles, restarts=(24, 26, 150, 151)))


DAYS = [
    pytest.param([Trouble("http_503", 90, 60 * 24)], [], id="portal gone"),
    pytest.param([], [Trouble("reset", 90, 60 * 24)], id="network gone"),
    pytest.param([Trouble("http_503", 60 * 10, 60 * 16)], [Trouble("reset", 60 * 10, 60 * 16)], id="both gone"),
    pytest.param(
        [Trouble("http_503", 60 * hour, 60) for hour in range(1, 26, 3)],
        [Trouble("reset", 60 * hour, 60) for hour in range(0, 26, 3)],
        id="in turns",
    ),
]


@pytest.mark.usefixtures("no_spacing")
@pytest.mark.parametrize(("troubles", "network_troubles"), DAYS)
def test_a_day_with_two_sources(
    freezer: FrozenDateTimeFactory, troubles: list[Trouble], network_troubles: list[Trouble]
) -> None:
    """With restarts in each state: energies are the plant's, whichever source they come from."""
    begin = PLANT.day_start(date(2026, 6, 15)) - timedelta(hours=1)
    restarts = (10, 30, 100, 150, 290, 305)
    asyncio.run(_live(freezer, begin, 27, troubles, restarts, generation=2, network_troubles=network_troubles))


NAMES = sorted(FAULTS.keys() - {"login_refused", "slow", "code_as_number"})


@given(
    day=st.dates(date(2026, 1, 5), date(2026, 9, 30)),
    hour=st.integers(0, 23),
    troubles=st.lists(
        st.builds(
            Trouble,
            name=st.sampled_from(NAMES),
            begins=st.integers(5, 200),
            lasts=st.integers(5, 120),
            probability=st.sampled_from([0.3, 1.0]),
        ),
        min_size=1,
        max_size=6,
    ),
    restarts=st.sets(st.integers(1, 48), max_size=2),
)
# A live value of yesterday without a date comes first after the station was gone for an hour and a half.
@example(
    day=date(2026, 6, 15),
    hour=13,
    troubles=[
        Trouble("late_reset", 200, 118, 0.3),
        Trouble("maintenance", 115, 31, 0.3),
        Trouble("stations_gone", 120, 64),
        Trouble("expired", 51, 91, 0.3),
        Trouble("yesterday", 95, 101, 0.3),
        Trouble("busy", 200, 109, 0.3),
    ],
    restarts=set(),
)
# The day that is over reads zero for more than an hour after midnight.
@example(
    day=date(2026, 6, 16),
    hour=21,
    troubles=[Trouble("late_reset", 111, 82), Trouble("zero_energies", 148, 113)],
    restarts={4, 37},
)
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
    # Without shrinking, which takes many minutes: the example that fails can be read as it is.
    phases=[Phase.explicit, Phase.generate],
)
def test_any_sequence_of_faults(
    freezer: FrozenDateTimeFactory, day: date, hour: int, troubles: list[Trouble], restarts: set[int]
) -> None:
    """Four hours of any day, with any faults: an hour later the sums are the plant's."""
    asyncio.run(_live(freezer, PLANT.day_start(day) + timedelta(hours=hour), 4, troubles, restarts))
