"""Whatever the portal answers: a result or one of the client's errors, and no secret in any text."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime
import json
import logging
import math
import traceback
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web
from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from custom_components.mtec.portal import Client, Connection, Credentials, RateLimiter, digest_of, rate_limiter
from custom_components.mtec.sources import SourceError
from tests.clients import BERLIN
from tests.odd_portal import OddPortal, odd_portal, raw_server, success
from tests.portal_simulator import HOUSE, Call, PortalSimulator

EMAIL, PASSWORD, TOKEN = "Somebody@Example.com", "correct horse battery", "tOkEn-4f2c9a"
CREDENTIALS = Credentials(EMAIL, digest_of(PASSWORD))
SECRETS = (
    *(EMAIL, PASSWORD, TOKEN, CREDENTIALS.digest),
    b64encode(CREDENTIALS.digest.encode()).decode(),
    EMAIL.replace("@", "%40"),
)
RENEWED = "Fresh-20771144"
"""The token that an answer of generation 2 brings: it could be taken for a code."""
SENT = [secret for secret in SECRETS if secret not in {PASSWORD, TOKEN}]
"""What a portal that nobody has signed in to yet can know."""

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "for an address": lambda secret: quote(secret, safe=""),
    "for an address twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "for JSON": lambda secret: secret.replace("@", "\\u0040").replace("=", "\\u003d"),
    "for a page": lambda secret: secret.replace("@", "&#64;").replace("=", "&#x3D;"),
    "base64": lambda secret: b64encode(secret.encode()).decode(),
    "base64 unpadded": lambda secret: b64encode(secret.encode()).decode().rstrip("="),
    "cut": lambda secret: secret[: len(secret) * 2 // 3],
    "the end": lambda secret: secret[-len(secret) // 2 :],
}
"""Ways in which a portal writes what it was sent."""

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
    answers: dict[int, list[dict[str, bytes]]] = field(default_factory=dict)
    """What a portal that is well answers to each question, by generation and path."""

    async def open(self) -> None:
        """Begin to serve, and note what a portal that is well answers to each question."""
        self.http = await self.stack.enter_async_context(aiohttp.ClientSession())
        self.portal = await self.stack.enter_async_context(odd_portal(_sign_in, login=_sign_in))
        async with PortalSimulator(now=datetime(2026, 6, 15, 10, tzinfo=UTC)) as simulator:
            for generation in (1, 2):
                simulator.speaks = {generation}
                simulator.requests.clear()
                credentials = Credentials("family@example.com", digest_of("sunshine"))
                client = Client(
                    Connection(self.http, credentials, time_zone=BERLIN, url=simulator.url, api_version=generation)
                )
                self.bodies[generation] = []
                self.answers[generation] = []
                for question in QUESTIONS:
                    known = len(simulator.requests)
                    await question(client)
                    answers = {call.path: await self._body(simulator, call) for call in simulator.requests[known:]}
                    self.answers[generation].append(answers)
                    self.bodies[generation] += answers.values()

    async def _body(self, simulator: PortalSimulator, call: Call) -> bytes:
        """Ask a simulator the same once more and return the body of its answer."""
        headers = {name: call.headers[name] for name in ("Authorization", "token") if name in call.headers}
        async with self.http.request(
            call.method, f"{simulator.url}{call.path}", params=call.query, json=call.body, headers=headers
        ) as response:
            return await response.read()

    def client(self, generation: int, url: str | None = None) -> Client:
        """Return a client that has a budget of its own."""
        return Client(
            Connection(
                self.http,
                CREDENTIALS,
                time_zone=BERLIN,
                url=url or self.portal.url,
                rate_limiter=RateLimiter(0),
                api_version=generation,
            )
        )

    async def ask(self, generation: int, question: Callable[[Client], Awaitable[object]]) -> SourceError | None:
        """Ask, and return the error. A result has to make sense."""
        client = self.client(generation)
        try:
            result = await question(client)
        except SourceError as error:
            return error
        _check(result)
        json.dumps([answer.data for answer in client.request_log.answers], ensure_ascii=False).encode()
        return None


def _check(result: Any) -> None:
    """Fail if a result has what nobody can store: a number that is none, half a character, a moment of no plant."""
    for each in _parts(result):
        _check(each)
    match result:
        case float():
            assert math.isfinite(result)
        case int():
            assert abs(result) < 2**64
        case str():
            result.encode()
        case date():
            assert 2000 <= result.year <= 2100


def _parts(result: Any) -> list[Any]:
    """Return what a result consists of."""
    if is_dataclass(result) and not isinstance(result, type):
        return [getattr(result, each.name) for each in fields(result)]
    if isinstance(result, dict):
        return [*result, *result.values()]
    return [*result] if isinstance(result, list | tuple) else []


@pytest.fixture(autouse=True)
def _ready(socket_enabled: None) -> None:
    """Let the tests talk to the portal."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, socket_enabled: None) -> Iterator[Bench]:
    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(rate_limiter, "sleep", sleep)
    with asyncio.Runner() as runner:
        bench = Bench(runner)
        runner.run(bench.open())
        yield bench
        runner.run(bench.stack.aclose())


many = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], database=None
)

OFFENDERS: tuple[Any, ...] = (
    *(-1e20, "-1e20", 253402290000000, "253402290000000", -62135596800000, 1e305, -1e305, "1e305 GWh", 9999),
    *("9999-12-31 23:59:59", "0001-01-01", "9999-12-31T23:59:59-23:59", "PV" + "9" * 4301, "9" * 4301),
    *("0x" + "f" * 5000, "0x" + "f" * 17, "1" + " " * 5000 + "x", "Solar \ud83c", "\ude00", float("inf"), float("nan")),
    *("Temperature" + "9" * 4301, "\x00", [], {}),
)
"""What is no value at all, or none that can be stored."""

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["", "--", "1e999", "12.5 kWh", "-0", " 7 ", "2026-02-30", "NaN", 10**400, 2**63, 1e308]),
        st.sampled_from(OFFENDERS),
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
    """Anything that is raised but a SourceError fails."""

    @settings(many, max_examples=250)
    @given(body=bodies(bench.bodies[generation]), number=st.integers(0, len(QUESTIONS) - 1))
    def check(body: bytes, number: int) -> None:
        bench.portal.answer = lambda _: body
        bench.runner.run(bench.ask(generation, QUESTIONS[number]))

    check()


def _names(tree: Any) -> set[str]:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return set().union(tree if isinstance(tree, dict) else (), *map(_names, children))


def _with(tree: Any, name: str, value: Any) -> Any:
    """Return a tree in which a value stands wherever it has a name."""
    if isinstance(tree, list):
        return [_with(child, name, value) for child in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: value if key == name else _with(child, name, value) for key, child in tree.items()}


@pytest.mark.parametrize("offender", OFFENDERS, ids=lambda offender: repr(offender)[:20])
@pytest.mark.parametrize("generation", [1, 2])
def test_each_value_that_offends_is_a_result_or_an_error(bench: Bench, generation: int, offender: Any) -> None:
    """Wherever it stands. Each value of each answer is replaced in turn."""

    async def ask_all() -> None:
        everything = {path: body for answers in bench.answers[generation] for path, body in answers.items()}
        for question, answers in zip(QUESTIONS, bench.answers[generation], strict=True):
            for path, body in answers.items():
                data = json.loads(body)["data"]
                for name in () if "/login" in path else sorted(_names(data)):
                    changed = {**everything, **answers, path: json.dumps(success(_with(data, name, offender))).encode()}
                    bench.portal.answer = lambda request, changed=changed: changed.get(request.path, b"")  # type: ignore[misc]
                    await bench.ask(generation, question)

    bench.runner.run(ask_all())


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
    sent = [*SENT, RENEWED, request.headers.get("Authorization") or request.headers.get("token") or ""]
    received = f"{' '.join(encode(each) for each in sent for encode in ENCODINGS.values())} {request.headers}"
    return received.replace("\n", " ").replace("\r", " ")


def _envelope(**parts: Any) -> web.Response:
    return web.json_response({"code": "1000000", "msg": "", "data": None} | parts)


