"""The counters behind the energy sensors: what they believe, and when."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings, strategies as st
import pytest

from custom_components.mtec.counter import LATE_RESET, SURE_AFTER, SURE_IT_IS_NOT_OLD, Counter, Period

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 6, 15, 12, tzinfo=BERLIN)
MINUTE = timedelta(minutes=1)


def tell(counter: Counter, *told: float, start: datetime = NOON, every: timedelta = MINUTE) -> list[float | None]:
    """Tell a counter something at every step, and return what it shows after each."""
    shown = []
    for number, value in enumerate(told):
        counter.tell(value, start + number * every)
        shown.append(counter.value)
    return shown


@pytest.mark.parametrize("period", Period)
@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ((5.0, 5.1, 5.2), (5.0, 5.1, 5.2)),
        ((5.0, 0.0, 0.0, 0.0, 5.1), (5.0, 5.0, 5.0, 5.0, 5.1)),  # spurious zeros
        ((5.0, 5.1, 5.1, 5.1, 5.2), (5.0, 5.1, 5.1, 5.1, 5.2)),  # stale repeats
        ((5.0, 4.0, 4.1, 5.1), (5.0, 5.0, 5.0, 5.1)),  # backwards
        ((5.0, 5000.0, 5.1), (5.0, 5.0, 5.1)),  # a jump that cannot be
        ((5.0, -1.0, 5.1), (5.0, 5.0, 5.1)),
        ((0.0, 0.0, 0.1), (0.0, 0.0, 0.1)),
    ],
)
def test_what_is_shown(period: Period, told: Sequence[float], shown: Sequence[float]) -> None:
    assert tell(Counter(period=period), *told) == list(shown)


def test_long_gap_makes_a_large_rise_plausible() -> None:
    counter = Counter(period=Period.LIFE)
    assert tell(counter, 1000.0, 1060.0, every=timedelta(hours=6)) == [1000.0, 1060.0]


@pytest.mark.parametrize("period", Period)
def test_meter_that_begins_anew_is_accepted_once_it_is_sure(period: Period) -> None:
    """From then on it counts where it was; what was produced until then is not lost."""
    counter = Counter(period=period)
    start = NOON.replace(hour=8)
    told = [100.0] + [0.1 + 0.01 * number for number in range(60)]
    shown = tell(counter, *told, start=start)
    sure = int(SURE_AFTER / MINUTE) + 1
    assert shown[:sure] == [100.0] * sure
    assert shown[-1] == pytest.approx(100 + 0.59)
    assert all(later >= earlier for earlier, later in pairwise(shown) if earlier and later)


@pytest.mark.parametrize("period", Period)
def test_meter_that_had_not_begun_anew_after_all(period: Period) -> None:
    """Zeros for an hour, and then the energies of before: nothing is counted twice, nor a jump on the way."""
    counter = Counter(period=period)
    told = [10.0] + [0.0] * 60 + [9000.0, 10.4, 10.5]
    assert tell(counter, *told, start=NOON)[-3:] == [10.0, 10.4, 10.5]


def test_new_meter_that_grows_beyond_the_old_one() -> None:
    counter = Counter(period=Period.LIFE)
    told = [50.0] + [0.0] * 40 + [0.4 * number for number in range(200)]
    assert tell(counter, *told)[-1] == pytest.approx(50 + 0.4 * 199)


def test_data_of_yesterday_is_no_new_meter() -> None:
    """It may last for a day; a total that stays below is believed after two."""
    counter = Counter(period=Period.LIFE)
    tell(counter, 1000.0)
    shown = tell(counter, *(980.0 + 0.2 * number for number in range(90)), start=NOON + MINUTE, every=10 * MINUTE)
    assert set(shown) == {1000.0}
    assert tell(counter, 1012.0, start=NOON + timedelta(hours=16)) == [1012.0]

    late = NOON + timedelta(hours=17)
    told = [900.0 + number for number in range(60)]
    shown = tell(counter, *told, start=late, every=timedelta(hours=1))
    days = int(SURE_IT_IS_NOT_OLD / timedelta(hours=1))
    assert set(shown[:days]) == {1012.0}
    assert shown[-1] == pytest.approx(1012.0 + 59)


@pytest.mark.parametrize("period", [Period.DAY, Period.MONTH, Period.YEAR])
def test_late_reset(period: Period) -> None:
    """At the year's first midnight: what was of the old period is shown as that until the portal begins the new one."""
    counter = Counter(period=period)
    midnight = datetime(2027, 1, 1, tzinfo=BERLIN)
    tell(counter, 3.9, 4.0, start=midnight - 2 * MINUTE)
    assert tell(counter, 4.0, 4.0, 0.0, 4.0, 0.0, 0.1, start=midnight) == [4.0, 4.0, 0.0, 0.0, 0.0, 0.1]
    assert counter.start == date(2027, 1, 1)


def test_day_before_without_energy_is_not_mistaken_for_a_late_reset() -> None:
    """Grid import of 0.02 kWh yesterday and more than that in the first minutes of today."""
    counter = Counter(period=Period.DAY)
    midnight = datetime(2026, 6, 16, tzinfo=BERLIN)
    tell(counter, 0.02, start=midnight - MINUTE)
    steps = int(LATE_RESET / (10 * MINUTE)) + 3
    shown = tell(counter, *(0.03 + 0.01 * step for step in range(steps)), start=midnight, every=10 * MINUTE)
    assert counter.start == date(2026, 6, 16)
    assert shown[-1] == pytest.approx(0.03 + 0.01 * (steps - 1))
    assert set(shown[: steps - 3]) == {0.02}


