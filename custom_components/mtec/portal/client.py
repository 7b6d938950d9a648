"""The client of M-TEC's portal: what can be asked, in whichever version of its API the portal answers."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from functools import partial
from itertools import pairwise
from typing import Any, Final

import aiohttp

from custom_components.mtec.models import (
    CurvePoint,
    DaySummary,
    DayUsage,
    Inverter,
    InverterReading,
    Station,
    StationReading,
    UsageRow,
)
from custom_components.mtec.sources import AuthenticationError, BusyError, ResponseError, SourceError

from .api import Answer, Api, Request, Send
from .api_v1 import ApiV1
from .api_v2 import ApiV2
from .auth import Auth, Credentials, Login
from .login_budget import REFUSED_LOGINS
from .parsing import Period
from .rate_limiter import PATIENCE, RateLimiter
from .request_log import RequestLog
from .transport import ApiVersionChangedError, TokenExpiredError, Transport

PORTAL_URL: Final = "https://energybutler.mtec-portal.com"
"""M-TEC's own portal."""

API_VERSIONS: Final = (ApiV1, ApiV2)


class OtherVersionError(Exception):
    """The portal turned out to answer in another version of the API."""


class Connection:
    """An account's connection to the portal at `url`, shared by its clients.

    `credentials` None is the public demo account. `time_zone` is the plant's. All connections to one portal share one
    `rate_limiter`. `api_version` is the version in which the portal answered before, None if that is not known: it is
    tried first.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        credentials: Credentials | None,
        *,
        time_zone: tzinfo,
        url: str = PORTAL_URL,
        rate_limiter: RateLimiter | None = None,
        api_version: int | None = None,
    ) -> None:
        self.time_zone = time_zone
        self._limiter = rate_limiter or RateLimiter()
        self._auth = Auth(credentials, self._limiter.login_budget("" if credentials is None else credentials.email))
        self._transport = Transport(http, url, self._limiter, self._auth.secrets)
        apis: list[Api] = [version(time_zone) for version in API_VERSIONS]
        self._apis = sorted(apis, key=lambda api: api.version != api_version)
        self._api: Api | None = None
        self._known_version = api_version
        if self._auth.token is not None:
            self._api = next(api for api in self._apis if api.version == self._auth.budget.api_version)
            self._known_version = self._api.version

    @property
    def api_version(self) -> int | None:
        """The version of the API in which the portal answers, None before the first login."""
        return None if self._api is None else self._api.version

    @property
    def api(self) -> Api:
        """The version of the API in which the portal answers, before the first login the preferred one."""
        return self._api or self._apis[0]

    @property
    def request_log(self) -> RequestLog:
        """The log of the account's requests."""
        return self._transport.log

    async def sign_in(self) -> None:
        """Sign in because a person asks for it: previous refusals do not count.

        Raises AuthenticationError if the portal refuses, or another SourceError.
        """
        self._auth.budget.forget_refusals()
        await self._auth.renew_now(self._auth.token, partial(self._detect, asked=True))

    async def request(self, api: Api, request: Request, *, background: bool) -> Any:
        """Return the `data` of the answer to a request. A background request waits while others poll.

        It is repeated once with a new token, and once if the portal is busy for a short time only. Raises SourceError.
        Raises OtherVersionError if the portal answers in another version than `api`.
        """
        stale: str | None = None
        was_busy = False
        while True:
            try:
                token = await self._token(api, stale)
                answer = await self._transport.send(api, request, token, background=background)
            except BusyError as error:
                if was_busy or not (background or self._is_short(error)):
                    raise
                was_busy = True
            except (TokenExpiredError, ApiVersionChangedError) as error:
                if stale is not None or not await self._is_refused(token, error, background=background):
                    raise ResponseError(str(error)) from error
                stale = token
            else:
                self._keep_renewed(api, answer, token)
                return answer.data

    def _is_short(self, error: BusyError) -> bool:
        """Return whether a person can wait until the portal is not busy any more."""
        return max(self._limiter.backoff_remaining, error.retry_after or 0.0) <= PATIENCE

    def _keep_renewed(self, api: Api, answer: Answer, token: str) -> None:
        """Keep the token by which an answer replaces that of its request."""
        if renewed := api.renewed_token(answer):
            self._auth.replace(token, renewed)

    async def _is_refused(self, token: str, error: Exception, *, background: bool) -> bool:
        """Return whether an error means that a new token is needed, maybe of another version of the API.

        A page in place of an answer can mean an expired session, another version, or an error of that request alone.
        """
        if isinstance(error, TokenExpiredError):
            return True
        api = self.api
        try:
            answer = await self._transport.send(api, api.alive(), token, background=background)
        except TokenExpiredError, ApiVersionChangedError:
            return True
        except ResponseError:
            return False
        self._keep_renewed(api, answer, token)
        return False

    async def _token(self, api: Api, stale: str | None) -> str:
        """Return a token other than `stale`. Raises OtherVersionError if it is for another version than `api`."""
        token = self._auth.token if stale is None else None
        if token is None:
            token = await self._auth.renew(stale, partial(self._detect, asked=False))
        if api is not self._api:
            raise OtherVersionError
        return token

    async def _detect(self, *, asked: bool) -> Login:
        """Log in, and find the version of the API in which the portal answers. A person may have `asked` for it.

        The version of the last login is tried first. While the version is not known, a refused login is repeated in the
        other one: a portal may refuse what it does not know with a code of its own.
        """
        refusals: dict[Api, AuthenticationError] = {}
        not_spoken: list[ApiVersionChangedError] = []
        budget = self._auth.budget
        first = budget.try_first or self.api.version
        for api in sorted(self._apis, key=lambda api: api.version != first):
            try:
                login = await self._log_in(api, asked=asked)
            except AuthenticationError as error:
                refusals[api] = error
                if self._is_final(api, len(refusals)):
                    break
            except ApiVersionChangedError as error:
                not_spoken.append(error)
                budget.try_first = next((refused.version for refused in refusals), api.version)
            except SourceError:
                if not refusals:
                    raise
            else:
                self._api, self._known_version = api, api.version
                budget.refund(_missing_paths(not_spoken), asked=asked)
                return login
        raise self._login_error(refusals, not_spoken, asked=asked) from None

    def _login_error(
        self,
        refusals: Mapping[Api, AuthenticationError],
        not_spoken: Sequence[ApiVersionChangedError],
        *,
        asked: bool,
    ) -> SourceError:
        """Return the error of a login that no version of the API has accepted, and record the refusals."""
        if not refusals:
            return ResponseError(str(not_spoken[0]))
        for _ in refusals:
            self._auth.budget.record_refusal()
        self._auth.budget.refund(_missing_paths(not_spoken), asked=asked)
        return next(iter(refusals.values()))

    def _is_final(self, api: Api, refusals: int) -> bool:
        """Return whether no other version may be tried after a refused login."""
        return api.version == self._known_version or self._auth.budget.refused + refusals >= REFUSED_LOGINS

    async def _log_in(self, api: Api, *, asked: bool) -> Login:
        """Log in with a version of the API. It counts as a login even if the portal does not know the path.

        Raises BusyError if no login is left; this version is then the first to be tried next time.
        """
        request = api.login(self._auth.credentials)
        self._auth.budget.try_first = api.version
        self._auth.budget.spend(self._auth.digest, asked=asked)
        return Login(api.version, api.token(await self._transport.send(api, request)))


