"""Generation 2 of the portal's API: paths, names and payloads of `/monitor/`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from http.cookies import SimpleCookie
import re

from .common import (
    BACKED_UP,
    PV_ENERGIES,
    Shown,
    as_text,
    bar_chart,
    battery_volts,
    check_channel,
    day_curve,
    first_day,
    overview_facts,
    overview_moment,
    overview_values,
    peak,
    phases,
    rounded,
    string_volts,
    temperatures,
    zone_of,
)
from .plant import STEP, Inverter, Plant
from .plants import Account, Station
from .portal import BAD_REQUEST, NOT_FOUND, Call, Portal, PortalError, Route, find_station

type _Device = dict[str, object]


@dataclass(frozen=True)
class _Spelling:
    """The manner in which the portal writes the values of a plant."""

    number: Callable[[float, int], object]
    """A value with this many decimals."""
    nothing: object
    """What stands for a value that the plant does not have."""
    signed: bool
    """Whether the battery's power is negative while it charges, beside the direction."""
    rows_to_come: bool
    """Whether a running month or year has rows for what is still to come."""
    point_stamp: Callable[[datetime], tuple[str, object]]
    """Name and value of the stamp of a curve's point, of a moment in the client's time zone."""
    row_stamp: Callable[[datetime, str], tuple[str, object]]
    """Name and value of the stamp of a row, of its plant's midnight and its date."""
    newest_first: bool = False
    """Whether the points of an inverter's day begin with the newest."""
    devices: Callable[[_Device, list[_Device]], object] = lambda logger, inverters: [logger, *inverters]
    """The tree of a logger and inverters."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of a station's values in place of today's."""
    device_names: Mapping[str, str] = field(default_factory=dict)
    """Names of an inverter's values in place of the usual ones."""
    without_unit: frozenset[str] = frozenset()
    """Powers of a station that come in W without a word on it."""
    peak_unit: str = "kW"
    device_power: Callable[[float], tuple[float, int]] = lambda watts: (watts / 1000, 3)
    """A power of an inverter, which comes without its unit, and its decimals."""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


_SPELLINGS = {
    "text": _Spelling(
        number=as_text,
        nothing=None,
        signed=False,
        rows_to_come=True,
        point_stamp=lambda moment: ("dateStamp", _milliseconds(moment)),
        row_stamp=lambda _, text: ("date", text),
        devices=lambda logger, inverters: [{**logger, "children": inverters}],
    ),
    "number": _Spelling(
        number=rounded,
        nothing=None,
        signed=True,
        rows_to_come=False,
        point_stamp=lambda moment: ("date", f"{moment:%Y-%m-%d %H:%M:%S}"),
        row_stamp=lambda midnight, _: ("dateStamp", _milliseconds(midnight)),
        newest_first=True,
        names={name: name.lower() for name in ("pLoad", *PV_ENERGIES)},
    ),
    "odd": _Spelling(
        number=rounded,
        nothing="--",
        signed=False,
        rows_to_come=False,
        point_stamp=lambda moment: ("dateStamp", str(_milliseconds(moment))),
        row_stamp=lambda _, text: ("date", int(text)),
        devices=lambda logger, inverters: [
            [logger],
            [{"serialNum": device["deviceSn"], "deviceType": "2"} for device in inverters],
        ],
    ),
}
_SPELLINGS["plain"] = _Spelling(
    number=rounded,
    nothing=None,
    signed=False,
    rows_to_come=False,
    point_stamp=lambda moment: ("dateStamp", _milliseconds(moment)),
    row_stamp=lambda _, text: ("date", text),
)
_SPELLINGS["sister"] = replace(
    _SPELLINGS["plain"],
    devices=lambda logger, inverters: [
        *({"serialNum": device["deviceSn"], "deviceName": device["deviceName"]} for device in inverters),
        logger,
    ],
    names={"batteryP": "batteryPOrgion", "totalBackupPower": "totalBackupPowerOrgin"},
    device_names={f"invt{letter}P": f"activePower{letter}" for letter in "ABC"},
    without_unit=frozenset({"batteryP", "totalBackupPower"}),
    peak_unit="kWp",
    device_power=lambda watts: (watts, 0),
)


