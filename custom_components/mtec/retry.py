"""Repeat a request to a source until it is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from .sources import BusyError, ResponseError, SourceConnectionError, SourceError

RETRY_PAUSES: Final = (10.0, 60.0, 300.0)
"""Seconds before the first, second and every later repetition of a request."""


async def pause(repetitions: int) -> None:
    """Wait before a request is repeated that was repeated this many times."""
    await asyncio.sleep(RETRY_PAUSES[min(repetitions, len(RETRY_PAUSES) - 1)])


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
        await pause(repetitions)
        repetitions += 1


def is_passing(error: SourceError) -> bool:
    """Return whether a source may answer the same request later: it is busy or unreachable."""
    return isinstance(error, BusyError | SourceConnectionError)


def has_pauses_left(repetitions: int) -> bool:
    """Return whether fewer repetitions were made than there are pauses."""
    return repetitions < len(RETRY_PAUSES)


@dataclass(slots=True, kw_only=True)
class Questions:
    """How a long job asks a source: again, while it is busy or unreachable, or if its answer makes no sense.

    A question is repeated as often as there are pauses; with `endless`, a busy or unreachable source is asked until it
    answers. Unless `patient`, somebody waits for the answer to the first question and learns at once that the source is
    busy or unreachable. With `once` nothing is repeated: the whole job is done again later. `on_answer` is called with
    each answer, and `answered` counts them.
    """

    endless: bool = False
    patient: bool = False
    once: bool = False
    on_answer: Callable[[], None] = lambda: None
    answered: int = 0
    _gave_up: bool = False
    """Whether the last answer made no sense to the end: the next question is then not worth the longest pauses."""

    async def ask[AnswerT](self, request: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Return the answer to a request. Raises SourceError."""
        try:
            answer = await retry(request, self._may_retry)
        except ResponseError:
            self._gave_up = True
            raise
        self.answered += 1
        self.on_answer()
        self._gave_up = False
        return answer

    def _may_retry(self, error: SourceError, repetitions: int) -> bool:
        if self.once:
            return False
        is_waited_for = self.answered == 0 and not self.patient
        if is_passing(error):
            return not is_waited_for and (self.endless or has_pauses_left(repetitions))
        if not isinstance(error, ResponseError):
            return False
        return repetitions < 1 if is_waited_for or self._gave_up else has_pauses_left(repetitions)
