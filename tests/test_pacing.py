"""The request budget: what the portal sees of it, over real HTTP."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import date, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import aiohttp
from aiohttp import web
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_SCAN_INTERVAL
from homeassistant.core import HomeAssistant
from homeassistant.helpers.update_coordinator import UpdateFailed
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from cli import app as cli_app
from custom_components.mtec.account import Account
from custom_components.mtec.portal import Client, Connection, Credentials, RateLimiter, digest_of
from custom_components.mtec.portal.login_budget import LoginBudget
from custom_components.mtec.portal.rate_limiter import (
    BACKGROUND_REQUESTS_A_MINUTE,
    BURST,
    BURST_PAUSE,
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    PAUSE,
    REQUESTS_A_MINUTE,
)
from custom_components.mtec.sources import (
    LONGEST_RETRY_AFTER,
    AuthenticationError,
    BusyError,
    ResponseError,
    SourceError,
)
from tests.clients import BERLIN, CREDENTIALS
from tests.conftest import FAMILY, NOON, SetUp
from tests.home import Home, add_account, entry_at, most_in, reload
from tests.odd_portal import odd_portal, success
from tests.portal_simulator import BARN, FAULTS, HOUSE, Call, PortalSimulator, copies_of
from tests.portal_simulator.faults import Fault, InsteadError, Strike

pytestmark = pytest.mark.usefixtures("home")

STATION_NOW = {1: "getSingleStationDataV2", 2: "getSingleStationOverview"}


@pytest.fixture
def generation() -> int:
    """The budget is the same in both generations."""
    return 1


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def _client(
    http: aiohttp.ClientSession, url: str, limiter: RateLimiter, credentials: Credentials = CREDENTIALS
) -> Client:
    return Client(Connection(http, credentials, time_zone=BERLIN, url=url, rate_limiter=limiter))


def _family(http: aiohttp.ClientSession, simulator: PortalSimulator, limiter: RateLimiter) -> Client:
    return _client(http, simulator.url, limiter, Credentials(FAMILY, digest_of("sunshine")))


def is_login(call: Call) -> bool:
    return "/login" in call.path


def is_background(call: Call) -> bool:
    return "devices" in call.path


async def test_one_at_a_time_with_a_pause_and_a_maximum_a_minute(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    """Whoever asks: several callers, several accounts, in the background or not."""
    limiter = RateLimiter()
    clients = [
        _family(http, simulator, limiter),
        _client(http, simulator.url, limiter, Credentials("barn@example.com", digest_of("haystack"))),
        Client(_family(http, simulator, limiter).connection, background=True),
    ]
    await asyncio.gather(*(client.stations() for client in clients for _ in range(30)))

    calls = simulator.requests
    assert len(calls) >= 92
    assert {call.code for call in calls} == {"1000000"}
    pauses = _pauses(calls)
    assert min(pauses) >= BURST_PAUSE - 1e-6
    minutes = (calls[-1].started - calls[0].started) / 60
    assert sum(pause < PAUSE - 1e-6 for pause in pauses) <= BURST + minutes * REQUESTS_A_MINUTE
    assert most_in(calls, 60) <= REQUESTS_A_MINUTE
    assert most_in(calls, 60) > REQUESTS_A_MINUTE * 0.6


def test_limits_that_protect_the_portal() -> None:
    """Faster is no reason to loosen them: sister portals lock an address out for an unknown time."""
    assert REQUESTS_A_MINUTE <= 30
    assert BACKGROUND_REQUESTS_A_MINUTE <= 20
    assert BURST < REQUESTS_A_MINUTE
    assert BURST_PAUSE >= 0.1
    assert PAUSE >= 0.5


def _pauses(calls: list[Call]) -> list[float]:
    """Return the seconds between the end of each request and the start of the next."""
    return [after.started - before.ended for before, after in pairwise(calls) if before.ended is not None]


async def test_burst_is_quick_and_the_minute_keeps_its_budget(
    http: aiohttp.ClientSession, simulator: PortalSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """What a home asks for at its start takes little longer than the portal's answers; then there is nothing left."""
    client = _family(http, simulator, RateLimiter())
    for _ in range(3):
        simulator.requests.clear()
        for _ in range(50):
            await client.stations()
        calls = simulator.requests
        assert calls[BURST - 1].started - calls[0].started < BURST * (BURST_PAUSE + 0.1)
        pauses = _pauses(calls)
        assert min(pauses) >= BURST_PAUSE - 1e-6
        assert sum(pause < PAUSE - 1e-6 for pause in pauses[: REQUESTS_A_MINUTE - 1]) <= BURST + 2
        assert most_in(calls, 60) == REQUESTS_A_MINUTE
        # A pause of a minute fills the bucket again.
        freezer.tick(60)


