"""The coordinator of one thing that is read from a source."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util

from .const import FALLBACK_INTERVAL, GRACE_POLLS, LOGGER
from .errors import update_failed
from .sources import AuthenticationError, ResponseError, SourceConnectionError, SourceError, combine
from .time_limit import TimeLimit, UnexpectedError

_RETRIES = 6
"""How often within its interval a refused request is repeated: what is read rarely is not asked for in each poll."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class MtecCoordinator[DataT](DataUpdateCoordinator[DataT]):
    """Reads one thing, such as the values of a station now. Keeps the last data during GRACE_POLLS failures in a row.

    The account refreshes it when it is due, unless it has a timer of its own (`update_interval`). `interval` is how
    long its data stays up to date. `id` is the id of the station or the serial number of the inverter. `fetch` raises
    SourceError, and is cancelled at the `limit` of a poll. It is None if the portal does not list the thing.

    Another source may have a reading that is preferred. Then `fetch` fills in what that reading does not have.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        *,
        id_: str,
        name: str,
        fetch: Callable[[], Awaitable[DataT]] | None,
        limit: TimeLimit,
        interval: timedelta = timedelta(),
        update_interval: timedelta | None = None,
    ) -> None:
        super().__init__(hass, LOGGER, config_entry=entry, name=name, update_interval=update_interval)
        self.id = id_
        self.fetch = fetch
        self._limit = limit
        self.interval = interval
        self._refused_at: datetime | None = None
        self.last_update_success = False
        self.asked_at = _NEVER
        self.fetched_at: datetime | None = None
        self.error: SourceError | None = None
        self.failed_polls = 0
        self.error_counts: Counter[str] = Counter()
        self._fetched: DataT | None = None
        self._preferred: DataT | None = None
        self._preferred_at: datetime | None = None

    @property
    def reading(self) -> DataT | None:
        """The data, None while it is unavailable."""
        return self.data if self.last_update_success else None

    @property
    def read_at(self) -> datetime | None:
        """When the newest part of the data was read."""
        return max(filter(None, (self.fetched_at, self._preferred_at)), default=None)

    @property
    def has_preferred(self) -> bool:
        """Whether there is a preferred reading."""
        return self._preferred is not None

    @property
    def is_due(self) -> bool:
        """Whether what `fetch` returned is not up to date."""
        interval = max(self.interval, FALLBACK_INTERVAL) if self.has_preferred else self.interval
        may_ask = self.fetch is not None and is_over(self._refused_at, self.interval / _RETRIES)
        return may_ask and is_over(self.fetched_at, interval)

    @callback
    def async_set_unavailable(self) -> None:
        """Make the data unavailable until the next successful refresh, but for a preferred reading."""
        # Where all is unavailable, a refusal is not of this request.
        self._fetched = self.fetched_at = self._refused_at = None
        if self.last_update_success:
            self._async_set_combined()

    @callback
    def async_set_preferred(self, reading: DataT | None) -> None:
        """Take a preferred reading of now, None if there is none any more."""
        if reading is not None or self.has_preferred:
            self._preferred, self._preferred_at = reading, None if reading is None else dt_util.utcnow()
            self._async_set_combined()

    @callback
    def _async_set_combined(self) -> None:
        data = self._combined()
        self.last_update_success = data is not None
        if data is not None:
            self.data = data
        self.async_update_listeners()

    def _combined(self) -> DataT | None:
        if self._preferred is None or self._fetched is None:
            return self._fetched if self._preferred is None else self._preferred
        return combine(self._preferred, self._fetched)

    def _may_keep_data(self, error: SourceError) -> bool:
        """Return whether the data stays after an error that has been counted."""
        return self.last_update_success and self.failed_polls <= GRACE_POLLS

    @override
    async def _async_update_data(self) -> DataT:
        asked_at = dt_util.utcnow()
        try:
            async with self._limit.enforce():
                self._fetched = await self._async_fetch()
        except SourceError as error:
            self._count(error)
            self._refused_at = asked_at if isinstance(error, ResponseError) else None
            if self._may_keep_data(error):
                return self.data
            self._fetched = self.fetched_at = None
            if self._preferred is not None:
                return self._preferred
            if not self.last_update_success:
                # DataUpdateCoordinator reports the first failure alone. Energy sensors wait for each attempt.
                self.async_update_listeners()
            # Whoever refreshes it logs which of its coordinators fail: only one line if all do. DataUpdateCoordinator
            # logs changes of this attribute alone.
            self.last_update_success = False
            raise update_failed(error) from error
        self.last_update_success = True
        self.fetched_at = asked_at
        self.error = self._refused_at = None
        self.failed_polls = 0
        return self._fetched if self._preferred is None else combine(self._preferred, self._fetched)

    async def _async_fetch(self) -> DataT:
        if self.fetch is None:
            raise SourceConnectionError("The portal does not list it")
        return await self.fetch()

    def _count(self, error: SourceError) -> None:
        self.error = error
        # The login belongs to the account: a refused one is no failure of this thing.
        if not isinstance(error, AuthenticationError):
            self.failed_polls += 1
            self.error_counts[error.kind if isinstance(error, UnexpectedError) else type(error).__name__] += 1


def is_over(begin: datetime | None, interval: timedelta) -> bool:
    """Return whether an interval is over, or begins in the future because the clock was wrong."""
    return begin is None or not timedelta() <= dt_util.utcnow() - begin < interval
