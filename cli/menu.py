"""The menu, which is shown without a command."""

import argparse
from calendar import monthrange
from datetime import date
import sys
from typing import Any, Final

from custom_components.mtec.sources import SourceError

from .account import Account
from .commands import Command, show_inverter, show_station, show_stations, show_usage
from .errors import IncompleteError, MisuseError
from .stand_ins import sentence
from .terminal import ask


async def menu(account: Account, arguments: argparse.Namespace) -> None:
    """Show the menu until the person quits."""
    while True:
        print()
        for number, (title, _) in enumerate(_MENU, start=1):
            print(f"{number}  {title}")
        print("0  Quit")
        choice = ask("Your choice: ")
        if choice in {"", "0"}:
            return
        try:
            await _menu_command(choice)(account, arguments)
        except IncompleteError:
            pass  # What is missing is said already.
        except MisuseError as error:
            print(error, file=sys.stderr)
        except SourceError as error:
            print(sentence(error, account.stand_ins), file=sys.stderr)


async def _menu_station(account: Account, arguments: argparse.Namespace) -> None:
    await show_station(account, await _with_station(account, arguments))


async def _menu_inverter(account: Account, arguments: argparse.Namespace) -> None:
    await show_inverter(account, await _with_station(account, arguments))


async def _menu_day(account: Account, arguments: argparse.Namespace) -> None:
    arguments = await _with_station(account, arguments)
    day = _asked_date("Day", account.today.isoformat())
    await show_usage(account, _changed(arguments, type="day", start=day, end=day))


async def _menu_month(account: Account, arguments: argparse.Namespace) -> None:
    arguments = await _with_station(account, arguments)
    first = _asked_date("Month", f"{account.today:%Y-%m}", "-01")
    last = first.replace(day=monthrange(first.year, first.month)[1])
    await show_usage(account, _changed(arguments, type="month", start=first, end=last))


_MENU: Final[tuple[tuple[str, Command], ...]] = (
    ("Topology", show_stations),
    ("Station", _menu_station),
    ("Inverter", _menu_inverter),
    ("Usage by day", _menu_day),
    ("Usage by month", _menu_month),
)


def _menu_command(choice: str) -> Command:
    if choice not in map(str, range(1, len(_MENU) + 1)):
        raise MisuseError("That is not in the menu.")
    return _MENU[int(choice) - 1][1]


async def _with_station(account: Account, arguments: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments with the station that the person chooses if there are several."""
    stations = await account.stations()
    if len(stations) == 1:
        return arguments
    for number, station in enumerate(stations, start=1):
        print(f"{number}  {account.described(station)['name']}")
    choice = ask("Station: ")
    if not choice.isdecimal() or not 0 < int(choice) <= len(stations):
        raise MisuseError("There is no such station.")
    return _changed(arguments, station=stations[int(choice) - 1].id)


def _asked_date(what: str, default: str, completion: str = "") -> date:
    try:
        return date.fromisoformat((ask(f"{what} ({default}): ") or default) + completion)
    except ValueError as error:
        raise MisuseError(f"That is not a date. It should look like {default}.") from error


def _changed(arguments: argparse.Namespace, **changes: Any) -> argparse.Namespace:
    return argparse.Namespace(**(vars(arguments) | changes))
