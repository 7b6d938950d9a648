"""Generation 1 of the portal's API: paths, names and payloads of `/api/sys/`."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from .common import (
    BACKED_UP,
    DayCurve,
    as_text,
    bar_chart,
    battery_volts,
    check_channel,
    day_curve,
    energy_of,
    measured,
    overview_facts,
    overview_moment,
    overview_values,
    phases,
    power_of,
    pv_energies,
    rounded,
    string_volts,
    temperatures,
    zone_of,
)
from .plant import Inverter, InverterPowers, Plant, Powers
from .plants import Account, Station
from .portal import BAD_REQUEST, LOGIN_REFUSED, Call, Portal, PortalError, Route, find_inverter, find_station


@dataclass(frozen=True)
class _Spelling:
    """The manner in which the portal writes the values of a plant."""

    number: Callable[[float, int], object]
    """A live value with this many decimals."""
    reading: Callable[[float, int, str], object]
    """A value of a device with this many decimals, and its unit."""
    not_fitted: tuple[str | None, ...]
    """What stands for the readings of sensors that are not fitted."""
    as_observed: bool = field(default=False, kw_only=True)
    """Whether a device has the very fields and names that were observed."""
    row_date: Callable[[str], object]
    flag: Callable[[bool], object]
    idle: int
    """The direction of a flow that is none."""
    rows_to_come: bool
    """Whether a running month or year has rows for what is still to come."""


_SPELLINGS = {
    "text": _Spelling(
        number=as_text,
        reading=lambda value, decimals, unit: f"{as_text(value, decimals)} {unit}".strip(),
        not_fitted=(None,),
        row_date=str,
        flag=int,
        idle=3,
        rows_to_come=True,
    ),
    "number": _Spelling(
        number=rounded,
        reading=lambda value, decimals, _: f" {as_text(value, decimals)}",
        not_fitted=("--",),
        row_date=str,
        flag=int,
        idle=0,
        rows_to_come=False,
    ),
    "odd": _Spelling(
        number=rounded,
        reading=lambda value, decimals, _: rounded(value, decimals),
        not_fitted=("--", ""),
        row_date=int,
        flag=bool,
        idle=0,
        rows_to_come=False,
    ),
}
_SPELLINGS["plain"] = _SPELLINGS["sister"] = replace(
    _SPELLINGS["text"], number=rounded, not_fitted=(), rows_to_come=False, as_observed=True
)


def _spelling(station: Station) -> _Spelling:
    return _SPELLINGS[station.spelling or station.description.spelling]


_NODES = (("inputNode", "pv", 1), ("loadNode", "load", -1), ("batteryNode", "battery", 1), ("meterNode", "grid", 1))
"""Nodes of a live reading, the power they show, and the sign with which that power is obtained from the node."""

_ENERGIES = ("todayEnergy", "monthEneregy", "yearEnergy", "totalEnergy")


def _log_in(portal: Portal, call: Call) -> object:
    email, password, digest = (call.field(name, str) for name in ("email", "password", "salt"))
    check_channel(call)
    if base64.b64encode(digest.encode()).decode() != password:
        raise PortalError(LOGIN_REFUSED, "The email or the password is incorrect")
    return {"token": portal.log_in(call, email, password, generation=1)}


def _log_in_demo(portal: Portal, call: Call) -> object:
    check_channel(call)
    return {"token": portal.log_in_demo(call, call.field("email", str))}


def _account(portal: Portal, call: Call) -> Account:
    return portal.account(call, call.headers.get("Authorization"), generation=1)


def _stations(portal: Portal, call: Call) -> object:
    descriptions = (station.description for station in _account(portal, call).stations)
    return {"top10List": [{"stationId": d.station_id, "stationName": d.name} for d in descriptions]}


def _devices(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.parameter("stationId"))
    return [
        {
            "deviceId": inverter.device_id,
            "deviceName": inverter.name,
            "deviceSn": inverter.serial,
            "deviceType": 2,
            "modelType": inverter.model,
        }
        for inverter in station.inverters
    ]


def _station_now(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.parameter("id"))
    plant, spelling = portal.plant_for(call, station), _spelling(station)
    now = portal.now_for(call)
    powers, known = plant.power(now), measured(station.description)
    nodes = {node: _node(spelling, getattr(powers, part), sign) for node, part, sign in _NODES if part in known}
    if powers.soc is not None:
        nodes["batteryNode"]["otherData"] = spelling.number(powers.soc, 1)
    return {
        "stationRunStatus": 1,
        "stationRunType": 0,
        "lackMaster": spelling.flag(station.outage),
        "accumulatedData": _accumulated(plant, spelling, now),
        "dataNodeMap": nodes,
    }


def _node(spelling: _Spelling, power: float, sign: int) -> dict[str, object]:
    value, decimals, unit = power_of(power)
    return {
        "currentData": spelling.number(abs(value), decimals),
        "currentDataUnit": unit,
        "flowDirection": spelling.idle if value == 0 else 1 if value * sign > 0 else 2,
    }


def _accumulated(plant: Plant, spelling: _Spelling, now: datetime) -> dict[str, object]:
    result: dict[str, object] = {}
    for name, kwh in zip(_ENERGIES, pv_energies(plant, now), strict=True):
        value, decimals, unit = energy_of(kwh)
        result |= {name: spelling.number(value, decimals), f"{name}Unit": unit}
    return result


def _overview(portal: Portal, call: Call) -> object:
    """A station now as the sister portal answers it, in names of which generation 2 spells some in another case."""
    station = find_station(_account(portal, call), call.parameter("id"))
    plant, now = portal.plant_for(call, station), overview_moment(station, portal.now_for(call))
    powers = plant.power(now)
    result = overview_facts(station, powers) | {
        "runType": 0,
        "hasSmartDevice": False,
        "soc": None if powers.soc is None else rounded(powers.soc, 1),
    }
    for name, shown in overview_values(plant, now, signed=False).items():
        spelled = name if name in _OVERVIEW_AS_IN_2 else name.lower()
        result[spelled] = None if shown is None else rounded(*shown[:2])
        result[f"{spelled}Unit"] = "W" if shown is None else shown[2]
    return result


_OVERVIEW_AS_IN_2 = ("pac", "pmeterTotal", "batteryP", "instatlledPower", "totalBackupPower")


def _day_curve(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.field("stationId", str))
    if call.field("durationType", int) != 1:
        raise PortalError(BAD_REQUEST, "Invalid durationType")
    zone = _check_chart(call, "powerflow")
    return _curve_and_summary(
        day_curve(portal.plant_for(call, station), call.field("date", str), zone, portal.now_for(call))
    )


def _day_curve_by_get(portal: Portal, call: Call) -> object:
    """A day's curve at the path under which generation 2 has it."""
    station = find_station(_account(portal, call), call.parameter("id"))
    if call.parameter("durationType") != "1":
        raise PortalError(BAD_REQUEST, "Invalid durationType")
    zone = zone_of(call.number("timeZoneOffset"))
    return _curve_and_summary(
        day_curve(portal.plant_for(call, station), call.parameter("date"), zone, portal.now_for(call))
    )


