"""The time the simulated portal lives in."""

from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that stands still at a moment, or runs with the system's clock, shifted by a settable amount.

    `moment` is where it starts (None: the system's time). Without `moment` it always runs; with `moment` it runs only
    if `running` is true.
    """

    def __init__(self, moment: datetime | None = None, *, running: bool = False) -> None:
        self._running = running or moment is None
        self._base = datetime.now(UTC)
        self._shift = timedelta()
        if moment is not None:
            self.set(moment)

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self._unshifted() + self._shift

    def set(self, moment: datetime) -> None:
        """Go to an aware moment, forward or back. A running clock runs on from there."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment} has no time zone")
        self._shift = moment.astimezone(UTC) - self._unshifted()

    def advance(self, duration: timedelta) -> None:
        """Go forward by `duration`."""
        self._shift += duration

    def _unshifted(self) -> datetime:
        return datetime.now(UTC) if self._running else self._base
