"""Faults of the simulated portal."""

from collections import Counter
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
import json
from random import Random
import re
import socket
import struct
from typing import Any, override

from aiohttp import web

from .plant import Energies, Plant, Powers
from .portal import AUTH_REFUSED, BUSY, LOGIN_REFUSED, Call, Portal, PortalError

LATE_RESET = timedelta(minutes=20)
"""Time after midnight in which a portal with this fault still counts for the day before."""

SLOW = 12.0
FALLEN = 20.0
"""kWh by which the energy of a plant's life falls."""

HANG = 40.0
"""Seconds until a slow answer, and until a hanging connection is closed without one."""


@dataclass(kw_only=True)
class Strike:
    """A fault that strikes a request."""

    fault: Fault
    portal: Portal
    call: Call
    request: web.Request
    random: Random
    sleep: Callable[[float], Awaitable[None]]
    since: datetime
    """The moment at which the fault began to strike."""

    @property
    def generation(self) -> int:
        """The generation of the API that the request is of."""
        return 2 if self.call.path.startswith("/monitor/") else 1


type Before = Callable[[Strike], Awaitable[None]]
"""Strikes before the request is answered: it may raise the answer, or change what the answer is made from."""
type OnTree = Callable[[Any, Strike], Any]
"""Returns another envelope in place of one."""
type OnBody = Callable[[bytes, Strike], bytes]
"""Returns another body in place of one."""
type OnHeaders = Callable[[Strike], dict[str, str]]


def _is_any(_: Call) -> bool:
    return True


def _is_login(call: Call) -> bool:
    return "/login" in call.path


def _is_signed_in(call: Call) -> bool:
    return not _is_login(call)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A way to fail. One that strikes at random goes on for as long as it `lasts`; without, for one request."""

    about: str
    on: Callable[[Call], bool] = _is_any
    lasts: timedelta | None = None
    before: Before | None = None
    after: Before | None = None
    tree: OnTree | None = None
    body: OnBody | None = None
    headers: OnHeaders | None = None


# Instead of an answer


def _refuse(codes: dict[int, str], message: str) -> Before:
    async def strike(strike: Strike) -> None:
        raise PortalError(codes[strike.generation], message)

    return strike


async def _expire(strike: Strike) -> None:
    strike.portal.expire_tokens()


async def _maintain(strike: Strike) -> None:
    strike.portal.expire_tokens()
    if _is_login(strike.call):
        await _REFUSE_LOGIN(strike)


_REFUSE_LOGIN = _refuse({1: LOGIN_REFUSED, 2: AUTH_REFUSED}, "The email or the password is incorrect")


def _status(status: int, **headers: str) -> Before:
    async def strike(strike: Strike) -> None:
        strike.call.status = status
        raise InsteadError(
            web.Response(
                status=status,
                text=f"<html><body>{status}</body></html>",
                content_type="text/html",
                headers={name.replace("_", "-"): value for name, value in headers.items()},
            )
        )

    return strike


async def _answer_slowly(strike: Strike) -> None:
    await strike.sleep(SLOW)


async def _hold_back(strike: Strike) -> None:
    await strike.sleep(SLOW)


async def _hang(strike: Strike) -> None:
    await strike.sleep(HANG)
    await _reset(strike)


async def _reset(strike: Strike) -> None:
    if (transport := strike.request.transport) is not None:
        # Closing without lingering sends a reset.
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    raise InsteadError(web.Response())


class InsteadError(Exception):
    """An answer in place of the portal's."""

    def __init__(self, response: web.Response) -> None:
        super().__init__()
        self.response = response


# In the answer's bytes


def _truncate(body: bytes, strike: Strike) -> bytes:
    return body[: strike.random.randrange(1, max(2, len(body)))]


def _garble(body: bytes, strike: Strike) -> bytes:
    place = strike.random.randrange(len(body) or 1)
    return body[:place] + b'",}\xff' + body[place + 1 :]


# In the tree of the answer

_OTHERWISE: tuple[Any, ...] = ("nonsense", None, [], {}, [[]], {"value": {}}, [None])
"""Replacements of a number or text that are neither."""
_INSTEAD_OF_NODES: tuple[Any, ...] = (*_OTHERWISE, -1, 3.5, True, "3.5")


