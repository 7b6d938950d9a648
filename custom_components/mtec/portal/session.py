"""Login, token, envelope: one request to the portal, made reliable."""

import asyncio
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
import errno
from functools import partial
from http import HTTPStatus
import re
from typing import Any, Literal, Protocol

import aiohttp

from custom_components.mtec.sources import (
    AuthenticationError,
    BusyError,
    ResponseError,
    SourceConnectionError,
    SourceError,
)

from .auth import (
    Credentials,
)
from .body import ACCEPT_ENCODING, Body, read_body
from .journal import Journal, shape
from .login_budget import REFUSED_LOGINS
from .rate_limiter import PATIENCE, RateLimiter

TIMEOUT = aiohttp.ClientTimeout(total=30)

_SUCCESS = "1000000"
_EXPIRED = "3010022"
_BUSY = "3010107"

_CODE = re.compile(r"([A-Za-z]{1,8}[_-]?)?\d{1,8}", re.ASCII)
"""The codes that are shown: what is longer may be something else that the portal was sent."""
_SHORTEST_SECRET = 5
"""Characters of a code that make it a part of a secret; fewer may be in both by chance."""

_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "its name is not known"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not valid"),
    (aiohttp.ClientSSLError, "there is no encrypted connection to it"),
    (aiohttp.ClientConnectorError, "there is no connection to it"),
    (aiohttp.ClientPayloadError, "its answer ended too early"),
    (aiohttp.ClientResponseError, "its answer is not valid HTTP"),
    (aiohttp.InvalidURL, "its address is not valid"),
    (OSError, "the connection broke"),
    (aiohttp.ServerConnectionError, "the connection broke"),
)
"""What went wrong with a connection, in words of our own: the error's may have the portal's. The first that fits."""
_ERRNOS = {
    errno.ECONNREFUSED: "it refuses the connection",
    errno.EHOSTUNREACH: "there is no way to it",
    errno.ENETUNREACH: "there is no network",
}


_SAYS_ALL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
_NO_SUCH_PATH = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to the portal in a generation of its API; `path` is relative to the portal's address."""

    generation: int
    method: Literal["GET", "POST"]
    path: str
    params: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the portal answered to a request: the `data` of its envelope, and the headers of the response."""

    data: Any
    headers: Mapping[str, str]


class SignIn(Protocol):
    """What a generation of the API says about signing in. `number` tells which one it is.

    `auth_codes` tells whether it refuses with codes that begin with "auth_".
    """

    number: int
    auth_codes: bool

    def login(self, credentials: Credentials | None) -> Request:
        """Return the login request; None asks for the public demo account."""

    def token(self, answer: Answer) -> str | None:
        """Return the token in a login's answer, None if there is none."""

    def renewed_token(self, answer: Answer) -> str | None:
        """Return the token that an answer brings in place of the one it was asked for with, None if it does not."""

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers of a request; None is a request before the login."""

    def alive(self) -> Request:
        """Return a request that the portal answers as long as it speaks this generation and knows the token."""


class MovedError(Exception):
    """The portal speaks another generation now: the request has to be put in its words."""


class Requester(Protocol):
    """What sends requests, and returns the `data` of the portal's answers."""

    async def request(self, request: Request) -> Any:
        """Return the `data` of the portal's answer. Raises a SourceError."""


class _SessionGoneError(Exception):
    """The portal does not know the token, any more."""


class _NotSpokenError(Exception):
    """The portal's answer is none of this API's: no such path, a page, JSON without the envelope."""

    def __init__(self, message: str, *, no_such_path: bool = False) -> None:
        super().__init__(message)
        self.no_such_path = no_such_path


@dataclass(frozen=True, slots=True)
class _Received:
    """What came back for a request; `body` is None where the status says all."""

    status: int
    headers: Mapping[str, str]
    body: Body | None


