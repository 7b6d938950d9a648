"""Random commands, settings, faults and restarts: once all is well, the inverter is as the person set it."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
import pytest

from custom_components.mtec.battery.commands import RETRY_INTERVAL, async_battery_commands, async_setup_battery_commands
from custom_components.mtec.const import DOMAIN
from tests.inverter_home import GENERAL, MODE, InverterHome, inverter_home

NIGHT = datetime.fromisoformat("2024-06-12T22:15:00+00:00")
SEEDS = range(12)
STEPS = 16

FAULTS = ("write_refused", "write_ignored", "reset", "illegal_value", "cut", "split", "merged", "occupied")
"""Those that need no time: where it stands still, a silent inverter would be waited for without an end."""

SETTINGS = {
    "reserve_on_grid": (52503, 10, 5, 100),
    "reserve_off_grid": (52505, 10, 5, 100),
    "feed_in_limit": (25103, 10, 0, 100),
    "most_charge_current": (52601, 10, 0, 100),
}
"""Numbers that a person sets: register, scale, lowest and highest value."""


@pytest.fixture
async def house(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[InverterHome]:
    async with inverter_home(hass, freezer, monkeypatch, NIGHT) as home:
        yield home


class Person:
    """Does something at random, and knows what was set last."""

    def __init__(self, house: InverterHome, seed: int) -> None:
        self.house = house
        self.random = Random(seed)  # noqa: S311
        self.done: list[str] = []
        self.wanted = {address: house.register(address) for address, *_ in SETTINGS.values()}

    async def act(self) -> None:
        """Do one thing. What fails is told, and leaves a setting as it is, or as it was wanted."""
        act = self.random.choice(
            [self.command, self.command, self.end, self.set, self.wait, self.wait, self.fault, self.reload, self.crash]
        )
        self.done.append(act.__name__)
        try:
            await act()
        except HomeAssistantError as error:
            self.done[-1] += f": {error.translation_key}"

    async def command(self) -> None:
        kind = self.random.choice(["charge", "discharge", "hold"])
        data: dict[str, Any] = {"duration": {"minutes": self.random.randint(1, 90)}}
        if kind != "hold":
            data["power"] = self.random.randint(10, 8000)
        if kind == "charge" and self.random.random() < 0.3:
            data["until_state_of_charge"] = self.random.randint(1, 100)
        await self.house.act(f"{kind}_battery", **data)

    async def end(self) -> None:
        await self.house.act("end_battery_command")

    async def set(self) -> None:
        name = self.random.choice(sorted(SETTINGS))
        address, scale, lowest, highest = SETTINGS[name]
        value = self.random.randint(lowest, highest)
        unique_id = f"{self.house.inverter.serial_number}_{name}"
        entity_id = er.async_get(self.house.hass).async_get_entity_id("number", DOMAIN, unique_id)
        if entity_id is None or self.house.hass.states.get(entity_id) is None:
            return
        try:
            await self.house.call("number", "set_value", entity_id, value=value)
        except HomeAssistantError:
            # Whether it was taken is what the person sees.
            assert self.house.register(address) in {self.wanted[address], value * scale}
            self.wanted[address] = self.house.register(address)
            raise
        if self.house.value(entity_id) != "unavailable":
            self.wanted[address] = value * scale

    async def wait(self) -> None:
        await self.house.advance(timedelta(minutes=self.random.randint(1, 20)))

    async def fault(self) -> None:
        self.house.inverter.faults.clear()
        if self.random.random() < 0.6:
            probability = self.random.choice([0.05, 0.3, 1.0])
            self.house.inverter.faults.add(
                self.random.choice(FAULTS), probability=probability, seed=self.random.random()
            )

    async def reload(self) -> None:
        await self.house.hass.config_entries.async_reload(self.house.entry.entry_id)
        await self.house.settle()

    async def crash(self) -> None:
        """Forget all but the store, as if Home Assistant had been killed, and start again."""
        house = self.house
        old = async_battery_commands(house.hass)
        for serial_number in list(old._timers):
            old._async_cancel_timer(serial_number)
        # What is under way in it comes to nothing, and what it was about to store is not stored.
        old.store._commands.clear()
        old.store._store.make_read_only()
        await house.hass.config_entries.async_unload(house.entry.entry_id)
        house.hass.set_state(CoreState.starting)
        await async_setup_battery_commands(house.hass)
        assert await house.hass.config_entries.async_setup(house.entry.entry_id)
        house.hass.set_state(CoreState.running)
        await house.settle()


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_commands_faults_and_restarts_end_well(house: InverterHome, seed: int) -> None:
    person = Person(house, seed)
    for _ in range(STEPS):
        await person.act()
    house.inverter.faults.clear()
    # The longest command was of an hour and a half.
    await house.advance(timedelta(minutes=91))
    await house.advance(RETRY_INTERVAL, steps=4)
    await asyncio.sleep(0)
    assert house.register(MODE) == GENERAL, person.done
    assert {address: house.register(address) for address in person.wanted} == person.wanted, person.done
    assert async_battery_commands(house.hass).store.get(house.inverter.serial_number) is None
    assert sum(each.startswith("command") for each in person.done) > 0
