"""A real Home Assistant with this integration and the portal simulator, started to look at or to check."""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
import ipaddress
from pathlib import Path
import re
import sys
import time
from typing import Any

from scripts.demo_automations import add_automations, check_automations
from scripts.demo_house import (
    CHECKOUT,
    DOMAIN,
    LOG,
    LOOPBACK,
    PASSWORD,
    PATH,
    STATION,
    USER,
    VALUES_SECONDS,
    Demo,
    DemoError,
    Entity,
    act,
    add_account,
    add_dashboard,
    add_inverter,
    check_inverter,
    demo_house,
    exit_code,
    fill_energy_dashboard,
    state_folder,
    unread,
    wait_for_values,
)
from tests.energies import ENERGIES_TODAY, station_entity
from tests.portal_simulator import HOUSE, plant_of
from tests.portal_simulator.plants import make_accounts

IMPORTED = {
    station_entity(key): part for key, part in ENERGIES_TODAY.items()
}  # and what the model of the plant calls it
COSTS = {"sensor.haus_am_see_grid_import_today_cost", "sensor.haus_am_see_grid_export_today_compensation"}
PRECISION = 0.02
"""Largest difference in kWh between an imported day and the plant's: the portal rounds to 0.01 kWh."""
DAYS_BY_HOURS = timedelta(days=14)
VISITORS_PAST, VISITORS_DAYS_BY_HOURS = timedelta(days=90), timedelta(days=4)
"""The part of the past that is imported for a visitor, who does not want to wait for all of it."""
SEED = 1  # the portal simulator's


async def import_history(demo: Demo, by_hours: timedelta, past: timedelta | None = None) -> list[dict[str, Any]]:
    """Let the integration import a plant's past or a part of it, the last days by hours. Return its two reports."""
    start = {} if past is None else {"start": days_ago(past).isoformat()}
    return [
        await act(demo, "import_history", resolution="hours", start=days_ago(by_hours).isoformat()),
        await act(demo, "import_history", resolution="days", **start),
    ]


def days_ago(time: timedelta) -> date:
    """Return the day that was so long ago at the plant."""
    return datetime.now(HOUSE.zone).date() - time


async def compare_history(demo: Demo, first: date = HOUSE.installed) -> tuple[int, float]:
    """Ask what the Energy dashboard asks. Return how many days it has, and by how many kWh one differs at the most."""
    plant = plant_of(HOUSE, SEED)
    today = datetime.now(HOUSE.zone).date()
    found = await demo.command(
        "recorder/statistics_during_period",
        start_time=plant.day_start(first).isoformat(),
        end_time=plant.day_start(today).isoformat(),
        statistic_ids=list(IMPORTED),
        period="day",
        types=["change"],
        units={"energy": "kWh"},
    )
    wanted = [first + timedelta(days=number) for number in range((today - first).days)]
    differences = [0.0]
    for sensor, part in IMPORTED.items():
        changes = {
            datetime.fromtimestamp(row["start"] / 1000, HOUSE.zone).date(): row["change"] for row in found[sensor]
        }
        differences += [abs(changes.get(day, 0.0) - getattr(plant.day(day), part)) for day in wanted]
    return len(wanted), max(differences)


async def wait_for_costs(demo: Demo) -> None:
    """Wait until the Energy dashboard's sensors of costs have a value, or time is up."""
    deadline = time.monotonic() + VALUES_SECONDS
    while time.monotonic() < deadline:
        states = {state["entity_id"]: state["state"] for state in await demo.command("get_states")}
        if not {states.get(cost, "unknown") for cost in COSTS} & {"unavailable", "unknown"}:
            return
        await asyncio.sleep(1)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def complaints(log: Path) -> list[str]:
    """Warnings and errors in Home Assistant's log which this integration is the cause of."""
    # The checkout may well lie in a folder of that name, which is in every path of every traceback.
    text = log.read_text(errors="replace").replace(str(CHECKOUT), "")
    records = re.split(r"^(?=\d{4}-\d\d-\d\d [\d:.]+ [A-Z]+ \()", text, flags=re.MULTILINE)
    return [
        record.strip()
        for record in records
        if re.search(rf"\b{DOMAIN}\b", record) and "which has not been tested by Home Assistant" not in record
    ]


async def check_export(demo: Demo, config: Path) -> list[str]:
    """Export yesterday as a response and into a file. Return what is wrong."""
    yesterday = datetime.now(HOUSE.zone).date() - timedelta(days=1)
    day = {"type": "day", "start": yesterday.isoformat(), "end": yesterday.isoformat()}
    response = await act(demo, "export_csv", **day)
    report = await act(demo, "export_csv", **day, filename="yesterday.csv")
    written = (config / DOMAIN / "yesterday.csv").read_text(encoding="utf-8-sig").splitlines()
    print(f"Exported yesterday: {response['rows']} rows.")
    whole = 0 < response["rows"] == report["rows"] == len(written) - 1
    if whole and written == response["csv"].removeprefix("\ufeff").splitlines():
        return []
    return [f"The export of yesterday is {report}, of {len(written)} lines, and as a response {response}"]


async def check_history(demo: Demo) -> list[str]:
    """Import a plant's past and its costs. Return what is wrong."""
    await fill_energy_dashboard(demo)
    reports = await import_history(demo, DAYS_BY_HOURS)
    days, difference = await compare_history(demo)
    costs = set().union(*(report["costs"] for report in reports))
    print(f"Imported {days} days, off by {difference:.3f} kWh at the most, and the costs of {len(costs)} energies.")
    problems = [] if difference <= PRECISION else [f"A day of the imported history is off by {difference:.3f} kWh"]
    return problems if costs == COSTS else [*problems, f"The import has filled in the costs {sorted(costs)}"]


