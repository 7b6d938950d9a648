"""Parts of both simulators: when their faults strike, and how they run as a program."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
import signal
import sys
from typing import TypedDict


class When(TypedDict, total=False):
    """When a fault strikes: the next `times` requests, or all, from `since` until before `until`, with a probability.

    The moments are on the simulator's clock. `seed` chooses which requests the probability strikes.
    """

    times: int | None
    since: datetime | None
    until: datetime | None
    probability: float
    seed: object


@dataclass(kw_only=True)
class Plan[SubjectT]:
    """A fault that is to strike what it `matches`. One that strikes at random goes on for as long as it `lasts`."""

    name: str
    matches: Callable[[SubjectT], bool]
    lasts: timedelta | None
    times: int | None
    since: datetime | None
    until: datetime | None
    probability: float
    random: Random
    goes_on_until: datetime | None = None
    began: datetime | None = None

    def strikes(self, subject: SubjectT, now: datetime) -> bool:
        """Return whether it strikes a request, which it then has done."""
        if not self.matches(subject):
            return False
        if self.goes_on_until is not None:
            if now < self.goes_on_until:
                return True
            self.began = None
        if not self._is_time(now) or not self._happens():
            return False
        self._begin(now)
        return True

    def _is_time(self, now: datetime) -> bool:
        begun, over = self.since is None or self.since <= now, self.until is not None and self.until <= now
        return begun and not over and self.times != 0

    def _happens(self) -> bool:
        return self.probability >= 1 or self.random.random() < self.probability

    def _begin(self, now: datetime) -> None:
        self.began = self.began or now
        if self.times is not None:
            self.times -= 1
        if self.probability < 1 and self.lasts is not None:
            end = now + self.lasts
            self.goes_on_until = end if self.until is None else min(end, self.until)


@dataclass
class Plans[SubjectT]:
    """The faults of a simulator; several may strike a request at once. `struck` counts them by name."""

    struck: Counter[str] = field(default_factory=Counter)
    _plans: list[Plan[SubjectT]] = field(default_factory=list)

    def plan(
        self,
        name: str,
        matches: Callable[[SubjectT], bool],
        lasts: timedelta | None,
        *,
        times: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        probability: float = 1.0,
        seed: object = 1,
    ) -> None:
        """Let a fault strike."""
        self._plans.append(
            Plan(
                name=name,
                matches=matches,
                lasts=lasts,
                times=times,
                since=since,
                until=until,
                probability=probability,
                random=Random(f"{seed} {name}"),  # noqa: S311
            )
        )

    def clear(self) -> None:
        """Be well again, at once."""
        self._plans.clear()

    def striking(self, subject: SubjectT, now: datetime) -> list[Plan[SubjectT]]:
        """Return the faults that strike a request, which they then have done."""
        striking = [plan for plan in self._plans if plan.strikes(subject, now)]
        self.struck.update(plan.name for plan in striking)
        return striking


# As a program


def moment(text: str) -> datetime:
    """Return a moment in ISO 8601, in UTC if it names no offset. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def number_in(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a function that reads a whole number within limits. It raises ValueError."""

    def number(text: str) -> int:
        if not lowest <= (found := int(text)) <= highest:
            raise ValueError
        return found

    # It is in the message of an argument that is wrong.
    number.__name__ = f"number from {lowest} to {highest}"
    return number


port = number_in(0, 65535)


def faults_of(known: Iterable[str]) -> Callable[[str], dict[str, float]]:
    """Return a function that reads NAME[=PROBABILITY],... of known faults. It raises ValueError."""
    names = {*known}

    def faults(text: str) -> dict[str, float]:
        pairs = (part.partition("=") for part in text.split(","))
        found = {name.strip(): float(probability or 1) for name, _, probability in pairs}
        if not found.keys() <= names or not all(0 <= probability <= 1 for probability in found.values()):
            raise ValueError
        return found

    return faults


def run[SimulatorT](
    simulator: Callable[[], AbstractAsyncContextManager[SimulatorT]], prepare: Callable[[SimulatorT], str]
) -> None:
    """Run a simulator until it is told to stop. Print what `prepare` returns, its address, first."""

    async def serve() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with simulator() as running:
            sys.stdout.write(f"{prepare(running)}\n")
            sys.stdout.flush()
            await stopped.wait()

    try:
        asyncio.run(serve())
    except OSError as error:
        sys.exit(f"The simulator cannot listen: {error.strerror}")
