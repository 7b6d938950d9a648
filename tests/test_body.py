"""The bodies of answers: how much is read of them, how they are unpacked, and where."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from functools import cache
import gzip
import json
import threading
import time
import tracemalloc
from typing import Any
import zlib

import aiohttp
from aiohttp import web
import pytest

from custom_components.mtec.models import Station
from custom_components.mtec.portal import body as body_module
from custom_components.mtec.portal.body import LARGEST, LARGEST_PACKED
from custom_components.mtec.sources import ResponseError, SourceConnectionError, SourceError
from tests.clients import client_of
from tests.odd_portal import endless_server, odd_portal, success

MB = 1024 * 1024


@pytest.fixture(params=[True, False], ids=["unpacks by itself", "does not"])
async def http(request: pytest.FixtureRequest) -> AsyncGenerator[aiohttp.ClientSession]:
    """Any session that a caller may have made."""
    async with aiohttp.ClientSession(auto_decompress=request.param) as session:
        yield session


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """Fail if more memory than this is taken at any time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MB, f"{peak / MB:.0f} MB"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize("encoding", ["", "Content-Encoding: gzip\r\n"], ids=["as it is", "gzip"])
@pytest.mark.parametrize("chunked", [True, False])
async def test_endless_body_ends_at_the_limit(http: aiohttp.ClientSession, encoding: str, *, chunked: bool) -> None:
    """It is an error after 8 MB, or 1 MB of what is compressed, whatever is still to come."""
    piece = b" " * 65536
    framing = "Transfer-Encoding: chunked\r\n" if chunked else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{framing}{encoding}\r\n".encode()
    async with endless_server(head, _chunk(piece) if chunked else piece) as server:
        with at_most(24), pytest.raises(ResponseError, match="too large"):
            await client_of(http, server.url).sign_in()
        # What the sockets hold is sent as well.
        assert server.sent < (LARGEST_PACKED if encoding else LARGEST) + 8 * MB


