"""The report and the progress of an import."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from time import monotonic
from typing import Final

from homeassistant.util import dt as dt_util

USUAL_SECONDS: Final = 3.0
"""The estimated duration of a request before the first one was measured."""
_ALMOST: Final = 0.99
"""The most that is shown of an import that has not ended."""


class Phase(StrEnum):
    """The phase of an import."""

    READING = "reading"
    WAITING = "waiting"
    IMPORTING = "importing"


@dataclass(slots=True)
class Progress:
    """The progress of an import in requests; `started` is in seconds of the monotonic clock."""

    phase: Phase = Phase.READING
    done: int = 0
    planned: int = 0
    started: float = 0.0
    has_ended: bool = False
    _answered: float = 0.0
    _each: float = USUAL_SECONDS

    def start(self) -> None:
        """Begin to measure."""
        self.started = self._answered = monotonic()

    def answered(self) -> None:
        """Count an answer."""
        self.done += 1
        self._answered = monotonic()
        self._each = (self._answered - self.started) / self.done

    def waited(self, seconds: float) -> None:
        """Leave out a time that was not spent on requests."""
        self.started += seconds
        self._answered += seconds

    @property
    def fraction(self) -> float:
        """The progress from 0 to 1, which it is at the end alone."""
        if self.has_ended:
            return 1.0
        return min(_ALMOST, self.done / self.planned) if self.planned else 0.0

    @property
    def seconds_left(self) -> float:
        """The estimated remaining time, which falls from one answer to the next."""
        left = max(0, self.planned - self.done) * self._each
        return max(0.0, left - (monotonic() - self._answered if self._answered else 0.0))


@dataclass(slots=True)
class Report:
    """The result of an import.

    `energy` is in kWh by the key of the sensor, `costs` in Home Assistant's currency by entity id. `not_recorded` are
    the entity ids of sensors without statistics. `hours` are those of energies, `hours_of_powers` those of powers and
    of the charge, `refined` days whose hours were distributed anew. Of `more_recorded` days Home Assistant has recorded
    more than the portal says: they are left alone. `contradictions` are periods whose rows lack what the portal says
    of the whole.
    """

    requests: int = 0
    hours: int = 0
    hours_of_powers: int = 0
    imported: set[date] = field(default_factory=set)
    refined: set[date] = field(default_factory=set)
    without_data: list[date] = field(default_factory=list)
    more_recorded: set[date] = field(default_factory=set)
    contradictions: list[str] = field(default_factory=list)
    not_recorded: list[str] = field(default_factory=list)
    energy: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)

    def count_days(self, key: str, days: Iterable[date], hours: int, energy: float) -> None:
        """Add a number of hours of days of the sensor with this key, and their energy in kWh."""
        self.hours += hours
        self.imported.update(days)
        if hours:
            self.energy[key] = self.energy.get(key, 0.0) + energy

    def count(self, key: str, hours: Iterable[datetime], energy: float) -> None:
        """Add hours (UTC) of the sensor with this key, and their energy in kWh."""
        starts = list(hours)
        self.hours += len(starts)
        self.imported |= {dt_util.as_local(start).date() for start in starts}
        if starts:
            self.energy[key] = self.energy.get(key, 0.0) + energy