def _spelling(station: Station) -> _Spelling:
    return _SPELLINGS[station.spelling or station.description.spelling]


def _log_in(portal: Portal, call: Call) -> object:
    check_channel(call)
    token = portal.log_in(call, call.field("email", str), call.field("password", str), generation=2)
    call.answer_headers["token"] = token
    return None


def _account(portal: Portal, call: Call) -> Account:
    """The account that asks, whose token may be renewed on the way."""
    cookie = SimpleCookie(call.headers.get("Cookie", "")).get("token")
    token = call.headers.get("token") or (cookie.value if cookie else "")
    account = portal.account(call, token, generation=2)
    if renewed := portal.renewed_token(call, token):
        call.answer_headers["token"] = renewed
    return account


def _info(portal: Portal, call: Call) -> object:
    if call.parameter("useFor") != "1":
        raise PortalError(BAD_REQUEST, "Unknown useFor")
    return {"userInfo": {"email": _account(portal, call).email}}


def _stations(portal: Portal, call: Call) -> object:
    stations = _account(portal, call).stations
    page, size = call.number("pageNum", 1), call.number("pageSize", 10)
    for filter_ in ("status", "type", "snOrNameOrEmail", "installStartTime", "installEndTime", "modelTypes"):
        if call.query.get(filter_):
            raise PortalError(BAD_REQUEST, f"The simulator does not filter by '{filter_}'")
    if page < 1 or not 1 <= size <= 50:
        raise PortalError(BAD_REQUEST, "Invalid page")
    descriptions = [station.description for station in stations[(page - 1) * size : page * size]]
    return {
        "records": [
            {"id": d.station_id, "name": d.name, "componentCapacity": sum(map(peak, d.inverters)) / 1000}
            for d in descriptions
        ]
    }


def _devices(portal: Portal, call: Call) -> object:
    """The inverters: below their logger, beside it, or in a list of their own."""
    station = find_station(_account(portal, call), call.path.rpartition("/")[2])
    logger: _Device = {"deviceSn": f"L{station.description.station_id[-8:]}", "deviceType": 1}
    return _spelling(station).devices(logger, [_device(inverter) for inverter in station.inverters])


def _device(inverter: Inverter) -> _Device:
    return {
        "deviceSn": inverter.serial,
        "deviceType": 2,
        "deviceName": inverter.name,
        "modelType": inverter.model,
    }


def _station_now(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.parameter("id"))
    plant, spelling = portal.plant_for(call, station), _spelling(station)
    now = overview_moment(station, portal.now_for(call))
    powers = plant.power(now)
    result = overview_facts(station, powers) | {
        "soc": spelling.nothing if powers.soc is None else spelling.number(powers.soc, 1),
        "powerRatio": rounded(100 * powers.pv / sum(map(peak, plant.description.inverters)), 1),
        "rssi": -61,
        "stationStatusTip": "Running",
        "stationStatus": 1,
        "arrowGeneratorAndBackup": int(plant.description.battery is not None),
    }
    for name, shown in overview_values(plant, now, signed=spelling.signed).items():
        result |= _value(spelling, name, shown)
    return result


def _value(spelling: _Spelling, name: str, shown: Shown) -> dict[str, object]:
    """A value of a station and its unit."""
    spelled = spelling.names.get(name, name)
    if shown is None:
        return {spelled: spelling.nothing, f"{spelled}Unit": "W"}
    value, decimals, unit = shown
    if name in spelling.without_unit:
        return {spelled: spelling.number(value * (1000 if unit == "kW" else 1), 0)}
    return {
        spelled: spelling.number(value, decimals),
        f"{spelled}Unit": spelling.peak_unit if name == "instatlledPower" else unit,
    }


_LENGTHS = {2: 7, 3: 4, 4: 0}
"""Characters of a date that name the period of a chart, by its durationType; some clients send a whole date."""


