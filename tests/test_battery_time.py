"""How long the battery of a station needs until it is full, and until only its reserve is left."""

from datetime import UTC, datetime, timedelta

from homeassistant.components.energy.data import async_get_manager
from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import HomeAssistant
import pytest

from custom_components.mtec import network
from custom_components.mtec.const import SETTINGS_INTERVAL
from custom_components.mtec.local.exchange import Timing
from tests.conftest import FAMILY, GENERATION1, SetUp
from tests.energies import station_entity
from tests.home import SEED, Home, add_account, entry_at
from tests.inverter_home import inverter_subentry
from tests.inverter_simulator import InverterSimulator
from tests.inverter_simulator.settings import RESERVE, RESERVE_IS_ON
from tests.portal_simulator import HOUSE

pytestmark = GENERATION1

TO_FULL, TO_RESERVE = station_entity("battery_time_to_full"), station_entity("battery_time_to_reserve")
CAPACITY = 10.2


async def tell_capacity(hass: HomeAssistant, capacity: float | None = CAPACITY, of: str = "haus_am_see") -> None:
    """Put the battery into the Energy dashboard, as a person does there or in our dialog."""
    battery = {
        "type": "battery",
        "stat_energy_from": f"sensor.{of}_battery_discharge_today",
        "stat_energy_to": f"sensor.{of}_battery_charge_today",
    }
    source = battery if capacity is None else battery | {"capacity": capacity}
    await (await async_get_manager(hass)).async_update({"energy_sources": [source]})  # type: ignore[typeddict-item]


def hours_to_full(home: Home) -> float:
    missing = CAPACITY * (100 - float(home.value(station_entity("battery_state_of_charge")))) / 100
    return missing * 1000 / -float(home.value(station_entity("battery_power")))


@pytest.mark.parametrize("now", [datetime(2026, 6, 15, 4, 2, tzinfo=UTC)], ids=["in the morning"])
async def test_time_to_full_is_that_of_the_present_power(home: Home, set_up: SetUp) -> None:
    """It is unknown while the battery does not charge, at once."""
    await tell_capacity(home.hass)
    await set_up(FAMILY)
    charging = 0
    for _ in range(12):
        await home.poll(after=timedelta(minutes=30))
        if float(home.value(station_entity("battery_power"))) > -50:
            assert home.value(TO_FULL) == STATE_UNKNOWN
        else:
            charging += 1
            assert float(home.value(TO_FULL)) == pytest.approx(hours_to_full(home), abs=0.01)
    assert 2 <= charging <= 10
    assert home.states()[TO_FULL].attributes["device_class"] == "duration"
    # Its reserve is not known without the inverter's settings.
    assert TO_RESERVE not in home.states()


@pytest.mark.parametrize(
    ("capacity", "of"), [(None, "haus_am_see"), (CAPACITY, "somebody_else")], ids=["not told", "of another"]
)
async def test_no_time_without_a_capacity(home: Home, set_up: SetUp, capacity: float | None, of: str) -> None:
    await tell_capacity(home.hass, capacity, of)
    await set_up(FAMILY)
    await home.poll(2)
    assert TO_FULL not in home.states()
    # Once it is told, nothing has to be restarted.
    await tell_capacity(home.hass)
    await home.poll()
    assert TO_FULL in home.states()


@pytest.mark.parametrize("now", [datetime(2026, 6, 15, 19, 2, tzinfo=UTC)], ids=["in the evening"])
async def test_time_to_reserve_ends_at_the_reserve_of_the_inverter(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "TIMING", Timing(spacing=0))
    await tell_capacity(home.hass)
    password = home.simulator.accounts[FAMILY].password
    [station] = home.simulator.accounts[FAMILY].stations
    async with InverterSimulator(
        HOUSE, seed=SEED, clock=home.simulator.clock, station=station, framing="tcp"
    ) as inverter:
        subentry = inverter_subentry(inverter)
        entry = entry_at(home.simulator.url, FAMILY, password, subentries_data=[subentry])
        assert await add_account(home.hass, entry)
        await home.poll(2, after=SETTINGS_INTERVAL)
        assert TO_RESERVE not in home.states()
        inverter.settings._values[RESERVE_IS_ON] = 1
        inverter.settings._values[RESERVE] = 300
        await home.poll(2, after=SETTINGS_INTERVAL)
        power = float(home.value(station_entity("battery_power")))
        charge = float(home.value(station_entity("battery_state_of_charge")))
        assert power > 50 and charge > 30
        expected = CAPACITY * (charge - 30) / 100 * 1000 / power
        assert float(home.value(TO_RESERVE)) == pytest.approx(expected, abs=0.02)
        assert home.value(TO_FULL) == STATE_UNKNOWN
