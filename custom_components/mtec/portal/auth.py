"""Authentication of an account: its credentials and its token."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import md5

from custom_components.mtec.sources import AuthenticationError, BusyError, ResponseError, SourceConnectionError

from .login_budget import LoginBudget


def digest_of(password: str) -> str:
    """Return the hash of a password, which the portal accepts in place of the password."""
    return md5(password.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The e-mail of an account and the hash of its password."""

    email: str = field(repr=False)
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    """A login that the portal accepted. `token` is None if its answer has none."""

    api_version: int
    token: str | None = field(repr=False)


class Auth:
    """The token of an account; `credentials` None is the public demo account.

    The token of an earlier login is taken from `budget`, which all clients of the account share.
    """

    def __init__(self, credentials: Credentials | None, budget: LoginBudget) -> None:
        self.credentials = credentials
        self.budget = budget
        self.digest = "" if credentials is None else credentials.digest
        self.token = budget.token if budget.digest == self.digest else None
        self._lock = asyncio.Lock()

    def secrets(self) -> Iterator[str]:
        """Yield the tokens and the credentials, the latter also as base64."""
        yield from filter(None, (self.token, self.budget.token))
        if self.credentials is not None:
            for secret in (self.credentials.email, *self.credentials.email.split("@"), self.digest):
                yield secret
                yield b64encode(secret.encode(errors="replace")).decode().rstrip("=")

    def replace(self, token: str, renewed: str) -> None:
        """Replace a token that the portal has renewed."""
        if token == self.token:
            self.token = self.budget.token = renewed

    async def renew(self, stale: str | None, log_in: Callable[[], Awaitable[Login]]) -> str:
        """Return a token other than `stale`, from `log_in` if there is none yet.

        A refused login raises BusyError until the portal has refused several times, as it also does during maintenance.
        Raises SourceError.
        """
        try:
            return await self.renew_now(stale, log_in)
        except AuthenticationError as error:
            if self.budget.exhausted:
                raise
            raise BusyError(f"{error}, which is tried again") from error

    async def renew_now(self, stale: str | None, log_in: Callable[[], Awaitable[Login]]) -> str:
        """Return a token other than `stale`, from one login for several callers. Raises SourceError."""
        async with self._lock:
            if self.token is not None and self.token != stale:
                return self.token
            self.token = None
            if self.budget.exhausted and self.budget.digest == self.digest:
                raise AuthenticationError("The portal has refused these credentials several times")
            try:
                version, token = await _accepted(log_in)
            except SourceConnectionError, ResponseError:
                self.budget.record_failure()
                raise
            self.budget.forget_refusals()
            self.token = self.budget.token = token
            self.budget.api_version = version
            return token


async def _accepted(log_in: Callable[[], Awaitable[Login]]) -> tuple[int, str]:
    """Return the version of the API and the token from a login. Raises SourceError."""
    login = await log_in()
    if login.token is None:
        raise ResponseError("The portal's answer to the login has no token")
    return login.api_version, login.token
