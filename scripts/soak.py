"""A week of simulated time at a portal that fails in every way there is, and what a home notices of it."""

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
import logging
from pathlib import Path
from random import Random
import sys
from tempfile import TemporaryDirectory
from typing import Any

import freezegun
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component import plugins
import pytest_socket

from custom_components.mtec.portal import login_budget, rate_limiter
from tests.energies import (
    INVERTER_DELAY,
    INVERTER_ENERGIES,
    INVERTER_ENERGIES_TODAY,
    STATION_ENERGIES,
    inverter_entity,
    station_entity,
)
from tests.home import SEED, most_in, portal_at
from tests.household import Household, Names, household
from tests.portal_simulator import FAULTS, HOUSE, STEP, Call, PortalSimulator, Powers, plant_of

GENERATION_WITH_INVERTERS = 2
"""The generation of the API in which inverters tell energies."""
EMAIL, PASSWORD = "family@example.com", "sunshine"
BEGIN = date(2026, 3, 26)
"""A week with a change of the clocks and of the month."""
POLL = timedelta(seconds=61)
"""A little longer than the interval, so that each poll happens in its own step."""
REQUESTS_A_POLL = 4
LOST_A_DAY, ROUNDING = 0.1, 0.03
"""kWh that may be invented or lost of an inverter's energy in a day, and how exactly it is told."""
WELL = timedelta(hours=1)
"""Time without faults at the end of each day, before the day's energies are compared."""
PLANT = plant_of(HOUSE, SEED)

PLANNED = {"late_reset", "stale"}
"""Faults that strike in certain nights."""
LASTING = {
    name: min(2.0e-4, 0.03 * POLL / fault.lasts / REQUESTS_A_POLL)
    for name, fault in FAULTS.items()
    if fault.lasts is not None and name not in PLANNED
}
"""The probability with which a request begins a fault that goes on for a while: that of hours for 3 % of the time."""

MEASURED: dict[str, Callable[[Powers], float]] = {
    "sensor.haus_am_see_pv_power": lambda powers: powers.pv,
    "sensor.haus_am_see_grid_power": lambda powers: powers.grid,
    "sensor.haus_am_see_battery_power": lambda powers: powers.battery,
    "sensor.haus_am_see_house_power": lambda powers: powers.load,
    "sensor.haus_am_see_battery_state_of_charge": lambda powers: powers.soc or 0.0,
    "sensor.energy_butler_battery_power": lambda powers: powers.battery,
    "sensor.energy_butler_battery_state_of_charge": lambda powers: powers.soc or 0.0,
}
"""Measured values that are compared with the plant's, to 1 W or 0.1 %."""
TOLERANCE = 1.01

NONE_BEFORE_ANY = {f"sensor.haus_am_see_self_{what}_today" for what in ("consumption", "sufficiency")}
"""Shares of today's energies: there are none before there is any energy."""

MOMENTS = timedelta(hours=37, minutes=10)
"""Highest age of a value: the portal may repeat one of half a day ago, and show yesterday's as its own."""


@dataclass
class Findings:
    """The result of a soak."""

    polls: int = 0
    values: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    invented: list[str] = field(default_factory=list)
    asked_the_person: int = 0
    since: dict[str, datetime] = field(default_factory=dict)
    longest: timedelta = timedelta()
    without_cause: dict[str, timedelta] = field(default_factory=dict)
    longest_without_cause: timedelta = timedelta()