SHAPES: dict[str, Callable[[str], web.StreamResponse]] = {
    "message": lambda echo: _envelope(code="5", msg=echo),
    "code": lambda echo: _envelope(code=echo),
    "busy": lambda echo: _envelope(code="3010107", msg=echo),
    "expired": lambda echo: _envelope(code="3010022", msg=echo),
    "auth": lambda echo: _envelope(code=f"auth_{echo}", msg=echo),
    "nameless": lambda echo: web.json_response({echo: echo, "data": {echo: 1}}),
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
    """Return the parts of secrets that a text has, in whichever encoding."""
    text = text.lower()
    whole = [encode(secret).lower() for secret in (*SECRETS, RENEWED) for encode in ENCODINGS.values()]
    hidden = (CREDENTIALS.digest, TOKEN, RENEWED, *(b64encode(each.encode()).decode() for each in (EMAIL, TOKEN)))
    cut = [each[place : place + 7].lower() for each in hidden for place in range(len(each) - 6)]
    return [secret for secret in (*whole, *cut) if secret in text]


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
            except SourceError as error:
                texts = [str(error), repr(error), *traceback.format_exception(error)]
                assert not _leaks("\n".join(texts))
            assert not _leaks(repr(client) + repr(vars(client)))

    def answer(request: web.Request) -> web.StreamResponse:
        response = SHAPES[shape](_echo(request))
        if at == "answer":
            response.headers["token"] = RENEWED
        return response

    setattr(bench.portal, at, answer)
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
            with pytest.raises(SourceError) as raised:
                await bench.client(1, url).sign_in()
            texts = [str(raised.value), repr(raised.value), *traceback.format_exception(raised.value)]
            assert not _leaks("\n".join(texts))

    bench.runner.run(ask())
    assert not _leaks(caplog.text)


@pytest.mark.parametrize("prefix", ["", "auth_", "E"])
@pytest.mark.parametrize(
    ("generation", "secret"),
    [
        *((generation, secret) for generation in (1, 2) for secret in ("family2024", "ldab0815", "86753091", "53091")),
        *((1, secret) for secret in ("12345678", "34567")),
        *((2, secret) for secret in ("93031117", "xx930311", RENEWED, "Fresh-2077")),
    ],
)
def test_no_secret_is_taken_for_a_code(bench: Bench, generation: int, secret: str, prefix: str) -> None:
    """Each looks like a code, and is the user's name, or a part of the hash or of a token, old or new."""
    credentials = Credentials("family2024@example.com", "8675309186753091aldab0815ffff930")
    bench.portal.login = lambda _: web.json_response(
        {"code": "1000000", "data": {"token": "tok-12345678"}}, headers={"token": "xx93031117"}
    )
    bench.portal.answer = lambda _: web.json_response({"code": prefix + secret}, headers={"token": RENEWED})
    client = Client(
        Connection(
            bench.http,
            credentials,
            time_zone=BERLIN,
            url=bench.portal.url,
            rate_limiter=RateLimiter(0),
            api_version=generation,
        )
    )
    with pytest.raises(SourceError, match="unusual code"):
        bench.runner.run(client.stations())


def test_a_code_is_shown(bench: Bench) -> None:
    """It is what a person can report."""
    for code in ("3010404", "auth_1001", "E-17", 500):
        bench.portal.login = lambda _, code=code: _envelope(code=code, msg="no")  # type: ignore[misc]
        error = bench.runner.run(bench.ask(2, lambda client: client.sign_in()))
        assert str(error) == f"The portal refuses to sign in (code {code})"


@pytest.mark.parametrize(
    "code", ["", "ask Jane Doe", "+43 664 1234567", "066412345678", "no\nway", "x" * 100, {"a": "b"}]
)
def test_a_code_that_is_none_is_not_shown(bench: Bench, code: Any) -> None:
    """It may be anything, of anybody."""
    bench.portal.login = lambda _: _envelope(code=code, msg="no")
    error = bench.runner.run(bench.ask(2, lambda client: client.sign_in()))
    assert str(error) == "The portal refuses to sign in (an unusual code)"


def test_no_secret_in_a_repr() -> None:
    limiter = RateLimiter()
    budget = limiter.login_budget(EMAIL)
    budget.digest, budget.token = CREDENTIALS.digest, TOKEN
    assert not _leaks(f"{CREDENTIALS!r} {CREDENTIALS} {budget!r} {limiter!r} {vars(limiter).keys()}")