def _change(tree: Any, random: Random, change: Callable[[Any], Any], count: int) -> Any:
    """Return a tree in which `count` of the nodes below the envelope's `data` are changed."""
    if isinstance(tree, dict):
        for _ in range(count):
            if "data" in tree:
                _change_a_node(tree, random, change)
    return tree


def _change_a_node(tree: dict[str, Any], random: Random, change: Callable[[Any], Any]) -> None:
    holders: list[Any] = [tree]
    for holder in holders:
        children = holder.values() if isinstance(holder, dict) else holder
        holders += [child for child in children if isinstance(child, dict | list) and child]
    # As often near the root as deep down, where most nodes are.
    holder = random.choice(random.sample(holders, min(3, len(holders))))
    keys = ["data"] if holder is tree else list(holder if isinstance(holder, dict) else range(len(holder)))
    key = random.choice(keys)
    changed = change(holder[key])
    if changed is _MISSING:
        del holder[key]
    else:
        holder[key] = changed


_MISSING = object()


def _wrong_types(tree: Any, strike: Strike) -> Any:
    def change(node: Any) -> Any:
        return deepcopy(strike.random.choice(_INSTEAD_OF_NODES if isinstance(node, dict | list) else _OTHERWISE))

    return _change(tree, strike.random, change, 3)


def _missing_nodes(tree: Any, strike: Strike) -> Any:
    return _change(tree, strike.random, lambda _: _MISSING, 3)


def _null_nodes(tree: Any, strike: Strike) -> Any:
    return _change(tree, strike.random, lambda _: None, 3)


def _as_text_with_units(tree: Any, strike: Strike) -> Any:
    """Write numbers with the unit that a sibling names, as text; others as text without."""
    if isinstance(tree, list):
        return [_as_text_with_units(child, strike) for child in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        name: f" {value} {tree.get(f'{name}Unit') or ''}"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else _as_text_with_units(value, strike)
        for name, value in tree.items()
    }


def _code_as_number(tree: Any, _: Strike) -> Any:
    code = tree.get("code") if isinstance(tree, dict) else None
    return {**tree, "code": int(code)} if isinstance(code, str) and code.isdecimal() else tree


# In the portal's clock


def _wrong_moment(strike: Strike) -> datetime:
    """A moment days away, the same one for a whole day."""
    today = strike.portal.clock.now()
    return today + timedelta(days=Random(today.toordinal()).randint(-400, 400), hours=7)  # noqa: S311


def _wrong_time(tree: Any, strike: Strike) -> Any:
    return {**tree, "time": f"{_wrong_moment(strike):%Y-%m-%d %H:%M:%S}"} if isinstance(tree, dict) else tree


def _wrong_date(strike: Strike) -> dict[str, str]:
    return {"Date": format_datetime(_wrong_moment(strike).astimezone(UTC), usegmt=True)}


# In what the portal knows of its plants


async def _lose_stations(strike: Strike) -> None:
    lost = [strike.random.random() for _ in range(50)]
    strike.call.stations = lambda stations: [each for each, loss in zip(stations, lost, strict=False) if loss < 0.5]


async def _be_of_yesterday(strike: Strike) -> None:
    strike.call.age = timedelta(days=1)


async def _repeat(strike: Strike) -> None:
    strike.call.age = strike.portal.clock.now() - strike.since


_COARSE = re.compile(r"(month|year|total|eMonth|eYear|eTotal).*", re.IGNORECASE)
_IN_MWH = {"Wh": 1e-6, "kWh": 1e-3, "MWh": 1.0}


def _coarse_totals(tree: Any, strike: Strike) -> Any:
    """Write a station's energies of the month, the year and its life in MWh with two decimals."""
    if isinstance(tree, list):
        return [_coarse_totals(child, strike) for child in tree]
    if not isinstance(tree, dict):
        return tree
    changed = {name: _coarse_totals(child, strike) for name, child in tree.items()}
    for name, value in tree.items():
        factor = _IN_MWH.get(str(tree.get(f"{name}Unit")))
        if factor is not None and _COARSE.fullmatch(name) and value is not None:
            changed |= {name: round(float(value) * factor, 2), f"{name}Unit": "MWh"}
    return changed