def _memory() -> float:
    """Return the resident memory in MB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _is_login(call: Call) -> bool:
    return "/login" in call.path


class Soak:
    """A week in a home."""

    def __init__(
        self,
        freezer: FrozenDateTimeFactory,
        portal: PortalSimulator,
        *,
        days: int,
        seed: int,
        share: float,
        generation: int,
    ) -> None:
        self.freezer = freezer
        self.portal = portal
        self.days = days
        self.random = Random(f"soak {seed}")  # noqa: S311
        self.seed = seed
        self.share = share
        self.names = Names()
        self.names_fail_until = PLANT.day_start(BEGIN)
        self.findings = Findings()
        self.begin = PLANT.day_start(BEGIN) + timedelta(hours=12)
        self.peace = self.begin
        self.generation = generation
        self.present: set[str] = set()
        self._seen: dict[str, str] = {}

    def plan(self, day: int, begin: datetime, end: datetime) -> None:
        """Let every fault strike at random for a day, so that together they strike this share of the requests."""
        add, seed = self.portal.faults.add, f"{self.seed} {day}"
        at_once = FAULTS.keys() - LASTING.keys() - PLANNED
        for name in sorted(at_once):
            add(name, probability=self.share / len(at_once), seed=seed, since=begin, until=end)
        for name, probability in LASTING.items():
            # It goes on for a while, and has to be over when the portal is well again.
            until = end - (FAULTS[name].lasts or timedelta())
            add(name, probability=probability, seed=seed, since=begin, until=until)
        midnight = PLANT.day_start(BEGIN + timedelta(days=day + 1))
        if day % 2 == 0:
            # The last answer is repeated over midnight, for a part of the night or longer.
            hours = timedelta(hours=self.random.uniform(3, 12))
            since = midnight - hours * self.random.uniform(0.1, 0.6)
            add("stale", since=since, until=min(since + hours, end))
        else:
            add("late_reset", since=midnight, until=midnight + timedelta(minutes=25))

    async def live(self, folder: Path) -> None:
        """Live from noon to noon, with a restart a day and an hour in peace before each comparison."""
        entity_ids = {station_entity(key) for key in STATION_ENERGIES} | MEASURED.keys()
        now = self.begin
        for day in range(self.days):
            noon = now + timedelta(days=1, minutes=7 * day)
            async with household(folder, HOUSE.time_zone, entity_ids | self.inverter_entities, self.names) as home:
                if day == 0:
                    await self.move_in(home, entity_ids)
                self.plan(day, now, noon - WELL)
                self.peace = noon - WELL
                while now < noon:
                    now = max(now + POLL, self.portal.clock.now())
                    self.freezer.move_to(now)
                    await self.minute(home, now)
                balance = next(iter(home.entry.runtime_data.daily_energies.values()))
                balanced = balance.read_at or now
                # The next step writes the statistics of the last one.
                self.freezer.tick(STEP)
                await home.settle()
                await home.recorded()
                self.compare(day, await home.sums(self.begin, entity_ids | self.inverter_entities), now, balanced)
                now = self.portal.clock.now()

    async def move_in(self, home: Household, entity_ids: set[str]) -> None:
        """Add the account, and enable what is disabled at first."""
        await home.add_account(self.portal.url, EMAIL, PASSWORD)
        if self.generation == GENERATION_WITH_INVERTERS:
            registry = er.async_get(home.hass)
            for key in INVERTER_ENERGIES_TODAY:
                registry.async_update_entity(inverter_entity(key), disabled_by=None)
            await home.hass.config_entries.async_reload(home.entry.entry_id)
            await home.settle()
        self.present = set(self._values(home)) - NONE_BEFORE_ANY
        if absent := (entity_ids | self.inverter_entities) - self.present:
            raise LookupError(f"These have no value to begin with: {', '.join(sorted(absent))}")

    @property
    def inverter_entities(self) -> set[str]:
        """The energies of the inverter that are compared."""
        if self.generation != GENERATION_WITH_INVERTERS:
            return set()
        return {inverter_entity(key) for key in (*INVERTER_ENERGIES, *INVERTER_ENERGIES_TODAY)}

    async def minute(self, home: Household, now: datetime) -> None:
        """Let a minute pass, and see what is shown."""
        self.break_names(now)
        asked = len(self.portal.requests)
        await home.settle()
        if now.minute % 5 < 2:  # noqa: PLR2004
            await home.recorded()
        if await home.sign_in_again(PASSWORD):
            self.findings.asked_the_person += 1
        calls = self.portal.requests[asked:]
        for call in calls:
            # The simulator's memory is not Home Assistant's.
            call.headers, call.body = {}, None
        now = self.portal.clock.now()
        self.look(home, now, has_cause=self.names.fails or any(call.faults for call in calls))

    def break_names(self, now: datetime) -> None:
        """Let the portal's name not resolve for some minutes, now and then."""
        if now < self.peace and self.random.random() < self.share / 200:
            self.names_fail_until = now + timedelta(minutes=self.random.randint(1, 6))
            self.portal.faults.add("reset", times=1)
            self.portal.faults.struck["names"] += 1
        self.names.fails = now < self.names_fail_until

    def _values(self, home: Household) -> Iterator[str]:
        for state in home.hass.states.async_all():
            if state.state not in {STATE_UNAVAILABLE, STATE_UNKNOWN}:
                yield state.entity_id

    def look(self, home: Household, now: datetime, *, has_cause: bool) -> None:
        """Note what has no value, and what has one that the plant never had."""
        findings = self.findings
        findings.polls += 1
        shown = set(self._values(home))
        findings.values += len(shown & self.present)
        for entity_id in self.present - shown:
            findings.lost[entity_id] += 1
            since = findings.since.setdefault(entity_id, now - POLL)
            findings.longest = max(findings.longest, now - since)
            if not has_cause:
                without = findings.without_cause.get(entity_id, timedelta()) + POLL
                findings.without_cause[entity_id] = without
                findings.longest_without_cause = max(findings.longest_without_cause, without)
        for entity_id in shown:
            findings.since.pop(entity_id, None)
            findings.without_cause.pop(entity_id, None)
        for entity_id, measure in MEASURED.items():
            state = home.hass.states.get(entity_id)
            if state is None or entity_id not in shown or self._seen.get(entity_id) == state.state:
                continue
            self._seen[entity_id] = state.state
            if not self.plant_had(measure, float(state.state), now):
                findings.invented.append(f"{entity_id} {state.state} at {now:%d. %H:%M}")

    def plant_had(self, measure: Callable[[Powers], float], value: float, now: datetime) -> bool:
        """Return whether the plant had a value at any moment of late."""
        moment = now
        while moment > now - MOMENTS:
            if abs(measure(PLANT.power(moment)) - value) < TOLERANCE:
                return True
            moment -= timedelta(seconds=STEP)
        return False

    def compare(self, day: int, sums: dict[str, list[float]], now: datetime, balanced: datetime) -> None:
        """Note what the energies are off by; those of the energy balance are of the moment `balanced`."""
        print(f"\nenergies after {day + 1} days in kWh: in the statistics, of the plant, difference")
        for key, (part, precision) in STATION_ENERGIES.items():
            least, most = part(PLANT.energy(self.begin, balanced)), part(PLANT.energy(self.begin, now))
            # The portal knows the energy from PV more exactly than the others, which the balance alone has.
            self.compare_one(
                station_entity(key), sums, least, most if key.startswith("pv") else least, precision + 0.05
            )
        # An inverter sends every quarter of an hour: what it has sent is of some moments ago.
        late = INVERTER_DELAY
        for key, part in (INVERTER_ENERGIES | INVERTER_ENERGIES_TODAY).items() if self.inverter_entities else ():
            least = part(PLANT.energy(self.begin + late, now - late))
            if key in INVERTER_ENERGIES_TODAY:
                # What it has not sent at midnight it counts for no day.
                nights = [PLANT.day_start(BEGIN + timedelta(days=number + 1)) for number in range(day + 1)]
                least -= sum(part(PLANT.energy(midnight - late, midnight)) for midnight in nights)
            most = part(PLANT.energy(self.begin - late, now))
            self.compare_one(inverter_entity(key), sums, least, most, LOST_A_DAY * (day + 1) + ROUNDING)

    def compare_one(
        self, entity_id: str, sums: dict[str, list[float]], least: float, most: float, precision: float
    ) -> None:
        """Note what one energy is off by, which may be anything between two values."""
        found = sums[entity_id][-1]
        off = found - min(max(found, least), most)
        falls = min((later - earlier for earlier, later in pairwise(sums[entity_id])), default=0.0)
        print(f"  {entity_id:46}{found:10.2f}{most:10.2f}{off:+8.2f}")
        if abs(off) > precision:
            self.findings.invented.append(f"{entity_id} is off by {off:+.2f} kWh")
        if falls < -0.001:  # noqa: PLR2004
            self.findings.invented.append(f"{entity_id} has fallen by {-falls:.2f} kWh")


