"""Login, token, envelope: one request to the portal, made reliable."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
import json
import re
from typing import Any, Literal, Protocol

import aiohttp

from .errors import AuthenticationError, BusyError, PortalConnectionError, PortalError, ResponseError
from .models import Credentials
from .pacing import Pacing

TIMEOUT = aiohttp.ClientTimeout(total=30)

_SUCCESS = "1000000"
_EXPIRED = "3010022"
_BUSY = "3010107"

_LONGEST_MESSAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to the portal; `path` is relative to the portal's address."""

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
    """What a generation of the API says about signing in."""

    def login(self, credentials: Credentials | None) -> Request:
        """Return the login request; None asks for the public demo account."""

    def token(self, answer: Answer) -> str | None:
        """Return the token in a login's answer, None if there is none."""

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers of a request; None is a request before the login."""


class _SessionGoneError(Exception):
    """The portal does not know the token, any more."""


class Session:
    """An account's session with the portal at `url`; `credentials` None is the public demo account."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, credentials: Credentials | None, sign_in: SignIn, pacing: Pacing
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._sign_in = sign_in
        self._pacing = pacing
        self._login = asyncio.Lock()
        self._token: str | None = None

    async def sign_in(self) -> None:
        """Sign in anew. Raises AuthenticationError if the portal refuses, or another PortalError."""
        await self._renew(self._token)

    async def request(self, request: Request) -> Any:
        """Return the `data` of the portal's answer.

        Signs in first where that is needed, and once more if the portal does not know the token any more.
        Raises a PortalError.
        """
        token = self._token or await self._renew(None)
        try:
            return (await self._exchange(request, token)).data
        except _SessionGoneError:
            token = await self._renew(token)
        try:
            return (await self._exchange(request, token)).data
        except _SessionGoneError as error:
            raise ResponseError(f"The portal refuses a token it has just issued: {error}") from error

    async def _renew(self, stale: str | None) -> str:
        """Return a token other than `stale`; several callers at once cause one login."""
        async with self._login:
            if self._token is not None and self._token != stale:
                return self._token
            self._token = None
            try:
                answer = await self._exchange(self._sign_in.login(self._credentials), None)
            except _SessionGoneError as error:
                raise AuthenticationError(str(error)) from error
            if (token := self._sign_in.token(answer)) is None:
                raise ResponseError("The portal's answer to the login has no token")
            self._token = token
            return token

    async def _exchange(self, request: Request, token: str | None) -> Answer:
        """Send a request and return the answer. Without a token it is a login."""
        try:
            async with (
                self._pacing,
                self._http.request(
                    request.method,
                    f"{self._url}/{request.path}",
                    params=request.params,
                    json=request.json,
                    headers=self._sign_in.headers(token),
                    timeout=TIMEOUT,
                    allow_redirects=False,
                ) as response,
            ):
                body = await response.read()
        except TimeoutError as error:
            raise PortalConnectionError("The portal did not answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PortalConnectionError(f"The portal cannot be reached: {self._safe(str(error))}") from error
        try:
            return Answer(self._data(response, body, signed_in=token is not None), response.headers)
        except _RefusedError as error:
            raise (ResponseError if token else AuthenticationError)(str(error)) from error

    def _data(self, response: aiohttp.ClientResponse, body: bytes, *, signed_in: bool) -> Any:
        """Return the data of the envelope in `body`, or raise what it says instead."""
        status = response.status
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise BusyError(f"The portal is busy (HTTP {status})", _retry_after(response.headers))
        if status == HTTPStatus.UNAUTHORIZED:
            raise _SessionGoneError(f"HTTP {status}")
        try:
            envelope = json.loads(body)
        except (ValueError, RecursionError) as error:
            # Once the session is gone the portal may send its login page, with status 200, or lead there.
            page = body.lstrip()[:1] == b"<" or HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
            if page and signed_in:
                raise _SessionGoneError(f"a page instead of data (HTTP {status})") from error
            raise ResponseError(f"The portal's answer is not JSON (HTTP {status})") from error
        if not isinstance(envelope, dict) or "code" not in envelope:
            raise ResponseError(f"The portal's answer has no code (HTTP {status})")
        code = str(envelope["code"]).strip()
        if code == _SUCCESS:
            return envelope.get("data")
        message = f"{self._safe(str(envelope.get('msg')))} (code {self._safe(code)})"
        if code == _BUSY:
            raise BusyError(f"The portal is busy: {message}", _retry_after(response.headers))
        if code == _EXPIRED or code.lower().startswith("auth_"):
            raise _SessionGoneError(message)
        raise _RefusedError(f"The portal refuses: {message}")

    def _safe(self, message: str) -> str:
        """Return a text from outside, shortened and without the account's secrets, which some portals echo."""
        secrets = [self._token]
        if self._credentials is not None:
            secrets += [self._credentials.email, self._credentials.digest]
        for secret in filter(None, secrets):
            message = re.sub(re.escape(secret), "***", message, flags=re.IGNORECASE)
        return message[:_LONGEST_MESSAGE]


class _RefusedError(PortalError):
    """The portal understood the request and said no."""


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
