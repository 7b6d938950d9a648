"""Accounts, stations and refusals of the portal in both generations of its API."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
import hashlib

from .clock import Clock
from .plant import Inverter, Plant, plant_of
from .plants import Account, Station, make_accounts

SUCCESS = "1000000"
TOKEN_EXPIRED = "3010022"
BUSY = "3010107"
LOGIN_REFUSED = "3010001"
AUTH_REFUSED = "auth_1001"
AUTH_EXPIRED = "AUTH_1002"
NOT_FOUND = "3010404"
BAD_REQUEST = "3010400"


class PortalError(Exception):
    """A refusal by the portal: its code and message travel in the envelope."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Call:
    """A request the simulator has received.

    `body` is the parsed JSON, None if there is none or it is malformed. `started` and `ended` are in seconds of the
    event loop's clock; `ended`, `status` (HTTP) and `code` (of the envelope) are None while the request is being
    answered; `sent` are the bytes of the answer's body. `account` is the e-mail of the account that asked, None while
    nobody is logged in. `answer_headers` travel with the answer.

    `faults` are the names of those that strike the request. Some act on what the answer is made from: `age` is how old
    it is, `plant` and `stations` change the plant and the account's stations.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    started: float
    body: object = None
    ended: float | None = None
    status: int | None = None
    code: str | None = None
    sent: int = 0
    account: str | None = None
    answer_headers: dict[str, str] = field(default_factory=dict, repr=False)
    faults: tuple[str, ...] = ()
    age: timedelta = timedelta()
    plant: Callable[[Plant], Plant] = field(default=lambda plant: plant, repr=False)
    stations: Callable[[list[Station]], list[Station]] = field(default=lambda stations: stations, repr=False)

    def parameter(self, name: str) -> str:
        """A parameter of the query, which has to be there."""
        if name not in self.query:
            raise PortalError(BAD_REQUEST, f"Required parameter '{name}' is not present")
        return self.query[name]

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number of the query, which has to be there unless there is a default."""
        if default is not None and name not in self.query:
            return default
        text = self.parameter(name)
        if not text.removeprefix("-").isdecimal():
            raise PortalError(BAD_REQUEST, f"Parameter '{name}' is not a number: {text!r}")
        return int(text)

    def field[T](self, name: str, kind: type[T]) -> T:
        """A value of the body, which has to be there and of this JSON type."""
        if not isinstance(self.body, dict):
            raise PortalError(BAD_REQUEST, "Request body is not a JSON object")
        if name not in self.body:
            raise PortalError(BAD_REQUEST, f"Required field '{name}' is not present")
        value = self.body[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise PortalError(BAD_REQUEST, f"Field '{name}' is not of type {kind.__name__}: {value!r}")
        return value


@dataclass(frozen=True)
class Route:
    """A path of a generation of the API and what answers it: `answer` returns the envelope's data."""

    generation: int
    method: str
    path: str
    answer: Callable[[Portal, Call], object]


@dataclass(frozen=True)
class _Token:
    email: str
    generation: int
    issued: datetime


class Portal:
    """The portal's accounts, tokens and time."""

    def __init__(self, seed: int, clock: Clock) -> None:
        self.seed = seed
        self.clock = clock
        self.accounts: dict[str, Account] = make_accounts()
        self.plants: dict[str, Plant] = {}
        """Plants in place of those of the model, by the ids of their stations."""
        self.token_lifetime = timedelta(hours=2)
        self.logins = 0
        self._issued = 0
        self._tokens: dict[str, _Token] = {}

    def plant(self, station: Station) -> Plant:
        """The plant behind a station, to compare answers with."""
        return self.plants.get(station.description.station_id) or plant_of(station.description, self.seed)

    def plant_for(self, call: Call, station: Station) -> Plant:
        """The plant behind a station, as the answer to a request shows it."""
        return call.plant(self.plant(station))

    def now_for(self, call: Call) -> datetime:
        """The moment of which the answer to a request is."""
        return self.clock.now() - call.age

    def expire_tokens(self) -> None:
        """End all sessions: the next request of each finds its token expired."""
        self._tokens.clear()

    def log_in(self, call: Call, email: str, password: str, generation: int) -> str:
        """A new token for an account, if `password` is the hash of its password in base64."""
        account = self.accounts.get(email.lower())
        if account is None or password != base64.b64encode(digest_of(account.password).encode()).decode():
            raise PortalError({1: LOGIN_REFUSED, 2: AUTH_REFUSED}[generation], "The email or the password is incorrect")
        self.logins += 1
        return self._new_token(call, account, generation)

    def log_in_demo(self, call: Call, email: str) -> str:
        """A new token for the public demo account, which needs no password."""
        account = self.accounts.get(email.lower())
        if account is None or not account.demo:
            raise PortalError(LOGIN_REFUSED, "This is not a demo account")
        self.logins += 1
        return self._new_token(call, account, 1)

    def _new_token(self, call: Call, account: Account, generation: int) -> str:
        self._issued += 1
        token = hashlib.sha256(f"{self.seed} {self._issued}".encode()).hexdigest()
        self._tokens[token] = _Token(account.email.lower(), generation, self.clock.now())
        call.account = account.email
        return token

    def account(self, call: Call, token: str | None, generation: int) -> Account:
        """The account a token of this generation was given to."""
        known = self._tokens.get(token or "")
        account = self.accounts.get(known.email) if known else None
        if (
            known is None
            or account is None
            or known.generation != generation
            or self.clock.now() >= known.issued + self.token_lifetime
        ):
            code = {1: TOKEN_EXPIRED, 2: AUTH_EXPIRED}[generation]
            raise PortalError(code, "The token has expired, please log in again")
        call.account = account.email
        return replace(account, stations=call.stations(account.stations))

    def renewed_token(self, call: Call, token: str) -> str | None:
        """A token in place of a valid one of which more than half the lifetime has passed; the old one stays valid."""
        known = self._tokens[token]
        if self.clock.now() < known.issued + self.token_lifetime / 2:
            return None
        return self._new_token(call, self.accounts[known.email], known.generation)


def digest_of(password: str) -> str:
    """What a client sends in place of a password, before it is written in base64."""
    return hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()


def find_station(account: Account, station_id: str) -> Station:
    """The station of an account with this id."""
    for station in account.stations:
        if station.description.station_id == station_id:
            return station
    raise PortalError(NOT_FOUND, f"Power station {station_id} does not exist")


def find_inverter(account: Account, device_id: str) -> tuple[Station, Inverter]:
    """The inverter of an account with this id, and its station."""
    for station in account.stations:
        for inverter in station.inverters:
            if inverter.device_id == device_id:
                return station, inverter
    raise PortalError(NOT_FOUND, f"Device {device_id} does not exist")