def _chart(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.parameter("id"))
    if (call.parameter("curveType"), call.parameter("stationType")) != ("1000", "1"):
        raise PortalError(BAD_REQUEST, "Unknown curveType or stationType")
    duration, zone = call.number("durationType"), zone_of(call.number("timeZoneOffset"))
    day = call.parameter("date")
    if re.fullmatch(r"20\d\d-\d\d-\d\d", day, re.ASCII):
        day = day[: _LENGTHS.get(duration)]
    plant, spelling, now = portal.plant_for(call, station), _spelling(station), portal.now_for(call)
    if duration == 1:
        points = day_curve(plant, day, zone, now).points
        return {"curve": [dict([spelling.point_stamp(at.astimezone(zone))]) | values for at, values in points]}
    rows = bar_chart(plant, duration, day, now, rows_to_come=spelling.rows_to_come)
    stamped = ((spelling.row_stamp(plant.day_start(row.start), row.text), row.energies) for row in rows)
    return {"curve": [dict([stamp]) | energies for stamp, energies in stamped]}


def _inverter(station: Station, serial: str) -> Inverter:
    for inverter in station.inverters:
        if inverter.serial == serial:
            return inverter
    raise PortalError(NOT_FOUND, f"Device {serial} does not exist")


def _device_today(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.field("stationId", str))
    inverter, names = _inverter(station, call.field("deviceSn", str)), call.field("iecPath", list)
    zone = zone_of(call.field("timeZoneOffset", int))
    start = datetime.combine(first_day(call.field("time", str), r"20\d\d-\d\d-\d\d", ""), time(), zone).astimezone(UTC)
    while call.age and portal.now_for(call) < start:
        # What is repeated was asked for on another day.
        start -= timedelta(days=1)
    plant, spelling = portal.plant_for(call, station), _spelling(station)
    points = []
    for moment in plant.steps(start, min(start + timedelta(days=1), portal.now_for(call))):
        found = _values(plant, station, inverter, moment, spelling.device_power)
        values = {spelling.device_names.get(name, name): value for name, value in found}
        data = {name: spelling.number(*values[name]) if name in values else spelling.nothing for name in names}
        points.append({"dataTime": _milliseconds(moment), "data": data})
    return points[::-1] if spelling.newest_first else points


type _Values = Iterator[tuple[str, tuple[float, int]]]
"""Names, each with a value and its decimals."""

_SLOW = 3
"""Values that change slowly are in one of this many points."""


def _values(
    plant: Plant, station: Station, inverter: Inverter, moment: datetime, power: Callable[[float], tuple[float, int]]
) -> _Values:
    """The values of an inverter at a moment. Energies are in kWh."""
    yield from _quick_values(plant, inverter, moment, power)
    if moment.timestamp() // STEP % _SLOW == 0:
        yield from _slow_values(plant, station, inverter, moment)


def _quick_values(
    plant: Plant, inverter: Inverter, moment: datetime, power: Callable[[float], tuple[float, int]]
) -> _Values:
    powers = plant.power(moment)
    share = powers.inverters[inverter.device_id]
    yield "pac", power(share.ac)
    yield "ppvInput", power(sum(share.strings.values()))
    for name, watts in share.strings.items():
        number, volts = name.removeprefix("PV"), string_volts(watts)
        yield f"ppv{number}", power(watts)
        yield f"vpv{number}", (volts, 1)
        yield f"ipv{number}", (watts / volts if volts else 0.0, 2)
    for letter, phase in phases(inverter, share, powers).items():
        yield f"invt{letter}P", power(phase.watts)
        yield f"vgridPhase{letter}", (phase.volts, 1)
        yield f"igridPhase{letter}", (phase.watts / phase.volts, 2)
        if phase.grid is not None:
            yield f"pmeterPhase{letter}", power(phase.grid)
        if inverter.battery:
            backup = powers.load * BACKED_UP / len(inverter.phases)
            yield f"backup{letter}V", (phase.volts, 1)
            yield f"backup{letter}I", (backup / phase.volts, 2)
            yield f"backup{letter}F", (50.0, 2)
            yield f"backup{letter}P", power(backup)
    if inverter.meter:
        yield "pmeterTotal", power(powers.grid)
    if inverter.battery:
        volts = battery_volts(powers)
        yield "totalBackupP", power(powers.load * BACKED_UP)
        yield "batteryV", (volts, 1)
        yield "batteryI", (powers.battery / volts, 2)
        yield "batteryP", power(powers.battery)
        yield "batteryMode", (float(powers.battery < 0), 0)
        yield "soc", (powers.soc or 0.0, 1)


