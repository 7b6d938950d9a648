"""Values of a plant that both generations of the portal's API show, before each writes them with its own names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise
import re

from .plant import Energies, Inverter, InverterPowers, Plant, PlantDescription, Powers
from .plants import Station
from .portal import BAD_REQUEST, Call, PortalError

_OFFLINE_AGE = timedelta(hours=1)

_CONSUMPTION_SINCE = date(2023, 3, 7)

_CURVE = (
    ("loadPower", "load", 0.001, 3),
    ("pMeter", "grid", 0.001, 3),
    ("power", "pv", 0.001, 3),
    ("battery", "battery", 0.001, 3),
    ("SOC", "soc", 1, 1),
)
"""Values of a point of the curve: the power they show, the factor from its unit, decimals."""

_ROW = (
    ("ebuytotal", "import_"),
    ("eselltotal", "export"),
    ("ebatteryDischarge", "discharge"),
    ("ebatteryCharge", "charge"),
    ("eTotal", "pv"),
    ("eusetotal", "consumption"),
)
"""Values of a row of the bar chart, and the energy they show."""


def rounded(value: float, decimals: int) -> float:
    """A rounded number, never a negative zero."""
    return round(value, decimals) + 0.0


def as_text(value: float, decimals: int) -> str:
    """A rounded number as text."""
    return f"{rounded(value, decimals):.{decimals}f}"


def power_of(watts: float) -> tuple[float, int, str]:
    """A power as the portal shows it: value, decimals, unit."""
    whole = round(watts)
    return (whole, 0, "W") if abs(whole) < 1000 else (whole / 1000, 3, "kW")


def energy_of(kwh: float) -> tuple[float, int, str]:
    """An energy as the portal shows it: value, decimals, unit."""
    if round(kwh, 3) < 1:
        return kwh * 1000, 0, "Wh"
    return (kwh, 2, "kWh") if round(kwh, 2) < 1000 else (kwh / 1000, 3, "MWh")


def pv_energies(plant: Plant, now: datetime) -> tuple[float, ...]:
    """PV energy in kWh of the running day, month, year, and of the plant's life."""
    today = plant.local_date(now)
    starts = today, today.replace(day=1), today.replace(month=1, day=1), plant.description.installed
    return tuple(plant.energy(plant.day_start(start), now).pv for start in starts)


PV_ENERGIES = ("eDay", "eMonth", "eYear", "eTotal")

BACKED_UP = 0.15
"""The part of a household's consumption that hangs on the backup output of the inverter with the battery."""


def peak(inverter: Inverter) -> float:
    """Peak power of an inverter's strings in W."""
    return sum(string.peak for string in inverter.strings)


type Shown = tuple[float, int, str] | None
"""A value as the portal shows it: number, decimals, unit. None if the plant does not have it."""


def overview_values(plant: Plant, now: datetime, *, signed: bool) -> dict[str, Shown]:
    """Powers and energies of an overview by name; `signed` makes the power of a battery that charges negative."""
    powers, known, description = plant.power(now), measured(plant.description), plant.description
    battery = round(powers.battery)
    shown: dict[str, Shown] = {
        "pac": power_of(powers.pv),
        "pLoad": power_of(powers.load) if "load" in known else None,
        "pmeterTotal": power_of(abs(powers.grid)) if "grid" in known else None,
        "batteryP": power_of(battery if signed else abs(battery)) if "battery" in known else None,
        "instatlledPower": (sum(map(peak, description.inverters)) / 1000, 2, "kW"),
        "totalBackupPower": power_of(powers.load * BACKED_UP) if description.battery else None,
    }
    return shown | dict(zip(PV_ENERGIES, map(energy_of, pv_energies(plant, now)), strict=True))


def overview_facts(station: Station, powers: Powers) -> dict[str, object]:
    """What an overview says beside its values: what the station is, its state, and the directions of its flows."""
    description = station.description
    known, grid, battery = measured(description), round(powers.grid), round(powers.battery)
    return {
        "id": description.station_id,
        "name": description.name,
        "allInverterOffline": station.offline,
        "status": 1,
        "arrowModuleInverter": int(powers.pv > 0),
        "arrowGridInverter": int("grid" in known and grid > 0),
        "arrowInverterGrid": int("grid" in known and grid < 0),
        "arrowBatteryInverter": int(battery > 0),
        "arrowInverterBattery": int(battery < 0),
        "arrowInverterLoad": int("load" in known),
        "arrowLoadInverter": 0,
    }


def overview_moment(station: Station, now: datetime) -> datetime:
    """The moment of which an overview is: that of an hour ago if its inverters are offline."""
    return now - _OFFLINE_AGE if station.offline else now


def measured(description: PlantDescription) -> set[str]:
    """The powers and energies the portal can know of a plant."""
    known = {"pv"}
    if description.meter:
        known |= {"grid", "load", "import_", "export", "consumption"}
    if description.battery:
        known |= {"battery", "soc", "charge", "discharge"}
    return known


def check_channel(call: Call) -> None:
    """Refuse a login through another channel than the web page's, which clients send as a number or as text."""
    if str(call.field("channel", object)) != "1":
        raise PortalError(BAD_REQUEST, "Unknown channel")


def zone_of(offset: int) -> timezone:
    """The client's time zone, from its offset in minutes."""
    if abs(offset) > 14 * 60:
        raise PortalError(BAD_REQUEST, "Invalid timeZoneOffset")
    return timezone(timedelta(minutes=offset))


