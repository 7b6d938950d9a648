"""One run of the command line, from its words to the exit code."""

import argparse
import asyncio
from collections.abc import Sequence
import os
import sys
from typing import Final

import aiohttp

from custom_components.mtec.portal.client import Client, Connection
from custom_components.mtec.portal.rate_limiter import PAUSE, RateLimiter
from custom_components.mtec.sources import SourceError

from .account import Account
from .arguments import credentials_of, parser, time_zone_of
from .commands import LocalCommand
from .errors import IncompleteError, MissingPackageError, MisuseError, PublishingError
from .stand_ins import StandIns, sentence

_FAILED: Final = 1
_MISUSED: Final = 2
_INCOMPLETE: Final = 3
_INTERRUPTED: Final = 130


async def run(words: Sequence[str]) -> int:
    """Run a command line and return the exit code.

    0 is success, 1 that the portal or a file failed, 2 that the command line makes no sense, 3 that usage is written
    but lacks what the portal did not give.
    """
    arguments = parser().parse_args(words)
    stand_ins = StandIns(hide=arguments.hide_sensitive)
    try:
        await (_run_local if arguments.local is not None else _run_account)(stand_ins, arguments)
    except (MissingPackageError, PublishingError) as error:
        print(error, file=sys.stderr)
        return _FAILED
    except MisuseError as error:
        print(error, file=sys.stderr)
        return _MISUSED
    except IncompleteError:
        return _INCOMPLETE
    except SourceError as error:
        print(sentence(error, stand_ins), file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # The reader of the output is gone, as after `| head`. Python must not fail to write the rest at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"The file could not be written: {error.strerror}.", file=sys.stderr)
        return _FAILED
    return 0


async def _run_account(stand_ins: StandIns, arguments: argparse.Namespace) -> None:
    """Run a command about an account of the portal."""
    credentials, zone = credentials_of(arguments), time_zone_of(arguments.time_zone)
    if credentials is not None:
        stand_ins.add("account-1", credentials.email)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        limiter = RateLimiter(PAUSE)
        client = Client(Connection(http, credentials, time_zone=zone, url=arguments.url, rate_limiter=limiter))
        # First, because a refusal now is about the password; later it may be about maintenance of the portal.
        await client.sign_in()
        await arguments.command(Account(client, stand_ins, zone, as_json=arguments.json), arguments)


async def _run_local(stand_ins: StandIns, arguments: argparse.Namespace) -> None:
    """Run the command about inverters in the home network. Raises MissingPackageError."""
    try:
        # No other command needs the package that this imports.
        from .local_inverter import show_local_inverter  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackageError(
            "Reading an inverter in your network needs a package more: pip install 'modbus-connection[tmodbus]'."
        ) from error
    show: LocalCommand = arguments.local_command or show_local_inverter
    await show(stand_ins, time_zone_of(arguments.time_zone), arguments)


def main() -> int:
    """Run the command line of this process and return the exit code."""
    try:
        return asyncio.run(run(sys.argv[1:]))
    except KeyboardInterrupt:
        return _INTERRUPTED
