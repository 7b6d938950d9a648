"""Generation 2 of the portal's API: paths, names and payloads of `/monitor/`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from http.cookies import SimpleCookie

from .common import (
    as_text,
    bar_chart,
    battery_volts,
    day_curve,
    energy_of,
    first_day,
    measured,
    phases,
    power_of,
    pv_energies,
    rounded,
    string_volts,
    temperatures,
    zone_of,
)
from .plant import STEP, Inverter, Plant
from .plants import Account, Station
from .portal import BAD_REQUEST, NOT_FOUND, Call, Portal, PortalError, Route, find_station


@dataclass(frozen=True)
class _Spelling:
    """The manner in which the portal writes the values of a plant."""

    number: Callable[[float, int], object]
    """A value with this many decimals."""
    nothing: object
    """What stands for a value that the plant does not have."""
    older_case: bool
    """Whether some names are spelled as older answers do."""
    signed: bool
    """Whether the battery's power is negative while it charges, beside the direction."""
    rows_to_come: bool
    """Whether a running month or year has rows for what is still to come."""
    point_stamp: Callable[[datetime], tuple[str, object]]
    """Name and value of the stamp of a curve's point, of a moment in the client's time zone."""
    row_stamp: Callable[[datetime, str], tuple[str, object]]
    """Name and value of the stamp of a row, of its plant's midnight and its date."""
    newest_first: bool
    """Whether the points of an inverter's day begin with the newest."""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


_SPELLINGS = {
    "text": _Spelling(
        number=as_text,
        nothing=None,
        older_case=False,
        signed=False,
        rows_to_come=True,
        point_stamp=lambda moment: ("dateStamp", _milliseconds(moment)),
        row_stamp=lambda _, text: ("date", text),
        newest_first=False,
    ),
    "number": _Spelling(
        number=rounded,
        nothing=None,
        older_case=True,
        signed=True,
        rows_to_come=False,
        point_stamp=lambda moment: ("date", f"{moment:%Y-%m-%d %H:%M:%S}"),
        row_stamp=lambda midnight, _: ("dateStamp", _milliseconds(midnight)),
        newest_first=True,
    ),
    "odd": _Spelling(
        number=rounded,
        nothing="--",
        older_case=False,
        signed=False,
        rows_to_come=False,
        point_stamp=lambda moment: ("dateStamp", str(_milliseconds(moment))),
        row_stamp=lambda _, text: ("date", int(text)),
        newest_first=False,
    ),
}

_OLDER_CASE = {"pLoad", "eDay", "eMonth", "eYear", "eTotal"}

_BACKED_UP = 0.15
"""The part of a household's consumption that hangs on the backup output of the inverter with the battery."""


def _spelling(station: Station) -> _Spelling:
    return _SPELLINGS[station.description.spelling]


def _peak(inverter: Inverter) -> float:
    return sum(string.peak for string in inverter.strings)


def _log_in(portal: Portal, call: Call) -> object:
    if call.field("channel", int) != 1:
        raise PortalError(BAD_REQUEST, "Unknown channel")
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


def _number(call: Call, name: str) -> int:
    text = call.parameter(name)
    if not text.removeprefix("-").isdecimal():
        raise PortalError(BAD_REQUEST, f"Parameter '{name}' is not a number: {text!r}")
    return int(text)


def _stations(portal: Portal, call: Call) -> object:
    stations = _account(portal, call).stations
    page, size = _number(call, "pageNum"), _number(call, "pageSize")
    for filter_ in ("status", "type", "snOrNameOrEmail", "installStartTime", "installEndTime", "modelTypes"):
        if call.parameter(filter_):
            raise PortalError(BAD_REQUEST, f"The simulator does not filter by '{filter_}'")
    if page < 1 or not 1 <= size <= 50:
        raise PortalError(BAD_REQUEST, "Invalid page")
    descriptions = [station.description for station in stations[(page - 1) * size : page * size]]
    return {
        "records": [
            {"id": d.station_id, "name": d.name, "componentCapacity": sum(map(_peak, d.inverters)) / 1000}
            for d in descriptions
        ]
    }


