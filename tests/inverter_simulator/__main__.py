"""Runs the simulated inverter by itself."""

import argparse
import asyncio
from datetime import UTC, datetime
import signal
import sys

from .faults import FAULTS
from .frames import FRAMINGS
from .server import DELAY, PLANTS, InverterSimulator, find_inverter


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _unit(text: str) -> int:
    unit = int(text)
    if not 1 <= unit <= 255:
        raise ValueError
    return unit


def _seconds(text: str) -> tuple[float, float]:
    shortest, _, longest = text.partition("-")
    delay = float(shortest), float(longest or shortest)
    if not 0 <= delay[0] <= delay[1]:
        raise ValueError
    return delay


def _faults(text: str) -> dict[str, float]:
    pairs = (part.partition("=") for part in text.split(","))
    faults = {name.strip(): float(probability or 1) for name, _, probability in pairs}
    if not faults.keys() <= FAULTS.keys() or not all(0 <= probability <= 1 for probability in faults.values()):
        raise ValueError
    return faults


def _serial(text: str) -> str:
    find_inverter(None, text)
    return text


def _arguments() -> argparse.Namespace:
    plants = "\n".join(
        f"{name:8}{inverter.serial}  {inverter.model}{', battery' * bool(inverter.battery)}{', meter' * inverter.meter}"
        for name, plant in PLANTS.items()
        for inverter in plant.inverters
    )
    faults = "\n".join(f"{name:18}{fault.about}" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/inverter-simulator",
        description="Plays an inverter's WLAN stick on this machine: a Modbus server for one client. Prints its "
        "address (host:port) first; ends with Ctrl-C. What it reads is what scripts/portal-simulator tells with the "
        "same seed and time. Settings can be written; they last until it ends.",
        epilog=f"inverters (plant, serial number, what it is):\n{plants}\n\nfaults:\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        help="port to listen on (default: 0, any free one); a real stick has 502, or 5743 with older firmware",
    )
    parser.add_argument(
        "--serial-number",
        type=_serial,
        metavar="S",
        help="the inverter to play, one of those below; any other is given to the first one of the plant",
    )
    parser.add_argument(
        "--plant",
        choices=PLANTS,
        metavar="NAME",
        help=f"plant of the inverter: {', '.join(PLANTS)} (default: that of the serial number, or house)",
    )
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        default="rtu",
        help="rtu: RTU frames with CRC over TCP, as the stick has them (default); tcp: Modbus/TCP",
    )
    parser.add_argument(
        "--unit", type=_unit, metavar="N", help="unit that it answers as (default: 252 for rtu, 255 for tcp)"
    )
    parser.add_argument(
        "--now",
        type=_moment,
        metavar="ISO-TIME",
        help="moment at which the inverter's clock starts, such as 2026-06-21T12:00+02:00; UTC if it names no offset "
        "(default: the system's time)",
    )
    parser.add_argument("--seed", type=int, default=1, help="number that chooses weather and households (default: 1)")
    parser.add_argument(
        "--delay",
        type=_seconds,
        default=DELAY,
        metavar="SECONDS[-SECONDS]",
        help=f"how long an answer takes, at least and at most (default: {DELAY[0]}-{DELAY[1]})",
    )
    parser.add_argument(
        "--second-client",
        choices=("refused", "replaces"),
        default="refused",
        help="what becomes of a second client: it is reset (default), or the first one is",
    )
    parser.add_argument(
        "--unknown-registers",
        choices=("hang", "refuse", "zeros"),
        default="hang",
        help="what becomes of a read of registers that the inverter does not have: nothing is answered for a minute "
        "(default), exception 2, or they are 0",
    )
    parser.add_argument(
        "--fault",
        "--faults",
        dest="faults",
        type=_faults,
        default={},
        metavar="NAME[=PROBABILITY],...",
        help="what goes wrong, each with the probability that it strikes a request (default: 1), such as "
        "silence=0.05,bad_crc=0.01",
    )
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with InverterSimulator(
        PLANTS.get(arguments.plant),
        arguments.serial_number,
        seed=arguments.seed,
        now=arguments.now,
        running=True,
        port=arguments.port,
        framing=arguments.framing,
        unit=arguments.unit,
        delay=arguments.delay,
        second_client=arguments.second_client,
        unknown=arguments.unknown_registers,
    ) as simulator:
        for name, probability in arguments.faults.items():
            simulator.faults.add(name, probability=probability, seed=arguments.seed)
        sys.stdout.write(f"{simulator.address}\n")
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
