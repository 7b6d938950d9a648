"""A portal that answers whatever a test wants it to: a real server on loopback."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import json
from typing import Any

from aiohttp import web

TOKEN = "the-token-nobody-may-see"
SIGNED_IN = {"code": "1000000", "msg": "success", "data": {"token": TOKEN}}
"""A login's answer in generation 1; in generation 2 it does not count."""


@dataclass
class OddPortal:
    """Signs everybody in and answers everything else, or with `login` that too, with `answer`."""

    answer: Callable[[web.Request], web.StreamResponse | bytes | dict[str, Any]]
    login: Callable[[web.Request], web.StreamResponse | bytes | dict[str, Any]] = lambda _: SIGNED_IN
    url: str = ""
    paths: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        answer = (self.login if "/login" in request.path else self.answer)(request)
        if isinstance(answer, dict):
            answer = json.dumps(answer).encode()
        return web.Response(body=answer, content_type="application/json") if isinstance(answer, bytes) else answer


@asynccontextmanager
async def odd_portal(
    answer: Callable[[web.Request], web.StreamResponse | bytes | dict[str, Any]], **attributes: Any
) -> AsyncGenerator[OddPortal]:
    """Serve an OddPortal."""
    portal = OddPortal(answer, **attributes)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", portal.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    portal.url = f"http://{host}:{port}"
    try:
        yield portal
    finally:
        await runner.cleanup()


def success(data: Any) -> dict[str, Any]:
    """Return an envelope of the portal."""
    return {"code": "1000000", "msg": "success", "data": data}


@asynccontextmanager
async def raw_server(reply: bytes | None) -> AsyncGenerator[str]:
    """Serve an address whose every connection is sent `reply` and closed; None: taken and never answered."""
    never = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if reply is None:
            await never.wait()
        else:
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        never.set()
        server.close()
        await server.wait_closed()


@dataclass
class EndlessServer:
    """An address whose every answer never ends; `sent` counts the bytes of bodies that somebody took."""

    url: str = ""
    sent: int = 0


@asynccontextmanager
async def endless_server(head: bytes, piece: bytes) -> AsyncGenerator[EndlessServer]:
    """Serve an address that answers with `head` and then `piece` again and again, until the connection is closed."""
    served = EndlessServer()
    stop = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        try:
            while piece and not stop.is_set():
                writer.write(piece)
                await writer.drain()
                served.sent += len(piece)
            # An answer without a body is one that is still to come.
            await (reader.read() if not piece else stop.wait())
        except ConnectionError:
            pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    served.url = f"http://{host}:{port}"
    try:
        yield served
    finally:
        stop.set()
        server.close()
        await server.wait_closed()
