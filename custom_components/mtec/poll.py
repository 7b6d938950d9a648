"""The poll of an account: refreshes its coordinators one after the other."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from homeassistant.util import dt as dt_util

from .const import LOGGER
from .coordinator import MtecCoordinator
from .portal import RateLimiter
from .portal.rate_limiter import PATIENCE
from .sources import AuthenticationError
from .time_limit import OutOfTimeError, TimeLimit, UnexpectedErrorLog


class Poll:
    """Refreshes coordinators within a time limit and the request budget, and logs which of them are unavailable."""

    def __init__(self, rate_limiter: RateLimiter, limit: TimeLimit, errors: UnexpectedErrorLog) -> None:
        self._rate_limiter = rate_limiter
        self._limit = limit
        self._errors = errors
        self._unavailable: set[MtecCoordinator[Any]] = set()

    async def async_refresh(self, coordinators: Sequence[MtecCoordinator[Any]]) -> None:
        """Refresh those coordinators that are due, in this order. Raises AuthenticationError."""
        started = dt_util.utcnow()
        late: list[MtecCoordinator[Any]] = []
        for number, coordinator in enumerate(coordinators):
            if self._limit.is_over():
                late.append(coordinator)
            else:
                await self._async_refresh_in_turn(coordinator, started, is_first=number == 0)
        # A slow source is asked for the rest in the next poll. If it gave nothing at all, everything has failed.
        if not any(each.fetched_at is not None and each.fetched_at >= started for each in coordinators):
            for coordinator in late:
                await _async_refresh_if_due(coordinator)

    async def _async_refresh_in_turn(
        self, coordinator: MtecCoordinator[Any], started: datetime, *, is_first: bool
    ) -> None:
        asked_at = coordinator.asked_at
        # While the portal is to be left alone nothing is asked, and the turn is not used up.
        if self._rate_limiter.backoff_remaining <= PATIENCE:
            coordinator.asked_at = started
        await _async_refresh_if_due(coordinator)
        # Only the first one had the time of the whole poll. Another one without enough time keeps its turn.
        if not is_first and isinstance(coordinator.error, OutOfTimeError):
            coordinator.asked_at = asked_at
        self._errors.update(f"{coordinator.id} {coordinator.name}", coordinator.name, coordinator.error)

    def log_availability(self, coordinators: Iterable[MtecCoordinator[Any]]) -> None:
        """Log once when something becomes unavailable, and once when it is available again."""
        for coordinator in coordinators:
            if coordinator.last_update_success == (coordinator not in self._unavailable):
                continue
            if coordinator.last_update_success:
                self._unavailable.discard(coordinator)
                LOGGER.info("%s is available again", coordinator.name)
            else:
                self._unavailable.add(coordinator)
                LOGGER.warning("%s is unavailable: %s", coordinator.name, coordinator.error)


async def _async_refresh_if_due(coordinator: MtecCoordinator[Any]) -> None:
    """Refresh a coordinator if it is due. Raises AuthenticationError, which concerns the whole account."""
    if coordinator.is_due:
        await coordinator.async_refresh()
        if isinstance(coordinator.error, AuthenticationError):
            raise coordinator.error
