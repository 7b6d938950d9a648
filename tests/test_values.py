"""One raw value at a time."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from custom_components.mtec.portal import values
from custom_components.mtec.portal.parsing import Period
from custom_components.mtec.sources import ResponseError

BERLIN = ZoneInfo("Europe/Berlin")
NO_DATES: tuple[Any, ...] = (
    -1e20,
    "-1e20",
    1e20,
    253402290000000,
    "x-1e20",
    0,
    -1,
    7.5,
    "7.5",
    "",
    None,
    [],
    {},
    True,
    "9" * 5000,
)


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
        ("1" + " " * 99 + "V", None),
        ("0" * 101, None),
        (1e20, 1e20),
        (1.1e20, None),
        (-1.1e20, None),
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
        ("0x" + "f" * 16, 2**64 - 1),
        ("0x1" + "0" * 16, None),
        ("0x" + "0" * 5000, None),
        (1e20, None),
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
        ("1e305 GWh", None, None),
        (1e20, "GWh", 1e26),
        (1, ["kWh"], None),
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


@pytest.mark.parametrize(
    ("raw", "year"), [(946684800000, 2000), ("2000-01-01", 2000), ("2100-12-31 23:59:59", 2100), (4133890800000, 2100)]
)
def test_moment_at_the_ends_of_the_plausible(raw: Any, year: int) -> None:
    found = values.moment(raw, BERLIN)
    assert found is not None
    assert found.year == year


@pytest.mark.parametrize("text", ["Solar \ud83c", "\ude00", "a\ud83d\ude00\ud83d"])
def test_half_a_character_is_replaced(text: str) -> None:
    found = values.text(text)
    assert found is not None
    assert "\ufffd" in found.encode().decode()
    assert values.identifier(text) == found


@pytest.mark.parametrize("text", ["Süd ☀ 😀", "\ud83d\ude00", "plain"])
def test_whole_characters_stay(text: str) -> None:
    assert values.text(text) == text.encode("utf-16", "surrogatepass").decode("utf-16")


@pytest.mark.parametrize(
    ("raw", "expected"), [("0", 0), ("2", 2), ("02", 2), ("99", 99), ("100", None), ("9" * 4301, None), ("", None)]
)
def test_ordinal(raw: str, expected: int | None) -> None:
    assert values.ordinal(raw) == expected


@pytest.mark.parametrize("raw", ["²", "٣", "-1", "1.5"])
def test_ordinal_that_is_none(raw: str) -> None:
    assert values.ordinal(raw) is None


@pytest.mark.parametrize(
    ("period", "raw", "expected"),
    [
        (Period(2026, 6), "07", date(2026, 6, 7)),
        (Period(2026, 6), 7, date(2026, 6, 7)),
        (Period(2026, 6), "2026-06-07", date(2026, 6, 7)),
        (Period(2026, 6), "2026-06-7", date(2026, 6, 7)),
        (Period(2026, 6), 1780783200000, date(2026, 6, 7)),
        (Period(2026), "06", date(2026, 6, 1)),
        (Period(), "2026", date(2026, 1, 1)),
        (Period(), 2000, date(2000, 1, 1)),
        (Period(), "9999", None),
        (Period(), 1999, None),
        (Period(), 2101, None),
        (Period(), "9999-12-31", None),
        *((period, raw, None) for period in (Period(2026, 6), Period(2026), Period()) for raw in NO_DATES),
    ],
)
def test_date_of_a_row(period: Period, raw: Any, expected: date | None) -> None:
    assert period.row_start(raw, BERLIN) == expected


@pytest.mark.parametrize(
    "raw",
    [None, "", "--", "yesterday", 10**30, {}, True, 253402290000000, "9999-12-31 23:59:59", "1999-12-31", 0]
    + [-1e20, "2101-01-01", "0001-01-01T00:00:00+14:00"],
)
def test_moment_that_is_none(raw: Any) -> None:
    assert values.moment(raw, BERLIN) is None