_ROW_ENERGIES = {"ebuytotal", "eselltotal", "ebatteryDischarge", "ebatteryCharge", "eTotal", "eusetotal"}


def _garbage_rows(tree: Any, strike: Strike) -> Any:
    """Write 9000 kWh for each energy of a row."""
    if isinstance(tree, list):
        return [_garbage_rows(child, strike) for child in tree]
    if not isinstance(tree, dict):
        return tree
    in_row = tree.keys() >= _ROW_ENERGIES
    return {
        name: 9000 if in_row and name in _ROW_ENERGIES and child is not None else _garbage_rows(child, strike)
        for name, child in tree.items()
    }


class _Seen(Plant):
    """A plant as a portal sees it that is wrong about something."""

    def __init__(self, plant: Plant) -> None:
        self.__dict__ = {**plant.__dict__, "_plant": plant}
        self._plant: Plant


class _WithoutEnergies(_Seen):
    """A plant that has forgotten its energies."""

    @override
    def energy(self, start: datetime, end: datetime) -> Energies:
        return Energies()


class _WithFallenTotal(_Seen):
    """A plant whose energy since it was built is less than it was."""

    @override
    def energy(self, start: datetime, end: datetime) -> Energies:
        energies = super().energy(start, end)
        if start != self.day_start(self.description.installed):
            return energies
        return Energies(**{each.name: max(0.0, getattr(energies, each.name) - FALLEN) for each in fields(energies)})


class _WithLateReset(_Seen):
    """A plant whose day begins minutes after midnight."""

    @override
    def local_date(self, moment: datetime) -> date:
        return super().local_date(moment - LATE_RESET)

    @override
    def energy(self, start: datetime, end: datetime) -> Energies:
        return self._plant.energy(start, end)

    @override
    def power(self, moment: datetime) -> Powers:
        return self._plant.power(moment)


def _replace_plant(replace: Callable[[Plant], Plant]) -> Before:
    async def strike(strike: Strike) -> None:
        strike.call.plant = replace

    return strike


FAULTS: dict[str, Fault] = {
    "expired": Fault(about="all tokens expire", on=_is_signed_in, before=_expire),
    "login_refused": Fault(about="logins are refused", on=_is_login, before=_REFUSE_LOGIN),
    "maintenance": Fault(
        about="all tokens expire and logins are refused for 4 minutes", lasts=timedelta(minutes=4), before=_maintain
    ),
    "busy": Fault(about="code for a busy system", before=_refuse({1: BUSY, 2: BUSY}, "The system is busy")),
    "too_many": Fault(about="HTTP 429", before=_status(429)),
    "retry_after": Fault(about="HTTP 429 with Retry-After: 90", before=_status(429, Retry_After="90")),
    "http_500": Fault(about="HTTP 500", before=_status(500)),
    "http_502": Fault(about="HTTP 502", before=_status(502)),
    "http_503": Fault(about="HTTP 503", before=_status(503)),
    "page": Fault(about="a page with HTTP 200", before=_status(200)),
    "truncated": Fault(about="JSON that ends too early", body=_truncate),
    "malformed": Fault(about="JSON with a slip", body=_garble),
    "wrong_types": Fault(about="wrong types anywhere in the answer", tree=_wrong_types),
    "missing_nodes": Fault(about="parts of the answer are left out", tree=_missing_nodes),
    "null_nodes": Fault(about="parts of the answer are null", tree=_null_nodes),
    "text_with_units": Fault(about="numbers as text, with their units", tree=_as_text_with_units),
    "code_as_number": Fault(about="the code is a number", tree=_code_as_number),
    "slow": Fault(about=f"an answer takes {SLOW:.0f} s", before=_answer_slowly),
    "late": Fault(about=f"an answer is sent {SLOW:.0f} s after it was made", after=_hold_back),
    "hang": Fault(about=f"a connection hangs, and is reset after {HANG:.0f} s", before=_hang),
    "reset": Fault(about="a connection is reset", before=_reset),
    "wrong_clock": Fault(
        about="Date header and time are many days off", lasts=timedelta(hours=1), tree=_wrong_time, headers=_wrong_date
    ),
    "stations_gone": Fault(
        about="stations come and go", on=_is_signed_in, lasts=timedelta(minutes=3), before=_lose_stations
    ),
    "yesterday": Fault(about="answers are of yesterday for an hour", lasts=timedelta(hours=1), before=_be_of_yesterday),
    "stale": Fault(about="the last answers are repeated for 4 hours", lasts=timedelta(hours=4), before=_repeat),
    "coarse_totals": Fault(
        about="energies of month, year and life in hundredths of a MWh", lasts=timedelta(hours=4), tree=_coarse_totals
    ),
    "garbage_rows": Fault(about="9000 kWh in each row for 5 minutes", lasts=timedelta(minutes=5), tree=_garbage_rows),
    "total_falls": Fault(
        about=f"the energy of the plant's life is {FALLEN:.0f} kWh less for 4 hours",
        lasts=timedelta(hours=4),
        before=_replace_plant(_WithFallenTotal),
    ),
    "zero_energies": Fault(
        about="all energies are 0 for 5 minutes", lasts=timedelta(minutes=5), before=_replace_plant(_WithoutEnergies)
    ),
    "late_reset": Fault(
        about=f"days begin {LATE_RESET.seconds // 60} minutes late",
        lasts=timedelta(minutes=30),
        before=_replace_plant(_WithLateReset),
    ),
}
"""All faults of the portal by their names. TLS is another: a simulator that is served with `tls`."""


