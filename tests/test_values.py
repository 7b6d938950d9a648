"""One raw value at a time."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from custom_components.mtec.portal import ResponseError, values

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0, 0.0),
        (0.0, 0.0),
        ("0", 0.0),
        (" 0.0", 0.0),
        ("-0", 0.0),
        (51.2, 51.2),
        ("51.2", 51.2),
        ("51.2 V", 51.2),
        ("35.1 ℃", 35.1),
        ("-3.5kW", -3.5),
        ("+1e3", 1000.0),
        ("5.", 5.0),
        (None, None),
        ("", None),
        ("  ", None),
        ("--", None),
        ("-", None),
        ("null", None),
        ("NaN", None),
        ("1.2.3", None),
        ("1,234", None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        ("9" * 400, None),
        (True, None),
        ([1], None),
        ({"value": 1}, None),
    ],
)
def test_number(raw: Any, expected: float | None) -> None:
    assert values.number(raw) == expected
    assert str(values.number(raw)) != "-0.0"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (0, 0),
        ("0", 0),
        (4.0, 4),
        (" 0x1F ", 31),
        ("0X0", 0),
        (3.5, None),
        ("0xyz", None),
        ("0x", None),
        ("--", None),
        (None, None),
        (True, None),
    ],
)
def test_code(raw: Any, expected: int | None) -> None:
    assert values.code(raw) == expected


@pytest.mark.parametrize(
    ("raw", "unit", "expected"),
    [
        (500, "Wh", 0.5),
        ("12.5", "kWh", 12.5),
        ("1.234", "MWh", 1234.0),
        (0.002, "GWh", 2000.0),
        ("1.5 MWh", "kWh", 1500.0),
        (1, " KWH ", 1.0),
        (0, "Wh", 0.0),
        (1, "W", None),
        (1, None, None),
        (1, "", None),
        ("--", "kWh", None),
        (None, "kWh", None),
    ],
)
def test_energy_is_in_kilowatt_hours(raw: Any, unit: Any, expected: float | None) -> None:
    assert values.energy(raw, unit) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("raw", "unit", "expected"),
    [
        (500, "W", 500.0),
        ("1.234", "kW", 1234.0),
        (2, "MW", 2e6),
        (1, "GW", 1e9),
        ("-0.5 kW", "W", -500.0),
        (1, "kWh", None),
        (1, None, None),
    ],
)
def test_power_is_in_watts(raw: Any, unit: Any, expected: float | None) -> None:
    assert values.power(raw, unit) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(1, True), (0, False), (True, True), (False, False), ("1", True), ("0", False), (" True ", True), (None, None)]
    + [(2, None), ("", None), ([], None)],
)
def test_flag(raw: Any, expected: bool | None) -> None:
    assert values.flag(raw) is expected


@pytest.mark.parametrize("raw", ["1587705243920052226", 1587705243920052226, " 1587705243920052226 "])
def test_id_keeps_all_its_digits(raw: Any) -> None:
    assert values.identifier(raw) == "1587705243920052226"


@pytest.mark.parametrize("raw", [1.587705243920052e18, None, "", True, {}])
def test_id_that_is_none(raw: Any) -> None:
    with pytest.raises(ResponseError):
        values.identifier(raw)


@pytest.mark.parametrize(
    "raw", [1781517750000, "1781517750000", 1781517750000.0, "2026-06-15 12:02:30", "2026-06-15T10:02:30Z"]
)
def test_moment(raw: Any) -> None:
    moment = values.moment(raw, BERLIN)
    assert moment == datetime(2026, 6, 15, 10, 2, 30, tzinfo=UTC)
    assert moment.utcoffset() is not None
    assert moment.hour == 12


@pytest.mark.parametrize("raw", [None, "", "--", "yesterday", 10**30, {}, True])
def test_moment_that_is_none(raw: Any) -> None:
    assert values.moment(raw, BERLIN) is None
