"""Measurements of the client of the portal, against the portal simulator: parsing, bytes and requests, waiting."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
import json
import time
from typing import Any, Final
from zoneinfo import ZoneInfo

import aiohttp

from cli.app import run
from custom_components.mtec.portal import (
    Client,
    Connection,
    Credentials,
    RateLimiter,
    api_v2,
    body as body_module,
    digest_of,
    rate_limiter,
)
from custom_components.mtec.portal.api import Api, Request
from custom_components.mtec.portal.api_v1 import ApiV1
from custom_components.mtec.portal.api_v2 import ApiV2
from custom_components.mtec.portal.request_log import RequestLog
from scripts.benchmark_table import Row
from tests.portal_simulator import HOUSE, PortalSimulator

ZONE: Final = ZoneInfo("Europe/Berlin")
EMAIL, PASSWORD = "family@example.com", "sunshine"
EVENING: Final = datetime(2026, 6, 15, 21, 55, 10, tzinfo=UTC)
"""The end of a day in the zone of the house, when an answer of its inverter is largest."""
MIDNIGHT: Final = datetime(2026, 6, 14, 22, 0, 10, tzinfo=UTC)
MINUTES_A_DAY: Final = 1440
REPETITIONS: Final = 7
"""Of each measured time the shortest of so many counts: what is longer was disturbed."""
PORTALS_TIME: Final = 0.2
"""Seconds that the simulator takes for an answer where waiting is measured."""
LARGE: Final = 100_000
"""Bytes of an answer from which it counts as a large one."""

STATION, INVERTER = HOUSE.station_id, HOUSE.inverters[0].serial


@asynccontextmanager
async def simulated(version: int, now: datetime) -> AsyncGenerator[tuple[PortalSimulator, Client]]:
    """Provide a portal of one version of the API, whose clock stands at `now`, and a client that is not slowed down."""
    limit, today = rate_limiter.REQUESTS_A_MINUTE, api_v2._now  # noqa: SLF001
    async with PortalSimulator(1, now) as portal, aiohttp.ClientSession() as http:
        portal.speaks = {version}
        vars(rate_limiter)["REQUESTS_A_MINUTE"] = 1_000_000
        vars(api_v2)["_now"] = lambda zone: portal.clock.now().astimezone(zone)
        try:
            credentials = Credentials(EMAIL, digest_of(PASSWORD))
            limiter = RateLimiter(0)
            client = Client(
                Connection(http, credentials, time_zone=ZONE, url=portal.url, rate_limiter=limiter, api_version=version)
            )
            await client.inverters(STATION)
            portal.requests.clear()
            yield portal, client
        finally:
            vars(rate_limiter)["REQUESTS_A_MINUTE"] = limit
            vars(api_v2)["_now"] = today


# Parsing


def _seconds(function: Callable[[], object], repetitions: int) -> float:
    """Return the shortest process time that a call takes."""
    found = []
    for _ in range(REPETITIONS):
        began = time.process_time()
        for _ in range(repetitions):
            function()
        found.append((time.process_time() - began) / repetitions)
    return min(found)


def _finished(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("It waits for something")


class _Replay:
    """The answers of a portal by their path, read from their bytes as if they had just arrived."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.asked = ""
        self._log = RequestLog()

    async def send(self, request: Request) -> Any:
        """Return the data of the answer to a request."""
        self.asked = request.path
        body = body_module._parse(self.bodies[request.path])  # noqa: SLF001
        self._log.record_answer(request.path, request.params, body.tree["data"], body.size)
        return body.tree["data"]


async def _recorded(version: int) -> _Replay:
    """Return the answers of a portal of one version of the API."""
    replay = _Replay()
    async with simulated(version, EVENING) as (portal, client):
        parse = body_module._parse  # noqa: SLF001

        def watched(raw: bytes) -> Any:
            replay.bodies[portal.requests[-1].path.lstrip("/")] = raw
            return parse(raw)

        vars(body_module)["_parse"] = watched
        try:
            await client.inverters(STATION)
            await client.station_reading(STATION)
            await client.inverter_reading(STATION, INVERTER)
            await client.day_curve(STATION, EVENING.date())
        finally:
            vars(body_module)["_parse"] = parse
    return replay


