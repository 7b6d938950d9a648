"""The command line: what the portal knows, without Home Assistant."""

import argparse
import asyncio
from calendar import monthrange
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import asdict
from datetime import date, datetime, tzinfo
from getpass import getpass
import json
import os
from pathlib import Path
import sys
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import aiohttp

from custom_components.mtec.models import (
    Inverter,
    Station,
)
from custom_components.mtec.sources import (
    AuthenticationError,
    SourceError,
)

from .auth import (
    Credentials,
    digest_of,
)
from .client import PORTAL_URL, Client, Connection
from .rate_limiter import PAUSE, RateLimiter
from .redaction import Redactor
from .table import DECIMALS, DELIMITERS, CsvFormat, csv_header, csv_rows, record
from .usage import RangeError, RangeProblem, UsagePart, UsageQuery, UsageType, read_usage
from .whole_file import WholeFile

_FAILED, _MISUSED, _INTERRUPTED = 1, 2, 130
"""Exit codes."""

_RANGE_PROBLEMS: Final[Mapping[RangeProblem, str]] = {
    RangeProblem.START_MISSING: "Give a start date with --start. Only the type lifetime does without.",
    RangeProblem.START_AFTER_END: "The start date is after the end date.",
    RangeProblem.START_IN_FUTURE: "The start date is in the future.",
    RangeProblem.END_BEFORE_STATION: "The station has no usage before {day}.",
}

_UNITS: Final = (
    ("power", "W"),
    ("energy", "kWh"),
    ("cell_voltage", "V"),
    ("voltage", "V"),
    ("current", "A"),
    ("state_of", "%"),
    ("frequency", "Hz"),
    ("temperature", "°C"),
    ("signal", "dBm"),
)
"""Units by what the name of a value contains, the first that fits."""

_BAR = 30


class _MisuseError(Exception):
    """The command line asks for something that makes no sense; the text says what."""


class _StandIns:
    """What is shown instead of ids, names, serial numbers and e-mails: always the same for the same thing.

    Shows everything as it is unless `hide` is true.
    """

    def __init__(self, *, hide: bool) -> None:
        self.hide = hide
        self._redactor = Redactor()

    def add(self, stand_in: str, *secrets: str) -> None:
        """Show `stand_in` instead of each of these."""
        for secret in secrets:
            self._redactor.learn(secret, stand_in)

    def shown(self, text: str) -> str:
        """Return an id, name, serial number or e-mail as it is shown."""
        return self._redactor.known(text) or "hidden" if self.hide else text

    def model(self, model: str | None) -> str | None:
        """Return the name of an inverter's model as it is shown."""
        return self._redactor.redact_model_name(model) if self.hide else model

    def message(self, text: str) -> str:
        """Return a text from outside as it is shown."""
        return self._redactor.redact_text(text) if self.hide else text


class _Account:
    """The account that the command line looks at."""

    def __init__(self, client: Client, stand_ins: _StandIns, zone: tzinfo, *, as_json: bool) -> None:
        self.client = client
        self.stand_ins = stand_ins
        self.as_json = as_json
        self._zone = zone
        self._stations: list[Station] | None = None
        self._inverters: dict[str, list[Inverter]] = {}

    @property
    def today(self) -> date:
        """The plant's day."""
        return datetime.now(self._zone).date()

    async def stations(self) -> list[Station]:
        """Return the stations, looked up once."""
        if self._stations is None:
            self._stations = await self.client.stations()
            for number, station in enumerate(self._stations, start=1):
                self.stand_ins.add(f"station-{number}", station.id, station.name)
        return self._stations

    async def inverters(self, station: Station) -> list[Inverter]:
        """Return the inverters of a station, looked up once, with those of all stations: they are numbered."""
        for each in await self.stations():
            if each.id not in self._inverters:
                self._inverters[each.id] = await self.client.inverters(each.id)
        everything = [inverter for inverters in self._inverters.values() for inverter in inverters]
        for number, inverter in enumerate(everything, start=1):
            self.stand_ins.add(f"inverter-{number}", inverter.serial_number, inverter.name)
        return self._inverters[station.id]

    async def chosen(self, name: str | None) -> list[Station]:
        """Return the stations of a name, an id or a stand-in; None is all."""
        stations = await self.stations()
        if name is None:
            return stations
        found = [each for each in stations if name in {each.name, each.id, self.stand_ins.shown(each.id)}]
        if not found:
            names = ", ".join(self.stand_ins.shown(each.name) for each in stations)
            raise _MisuseError(f"There is no such station. The account has: {names or 'none'}.")
        return found

    async def the_station(self, name: str | None) -> Station:
        """Return the station of a name, an id or a stand-in; None is the only one."""
        found = await self.chosen(name)
        if not found:
            raise _MisuseError("There is no station in this account.")
        if len(found) > 1:
            names = ", ".join(self.stand_ins.shown(each.id if name else each.name) for each in found)
            raise _MisuseError(f"There are several stations: {names}. Choose one with --station.")
        return found[0]

    def described(self, thing: Station | Inverter) -> dict[str, Any]:
        """Return a station or an inverter as it is shown."""
        values = asdict(thing)
        if self.stand_ins.hide:
            stand_in = self.stand_ins.shown(thing.id if isinstance(thing, Station) else thing.serial_number)
            values |= {name: stand_in for name in ("id", "name", "serial_number") if name in values}
        if isinstance(thing, Inverter):
            values["model"] = self.stand_ins.model(thing.model)
        return values


