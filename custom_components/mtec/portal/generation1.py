"""Generation 1 of the portal's API, `/api/sys/`: its paths, payloads and names, turned into models.

The names are the portal's own, typos included. They were observed in 2023.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import date, tzinfo
from typing import Any

from . import values
from .errors import ResponseError
from .models import (
    BatteryReading,
    Credentials,
    CurvePoint,
    DaySummary,
    DayUsage,
    Inverter,
    InverterReading,
    PhaseReading,
    Station,
    StationReading,
    StringReading,
    UsageRow,
)
from .session import Answer, Request, Session

_PATH = "api/sys/"
_CHANNEL = 1
_DEMO_EMAIL = "2312942037@qq.com"
_INCOME = "0.32"
"""The web page sends it to list the stations; what it means is not known."""

_FEED_IN = 2
"""`flowDirection` of what flows away: into the grid, into the battery."""

_BATTERY = 203
_GRID = 206
_STRINGS = 502
"""`labelId` of the nodes of a device."""

_PHASES = {1: "A", 2: "B", 3: "C"}

_CONSUMPTION_SINCE = date(2023, 3, 7)
"""Before this day the portal did not record the consumption and says 0.0."""

_DAY, _MONTH, _YEAR, _LIFETIME = 1, 2, 3, 4
"""`durationType`."""


class Generation1:
    """Asks a session for what a caller wants to know, in the words of generation 1."""

    def __init__(self, time_zone: tzinfo) -> None:
        self._time_zone = time_zone

    def login(self, credentials: Credentials | None) -> Request:
        """Return the login request; None asks for the public demo account."""
        if credentials is None:
            return _post("login/demoManager", {"channel": _CHANNEL, "email": _DEMO_EMAIL})
        return _post(
            "login/manager",
            {
                "channel": _CHANNEL,
                "email": credentials.email,
                "password": b64encode(credentials.digest.encode()).decode(),
                "salt": credentials.digest,
            },
        )

    def token(self, answer: Answer) -> str | None:
        """Return the token in a login's answer, None if there is none."""
        return values.text(_mapping(answer.data).get("token"))

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers of a request; None is a request before the login."""
        headers = {
            "Accept": "application/json",
            "Accept-Language": "en-US",
            "Content-Type": "application/json; charset=UTF-8",
        }
        return headers if token is None else headers | {"Authorization": token}

    async def stations(self, session: Session) -> list[Station]:
        """Return the account's stations."""
        data = await session.request(_get("basePowerStationInfo/getRunningOverview", income=_INCOME))
        return [
            Station(
                id=(id_ := values.identifier(row.get("stationId"))), name=values.text(row.get("stationName")) or id_
            )
            for row in _required_rows(_required(data).get("top10List"))
        ]

    async def inverters(self, session: Session, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""
        data = await session.request(_get("managerv2/station/devices/query", stationId=station_id))
        return [_inverter(row) for row in _required_rows(data)]

    async def station_reading(self, session: Session, station_id: str) -> StationReading:
        """Return a station's values of now."""
        data = _required(await session.request(_get("curve/station/getSingleStationDataV2", id=station_id)))
        energy = _mapping(data.get("accumulatedData"))
        nodes = _mapping(data.get("dataNodeMap"))
        return StationReading(
            pv_energy_today=_energy(energy, "todayEnergy"),
            pv_energy_this_month=_energy(energy, "monthEneregy"),
            pv_energy_this_year=_energy(energy, "yearEnergy"),
            pv_energy_total=_energy(energy, "totalEnergy"),
            pv_power=_node_power(nodes, "inputNode"),
            consumption_power=_node_power(nodes, "loadNode"),
            grid_power=_signed_node_power(nodes, "meterNode"),
            battery_power=_signed_node_power(nodes, "batteryNode"),
            state_of_charge=values.number(_mapping(nodes.get("batteryNode")).get("otherData")),
            grid_outage=values.flag(data.get("lackMaster")),
        )

    async def inverter_reading(self, session: Session, inverter_id: str) -> InverterReading:
        """Return an inverter's values of now."""
        data = _required(await session.request(_get("device/getDeviceDataV3", id=inverter_id)))
        nodes = {values.number(node.get("labelId")): node.get("data") for node in _required_rows(data.get("config"))}
        fields = {
            str(cell.get("field")): cell
            for label in (_BATTERY, _GRID)
            for row in _rows(nodes.get(label))
            for cell in _cells(row)
        }
        return InverterReading(
            battery=BatteryReading(
                power=_cell_power(fields.get("Battery_P")),
                voltage=_cell_number(fields.get("Battery_V")),
                current=_cell_number(fields.get("Battery_I")),
                state_of_charge=_cell_number(fields.get("SOC")),
            ),
            phases=dict(_phases(fields)),
            strings=dict(_strings(_rows(nodes.get(_STRINGS)))),
        )

    async def day_usage(self, session: Session, station_id: str, day: date, offset: int) -> DayUsage:
        """Return the 24 hours from midnight on at `offset` minutes east of UTC."""
        payload = _usage_payload(station_id, _DAY, day.isoformat(), offset, "powerflow")
        data = _mapping(await session.request(_post("curve/station/queryStationCurve", payload)))
        points = (_curve_point(row, self._time_zone) for row in _rows(data.get("curve")))
        summary = _mapping(data.get("eRatioGraph"))
        return DayUsage(
            points=tuple(point for point in points if point is not None),
            summary=DaySummary(
                bought=values.number(summary.get("eMeterTotalBuy")),
                sold=values.number(summary.get("eMeterTotalSell")),
                used=values.number(summary.get("eUse")),
                self_used=values.number(summary.get("eUseSelf")),
                total=values.number(summary.get("eDayTotal")),
            ),
        )

    async def month_rows(self, session: Session, station_id: str, year: int, month: int, offset: int) -> list[UsageRow]:
        """Return a row for each day of a month that has data."""
        payload = _usage_payload(station_id, _MONTH, f"{year:04}-{month:02}", offset, "update")
        return await _usage_rows(session, payload, lambda part: date(year, month, part))

    async def year_rows(self, session: Session, station_id: str, year: int, offset: int) -> list[UsageRow]:
        """Return a row for each month of a year that has data."""
        payload = _usage_payload(station_id, _YEAR, f"{year:04}", offset, "update")
        return await _usage_rows(session, payload, lambda part: date(year, part, 1))

    async def lifetime_rows(self, session: Session, station_id: str, offset: int) -> list[UsageRow]:
        """Return a row for each year that has data."""
        payload = _usage_payload(station_id, _LIFETIME, "", offset, "update")
        return await _usage_rows(session, payload, lambda part: date(part, 1, 1))


def _get(path: str, **params: str) -> Request:
    return Request(method="GET", path=_PATH + path, params=params)


def _post(path: str, payload: Mapping[str, Any]) -> Request:
    return Request(method="POST", path=_PATH + path, json=payload)


def _usage_payload(station_id: str, duration: int, day: str, offset: int, type_: str) -> dict[str, Any]:
    return {
        "stationId": station_id,
        "durationType": duration,
        "date": day,
        "stationType": 0,
        "timeZoneOffset": offset,
        "type": type_,
    }


async def _usage_rows(session: Session, payload: Mapping[str, Any], start: Callable[[int], date]) -> list[UsageRow]:
    data = _mapping(await session.request(_post("curve/station/queryStationBarChart", payload)))
    rows = [_usage_row(row, start) for row in _rows(data.get("curve"))]
    return [row for row in rows if row is not None]


def _usage_row(row: Mapping[str, Any], start: Callable[[int], date]) -> UsageRow | None:
    """Return a row, None for one without any value: what is still to come."""
    # The last part of the date only, as text or as a number.
    part = values.number(str(row.get("date")).rpartition("-")[2])
    try:
        begins = start(int(part)) if part is not None else None
    except ValueError:
        begins = None
    if begins is None:
        raise ResponseError("The portal sent a usage row without a date that makes sense")
    consumption = values.number(row.get("eusetotal"))
    energies = {
        "consumption": None if consumption == 0 and begins < _CONSUMPTION_SINCE else consumption,
        "pv": values.number(row.get("eTotal")),
        "battery_discharge": values.number(row.get("ebatteryDischarge")),
        "battery_charge": values.number(row.get("ebatteryCharge")),
        "grid_import": values.number(row.get("ebuytotal")),
        "grid_export": values.number(row.get("eselltotal")),
    }
    return UsageRow(start=begins, **energies) if any(value is not None for value in energies.values()) else None


def _curve_point(row: Mapping[str, Any], time_zone: tzinfo) -> CurvePoint | None:
    """Return a point, None for one without any value."""
    if (start := values.moment(row.get("dateStamp"), time_zone)) is None:
        raise ResponseError("The portal sent a point of a curve without a moment that makes sense")
    readings = {
        "consumption_power": values.power(row.get("loadPower"), "kW"),
        "grid_power": values.power(row.get("pMeter"), "kW"),
        "pv_power": values.power(row.get("power"), "kW"),
        "battery_power": values.power(row.get("battery"), "kW"),
        "state_of_charge": values.number(row.get("SOC")),
    }
    return CurvePoint(start=start, **readings) if any(value is not None for value in readings.values()) else None


def _inverter(row: Mapping[str, Any]) -> Inverter:
    id_ = values.identifier(row.get("deviceId"))
    serial_number = values.text(row.get("deviceSn")) or id_
    return Inverter(
        id=id_,
        name=values.text(row.get("deviceName")) or serial_number,
        serial_number=serial_number,
        model=values.text(row.get("modelType")),
    )


def _energy(energies: Mapping[str, Any], name: str) -> float | None:
    return values.energy(energies.get(name), energies.get(f"{name}Unit"))


def _node_power(nodes: Mapping[str, Any], name: str) -> float | None:
    node = _mapping(nodes.get(name))
    return values.power(node.get("currentData"), node.get("currentDataUnit"))


def _signed_node_power(nodes: Mapping[str, Any], name: str) -> float | None:
    """Return the power of a node that sends a magnitude and a direction."""
    power = _node_power(nodes, name)
    feeds_in = values.number(_mapping(nodes.get(name)).get("flowDirection")) == _FEED_IN
    return -abs(power) + 0.0 if power is not None and feeds_in else power


def _phases(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[int, PhaseReading]]:
    for number, letter in _PHASES.items():
        phase = PhaseReading(
            inverter_power=_cell_power(fields.get(f"Invt_{letter}_P")),
            voltage=_cell_number(fields.get(f"Vgrid_Phase{letter}")),
            current=_cell_number(fields.get(f"Igrid_Phase{letter}")),
            grid_power=_cell_power(fields.get(f"PmeterPhase{letter}")),
        )
        if phase != PhaseReading():
            yield number, phase


def _strings(rows: list[Mapping[str, Any]]) -> Iterator[tuple[int, StringReading]]:
    for position, row in enumerate(rows, start=1):
        cells = list(_cells(row))
        name = next((values.text(cell.get("value")) for cell in cells if not cell.get("field")), None)
        number = (name or "").removeprefix("PV")
        fields = {str(cell.get("field"))[:1].lower(): cell for cell in cells if cell.get("field")}
        string = StringReading(
            power=_cell_power(fields.get("p")),
            voltage=_cell_number(fields.get("v")),
            current=_cell_number(fields.get("i")),
        )
        if string != StringReading():
            yield int(number) if number.isdecimal() else position, string


def _cell_number(cell: Mapping[str, Any] | None) -> float | None:
    return values.number((cell or {}).get("value"))


def _cell_power(cell: Mapping[str, Any] | None) -> float | None:
    """Return W; powers of a device are in kW where no unit is written."""
    cell = cell or {}
    return values.power(cell.get("value"), values.text(cell.get("unit")) or "kW")


def _cells(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the cells of a row: the row itself, or those it maps to."""
    if "field" in row:
        yield row
    else:
        yield from (cell for cell in row.values() if isinstance(cell, dict))


def _mapping(data: Any) -> Mapping[str, Any]:
    """Return a node, empty if the portal left it out."""
    return data if isinstance(data, dict) else {}


def _required(data: Any) -> Mapping[str, Any]:
    """Return a node without which the answer makes no sense."""
    if not isinstance(data, dict):
        raise ResponseError(f"The portal sent {type(data).__name__} instead of an object")
    return data


def _rows(data: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a list, empty if the portal left it out."""
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def _required_rows(data: Any) -> list[Mapping[str, Any]]:
    """Return the rows of a list without which the answer makes no sense."""
    if not isinstance(data, list):
        raise ResponseError(f"The portal sent {type(data).__name__} instead of a list")
    return _rows(data)
