"""A day's energy, spread over the hours of the day."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import accumulate
from typing import Final

from custom_components.mtec.models import (
    CurvePoint,
)

HOUR: Final = timedelta(hours=1)

WHOLE_DAY: Final = range(24)
DAYLIGHT: Final = range(6, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """An energy of a station that has a past in the portal.

    `key` is that of its sensor. `power_fn` takes its power in W from a point of the curve, which may be None; a
    negative one counts as none. `usual_hours` are those of the clock over which it is spread evenly where there is no
    curve.
    """

    key: str
    power_fn: Callable[[CurvePoint], float | None]
    usual_hours: range = WHOLE_DAY


def _negated(value: float | None) -> float | None:
    return None if value is None else -value


ENERGIES: Final = (
    Energy(
        key="pv_energy_today",
        power_fn=lambda point: point.pv_power,
        usual_hours=DAYLIGHT,
    ),
    Energy(
        key="grid_import_today",
        power_fn=lambda point: point.grid_power,
    ),
    Energy(
        key="grid_export_today",
        power_fn=lambda point: _negated(point.grid_power),
        usual_hours=DAYLIGHT,
    ),
    Energy(
        key="battery_charge_today",
        power_fn=lambda point: _negated(point.battery_power),
        usual_hours=DAYLIGHT,
    ),
    Energy(
        key="battery_discharge_today",
        power_fn=lambda point: point.battery_power,
    ),
    Energy(
        key="consumption_today",
        power_fn=lambda point: point.consumption_power,
    ),
)


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of statistics from `start` (UTC) on: the day's energy in kWh until its end, and that of it alone."""

    start: datetime
    total: float
    energy: float


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the moment at which a day begins, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def hours_of_day(day: date, zone: tzinfo) -> list[datetime]:
    """Return the hours (UTC) that begin in a day: 24 of them, 23 or 25 where the clocks change.

    Statistics have hours of UTC. In a zone that is half an hour off, the day's first begins half an hour after it.
    """
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    first = begin.replace(minute=0, second=0)
    if first < begin:
        first += HOUR
    return [first + number * HOUR for number in range(-((first - end) // HOUR))]


def spread(
    energy: Energy,
    total: float,
    day: date,
    zone: tzinfo,
    *,
    points: Sequence[CurvePoint] = (),
    end: datetime | None = None,
) -> list[Hour]:
    """Return a day's energy of `total` kWh spread over its hours: as the curve goes, or evenly over the usual hours.

    `end`, an aware datetime, is when `total` was counted, None for all of a day that is over. The hours sum up to
    `total` exactly.
    """
    hours = hours_of_day(day, zone)
    if end is not None:
        hours = [hour for hour in hours if hour < end] or hours[:1]
    weights = _curve_weights(energy, hours, points, end)
    if not any(weights):
        weights = [_length(hour, end) * (hour.astimezone(zone).hour in energy.usual_hours) for hour in hours]
    if not any(weights):
        weights = [_length(hour, end) for hour in hours]
    if not any(weights):
        weights = [1.0] * len(hours)
    whole = sum(weights)
    totals = [min(total, round(total * part / whole, 3)) for part in accumulate(weights)]
    totals[-1] = total
    before = [0.0, *totals[:-1]]
    return [Hour(start, until, until - earlier) for start, until, earlier in zip(hours, totals, before, strict=True)]


def _curve_weights(
    energy: Energy, hours: Sequence[datetime], points: Sequence[CurvePoint], end: datetime | None
) -> list[float]:
    weights = [0.0] * len(hours)
    first = hours[0].timestamp()
    last = None if end is None else end.timestamp()
    for point in points:
        power = energy.power_fn(point)
        start = point.start.timestamp()
        if power is not None and power > 0 and (last is None or start < last):
            weights[min(max(0, int((start - first) // 3600)), len(hours) - 1)] += power
    return weights


def _length(hour: datetime, end: datetime | None) -> float:
    """Return the part of an hour, from 0 to 1, that is before `end`."""
    return 1.0 if end is None else max(0.0, min(1.0, (end - hour) / HOUR))