class Session:
    """An account's session with the portal at `url`; `credentials` None is the public demo account.

    The portal speaks one of `generations`: the first one that it does is found at the login, and found again once it
    is not spoken any more. `generation` is its number, None before the first login. `spoken` is the number of the one
    that it spoke before, None if that is not known.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        credentials: Credentials | None,
        generations: Sequence[SignIn],
        rate_limiter: RateLimiter,
        *,
        spoken: int | None = None,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._credentials = credentials
        self.generation: int | None = None
        self._generations = generations
        self._sign_in = self._try_first = generations[0]
        self._spoken = spoken
        self._limiter = rate_limiter
        self._login = asyncio.Lock()
        self._digest = "" if credentials is None else credentials.digest
        self._logins = rate_limiter.login_budget("" if credentials is None else credentials.email)
        self._token: str | None = None
        if self._logins.digest == self._digest and self._logins.token is not None:
            self._token, self.generation = self._logins.token, self._logins.api_version
            self._spoken = self.generation
            self._sign_in = self._try_first = next(each for each in generations if each.number == self.generation)
        self.journal = Journal()

    async def sign_in(self) -> None:
        """Sign in anew, because a person asks for it: logins refused before do not count.

        Raises AuthenticationError if the portal refuses, or another SourceError.
        """
        self._logins.forget_refusals()
        await self._renew(self._token, asked=True)

    async def request(self, request: Request, *, background: bool = False) -> Any:
        """Return the `data` of the portal's answer. In the background it waits while others poll.

        Signs in first where that is needed, and once more if the portal does not know the token any more. Tries once
        more if the portal is busy and that may pass soon.

        Raises MovedError if the portal speaks another generation than the request does.
        Raises a SourceError: AuthenticationError only once the portal has refused to sign in several times, as it does
        so during maintenance too.
        """
        try:
            return await self._signed_in_exchange(request, background=background)
        except BusyError as error:
            if not background and max(self._limiter.backoff_remaining, error.retry_after or 0.0) > PATIENCE:
                raise
        return await self._signed_in_exchange(request, background=background)

    async def _signed_in_exchange(self, request: Request, *, background: bool) -> Any:
        token = self._token or await self._renew_in_time(None)
        self._check_generation(request)
        try:
            return (await self._exchange(request, token, background=background)).data
        except _SessionGoneError:
            pass
        except _NotSpokenError as error:
            if await self._is_alive(token, background=background):
                raise ResponseError(str(error)) from error
        token = await self._renew_in_time(token)
        self._check_generation(request)
        try:
            return (await self._exchange(request, token, background=background)).data
        except _SessionGoneError as error:
            raise ResponseError(f"The portal refuses a token it has just issued: {error}") from error
        except _NotSpokenError as error:
            raise ResponseError(str(error)) from error

    def _check_generation(self, request: Request) -> None:
        if request.generation != self.generation:
            raise MovedError

    async def _is_alive(self, token: str, *, background: bool) -> bool:
        """Return whether the portal still speaks this generation and knows the token."""
        try:
            await self._exchange(self._sign_in.alive(), token, background=background)
        except _SessionGoneError, _NotSpokenError:
            return False
        except ResponseError:
            pass
        return True

    async def _renew_in_time(self, stale: str | None) -> str:
        """Return a token other than `stale`, from a login that is tried again later if the portal refuses it."""
        try:
            return await self._renew(stale)
        except AuthenticationError as error:
            if self._logins.exhausted:
                raise
            raise BusyError(f"{error}, which is tried again") from error

    async def _renew(self, stale: str | None, *, asked: bool = False) -> str:
        """Return a token other than `stale`; several callers at once cause one login. A person may have `asked`."""
        async with self._login:
            if self._token is not None and self._token != stale:
                return self._token
            self._token = None
            logins = self._logins
            if logins.exhausted and logins.digest == self._digest:
                raise AuthenticationError("The portal has refused these credentials several times")
            try:
                answer = await self._log_in(asked=asked)
            except SourceConnectionError, ResponseError:
                logins.record_failure()
                raise
            if (token := self._sign_in.token(answer)) is None:
                logins.record_failure()
                raise ResponseError("The portal's answer to the login has no token")
            logins.forget_refusals()
            self._token = logins.token = token
            logins.api_version = self.generation
            return token

    async def _log_in(self, *, asked: bool) -> Answer:
        """Log in and return the answer: in the generation last spoken, in another if the portal does not speak that.

        While it is not known which one it speaks, a refused login is tried in the other as well: a portal may refuse
        with a code of its own what it does not know.
        """
        refusals: dict[SignIn, AuthenticationError] = {}
        not_spoken: list[_NotSpokenError] = []
        for sign_in in sorted(self._generations, key=lambda each: each is not self._try_first):
            try:
                answer = await self._log_in_with(sign_in, asked=asked)
            except AuthenticationError as error:
                refusals[sign_in] = error
                if sign_in.number == self._spoken or self._logins.refused + len(refusals) >= REFUSED_LOGINS:
                    break
            except _NotSpokenError as error:
                not_spoken.append(error)
                self._try_first = next(iter(refusals), self._try_first)
            except SourceError:
                if not refusals:
                    raise
            else:
                self._sign_in, self.generation = sign_in, sign_in.number
                self._spoken = sign_in.number
                if not asked:
                    self._logins.refund(sum(each.no_such_path for each in not_spoken))
                return answer
        for _ in refusals:
            self._logins.record_refusal()
        raise next(iter(refusals.values()), None) or ResponseError(str(not_spoken[0])) from None

    async def _log_in_with(self, sign_in: SignIn, *, asked: bool) -> Answer:
        """Log in with a generation and return the answer. It costs a login, whether the portal knows the path or not.

        Raises BusyError if there is no login left: it is the first to be tried next time then.
        """
        request = sign_in.login(self._credentials)
        self._try_first = sign_in
        self._logins.spend(self._digest, asked=asked)
        return await self._exchange(request, None)

    async def _exchange(self, request: Request, token: str | None, *, background: bool = False) -> Answer:
        """Send a request and return the answer, both noted in the journal. Without a token it is a login."""
        self.journal.requests += 1
        received: _Received | None = None
        try:
            async with self._limiter.slot(background=background):
                received = await self._receive(request, token)
                answer = self._answer(received, request, token)
        except (SourceError, _SessionGoneError, _NotSpokenError) as error:
            notes = () if received is None or received.body is None else (shape(received.body),)
            self.journal.failed(request.path, error, *notes)
            raise
        if token is None:
            self.journal.logged_in(request.path, answer.data)
        else:
            self.journal.answered(request.path, request.params or request.json, answer.data)
        return answer

    async def _receive(self, request: Request, token: str | None) -> _Received:
        """Send a request and return what comes back.

        Raises SourceConnectionError, or ResponseError if it is too much.
        """
        try:
            async with self._http.request(
                request.method,
                f"{self._url}/{request.path}",
                params=request.params,
                json=request.json,
                headers=self._words_of(request).headers(token) | {"Accept-Encoding": ACCEPT_ENCODING},
                timeout=TIMEOUT,
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                body = None if _says_all(response.status) else await read_body(response)
                return _Received(response.status, response.headers, body)
        except TimeoutError:
            raise SourceConnectionError("The portal did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SourceConnectionError(f"The portal cannot be reached: {_failure(error)}") from None

    def _words_of(self, request: Request) -> SignIn:
        return next(each for each in self._generations if each.number == request.generation)

    def _answer(self, received: _Received, request: Request, token: str | None) -> Answer:
        """Return the answer in what the portal sent, or raise what it says instead. Notes whether it is busy."""
        sign_in = self._words_of(request)
        try:
            data = self._data(received, sign_in, token)
        except BusyError as error:
            self._limiter.record_busy(error.retry_after)
            raise
        self._limiter.record_success()
        answer = Answer(data, received.headers)
        if token is not None and token == self._token and (renewed := sign_in.renewed_token(answer)):
            self._token = self._logins.token = renewed
        return answer

    def _data(self, received: _Received, sign_in: SignIn, token: str | None) -> Any:
        """Return the data of the envelope that was received for a token, or raise what it says instead."""
        status, headers = received.status, received.headers
        if received.body is None:
            raise _status_error(status, headers, signed_in=token is not None)
        envelope = _envelope(status, received.body)
        code = str(envelope["code"]).strip()
        if code == _SUCCESS:
            return envelope.get("data")
        shown = (
            f"code {code}"
            if self._is_harmless(code, token, sign_in.token(Answer(None, headers)))
            else "an unusual code"
        )
        if code == _BUSY:
            raise BusyError(f"The portal is busy ({shown})", _retry_after(headers))
        auth_code = code.lower().startswith("auth_")
        if auth_code and token is None and not sign_in.auth_codes:
            # Another generation answers: it takes the login for a request without a token.
            raise _NotSpokenError(f"The portal refuses a login of generation {sign_in.number} ({shown})")
        if token is None:
            raise AuthenticationError(f"The portal refuses to sign in ({shown})")
        if code == _EXPIRED or auth_code:
            raise _SessionGoneError(f"The portal does not know the session ({shown})")
        raise ResponseError(f"The portal refuses ({shown})")

    def _is_harmless(self, code: str, *tokens: str | None) -> bool:
        """Return whether a code that the portal sent is no more than that: some portals echo what they are sent."""
        if not _CODE.fullmatch(code):
            return False
        known = (*tokens, self._token, self._logins.token, *self._account_secrets())
        secrets = [secret.casefold() for secret in known if secret]
        places = range(len(code) - _SHORTEST_SECRET + 1)
        parts = [code.casefold()[place : place + _SHORTEST_SECRET] for place in places]
        return not any(part in secret for part in parts for secret in secrets)

    def _account_secrets(self) -> Iterator[str]:
        """Yield what of the account is sent to the portal, as it is and as base64."""
        if (credentials := self._credentials) is not None:
            for secret in (credentials.email, *credentials.email.split("@"), credentials.digest):
                yield secret
                yield b64encode(secret.encode(errors="replace")).decode().rstrip("=")


class BackgroundSession:
    """A session whose requests wait while others poll."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def request(self, request: Request) -> Any:
        """Return the `data` of the portal's answer. Raises a SourceError."""
        return await self._session.request(request, background=True)


