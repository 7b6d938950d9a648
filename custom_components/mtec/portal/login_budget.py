"""Limits the logins of an account, so that the portal does not lock it."""

from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from custom_components.mtec.sources import BusyError

LOGINS_AN_HOUR: Final = 10
"""Maximum logins of an account in any hour."""
LOGINS_AT_ONCE: Final = 3
SECONDS_PER_LOGIN: Final = 900.0
"""Automatic logins in a row, and the seconds until one more is allowed: at most 7 an hour.

The rest of LOGINS_AN_HOUR is left to the person who signs in.
"""
REFUSED_LOGINS: Final = 3
"""Refused logins in a row after which only the person can help."""
AFTER_REFUSED_LOGIN: Final = (60.0, 300.0)
"""Seconds until a refused login is tried again: the portal also refuses during maintenance."""
AFTER_LOST_LOGIN: Final = 30.0
"""Seconds until the next login after one without a usable answer, so that the rest of a poll does not repeat it."""


@dataclass(slots=True)
class LoginBudget:
    """The logins of one account, shared by all its clients.

    `refused` counts refused logins in a row with the same `digest`, the hash of the password. `token` is that of the
    last login and `api_version` the version of the API that issued it; the next client of the account uses both instead
    of logging in again. `try_first` is the version to log in with first, None if none has been tried.
    """

    digest: str = field(default="", repr=False)
    refused: int = 0
    not_before: float = 0.0
    left: float = LOGINS_AT_ONCE
    times: deque[float] = field(default_factory=lambda: deque(maxlen=LOGINS_AN_HOUR))
    updated: float = field(default_factory=monotonic)
    token: str | None = field(default=None, repr=False)
    api_version: int | None = None
    try_first: int | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the portal has refused so often that only another password can help."""
        return self.refused >= REFUSED_LOGINS

    def spend(self, digest: str, *, asked: bool) -> None:
        """Take a login from the budget. Raises BusyError if none is left for now.

        `asked` is a login that a person asks for; it is only limited by LOGINS_AN_HOUR.
        """
        now = monotonic()
        if digest != self.digest:
            self.digest, self.refused, self.not_before, self.token = digest, 0, 0.0, None
        self.left = min(LOGINS_AT_ONCE, self.left + (now - self.updated) / SECONDS_PER_LOGIN)
        self.updated = now
        wait = self.times[0] + 3600 - now if len(self.times) == LOGINS_AN_HOUR else 0.0
        delay = 0.0 if asked else self.not_before - now
        if not asked:
            wait = max(wait, delay, (1 - self.left) * SECONDS_PER_LOGIN)
        # Anything smaller is a rounding error of the division.
        if wait > 1e-6:  # noqa: PLR2004
            raise BusyError(self._reason_to_wait(is_delayed=delay == wait), wait)
        self.times.append(now)
        if not asked:
            self.left -= 1

    def _reason_to_wait(self, *, is_delayed: bool) -> str:
        """Return why no login is left for now: what became of the last one, if that `is_delayed`."""
        if self.refused:
            return "The portal has refused the password, and it is tried again in a while"
        if is_delayed:
            return "The portal gave no usable answer to the login, which is tried again in a while"
        return "The account has signed in too often lately and waits a while"

    def refund(self, logins: int, *, asked: bool) -> None:
        """Return logins to the budget that only found that the portal lacks the path, unless a person `asked` for them.

        They still count towards LOGINS_AN_HOUR.
        """
        if not asked:
            self.left = min(LOGINS_AT_ONCE, self.left + logins)

    def forget_refusals(self) -> None:
        """Reset the refusals, after an accepted login or when a person asks for one."""
        self.refused, self.not_before = 0, 0.0

    def record_failure(self) -> None:
        """Delay the next login after one without a usable answer."""
        self.not_before = max(self.not_before, monotonic() + AFTER_LOST_LOGIN)

    def record_refusal(self) -> None:
        """Count a refused login and delay the next."""
        self.not_before = monotonic() + AFTER_REFUSED_LOGIN[min(self.refused, len(AFTER_REFUSED_LOGIN) - 1)]
        self.refused += 1
