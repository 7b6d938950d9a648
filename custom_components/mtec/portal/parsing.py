"""Parsing of what both versions of the API share: curves, rows, and the nodes of an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta, timezone, tzinfo
from typing import Any

from custom_components.mtec.models import CurvePoint, UsageRow
from custom_components.mtec.sources import ResponseError

from . import values

DAY = 1
"""`durationType` of a day as a curve."""

PHASES = {1: "A", 2: "B", 3: "C"}

_ENERGIES = {
    "consumption": "eusetotal",
    "pv": "eTotal",
    "battery_discharge": "ebatteryDischarge",
    "battery_charge": "ebatteryCharge",
    "grid_import": "ebuytotal",
    "grid_export": "eselltotal",
}
"""The names of a row's energies by our own."""
_NO_ENERGIES = dict.fromkeys(_ENERGIES)
_POWERS = {"consumption_power": "loadPower", "grid_power": "pMeter", "pv_power": "power", "battery_power": "battery"}
"""The names of a curve point's powers by our own."""
_NO_READINGS = dict.fromkeys((*_POWERS, "state_of_charge"))

_CONSUMPTION_SINCE = date(2023, 3, 7)
"""Before this day the portal did not record the consumption and sends 0.0."""

_SMALLEST_STAMP = 10_000
"""A smaller number is the day, month or year of a row, a larger one milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Period:
    """A period with rows: a month by days, a year by months, or the lifetime by years."""

    year: int | None = None
    month: int | None = None

    @property
    def duration(self) -> int:
        """The `durationType` of a request."""
        if self.year is None:
            return 4
        return 3 if self.month is None else 2

    def __str__(self) -> str:
        return "-".join(f"{part:02}" for part in (self.year, self.month) if part is not None)

    def row_start(self, raw: Any, time_zone: tzinfo) -> date | None:
        """Return the first day of the row with this date, None if the date is invalid."""
        part = self._row_number(raw, time_zone)
        if part is None:
            return None
        if self.year is None:
            return date(part, 1, 1) if values.FIRST_YEAR <= part <= values.LAST_YEAR else None
        try:
            return date(self.year, part, 1) if self.month is None else date(self.year, self.month, part)
        except ValueError:
            return None

    def _row_number(self, raw: Any, time_zone: tzinfo) -> int | None:
        """Return the day, month or year of a row.

        Its date is only that, as a number or text. The sister portal also sends a whole date or a timestamp.
        """
        number = values.number(raw)
        if number is not None and number < _SMALLEST_STAMP:
            return _whole(number)
        if number is not None:
            # It is midnight at an unknown offset from UTC; noon is on the same day at each of them.
            moment = values.moment(raw, time_zone)
            day = None if moment is None else (moment + timedelta(hours=12)).date()
        else:
            text = raw if isinstance(raw, str) else ""
            try:
                day = date.fromisoformat(text[:10])
            except ValueError:
                return _whole(values.number(text.rpartition("-")[2]))
        return None if day is None else (day.year, day.month, day.day)[4 - self.duration]


def _whole(number: float | None) -> int | None:
    """Return a number as a day, month or year, None if it cannot be one."""
    return int(number) if number is not None and number.is_integer() and 0 < number < _SMALLEST_STAMP else None


def usage_rows(data: Any, period: Period, time_zone: tzinfo) -> list[UsageRow]:
    """Return the rows of a bar chart, without those that have no value: the days to come."""
    found = (_usage_row(row, period, time_zone) for row in rows(mapping(data).get("curve")))
    return [row for row in found if row is not None]


def _usage_row(row: Mapping[str, Any], period: Period, time_zone: tzinfo) -> UsageRow | None:
    if (begins := period.row_start(_stamp(row, "date", "dateStamp"), time_zone)) is None:
        raise ResponseError("The portal sent a usage row without a date that makes sense")
    energies = {field: values.number(row.get(name)) for field, name in _ENERGIES.items()}
    if energies["consumption"] == 0 and begins < _CONSUMPTION_SINCE:
        energies["consumption"] = None
    return None if energies == _NO_ENERGIES else UsageRow(start=begins, **energies)


def curve_points(data: Any, offset: int, time_zone: tzinfo) -> tuple[CurvePoint, ...]:
    """Return the points of a day that have a value. The day was requested at `offset` minutes east of UTC."""
    requested = timezone(timedelta(minutes=offset))
    found = (_curve_point(row, requested, time_zone) for row in rows(mapping(data).get("curve")))
    return tuple(point for point in found if point is not None)


def _curve_point(row: Mapping[str, Any], requested: tzinfo, time_zone: tzinfo) -> CurvePoint | None:
    start = values.moment(_stamp(row, "dateStamp", "date"), requested)
    if start is None:
        raise ResponseError("The portal sent a point of a curve without a moment that makes sense")
    readings = {field: values.power(row.get(name), "kW") for field, name in _POWERS.items()}
    readings["state_of_charge"] = values.number(row.get("SOC"))
    if readings == _NO_READINGS:
        return None
    return CurvePoint(start=start.astimezone(time_zone), **readings)


def _stamp(row: Mapping[str, Any], *names: str) -> Any:
    """Return the first value that is not None, None if there is none."""
    for name in names:
        if (found := row.get(name)) is not None:
            return found
    return None


def mapping(data: Any) -> Mapping[str, Any]:
    """Return an object, empty if the portal left it out."""
    return data if isinstance(data, dict) else {}


def required(data: Any) -> Mapping[str, Any]:
    """Return a required object. Raises ResponseError if it is none."""
    if not isinstance(data, dict):
        raise ResponseError(f"The portal sent {type(data).__name__} instead of an object")
    return data


def rows(data: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list, empty if the portal left it out."""
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def required_rows(data: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a required list. Raises ResponseError if it is none."""
    if not isinstance(data, list):
        raise ResponseError(f"The portal sent {type(data).__name__} instead of a list")
    return rows(data)