def _refused_in_a_row(logins: Iterable[Call]) -> int:
    refused = (len([*group]) for is_refused, group in groupby(call.code != "1000000" for call in logins) if is_refused)
    return max(refused, default=0)


def _report(soak: Soak, before: float, started: float) -> bool:
    """Print the figures, and return whether all is well."""
    findings, calls = soak.findings, soak.portal.requests
    logins = [call for call in calls if _is_login(call)]
    in_an_hour = most_in(logins, 3600)
    in_a_minute = most_in(calls, 60)
    lost = sum(findings.lost.values())
    struck = sum(bool(call.faults) for call in calls)
    rows: list[tuple[str, Any]] = [
        ("simulated days", soak.days),
        ("requests sent", len(calls)),
        ("requests struck by a fault", f"{struck} ({struck / len(calls):.1%})"),
        ("most requests in a minute", in_a_minute),
        ("logins", f"{len(logins)}, at most {in_an_hour} in an hour, {_refused_in_a_row(logins)} refused in a row"),
        ("times the person was asked", findings.asked_the_person),
        ("values lost", f"{lost} of {findings.values + lost} ({lost / (findings.values + lost):.2%})"),
        ("values invented", len(findings.invented)),
        ("longest time without a value", findings.longest),
        ("longest time without a cause", findings.longest_without_cause),
        ("memory at start and end", f"{before:.0f} MB, {_memory():.0f} MB"),
        ("took", f"{freezegun.api.real_perf_counter() - started:.0f} s"),
    ]
    print(
        "\nfaults injected:", ", ".join(f"{name} {count}" for name, count in sorted(soak.portal.faults.struck.items()))
    )
    print()
    for name, value in rows:
        print(f"{name:32}{value}")
    for entity_id, count in findings.lost.most_common(5):
        print(f"most often lost: {entity_id} {count}")
    for each in findings.invented[:20]:
        print(f"INVENTED: {each}")
    return (
        not findings.invented
        and in_an_hour <= login_budget.LOGINS_AN_HOUR
        and in_a_minute <= rate_limiter.REQUESTS_A_MINUTE
    )


