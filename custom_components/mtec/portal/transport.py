"""Transport of one request to the portal: rate limit, HTTP, and envelope to answer or typed error."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
import errno
from functools import partial
from http import HTTPStatus
import re
from typing import Any

import aiohttp

from custom_components.mtec.sources import (
    AuthenticationError,
    BusyError,
    ResponseError,
    SourceConnectionError,
    SourceError,
)

from .api import Answer, Api, Request
from .body import ACCEPT_ENCODING, Body, read_body
from .rate_limiter import RateLimiter
from .request_log import RequestLog, shape

TIMEOUT = aiohttp.ClientTimeout(total=30)

_SUCCESS = "1000000"
_EXPIRED = "3010022"
_BUSY = "3010107"

_CODE = re.compile(r"([A-Za-z]{1,8}[_-]?)?\d{1,8}", re.ASCII)
"""Codes that are shown. Some portals echo what they are sent, so longer ones may be a secret."""
_SHORTEST_SECRET = 5
"""Characters that a code and a secret must share for the code to be hidden; fewer can be a coincidence."""

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
"""Our own words for connection errors, first match first: the text of an error may quote the portal."""
_ERRNOS = {
    errno.ECONNREFUSED: "it refuses the connection",
    errno.EHOSTUNREACH: "there is no way to it",
    errno.ENETUNREACH: "there is no network",
}


_NO_SUCH_PATH = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE)


class TokenExpiredError(Exception):
    """The portal does not accept the token any more."""


class ApiVersionChangedError(Exception):
    """The portal does not answer in this version of the API: no such path, a page, or JSON without the envelope."""

    def __init__(self, message: str, *, no_such_path: bool = False) -> None:
        super().__init__(message)
        self.no_such_path = no_such_path


@dataclass(frozen=True, slots=True)
class _Response:
    """An HTTP response; `body` is None if the status alone is conclusive."""

    status: int
    headers: Mapping[str, str]
    body: Body | None


class Transport:
    """The way of an account's requests to the portal at `url`.

    `secrets` returns what must not be shown in an error. The log has every request and its result.
    """

    def __init__(
        self, http: aiohttp.ClientSession, url: str, limiter: RateLimiter, secrets: Callable[[], Iterable[str]]
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._limiter = limiter
        self._secrets = secrets
        self.log = RequestLog()

    async def send(self, api: Api, request: Request, token: str | None = None, *, background: bool = False) -> Answer:
        """Send a request and return the answer. Without a token it is a login.

        Raises SourceError: AuthenticationError for a login only. Raises TokenExpiredError and ApiVersionChangedError.
        """
        self.log.requests += 1
        response: _Response | None = None
        try:
            async with self._limiter.slot(background=background):
                response = await self._receive(api, request, token)
                answer = self._answer(api, response, token)
        except (SourceError, TokenExpiredError, ApiVersionChangedError) as error:
            notes = () if response is None or response.body is None else (shape(response.body),)
            self.log.record_error(request.path, error, *notes)
            raise
        if token is None:
            self.log.record_login(request.path, answer.data)
        else:
            self.log.record_answer(request.path, request.params or request.json, answer.data)
        return answer

    async def _receive(self, api: Api, request: Request, token: str | None) -> _Response:
        """Send a request and return the response. Raises SourceConnectionError, or ResponseError if it is too large."""
        try:
            async with self._http.request(
                request.method,
                f"{self._url}/{request.path}",
                params=request.params,
                json=request.json,
                headers=api.headers(token) | {"Accept-Encoding": ACCEPT_ENCODING},
                timeout=TIMEOUT,
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                body = None if _is_conclusive(response.status) else await read_body(response)
                return _Response(response.status, response.headers, body)
        except TimeoutError:
            raise SourceConnectionError("The portal did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SourceConnectionError(f"The portal cannot be reached: {_failure(error)}") from None

    def _answer(self, api: Api, response: _Response, token: str | None) -> Answer:
        """Return the answer in a response, or raise its error. Tell the rate limiter whether it is busy."""
        try:
            data = self._data(api, response, token)
        except BusyError as error:
            self._limiter.record_busy(error.retry_after)
            raise
        self._limiter.record_success()
        return Answer(data, response.headers)

    def _data(self, api: Api, response: _Response, token: str | None) -> Any:
        """Return the data in the envelope of a response, or raise its error."""
        if response.body is None:
            raise _status_error(response.status, response.headers, signed_in=token is not None)
        envelope = _envelope(response.status, response.body)
        code = str(envelope["code"]).strip()
        if code == _SUCCESS:
            return envelope.get("data")
        harmless = self._is_harmless(code, token, api.token(Answer(None, response.headers)))
        shown = f"code {code}" if harmless else "an unusual code"
        if code == _BUSY:
            raise BusyError(f"The portal is busy ({shown})", _retry_after(response.headers))
        raise _code_error(api, code, shown, signed_in=token is not None)

    def _is_harmless(self, code: str, *tokens: str | None) -> bool:
        """Return whether a code can be shown: it is short and no part of a secret."""
        if not _CODE.fullmatch(code):
            return False
        secrets = [secret.casefold() for secret in (*tokens, *self._secrets()) if secret]
        places = range(len(code) - _SHORTEST_SECRET + 1)
        parts = [code.casefold()[place : place + _SHORTEST_SECRET] for place in places]
        return not any(part in secret for part in parts for secret in secrets)


def _code_error(api: Api, code: str, shown: str, *, signed_in: bool) -> Exception:
    """Return the error for a code other than success and busy."""
    is_auth_code = code.lower().startswith("auth_")
    if signed_in:
        if code == _EXPIRED or is_auth_code:
            return TokenExpiredError(f"The portal does not know the session ({shown})")
        return ResponseError(f"The portal refuses ({shown})")
    if is_auth_code and not api.auth_codes:
        # The other version answers: it takes the login for a request without a token.
        return ApiVersionChangedError(f"The portal refuses a login of generation {api.version} ({shown})")
    return AuthenticationError(f"The portal refuses to sign in ({shown})")


def _is_conclusive(status: int) -> bool:
    """Return whether an HTTP status is conclusive without the body."""
    return (
        status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED} or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _status_error(status: int, headers: Mapping[str, str], *, signed_in: bool) -> Exception:
    """Return the error for a conclusive HTTP status."""
    if status != HTTPStatus.UNAUTHORIZED:
        return BusyError(f"The portal is busy (HTTP {status})", _retry_after(headers))
    if signed_in:
        return TokenExpiredError(f"The portal does not know the session (HTTP {status})")
    return AuthenticationError(f"The portal refuses to sign in (HTTP {status})")


def _failure(error: Exception) -> str:
    """Return the words for a connection error."""
    found = _ERRNOS.get(error.errno or 0) if isinstance(error, OSError) else None
    named = (words for kind, words in _FAILURES if isinstance(error, kind))
    return found or next(named, f"what was to be sent is not valid ({type(error).__name__})")


def _envelope(status: int, body: Body) -> dict[str, Any]:
    """Return the envelope in a body, which has a code. Raises ApiVersionChangedError or ResponseError."""
    no_such_path = status in _NO_SUCH_PATH
    other_version = partial(ApiVersionChangedError, no_such_path=no_such_path)
    if not body.is_json:
        # Without a valid session the portal may send its login page with status 200, or redirect to it.
        is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        message = f"The portal's answer is not JSON (HTTP {status})"
        raise (other_version if body.is_page or is_redirect or no_such_path else ResponseError)(message)
    if isinstance(body.tree, dict) and "code" in body.tree:
        return body.tree
    message = f"The portal's answer has no code (HTTP {status})"
    raise (other_version if isinstance(body.tree, dict) or no_such_path else ResponseError)(message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, None if it is missing or invalid.

    A date counts from the portal's own Date header, so that a wrong clock on either side does no harm.
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
