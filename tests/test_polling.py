"""Polls in which something fails that nobody expected, or for which there is not enough time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
import logging
from time import monotonic
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_SCAN_INTERVAL
import pytest

from custom_components.mtec.const import GRACE_POLLS, LOOKUP_INTERVAL, POLL_INTERVAL
from custom_components.mtec.portal.api_v1 import ApiV1
from custom_components.mtec.portal.api_v2 import ApiV2
from custom_components.mtec.time_limit import OutOfTimeError, TimeLimit, UnexpectedError
from tests.conftest import GENERATION1, VILLAGE, SetUp
from tests.home import Home, reload
from tests.portal_simulator import BARN, FARM, HOUSE
from tests.portal_simulator.faults import HANG, SLOW

HOUSE_POWER = "sensor.haus_am_see_pv_power"
HOUSE_INVERTER = "sensor.energy_butler_battery_power"
FARM_POWER = "sensor.hof_lindner_pv_power"
FARM_INVERTER = "sensor.wohnhaus_battery_power"
SHED = "sensor.scheune_pv1_power"
SHARE = "sensor.haus_am_see_self_sufficiency_today"


# Exceptions that no answer should cause


def break_reading(
    monkeypatch: pytest.MonkeyPatch, method: str, error: Callable[[], Exception], id_: str = HOUSE.station_id
) -> None:
    """Let what asks for something have an error where it is about one station, or about none."""
    for generation in (ApiV1, ApiV2):
        read = getattr(generation, method)

        async def broken(*args: Any, read: Callable[..., Any] = read) -> Any:
            if id_ in args or len(args) == 2:
                raise error()
            return await read(*args)

        monkeypatch.setattr(generation, method, broken)


ERRORS = [
    lambda: ValueError("year -1 is out of range of erika@example.com"),
    lambda: OverflowError("erika@example.com"),
    lambda: RecursionError("erika@example.com"),
    lambda: TimeoutError("erika@example.com"),
]


@GENERATION1
@pytest.mark.parametrize("error", ERRORS, ids=["value", "overflow", "recursion", "timeout"])
@pytest.mark.parametrize(
    ("method", "alone", "name"),
    [
        ("station_reading", HOUSE_POWER, "Haus am See cannot be read"),
        ("inverter_reading", HOUSE_INVERTER, "Energy Butler cannot be read"),
        ("usage_rows", SHARE, "Haus am See's energy balance cannot be read"),
    ],
)
async def test_unexpected_exception_is_one_things_alone(
    home: Home,
    set_up: SetUp,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    alone: str,
    name: str,
    error: Callable[[], Exception],
) -> None:
    """It is a failed poll of that thing, logged once with its type and, at debug, where it was; not with its text."""
    home.caplog.set_level(logging.DEBUG, "custom_components")
    entry = await set_up()
    with monkeypatch.context() as broken:
        break_reading(broken, method, error)
        await home.poll(GRACE_POLLS, after=timedelta(minutes=5))
        assert not home.unavailable()
        await home.poll(2, after=timedelta(minutes=5))
        coordinators = entry.runtime_data.in_turn()
        [failed] = [coordinator for coordinator in coordinators if coordinator.error is not None]
        assert failed.failed_polls == GRACE_POLLS + 2
        assert failed.error_counts == {type(error()).__name__: GRACE_POLLS + 2}
    assert alone in home.unavailable()
    assert {HOUSE_POWER, HOUSE_INVERTER, FARM_POWER, SHED, SHARE} & home.unavailable() == {alone}
    assert home.said(f"{name}, which is an error of this integration: {type(error()).__name__}") == 1
    assert home.said("in broken") == 1
    assert "erika" not in home.caplog.text
    assert home.said("Traceback") == home.said("Unexpected error") == 0

    await home.poll(after=timedelta(minutes=5))
    assert not home.unavailable()
    break_reading(monkeypatch, method, error)
    await home.poll(after=timedelta(minutes=5))
    assert home.said(f"{name}, which is an error of this integration") == 2


@pytest.mark.parametrize("method", ["inverters", "stations"])
async def test_unexpected_exception_of_a_look_up_changes_nothing(
    home: Home, set_up: SetUp, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What is known is polled on, and the look-up is tried again."""
    await set_up()
    with monkeypatch.context() as broken:
        break_reading(broken, method, ERRORS[0])
        await home.poll(after=LOOKUP_INTERVAL)
        await home.poll(8)
        assert not home.unavailable()
    assert home.said("which is an error of this integration: ValueError") == 1
    assert len(home.complaints()) == 1
    added = home.simulator.accounts[VILLAGE].stations[1].inverters
    added.append(HOUSE.inverters[0])
    looked_up = len([call for call in home.simulator.requests if "Overview" in call.path or "getPage" in call.path])
    await home.poll()
    assert looked_up < len(
        [call for call in home.simulator.requests if "Overview" in call.path or "getPage" in call.path]
    )