async def _run(arguments: argparse.Namespace, started: float) -> bool:
    begin = PLANT.day_start(BEGIN) + timedelta(hours=12)
    with freezegun.freeze_time(begin) as freezer:
        assert isinstance(freezer, FrozenDateTimeFactory)  # noqa: S101

        async def sleep(seconds: float) -> None:
            freezer.tick(seconds)
            await asyncio.sleep(0)

        # The event loop's clock stands still: waiting moves it.
        vars(rate_limiter)["sleep"] = sleep
        async with portal_at(freezer, begin, arguments.generation) as portal:
            soak = Soak(freezer, portal, **vars(arguments))
            before = _memory()
            with TemporaryDirectory() as folder:
                await soak.live(Path(folder))
            return _report(soak, before, started)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, allow_abbrev=False)
    parser.add_argument("--days", type=int, default=7, help="days to simulate (default: 7)")
    parser.add_argument("--seed", type=int, default=1, help="number that chooses the faults (default: 1)")
    parser.add_argument("--share", type=float, default=0.05, help="part of the requests that fails (default: 0.05)")
    parser.add_argument("--generation", type=int, choices=(1, 2), default=1, help="of the API (default: 1)")
    return parser.parse_args()


def main() -> None:
    """Soak, and end with 1 if anything was invented or a limit was broken."""
    arguments = _arguments()
    started = freezegun.api.real_perf_counter()
    # Freezes the time for Home Assistant too, as in its own tests; these also forbid sockets.
    plugins.pytest_runtest_setup()
    pytest_socket.enable_socket()
    pytest_socket._remove_restrictions()  # noqa: SLF001
    logging.disable(logging.CRITICAL)
    sys.exit(0 if asyncio.run(_run(arguments, started)) else 1)


if __name__ == "__main__":
    main()
