"""The arguments of the command line, with their defaults from the environment."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from datetime import date, tzinfo
from getpass import getpass
import os
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from custom_components.mtec.export.table import DECIMALS, DELIMITERS, Timestamps
from custom_components.mtec.export.usage import UsageType
from custom_components.mtec.portal.auth import Credentials, digest_of
from custom_components.mtec.portal.client import PORTAL_URL
from custom_components.mtec.publishing.layouts import DEFAULT_TOPIC, MOST_DECIMALS, Layout

from .commands import Command, publish, publish_local, show_inverter, show_station, show_stations, show_usage
from .errors import MisuseError
from .menu import menu
from .terminal import ask


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


def parser() -> argparse.ArgumentParser:
    """Return the parser. The function to call is in the parsed arguments as `command`."""
    station = argparse.ArgumentParser(add_help=False)
    station.add_argument("--station", metavar="NAME", help="the station's name or id (needed only with several)")

    mtec = argparse.ArgumentParser(
        prog="mtec",
        description="Shows what M-TEC's solar portal knows. Without a command it shows a menu.",
        parents=[_common()],
        allow_abbrev=False,
    )
    commands = mtec.add_subparsers(metavar="command")

    def add(name: str, command: Command, about: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name, help=about, description=about, parents=[_common(), *parents], allow_abbrev=False
        )
        added.set_defaults(command=command)
        return added

    add("stations", show_stations, "Lists the stations of the account and their inverters.")
    add("station", show_station, "Shows the values of stations now.", station)
    inverter = add("inverter", show_inverter, "Shows the values of inverters now.", station)
    _add_local(inverter)
    usage = add("usage", show_usage, "Prints usage as CSV: powers in kW, energies in kWh.", station)
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
    usage.add_argument(
        "--timestamps",
        default=Timestamps.ISO.value,
        choices=[each.value for each in Timestamps],
        help="with the time zone (iso, the default), or as spreadsheets read them, such as 2026-06-01 00:05",
    )
    usage.add_argument("--file", type=Path, help="write to this file, replaced only once the new one is complete")
    publishing = add("publish", publish, "Publishes values to MQTT, in the layout of a known tool.", station)
    _add_publishing(publishing)
    mtec.set_defaults(
        command=menu,
        local_command=None,
        email=None,
        password=None,
        demo=False,
        url=PORTAL_URL,
        time_zone=None,
        json=False,
        hide_sensitive=False,
        station=None,
        local=None,
        decimal=".",
        delimiter=";",
        timestamps=Timestamps.ISO.value,
        file=None,
    )
    return mtec


def _add_local(inverter: argparse.ArgumentParser) -> None:
    """Add the options of an inverter that is read in the home network."""
    local = inverter.add_argument_group("in your network", "Reads the inverter itself over Modbus, without an account.")
    local.add_argument("--local", metavar="HOST", help="its host name or address")
    _add_link(local)
    local.add_argument("--raw", action="store_true", help="print its registers and what became of them")


def _add_link(local: argparse._ArgumentGroup) -> None:
    local.add_argument("--port", type=_number_in(1, 65535), help="its port (default: what is found, 502 or 5743)")
    local.add_argument("--unit", type=_number_in(0, 255), help="its unit (default: what is found, 252, 255 or 247)")
    local.add_argument("--framing", choices=("rtu", "tcp"), help="how requests are framed (default: what is found)")


def _add_publishing(command: argparse.ArgumentParser) -> None:
    """Add the options of publishing."""
    command.set_defaults(local_command=publish_local)
    command.add_argument("--broker", required=True, metavar="HOST[:PORT]", help="the broker (default port: 1883)")
    command.add_argument("--username", help="the user name at the broker")
    command.add_argument("--password-file", type=Path, metavar="FILE", help="a file whose first line is the password")
    layouts = [layout.value for layout in Layout]
    command.add_argument("--layout", default=layouts[0], choices=layouts, help=f"the layout (default: {layouts[0]})")
    command.add_argument("--topic", default=DEFAULT_TOPIC, help=f"the first level (default: {DEFAULT_TOPIC})")
    command.add_argument(
        "--decimals", type=_number_in(0, MOST_DECIMALS), help="decimals of floats (default: 2 or 3, as the tool has)"
    )
    command.add_argument(
        "--every",
        type=_number_in(5, 3600),
        metavar="SECONDS",
        help="seconds between two reads, from 30 with an account (default: 60), from 5 with --local (default: 10)",
    )
    command.add_argument("--once", action="store_true", help="publish once, and end")
    local = command.add_argument_group("in your network", "Reads inverters over Modbus, without an account.")
    local.add_argument(
        "--local", action="append", metavar="HOST", help="the host name or address of one; may be given several times"
    )
    _add_link(local)


def _number_in(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a function that reads a whole number within limits, for an argument's type."""

    def number(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text} is not a number from {lowest} to {highest}")
        return int(text)

    return number


def credentials_of(arguments: argparse.Namespace) -> Credentials | None:
    """Return the credentials, asked for if they are not given; None for the demo account. Raises MisuseError."""
    if arguments.demo:
        return None
    email = arguments.email or os.environ.get("MTEC_EMAIL") or ask("E-mail: ")
    password = arguments.password or os.environ.get("MTEC_PASSWORD")
    if email and not password:
        with suppress(EOFError):
            password = getpass()
    if not email or not password:
        raise MisuseError("Give --email and --password, or MTEC_EMAIL and MTEC_PASSWORD, or --demo.")
    return Credentials(email, digest_of(password))


def time_zone_of(name: str | None) -> tzinfo:
    """Return the time zone with a name, the computer's for None. Raises MisuseError."""
    try:
        if name or (name := os.environ.get("TZ", "").lstrip(":")):
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise MisuseError("There is no such time zone. Give one with --time-zone, such as Europe/Vienna.") from error