@dataclass(kw_only=True)
class _Plan:
    """A fault that is to strike, and when."""

    name: str
    matching: str
    times: int | None
    since: datetime | None
    until: datetime | None
    probability: float
    random: Random
    goes_on_until: datetime | None = None
    began: datetime | None = None

    def strikes(self, call: Call, now: datetime) -> bool:
        """Return whether it strikes a request, which it then has done."""
        if not FAULTS[self.name].on(call) or self.matching not in f"{call.path} {call.query} {call.body}":
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
        lasts = FAULTS[self.name].lasts
        if self.probability < 1 and lasts is not None:
            end = now + lasts
            self.goes_on_until = end if self.until is None else min(end, self.until)


@dataclass
class Faults:
    """The faults of a simulator; several may strike a request at once. `struck` counts them by name."""

    struck: Counter[str] = field(default_factory=Counter)
    _plans: list[_Plan] = field(default_factory=list)

    def add(
        self,
        name: str,
        *,
        matching: str = "",
        times: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        probability: float = 1.0,
        seed: object = 1,
    ) -> None:
        """Let a fault strike.

        It strikes the next `times` requests, or all, whose path, query or body contains `matching`, from `since` until
        before `until` on the simulator's clock, each with a probability.
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
        """Be well again, at once."""
        self._plans.clear()

    def strike(
        self, portal: Portal, call: Call, request: web.Request, sleep: Callable[[float], Awaitable[None]]
    ) -> list[Strike]:
        """Return what strikes a request."""
        striking = [plan for plan in self._plans if plan.strikes(call, portal.clock.now())]
        call.faults = tuple(plan.name for plan in striking)
        self.struck.update(call.faults)
        return [
            Strike(
                fault=FAULTS[plan.name],
                portal=portal,
                call=call,
                request=request,
                random=plan.random,
                sleep=sleep,
                since=plan.began or portal.clock.now(),
            )
            for plan in striking
        ]


def _spoil_tree(response: web.Response, body: bytes, strikes: list[Strike]) -> None:
    on_tree = [(strike.fault.tree, strike) for strike in strikes if strike.fault.tree is not None]
    if on_tree:
        tree = json.loads(body)
        for change, strike in on_tree:
            tree = change(tree, strike)
        response.body = json.dumps(tree).encode()


def spoil(response: web.StreamResponse, strikes: list[Strike]) -> None:
    """Let faults strike an answer that is ready to be sent."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    if response.content_type == "application/json":
        _spoil_tree(response, response.body, strikes)
    for strike in strikes:
        if strike.fault.body is not None:
            response.body = strike.fault.body(response.body, strike)
        if strike.fault.headers is not None:
            response.headers.update(strike.fault.headers(strike))
