"""Runs the simulated portal by itself."""

import argparse

from tests.simulator import faults_of, moment, port, run

from .faults import FAULTS
from .plants import make_accounts
from .server import PortalSimulator

GENERATIONS = {"1": {1}, "2": {2}, "both": {1, 2}}


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
    parser.add_argument("--port", type=port, default=0, help="port to listen on (default: 0, any free one)")
    parser.add_argument(
        "--generation",
        choices=GENERATIONS,
        default="both",
        help="generations of the API to speak (default: both); the other one is answered with HTTP 404",
    )
    parser.add_argument("--seed", type=int, default=1, help="number that chooses weather and households (default: 1)")
    parser.add_argument(
        "--now",
        type=moment,
        metavar="ISO-TIME",
        help="moment at which the portal's clock starts, such as 2026-06-21T12:00+02:00; UTC if it names no offset "
        "(default: the system's time)",
    )
    parser.add_argument(
        "--faults",
        type=faults_of(FAULTS),
        default={},
        metavar="NAME[=PROBABILITY],...",
        help="what goes wrong, each with the probability that it strikes a request (default: 1), such as "
        "busy=0.05,page=0.01",
    )
    parser.add_argument("--tls", action="store_true", help="serve over TLS with a certificate that nobody trusts")
    return parser.parse_args()


def main() -> None:
    """Serve until told to stop."""
    arguments = _arguments()

    def prepare(simulator: PortalSimulator) -> str:
        simulator.speaks = GENERATIONS[arguments.generation]
        for name, probability in arguments.faults.items():
            simulator.faults.add(name, probability=probability, seed=arguments.seed)
        return simulator.url

    run(
        lambda: PortalSimulator(arguments.seed, arguments.now, running=True, port=arguments.port, tls=arguments.tls),
        prepare,
    )


if __name__ == "__main__":
    main()
