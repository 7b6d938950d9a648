"""Rate limiting of the requests to a portal."""

import asyncio
from asyncio import sleep
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from random import uniform
from time import monotonic
from typing import Final

from custom_components.mtec.sources import LONGEST_RETRY_AFTER, BusyError

from .login_budget import LoginBudget

PAUSE: Final = 0.5
"""Seconds between the end of a request and the start of the next."""
BURST: Final = 20
BURST_PAUSE: Final = 0.1
"""So many foreground requests at once wait only for this time, and one more for each that the minute allows later.

The start of a home or a dialog asks for much at once, and little after that.
"""

REQUESTS_A_MINUTE: Final = 30
BACKGROUND_REQUESTS_A_MINUTE: Final = 20
"""Maximum requests in any minute. The difference is reserved for the foreground."""

_MINUTE = 60
_HOUR = 3600

PATIENCE: Final = 10.0
"""Longest time in seconds that a foreground request waits for a busy portal; beyond that it fails at once."""
FIRST_BACKOFF: Final = 2.0
LONGEST_BACKOFF: Final = 300.0
"""Seconds without requests after the first busy answer, and at most after many in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Statistics of the requests of all accounts on a portal; `hold` is the remaining backoff in seconds."""

    requests_last_minute: int
    requests_last_hour: int
    busy_answers: int
    busy_answers_in_a_row: int
    hold: float
    pollers: int


class RateLimiter:
    """The rate limiter of one portal, shared by all its clients.

    It allows one request at a time, with a pause between two and a maximum in any minute, and backs off after a busy
    answer. Background requests wait while a poll runs in the foreground. `pause` is that after a burst, in seconds.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._request = asyncio.Lock()
        self._background = asyncio.Lock()
        self._foreground_polls = 0
        self._no_foreground = asyncio.Event()
        self._no_foreground.set()
        self._ended = -pause
        self._burst = float(BURST)
        self._burst_updated = monotonic()
        self._starts: deque[float] = deque(maxlen=60 * REQUESTS_A_MINUTE)
        self._backoff_until = 0.0
        self._busy_in_a_row = 0
        self._busy_answers = 0
        self._login_budgets: dict[str, LoginBudget] = {}
        self._polls: dict[object, int] = {}

    def login_budget(self, account: str) -> LoginBudget:
        """Return the login budget of an account, by its e-mail."""
        return self._login_budgets.setdefault(account.strip().casefold(), LoginBudget())

    def interval(self, poller: object, requests: int) -> float:
        """Register a poller and return the shortest polling interval in seconds that the limit allows.

        `requests` is the number of requests of one of its polls. All pollers share the limit.
        """
        self._polls[poller] = requests
        return sum(self._polls.values()) * 60 / REQUESTS_A_MINUTE

    def forget(self, poller: object) -> None:
        """Unregister a poller, which leaves its share to the others."""
        self._polls.pop(poller, None)

    @property
    def statistics(self) -> Statistics:
        """Statistics of the last hour."""
        ages = [monotonic() - start for start in self._starts]
        return Statistics(
            requests_last_minute=sum(age < _MINUTE for age in ages),
            requests_last_hour=sum(age < _HOUR for age in ages),
            busy_answers=self._busy_answers,
            busy_answers_in_a_row=self._busy_in_a_row,
            hold=round(self.backoff_remaining, 1),
            pollers=len(self._polls),
        )

    @property
    def backoff_remaining(self) -> float:
        """Remaining seconds without requests after a busy answer, 0.0 if there is no backoff."""
        return max(0.0, self._backoff_until - monotonic())

    def record_busy(self, retry_after: float | None) -> None:
        """Back off after a busy answer, for `retry_after` seconds or longer each time in a row."""
        seconds = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2**self._busy_in_a_row)
        self._busy_in_a_row = min(self._busy_in_a_row + 1, 10)
        self._busy_answers += 1
        if retry_after is not None:
            seconds = min(max(seconds, retry_after), LONGEST_RETRY_AFTER)
        # The jitter only lengthens the backoff: clients shall not return at the same moment, and none too early.
        self._backoff_until = max(self._backoff_until, monotonic() + seconds * uniform(1.0, 1.25))  # noqa: S311

    def record_success(self) -> None:
        """End a row of busy answers."""
        self._busy_in_a_row = 0

    @contextmanager
    def foreground(self) -> Generator[None]:
        """Hold back background requests until the end of this context."""
        self._foreground_polls += 1
        self._no_foreground.clear()
        try:
            yield
        finally:
            self._foreground_polls -= 1
            if not self._foreground_polls:
                self._no_foreground.set()

    @asynccontextmanager
    async def slot(self, *, background: bool = False) -> AsyncGenerator[None]:
        """Wait until a request may be sent, and hold back all others until the end of this context.

        Raises BusyError if the backoff is longer than PATIENCE; a background request waits for its end instead.
        """
        async with self._background if background else nullcontext():
            while True:
                if background:
                    await sleep(self._wait(background=True))
                    await self._no_foreground.wait()
                async with self._request:
                    if background and self._must_yield():
                        continue
                    if not background and (remaining := self.backoff_remaining) > PATIENCE:
                        raise BusyError("The portal was busy and is left alone for a while", remaining)
                    await sleep(self._wait(background=background))
                    self._starts.append(monotonic())
                    if not background:
                        self._burst = max(0.0, self._burst_left() - 1)
                        self._burst_updated = monotonic()
                    try:
                        yield
                    finally:
                        self._ended = monotonic()
                    return

    def _must_yield(self) -> bool:
        """Return whether a background request has to wait again."""
        return bool(self._foreground_polls) or self._wait(background=True) > self._pause

    def _burst_left(self) -> float:
        """Return how many foreground requests may follow with a short pause."""
        return min(float(BURST), self._burst + (monotonic() - self._burst_updated) * REQUESTS_A_MINUTE / _MINUTE)

    def _wait(self, *, background: bool) -> float:
        """Return the seconds until the next request may start."""
        now = monotonic()
        pause = self._pause if background or self._burst_left() < 1 else min(self._pause, BURST_PAUSE)
        most = BACKGROUND_REQUESTS_A_MINUTE if background else REQUESTS_A_MINUTE
        next_in_minute = self._starts[-most] + _MINUTE if len(self._starts) >= most else 0.0
        return max(0.0, self._ended + pause - now, next_in_minute - now, self.backoff_remaining)
