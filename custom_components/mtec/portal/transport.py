"""Transport of one request to the portal: rate limit, HTTP, and envelope to answer or typed error."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
import errno
from http import HTTPStatus
import re

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
        body: Body | None = None
        try:
            async with (
                self._limiter.slot(background=background),
                _connection_errors(),
                self._http.request(
                    request.method,
                    f"{self._url}/{request.path}",
                    params=request.params,
                    json=request.json,
                    headers=api.headers(token) | {"Accept-Encoding": ACCEPT_ENCODING},
                    timeout=TIMEOUT,
                    allow_redirects=False,
                    auto_decompress=False,
                ) as response,
            ):
                self._check_status(response, token)
                body = await read_body(response)
                self._check_code(api, response, body, token)
                answer = Answer(body.tree.get("data"), response.headers)
        except (SourceError, TokenExpiredError, ApiVersionChangedError) as error:
            self.log.record_error(request.path, error, *([] if body is None else [shape(body)]))
            raise
        if token is None:
            self.log.record_login(request.path, answer.data)
        else:
            self.log.record_answer(request.path, request.params or request.json, answer.data, body.size)
        return answer

    def _check_status(self, response: aiohttp.ClientResponse, token: str | None) -> None:
        """Raise the error of an HTTP status that is conclusive without the body."""
        status = response.status
        if status == HTTPStatus.UNAUTHORIZED:
            if token is None:
                raise AuthenticationError(f"The portal refuses to sign in (HTTP {status})")
            raise TokenExpiredError(f"The portal does not know the session (HTTP {status})")
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._busy(f"HTTP {status}", response.headers)

    def _check_code(self, api: Api, response: aiohttp.ClientResponse, body: Body, token: str | None) -> None:
        """Raise the error of an answer whose code is not that of a success."""
        code = _code(response.status, body)
        if code == _SUCCESS:
            self._limiter.record_success()
            return
        harmless = self._is_harmless(code, token, api.token(Answer(None, response.headers)))
        shown = f"code {code}" if harmless else "an unusual code"
        if code == _BUSY:
            raise self._busy(shown, response.headers)
        raise _code_error(api, code, shown, signed_in=token is not None)

    def _busy(self, shown: str, headers: Mapping[str, str]) -> BusyError:
        """Let the rate limiter leave the portal alone, and return the error."""
        seconds = _retry_after(headers)
        self._limiter.record_busy(seconds)
        return BusyError(f"The portal is busy ({shown})", seconds)

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


@asynccontextmanager
async def _connection_errors() -> AsyncGenerator[None]:
    """Turn the errors of a connection into SourceConnectionError."""
    try:
        yield
    except TimeoutError:
        raise SourceConnectionError("The portal did not answer in time") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise SourceConnectionError(f"The portal cannot be reached: {_failure(error)}") from None


def _failure(error: Exception) -> str:
    """Return the words for a connection error."""
    found = _ERRNOS.get(error.errno or 0) if isinstance(error, OSError) else None
    named = (words for kind, words in _FAILURES if isinstance(error, kind))
    return found or next(named, f"what was to be sent is not valid ({type(error).__name__})")


def _code(status: int, body: Body) -> str:
    """Return the code of an answer. Raises ApiVersionChangedError or ResponseError if it has none."""
    if isinstance(body.tree, dict) and "code" in body.tree:
        return str(body.tree["code"]).strip()
    no_such_path = status in _NO_SUCH_PATH
    if body.is_json:
        message, is_other = "has no code", isinstance(body.tree, dict)
    else:
        # Without a valid session the portal may send its login page with status 200, or redirect to it.
        is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        message, is_other = "is not JSON", body.is_page or is_redirect
    message = f"The portal's answer {message} (HTTP {status})"
    if is_other or no_such_path:
        raise ApiVersionChangedError(message, no_such_path=no_such_path)
    raise ResponseError(message)


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