def _says_all(status: int) -> bool:
    """Return whether an HTTP status says all, whatever the body is."""
    return (
        status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED} or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _status_error(status: int, headers: Mapping[str, str], *, signed_in: bool) -> Exception:
    """Return what an HTTP status means that says all."""
    if status != HTTPStatus.UNAUTHORIZED:
        return BusyError(f"The portal is busy (HTTP {status})", _retry_after(headers))
    if signed_in:
        return _SessionGoneError(f"The portal does not know the session (HTTP {status})")
    return AuthenticationError(f"The portal refuses to sign in (HTTP {status})")


def _failure(error: Exception) -> str:
    """Return what went wrong with a connection."""
    found = _ERRNOS.get(error.errno or 0) if isinstance(error, OSError) else None
    named = (words for kind, words in _FAILURES if isinstance(error, kind))
    return found or next(named, f"what was to be sent is not valid ({type(error).__name__})")


def _envelope(status: int, body: Body) -> dict[str, Any]:
    """Return the envelope in a body, which has a code, or raise what a body without one means."""
    no_such_path = status in _NO_SUCH_PATH
    not_spoken = partial(_NotSpokenError, no_such_path=no_such_path)
    if not body.is_json:
        # Once the session is gone the portal may send its login page, with status 200, or lead there.
        leads_away = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        message = f"The portal's answer is not JSON (HTTP {status})"
        raise (not_spoken if body.is_page or leads_away or no_such_path else ResponseError)(message)
    if isinstance(body.tree, dict) and "code" in body.tree:
        return body.tree
    message = f"The portal's answer has no code (HTTP {status})"
    raise (not_spoken if isinstance(body.tree, dict) or no_such_path else ResponseError)(message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, None without one or with one that makes no sense.

    A date counts from the portal's own Date, so that a wrong clock on either side does no harm.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        since = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - since).total_seconds())
    except ValueError, TypeError, OverflowError:
        return None