def _curve_and_summary(curve: DayCurve) -> object:
    use, bought = curve.energies["eusetotal"], curve.energies["ebuytotal"]
    return {
        "curve": [{"dateStamp": int(moment.timestamp()) * 1000, **values} for moment, values in curve.points],
        "eRatioGraph": {
            "eMeterTotalBuy": bought,
            "eMeterTotalSell": curve.energies["eselltotal"],
            "eUse": use,
            "eUseSelf": None if use is None or bought is None else rounded(use - bought, 2),
            "eDayTotal": curve.energies["eTotal"],
        },
    }


def _check_chart(call: Call, kind: str) -> timezone:
    """The client's time zone, if the fields every chart needs are in order."""
    call.field("stationType", int)
    if call.field("type", str) != kind:
        raise PortalError(BAD_REQUEST, "Invalid type")
    return zone_of(call.field("timeZoneOffset", int))


def _bar_chart(portal: Portal, call: Call) -> object:
    station = find_station(_account(portal, call), call.field("stationId", str))
    _check_chart(call, "update")
    duration, day, spelling = call.field("durationType", int), call.field("date", str), _spelling(station)
    rows = bar_chart(
        portal.plant_for(call, station), duration, day, portal.now_for(call), rows_to_come=spelling.rows_to_come
    )
    return {"curve": [{"date": spelling.row_date(row.text), **row.energies} for row in rows]}


def _device_now(portal: Portal, call: Call) -> object:
    station, inverter = find_inverter(_account(portal, call), call.parameter("id"))
    powers = portal.plant_for(call, station).power(portal.now_for(call))
    share, spelling = powers.inverters[inverter.device_id], _spelling(station)
    config = [
        {"labelId": 202, "data": _inverter_fields(spelling, inverter, share)},
        {"labelId": 203, "data": _battery_fields(spelling, powers)} if inverter.battery else None,
        {"labelId": 206, "data": _phase_rows(spelling, inverter, share, powers)},
        {"labelId": 502, "data": _string_rows(spelling, share)},
    ]
    return {"config": [node for node in config if node]}