async def test_burst_is_for_the_foreground(http: aiohttp.ClientSession, simulator: PortalSimulator) -> None:
    """A long job keeps its pauses, and takes nothing from what the next poll may ask for quickly."""
    limiter = RateLimiter()
    client = _family(http, simulator, limiter)
    await client.sign_in()
    for _ in range(12):
        await Client(client.connection, background=True).inverters(HOUSE.station_id)
    for _ in range(10):
        await client.stations()
    pauses = _pauses(simulator.requests)
    assert min(pauses[:12]) >= PAUSE - 1e-6
    assert max(pauses[12:]) < PAUSE / 2


async def test_burst_waits_for_the_time_that_a_busy_portal_asked_for(
    http: aiohttp.ClientSession, simulator: PortalSimulator
) -> None:
    client = _family(http, simulator, RateLimiter())
    await client.sign_in()
    simulator.faults.add("busy", times=1)
    await client.stations()
    assert max(_pauses(simulator.requests)) >= FIRST_BACKOFF


@pytest.mark.parametrize(("days", "seconds"), [(14, 4), (31, 65)])
async def test_curves_on_the_command_line_wait_no_longer_than_the_budget(
    simulator: PortalSimulator, capsys: pytest.CaptureFixture[str], days: int, seconds: float
) -> None:
    """Nobody else polls there: a fortnight is a burst, a month has a request or two more than a minute allows."""
    end = NOON.date() - timedelta(days=1)
    start = end - timedelta(days=days - 1)
    account = ["--url", simulator.url, "--email", FAMILY, "--password", "sunshine", "--time-zone", "Europe/Berlin"]
    assert await cli_app.run([*account, "usage", "--type", "day", "--start", f"{start}", "--end", f"{end}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 288 * days
    calls = simulator.requests
    assert sum("queryStationCurve" in call.path for call in calls) == days
    assert calls[-1].started - calls[0].started < seconds
    assert most_in(calls, 60) <= REQUESTS_A_MINUTE
    assert min(_pauses(calls)) >= BURST_PAUSE - 1e-6


async def test_polling_goes_first_while_a_job_runs(
    http: aiohttp.ClientSession, simulator: PortalSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Once a poll has begun, the job asks nothing before it is over but what it was asking; yet it gets on."""
    limiter = RateLimiter()
    client = _family(http, simulator, limiter)
    await client.sign_in()
    job = asyncio.gather(*(Client(client.connection, background=True).inverters(HOUSE.station_id) for _ in range(60)))
    for _ in range(3):
        while sum(map(is_background, simulator.requests)) % 15 != 14:
            await asyncio.sleep(0)
        begun = len(simulator.requests)
        with limiter.foreground():
            for _ in range(6):
                await client.station_reading(HOUSE.station_id)
        polled = simulator.requests[begun:]
        assert sum(map(is_background, polled)) <= 1
        assert sum(STATION_NOW[1] in call.path for call in polled) == 6
        while sum(map(is_background, simulator.requests)) % 15 == 14:
            await asyncio.sleep(0)
    await job
    assert most_in(simulator.requests, 60, is_background) <= BACKGROUND_REQUESTS_A_MINUTE
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE


async def test_polling_goes_first_in_home_assistant(home: Home, set_up: SetUp) -> None:
    """A long job of the same account delays no poll: every minute has its values."""
    entry = await set_up(FAMILY)
    coordinator, simulator = entry.runtime_data, home.simulator
    month = date(2026, 5, 1)
    days = (month + timedelta(days=number) for number in range(31))
    client = Client(coordinator.client.connection, background=True)
    job = asyncio.gather(*(client.day_usage(HOUSE.station_id, day) for day in days))
    for count in (5, 10, 15, 20):
        while sum("queryStationCurve" in call.path for call in simulator.requests) < count:
            await asyncio.sleep(0)
        asked = len(simulator.requests)
        await coordinator.async_refresh()
        assert home.is_fresh(HOUSE, "sensor.haus_am_see_pv_power")
        assert sum("queryStationCurve" in call.path for call in simulator.requests[asked:]) <= 1
    assert len(await job) == 31
    assert {call.code for call in simulator.requests} == {"1000000"}
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE
    assert home.complaints() == []


async def test_busy_answers_back_off_with_jitter(
    http: aiohttp.ClientSession, simulator: PortalSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """Each busy answer in a row doubles the time the portal is left alone, up to a limit; an answer ends that."""
    limiter = RateLimiter()
    client = _family(http, simulator, limiter)
    await client.sign_in()
    simulator.faults.add("busy")
    holds = []
    for _ in range(12):
        asked = len(simulator.requests)
        with pytest.raises(BusyError):
            await client.stations()
        assert len(simulator.requests) - asked <= 2
        holds.append(limiter.backoff_remaining)
        asked = len(simulator.requests)
        if limiter.backoff_remaining > 10:
            with pytest.raises(BusyError, match="left alone"):
                await client.stations()
            assert len(simulator.requests) == asked
        freezer.tick(limiter.backoff_remaining + 0.1)
    assert all(later > earlier for earlier, later in pairwise(holds[:5]))
    assert all(LONGEST_BACKOFF <= hold <= LONGEST_BACKOFF * 1.25 for hold in holds[8:])
    assert len({round(hold, 3) for hold in holds[8:]}) > 1

    simulator.faults.clear()
    await client.stations()
    simulator.faults.add("http_503", times=1)
    before = simulator.clock.now()
    await client.stations()
    assert (
        timedelta(seconds=FIRST_BACKOFF) <= simulator.clock.now() - before < timedelta(seconds=FIRST_BACKOFF * 1.25 + 1)
    )


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("90", 90),
        ("120.5", FIRST_BACKOFF),
        ("soon", FIRST_BACKOFF),
        ("999999", LONGEST_RETRY_AFTER),
        (150, 150),
        (-60, FIRST_BACKOFF),
    ],
)
async def test_retry_after_is_honoured(
    http: aiohttp.ClientSession, freezer: FrozenDateTimeFactory, retry_after: str | int, seconds: float
) -> None:
    """In seconds, or as a date: by the portal's own clock, which may be years off."""
    portals_now = NOON.replace(year=2019)

    def refuse(_: web.Request) -> web.StreamResponse:
        date_ = (
            format_datetime(portals_now + timedelta(seconds=retry_after), usegmt=True)
            if isinstance(retry_after, int)
            else retry_after
        )
        return web.Response(
            status=429, headers={"Retry-After": date_, "Date": format_datetime(portals_now, usegmt=True)}
        )

    answers: list[Any] = [refuse]

    def answer(request: web.Request) -> Any:
        return answers[-1](request)

    async with odd_portal(answer) as portal:
        limiter = RateLimiter()
        client = _client(http, portal.url, limiter)
        with pytest.raises(BusyError):
            await client.stations()
        if seconds > 10:
            assert seconds <= limiter.backoff_remaining <= seconds * 1.25
            freezer.tick(seconds - 15)
            asked = len(portal.paths)
            with pytest.raises(BusyError, match="left alone"):
                await client.stations()
            assert len(portal.paths) == asked
            freezer.tick(seconds * 0.25 + 16)
        answers.append(lambda _: success({"top10List": []}))
        assert await client.stations() == []


async def test_pause_of_years_is_one_of_an_hour(
    home: Home, set_up: SetUp, monkeypatch: pytest.MonkeyPatch, generation: int
) -> None:
    """`Retry-After: 999999999` at one poll: Home Assistant polls again after an hour and what is added at random."""

    async def strike(strike: Strike) -> None:
        strike.call.status = 429
        raise InsteadError(web.Response(status=429, headers={"Retry-After": "999999999"}))

    monkeypatch.setitem(FAULTS, "retry_after_years", Fault(about="HTTP 429 for years", before=strike))
    entry = await set_up(FAMILY)
    simulator = home.simulator
    account: Account = entry.runtime_data
    simulator.faults.add("retry_after_years", times=1)
    await home.poll(6)
    assert simulator.faults.struck["retry_after_years"] == 1
    assert home.unavailable()
    error = account.last_exception
    assert isinstance(error, UpdateFailed)
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 3600
    await home.poll(after=timedelta(hours=1.25))
    await home.poll(2)
    assert not home.unavailable()
    assert home.is_fresh(HOUSE, "sensor.haus_am_see_pv_power")


def test_hold_does_not_shrink() -> None:
    """A busy answer without a word on the time is no reason to come back before the time that another asked for."""
    limiter = RateLimiter()
    limiter.record_busy(600)
    limiter.record_busy(None)
    assert 590 < limiter.backoff_remaining <= 750
    limiter.record_busy(1200)
    assert limiter.backoff_remaining > 1190
    limiter.record_busy(999999999)
    assert limiter.backoff_remaining <= 3600 * 1.25


@pytest.mark.parametrize("fault", ["reset", "hang", "http_503", "malformed"])
async def test_pause_after_a_request_that_failed(
    http: aiohttp.ClientSession, simulator: PortalSimulator, fault: str
) -> None:
    """The next one comes no sooner than after one that succeeded."""
    client = _family(http, simulator, RateLimiter())
    await client.sign_in()
    simulator.faults.add(fault, times=1)
    for _ in range(2):
        # A busy portal is asked a second time by the same call.
        with suppress(SourceError):
            await client.day_usage(HOUSE.station_id, date(2026, 6, 1))
    before, after = simulator.requests[1:3]
    assert before.faults == (fault,)
    assert before.ended is not None
    # A connection that hangs is given up by the client before the portal ends it.
    assert after.started - min(before.ended, before.started + 30) >= BURST_PAUSE - 1e-6


async def test_two_entries_on_the_same_portal_share_one_pace(home: Home, set_up: SetUp) -> None:
    simulator = home.simulator
    first = await set_up(FAMILY)
    second = await set_up("barn@example.com")
    assert first.runtime_data.rate_limiter is second.runtime_data.rate_limiter
    simulator.requests.clear()
    await home.poll(10)
    assert {call.account for call in simulator.requests} == {FAMILY, "barn@example.com"}
    assert {call.code for call in simulator.requests} == {"1000000"}
    for before, after in pairwise(simulator.requests):
        assert before.ended is not None
        assert after.started >= before.ended

    simulator.faults.add("retry_after", times=1)
    asked = len(simulator.requests)
    await home.poll()
    # The one that was told to wait speaks for both.
    assert len(simulator.requests) == asked + 1
    assert not home.unavailable()


async def test_many_stations_stretch_the_interval(home: Home, set_up: SetUp) -> None:
    """It says so once, and the portal is asked no more than the budget allows."""
    simulator = home.simulator
    simulator.accounts[FAMILY].stations[:] = copies_of(BARN, 24)
    entry = await set_up(FAMILY)
    interval = entry.runtime_data.interval
    assert interval == timedelta(seconds=118)
    await home.poll(5, after=interval)
    await home.poll(2, after=timedelta(hours=1))
    assert home.said("not to crowd the portal") == 1
    assert not home.unavailable()
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE

    # A second account of that portal shares what there is.
    barn = await set_up("barn@example.com")
    assert barn.runtime_data.interval > timedelta(seconds=118)


@pytest.mark.parametrize("stations", [3, 24, 50])
async def test_polls_begin_as_often_as_announced(home: Home, set_up: SetUp, stations: int) -> None:
    """From start to start, however long a poll takes."""
    simulator = home.simulator
    simulator.accounts[FAMILY].stations[:] = copies_of(BARN, stations)
    announced = (await set_up(FAMILY)).runtime_data.interval
    simulator.requests.clear()
    end = home.simulator.clock.now() + 5.5 * announced
    while home.simulator.clock.now() < end:
        home.freezer.tick(announced / 50)
        async_fire_time_changed(home.hass)
        await home.hass.async_block_till_done(wait_background_tasks=True)
    starts = [call.started for call in simulator.requests if STATION_NOW[1] in call.path and "1" in call.query.values()]
    assert len(starts) >= 5
    real = (starts[-1] - starts[0]) / (len(starts) - 1)
    assert real == pytest.approx(announced.total_seconds(), rel=0.1)
    assert most_in(simulator.requests, 60) <= REQUESTS_A_MINUTE


@pytest.mark.parametrize("seconds", [30, 60, 3600])
async def test_interval_is_an_option(home: Home, set_up: SetUp, hass: HomeAssistant, seconds: int) -> None:
    entry = await set_up(FAMILY)
    assert entry.runtime_data.interval == timedelta(seconds=60)
    hass.config_entries.async_update_entry(entry, options={CONF_SCAN_INTERVAL: seconds})
    await reload(hass, entry)
    await hass.async_block_till_done()
    assert entry.runtime_data.interval == timedelta(seconds=seconds)
    home.simulator.requests.clear()
    for _ in range(4):
        await home.poll(after=timedelta(seconds=seconds))
    assert sum(STATION_NOW[1] in call.path for call in home.simulator.requests) == 4
    assert not home.unavailable()


# Logins


def _refused_in_a_row(calls: list[Call]) -> int:
    longest = current = 0
    for call in filter(is_login, calls):
        current = 0 if call.code == "1000000" else current + 1
        longest = max(longest, current)
    return longest


@pytest.mark.parametrize(
    "faults",
    [
        {"expired": 1.0},
        {"page": 1.0},
        {"maintenance": 1.0},
        {"login_refused": 0.5, "expired": 1.0},
        {"null_nodes": 1.0, "expired": 0.5},
        {"hang": 0.2, "reset": 0.2, "expired": 0.5, "page": 0.3, "malformed": 0.3},
    ],
    ids="+".join,
)
async def test_never_more_than_ten_logins_an_hour(
    http: aiohttp.ClientSession,
    simulator: PortalSimulator,
    freezer: FrozenDateTimeFactory,
    faults: dict[str, float],
) -> None:
    """Whatever the portal answers, for five hours; nor more than three refused logins in a row."""
    limiter = RateLimiter(0)
    clients = [_family(http, simulator, limiter) for _ in range(2)]
    for name, probability in faults.items():
        simulator.faults.add(name, probability=probability)
    for _ in range(600):
        for client in clients:
            try:
                await client.station_reading(HOUSE.station_id)
            except AuthenticationError:
                assert _refused_in_a_row(simulator.requests) == 3
            except SourceError:
                pass
        freezer.tick(30)
    assert 1 < most_in(simulator.requests, 3600, is_login) <= 10
    assert _refused_in_a_row([call for call in simulator.requests if call.status == 200 and call.code]) <= 3


async def test_pause_says_why(
    http: aiohttp.ClientSession, simulator: PortalSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """A refused password is not too many logins, nor is a portal that does not answer."""
    client = _family(http, simulator, RateLimiter(0))

    async def said() -> str:
        with pytest.raises(BusyError) as caught:
            await client.station_reading(HOUSE.station_id)
        assert len(simulator.requests) == count
        return str(caught.value)

    await client.stations()
    simulator.expire_tokens()
    simulator.accounts[FAMILY].password = "moonlight"
    with pytest.raises(BusyError):
        await client.station_reading(HOUSE.station_id)
    count = len(simulator.requests)
    assert "refused the password" in await said()

    simulator.accounts[FAMILY].password = "sunshine"
    freezer.tick(120)
    await client.station_reading(HOUSE.station_id)
    simulator.expire_tokens()
    simulator.faults.add("null_nodes")
    freezer.tick(7200)
    with pytest.raises(SourceError):
        await client.station_reading(HOUSE.station_id)
    count = len(simulator.requests)
    assert "no usable answer" in await said()


def test_too_many_logins_are_said() -> None:
    budget = LoginBudget()
    for _ in range(10):
        budget.spend("", asked=True)
    with pytest.raises(BusyError, match="too often"):
        budget.spend("", asked=True)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_requests_do_not_become_logins(
    http: aiohttp.ClientSession, freezer: FrozenDateTimeFactory, status: int
) -> None:
    async with odd_portal(lambda _: web.Response(status=status)) as portal:
        client = _client(http, portal.url, RateLimiter(0))
        logins: list[float] = []
        for minute in range(240):
            known = sum("/login" in path for path in portal.paths)
            with pytest.raises(SourceError):
                await client.stations()
            logins += [60.0 * minute] * (sum("/login" in path for path in portal.paths) - known)
            freezer.tick(60)
        assert all(sum(start <= login < start + 3600 for login in logins) <= 10 for start in logins)


async def test_set_up_that_fails_again_and_again_signs_in_once(home: Home) -> None:
    """Home Assistant tries it for hours."""
    simulator = home.simulator
    simulator.faults.add("malformed", matching="RunningOverview")
    entry = entry_at(simulator.url, FAMILY, "sunshine")
    await add_account(home.hass, entry)
    await home.poll(90)
    assert home.hass.states.async_entity_ids("sensor") == []
    assert 5 < len(simulator.requests) < 100
    assert most_in(simulator.requests, 3600, is_login) <= 2
    simulator.faults.clear()
    await home.poll(12)
    assert entry.state is ConfigEntryState.LOADED


async def test_token_of_before_is_used_after_a_reload(home: Home, set_up: SetUp) -> None:
    """Ten reloads in a row are no logins."""
    entry = await set_up(FAMILY)
    for _ in range(10):
        await reload(home.hass, entry)
        await home.hass.async_block_till_done()
        assert entry.state is ConfigEntryState.LOADED
    assert sum(map(is_login, home.simulator.requests)) == 1


async def test_logins_that_nobody_asked_for_are_three_and_one_more_each_quarter_of_an_hour(
    http: aiohttp.ClientSession, simulator: PortalSimulator, freezer: FrozenDateTimeFactory
) -> None:
    """A portal that forgets every session at once."""
    client = _family(http, simulator, RateLimiter(0))
    simulator.faults.add("expired")
    began = simulator.clock.now()
    while simulator.clock.now() - began < timedelta(hours=2):
        with pytest.raises(SourceError):
            await client.stations()
        freezer.tick(20)
    starts = [call.started for call in simulator.requests if is_login(call)]
    assert [round(later - earlier) for earlier, later in pairwise(starts)] == [0, 20, 880, *[900] * 6]


@pytest.mark.parametrize("status", [404, 405, 410, 200])
async def test_login_paths_that_do_not_exist_cost_logins_too(
    http: aiohttp.ClientSession, freezer: FrozenDateTimeFactory, status: int
) -> None:
    """A portal that has neither generation's login is asked no more often for it than any other."""
    times: list[float] = []

    def login(_: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        return web.Response(status=status, text="<html>")

    async with odd_portal(lambda _: web.Response(status=404), login=login) as portal:
        client = _client(http, portal.url, RateLimiter(0))
        for minute in range(300):
            with pytest.raises(SourceError):
                await (client.sign_in() if minute % 7 == 0 else client.stations())
            freezer.tick(60)
    most = max(sum(start <= time < start + 3599 for time in times) for start in times)
    assert 4 <= most <= 10


async def test_unasked_login_paths_leave_the_rest_to_the_person(
    http: aiohttp.ClientSession, freezer: FrozenDateTimeFactory
) -> None:
    """Of ten in an hour."""
    async with odd_portal(lambda _: web.Response(status=404), login=lambda _: web.Response(status=404)) as portal:
        client = _client(http, portal.url, RateLimiter(0))
        for _ in range(59):
            with pytest.raises(SourceError):
                await client.stations()
            freezer.tick(60)
        assert 5 <= len(portal.paths) <= 7
        asked = len(portal.paths)
        with pytest.raises(ResponseError):
            await client.sign_in()
        assert len(portal.paths) == asked + 2


async def test_both_login_paths_are_tried_in_turn_though_only_one_login_is_left(
    http: aiohttp.ClientSession, freezer: FrozenDateTimeFactory
) -> None:
    """A portal that is back speaks the one that would never be tried if all began with the other.

    Each set-up that fails is tried again with a client of its own.
    """
    well = False

    def login(request: web.Request) -> web.StreamResponse:
        if well and request.path.startswith("/monitor/"):
            return web.json_response(success(None), headers={"token": "t"})
        return web.Response(status=404)

    async with odd_portal(lambda _: success({"records": []}), login=login) as portal:
        limiter = RateLimiter(0)
        for _ in range(120):
            with pytest.raises(SourceError):
                await _client(http, portal.url, limiter).stations()
            freezer.tick(60)
        well = True
        answered = 0
        for _ in range(31):
            client = _client(http, portal.url, limiter)
            try:
                answered += await client.stations() == []
            except SourceError:
                freezer.tick(60)
        assert answered
        assert client.api_version == 2


async def test_login_that_was_lost_is_not_tried_again_at_once(
    http: aiohttp.ClientSession, freezer: FrozenDateTimeFactory
) -> None:
    """What else is asked for in the same poll does not try: half a minute later it is tried."""
    async with odd_portal(lambda _: success({}), login=lambda _: success({})) as portal:
        client = Client(
            Connection(http, CREDENTIALS, time_zone=BERLIN, url=portal.url, rate_limiter=RateLimiter(0), api_version=1)
        )
        with pytest.raises(ResponseError, match="no token"):
            await client.stations()
        assert len(portal.paths) == 1
        for wait in (0, 15, 14):
            freezer.tick(wait)
            with pytest.raises(BusyError):
                await client.inverters("1")
            assert len(portal.paths) == 1
        freezer.tick(2)
        with pytest.raises(ResponseError):
            await client.inverters("1")
        assert len(portal.paths) == 2


async def test_login_that_nobody_answered_is_not_tried_again_at_once(
    http: aiohttp.ClientSession, simulator: PortalSimulator, freezer: FrozenDateTimeFactory
) -> None:
    client = _family(http, simulator, RateLimiter(0))
    simulator.faults.add("reset")
    with pytest.raises(SourceError):
        await client.stations()
    freezer.tick(20)
    with pytest.raises(BusyError):
        await client.stations()
    assert sum(map(is_login, simulator.requests)) == 1
