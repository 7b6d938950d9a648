"""Energies that a station supports."""

from dataclasses import fields
from datetime import date

import pytest

from custom_components.mtec.energies import (
    BATTERY_CHARGE,
    BATTERY_DISCHARGE,
    CONSUMPTION,
    ENERGIES,
    GRID_EXPORT,
    GRID_IMPORT,
    PV,
    Energy,
    is_supported,
)
from custom_components.mtec.models import StationReading, UsageRow

FIELDS = [field.name for field in fields(UsageRow) if field.name != "start"]
NOTHING_LIVE = StationReading(**{field.name: None for field in fields(StationReading)})


def row(**energies: float | None) -> UsageRow:
    return UsageRow(start=date(2026, 6, 15), **(dict.fromkeys(FIELDS, 0.0) | energies))


def field_of(energy: Energy) -> str:
    """Return the field of a row that an energy is read from."""
    return next(name for name in FIELDS if energy.in_row(row(**{name: 1.0})) == 1.0)


def test_each_energy_is_read_from_a_field_of_its_own() -> None:
    assert sorted(map(field_of, ENERGIES)) == sorted(FIELDS)


@pytest.mark.parametrize("energy", ENERGIES, ids=field_of)
def test_zero_rows_without_a_live_value_are_of_nothing(energy: Energy) -> None:
    """Neither 0.0 nor a missing value in any number of rows, with or without a reading."""
    for reading in (None, NOTHING_LIVE):
        assert not is_supported(energy, [], reading)
        assert not is_supported(energy, [row(), row(**{field_of(energy): None})], reading)


@pytest.mark.parametrize("energy", ENERGIES, ids=field_of)
def test_one_row_that_is_not_zero_is_enough(energy: Energy) -> None:
    assert is_supported(energy, [row(), row(**{field_of(energy): 0.01}), row()], NOTHING_LIVE)
    assert is_supported(energy, [row(**{field_of(energy): 0.01})], None)


@pytest.mark.parametrize(
    ("live", "supported"),
    [
        ("pv_power", (PV,)),
        ("grid_power", (GRID_IMPORT, GRID_EXPORT, CONSUMPTION)),
        ("consumption_power", (CONSUMPTION,)),
        ("battery_power", (BATTERY_CHARGE, BATTERY_DISCHARGE)),
        ("state_of_charge", (BATTERY_CHARGE, BATTERY_DISCHARGE)),
    ],
)
def test_live_value_is_of_its_own_hardware(live: str, supported: tuple[Energy, ...]) -> None:
    """A live value of 0 is one."""
    readings = {field.name: None for field in fields(StationReading)} | {live: 0.0}
    reading = StationReading(**readings)  # type: ignore[arg-type]
    assert tuple(energy for energy in ENERGIES if is_supported(energy, [row()], reading)) == supported
