"""How requests are spread so that the portal is never crowded."""

import asyncio
from types import TracebackType

PAUSE = 1.0
"""Seconds between the end of a request and the start of the next."""


class Pacing:
    """One request at a time, a pause between two. Use it as an async context manager around each request.

    Everything that talks to one portal shares one instance.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._turn = asyncio.Lock()
        self._next_start = 0.0

    async def __aenter__(self) -> None:
        await self._turn.acquire()
        try:
            await asyncio.sleep(max(0.0, self._next_start - asyncio.get_running_loop().time()))
        except asyncio.CancelledError:
            self._turn.release()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next_start = asyncio.get_running_loop().time() + self._pause
        self._turn.release()
