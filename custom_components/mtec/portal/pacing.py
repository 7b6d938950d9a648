"""How requests are spread so that the portal is never crowded: the request budget."""

import asyncio
from asyncio import sleep
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from random import uniform
from time import monotonic
from typing import Final

from custom_components.mtec.sources import (
    LONGEST_RETRY_AFTER,
    BusyError,
)

PAUSE: Final = 0.5
"""Seconds between the end of a request and the start of the next."""

REQUESTS_A_MINUTE: Final = 30
"""Requests in any minute; long jobs in the background leave the difference to the polling."""
BACKGROUND_REQUESTS_A_MINUTE: Final = 20

_MINUTE = 60
_HOUR = 3600

PATIENCE: Final = 10.0
"""Seconds a request waits for a busy portal; beyond them it fails at once."""
FIRST_HOLD: Final = 2.0
LONGEST_HOLD: Final = 300.0
"""Seconds that nothing is asked after one busy answer, and at the most after many in a row."""

LOGINS_AN_HOUR: Final = 10
"""Logins of an account in any hour."""
LOGINS_AT_ONCE: Final = 3
LOGIN_REGAINED: Final = 900.0
"""Logins one after another that nobody asked for, and the seconds after which there may be one more: 7 in any hour.

The rest is left to the person who signs in.
"""
REFUSED_LOGINS: Final = 3
"""Refused logins in a row after which only the person can help."""
AFTER_REFUSED_LOGIN: Final = (60.0, 300.0)
"""Seconds until a login that was refused is tried again: it may be maintenance."""
AFTER_LOST_LOGIN: Final = 30.0
"""Seconds until the next login after one that brought nothing: what else is asked for in a poll does not try again."""


