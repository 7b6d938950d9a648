"""What a station has from the rows of its years and of its month: totals, and the shares of this year and month."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from math import isclose

from homeassistant.const import STATE_UNAVAILABLE
from homeassistant.helpers import entity_registry as er
import pytest

from custom_components.mtec.energies import DailyEnergies, LifetimeEnergies
from custom_components.mtec.models import UsageRow
from tests.conftest import FAMILY, GENERATION1, SetUp
from tests.energies import STATION_TOTALS, station_entity
from tests.home import SEED, Home, reload
from tests.portal_simulator import FAULTS, HOUSE, Call, plant_of
from tests.portal_simulator.faults import Fault, _refuse

YEARS = {1: "durationType': 4", 2: "durationType': '4'"}
"""What is in a request for the rows of the years, by generation."""
SHARES = tuple(
    f"self_{share}_{period}" for share in ("consumption", "sufficiency") for period in ("this_month", "this_year")
)


def _asked(home: Home, generation: int) -> list[Call]:
    return [call for call in home.simulator.requests if YEARS[generation] in f"{call.query} {call.body}"]


def _total(home: Home, key: str) -> float:
    return float(home.value(station_entity(key)))


async def test_totals_are_those_of_the_plant(home: Home, set_up: SetUp, generation: int) -> None:
    """A start asks for them last: all else is there before."""
    await set_up(FAMILY)
    assert _asked(home, generation) == home.simulator.requests[-1:]
    plant = plant_of(HOUSE, SEED)
    life = plant.energy(plant.day_start(HOUSE.installed), home.simulator.clock.now())
    for key, part in STATION_TOTALS.items():
        assert _total(home, key) == pytest.approx(getattr(life, part), abs=0.5), key
        attributes = home.states()[station_entity(key)].attributes
        assert attributes["state_class"] == "total_increasing"
        assert "last_reset" not in attributes


async def test_years_are_read_once_an_hour(home: Home, set_up: SetUp, generation: int) -> None:
    await set_up(FAMILY)
    await home.poll(50)
    assert len(_asked(home, generation)) == 1
    before = {key: _total(home, key) for key in STATION_TOTALS}
    await home.poll(65)
    assert len(_asked(home, generation)) == 2
    after = {key: _total(home, key) for key in STATION_TOTALS}
    assert all(after[key] >= before[key] for key in STATION_TOTALS)
    assert after["consumption_total"] > before["consumption_total"]


def _is(share: float, whole: float, part: float) -> bool:
    return isclose(share, 100 * (1 - part / whole), abs_tol=0.3) and share == round(share, 1)


async def test_shares_of_month_and_year_are_those_of_the_plant(home: Home, set_up: SetUp) -> None:
    await set_up(FAMILY)
    plant, now = plant_of(HOUSE, SEED), home.simulator.clock.now()
    for period, first in {"this_month": date(2026, 6, 1), "this_year": date(2026, 1, 1)}.items():
        energies = plant.energy(plant.day_start(first), now)
        assert _is(_total(home, f"self_consumption_{period}"), energies.pv, energies.export), period
        assert _is(_total(home, f"self_sufficiency_{period}"), energies.consumption, energies.import_), period


@pytest.mark.parametrize("email", ["barn@example.com", "cabin@example.com"])
async def test_plant_without_battery_and_meter_has_no_totals_and_shares_of_them(
    home: Home, set_up: SetUp, email: str, generation: int
) -> None:
    await set_up(email)
    await home.poll(3)
    assert _asked(home, generation)
    there = [id_ for id_ in home.states() if id_.startswith("sensor.") and id_.endswith("_total")]
    assert there
    assert not [id_ for id_ in there if not id_.endswith("pv_energy_total")] or generation == 2
    station = next(id_ for id_ in home.states() if id_.endswith("_pv_energy_this_year")).rpartition("_pv_energy")[0]
    for key in (*STATION_TOTALS, *SHARES):
        assert f"{station}_{key}" not in home.states(), key


REFUSALS: dict[str, Callable[[], Fault]] = {
    "refused": lambda: Fault(about="a refusal", before=_refuse({1: "4000001", 2: "4000001"}, "Not possible")),
    "null": lambda: Fault(about="no data", tree=lambda tree, _: {**tree, "data": None}),
    "no years": lambda: Fault(about="no rows", tree=lambda tree, _: {**tree, "data": {"curve": []}}),
}


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_no_answer_loses_nothing(
    home: Home, set_up: SetUp, generation: int, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All else goes on, the portal is not asked in each poll, and the totals go on when they are told again."""
    monkeypatch.setitem(FAULTS, refusal, REFUSALS[refusal]())
    entry = await set_up(FAMILY)
    before = {key: _total(home, key) for key in STATION_TOTALS}
    home.simulator.faults.add(refusal, matching=YEARS[generation])
    asked = len(_asked(home, generation))
    await home.poll(3 * 60)
    assert 2 <= len(_asked(home, generation)) - asked <= 3 * 6
    assert home.value(station_entity("pv_power")) != STATE_UNAVAILABLE
    assert entry.runtime_data.last_update_success
    home.simulator.faults.clear()
    await home.poll(65)
    plant = plant_of(HOUSE, SEED)
    life = plant.energy(plant.day_start(HOUSE.installed), home.simulator.clock.now())
    for key, part in STATION_TOTALS.items():
        assert _total(home, key) >= before[key]
        assert _total(home, key) == pytest.approx(getattr(life, part), abs=3), key


