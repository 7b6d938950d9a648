"""What goes wrong at the simulated inverter, when it is told to."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from tests.portal_simulator import BARN, CABIN, plant_of

from .frames import Framing
from .modbus import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    RefusedError,
    Request,
    UnansweredError,
)
from .registers import View

SLOW = 5.0
"""Seconds that a slow answer takes."""

FRAGILE = 0.05
"""Seconds that a fragile stick needs between two requests."""

SHIFT = timedelta(minutes=20)
"""How long before or after midnight the day's energies are reset."""

IMPOSSIBLE: Mapping[int, int] = {
    # 200 % in a battery of 3276.7 °C.
    33000: 20000,
    33003: 0x7FFF,
    # 2 GW of PV, of which 1 GW is drawn from the grid.
    11028: 0x7735,
    11029: 0x9400,
    11000: 0xC465,
    11001: 0x3600,
}
"""Words that make values which cannot be."""


@dataclass(kw_only=True)
class Strike:
    """A fault that strikes a request."""

    fault: Fault
    request: Request
    random: Random
    sleep: Callable[[float], Awaitable[None]]
    slow: float
    framing: Framing
    idle: float
    """Seconds since the answer before, or since the request before if that had none."""
    since: datetime
    """When the fault began to strike."""


type Before = Callable[[Strike], Awaitable[None]]
"""Strikes before the request is answered, and may end that."""
type OnView = Callable[[View, Strike], View]
"""Returns another inverter, or the inverter at another moment, in place of what is."""
type OnFrame = Callable[[bytes, Strike], list[bytes]]
"""Returns what is sent, piece by piece, in place of an answer."""


def _is_request(request: Request | None) -> bool:
    return request is not None


def _is_any(_: Request | None) -> bool:
    return True


