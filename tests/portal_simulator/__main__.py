"""Runs the simulated portal by itself."""

import argparse
import asyncio
from datetime import UTC, datetime
import signal
import sys

from .faults import FAULTS
from .plants import make_accounts
from .server import PortalSimulator

GENERATIONS = {"1": {1}, "2": {2}, "both": {1, 2}}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _faults(text: str) -> dict[str, float]:
    pairs = (part.partition("=") for part in text.split(","))
    faults = {name.strip(): float(probability or 1) for name, _, probability in pairs}
    if not faults.keys() <= FAULTS.keys() or not all(0 <= probability <= 1 for probability in faults.values()):
        raise ValueError
    return faults


def _arguments() -> argparse.Namespace:
    accounts = "\n".join(f"{a.email} {a.password} {a.about}" for a in make_accounts().values())
    faults = "\n".join(f"{name:16}{fault.about}" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/portal-simulator",
        description="Plays M-TEC's solar portal on this machine. Prints its URL first; ends with Ctrl-C.",
        epilog=f"accounts (e-mail, password, what it has):\n{accounts}\n\nfaults:\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=_port, default=0, help="port to listen on (default: 0, any free one)")
    parser.add_argument(
        "--generation",
        choices=GENERATIONS,
        default="both",
        help="generations of the API to speak (default: both); the other one is answered with HTTP 404",
    )
    parser.add_argument("--seed", type=int, default=1, help="number that chooses weather and households (default: 1)")
    parser.add_argument(
        "--now",
        type=_moment,
        metavar="ISO-TIME",
        help="moment at which the portal's clock starts, such as 2026-06-21T12:00+02:00; UTC if it names no offset "
        "(default: the system's time)",
    )
    parser.add_argument(
        "--faults",
        type=_faults,
        default={},
        metavar="NAME[=PROBABILITY],...",
        help="what goes wrong, each with the probability that it strikes a request (default: 1), such as "
        "busy=0.05,page=0.01",
    )
    parser.add_argument("--tls", action="store_true", help="serve over TLS with a certificate that nobody trusts")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with PortalSimulator(
        arguments.seed, arguments.now, running=True, port=arguments.port, tls=arguments.tls
    ) as simulator:
        simulator.speaks = GENERATIONS[arguments.generation]
        for name, probability in arguments.faults.items():
            simulator.faults.add(name, probability=probability, seed=arguments.seed)
        sys.stdout.write(f"{simulator.url}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Serve until told to stop."""
    try:
        asyncio.run(_serve(_arguments()))
    except OSError as error:
        sys.exit(f"The simulator cannot listen: {error.strerror}")


if __name__ == "__main__":
    main()
