"""The simulated portal as an HTTP server on this machine."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
import gzip
import json
from typing import Self

from aiohttp import web

from . import generation1, generation2
from .certificate import untrusted
from .clock import Clock
from .faults import Faults, InsteadError, spoil
from .portal import BUSY, SUCCESS, Call, Portal, PortalError, Route

_SMALLEST_COMPRESSED = 1024
"""Bytes of an answer that servers usually begin to compress."""

_CALL = web.RequestKey("call", Call)


class PortalSimulator(Portal):
    """The portal, served at `url` while the context is entered.

    `seed` chooses the weather and the households. With `now` the clock stands still there until it is set or advanced;
    without, it is the system's; `running` lets a clock that begins at `now` run on.

    `speaks` has the generations of the API that the portal answers; change it to move the portal from one to the other.
    What it does not speak it answers with HTTP 404, or with a page if `silent_page` is true.

    `requests` has every request received, in order. `delay` is the seconds the portal takes for each answer; while one
    request of an address is being answered, others of the same address are refused as busy.

    With `compresses` a large answer is compressed for a client that accepts gzip; whether the real portal does is not
    known.

    `faults` is what goes wrong; `sleep` is how those wait that take time. With `tls` it is served over TLS, with a
    certificate that nobody trusts.

    Where a test freezes the time, the event loop's clock stands still too: a `delay` lasts until time is moved.
    """

    def __init__(
        self, seed: int = 1, now: datetime | None = None, *, running: bool = False, port: int = 0, tls: bool = False
    ) -> None:
        super().__init__(seed, Clock(now, running=running))
        self.url = ""
        self.requests: list[Call] = []
        self.delay = 0.0
        self.speaks = {1, 2}
        self.silent_page = False
        self.compresses = False
        self.faults = Faults()
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._port = port
        self._tls = tls
        self._busy: set[str | None] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Begin to serve."""
        app = web.Application(middlewares=[self._receive])
        for route in (*generation1.ROUTES, *generation2.ROUTES):
            app.router.add_route(route.method, route.path, self._handler(route))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            await web.TCPSite(
                self._runner, "127.0.0.1", self._port, ssl_context=untrusted() if self._tls else None
            ).start()
        except OSError:
            await self._runner.cleanup()
            raise
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cease to serve."""
        if self._runner:
            await self._runner.cleanup()

    @web.middleware
    async def _receive(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Log a request, and refuse it while another of the same address is being answered."""
        loop = asyncio.get_running_loop()
        call = Call(request.method, request.path, dict(request.query), request.headers, loop.time())
        self.requests.append(call)
        request[_CALL] = call
        try:
            if request.remote in self._busy:
                call.body = _parsed(await request.read())
                return self._envelope(call, BUSY, "The system is busy, please try again later", None)
            self._busy.add(request.remote)
            try:
                call.body = _parsed(await request.read())
                await asyncio.sleep(self.delay)
                response = await self._answer(call, request, handler)
            finally:
                self._busy.discard(request.remote)
        except web.HTTPException as error:
            call.status = error.status
            raise
        finally:
            call.ended = loop.time()
        return response

    async def _answer(
        self, call: Call, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer a request, and let the faults strike it before and after."""
        strikes = self.faults.strike(self, call, request, self.sleep)
        try:
            for strike in strikes:
                if strike.fault.before is not None:
                    await strike.fault.before(strike)
            response = await handler(request)
        except PortalError as error:
            response = self._envelope(call, error.code, error.message, None)
        except InsteadError as instead:
            response = instead.response
        spoil(response, strikes)
        for strike in strikes:
            if strike.fault.after is not None:
                await strike.fault.after(strike)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            if self.compresses and _can_be_compressed(request, response, len(response.body)):
                response.headers["Content-Encoding"] = "gzip"
                response.body = gzip.compress(response.body)
            call.sent = len(response.body)
        return response

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            call = request[_CALL]
            if route.generation not in self.speaks:
                return self._silence(call)
            try:
                return self._envelope(call, SUCCESS, "success", route.answer(self, call))
            except PortalError as error:
                return self._envelope(call, error.code, error.message, None)

        return handle

    def _silence(self, call: Call) -> web.Response:
        """The answer of a portal that does not speak a generation."""
        call.status = 200 if self.silent_page else 404
        if self.silent_page:
            return web.Response(text="<!DOCTYPE html><title>Portal</title>", content_type="text/html")
        return web.Response(status=404, text="404: Not Found")

    def _envelope(self, call: Call, code: str, message: str, data: object) -> web.Response:
        call.status, call.code = 200, code
        time = self.clock.now().strftime("%Y-%m-%d %H:%M:%S")
        envelope = {"code": code, "msg": message, "data": data, "time": time}
        return web.json_response(envelope, headers=call.answer_headers)


def _can_be_compressed(request: web.Request, response: web.Response, size: int) -> bool:
    """Whether an answer is worth it, and the client asks for it."""
    encodings = [each.partition(";")[0].strip() for each in request.headers.get("Accept-Encoding", "").split(",")]
    return size >= _SMALLEST_COMPRESSED and "gzip" in encodings and "Content-Encoding" not in response.headers


def _parsed(body: bytes) -> object:
    """The body's JSON, None if there is none or it is malformed."""
    try:
        parsed: object = json.loads(body)
    except ValueError:
        return None
    return parsed