type _Command = Callable[[_Account, argparse.Namespace], Awaitable[None]]


async def _show_stations(account: _Account, _: argparse.Namespace) -> None:
    stations = [
        account.described(station)
        | {"inverters": [account.described(inverter) for inverter in await account.inverters(station)]}
        for station in await account.stations()
    ]
    if account.as_json:
        _print_json(stations)
        return
    for station in stations:
        print(f"{station['name']}  ({station['id']})")
        for inverter in station["inverters"]:
            print(f"  {inverter['name']}  ({inverter['serial_number']}, {inverter['model'] or 'unknown model'})")


async def _show_station(account: _Account, arguments: argparse.Namespace) -> None:
    readings = [
        account.described(station) | {"reading": asdict(await account.client.station_reading(station.id))}
        for station in await account.chosen(arguments.station)
    ]
    _print_readings(account, readings)


async def _show_inverter(account: _Account, arguments: argparse.Namespace) -> None:
    readings = [
        account.described(inverter)
        | {"reading": asdict(await account.client.inverter_reading(station.id, inverter.serial_number))}
        for station in await account.chosen(arguments.station)
        for inverter in await account.inverters(station)
    ]
    _print_readings(account, readings)


async def _show_usage(account: _Account, arguments: argparse.Namespace) -> None:
    try:
        csv_format = CsvFormat(decimal=arguments.decimal, delimiter=arguments.delimiter)
        query = UsageQuery(
            type=UsageType(arguments.type), start=arguments.start, end=arguments.end, today=account.today
        )
        station = await account.the_station(arguments.station)
        parts = read_usage(Client(account.client.connection, background=True), station.id, query)
        async with aclosing(parts):
            await _write_usage(parts, query.type, csv_format, arguments.file, as_json=account.as_json)
    except RangeError as error:
        raise _MisuseError(_RANGE_PROBLEMS[error.problem].format(day=error.day)) from error
    except ValueError as error:
        raise _MisuseError(f"{error}.") from error


async def _write_usage(
    parts: AsyncGenerator[UsagePart], type_: UsageType, csv_format: CsvFormat, file: Path | None, *, as_json: bool
) -> None:
    """Write usage as it comes, to a file or the standard output."""
    texts = _json_texts(parts) if as_json else _csv_texts(parts, type_, csv_format)
    with _progress_bar(shown=sys.stderr.isatty() and (file is not None or not sys.stdout.isatty())) as show:
        # Nothing is begun before the first answer.
        first, progress = await anext(texts)
        with _output(file) as write:
            write(first)
            show(progress)
            async for text, progress in texts:
                write(text)
                show(progress)


@contextmanager
def _output(file: Path | None) -> Iterator[Callable[[str], object]]:
    if file is None:
        yield sys.stdout.write
    else:
        with WholeFile(file) as whole:
            yield whole.write


async def _csv_texts(
    parts: AsyncGenerator[UsagePart], type_: UsageType, csv_format: CsvFormat
) -> AsyncGenerator[tuple[str, float]]:
    header = csv_header(type_, csv_format)
    async for part in parts:
        yield header + csv_rows(part.rows, csv_format), part.progress
        header = ""
    if header:
        yield header, 1.0


async def _json_texts(parts: AsyncGenerator[UsagePart]) -> AsyncGenerator[tuple[str, float]]:
    before = "["
    async for part in parts:
        for row in part.rows:
            yield f"{before}\n  {json.dumps(record(row))}", part.progress
            before = ","
    yield ("[]\n" if before == "[" else "\n]\n"), 1.0


