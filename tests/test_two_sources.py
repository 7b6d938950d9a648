"""A counter whose readings come from the inverter in the network and from the portal in turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
import json
from operator import attrgetter

from hypothesis import Phase, given, settings, strategies as st

from custom_components.mtec.counter import Counter, ResetCycle
from tests.portal_simulator import HOUSE, Energies, plant_of

PLANT = plant_of(HOUSE, 1)
STEP = timedelta(minutes=5)
DAY = timedelta(days=1)
TENTH = 0.1

ENERGIES: list[Callable[[Energies], float]] = [
    attrgetter(name) for name in ("pv", "import_", "export", "charge", "discharge", "consumption")
]


@dataclass(frozen=True)
class Source:
    """A source that shows what the inverter counted `delay` ago at its last measurement, with some decimals."""

    delay: timedelta
    every: timedelta
    decimals: int

    def measured(self, at: datetime) -> datetime:
        """Return when the reading that is shown at a time was measured."""
        seconds = int((at - self.delay).timestamp())
        return datetime.fromtimestamp(seconds - seconds % self.every.seconds, HOUSE.zone)


NETWORK = Source(timedelta(), timedelta(minutes=1), 1)
PORTAL = Source(timedelta(minutes=4), timedelta(minutes=15), 2)


@dataclass(frozen=True)
class Stretch:
    """Some minutes with one source, or with none. It may begin with a restart."""

    source: Source | None
    minutes: int
    restarts: bool


@cache
def total(moment: datetime) -> Energies:
    """Return the energies that the inverter has counted."""
    return PLANT.energy(PLANT.day_start(HOUSE.installed), moment)


def day_of(moment: datetime) -> date:
    return moment.astimezone(HOUSE.zone).date()


def readings(begin: datetime, stretches: Sequence[Stretch]) -> list[tuple[datetime, Source | None, bool]]:
    """Return each poll: its time, the source that serves, and whether it is the first one after a restart."""
    polls: list[tuple[datetime, Source | None, bool]] = []
    at = begin
    # It begins and ends with a reading of the network.
    for stretch in (Stretch(NETWORK, 30, False), *stretches, Stretch(NETWORK, 60, False)):
        for number in range(max(1, stretch.minutes * 60 // STEP.seconds)):
            polls.append((at.astimezone(HOUSE.zone), stretch.source, stretch.restarts and number == 0))
            at += STEP
    return polls


def restarted(counter: Counter) -> Counter:
    """Return a counter as it is after a restart."""
    other = Counter(cycle=counter.cycle)
    other.restore(json.loads(json.dumps(counter.as_dict())))
    return other


BEGINS = st.builds(
    lambda day, hour: PLANT.day_start(day) + timedelta(hours=hour),
    st.dates(date(2026, 1, 5), date(2026, 9, 30)),
    st.integers(0, 23),
)
STRETCHES = st.lists(
    st.builds(
        Stretch,
        source=st.sampled_from([NETWORK, PORTAL, NETWORK, PORTAL, None]),
        minutes=st.one_of(st.integers(5, 60), st.integers(60, 600)),
        restarts=st.booleans(),
    ),
    min_size=1,
    max_size=20,
)
MANY = settings(max_examples=100, deadline=None, database=None, phases=[Phase.explicit, Phase.generate])


@given(begin=BEGINS, stretches=STRETCHES)
@MANY
def test_total_is_the_plants_whichever_source_it_comes_from(begin: datetime, stretches: list[Stretch]) -> None:
    """Nothing is counted twice, and nothing is lost."""
    polls = readings(begin, stretches)
    for part in ENERGIES:
        counter, shown = Counter(cycle=ResetCycle.NEVER), 0.0
        for at, source, restarts in polls:
            counter = restarted(counter) if restarts else counter
            if source is not None:
                counter.update(round(part(total(source.measured(at))), source.decimals), at)
            assert counter.value is not None
            assert counter.value >= shown
            shown = counter.value
        first, last = polls[0][0], polls[-1][0]
        assert abs(shown - part(total(last))) <= TENTH * max(1.0, (last - first) / DAY), part


@given(begin=BEGINS, stretches=STRETCHES)
@MANY
def test_energy_today_is_the_plants_whichever_source_it_comes_from(begin: datetime, stretches: list[Stretch]) -> None:
    """But for what was generated between the last reading of a day and midnight."""
    polls = readings(begin, stretches)
    for part in ENERGIES:
        counter = Counter(cycle=ResetCycle.DAY)
        found: dict[date, float] = {}
        measured: dict[date, datetime] = {}
        for at, source, restarts in polls:
            counter = restarted(counter) if restarts else counter
            if source is not None:
                last = source.measured(at)
                value = round(part(PLANT.energy(PLANT.day_start(day_of(last)), last)), source.decimals)
                counter.update(value, at, day=day_of(last))
                if counter.start is not None and day_of(last) >= counter.start:
                    measured[day_of(last)] = max(last, measured.get(day_of(last), last))
            assert counter.start is not None
            assert counter.value is not None
            assert counter.value >= found.get(counter.start, 0.0)
            found[counter.start] = counter.value
        for day, energy in found.items():
            made = part(PLANT.energy(PLANT.day_start(day), measured[day]))
            assert abs(energy - made) <= TENTH, (day, energy, made)