def first_day(text: str, pattern: str, completion: str) -> date:
    """The first day of the period that a text names, which has to match `pattern`."""
    try:
        if re.fullmatch(pattern, text, re.ASCII):
            return date.fromisoformat(text + completion)
    except ValueError:
        pass
    raise PortalError(BAD_REQUEST, f"Invalid date: {text!r}")


@dataclass(frozen=True)
class DayCurve:
    """A day of a client's time zone, so far: its points by their moment, and its energies."""

    points: list[tuple[datetime, dict[str, object]]]
    energies: dict[str, float | None]


def day_curve(plant: Plant, text: str, zone: timezone, now: datetime) -> DayCurve:
    """The day that a client names."""
    start = datetime.combine(first_day(text, r"20\d\d-\d\d-\d\d", ""), time(), zone).astimezone(UTC)
    end = min(start + timedelta(days=1), now)
    known = measured(plant.description)
    points = [(moment, _point(plant.power(moment), known)) for moment in plant.steps(start, end)]
    not_measured = plant.description.not_measured if points else None
    return DayCurve(points, _energies(plant.energy(start, end), known if points else set(), not_measured))


def _point(powers: Powers, known: set[str]) -> dict[str, object]:
    return {
        name: rounded(getattr(powers, part) * factor, decimals) if part in known else None
        for name, part, factor, decimals in _CURVE
    }


def _energies(energies: Energies, known: set[str], unknown: float | None = None) -> dict[str, float | None]:
    """Energies as the portal shows them, `unknown` for what it does not know."""
    return {name: rounded(getattr(energies, part), 2) if part in known else unknown for name, part in _ROW}


@dataclass(frozen=True)
class _Chart:
    """A bar chart: how its `date` is written, and the days at which its rows begin and the last one ends."""

    pattern: str
    completion: str
    row_date: str
    bounds: Callable[[date], list[date]]
    rows_to_come: bool = True


def _days_of_month(month: date) -> list[date]:
    days = [month + timedelta(days=number) for number in range(32)]
    return [day for day in days if day.month == month.month or day.day == 1]


_CHARTS = {
    2: _Chart(r"20\d\d-\d\d", "-01", "%d", _days_of_month),
    3: _Chart(r"20\d\d", "-01-01", "%m", lambda year: [date(year.year + m // 12, m % 12 + 1, 1) for m in range(13)]),
    4: _Chart("", "2000-01-01", "%Y", lambda _: [date(y, 1, 1) for y in range(2000, 2101)], rows_to_come=False),
}
"""The bar charts by their durationType."""


@dataclass(frozen=True)
class Row:
    """A row of a bar chart: the day on which it begins, its date as the portal writes it, its energies."""

    start: date
    text: str
    energies: dict[str, float | None]


def bar_chart(plant: Plant, duration: int, text: str, now: datetime, *, rows_to_come: bool) -> Iterator[Row]:
    """The rows of the period that a client names, with or without what is still to come."""
    chart = _CHARTS.get(duration)
    if chart is None:
        raise PortalError(BAD_REQUEST, "Invalid durationType")
    bounds = chart.bounds(first_day(text, chart.pattern, chart.completion))
    description, today = plant.description, plant.local_date(now)
    nothing_yet = today < max(bounds[0], description.installed)
    for start, end in pairwise(bounds):
        if nothing_yet or end <= description.installed:
            continue
        if start <= today:
            recorded = _recorded(plant, start, end, now)
            energies = _energies(recorded, measured(description), description.not_measured)
        elif rows_to_come and chart.rows_to_come:
            energies = _energies(Energies(), set())
        else:
            continue
        yield Row(start, start.strftime(chart.row_date), energies)


def _recorded(plant: Plant, start: date, end: date, now: datetime) -> Energies:
    """What the portal recorded of the energies from one day until before another, so far."""
    stop = min(plant.day_start(end), now)
    since = max(start, _CONSUMPTION_SINCE)
    consumption = plant.energy(plant.day_start(since), stop).consumption
    return replace(plant.energy(plant.day_start(start), stop), consumption=consumption)


def temperatures(inverter: Inverter, share: InverterPowers) -> tuple[float, float]:
    """Temperatures in °C that rise with the inverter's load."""
    burden = abs(share.ac) / inverter.rated
    return 22.4 + 21 * burden, 24.1 + 26 * burden


def battery_volts(powers: Powers) -> float:
    """Voltage of a battery."""
    return round(48 + (powers.soc or 0.0) * 0.064, 1)


@dataclass(frozen=True)
class Phase:
    """A phase of an inverter: W given to it, V, W that its meter shows (None without one)."""

    watts: float
    volts: float
    grid: float | None


_LOAD_SHARES = {"A": 0.5, "B": 0.3, "C": 0.2}
_VOLTS = {"A": 231.4, "B": 229.8, "C": 230.6}


def phases(inverter: Inverter, share: InverterPowers, powers: Powers) -> dict[str, Phase]:
    """The phases by their letters. The inverters feed all of theirs evenly; the household burdens them unevenly."""
    given = sum(each.ac for each in powers.inverters.values()) / len(inverter.phases)
    return {
        letter: Phase(
            share.ac / len(inverter.phases),
            _VOLTS[letter],
            powers.load * _LOAD_SHARES[letter] - given if inverter.meter else None,
        )
        for letter in inverter.phases
    }


def string_volts(watts: float) -> float:
    """Voltage of a string."""
    return round(340 + watts / 100, 1) if watts else 0.0