def _inverter_fields(spelling: _Spelling, inverter: Inverter, share: InverterPowers) -> list[object]:
    """Temperatures, and sensors that are not fitted; as observed, one temperature among other fields."""
    fitted = [spelling.reading(celsius, 1, "℃") for celsius in temperatures(inverter, share)]
    if spelling.as_observed:
        rated, now = rounded(inverter.rated / 1000, 1), sum(share.strings.values()) / 1000
        return [
            _field("deviceStatus", 2, ""),
            _field("deviceSn", inverter.serial, ""),
            _field("modelType", inverter.model, ""),
            _field("ratedPower", f"{rated} kW", "kW"),
            _field("Temperature1", fitted[0], "℃"),
            _field("curPower", f"{as_text(now, 2)} kW", ""),
        ]
    return [_field(f"Temperature{n}", value, "℃") for n, value in enumerate((*fitted, *spelling.not_fitted), 1)]


def _battery_fields(spelling: _Spelling, powers: Powers) -> list[object]:
    volts = battery_volts(powers)
    values = [
        ("Battery_P", powers.battery / 1000, 3, "kW"),
        ("Battery_V", volts, 1, "V"),
        ("Battery_I", powers.battery / volts, 2, "A"),
        ("SOC", powers.soc or 0.0, 1, "%"),
    ]
    if spelling.as_observed:
        values += [("BMSPackTemperature", 24.5, 1, "℃"), ("SOH", 98, 0, "%")]
    return [_field(name, spelling.reading(value, decimals, unit), unit) for name, value, decimals, unit in values]


def _field(name: str, value: object, unit: str) -> object:
    return {"field": name, "value": value, "unit": unit}


def _phase_rows(spelling: _Spelling, inverter: Inverter, share: InverterPowers, powers: Powers) -> list[object]:
    """A row a phase; as observed, it begins with the phase's name and has the backup output too."""
    rows: list[object] = []
    for letter, phase in phases(inverter, share, powers).items():
        values = [
            (f"Invt_{letter}_P", rounded(phase.watts / 1000, 3)),
            (f"Vgrid_Phase{letter}", phase.volts),
            (f"Igrid_Phase{letter}", rounded(phase.watts / phase.volts, 2)),
        ]
        if inverter.battery and spelling.as_observed:
            backup = powers.load * BACKED_UP / len(inverter.phases)
            values += [
                (f"Backup_{letter}_V", phase.volts),
                (f"Backup_{letter}_I", rounded(backup / phase.volts, 2)),
                (f"Backup_{letter}_P", rounded(backup / 1000, 3)),
                (f"Backup_{letter}_F", 50.0),
            ]
        if phase.grid is not None:
            values.append((f"PmeterPhase{letter}", rounded(phase.grid / 1000, 3)))
        cells: list[object] = [{"field": name, "value": value} for name, value in values]
        if spelling.as_observed:
            rows.append(_cells({"value": f"L{'ABC'.index(letter) + 1}"}, *cells))
        else:
            rows.append({f"column{n}": cell for n, cell in enumerate(cells, 1)})
    return rows


def _string_rows(spelling: _Spelling, share: InverterPowers) -> list[object]:
    rows: list[object] = []
    for name, watts in share.strings.items():
        spelled = name.capitalize() if spelling.as_observed else name
        volts = string_volts(watts)
        amperes = rounded(watts / volts, 2) if volts else 0.0
        power = {"field": f"power{spelled}", "value": rounded(watts / 1000, 3)}
        if spelling.as_observed:
            voltage, current = (
                {"field": f"{what}{name.lower()}", "value": x} for what, x in (("V", volts), ("I", amperes))
            )
            rows.append(_cells({"value": name}, voltage, current, power))
            continue
        rows.append(
            {
                "name": {"value": name},
                "power": power,
                "voltage": {"field": f"V{name}", "value": volts},
                "current": {"field": f"I{name}", "value": amperes},
            }
        )
    return rows


def _cells(*cells: object) -> dict[str, object]:
    """A row of a table as observed."""
    return {f"cell{number}": cell for number, cell in enumerate(cells, 1)}


_PREFIX = "/api/sys/"

ROUTES = tuple(
    Route(1, method, _PREFIX + path, answer)
    for method, path, answer in (
        ("POST", "login/manager", _log_in),
        ("POST", "login/demoManager", _log_in_demo),
        ("GET", "basePowerStationInfo/getRunningOverview", _stations),
        ("GET", "managerv2/station/devices/query", _devices),
        ("GET", "curve/station/getSingleStationDataV2", _station_now),
        ("GET", "curve/station/getSingleStationOverview", _overview),
        ("GET", "curve/station/getGridConnectedData", _day_curve_by_get),
        ("POST", "curve/station/queryStationCurve", _day_curve),
        ("POST", "curve/station/queryStationBarChart", _bar_chart),
        ("GET", "device/getDeviceDataV3", _device_now),
    )
)
"""All paths of generation 1."""