@contextmanager
def _progress_bar(*, shown: bool) -> Iterator[Callable[[float], None]]:
    drawn: int | None = None

    def show(progress: float) -> None:
        nonlocal drawn
        if (percent := int(progress * 100)) != drawn:
            drawn = percent
            filled = percent * _BAR // 100
            sys.stderr.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {percent:3} %")
            sys.stderr.flush()

    try:
        yield show if shown else lambda _: None
    finally:
        if shown:
            sys.stderr.write(f"\r{' ' * (_BAR + 8)}\r")
            sys.stderr.flush()


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def _print_readings(account: _Account, readings: list[dict[str, Any]]) -> None:
    if account.as_json:
        _print_json(readings)
        return
    for reading in readings:
        print(reading["name"])
        for name, value in _flat(reading["reading"]):
            unit = next((unit for part, unit in _UNITS if part in name), "")
            print(f"  {name.replace('_', ' '):32} {_number(value)} {unit}".rstrip())


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a reading that the portal has, with the names of what they are in."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}_")
        elif value is not None:
            yield f"{prefix}{name}", value


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


async def _menu(account: _Account, arguments: argparse.Namespace) -> None:
    """Let the person choose again and again."""
    while True:
        print()
        for number, (title, _) in enumerate(_MENU, start=1):
            print(f"{number}  {title}")
        print("0  Quit")
        choice = _ask("Your choice: ")
        if choice in {"", "0"}:
            return
        try:
            await _menu_command(choice)(account, arguments)
        except _MisuseError as error:
            print(error, file=sys.stderr)
        except SourceError as error:
            print(_sentence(error, account.stand_ins), file=sys.stderr)


async def _menu_station(account: _Account, arguments: argparse.Namespace) -> None:
    await _show_station(account, await _with_station(account, arguments))


async def _menu_inverter(account: _Account, arguments: argparse.Namespace) -> None:
    await _show_inverter(account, await _with_station(account, arguments))


async def _menu_day(account: _Account, arguments: argparse.Namespace) -> None:
    arguments = await _with_station(account, arguments)
    day = _asked_date("Day", account.today.isoformat())
    await _show_usage(account, _changed(arguments, type="day", start=day, end=day))


async def _menu_month(account: _Account, arguments: argparse.Namespace) -> None:
    arguments = await _with_station(account, arguments)
    first = _asked_date("Month", f"{account.today:%Y-%m}", "-01")
    last = first.replace(day=monthrange(first.year, first.month)[1])
    await _show_usage(account, _changed(arguments, type="month", start=first, end=last))


_MENU: Final[tuple[tuple[str, _Command], ...]] = (
    ("Topology", _show_stations),
    ("Station", _menu_station),
    ("Inverter", _menu_inverter),
    ("Usage by day", _menu_day),
    ("Usage by month", _menu_month),
)


def _menu_command(choice: str) -> _Command:
    if choice not in map(str, range(1, len(_MENU) + 1)):
        raise _MisuseError("That is not in the menu.")
    return _MENU[int(choice) - 1][1]


async def _with_station(account: _Account, arguments: argparse.Namespace) -> argparse.Namespace:
    """Let the person choose a station if there are several."""
    stations = await account.stations()
    if len(stations) == 1:
        return arguments
    for number, station in enumerate(stations, start=1):
        print(f"{number}  {account.described(station)['name']}")
    choice = _ask("Station: ")
    if not choice.isdecimal() or not 0 < int(choice) <= len(stations):
        raise _MisuseError("There is no such station.")
    return _changed(arguments, station=stations[int(choice) - 1].id)


def _asked_date(what: str, default: str, completion: str = "") -> date:
    try:
        return date.fromisoformat((_ask(f"{what} ({default}): ") or default) + completion)
    except ValueError as error:
        raise _MisuseError(f"That is not a date. It should look like {default}.") from error


def _ask(prompt: str) -> str:
    """Return what the person types, empty at the end of the input. The output stays free of the prompt."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _changed(arguments: argparse.Namespace, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**(vars(arguments) | changes))


def _credentials(arguments: argparse.Namespace) -> Credentials | None:
    """Return what signs in, asked for if it is not given; None for the demo account."""
    if arguments.demo:
        return None
    email = arguments.email or os.environ.get("MTEC_EMAIL") or _ask("E-mail: ")
    password = arguments.password or os.environ.get("MTEC_PASSWORD")
    if email and not password:
        with suppress(EOFError):
            password = getpass()
    if not email or not password:
        raise _MisuseError("Give --email and --password, or MTEC_EMAIL and MTEC_PASSWORD, or --demo.")
    return Credentials(email, digest_of(password))


def _time_zone(name: str | None) -> tzinfo:
    """Return a time zone by its name, or else the computer's."""
    try:
        if name or (name := os.environ.get("TZ", "").lstrip(":")):
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise _MisuseError("There is no such time zone. Give one with --time-zone, such as Europe/Vienna.") from error


