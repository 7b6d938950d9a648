"""A day's energy, distributed over the hours of the day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import accumulate
from typing import Final

from custom_components.mtec.energies import Energy
from custom_components.mtec.models import CurvePoint

HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour that begins at `start` (UTC).

    `total` is the energy of the day until the end of the hour, `energy` that of the hour alone, both in kWh.
    """

    start: datetime
    total: float
    energy: float


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return the midnight at which a day begins, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def hours_of_day(day: date, zone: tzinfo) -> list[datetime]:
    """Return the hours (UTC) that begin in a day: 24, or 23 or 25 if the clocks change.

    Statistics have hours of UTC: in a zone with an offset of half an hour, the first hour begins half an hour after
    midnight.
    """
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    first = begin.replace(minute=0, second=0)
    if first < begin:
        first += HOUR
    return [first + number * HOUR for number in range(-((first - end) // HOUR))]


def distribute_over_hours(
    energy: Energy,
    total: float,
    day: date,
    zone: tzinfo,
    *,
    points: Sequence[CurvePoint] = (),
    end: datetime | None = None,
) -> list[Hour]:
    """Return a day's energy of `total` kWh distributed over its hours: like the curve, or evenly over the usual hours.

    `end`, an aware datetime, is when `total` was measured, None for a day that is over. The hours sum up to `total`
    exactly.
    """
    hours = hours_of_day(day, zone)
    if end is not None:
        hours = [hour for hour in hours if hour < end] or hours[:1]
    weights = _weights(energy, hours, zone, points, end)
    whole = sum(weights)
    totals = [min(total, round(total * part / whole, 3)) for part in accumulate(weights)]
    totals[-1] = total
    before = [0.0, *totals[:-1]]
    return [Hour(start, until, until - earlier) for start, until, earlier in zip(hours, totals, before, strict=True)]


def weights_of_hours(
    energy: Energy, hours: Sequence[datetime], day: date, zone: tzinfo, points: Sequence[CurvePoint]
) -> list[float]:
    """Return the weights of some hours of a day: of the curve, or of the usual hours; all 0 if they have none."""
    whole_day = hours_of_day(day, zone)
    by_curve = dict(zip(whole_day, _curve_weights(energy, whole_day, points, None), strict=True))
    weights = [by_curve.get(hour, 0.0) for hour in hours]
    if any(weights):
        return weights
    return [float(hour.astimezone(zone).hour in energy.usual_hours) for hour in hours]


def _weights(
    energy: Energy, hours: Sequence[datetime], zone: tzinfo, points: Sequence[CurvePoint], end: datetime | None
) -> list[float]:
    """Return the weights of hours: of the curve, of the usual hours, or of all hours, the first that are not all 0."""
    lengths = [_length(hour, end) for hour in hours]
    usual = [hour.astimezone(zone).hour in energy.usual_hours for hour in hours]
    candidates = (
        _curve_weights(energy, hours, points, end),
        [length * is_usual for length, is_usual in zip(lengths, usual, strict=True)],
        lengths,
    )
    return next((weights for weights in candidates if any(weights)), [1.0] * len(hours))


def _curve_weights(
    energy: Energy, hours: Sequence[datetime], points: Sequence[CurvePoint], end: datetime | None
) -> list[float]:
    weights = [0.0] * len(hours)
    first = hours[0].timestamp()
    last = None if end is None else end.timestamp()
    for point in points:
        power = energy.curve_power(point)
        start = point.start.timestamp()
        if power is not None and power > 0 and (last is None or start < last):
            weights[min(max(0, int((start - first) // 3600)), len(hours) - 1)] += power
    return weights


def _length(hour: datetime, end: datetime | None) -> float:
    """Return the part of an hour, from 0 to 1, that is before `end`."""
    return 1.0 if end is None else max(0.0, min(1.0, (end - hour) / HOUR))
