"""A model of a photovoltaic plant: sun, weather, household, battery and grid in steps of five minutes.

Everything follows from the plant's description and a seed. The powers are constant through a step, and every
energy is a sum over the same steps, so live values, curves and totals of any period agree. In every step
PV + import + discharge = consumption + export + charge.

Units: W, kWh, %, aware datetimes. Signs: grid positive = drawn from the grid, battery positive = discharging.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from math import ceil, cos, pi, radians, sin
from random import Random
from typing import Literal
from zoneinfo import ZoneInfo

type Spelling = Literal["text", "number", "odd", "plain", "sister"]

STEP = 300
"""Length of a step in seconds. Steps begin at multiples of it since the epoch."""

_SLOTS = 86400 // STEP
_STEP_HOURS = STEP / 3600


@dataclass(frozen=True)
class PvString:
    """A string of modules: its peak power in W, tilt in degrees, azimuth in degrees (90 = east, 180 = south)."""

    name: str
    peak: float
    azimuth: float
    tilt: float = 35


@dataclass(frozen=True)
class Battery:
    """A battery: capacity in kWh, greatest power in W, reserve in %, efficiency of each way (0 to 1)."""

    capacity: float
    power: float
    reserve: float = 10
    efficiency: float = 0.96


@dataclass(frozen=True)
class Inverter:
    """An inverter, its rated power in W and what hangs on it."""

    device_id: str
    name: str
    serial: str
    model: str
    rated: float
    strings: tuple[PvString, ...]
    phases: str = "ABC"
    battery: Battery | None = None
    meter: bool = False


@dataclass(frozen=True)
class PlantDescription:
    """All that makes a plant what it is.

    `household` is the mean of its basic consumption in W; at most one inverter has a battery. `spelling` is the manner
    in which the portal writes this plant's values, and `not_measured` what its rows have for energies that the plant
    cannot measure.
    """

    station_id: str
    name: str
    installed: date
    household: float
    inverters: tuple[Inverter, ...]
    time_zone: str
    latitude: float = 48.0
    longitude: float = 11.0
    spelling: Spelling = "number"
    not_measured: float | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the plant's days."""
        return ZoneInfo(self.time_zone)

    @property
    def battery(self) -> Battery | None:
        """The plant's battery, if it has one."""
        return next((inverter.battery for inverter in self.inverters if inverter.battery), None)

    @property
    def meter(self) -> bool:
        """Whether the exchange with the grid is measured."""
        return any(inverter.meter for inverter in self.inverters)


@dataclass(frozen=True)
class InverterPowers:
    """The powers of an inverter: W of each string by its name, W of its battery (0 without one)."""

    strings: Mapping[str, float]
    battery: float

    @property
    def ac(self) -> float:
        """Power given to the house in W; negative when the battery charges from the other inverters."""
        return sum(self.strings.values()) + self.battery


@dataclass(frozen=True)
class Powers:
    """The powers of a plant in one step, in W. `soc` is the state of charge in % at its start, None without battery.

    `inverters` has each inverter's share by its device id.
    """

    pv: float
    grid: float
    battery: float
    load: float
    soc: float | None
    inverters: Mapping[str, InverterPowers]


