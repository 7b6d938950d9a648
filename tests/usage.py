"""The rows of an export: those that the plant's model gives, and those that a file has."""

import csv
from datetime import date, datetime, timedelta
import io
from itertools import pairwise
from typing import Any

import pytest

from tests.conftest import NOON
from tests.portal_simulator import PlantDescription, plant_of


def curve(plant: PlantDescription, start: date, end: date, now: datetime = NOON) -> list[dict[str, Any]]:
    """The rows of a five-minute curve in kW."""
    model, zone = plant_of(plant, 1), plant.zone
    rows = []
    for moment in model.steps(model.day_start(start), min(model.day_start(end + timedelta(days=1)), now)):
        powers = model.power(moment)
        rows.append(
            {
                "timestamp": moment.astimezone(zone).isoformat(),
                "load": powers.load / 1000 if plant.meter else None,
                "grid": powers.grid / 1000 if plant.meter else None,
                "PV": powers.pv / 1000,
                "battery": powers.battery / 1000 if plant.battery else None,
                "SOC": powers.soc,
            }
        )
    return rows


def bars(plant: PlantDescription, bounds: list[date], now: datetime = NOON) -> list[dict[str, Any]]:
    """The rows between bounds in kWh, of what was before now and after the installation."""
    model = plant_of(plant, 1)
    recorded = date(2023, 3, 7)
    rows = []
    for start, end in pairwise(bounds):
        if end <= plant.installed or model.day_start(start) >= now:
            continue
        stop = min(model.day_start(end), now)
        energies = model.energy(model.day_start(start), stop)
        consumption = model.energy(model.day_start(max(start, recorded)), stop).consumption
        rows.append(
            {
                "date": start.isoformat(),
                "load": consumption if plant.meter and end > recorded else None,
                "pv_production": energies.pv,
                "battery_load": energies.discharge if plant.battery else None,
                "battery_feed": energies.charge if plant.battery else None,
                "grid_load": energies.import_ if plant.meter else None,
                "grid_feed": energies.export if plant.meter else None,
            }
        )
    return rows


def days(start: date, end: date) -> list[date]:
    """The days from one to another, and the one after."""
    return [start + timedelta(days=number) for number in range((end - start).days + 2)]


def months(start: date, end: date) -> list[date]:
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    return [date(number // 12, number % 12 + 1, 1) for number in range(first, last + 2)]


def years(start: date, end: date) -> list[date]:
    return [date(year, 1, 1) for year in range(start.year, end.year + 2)]


def agree(columns: list[str], found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Assert that rows agree to the portal's rounding."""
    rounding = {"timestamp": 0.00051} if "timestamp" in columns else {"date": 0.0051}
    stamp, tolerance = next(iter(rounding.items()))
    assert [row[stamp] for row in found] == [row[stamp] for row in expected]
    for name in columns[1:]:
        limit = 0.051 if name == "SOC" else tolerance
        assert [row[name] for row in found] == [
            None if row[name] is None else pytest.approx(row[name], abs=limit) for row in expected
        ], name


def parsed(text: str, decimal: str = ".", delimiter: str = ";") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in csv.DictReader(io.StringIO(text), delimiter=delimiter):
        stamp, *numbers = row.items()
        rows.append(
            dict([stamp]) | {name: float(cell.replace(decimal, ".")) if cell else None for name, cell in numbers}
        )
    return rows