def _sentence(error: SourceError, stand_ins: _StandIns) -> str:
    if isinstance(error, AuthenticationError):
        return "The portal does not accept this e-mail and password."
    return f"{stand_ins.message(str(error)).rstrip('.')}."


def _common() -> argparse.ArgumentParser:
    """Return the options that may stand before the command and after it."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--email", help="the account's e-mail (default: MTEC_EMAIL, or asked for)")
    common.add_argument("--password", help="its password (default: MTEC_PASSWORD, or asked for)")
    common.add_argument("--demo", action="store_true", help="look around with M-TEC's public demo account")
    common.add_argument("--url", help=f"the portal's address (default: {PORTAL_URL})")
    common.add_argument("--time-zone", metavar="ZONE", help="the plant's time zone (default: this computer's)")
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument(
        "--hide-sensitive",
        action="store_true",
        help="show stand-ins for ids, names, serial numbers and e-mails, for bug reports",
    )
    return common


def _parser() -> argparse.ArgumentParser:
    station = argparse.ArgumentParser(add_help=False)
    station.add_argument("--station", metavar="NAME", help="the station's name or id (needed only with several)")

    parser = argparse.ArgumentParser(
        prog="mtec",
        description="Shows what M-TEC's solar portal knows. Without a command it shows a menu.",
        parents=[_common()],
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="command")

    def add(name: str, command: _Command, about: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=about, description=about, parents=[_common(), *parents], allow_abbrev=False
        )
        added.set_defaults(command=command)
        return added

    add("stations", _show_stations, "Lists the stations of the account and their inverters.")
    add("station", _show_station, "Shows the values of stations now.", station)
    add("inverter", _show_inverter, "Shows the values of inverters now.", station)
    usage = add("usage", _show_usage, "Prints usage as CSV: powers in kW, energies in kWh.", station)
    usage.add_argument(
        "--type",
        required=True,
        choices=[type_.value for type_ in UsageType],
        help="a row for each five minutes of a day, day of a month, month of a year, year of the lifetime",
    )
    usage.add_argument("--start", type=date.fromisoformat, metavar="DATE", help="the first day, such as 2026-06-01")
    usage.add_argument("--end", type=date.fromisoformat, metavar="DATE", help="the last day (default: today)")
    usage.add_argument("--decimal", default=".", choices=DECIMALS, help="the decimal separator (default: .)")
    usage.add_argument(
        "--delimiter",
        default=";",
        choices=DELIMITERS,
        metavar="{; , tab |}",
        type=lambda text: "\t" if text == "tab" else text,
        help="what stands between columns (default: ;)",
    )
    usage.add_argument("--file", type=Path, help="write to this file, replaced only once the new one is complete")
    parser.set_defaults(
        command=_menu,
        email=None,
        password=None,
        demo=False,
        url=PORTAL_URL,
        time_zone=None,
        json=False,
        hide_sensitive=False,
        station=None,
        decimal=".",
        delimiter=";",
        file=None,
    )
    return parser


async def run(words: Sequence[str]) -> int:
    """Do what the words of a command line ask for and return the exit code.

    0 is success, 1 that the portal or a file failed, 2 that the command line makes no sense.
    """
    arguments = _parser().parse_args(words)
    stand_ins = _StandIns(hide=arguments.hide_sensitive)
    try:
        credentials, zone = _credentials(arguments), _time_zone(arguments.time_zone)
        if credentials is not None:
            stand_ins.add("account-1", credentials.email)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            client = Client(
                Connection(http, credentials, time_zone=zone, url=arguments.url, rate_limiter=RateLimiter(PAUSE))
            )
            # A refused password is told at once; later it might be a portal under maintenance.
            await client.sign_in()
            await arguments.command(_Account(client, stand_ins, zone, as_json=arguments.json), arguments)
    except _MisuseError as error:
        print(error, file=sys.stderr)
        return _MISUSED
    except SourceError as error:
        print(_sentence(error, stand_ins), file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"The file could not be written: {error.strerror}.", file=sys.stderr)
        return _FAILED
    return 0


def main() -> int:
    """Run the command line of this process."""
    try:
        return asyncio.run(run(sys.argv[1:]))
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