def missing(entries: Sequence[dict[str, Any]], entities: Sequence[Entity]) -> Iterator[str]:
    """Yield what is wrong with the account and its entities."""
    unloaded = [entry for entry in entries if entry["state"] != "loaded"]
    yield from (f"The account is {entry['state']}: {entry['reason']}" for entry in unloaded)
    yield from (f"{each.entity_id} has no value" for each in entities if each.state is None)
    yield from (f"{name} was not read" for name in sorted(unread(entities)))
    if not entries:
        yield "There is no account"


async def check(*, history: bool, generation: str) -> None:
    """Start everything, see that all is well, and end it."""
    with state_folder("check") as folder:
        async with demo_house(folder, account=False, generation=generation) as demo:
            errors = await add_account(demo, "not this one")
            found = [] if errors == ["invalid_auth"] else [f"The set-up dialog says {errors} to a wrong password"]
            await add_inverter(demo)
            found += await check_inverter(demo)
            entities = await wait_for_values(demo)
            entries = await demo.command("config_entries/get", domain=DOMAIN)
            version = (await demo.get("/api/config"))["version"]
            found += await check_automations(demo)
            found += await check_export(demo, folder / "config")
            found += await check_history(demo) if history else []
        heading = ("Device", "Entity", "Name", "State", "Unit")
        rows = [(each.device, each.entity_id, each.name, each.state or "-", each.unit) for each in entities]
        print(table([heading, *rows]))
        found += [*missing(entries, entities), *complaints(folder / LOG)]
        if found:
            raise DemoError("\n".join(found))
        print(
            f"\nAll {len(entities)} entities have a value, and the log of Home Assistant {version} has no complaint"
            " about this integration."
        )


async def show_history(demo: Demo) -> None:
    """Fill the Energy dashboard with a plant's past."""
    print(
        f"\nThe last months of {STATION} are being imported; the Energy dashboard shows them in about two minutes.",
        flush=True,
    )
    try:
        await fill_energy_dashboard(demo)
        await wait_for_costs(demo)
        await demo.post("/api/services/demo_statistics/compile")
        requests = sum(
            report["requests"] for report in await import_history(demo, VISITORS_DAYS_BY_HOURS, VISITORS_PAST)
        )
        days, difference = await compare_history(demo, days_ago(VISITORS_PAST))
    except DemoError:
        # The visitor has restarted Home Assistant, and the integration goes on automatically.
        return
    print(
        f"They are imported, with {requests} requests to the portal: {days} days, none of which differs from the"
        f" plant's energies by more than {difference:.3f} kWh.",
        flush=True,
    )


async def visit(host: str, port: int, *, account: bool, generation: str) -> None:
    """Start everything and leave it running until interrupted. Then say that it has ended, and what with it."""
    stopped = ""
    try:
        with state_folder("visit") as folder:
            print("Starting Home Assistant, this takes half a minute ...", flush=True)
            async with demo_house(folder, account=account, host=host, port=port, generation=generation) as demo:
                if not demo.home.endswith(f":{port}"):
                    print(f"Port {port} is taken, so another one is used.")
                print(
                    f"\nHome Assistant    {demo.home}"
                    f"\nUser, password    {USER}, {PASSWORD}"
                    f"\nThis integration  {demo.home}/config/integrations/integration/{DOMAIN}"
                    f"\nEnergy            {demo.home}/energy"
                    f"\nAutomations       {demo.home}/config/automation/dashboard"
                    f"\nPortal simulator  {demo.portal}"
                    f"\nInverter          {demo.inverter}, the house's, in the network: read every ten seconds"
                )
                if not account:
                    accounts = [(each.email, each.password, each.about) for each in make_accounts().values()]
                    print(
                        f"\nTo try the set-up dialog open {demo.home}/config/integrations/dashboard/add"
                        f"?domain={DOMAIN},"
                        f'\nopen its section "Portal address" and enter {demo.portal} there.'
                        f"\n\n{table([('E-mail', 'Password', 'Plants'), *accounts])}"
                    )
                print("\nCtrl-C ends both.", flush=True)
                if account:
                    await wait_for_values(demo)
                    await add_automations(demo)
                    await add_dashboard(demo)
                    print(f"\nThe dashboard is at {demo.home}/{PATH}.", flush=True)
                    stopped = f" The import of the history of {STATION} was stopped."
                    await show_history(demo)
                    stopped = ""
                await asyncio.Event().wait()
    except asyncio.CancelledError:
        print(f"\nHome Assistant and the simulators have ended.{stopped}", flush=True)
        raise


async def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--check", action="store_true", help="see that every entity gets a value and usage can be exported, and end"
    )
    mode.add_argument("--empty", action="store_true", help="add no account, to try the set-up dialog")
    mode.add_argument("--prepare", action="store_true", help="start nothing, only fetch what later starts need")
    parser.add_argument(
        "--history", action="store_true", help="with --check: import a plant's past, too, which takes ten minutes"
    )
    parser.add_argument(
        "--portal-generation", choices=("1", "2", "both"), default="both", help="the generation that the portal speaks"
    )
    parser.add_argument("--port", type=int, default=8123, help="Home Assistant's port (another one if it is taken)")
    parser.add_argument(
        "--host",
        type=ipaddress.IPv4Address,
        default=LOOPBACK,
        help="the address to listen on; 0.0.0.0 for visitors from other machines",
    )
    arguments = parser.parse_args()
    work = (
        check(history=arguments.history, generation=arguments.portal_generation)
        if arguments.check
        else visit(
            str(arguments.host),
            arguments.port,
            account=not arguments.empty,
            generation=arguments.portal_generation,
        )
    )
    return await exit_code(work, when_interrupted=130 if arguments.check else 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