async def parsing() -> list[Row]:
    """Measure what it costs to make a reading of an answer's bytes, beyond `json.loads` of the same bytes."""
    rows = []
    for version, api in ((1, ApiV1(ZONE)), (2, ApiV2(ZONE))):
        replay = await _recorded(version)
        await api.inverters(replay.send, STATION)
        questions: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "station": lambda api=api, send=replay.send: api.station_reading(send, STATION),
            "inverter": lambda api=api, send=replay.send: api.inverter_reading(send, STATION, INVERTER),
            "day": lambda api=api, send=replay.send: api.day_usage(send, STATION, EVENING.date(), 120),
        }
        for name, question in questions.items():
            rows += _parsing_rows(f"version {version}, {name}", replay, api, question)
    return rows


def _parsing_rows(
    name: str, replay: _Replay, api: Api, question: Callable[[], Coroutine[Any, Any, object]]
) -> Iterator[Row]:
    def ask() -> None:
        # An inverter of version 2 is not asked again for a point that is known.
        vars(api).get("_polls", {}).clear()
        _finished(question())

    ask()
    path = replay.asked
    raw = replay.bodies[path]
    repetitions = max(3, 1_000_000 // len(raw))
    yardstick = _seconds(lambda: json.loads(raw), repetitions)
    goal = "at most 1.3" if len(raw) > LARGE else "at most 2.5"
    for what, function in (
        ("parsed and logged", lambda: _finished(replay.send(Request(method="GET", path=path)))),
        ("to a reading", ask),
    ):
        seconds = _seconds(function, repetitions)
        yield Row(
            f"{name} ({len(raw)} bytes) {what} / json.loads",
            f"{seconds * 1e6:.1f} µs",
            f"{seconds / yardstick:.2f}",
            goal,
        )


# Bytes and requests of a day


async def _polled(version: int, *, compresses: bool, names: Sequence[str]) -> Row:
    """Return requests, bytes and the processor time of a day that is polled each minute."""
    async with simulated(version, MIDNIGHT) as (portal, client):
        portal.compresses = compresses
        portal.token_lifetime = timedelta(days=2)
        for _ in range(MINUTES_A_DAY):
            if "station" in names:
                await client.station_reading(STATION)
            await client.inverter_reading(STATION, INVERTER)
            portal.clock.advance(timedelta(minutes=1))
        sent = sum(call.sent for call in portal.requests)
        count = len(portal.requests)
    return Row(
        f"a day of {' and '.join(names)}, version {version}{', compressed' if compresses else ''}",
        f"{sent / 1e6:.1f} MB in {count} requests",
        f"{count / MINUTES_A_DAY:.2f} requests a minute",
        "under 25 MB" if version == 2 and compresses else "",  # noqa: PLR2004
    )


async def day_of_an_inverter() -> list[Row]:
    """Measure what a day of an inverter of version 2 costs, polled each minute."""
    return [await _polled(2, compresses=compresses, names=["inverter"]) for compresses in (True, False)]


async def day_of_a_home() -> list[Row]:
    """Measure what a day of a home of version 1 costs, polled each minute."""
    return [await _polled(1, compresses=False, names=["station", "inverter"])]


# Waiting for the command line


async def command_line() -> list[Row]:
    """Measure how long a person waits for curves on the command line."""
    rows = []
    async with PortalSimulator(1) as portal:
        portal.delay = PORTALS_TIME
        words = ["--url", portal.url, "--email", EMAIL, "--password", PASSWORD, "usage", "--type", "day"]
        for what, days, goal in (("a fortnight", 14, "at most 10 s"), ("a month", 31, "the minute's budget")):
            portal.requests.clear()
            end = portal.clock.now().astimezone(ZONE).date() - timedelta(days=1)
            start = end - timedelta(days=days - 1)
            began = time.monotonic()
            with redirect_stdout(StringIO()) as output:
                code = await run([*words, "--start", f"{start}", "--end", f"{end}"])
            seconds = time.monotonic() - began
            if code or len(output.getvalue().splitlines()) < 288 * days:
                raise RuntimeError(f"The command line failed with {code}")
            rows.append(
                Row(
                    f"{what} of curves on the command line, a portal that answers in {PORTALS_TIME} s",
                    f"{seconds:.1f} s in {len(portal.requests)} requests",
                    "",
                    goal,
                )
            )
    return rows