async def test_announced_500_mb_are_not_read(http: aiohttp.ClientSession) -> None:
    """Nothing of them has to come before it is an error."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n"
    async with endless_server(head, b"") as server:
        with pytest.raises(ResponseError, match="too large"):
            await client_of(http, server.url).sign_in()


@cache
def _bomb(encoding: str, unpacked: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    packed = b"".join([packer.compress(b" " * MB) for _ in range(unpacked // MB)])
    return packed + packer.compress(b" " * (unpacked % MB)) + packer.flush()


@pytest.mark.parametrize("unpacked", [LARGEST + 1, 400 * MB])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_bomb_is_an_error(http: aiohttp.ClientSession, encoding: str, unpacked: int) -> None:
    """398 kB that unpack to 400 MB."""
    bomb = _bomb(encoding, unpacked)
    assert len(bomb) < LARGEST_PACKED

    def answer(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": encoding})

    async with odd_portal(answer) as portal:
        client = client_of(http, portal.url)
        await client.sign_in()
        with at_most(32), pytest.raises(ResponseError, match="too large"):
            await client.stations()


async def test_the_largest_answer_is_read(http: aiohttp.ClientSession) -> None:
    stations = [{"stationId": "1", "stationName": "Haus"}]
    body = json.dumps(success({"top10List": stations})).encode()
    body = body[:-1] + b" " * (LARGEST - len(body)) + b"}"
    async with odd_portal(lambda _: web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})) as p:
        assert await client_of(http, p.url).stations() == [Station(id="1", name="Haus")]
    async with odd_portal(lambda _: body) as portal:
        assert await client_of(http, portal.url).stations() == [Station(id="1", name="Haus")]


NESTED = {
    "lists": b"[" * 50_000 + b"]" * 50_000,
    "objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "ended never": b'{"code": "1000000", "data": ' + b"[" * 7_000_000,
    "behind a text": b'{"code": "1000000", "msg": "\\"]]]]", "data": ' + b'[{"x":' * 50_000 + b"1",
}


@pytest.mark.parametrize("body", NESTED.values(), ids=NESTED)
async def test_deep_nesting_is_an_error_that_takes_no_time(http: aiohttp.ClientSession, body: bytes) -> None:
    """The interpreter takes seconds to find out by itself."""
    async with odd_portal(lambda _: body) as portal:
        client = client_of(http, portal.url)
        await client.sign_in()
        began = time.process_time()
        with at_most(64), pytest.raises(ResponseError, match="not JSON"):
            await client.stations()
        assert time.process_time() - began < 1.5


async def test_brackets_in_texts_are_no_nesting(http: aiohttp.ClientSession) -> None:
    name = '\\" [[{{ ' * 300
    row = b'{"stationId": "1", "stationName": "' + name.encode() + b'"}'
    rows = b", ".join([row] * 3)
    async with odd_portal(lambda _: b'{"code": "1000000", "data": {"top10List": [' + rows + b"]}}") as portal:
        assert len(await client_of(http, portal.url).stations()) == 3


def _raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


ENCODED: dict[str, tuple[str | None, Callable[[bytes], bytes]]] = {
    "none": (None, bytes),
    "identity": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "old gzip": (" X-GZIP", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without a header": ("deflate", _raw_deflate),
    "byte order mark": (None, lambda body: b"\xef\xbb\xbf" + body),
    "UTF-16": (None, lambda body: body.decode().encode("utf-16")),
}


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "text/html;charset=gbk", ""])
@pytest.mark.parametrize(("encoding", "encode"), ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("chunked", [True, False])
async def test_answer_is_read_however_it_is_sent(
    http: aiohttp.ClientSession,
    encoding: str | None,
    encode: Callable[[bytes], bytes],
    content_type: str,
    *,
    chunked: bool,
) -> None:
    body = json.dumps(success({"top10List": [{"stationId": "1", "stationName": "Süd ☀"}]}), ensure_ascii=False)
    accepted: list[str] = []

    def answer(request: web.Request) -> web.Response:
        accepted.append(request.headers["Accept-Encoding"])
        headers = {"Content-Type": content_type}
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        response = web.Response(body=encode(body.encode()), headers=headers)
        if chunked:
            response.enable_chunked_encoding()
        return response

    async with odd_portal(answer) as portal:
        assert await client_of(http, portal.url).stations() == [Station(id="1", name="Süd ☀")]
    assert accepted == ["gzip, deflate"]


@pytest.mark.parametrize(
    ("encoding", "body", "error"),
    [
        ("br", b"\x0b\x02\x80{}\x03", ResponseError),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), ResponseError),
        ("gzip", gzip.compress(b'{"code": "1000000", "data": 1}')[:-9], SourceConnectionError),
        ("deflate", b"\x78\x9cnonsense", SourceConnectionError),
        ("gzip", b"", ResponseError),
    ],
)
async def test_damaged_encoding_is_an_error(
    http: aiohttp.ClientSession, encoding: str, body: bytes, error: type[SourceError]
) -> None:
    async with odd_portal(lambda _: web.Response(body=body, headers={"Content-Encoding": encoding})) as portal:
        client = client_of(http, portal.url)
        await client.sign_in()
        with pytest.raises(error):
            await client.stations()


@pytest.mark.parametrize(
    ("length", "packed", "elsewhere"),
    [(100, False, False), (100, True, True), (70_000, False, True), (LARGEST - 1000, True, True)],
)
async def test_what_takes_long_is_done_in_a_thread(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, length: int, *, packed: bool, elsewhere: bool
) -> None:
    body = json.dumps(success({"top10List": [{"stationId": "1"}], "x": "x" * length})).encode()
    threads: list[int] = []
    parse = vars(body_module)["_parse"]

    def watched(raw: bytes) -> Any:
        threads.append(threading.get_ident())
        return parse(raw)

    def answer(_: web.Request) -> Any:
        return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"}) if packed else body

    async with odd_portal(answer) as portal:
        client = client_of(http, portal.url)
        await client.sign_in()
        monkeypatch.setattr(body_module, "_parse", watched)
        await client.stations()
    assert [thread != threading.get_ident() for thread in threads] == [elsewhere]


def _values(tree: Any) -> int:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return 1 + sum(map(_values, children))


@pytest.mark.parametrize(
    "data",
    [
        {f"name{number}": number for number in range(200_000)},
        [[[list(range(30))] * 30] * 30] * 30,
        {"x" * 1_000_000: "y" * 1_000_000},
    ],
    ids=["names", "lists", "texts"],
)
async def test_the_request_log_keeps_a_part_of_a_large_answer(http: aiohttp.ClientSession, data: Any) -> None:
    async with odd_portal(lambda _: success({"top10List": [], "more": data})) as portal:
        client = client_of(http, portal.url)
        await client.stations()
    [answer] = [answer for answer in client.request_log.answers if "login" not in answer.path]
    assert _values(answer.data) < 6000
    assert len(json.dumps(answer.data)) < 200_000
    assert "more" in str(answer.data) or "characters" in str(answer.data)