def _is_write(request: Request | None) -> bool:
    return request is not None and request.is_write


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A way to fail. One that strikes at random goes on for as long as it `lasts`; without, for one request.

    `on` says what it strikes: a request, or None for a new connection. `words` are read in place of what registers
    hold. An answer that is `held` is sent before the next one. `forgets` if a write is not carried out, `ends` if the
    connection is reset after the answer.
    """

    about: str
    on: Callable[[Request | None], bool] = _is_request
    lasts: timedelta | None = None
    before: Before | None = None
    view: OnView | None = None
    words: Mapping[int, int] = field(default_factory=dict)
    frame: OnFrame | None = None
    held: bool = False
    forgets: bool = False
    silent: bool = False
    """Whether the request is carried out, but not answered."""
    ends: bool = False


# Instead of an answer


def _refuse(code: int) -> Before:
    async def strike(_: Strike) -> None:
        raise RefusedError(code)

    return strike


async def _say_nothing(_: Strike) -> None:
    raise UnansweredError


async def _reset(_: Strike) -> None:
    raise UnansweredError(resets=True)


async def _answer_slowly(strike: Strike) -> None:
    await strike.sleep(strike.slow)


async def _hang_if_hurried(strike: Strike) -> None:
    if strike.idle < FRAGILE:
        raise UnansweredError(hangs=True)


# In the answer's bytes


def _split(data: bytes, strike: Strike) -> list[bytes]:
    first = strike.random.randrange(1, len(data) - 1)
    second = strike.random.randrange(first + 1, len(data))
    return [data[:first], data[first:second], data[second:]]


def _merge(data: bytes, _: Strike) -> list[bytes]:
    return [data + data]


def _spoil(data: bytes, strike: Strike) -> list[bytes]:
    return [strike.framing.spoil(data)]


def _cut(data: bytes, _: Strike) -> list[bytes]:
    return [data[: len(data) // 2]]


# In what the inverter is and knows


def _stand_still(view: View, strike: Strike) -> View:
    return replace(view, moment=strike.since, calendar=strike.since)


def _stop_the_clock(view: View, strike: Strike) -> View:
    return replace(view, calendar=strike.since)


def _forget_values(view: View, _: Strike) -> View:
    return replace(view, zeros=True)


def _reset_day(early: timedelta) -> OnView:
    return lambda view, _: replace(view, early=early)


def _be_another(view: View, _: Strike) -> View:
    other = next(plant for plant in (BARN, CABIN) if plant != view.plant.description)
    return replace(view, inverter=other.inverters[0], plant=plant_of(other, view.plant._seed))


FAULTS: dict[str, Fault] = {
    "silence": Fault(about="requests are not answered", before=_say_nothing),
    "late": Fault(about="an answer comes when the next request does, ahead of its answer", held=True),
    "slow": Fault(about=f"an answer takes {SLOW:.0f} s", before=_answer_slowly),
    "split": Fault(about="an answer comes in three pieces", frame=_split),
    "merged": Fault(about="an answer comes twice, in one piece", frame=_merge),
    "bad_crc": Fault(about="the CRC of an answer is wrong; in Modbus/TCP its transaction", frame=_spoil),
    "cut": Fault(about="an answer ends in the middle, and the connection is reset", frame=_cut, ends=True),
    "illegal_function": Fault(about="requests are refused with exception 1", before=_refuse(ILLEGAL_FUNCTION)),
    "illegal_address": Fault(about="requests are refused with exception 2", before=_refuse(ILLEGAL_ADDRESS)),
    "illegal_value": Fault(about="requests are refused with exception 3", before=_refuse(ILLEGAL_VALUE)),
    "reset": Fault(about="the connection is reset instead of an answer", before=_reset),
    "occupied": Fault(
        about="another client holds the connection: all others are reset",
        on=_is_any,
        lasts=timedelta(minutes=5),
        before=_reset,
    ),
    "fragile": Fault(
        about=f"it hangs if a request comes within {FRAGILE * 1000:.0f} ms of the answer before",
        before=_hang_if_hurried,
    ),
    "frozen": Fault(about="all values stand still", lasts=timedelta(hours=1), view=_stand_still),
    "frozen_clock": Fault(
        about="the inverter's clock stands still, and with it the day that energies are counted for",
        lasts=timedelta(hours=4),
        view=_stop_the_clock,
    ),
    "zeros": Fault(
        about="all that is measured and counted reads 0, as after a restart",
        lasts=timedelta(minutes=1),
        view=_forget_values,
    ),
    "impossible": Fault(about="some values cannot be", words=IMPOSSIBLE),
    "early_reset": Fault(
        about=f"the day's energies are reset {SHIFT.seconds // 60} minutes before midnight",
        lasts=timedelta(days=2),
        view=_reset_day(SHIFT),
    ),
    "late_reset": Fault(
        about=f"the day's energies are reset {SHIFT.seconds // 60} minutes after midnight",
        lasts=timedelta(days=2),
        view=_reset_day(-SHIFT),
    ),
    "swapped": Fault(
        about="another inverter is at the address: that of the barn, or of the cabin",
        lasts=timedelta(hours=1),
        view=_be_another,
    ),
    "write_refused": Fault(about="writes are refused with exception 3", on=_is_write, before=_refuse(ILLEGAL_VALUE)),
    "write_ignored": Fault(about="writes are confirmed, but nothing changes", on=_is_write, forgets=True),
    "write_silence": Fault(about="writes are not answered, and nothing changes", on=_is_write, before=_say_nothing),
    "write_unconfirmed": Fault(about="writes are carried out, but not answered", on=_is_write, silent=True),
}
"""All faults of the inverter by their names."""


@dataclass(kw_only=True)
class _Plan:
    """A fault that is to strike, and when."""

    name: str
    matching: Callable[[Request], bool]
    times: int | None
    since: datetime | None
    until: datetime | None
    probability: float
    random: Random
    goes_on_until: datetime | None = None
    began: datetime | None = None

    def strikes(self, request: Request | None, now: datetime) -> bool:
        if not FAULTS[self.name].on(request) or (request is not None and not self.matching(request)):
            return False
        if self.goes_on_until is not None and now < self.goes_on_until:
            return True
        if self.goes_on_until is not None:
            self.began = None
        if not self._is_due(now):
            return False
        self._begin(now)
        return True

    def _is_due(self, now: datetime) -> bool:
        return not (
            self.times == 0
            or (self.since is not None and now < self.since)
            or (self.until is not None and now >= self.until)
            or (self.probability < 1 and self.random.random() >= self.probability)
        )

    def _begin(self, now: datetime) -> None:
        self.began = self.began or now
        if self.times is not None:
            self.times -= 1
        lasts = FAULTS[self.name].lasts
        if self.probability < 1 and lasts is not None:
            self.goes_on_until = now + lasts if self.until is None else min(now + lasts, self.until)


@dataclass
class Faults:
    """The faults of a simulator; several may strike a request at once. `struck` counts them by name."""

    struck: Counter[str] = field(default_factory=Counter)
    _plans: list[_Plan] = field(default_factory=list)

    def add(
        self,
        name: str,
        *,
        matching: Callable[[Request], bool] = lambda _: True,
        times: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        probability: float = 1.0,
        seed: object = 1,
    ) -> None:
        """Let a fault strike.

        It strikes the next `times` requests, or all, that are `matching`, from `since` until before `until` on the
        simulator's clock, each with a probability.
        """
        if name not in FAULTS:
            raise ValueError(f"There is no fault {name!r}")
        self._plans.append(
            _Plan(
                name=name,
                matching=matching,
                times=times,
                since=since,
                until=until,
                probability=probability,
                random=Random(f"{seed} {name}"),  # noqa: S311
            )
        )

    def clear(self) -> None:
        """Be well again, at once. What was held back of answers is still sent."""
        self._plans.clear()

    def refuses_connection(self, now: datetime) -> bool:
        """Return whether a new connection is refused."""
        return bool(self._striking(None, now))

    def strike(
        self,
        request: Request,
        now: datetime,
        *,
        sleep: Callable[[float], Awaitable[None]],
        slow: float,
        framing: Framing,
        idle: float,
    ) -> list[Strike]:
        """Return what strikes a request."""
        striking = self._striking(request, now)
        request.faults = tuple(plan.name for plan in striking)
        return [
            Strike(
                fault=FAULTS[plan.name],
                request=request,
                random=plan.random,
                sleep=sleep,
                slow=slow,
                framing=framing,
                idle=idle,
                since=plan.began or now,
            )
            for plan in striking
        ]

    def _striking(self, request: Request | None, now: datetime) -> list[_Plan]:
        striking = [plan for plan in self._plans if plan.strikes(request, now)]
        self.struck.update(plan.name for plan in striking)
        return striking
