"""The time limit of a poll, and errors that only a poll can have."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
import traceback

from .const import LOGGER
from .sources import ResponseError, SourceConnectionError, SourceError


class OutOfTimeError(SourceConnectionError):
    """The time limit of the poll ended before the source answered."""

    def __init__(self) -> None:
        super().__init__("It did not answer within the time of a poll")


class UnexpectedError(ResponseError):
    """An exception that is a bug of this integration.

    Its text may quote the source and is left out. `kind` is the name of its type, `trace` the lines of code.
    """

    def __init__(self, error: Exception) -> None:
        self.kind = type(error).__name__
        self.trace = "".join(traceback.format_tb(error.__traceback__))
        super().__init__(f"The answer caused an unexpected error: {self.kind}")


class TimeLimit:
    """A time limit of `seconds` from now on. It can be started again."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._loop = asyncio.get_running_loop()
        self.start(seconds)

    def start(self, seconds: float) -> None:
        """Start again, for `seconds` from now on."""
        self._end = self._loop.time() + seconds
        self._half = self._end - seconds / 2

    def is_over(self) -> bool:
        """Return whether no time is left."""
        return self._loop.time() >= self._end

    def is_half_over(self) -> bool:
        """Return whether at most half of the time is left."""
        return self._loop.time() >= self._half

    @asynccontextmanager
    async def enforce(self) -> AsyncGenerator[None]:
        """Cancel what runs in this context at the limit. Raises SourceError, no other exception."""
        if self.is_over():
            raise OutOfTimeError
        limit = asyncio.timeout_at(self._end)
        try:
            async with limit:
                yield
        except SourceError:
            raise
        except Exception as error:
            if limit.expired():
                raise OutOfTimeError from error
            raise UnexpectedError(error) from error


class UnexpectedErrorLog:
    """Logs an unexpected error of a thing once, until the thing has been read again."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def update(self, key: str, name: str, error: SourceError | None) -> None:
        """Take the error of the last attempt to read a thing, None if there was none. Other errors are ignored."""
        if error is None:
            self._logged.discard(key)
        elif isinstance(error, UnexpectedError) and key not in self._logged:
            self._logged.add(key)
            LOGGER.warning("%s cannot be read, which is an error of this integration: %s", name, error.kind)
            LOGGER.debug("%s caused by %s at:\n%s", error.kind, name, error.trace)
