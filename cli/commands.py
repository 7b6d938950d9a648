"""The commands: stations, station, inverter, usage."""

import argparse
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final

from custom_components.mtec.export.table import CsvFormat
from custom_components.mtec.export.usage import RangeError, RangeProblem, UsageQuery, UsageType, read_usage

from .account import Account
from .errors import MisuseError
from .output import data_of, print_json, print_readings, write_usage

type Command = Callable[[Account, argparse.Namespace], Awaitable[None]]

_RANGE_PROBLEMS: Final[Mapping[RangeProblem, str]] = {
    RangeProblem.START_MISSING: "Give a start date with --start. Only the type lifetime does without.",
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
    """Write the usage of a station. Raises MisuseError for a range or separators that make no sense."""
    try:
        csv_format = CsvFormat(decimal=arguments.decimal, delimiter=arguments.delimiter)
        query = UsageQuery(
            type=UsageType(arguments.type), start=arguments.start, end=arguments.end, today=account.today
        )
        station = await account.the_station(arguments.station)
        # Nobody else polls in this process: the whole budget is for this.
        parts = read_usage(account.client, station.id, query)
        async with aclosing(parts):
            await write_usage(parts, query.type, csv_format, arguments.file, as_json=account.as_json)
    except RangeError as error:
        raise MisuseError(_RANGE_PROBLEMS[error.problem].format(day=error.day)) from error
    except ValueError as error:
        raise MisuseError(f"{error}.") from error