class Client:
    """The questions that can be asked about an account. Every method raises SourceError.

    Days begin at midnight in the plant's time zone, and moments are in it. With `background` requests wait while
    others poll: for long jobs.
    """

    def __init__(self, connection: Connection, *, background: bool = False) -> None:
        self.connection = connection
        self._time_zone = connection.time_zone
        self._background = background
        self._month_of_summaries: tuple[str, int, int, date] | None = None
        self._rows_of_summaries: list[UsageRow] = []

    @property
    def api_version(self) -> int | None:
        """The version of the API in which the portal answers, None before the first login."""
        return self.connection.api_version

    @property
    def request_log(self) -> RequestLog:
        """The log of the account's requests."""
        return self.connection.request_log

    @property
    def device_ids(self) -> Mapping[str, str]:
        """The portal's own ids of inverters by serial number, empty if it has none."""
        return self.connection.api.device_ids

    @property
    def power_units(self) -> Mapping[str, str]:
        """The detected unit, "W" or "kW", of powers without a unit, by the inverter's serial number.

        For an inverter that is not in it, kW is assumed.
        """
        return self.connection.api.power_units

    async def sign_in(self) -> None:
        """Sign in. Raises AuthenticationError if the portal refuses. The other methods sign in automatically."""
        await self.connection.sign_in()

    async def stations(self) -> list[Station]:
        """Return the account's stations."""
        return await self._call(lambda api, send: api.stations(send))

    async def inverters(self, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""
        return await self._call(lambda api, send: api.inverters(send, station_id))

    async def station_reading(self, station_id: str) -> StationReading:
        """Return the values of a station now."""
        return await self._call(lambda api, send: api.station_reading(send, station_id))

    async def inverter_reading(self, station_id: str, serial_number: str) -> InverterReading:
        """Return the values of an inverter now."""
        return await self._call(lambda api, send: api.inverter_reading(send, station_id, serial_number))

    async def day_usage(self, station_id: str, day: date) -> DayUsage:
        """Return a day as its five-minute curve and its summary.

        On a day on which the clocks change, or if the portal sends no summary, the summary is that of the day's row.
        """
        parts = await self._parts_of_day(station_id, day)
        points = _points_of_day(parts, day)
        summary = parts[0].summary
        if len(parts) > 1 or (points and summary == DaySummary()):
            summary = await self._summary_of_row(station_id, day)
        return DayUsage(points=points, summary=summary, unusable_points=sum(part.unusable_points for part in parts))

    async def day_curve(self, station_id: str, day: date) -> tuple[CurvePoint, ...]:
        """Return the five-minute curve of a day alone."""
        return _points_of_day(await self._parts_of_day(station_id, day), day)

    async def _parts_of_day(self, station_id: str, day: date) -> list[DayUsage]:
        """Return a day as the portal knows it: 24 hours at an offset from UTC, for each offset of the day.

        A day on which the clocks change has two.
        """
        offsets = dict.fromkeys((self._offset(day), self._offset(day + timedelta(days=1))))
        return [await self._part_of_day(station_id, day, offset) for offset in offsets]

    async def _part_of_day(self, station_id: str, day: date, offset: int) -> DayUsage:
        return await self._call(lambda api, send: api.day_usage(send, station_id, day, offset))

    async def _summary_of_row(self, station_id: str, day: date) -> DaySummary:
        """Return the summary of a day from the rows of its month."""
        today = datetime.now(self._time_zone).date()
        month = (station_id, day.year, day.month, today)
        # Days are mostly read in order, so the rows of a month are kept for all its days. Those of today and yesterday
        # may still change.
        if self._month_of_summaries != month or day >= today - timedelta(days=1):
            self._rows_of_summaries = await self.month_rows(station_id, day.year, day.month)
            self._month_of_summaries = month
        row = next((row for row in self._rows_of_summaries if row.start == day), None)
        if row is None:
            return DaySummary()
        used, bought = row.consumption, row.grid_import
        return DaySummary(
            bought=bought,
            sold=row.grid_export,
            used=used,
            self_used=None if used is None or bought is None else round(used - bought, 2),
            total=row.pv,
        )

    async def month_rows(self, station_id: str, year: int, month: int) -> list[UsageRow]:
        """Return a row for each day of a month that has data."""
        return await self._rows(station_id, Period(year, month), date(year, month, 1))

    async def year_rows(self, station_id: str, year: int) -> list[UsageRow]:
        """Return a row for each month of a year that has data."""
        return await self._rows(station_id, Period(year), date(year, 1, 1))

    async def lifetime_rows(self, station_id: str) -> list[UsageRow]:
        """Return a row for each year that has data."""
        return await self._rows(station_id, Period(), datetime.now(self._time_zone).date())

    async def _rows(self, station_id: str, period: Period, first_day: date) -> list[UsageRow]:
        offset = self._offset(first_day)
        return await self._call(lambda api, send: api.usage_rows(send, station_id, period, offset))

    async def _call[AnswerT](self, question: Callable[[Api, Send], Awaitable[AnswerT]]) -> AnswerT:
        """Return the answer to a question, asked again if the portal has changed the version of its API meanwhile."""
        for _ in API_VERSIONS:
            api = self.connection.api
            try:
                return await question(api, partial(self.connection.request, api, background=self._background))
            except OtherVersionError:
                continue
        raise ResponseError("The portal speaks one generation of its API and then another")

    def _offset(self, day: date) -> int:
        """Return the minutes east of UTC at the day's midnight."""
        midnight = datetime.combine(day, time(), self._time_zone)
        return round((midnight.utcoffset() or timedelta()).total_seconds() / 60)


def _missing_paths(errors: Iterable[ApiVersionChangedError]) -> int:
    """Return how many logins only found that the portal does not have the path."""
    return sum(error.no_such_path for error in errors)


def _points_of_day(parts: Sequence[DayUsage], day: date) -> tuple[CurvePoint, ...]:
    """Return the points of a day in order, without those of neighbouring days."""
    found = [point for part in parts for point in part.points]
    # Without a change of the clocks the points are mostly in order as they come.
    if len(parts) == 1 and _is_in_order(found, day):
        return tuple(found)
    # Keyed by timestamp: datetimes of one zone compare by the clock, which shows an hour twice in autumn.
    points = {point.start.timestamp(): point for point in found if _is_on(point, day)}
    return tuple(points[key] for key in sorted(points))


def _is_on(point: CurvePoint, day: date) -> bool:
    return point.start.date() == day


def _is_in_order(points: Sequence[CurvePoint], day: date) -> bool:
    """Return whether points are of a day, each later on the clock than the one before it."""
    is_of_day = bool(points) and _is_on(points[0], day) and _is_on(points[-1], day)
    return is_of_day and all(before.start < after.start for before, after in pairwise(points))
