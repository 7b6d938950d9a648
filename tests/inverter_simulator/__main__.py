"""Runs the simulated inverter by itself."""

import argparse

from tests.simulator import faults_of, moment, number_in, port, run

from .faults import FAULTS
from .frames import FRAMINGS
from .server import DELAY, PLANTS, InverterSimulator, find_inverter


def _seconds(text: str) -> tuple[float, float]:
    shortest, _, longest = text.partition("-")
    delay = float(shortest), float(longest or shortest)
    if not 0 <= delay[0] <= delay[1]:
        raise ValueError
    return delay


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
        type=port,
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
        "--unit",
        type=number_in(1, 255),
        metavar="N",
        help="unit that it answers as (default: 252 for rtu, 255 for tcp)",
    )
    parser.add_argument(
        "--now",
        type=moment,
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
        type=faults_of(FAULTS),
        default={},
        metavar="NAME[=PROBABILITY],...",
        help="what goes wrong, each with the probability that it strikes a request (default: 1), such as "
        "silence=0.05,bad_crc=0.01",
    )
    return parser.parse_args()


def main() -> None:
    """Serve until told to stop."""
    arguments = _arguments()

    def prepare(simulator: InverterSimulator) -> str:
        for name, probability in arguments.faults.items():
            simulator.faults.add(name, probability=probability, seed=arguments.seed)
        return simulator.address

    run(
        lambda: InverterSimulator(
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
        ),
        prepare,
    )


if __name__ == "__main__":
    main()
