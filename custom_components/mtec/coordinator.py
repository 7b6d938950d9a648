"""The coordinator of one thing that is read from a source."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util

from .const import GRACE_POLLS, LOGGER
from .errors import update_failed
from .sources import AuthenticationError, SourceError
from .time_limit import TimeLimit, UnexpectedError

_NEVER = datetime.min.replace(tzinfo=UTC)


class MtecCoordinator[DataT](DataUpdateCoordinator[DataT]):
    """Reads one thing, such as the values of a station now. Keeps the last data during GRACE_POLLS failures in a row.

    The account refreshes it when it is due, so it has no timer. `interval` is how long its data stays up to date.
    `id` is the id of the station or the serial number of the inverter. `fetch` raises SourceError, and is cancelled at
    the `limit` of a poll.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        *,
        id_: str,
        name: str,
        fetch: Callable[[], Awaitable[DataT]],
        limit: TimeLimit,
        interval: timedelta = timedelta(),
    ) -> None:
        super().__init__(hass, LOGGER, config_entry=entry, name=name)
        self.id = id_
        self.fetch = fetch
        self._limit = limit
        self.interval = interval
        self.last_update_success = False
        self.asked_at = _NEVER
        self.read_at: datetime | None = None
        self.error: SourceError | None = None
        self.failed_polls = 0
        self.error_counts: Counter[str] = Counter()

    @property
    def reading(self) -> DataT | None:
        """The data, None while it is unavailable."""
        return self.data if self.last_update_success else None

    @property
    def is_due(self) -> bool:
        """Whether the data is not up to date."""
        return is_over(self.read_at, self.interval)

    @callback
    def async_set_unavailable(self) -> None:
        """Make the data unavailable until the next successful refresh."""
        self.read_at = None
        if self.last_update_success:
            self.last_update_success = False
            self.async_update_listeners()

    @override
    async def _async_update_data(self) -> DataT:
        asked_at = dt_util.utcnow()
        try:
            async with self._limit.enforce():
                data = await self.fetch()
        except SourceError as error:
            self._count(error)
            if self.last_update_success and self.failed_polls <= GRACE_POLLS:
                return self.data
            if not self.last_update_success:
                # DataUpdateCoordinator reports the first failure alone. Energy sensors wait for each attempt.
                self.async_update_listeners()
            # The account logs which of its coordinators fail: only one line if all do. DataUpdateCoordinator logs
            # changes of this attribute alone.
            self.last_update_success = False
            raise update_failed(error) from error
        self.last_update_success = True
        self.read_at = asked_at
        self.error = None
        self.failed_polls = 0
        return data

    def _count(self, error: SourceError) -> None:
        self.error = error
        # The login belongs to the account: a refused one is no failure of this thing.
        if not isinstance(error, AuthenticationError):
            self.failed_polls += 1
            self.error_counts[error.kind if isinstance(error, UnexpectedError) else type(error).__name__] += 1


def is_over(begin: datetime | None, interval: timedelta) -> bool:
    """Return whether an interval is over, or begins in the future because the clock was wrong."""
    return begin is None or not timedelta() <= dt_util.utcnow() - begin < interval