def _devices(portal: Portal, call: Call) -> object:
    """The inverters: below their logger, beside it, or in a list of their own."""
    station = find_station(_account(portal, call), call.path.rpartition("/")[2])
    logger = {"deviceSn": f"L{station.description.station_id[-8:]}", "deviceType": 1}
    inverters = [_device(inverter) for inverter in station.inverters]
    if station.description.spelling == "text":
        return [{**logger, "children": inverters}]
    if station.description.spelling == "odd":
        return [[logger], [{"serialNum": device["deviceSn"], "deviceType": "2"} for device in inverters]]
    return [logger, *inverters]


def _device(inverter: Inverter) -> dict[str, object]:
    return {
        "deviceSn": inverter.serial,
        "deviceType": 2,
        "deviceName": inverter.name,
        "modelType": inverter.model,
    }


_ENERGIES = ("eDay", "eMonth", "eYear", "eTotal")


def _station_now(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.parameter("id"))
    plant, spelling, description = portal.plant_for(call, station), _spelling(station), station.description
    now = portal.now_for(call)
    powers, known = plant.power(now), measured(description)
    grid, battery = round(powers.grid), round(powers.battery)
    shown = {
        "pac": power_of(powers.pv),
        "pLoad": power_of(powers.load) if "load" in known else None,
        "pmeterTotal": power_of(abs(powers.grid)) if "grid" in known else None,
        "batteryP": power_of(battery if spelling.signed else abs(battery)) if "battery" in known else None,
        "instatlledPower": (sum(map(_peak, description.inverters)) / 1000, 2, "kW"),
        "totalBackupPower": power_of(powers.load * _BACKED_UP) if description.battery else None,
    }
    shown |= dict(zip(_ENERGIES, map(energy_of, pv_energies(plant, now)), strict=True))
    result: dict[str, object] = {
        "id": description.station_id,
        "name": description.name,
        "soc": spelling.nothing if powers.soc is None else spelling.number(powers.soc, 1),
        "powerRatio": rounded(100 * powers.pv / sum(map(_peak, description.inverters)), 1),
        "rssi": -61,
        "stationStatusTip": "Running",
        "stationStatus": 1,
        "status": 1,
        "arrowModuleInverter": int(powers.pv > 0),
        "arrowGridInverter": int("grid" in known and grid > 0),
        "arrowInverterGrid": int("grid" in known and grid < 0),
        "arrowBatteryInverter": int(battery > 0),
        "arrowInverterBattery": int(battery < 0),
        "arrowInverterLoad": int("load" in known),
        "arrowGeneratorAndBackup": int(description.battery is not None),
    }
    for name, value in shown.items():
        spelled = name.lower() if spelling.older_case and name in _OLDER_CASE else name
        result[spelled] = spelling.nothing if value is None else spelling.number(*value[:2])
        result[f"{spelled}Unit"] = "W" if value is None else value[2]
    return result


def _chart(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.parameter("id"))
    if (call.parameter("curveType"), call.parameter("stationType")) != ("1000", "1"):
        raise PortalError(BAD_REQUEST, "Unknown curveType or stationType")
    duration, day, zone = (
        _number(call, "durationType"),
        call.parameter("date"),
        zone_of(_number(call, "timeZoneOffset")),
    )
    plant, spelling, now = portal.plant_for(call, station), _spelling(station), portal.now_for(call)
    if duration == 1:
        points = day_curve(plant, day, zone, now).points
        return {"curve": [dict([spelling.point_stamp(at.astimezone(zone))]) | values for at, values in points]}
    rows = bar_chart(plant, duration, day, now, rows_to_come=spelling.rows_to_come)
    stamped = ((spelling.row_stamp(plant.day_start(row.start), row.text), row.energies) for row in rows)
    return {"curve": [dict([stamp]) | energies for stamp, energies in stamped]}


