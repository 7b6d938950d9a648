"""The commands: stations, station, inverter, usage, publish."""

import argparse
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import tzinfo
from types import ModuleType
from typing import Final

from custom_components.mtec.export.table import CsvFormat, Timestamps
from custom_components.mtec.export.usage import RangeError, RangeProblem, UsageQuery, UsageType, read_usage

from .account import Account
from .errors import IncompleteError, MissingPackageError, MisuseError
from .output import data_of, print_json, print_missing, print_readings, write_usage
from .stand_ins import StandIns

type Command = Callable[[Account, argparse.Namespace], Awaitable[None]]
type LocalCommand = Callable[[StandIns, tzinfo, argparse.Namespace], Awaitable[None]]

_RANGE_PROBLEMS: Final[Mapping[RangeProblem, str]] = {
    RangeProblem.START_MISSING: "Give a start date with --start. Only the type lifetime does not need one.",
    RangeProblem.START_AFTER_END: "The start date is after the end date.",
    RangeProblem.START_IN_FUTURE: "The start date is in the future.",
    RangeProblem.END_BEFORE_STATION: "The station has no usage before {day}.",
}


async def show_stations(account: Account, _: argparse.Namespace) -> None:
    """Print the stations and their inverters."""
    stations = [
        account.described(station)
        | {"inverters": [account.described(inverter) for inverter in await account.inverters(station)]}
        for station in await account.stations()
    ]
    if account.as_json:
        print_json(stations)
        return
    for station in stations:
        print(f"{station['name']}  ({station['id']})")
        for inverter in station["inverters"]:
            print(f"  {inverter['name']}  ({inverter['serial_number']}, {inverter['model'] or 'unknown model'})")


async def show_station(account: Account, arguments: argparse.Namespace) -> None:
    """Print the readings of the chosen stations."""
    readings = [
        account.described(station) | {"reading": data_of(await account.client.station_reading(station.id))}
        for station in await account.chosen(arguments.station)
    ]
    print_readings(readings, as_json=account.as_json)


async def show_inverter(account: Account, arguments: argparse.Namespace) -> None:
    """Print the readings of the inverters of the chosen stations."""
    readings = [
        account.described(inverter)
        | {"reading": data_of(await account.client.inverter_reading(station.id, inverter.serial_number))}
        for station in await account.chosen(arguments.station)
        for inverter in await account.inverters(station)
    ]
    print_readings(readings, as_json=account.as_json)


async def show_usage(account: Account, arguments: argparse.Namespace) -> None:
    """Write the usage of a station, and say what is missing.

    Raises MisuseError for a range or separators that make no sense, IncompleteError if the portal did not give all.
    """
    try:
        csv_format = CsvFormat(
            decimal=arguments.decimal,
            delimiter=arguments.delimiter,
            timestamps=Timestamps(arguments.timestamps),
        )
        query = UsageQuery(
            type=UsageType(arguments.type), start=arguments.start, end=arguments.end, today=account.today
        )
        station = await account.the_station(arguments.station)
        # Nobody else polls in this process: the whole budget is for this.
        parts = read_usage(account.client, station.id, query)
        async with aclosing(parts):
            report = await write_usage(parts, query.type, csv_format, arguments.file, as_json=account.as_json)
    except RangeError as error:
        raise MisuseError(_RANGE_PROBLEMS[error.problem].format(day=error.day)) from error
    except ValueError as error:
        raise MisuseError(f"{error}.") from error
    print_missing(report)
    if report.lacks_something:
        raise IncompleteError


async def publish(account: Account, arguments: argparse.Namespace) -> None:
    """Publish the readings of the chosen stations to MQTT. Raises MissingPackageError and PublishingError."""
    await _publishing().publish_account(account, arguments)


async def publish_local(stand_ins: StandIns, zone: tzinfo, arguments: argparse.Namespace) -> None:
    """Publish the readings of inverters in the network to MQTT. Raises MissingPackageError and PublishingError."""
    await _publishing().publish_local(stand_ins, zone, arguments)


def _publishing() -> ModuleType:
    try:
        # No other command needs the package that this imports.
        from . import publish as module  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackageError("Publishing to MQTT needs a package more: pip install aiomqtt.") from error
    return module