def _slow_values(plant: Plant, station: Station, inverter: Inverter, moment: datetime) -> _Values:
    powers = plant.power(moment)
    yield "fgrid", (50.0, 2)
    yield "workStatus", (5 if station.outage else 3 if station.fault else 2, 0)
    for number, celsius in enumerate(temperatures(inverter, powers.inverters[inverter.device_id]), 1):
        yield f"temperature{number}", (celsius, 1)
    for number in range(1, 4):
        yield f"faultFlag{number}", (station.fault if number == 1 else 0, 0)
        yield f"warnFlag{number}", (0, 0)
    if inverter.battery:
        cell = battery_volts(powers) / 16
        yield "soh", (98, 0)
        yield "bmsPackTemperature", (24.5, 1)
        yield "maxCellVoltage", (cell + 0.004, 3)
        yield "minCellVoltage", (cell - 0.003, 3)
        yield "maxCellTemperature", (25.1, 1)
        yield "minCellTemperature", (23.8, 1)
        yield "iChargingLimit", (inverter.battery.power / 50, 1)
        yield "iDischargeLimit", (inverter.battery.power / 50, 1)
        yield "bmsErrorCode", (0, 0)
        yield "bmsWarnCode", (0, 0)
    today = plant.day_start(plant.local_date(moment))
    yield from _counters(plant, inverter, today, moment, _TODAY)
    yield from _counters(plant, inverter, plant.day_start(plant.description.installed), moment, _TOTAL)


_COUNTERS = ("pv", "import_", "export", "consumption", "charge", "discharge", "backup")
_TODAY = dict(
    zip(
        _COUNTERS,
        ("epvDay", "ebuyDay", "esellDay", "eloadUseDay", "ebatterychargeDaily", "ebatteryDischargeDaily", "ebackupDay"),
        strict=True,
    )
)
_TOTAL = dict(
    zip(
        _COUNTERS,
        (
            *("etotalPv", "ebuyTotal", "esellTotal", "etotalLoaduse"),
            *("eTotalbatteryCharge", "eTotalbatteryDischarge", "eTotalBackupLoad"),
        ),
        strict=True,
    )
)


def _counters(plant: Plant, inverter: Inverter, start: datetime, moment: datetime, names: dict[str, str]) -> _Values:
    """Energies since a moment. An inverter's part of the PV energy is that of its strings' peak power."""
    energies = plant.energy(start, moment)
    yield names["pv"], (energies.pv * peak(inverter) / sum(map(peak, plant.description.inverters)), 2)
    if inverter.meter:
        for part in ("import_", "export", "consumption"):
            yield names[part], (getattr(energies, part), 2)
    if inverter.battery:
        for part in ("charge", "discharge"):
            yield names[part], (getattr(energies, part), 2)
        yield names["backup"], (energies.consumption * BACKED_UP, 2)


_PREFIX = "/monitor/"

ROUTES = tuple(
    Route(2, method, _PREFIX + path, answer)
    for method, path, answer in (
        ("POST", "auth/login", _log_in),
        ("GET", "auth/info", _info),
        ("GET", "core/power/station/monitoring/getPage", _stations),
        ("GET", "core/power/station/overview/getSingleStationOverview", _station_now),
        ("GET", "core/device/getListByStation/{station}", _devices),
        ("POST", "core/curve/device/queryRealTimeData", _device_today),
        ("GET", "core/power/station/overview/getGridConnectedData", _chart),
    )
)
"""All paths of generation 2."""
