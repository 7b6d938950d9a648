"""Login, token, envelope: one request to the portal, made reliable."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
import json
import re
from typing import Any, Literal, Protocol
from urllib.parse import quote

import aiohttp

from .errors import AuthenticationError, BusyError, PortalConnectionError, PortalError, ResponseError
from .journal import Journal, shape
from .models import Credentials
from .pacing import PATIENCE, Pacing

TIMEOUT = aiohttp.ClientTimeout(total=30)

_SUCCESS = "1000000"
_EXPIRED = "3010022"
_BUSY = "3010107"

_LONGEST_MESSAGE = 200

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
        """Return the `data` of the portal's answer. Raises a PortalError."""


class _SessionGoneError(Exception):
    """The portal does not know the token, any more."""


class _NotSpokenError(Exception):
    """The portal's answer is none of this API's: no such path, a page, JSON without the envelope."""

    def __init__(self, message: str, *, no_such_path: bool = False) -> None:
        super().__init__(message)
        self.no_such_path = no_such_path


class Session:
    """An account's session with the portal at `url`; `credentials` None is the public demo account.

    The portal speaks one of `generations`: the first one that it does is found at the login, and found again once it
    is not spoken any more. `generation` is its number, None before the first login.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        credentials: Credentials | None,
        generations: Sequence[SignIn],
        pacing: Pacing,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._credentials = credentials
        self.generation: int | None = None
        self._generations = generations
        self._sign_in = generations[0]
        self._pacing = pacing
        self._login = asyncio.Lock()
        self._digest = "" if credentials is None else credentials.digest
        self._logins = pacing.logins("" if credentials is None else credentials.email)
        self._token: str | None = None
        if self._logins.digest == self._digest and self._logins.token is not None:
            self._token, self.generation = self._logins.token, self._logins.generation
            self._sign_in = next(each for each in generations if each.number == self.generation)
        self.journal = Journal()

    async def sign_in(self) -> None:
        """Sign in anew, because a person asks for it: logins refused before do not count.

        Raises AuthenticationError if the portal refuses, or another PortalError.
        """
        self._logins.forget_refusals()
        await self._renew(self._token, asked=True)

    async def request(self, request: Request, *, background: bool = False) -> Any:
        """Return the `data` of the portal's answer. In the background it waits while others poll.

        Signs in first where that is needed, and once more if the portal does not know the token any more. Tries once
        more if the portal is busy and that may pass soon.

        Raises MovedError if the portal speaks another generation than the request does.
        Raises a PortalError: AuthenticationError only once the portal has refused to sign in several times, as it does
        so during maintenance too.
        """
        try:
            return await self._signed_in_exchange(request, background=background)
        except BusyError as error:
            if not background and max(self._pacing.hold, error.retry_after or 0.0) > PATIENCE:
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
            raise BusyError(f"The portal refuses to sign in, which is tried again: {error}") from error

    async def _renew(self, stale: str | None, *, asked: bool = False) -> str:
        """Return a token other than `stale`; several callers at once cause one login. A person may have `asked`."""
        async with self._login:
            if self._token is not None and self._token != stale:
                return self._token
            self._token = None
            logins = self._logins
            if logins.exhausted and logins.digest == self._digest:
                raise AuthenticationError("The portal has refused these credentials several times")
            logins.spend(self._digest, asked=asked)
            try:
                answer = await self._log_in(asked=asked)
            except _SessionGoneError as error:
                logins.was_refused()
                raise AuthenticationError(str(error)) from error
            except AuthenticationError:
                logins.was_refused()
                raise
            except PortalConnectionError, ResponseError:
                logins.was_lost()
                raise
            if (token := self._sign_in.token(answer)) is None:
                logins.was_lost()
                raise ResponseError("The portal's answer to the login has no token")
            logins.forget_refusals()
            self._token = logins.token = token
            logins.generation = self.generation
            return token

    async def _log_in(self, *, asked: bool) -> Answer:
        """Log in and return the answer: in the generation last spoken or, if the portal speaks that one not, another.

        A path that the portal does not have is no login; whatever else it answers may have been one.
        """
        refusals: list[_NotSpokenError] = []
        for sign_in in sorted(self._generations, key=lambda each: each is not self._sign_in):
            if refusals and not refusals[-1].no_such_path:
                # The one before may have been a login all the same.
                self._logins.spend(self._digest, asked=asked)
            try:
                answer = await self._exchange(sign_in.login(self._credentials), None)
            except _NotSpokenError as error:
                refusals.append(error)
                continue
            self._sign_in, self.generation = sign_in, sign_in.number
            return answer
        raise ResponseError(str(refusals[0])) from refusals[0]

    async def _exchange(self, request: Request, token: str | None, *, background: bool = False) -> Answer:
        """Send a request and return the answer, both noted in the journal. Without a token it is a login."""
        self.journal.requests += 1
        try:
            answer = await self._send(request, token, background=background)
        except (PortalError, _SessionGoneError, _NotSpokenError) as error:
            self.journal.failed(request.path, error)
            raise
        if token is None:
            self.journal.logged_in(request.path, answer.data)
        else:
            self.journal.answered(request.path, request.params or request.json, answer.data)
        return answer

    async def _send(self, request: Request, token: str | None, *, background: bool) -> Answer:
        sign_in = next(each for each in self._generations if each.number == request.generation)
        try:
            async with (
                self._pacing.turn(background=background),
                self._http.request(
                    request.method,
                    f"{self._url}/{request.path}",
                    params=request.params,
                    json=request.json,
                    headers=sign_in.headers(token),
                    timeout=TIMEOUT,
                    allow_redirects=False,
                ) as response,
            ):
                body = await response.read()
        except TimeoutError as error:
            raise PortalConnectionError("The portal did not answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # What it comes from may have the portal's own words, which some portals take from what they were sent.
            raise PortalConnectionError(f"The portal cannot be reached: {self._safe(str(error))}") from None
        try:
            data = self._data(response, body, sign_in, signed_in=token is not None)
        except BusyError as error:
            self._pacing.busy(error.retry_after)
            raise
        except _RefusedError as error:
            raise (ResponseError if token else AuthenticationError)(str(error)) from error
        except (ResponseError, _NotSpokenError) as error:
            error.add_note(shape(body))
            raise
        self._pacing.well()
        answer = Answer(data, response.headers)
        if token is not None and token == self._token and (renewed := sign_in.renewed_token(answer)):
            self._token = self._logins.token = renewed
        return answer

    def _data(self, response: aiohttp.ClientResponse, body: bytes, sign_in: SignIn, *, signed_in: bool) -> Any:
        """Return the data of the envelope in `body`, or raise what it says instead."""
        status = response.status
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise BusyError(f"The portal is busy (HTTP {status})", _retry_after(response.headers))
        if status == HTTPStatus.UNAUTHORIZED:
            raise _SessionGoneError(f"HTTP {status}")
        envelope = _envelope(status, body)
        code = str(envelope["code"]).strip()
        if code == _SUCCESS:
            return envelope.get("data")
        message = f"{self._safe(str(envelope.get('msg')))} (code {self._safe(code)})"
        if code == _BUSY:
            raise BusyError(f"The portal is busy: {message}", _retry_after(response.headers))
        auth_code = code.lower().startswith("auth_")
        if auth_code and not signed_in and not sign_in.auth_codes:
            # Another generation answers: it takes the login for a request without a token.
            raise _NotSpokenError(message)
        if code == _EXPIRED or auth_code:
            raise _SessionGoneError(message)
        raise _RefusedError(f"The portal refuses: {message}")

    def _safe(self, message: str) -> str:
        """Return a text from outside, shortened and without the account's secrets, which some portals echo."""
        secrets = [self._token]
        if (credentials := self._credentials) is not None:
            secrets += [credentials.email, quote(credentials.email), credentials.digest]
            secrets.append(b64encode(credentials.digest.encode()).decode())
        for secret in filter(None, secrets):
            message = re.sub(re.escape(secret), "***", message, flags=re.IGNORECASE)
        return message[:_LONGEST_MESSAGE]


class BackgroundSession:
    """A session whose requests wait while others poll."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def request(self, request: Request) -> Any:
        """Return the `data` of the portal's answer. Raises a PortalError."""
        return await self._session.request(request, background=True)


class _RefusedError(PortalError):
    """The portal understood the request and said no."""


def _envelope(status: int, body: bytes) -> dict[str, Any]:
    """Return the envelope in a body, which has a code, or raise what a body without one means."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError) as error:
        # Once the session is gone the portal may send its login page, with status 200, or lead there.
        page = body.lstrip()[:1] == b"<" or HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        message = f"The portal's answer is not JSON (HTTP {status})"
        if page or status in _NO_SUCH_PATH:
            raise _NotSpokenError(message, no_such_path=status in _NO_SUCH_PATH) from error
        raise ResponseError(message) from error
    if isinstance(envelope, dict) and "code" in envelope:
        return envelope
    message = f"The portal's answer has no code (HTTP {status})"
    if isinstance(envelope, dict) or status in _NO_SUCH_PATH:
        raise _NotSpokenError(message, no_such_path=status in _NO_SUCH_PATH)
    raise ResponseError(message)


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
    except ValueError, TypeError:
        return None
