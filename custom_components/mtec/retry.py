"""Repeat a request to a source until it is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from .sources import BusyError, SourceConnectionError, SourceError

RETRY_PAUSES: Final = (10.0, 60.0, 300.0)
"""Seconds before the first, second and every later repetition of a request."""


async def retry[AnswerT](
    request: Callable[[], Awaitable[AnswerT]], may_retry: Callable[[SourceError, int], bool]
) -> AnswerT:
    """Return the answer to a request, repeated after a pause while `may_retry` allows it.

    `may_retry` gets the error and the number of repetitions so far. Raises the error that it does not allow.
    """
    repetitions = 0
    while True:
        try:
            return await request()
        except SourceError as error:
            if not may_retry(error, repetitions):
                raise
        await asyncio.sleep(RETRY_PAUSES[min(repetitions, len(RETRY_PAUSES) - 1)])
        repetitions += 1


def is_passing(error: SourceError) -> bool:
    """Return whether a source may answer the same request later: it is busy or unreachable."""
    return isinstance(error, BusyError | SourceConnectionError)


def has_pauses_left(repetitions: int) -> bool:
    """Return whether fewer repetitions were made than there are pauses."""
    return repetitions < len(RETRY_PAUSES)