def test_completed_day() -> None:
    """The portal completes yesterday after midnight, in a row that says of which day it is."""
    counter = Counter(period=Period.DAY)
    midnight = datetime(2026, 6, 16, tzinfo=BERLIN)
    tell(counter, 7.9, start=midnight - MINUTE)
    counter.tell(8.0, midnight + MINUTE, day=date(2026, 6, 15))
    assert (counter.start, counter.value) == (date(2026, 6, 15), 8.0)
    counter.tell(0.1, midnight + MINUTE, day=date(2026, 6, 16))
    counter.tell(8.0, midnight + MINUTE, day=date(2026, 6, 15))
    assert (counter.start, counter.value) == (date(2026, 6, 16), 0.1)


def test_day_that_is_over_does_not_begin_anew() -> None:
    """The portal tells of yesterday as it was a day ago, for an hour after midnight."""
    counter = Counter(period=Period.DAY)
    midnight = datetime(2026, 6, 16, tzinfo=BERLIN)
    tell(counter, 7.9, start=midnight - MINUTE)
    for minute in range(60):
        counter.tell(0.1 + minute / 100, midnight + minute * MINUTE, day=date(2026, 6, 15))
        assert counter.value == 7.9
    counter.tell(8.0, midnight + 60 * MINUTE, day=date(2026, 6, 15))
    assert counter.value == 8.0


def test_day_of_clock_change() -> None:
    counter = Counter(period=Period.DAY)
    before = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    counter.tell(1.0, before)
    counter.tell(1.1, before.replace(fold=1))
    assert counter.value == 1.1


def test_restart() -> None:
    """What is restored goes on as if nothing had been; what makes no sense is left out."""
    counter = Counter(period=Period.LIFE)
    tell(counter, 100.0, *[1.0] * 40, 1.5)
    restored = Counter(period=Period.LIFE)
    restored.restore(counter.as_dict())
    assert restored.as_dict() == counter.as_dict()
    later = NOON + timedelta(hours=2)
    assert restored.tell(2.5, later) == counter.tell(2.5, later) is True
    assert restored.value == counter.value == pytest.approx(101.5)


@given(
    st.dictionaries(
        st.sampled_from(sorted(Counter(period=Period.DAY).as_dict())),
        st.one_of(st.none(), st.integers(), st.text(), st.floats(), st.lists(st.none())),
    )
)
@settings(max_examples=50, deadline=None, database=None)
def test_restoring_anything(data: dict[str, Any]) -> None:
    counter = Counter(period=Period.DAY)
    counter.restore(data)
    counter.tell(1.0, NOON)
    assert counter.value is not None


# What the portal may say instead of an energy in kWh
_LIES: dict[str, Callable[[float], float | None]] = {
    "truth": lambda today: today,
    "zero": lambda today: 0.0,
    "nothing": lambda today: None,
    "jump": lambda today: today * 1000 + 900,
    "less": lambda today: today * 0.9,
    "negative": lambda today: -today,
}


@given(
    power=st.lists(st.floats(0, 12), min_size=24, max_size=24),
    lies=st.lists(st.tuples(st.sampled_from(sorted(_LIES)), st.integers(1, 25)), max_size=40),
    late=st.integers(0, 40),
    restarts=st.sets(st.integers(0, 2 * 1440), max_size=3),
    every=st.sampled_from([1, 5]),
)
@settings(max_examples=80, deadline=None, database=None)
def test_sum_of_two_days_is_the_plants(
    power: list[float], lies: list[tuple[str, int]], late: int, restarts: set[int], every: int
) -> None:
    """Whatever the portal says for minutes, the energy of two days is the plant's; none is shown too early."""
    counter, life = Counter(period=Period.DAY), Counter(period=Period.LIFE)
    midnight = datetime(2026, 6, 15, tzinfo=BERLIN)
    said = [lie for lie, minutes in lies for _ in range(minutes)]
    total, days, shown_total = 5000.0, [0.0, 0.0, 0.0], 0.0
    last_shown: float | None = None
    start: date | None = None
    for minute in range(2 * 1440 + 181):
        now, day = midnight + minute * MINUTE, minute // 1440
        hour = minute // 60 % 24
        made = power[hour] / 60 if 5 <= hour < 21 else 0.0
        days[day] += made
        total += made
        if minute % every:
            continue
        if minute in restarts:
            for each in (counter, life):
                fresh = Counter(period=each.period)
                fresh.restore(each.as_dict())
                if each is counter:
                    counter = fresh
                else:
                    life = fresh
        # The last three hours are told truly, and so is the first minute.
        lie = _LIES[said[minute] if 0 < minute < min(len(said), 2 * 1440) else "truth"]
        seen = days[day - 1] if day and minute % 1440 < late else days[day]
        if (told := lie(round(seen, 2))) is not None:
            counter.tell(told, now)
        if (told := lie(round(total, 2))) is not None:
            life.tell(told, now)
        assert counter.value is not None and counter.start is not None
        if start != counter.start:
            shown_total += last_shown or 0.0
            start = counter.start
        last_shown = counter.value
        assert counter.value <= max(days[day], days[day - 1] if day else 0.0) + 0.02
    shown_total += last_shown or 0.0
    assert shown_total == pytest.approx(sum(days), abs=0.05)
    assert life.value == pytest.approx(total, abs=0.05)