@GENERATION1
async def test_totals_never_fall(home: Home, set_up: SetUp) -> None:
    """Neither when the portal forgets energy for a while, nor over a restart of the integration."""
    entry = await set_up(FAMILY)
    shown = {key: _total(home, key) for key in STATION_TOTALS}
    home.simulator.faults.add("total_falls", matching=YEARS[1])
    for _ in range(6):
        await home.poll(2, after=timedelta(minutes=35))
        now = {key: _total(home, key) for key in STATION_TOTALS}
        assert all(now[key] >= shown[key] for key in STATION_TOTALS)
        shown = now
    await reload(home.hass, entry)
    await home.poll()
    assert all(_total(home, key) >= shown[key] for key in STATION_TOTALS)


@pytest.mark.parametrize("now", [datetime(2026, 1, 15, 10, 2, tzinfo=UTC)], ids=["in winter"])
async def test_power_by_direction_is_the_power_with_a_sign(home: Home, set_up: SetUp) -> None:
    entry = await set_up(FAMILY)
    registry = er.async_get(home.hass)
    parts = {
        "grid_power": ("grid_import_power", "grid_export_power"),
        "battery_power": ("battery_discharge_power", "battery_charge_power"),
    }
    for keys in parts.values():
        for key in keys:
            entity = registry.async_get(station_entity(key))
            assert entity is not None and entity.disabled_by is er.RegistryEntryDisabler.INTEGRATION
            registry.async_update_entity(entity.entity_id, disabled_by=None)
    await reload(home.hass, entry)
    signs: set[tuple[str, bool]] = set()
    for _ in range(12):
        await home.poll(after=timedelta(hours=2))
        for whole, (positive, negative) in parts.items():
            power = _total(home, whole)
            assert (_total(home, positive), _total(home, negative)) == (max(power, 0.0), max(-power, 0.0))
            signs.add((whole, power > 0))
    assert len(signs) == 4


def _row(start: date, **known: float) -> UsageRow:
    names = ("consumption", "pv", "battery_discharge", "battery_charge", "grid_import", "grid_export")
    return UsageRow(start=start, **{name: known.get(name) for name in names})


def test_share_is_of_the_rows_that_report_both_of_its_energies() -> None:
    """A day without the fed-in energy is left out, not taken for one on which nothing was fed in."""
    days = [_row(date(2026, 6, 1), pv=10, grid_export=4), _row(date(2026, 6, 2), pv=90)]
    energies = DailyEnergies(day=date(2026, 6, 2), rows={row.start: row for row in days})
    assert (energies.shares_today.self_consumption, energies.shares_this_month.self_consumption) == (None, 60.0)
    assert energies.shares_this_month.self_sufficiency is None


def test_month_is_without_the_last_day_of_the_month_before() -> None:
    days = [_row(date(2026, 5, 31), pv=10, grid_export=10), _row(date(2026, 6, 1), pv=3, grid_export=1)]
    energies = DailyEnergies(day=date(2026, 6, 1), rows={row.start: row for row in days})
    assert energies.shares_this_month.self_consumption == 66.7


def test_year_that_is_not_reported_has_no_share() -> None:
    """On the first of January there may be no row of the new year yet."""
    rows = [_row(date(2025, 1, 1), pv=10, grid_export=4, consumption=8, grid_import=2)]
    assert LifetimeEnergies(year=2025, rows=rows).shares_this_year.self_sufficiency == 75.0
    assert LifetimeEnergies(year=2025, rows=rows, has_meter=False).shares_this_year.self_sufficiency is None
    assert LifetimeEnergies(year=2026, rows=rows).shares_this_year.self_consumption is None