@dataclass(slots=True)
class LoginBudget:
    """The logins of one account: never many, so that it is not locked out.

    `refused` counts the logins refused in a row with the same digest. The `token` of the last login, and the
    `generation` of the API that gave it, serve whoever signs in to the account next: none logs in again without need.
    `try_first` is the generation to begin with, None if none was tried.
    """

    digest: str = field(default="", repr=False)
    refused: int = 0
    not_before: float = 0.0
    left: float = LOGINS_AT_ONCE
    times: deque[float] = field(default_factory=lambda: deque(maxlen=LOGINS_AN_HOUR))
    updated: float = field(default_factory=monotonic)
    token: str | None = field(default=None, repr=False)
    generation: int | None = None
    try_first: int | None = None

    @property
    def exhausted(self) -> bool:
        """Whether only another password can help."""
        return self.refused >= REFUSED_LOGINS

    def spend(self, digest: str, *, asked: bool) -> None:
        """Spend a login; `asked` is one that a person asks for. Raises BusyError if none is left for now."""
        now = monotonic()
        if digest != self.digest:
            self.digest, self.refused, self.not_before, self.token = digest, 0, 0.0, None
        self.left = min(LOGINS_AT_ONCE, self.left + (now - self.updated) / LOGIN_REGAINED)
        self.updated = now
        wait = self.times[0] + 3600 - now if len(self.times) == LOGINS_AN_HOUR else 0.0
        if not asked:
            wait = max(wait, self.not_before - now, (1 - self.left) * LOGIN_REGAINED)
        # Less is the rounding of the division.
        if wait > 1e-6:  # noqa: PLR2004
            raise BusyError("The account has signed in too often lately and waits a while", wait)
        self.times.append(now)
        if not asked:
            self.left -= 1

    def regain(self, logins: int, *, asked: bool) -> None:
        """Take back logins at paths that the portal does not have, once it answered a login at another.

        They still count among those of an hour.
        """
        if not asked:
            self.left = min(LOGINS_AT_ONCE, self.left + logins)

    def forget_refusals(self) -> None:
        """Note that the portal accepted a login, or that a person asks for another."""
        self.refused, self.not_before = 0, 0.0

    def was_lost(self) -> None:
        """Note that the portal's answer to a login made no sense, or never came."""
        self.not_before = max(self.not_before, monotonic() + AFTER_LOST_LOGIN)

    def was_refused(self) -> None:
        """Note that the portal refused a login."""
        self.not_before = monotonic() + AFTER_REFUSED_LOGIN[min(self.refused, len(AFTER_REFUSED_LOGIN) - 1)]
        self.refused += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How a portal was asked lately, by all accounts on it; `hold` is the seconds it is still to be left alone."""

    requests_last_minute: int
    requests_last_hour: int
    busy_answers: int
    busy_answers_in_a_row: int
    hold: float
    pollers: int


class Pacing:
    """The request budget of one portal; everything that talks to it shares one instance.

    One request at a time, a pause between two, a maximum a minute, nothing for a while after a busy answer, and
    whoever polls goes before long jobs in the background.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._turn = asyncio.Lock()
        self._background = asyncio.Lock()
        self._pollers = 0
        self._nobody_polls = asyncio.Event()
        self._nobody_polls.set()
        self._next_start = 0.0
        self._starts: deque[float] = deque(maxlen=60 * REQUESTS_A_MINUTE)
        self._hold_until = 0.0
        self._busy_in_a_row = 0
        self._busy_answers = 0
        self._logins: dict[str, LoginBudget] = {}
        self._polls: dict[object, int] = {}

    def logins(self, account: str) -> LoginBudget:
        """Return the login budget of an account, by its e-mail."""
        return self._logins.setdefault(account.strip().casefold(), LoginBudget())

    def interval(self, poller: object, requests: int) -> float:
        """Return the seconds that a poll of `requests` requests needs at the least, with all other pollers' in mind."""
        self._polls[poller] = requests
        return sum(self._polls.values()) * 60 / REQUESTS_A_MINUTE

    def forget(self, poller: object) -> None:
        """Leave the budget of a poller that polls no more to the others."""
        self._polls.pop(poller, None)

    @property
    def statistics(self) -> Statistics:
        """How the portal was asked lately."""
        ages = [monotonic() - start for start in self._starts]
        return Statistics(
            requests_last_minute=sum(age < _MINUTE for age in ages),
            requests_last_hour=sum(age < _HOUR for age in ages),
            busy_answers=self._busy_answers,
            busy_answers_in_a_row=self._busy_in_a_row,
            hold=round(self.hold, 1),
            pollers=len(self._polls),
        )

    @property
    def hold(self) -> float:
        """Seconds for which the portal is to be left alone."""
        return max(0.0, self._hold_until - monotonic())

    def busy(self, retry_after: float | None) -> None:
        """Leave the portal alone after a busy answer: as long as it asks for, or longer each time in a row."""
        seconds = min(LONGEST_HOLD, FIRST_HOLD * 2**self._busy_in_a_row)
        self._busy_in_a_row = min(self._busy_in_a_row + 1, 10)
        self._busy_answers += 1
        if retry_after is not None:
            seconds = min(max(seconds, retry_after), LONGEST_RETRY_AFTER)
        # Jitter: not all of the portal's clients shall come back at the same moment, nor any too early.
        self._hold_until = max(self._hold_until, monotonic() + seconds * uniform(1.0, 1.25))  # noqa: S311

    def well(self) -> None:
        """Note an answer that was not busy."""
        self._busy_in_a_row = 0

    @contextmanager
    def polling(self) -> Generator[None]:
        """Go before all long jobs until the end of this context."""
        self._pollers += 1
        self._nobody_polls.clear()
        try:
            yield
        finally:
            self._pollers -= 1
            if not self._pollers:
                self._nobody_polls.set()

    @asynccontextmanager
    async def turn(self, *, background: bool = False) -> AsyncGenerator[None]:
        """Wait for one's turn to send a request, and hold it until the end of this context.

        Raises BusyError if the portal is to be left alone for longer than one would wait; in the background one waits.
        """
        async with self._background if background else nullcontext():
            while True:
                if background:
                    await sleep(self._wait(BACKGROUND_REQUESTS_A_MINUTE))
                    await self._nobody_polls.wait()
                async with self._turn:
                    if background and (self._pollers or self._wait(BACKGROUND_REQUESTS_A_MINUTE) > self._pause):
                        continue
                    if not background and (hold := self.hold) > PATIENCE:
                        raise BusyError("The portal was busy and is left alone for a while", hold)
                    await sleep(self._wait(REQUESTS_A_MINUTE))
                    self._starts.append(monotonic())
                    try:
                        yield
                    finally:
                        self._next_start = monotonic() + self._pause
                    return

    def _wait(self, requests_a_minute: int) -> float:
        """Return the seconds until the next request may start."""
        now = monotonic()
        full = len(self._starts) >= requests_a_minute
        next_in_minute = self._starts[-requests_a_minute] + 60 if full else 0.0
        return max(0.0, self._next_start - now, next_in_minute - now, self.hold)