@dataclass(frozen=True)
class Energies:
    """Energies of a period in kWh, not rounded."""

    pv: float = 0.0
    import_: float = 0.0
    export: float = 0.0
    charge: float = 0.0
    discharge: float = 0.0
    consumption: float = 0.0

    def __add__(self, other: Energies) -> Energies:
        """The energies of two periods together."""
        return Energies(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Energies) -> Energies:
        """What remains of a period when a part of it is taken away."""
        return Energies(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class _Day:
    """The steps of a local day: W and, for `soc`, kWh stored at the step's start; `before` is all energy up to it."""

    first: int
    pv: array[float]
    load: array[float]
    battery: array[float]
    stored: array[float]
    stored_at_end: float
    before: Energies

    def energies(self, seconds: float) -> Energies:
        """The energies of the first `seconds` of the day."""
        whole, rest = divmod(seconds, STEP)
        count = min(int(whole), len(self.pv))
        energies = self._sum(slice(0, count))
        if rest and count < len(self.pv):
            running = self._sum(slice(count, count + 1))
            part = rest / STEP
            energies += Energies(*(part * getattr(running, f.name) for f in fields(running)))
        return energies

    def _sum(self, steps: slice) -> Energies:
        pv, load, battery = self.pv[steps], self.load[steps], self.battery[steps]
        grid = [c - p - b for c, p, b in zip(load, pv, battery, strict=True)]
        factor = _STEP_HOURS / 1000
        return Energies(
            pv=sum(pv) * factor,
            import_=sum([g for g in grid if g > 0]) * factor,
            export=-sum([g for g in grid if g < 0]) * factor,
            charge=-sum([b for b in battery if b < 0]) * factor,
            discharge=sum([b for b in battery if b > 0]) * factor,
            consumption=sum(load) * factor,
        )


class Plant:
    """A plant's life from its installation on, computed day by day as far as it is asked for."""

    def __init__(self, description: PlantDescription, seed: int) -> None:
        self.description = description
        self._seed = seed
        self._zone = description.zone
        self._days: list[_Day] = []
        self._strings = lru_cache(maxsize=8)(self._compute_strings)

    def local_date(self, moment: datetime) -> date:
        """The plant's calendar day at a moment."""
        return moment.astimezone(self._zone).date()

    def day_start(self, day: date) -> datetime:
        """The plant's midnight at which `day` begins, in UTC."""
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)

    def power(self, moment: datetime) -> Powers:
        """The powers of the step that holds `moment`; all zero before the installation."""
        description = self.description
        local = self.local_date(moment)
        if local < description.installed:
            idle = {i.device_id: InverterPowers({s.name: 0.0 for s in i.strings}, 0.0) for i in description.inverters}
            return Powers(0.0, 0.0, 0.0, 0.0, 0.0 if description.battery else None, idle)
        day = self._day(local)
        step = int(moment.timestamp() - day.first) // STEP
        pv, load, battery = day.pv[step], day.load[step], day.battery[step]
        inverters = {
            inverter.device_id: InverterPowers(
                {string.name: output[step] for string, output in zip(inverter.strings, outputs, strict=True)},
                battery if inverter.battery else 0.0,
            )
            for inverter, outputs in zip(description.inverters, self._strings(local), strict=True)
        }
        soc = 100 * day.stored[step] / description.battery.capacity if description.battery else None
        return Powers(pv, load - pv - battery, battery, load, soc, inverters)

    def steps(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The moments from `start` until before `end` at which a step begins, none before the installation."""
        first = max(start, self.day_start(self.description.installed)).timestamp()
        for second in range(ceil(first / STEP) * STEP, ceil(end.timestamp()), STEP):
            yield datetime.fromtimestamp(second, UTC)

    def energy(self, start: datetime, end: datetime) -> Energies:
        """The energies between two moments, a cut step counted pro rata; nothing if `end` is not after `start`."""
        return self._total(end) - self._total(start) if end > start else Energies()

    def day(self, day: date) -> Energies:
        """The energies of one of the plant's calendar days."""
        return self.energy(self.day_start(day), self.day_start(day + timedelta(days=1)))

    def _total(self, moment: datetime) -> Energies:
        """All energies from the installation until `moment`."""
        local = self.local_date(moment)
        if local < self.description.installed:
            return Energies()
        day = self._day(local)
        return day.before + day.energies(moment.timestamp() - day.first)

    def _day(self, day: date) -> _Day:
        index = (day - self.description.installed).days
        while len(self._days) <= index:
            self._days.append(self._next_day())
        return self._days[index]

    def _next_day(self) -> _Day:
        description = self.description
        day = description.installed + timedelta(days=len(self._days))
        outputs = self._compute_strings(day)
        pv = _add([output for inverter in outputs for output in inverter])
        load = _household(self._seed, description, day, *self._bounds(day))
        battery = description.battery
        stored, before = battery.capacity / 2 if battery else 0.0, Energies()
        if self._days:
            last = self._days[-1]
            stored, before = last.stored_at_end, last.before + last.energies(len(last.pv) * STEP)
        if battery:
            host = next(i for i, inverter in enumerate(description.inverters) if inverter.battery)
            rated = description.inverters[host].rated
            free = [rated - own for own in _add(outputs[host])]
            flow, levels, stored = _run_battery(battery, stored, pv, load, free)
        else:
            flow = levels = array("d", bytes(8 * len(pv)))
        return _Day(self._bounds(day)[0], array("d", pv), array("d", load), flow, levels, stored, before)

    def _bounds(self, day: date) -> tuple[int, int]:
        """When a local day begins (seconds since the epoch), and how many steps it has."""
        first = int(self.day_start(day).timestamp())
        return first, (int(self.day_start(day + timedelta(days=1)).timestamp()) - first) // STEP

    def _compute_strings(self, day: date) -> list[list[list[float]]]:
        """W of every step of a local day, for each inverter and each of its strings."""
        first, count = self._bounds(day)
        place = self.description.latitude, self.description.longitude
        passing = _weather(self._seed, day, count)
        result = []
        for inverter in self.description.inverters:
            outputs = []
            for string in inverter.strings:
                clear = _clear_sky(place, (string.tilt, string.azimuth), day.timetuple().tm_yday, first % 86400, count)
                peak = string.peak
                outputs.append([peak * c * p for c, p in zip(clear, passing, strict=True)])
            total = _add(outputs)
            if max(total) > inverter.rated:
                limit = [min(1.0, inverter.rated / t) if t else 1.0 for t in total]
                outputs = [[w * part for w, part in zip(output, limit, strict=True)] for output in outputs]
            result.append(outputs)
        return result


@cache
def plant_of(description: PlantDescription, seed: int) -> Plant:
    """The plant of a description and a seed, made once in a process so that all simulators share its computed life."""
    return Plant(description, seed)


def _random(*key: object) -> Random:
    """Chance that is the same each time it is asked for with the same key."""
    return Random(" ".join(map(str, key)))  # noqa: S311


def _add(series: Sequence[Sequence[float]]) -> list[float]:
    return [sum(values) for values in zip(*series, strict=True)]


def _run_battery(
    battery: Battery, stored: float, pv: list[float], load: list[float], free: list[float]
) -> tuple[array[float], array[float], float]:
    """Let a battery take the surplus and cover the lack, `free` W at most beside its inverter's own PV.

    Returns its power (W) and its content at the start (kWh) of each step, and its content at the end of the last.
    """
    flow, levels = array("d"), array("d")
    limit, efficiency, capacity = battery.power, battery.efficiency, battery.capacity
    reserve = capacity * battery.reserve / 100
    hours = _STEP_HOURS / 1000
    for produced, used, room in zip(pv, load, free, strict=True):
        levels.append(stored)
        surplus = produced - used
        if surplus > 0:
            power = min(surplus, limit, max(0.0, capacity - stored) / efficiency / hours)
            stored += power * efficiency * hours
            flow.append(-power)
        else:
            power = min(-surplus, limit, max(0.0, room), max(0.0, stored - reserve) * efficiency / hours)
            stored -= power / efficiency * hours
            flow.append(power)
    return flow, levels, stored


@cache
def _clear_sky(
    place: tuple[float, float], plane: tuple[float, float], day_of_year: int, first: int, count: int
) -> tuple[float, ...]:
    """Output under a clear sky as a part of the peak, for `count` steps from second `first` of the UTC day.

    `place` is latitude and longitude, `plane` tilt and azimuth, in degrees.
    """
    latitude, longitude = radians(place[0]), place[1]
    declination = radians(-23.44) * cos(2 * pi * (day_of_year + 10) / 365)
    slope, direction = radians(plane[0]), radians(plane[1])
    plane_east, plane_north, plane_up = sin(slope) * sin(direction), sin(slope) * cos(direction), cos(slope)
    up_constant, up_factor = sin(latitude) * sin(declination), cos(latitude) * cos(declination)
    north_constant, north_factor = cos(latitude) * sin(declination), sin(latitude) * cos(declination)
    result = []
    for step in range(count):
        hour_angle = 2 * pi * ((first + (step + 0.5) * STEP) / 86400 + longitude / 360 - 0.5)
        height = up_constant + up_factor * cos(hour_angle)
        if height <= 0:
            result.append(0.0)
            continue
        north = north_constant - north_factor * cos(hour_angle)
        east = -cos(declination) * sin(hour_angle)
        beam: float = 1.3 * 0.7 ** ((1 / (height + 0.03)) ** 0.678)
        facing = max(0.0, plane_east * east + plane_north * north + plane_up * height)
        result.append(0.88 * beam * (facing + 0.12))
    return tuple(result)


def _weather(seed: int, day: date, count: int) -> list[float]:
    """The part of the clear sky's light that passes the clouds in each step of a day."""
    random = _random("weather", seed, day)
    winter = 0.5 + 0.5 * cos(2 * pi * (day.timetuple().tm_yday - 15) / 365)
    cloudiness = random.betavariate(0.9 + 0.8 * winter, 1.3 - 0.4 * winter)
    hours = [min(1.0, max(0.0, cloudiness + random.uniform(-0.25, 0.25))) for _ in range(count // 12 + 1)]
    flicker = 0.7 * cloudiness * (1 - cloudiness)
    return [
        (1 - 0.85 * (a + (b - a) * part / 12)) * (1 - flicker * random.random())
        for a, b in pairwise(hours)
        for part in range(12)
    ]


_WORKDAY = (45, 40, 38, 38, 40, 55, 110, 140, 110, 85, 80, 95, 120, 100, 85, 85, 100, 140, 180, 190, 175, 150, 105, 65)
_WEEKEND = (55, 45, 40, 38, 38, 40, 55, 90, 130, 145, 135, 150, 175, 140, 105, 95, 99, 135, 170, 180, 170, 150, 120, 80)
"""Basic consumption in the hours of a day, in % of its mean."""

_APPLIANCES = (
    (2200, 3, range(6, 9), 0.9),
    (2400, 8, range(11, 14), 0.7),
    (1900, 5, range(13, 20), 0.6),
    (2600, 9, range(17, 20), 0.8),
    (1500, 10, range(19, 22), 0.5),
)
"""Appliances: W, steps for which they run, hours in which they start, probability on a day."""


@cache
def _pattern(hours: tuple[int, ...]) -> tuple[float, ...]:
    following = hours[1:] + hours[:1]
    return tuple((a + (b - a) * part / 12) / 100 for a, b in zip(hours, following, strict=True) for part in range(12))


def _household(seed: int, description: PlantDescription, day: date, first: int, count: int) -> list[float]:
    """W a household takes in each step of a local day."""
    random = _random("household", seed, description.station_id, day)
    pattern = _pattern(_WEEKEND if day.weekday() >= 5 else _WORKDAY)
    season = 1 + 0.2 * cos(2 * pi * (day.timetuple().tm_yday - 15) / 365)
    scale = description.household * season * random.uniform(0.85, 1.15)
    noise = random.random
    load = [scale * pattern[slot] * (0.8 + 0.4 * noise()) for slot in _slots(description.zone, first, count)]
    for watts, steps, hours, likely in _APPLIANCES:
        if random.random() < likely:
            begin = random.choice(hours) * 12 + random.randrange(12)
            for step in range(begin, min(begin + steps, count)):
                load[step] += watts
    return load


def _slots(zone: ZoneInfo, first: int, count: int) -> Sequence[int]:
    """The step of the wall clock's day in which each step of a local day lies, also when the clocks change."""
    if count == _SLOTS:
        return range(count)
    walls = (datetime.fromtimestamp(first + step * STEP, zone) for step in range(count))
    return [(wall.hour * 60 + wall.minute) * 60 // STEP for wall in walls]