def _device_today(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.field("stationId", str))
    serial, names = call.field("deviceSn", str), call.field("iecPath", list)
    inverter = next((each for each in station.inverters if each.serial == serial), None)
    if inverter is None:
        raise PortalError(NOT_FOUND, f"Device {serial} does not exist")
    zone = zone_of(call.field("timeZoneOffset", int))
    start = datetime.combine(first_day(call.field("time", str), r"20\d\d-\d\d-\d\d", ""), time(), zone).astimezone(UTC)
    start -= call.age
    plant, spelling = portal.plant_for(call, station), _spelling(station)
    points = []
    for moment in plant.steps(start, min(start + timedelta(days=1), portal.now_for(call))):
        values = dict(_values(plant, station, inverter, moment))
        data = {name: spelling.number(*values[name]) if name in values else spelling.nothing for name in names}
        points.append({"dataTime": _milliseconds(moment), "data": data})
    return points[::-1] if spelling.newest_first else points


type _Values = Iterator[tuple[str, tuple[float, int]]]
"""Names, each with a value and its decimals."""

_SLOW = 3
"""What does not change quickly is sent in one of this many points."""


def _values(plant: Plant, station: Station, inverter: Inverter, moment: datetime) -> _Values:
    """What an inverter sends at a moment. Powers are in kW, energies in kWh."""
    yield from _quick_values(plant, inverter, moment)
    if moment.timestamp() // STEP % _SLOW == 0:
        yield from _slow_values(plant, station, inverter, moment)


def _quick_values(plant: Plant, inverter: Inverter, moment: datetime) -> _Values:
    powers = plant.power(moment)
    share = powers.inverters[inverter.device_id]
    yield "pac", (share.ac / 1000, 3)
    yield "ppvInput", (sum(share.strings.values()) / 1000, 3)
    for name, watts in share.strings.items():
        number, volts = name.removeprefix("PV"), string_volts(watts)
        yield f"ppv{number}", (watts / 1000, 3)
        yield f"vpv{number}", (volts, 1)
        yield f"ipv{number}", (watts / volts if volts else 0.0, 2)
    for letter, phase in phases(inverter, share, powers).items():
        yield f"invt{letter}P", (phase.watts / 1000, 3)
        yield f"vgridPhase{letter}", (phase.volts, 1)
        yield f"igridPhase{letter}", (phase.watts / phase.volts, 2)
        if phase.grid is not None:
            yield f"pmeterPhase{letter}", (phase.grid / 1000, 3)
        if inverter.battery:
            backup = powers.load * _BACKED_UP / len(inverter.phases)
            yield f"backup{letter}V", (phase.volts, 1)
            yield f"backup{letter}I", (backup / phase.volts, 2)
            yield f"backup{letter}F", (50.0, 2)
            yield f"backup{letter}P", (backup / 1000, 3)
    if inverter.meter:
        yield "pmeterTotal", (powers.grid / 1000, 3)
    if inverter.battery:
        volts = battery_volts(powers)
        yield "totalBackupP", (powers.load * _BACKED_UP / 1000, 3)
        yield "batteryV", (volts, 1)
        yield "batteryI", (powers.battery / volts, 2)
        yield "batteryP", (powers.battery / 1000, 3)
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
    yield names["pv"], (energies.pv * _peak(inverter) / sum(map(_peak, plant.description.inverters)), 2)
    if inverter.meter:
        for part in ("import_", "export", "consumption"):
            yield names[part], (getattr(energies, part), 2)
    if inverter.battery:
        for part in ("charge", "discharge"):
            yield names[part], (getattr(energies, part), 2)
        yield names["backup"], (energies.consumption * _BACKED_UP, 2)


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
