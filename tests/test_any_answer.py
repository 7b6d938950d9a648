"""Whatever the portal answers: a result or one of the client's errors, and no secret in any text."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
import json
import logging
import traceback
from typing import Any

import aiohttp
from aiohttp import web
from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.mtec.portal import Client, Credentials, Pacing, PortalError, digest_of, pacing
from tests.odd_portal import OddPortal, odd_portal, raw_server
from tests.portal_simulator import HOUSE, PortalSimulator
from tests.test_client import BERLIN

EMAIL, PASSWORD, TOKEN = "Somebody@Example.com", "correct horse battery", "tOkEn-4f2c9a"
CREDENTIALS = Credentials(EMAIL, digest_of(PASSWORD))
SECRETS = (
    *(EMAIL, PASSWORD, TOKEN, CREDENTIALS.digest),
    b64encode(CREDENTIALS.digest.encode()).decode(),
    EMAIL.replace("@", "%40"),
)
SENT = [secret for secret in SECRETS if secret not in {PASSWORD, TOKEN}]
"""What a portal that nobody has signed in to yet can know."""

SERIAL = HOUSE.inverters[0].serial
QUESTIONS: tuple[Callable[[Client], Awaitable[object]], ...] = (
    lambda client: client.stations(),
    lambda client: client.inverters(HOUSE.station_id),
    lambda client: client.station_reading(HOUSE.station_id),
    lambda client: client.inverter_reading(HOUSE.station_id, SERIAL),
    lambda client: client.day_usage(HOUSE.station_id, date(2026, 6, 14)),
    lambda client: client.month_rows(HOUSE.station_id, 2026, 6),
    lambda client: client.year_rows(HOUSE.station_id, 2026),
    lambda client: client.lifetime_rows(HOUSE.station_id),
)
"""All that a client can be asked."""

type Answer = Callable[[web.Request], Any]


def _sign_in(request: web.Request) -> web.Response:
    body = json.dumps({"code": "1000000", "msg": "", "data": {"token": TOKEN}})
    return web.Response(text=body, content_type="application/json", headers={"token": TOKEN})


@dataclass
class Bench:
    """A portal that answers as it is told, and what is needed to ask it: one event loop for many examples."""

    runner: asyncio.Runner
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    http: aiohttp.ClientSession = field(init=False)
    portal: OddPortal = field(init=False)
    bodies: dict[int, list[bytes]] = field(default_factory=dict)

    async def open(self) -> None:
        """Begin to serve, and note what a portal that is well answers to each question."""
        self.http = await self.stack.enter_async_context(aiohttp.ClientSession())
        self.portal = await self.stack.enter_async_context(odd_portal(_sign_in, login=_sign_in))
        async with PortalSimulator(now=datetime(2026, 6, 15, 10, tzinfo=UTC)) as simulator:
            for generation in (1, 2):
                simulator.speaks = {generation}
                kept = _Keeper()
                async with aiohttp.ClientSession(middlewares=[kept]) as http:
                    credentials = Credentials("family@example.com", digest_of("sunshine"))
                    client = Client(http, credentials, time_zone=BERLIN, url=simulator.url, generation=generation)
                    for question in QUESTIONS:
                        await question(client)
                self.bodies[generation] = kept.bodies

    def client(self, generation: int, url: str | None = None) -> Client:
        """Return a client that has a budget of its own."""
        return Client(
            self.http,
            CREDENTIALS,
            time_zone=BERLIN,
            url=url or self.portal.url,
            pacing=Pacing(0),
            generation=generation,
        )

    async def ask(self, generation: int, question: Callable[[Client], Awaitable[object]]) -> PortalError | None:
        """Ask, and return the error."""
        try:
            await question(self.client(generation))
        except PortalError as error:
            return error
        return None


@dataclass
class _Keeper:
    """Keeps the bodies of answers."""

    bodies: list[bytes] = field(default_factory=list)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        self.bodies.append(await response.read())
        return response


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None) -> None:
    """Let the tests talk to the portal."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, socket_enabled: None) -> Iterator[Bench]:
    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(pacing, "sleep", sleep)
    with asyncio.Runner() as runner:
        bench = Bench(runner)
        runner.run(bench.open())
        yield bench
        runner.run(bench.stack.aclose())


many = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], database=None
)

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["", "--", "1e999", "12.5 kWh", "-0", " 7 ", "2026-02-30", "NaN", 10**400, 2**63, 1e308]),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=3), st.dictionaries(st.text(max_size=4), children, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def bodies(draw: st.DrawFn, valid: list[bytes]) -> bytes:
    """Anything, or a valid answer in which bytes or nodes are changed."""
    kind = draw(st.sampled_from(["bytes", "json", "changed bytes", "changed nodes", "changed nodes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    if kind == "json":
        return json.dumps({"code": draw(st.sampled_from(["1000000", 1000000])), "data": draw(JSON)}).encode()
    body = draw(st.sampled_from(valid))
    if kind == "changed bytes":
        place = draw(st.integers(0, len(body)))
        return body[:place] + draw(st.binary(max_size=6)) + body[place + draw(st.integers(0, 40)) :]
    tree = json.loads(body)
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = tree
        key: Any = "data"
        for _ in range(draw(st.integers(0, 6))):
            node = holder[key]
            if not node or not isinstance(node, dict | list):
                break
            holder = node
            key = draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        holder[key] = draw(JSON)
        if "data" not in tree:
            break
    return json.dumps(tree).encode()


@pytest.mark.parametrize("generation", [1, 2])
def test_any_body_is_a_result_or_an_error(bench: Bench, generation: int) -> None:
    """Anything that is raised but a PortalError fails."""

    @settings(many, max_examples=250)
    @given(body=bodies(bench.bodies[generation]), number=st.integers(0, len(QUESTIONS) - 1))
    def check(body: bytes, number: int) -> None:
        bench.portal.answer = lambda _: body
        bench.runner.run(bench.ask(generation, QUESTIONS[number]))

    check()


@pytest.mark.parametrize("generation", [1, 2])
def test_any_login_is_a_token_or_an_error(bench: Bench, generation: int) -> None:
    @settings(many, max_examples=100)
    @given(body=bodies(bench.bodies[generation]))
    def check(body: bytes) -> None:
        bench.portal.login = lambda _: body
        bench.runner.run(bench.ask(generation, lambda client: client.sign_in()))

    check()


HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)


@settings(many, max_examples=120)
@given(
    status=st.sampled_from([200, 204, 301, 302, 304, 400, 401, 403, 404, 405, 410, 418, 429, 500, 502, 503, 504, 599]),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Date", "Location", "token", "Content-Type", "Set-Cookie"]),
        st.one_of(HEADER, st.sampled_from(["9" * 400, "-1", "²", "Wed, 99 Foo 0000 99:99:99 GMT", "1e9"])),
    ),
    body=st.one_of(st.just(b"<html>"), st.just(b'{"code": "1000000", "data": null}'), st.binary(max_size=20)),
)
def test_any_status_and_headers(bench: Bench, status: int, headers: dict[str, str], body: bytes) -> None:
    def answer(_: web.Request) -> web.Response:
        response = web.Response(status=status, body=None if status in {204, 304} else body)
        response.headers.update({name: value.strip() for name, value in headers.items()})
        return response

    bench.portal.answer = answer
    bench.runner.run(bench.ask(2, QUESTIONS[0]))


# Secrets


def _echo(request: web.Request) -> str:
    """Return all that was received, and more of it than was sent."""
    received = f"{' '.join(SENT)} {EMAIL.upper()} {request.headers.get('token')} {request.headers}"
    return received.replace("\n", " ").replace("\r", " ")


def _envelope(**parts: Any) -> web.Response:
    return web.json_response({"code": "1000000", "msg": "", "data": None} | parts)


SHAPES: dict[str, Callable[[str], web.StreamResponse]] = {
    "message": lambda echo: _envelope(code="5", msg=echo),
    "code": lambda echo: _envelope(code=echo),
    "busy": lambda echo: _envelope(code="3010107", msg=echo),
    "expired": lambda echo: _envelope(code="3010022", msg=echo),
    "auth": lambda echo: _envelope(code=f"auth_{echo}", msg=echo),
    "names": lambda echo: _envelope(
        data={echo: echo, "records": [{"id": {echo: 1}}], "top10List": [{"stationId": 1.5}]}
    ),
    "list": lambda echo: _envelope(data=[echo, {"curve": echo}]),
    "row": lambda echo: _envelope(data={"curve": [{"date": echo, "dateStamp": echo}]}),
    "page": lambda echo: web.Response(text=f"<html>{echo}", content_type="text/html"),
    "text": lambda echo: web.Response(text=echo),
    "redirect": lambda echo: web.Response(status=302, headers={"Location": echo}),
    "headers": lambda echo: web.Response(status=503, headers={"Retry-After": echo, "Date": echo}),
    "encoding": lambda echo: web.Response(body=echo.encode(), headers={"Content-Encoding": "gzip"}),
    "cookie": lambda echo: web.Response(status=500, headers={"Set-Cookie": f"{echo}; {echo}"}),
    "reason": lambda echo: web.Response(status=500, reason=echo, text=echo),
}
"""Ways to send back what was received."""


def _leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


@pytest.mark.parametrize("at", ["login", "answer"])
@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_secret_in_any_text(
    bench: Bench, caplog: pytest.LogCaptureFixture, shape: str, generation: int, at: str
) -> None:
    """Neither in a log line of anybody's, nor in an error or what led to it, nor in a repr."""
    caplog.set_level(logging.DEBUG)
    for name in ("aiohttp", "aiohttp.client", "asyncio", "custom_components.mtec"):
        caplog.set_level(logging.DEBUG, name)

    async def ask_all() -> None:
        # The portal's own side logs what it receives: that is not ours.
        logging.getLogger("aiohttp.server").disabled = logging.getLogger("aiohttp.access").disabled = True
        for question in QUESTIONS:
            client = bench.client(generation)
            try:
                if at == "answer":
                    await client.sign_in()
                await question(client)
            except PortalError as error:
                texts = [str(error), repr(error), *traceback.format_exception(error)]
                assert not _leaks("\n".join(texts))
            assert not _leaks(repr(client) + repr(vars(client)))

    setattr(bench.portal, at, lambda request: SHAPES[shape](_echo(request)))
    bench.runner.run(ask_all())
    assert not _leaks(caplog.text)
    assert not _leaks("\n".join(repr(record.__dict__) for record in caplog.records))


@pytest.mark.parametrize(
    "reply",
    [
        "nonsense {}\r\n\r\n",
        "HTTP/1.1 200 {}\r\n{}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-{}\x00: {}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n",
    ],
)
def test_no_secret_in_broken_answers(bench: Bench, caplog: pytest.LogCaptureFixture, reply: str) -> None:
    caplog.set_level(logging.DEBUG)

    async def ask() -> None:
        async with raw_server(reply.replace("{}", " ".join(SENT)).encode()) as url:
            with pytest.raises(PortalError) as raised:
                await bench.client(1, url).sign_in()
            texts = [str(raised.value), repr(raised.value), *traceback.format_exception(raised.value)]
            assert not _leaks("\n".join(texts))

    bench.runner.run(ask())
    assert not _leaks(caplog.text)


def test_no_secret_in_a_repr() -> None:
    pace = Pacing()
    budget = pace.logins(EMAIL)
    budget.digest, budget.token = CREDENTIALS.digest, TOKEN
    assert not _leaks(f"{CREDENTIALS!r} {CREDENTIALS} {budget!r} {pace!r} {vars(pace).keys()}")