@GENERATION1
async def test_set_up_goes_on_without_the_inverters_that_cannot_be_looked_up(
    home: Home, set_up: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_reading(broken, "inverters", ERRORS[1], FARM.station_id)
        await set_up()
        assert HOUSE_INVERTER in home.states()
        assert SHED not in home.states()
    await home.poll()
    assert SHED in home.states()


# A poll has a time limit


async def test_what_runs_is_cut_at_the_limit() -> None:
    """And nothing is begun from then on; what takes no time is read, and an error of its own stays one."""
    started = monotonic()
    limit = TimeLimit(0.2)
    async with limit.enforce():
        pass
    with pytest.raises(UnexpectedError, match="TimeoutError"):
        async with limit.enforce():
            raise TimeoutError
    assert not limit.is_over()
    with pytest.raises(OutOfTimeError):
        async with limit.enforce():
            await asyncio.sleep(30)
    assert limit.is_over()
    assert limit.is_half_over()
    assert 0.15 < monotonic() - started < 5


async def duration_of_poll(home: Home) -> float:
    """Poll once and return the seconds that it took."""
    home.freezer.tick(timedelta(seconds=61))
    started = home.simulator.clock.now()
    await home.poll(after=timedelta(seconds=0))
    return (home.simulator.clock.now() - started).total_seconds()


async def test_poll_that_hangs_ends_in_time(home: Home, set_up: SetUp) -> None:
    """Three stations, every request hangs: a poll takes a minute, with a look-up too; then all is as before."""
    entry = await set_up()
    home.simulator.faults.add("hang")
    for hours in (0, 0, 1, 0, 0):
        home.freezer.tick(hours * LOOKUP_INTERVAL)
        assert await duration_of_poll(home) <= 60 + HANG
    assert home.simulator.faults.struck["hang"] >= 8
    assert home.unavailable() == home.states().keys()
    assert len(home.complaints()) == 1
    home.simulator.faults.clear()
    await home.poll(3)
    assert not home.unavailable()
    assert entry.state is ConfigEntryState.LOADED


async def test_set_up_that_hangs_ends_in_time(home: Home, set_up: SetUp) -> None:
    home.simulator.faults.add("hang")
    started = home.simulator.clock.now()
    await set_up(expected=ConfigEntryState.SETUP_RETRY)
    assert (home.simulator.clock.now() - started).total_seconds() <= 120 + HANG


async def test_slow_portal_gives_everything_in_turns(home: Home, set_up: SetUp, generation: int) -> None:
    """Ten things that take 12 s each do not fit into a minute: each has its turn, and nothing becomes unavailable."""
    entry = await set_up()
    home.simulator.faults.add("slow")
    everything = entry.runtime_data.in_turn()
    for _ in range(12):
        before = {each: each.read_at for each in everything}
        asked = len(home.simulator.requests)
        assert await duration_of_poll(home) <= 60 + SLOW
        # What had no turn has not failed; what was cut off has.
        assert sum(each.error is not None for each in everything) <= 1
        assert 3 <= len(home.simulator.requests) - asked <= 6
        read = sum(each.read_at != before[each] for each in everything)
        # An inverter of version 2 is not asked before its next point is due, and takes no time until then.
        assert 3 <= read <= (5 if generation == 1 else 5 + len(entry.runtime_data.data.inverters))
        assert not home.unavailable()
    now = home.simulator.clock.now()
    for each in everything:
        longest = max(timedelta(minutes=9), each.interval + POLL_INTERVAL)
        assert each.read_at is not None and now - each.read_at < longest, each.name
    assert home.complaints() == []


@pytest.mark.parametrize("seconds", [60, 66])
async def test_poll_asks_what_was_asked_least_recently_first(home: Home, set_up: SetUp, seconds: int) -> None:
    """Stations, then inverters, then energies of the days, then of the years.

    What is left out, or cut off by the limit, is the first next time.

    Within 66 s, five things are read in 12 s each and the sixth is cut off.
    """
    entry = await set_up()
    home.hass.config_entries.async_update_entry(entry, options={CONF_SCAN_INTERVAL: seconds})
    await reload(home.hass, entry)
    account = entry.runtime_data
    order = [
        *account.station_readings.values(),
        *account.inverter_readings.values(),
        *account.daily_energies.values(),
        *account.lifetime_energies.values(),
    ]
    assert account.in_turn() == order
    home.simulator.faults.add("slow")
    home.freezer.tick(timedelta(minutes=5))
    await home.poll(after=timedelta(seconds=seconds))
    read = [each for each in order if each.read_at == order[0].read_at or each.read_at > order[0].read_at]
    assert read == order[: len(read)]
    assert 3 <= len(read) <= 5
    assert account.in_turn() == [*order[len(read) :], *read]


async def test_what_hangs_does_not_take_the_turn_of_the_others(home: Home, set_up: SetUp, generation: int) -> None:
    """One station's requests hang, those of its inverters' list too: the other stations are polled on."""
    await set_up()
    home.simulator.faults.add("hang", matching=HOUSE.station_id)
    await home.poll(6)
    home.freezer.tick(LOOKUP_INTERVAL)
    fresh = 0
    for _ in range(12):
        assert await duration_of_poll(home) <= 60 + HANG
        fresh += home.is_fresh(FARM, FARM_POWER)
    assert HOUSE_POWER in home.unavailable()
    assert not {FARM_POWER, FARM_INVERTER, SHED} & home.unavailable()
    assert fresh >= 6


async def test_lists_that_hang_leave_time_for_the_readings(home: Home, set_up: SetUp) -> None:
    """The lists of inverters are asked for at each poll then, of all three stations."""
    await set_up()
    home.simulator.faults.add("hang", matching="devices/query")
    home.simulator.faults.add("hang", matching="getListByStation")
    home.freezer.tick(LOOKUP_INTERVAL)
    for _ in range(8):
        assert await duration_of_poll(home) <= 60 + HANG
    assert home.simulator.faults.struck["hang"] >= 8
    lists = [call for call in home.simulator.requests if call.faults]
    assert all(any(plant.station_id in f"{each.path} {each.query}" for each in lists) for plant in (HOUSE, BARN, FARM))
    assert not home.unavailable()
    assert home.is_fresh(FARM, FARM_POWER)


@GENERATION1
async def test_what_was_cut_off_has_its_turn_first(home: Home, set_up: SetUp) -> None:
    """Three answers of 25 s do not fit into a minute: the last one is cut off, and is the first at the next poll."""
    entry = await set_up("family@example.com")
    sleep = home.simulator.sleep
    home.simulator.sleep = lambda _: sleep(25)
    home.simulator.faults.add("slow")
    everything = entry.runtime_data.in_turn()
    for coordinator in everything:
        coordinator.interval = timedelta()
    for _ in range(8):
        await duration_of_poll(home)
        assert not home.unavailable()
        assert all(coordinator.failed_polls <= 1 for coordinator in everything)
    assert len(home.simulator.requests) > 20


@GENERATION1
async def test_what_takes_all_the_time_has_had_its_turn(home: Home, set_up: SetUp) -> None:
    """A station that is cut off although it was first is not the first again at the next poll."""
    entry = await set_up("family@example.com")
    account = entry.runtime_data
    [station], [inverter] = account.station_readings.values(), account.inverter_readings.values()

    async def hang() -> Any:
        await home.simulator.sleep(100)
        await asyncio.Event().wait()

    station.fetch = hang
    for _ in range(6):
        await duration_of_poll(home)
    assert station.reading is None
    assert inverter.read_at is not None
    assert home.simulator.clock.now() - inverter.read_at < timedelta(minutes=5)
