"""Which energies a station has."""

from dataclasses import fields
from datetime import date

import pytest

from custom_components.mtec.energies import is_supported
from custom_components.mtec.models import (
    StationReading,
    UsageRow,
)

ENERGIES = [field.name for field in fields(UsageRow) if field.name != "start"]
NOTHING_LIVE = StationReading(**{field.name: None for field in fields(StationReading)})


def row(**energies: float | None) -> UsageRow:
    return UsageRow(start=date(2026, 6, 15), **(dict.fromkeys(ENERGIES, 0.0) | energies))


@pytest.mark.parametrize("name", ENERGIES)
def test_zero_rows_without_a_live_value_are_of_nothing(name: str) -> None:
    """Neither 0.0 nor a missing value in any number of rows, with or without a reading."""
    for reading in (None, NOTHING_LIVE):
        assert not is_supported(name, [], reading)
        assert not is_supported(name, [row(), row(**{name: None})], reading)


@pytest.mark.parametrize("name", ENERGIES)
def test_one_row_that_is_not_zero_is_enough(name: str) -> None:
    assert is_supported(name, [row(), row(**{name: 0.01}), row()], NOTHING_LIVE)
    assert is_supported(name, [row(**{name: 0.01})], None)


@pytest.mark.parametrize(
    ("live", "names"),
    [
        ("pv_power", {"pv"}),
        ("grid_power", {"grid_import", "grid_export", "consumption"}),
        ("consumption_power", {"consumption"}),
        ("battery_power", {"battery_charge", "battery_discharge"}),
        ("state_of_charge", {"battery_charge", "battery_discharge"}),
    ],
)
def test_live_value_is_of_its_own_hardware(live: str, names: set[str]) -> None:
    """A live value of 0 is one."""
    readings = {field.name: None for field in fields(StationReading)} | {live: 0.0}
    reading = StationReading(**readings)  # type: ignore[arg-type]
    assert {name for name in ENERGIES if is_supported(name, [row()], reading)} == names
