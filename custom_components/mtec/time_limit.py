"""How long a poll may take, and what is left of an exception that nobody expected."""

import asyncio
from collections.abc import Awaitable, Callable
import traceback

from .sources import ResponseError, SourceConnectionError, SourceError


class OutOfTimeError(SourceConnectionError):
    """The time of the poll was over before the portal answered."""


class UnreadableError(ResponseError):
    """An exception that no answer of the portal should cause. Its own text may have the portal's words: it is left out.

    `kind` is the name of its type, `trace` the lines of code that it passed.
    """

    def __init__(self, error: Exception) -> None:
        self.kind = type(error).__name__
        self.trace = "".join(traceback.format_tb(error.__traceback__))
        super().__init__(f"The portal's answer caused an unexpected error: {self.kind}")


class TimeLimit:
    """The `seconds` from now on that a poll may take."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + seconds
        self._half = self._end - seconds / 2

    def is_over(self) -> bool:
        """Whether nothing more is to be asked for."""
        return self._loop.time() >= self._end

    def is_half_over(self) -> bool:
        """Whether only half of the time is left, or less."""
        return self._loop.time() >= self._half

    async def read[T](self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` does, which is cut off at the limit. Raises a SourceError, whatever `read` raises."""
        limit = asyncio.timeout_at(self._end)
        try:
            async with limit:
                return await read()
        except SourceError:
            raise
        except Exception as error:
            if limit.expired():
                raise OutOfTimeError("The portal did not answer within the time of a poll") from error
            raise UnreadableError(error) from error
