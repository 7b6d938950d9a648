"""Version 1 of the portal's API, `/api/sys/`: its paths, payloads and names, turned into models.

The names are the portal's own, typos included. They were observed in 2023.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import date, tzinfo
from typing import Any

from custom_components.mtec.models import (
    BatteryReading,
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
from custom_components.mtec.sources import ResponseError

from . import values
from .api import Answer, Request, Send
from .auth import Credentials
from .parsing import DAY, PHASES, Period, curve_points, mapping, required, required_rows, rows, usage_rows

_PATH = "api/sys/"
_CHANNEL = 1
_DEMO_EMAIL = "2312942037@qq.com"
_INCOME = "0.32"
"""The web page sends it to list the stations; its meaning is unknown."""

_FEED_IN = 2
"""`flowDirection` of a flow into the grid or into the battery."""
_NOT_FEED_IN = (0, 1, 3)

_INVERTER = (202, 201)
_BATTERY = 203
_GRID = 206
_STRINGS = 502
"""`labelId` of the nodes of a device."""

_NO_PHASE = PhaseReading()
_NO_STRING = StringReading()

_CELSIUS = ("℃", "°C")
"""Both spellings of the unit of a temperature."""


class ApiV1:
    """Version 1 of the API."""

    version = 1
    auth_codes = False

    def __init__(self, time_zone: tzinfo) -> None:
        self._time_zone = time_zone
        self._device_ids: dict[tuple[str, str], str] = {}
        self.power_units: Mapping[str, str] = {}

    @property
    def device_ids(self) -> dict[str, str]:
        """The portal's ids of inverters by serial number, the id itself where it gives no serial number."""
        return {serial_number: id_ for (_, serial_number), id_ in self._device_ids.items()}

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
        return values.text(mapping(answer.data).get("token"))

    def renewed_token(self, answer: Answer) -> str | None:
        """Return None: a token is not renewed."""
        return None

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers of a request; None is a request before the login."""
        headers = {
            "Accept": "application/json",
            "Accept-Language": "en-US",
            "Content-Type": "application/json; charset=UTF-8",
        }
        return headers if token is None else headers | {"Authorization": token}

    def alive(self) -> Request:
        """Return a request that succeeds while the token is valid: that of the stations."""
        return _get("basePowerStationInfo/getRunningOverview", income=_INCOME)

    async def stations(self, send: Send) -> list[Station]:
        """Return the account's stations."""
        data = await send(self.alive())
        return [
            Station(
                id=(id_ := values.identifier(row.get("stationId"))), name=values.text(row.get("stationName")) or id_
            )
            for row in required_rows(required(data).get("top10List"))
        ]

    async def inverters(self, send: Send, station_id: str) -> list[Inverter]:
        """Return the inverters of a station."""
        data = await send(_get("managerv2/station/devices/query", stationId=station_id))
        # The portal may leave out a serial number that it sent before.
        serial_numbers = {id_: serial_number for serial_number, id_ in self.device_ids.items() if serial_number != id_}
        found = dict(_inverter(row, serial_numbers) for row in required_rows(data))
        # The first of several inverters with one serial number counts.
        self._device_ids |= {(station_id, found[id_].serial_number): id_ for id_ in reversed(found)}
        return list(found.values())

    async def station_reading(self, send: Send, station_id: str) -> StationReading:
        """Return the values of a station now."""
        data = required(await send(_get("curve/station/getSingleStationDataV2", id=station_id)))
        if values.flag(data.get("allInverterOffline")):
            return StationReading()
        energy = mapping(data.get("accumulatedData"))
        nodes = mapping(data.get("dataNodeMap"))
        return StationReading(
            pv_energy_today=_energy(energy, "todayEnergy"),
            pv_energy_this_month=_energy(energy, "monthEneregy"),
            pv_energy_this_year=_energy(energy, "yearEnergy"),
            pv_energy_total=_energy(energy, "totalEnergy"),
            pv_power=_node_power(nodes, "inputNode"),
            consumption_power=_node_power(nodes, "loadNode"),
            grid_power=_signed_node_power(nodes, "meterNode"),
            battery_power=_signed_node_power(nodes, "batteryNode"),
            state_of_charge=values.number(mapping(nodes.get("batteryNode")).get("otherData")),
            grid_outage=values.flag(data.get("lackMaster")),
        )

    async def inverter_reading(self, send: Send, station_id: str, serial_number: str) -> InverterReading:
        """Return the values of an inverter now."""
        if (station_id, serial_number) not in self._device_ids:
            await self.inverters(send, station_id)
        if (device_id := self._device_ids.get((station_id, serial_number))) is None:
            raise ResponseError("The portal does not know the inverter")
        data = required(await send(_get("device/getDeviceDataV3", id=device_id)))
        nodes = {values.number(node.get("labelId")): node.get("data") for node in required_rows(data.get("config"))}
        fields = {
            str(cell.get("field")): cell
            for label in (_BATTERY, _GRID)
            for row in rows(nodes.get(label))
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
            strings=dict(_strings(rows(nodes.get(_STRINGS)))),
            temperatures=dict(_temperatures(next(filter(None, (rows(nodes.get(label)) for label in _INVERTER)), []))),
        )

    async def day_usage(self, send: Send, station_id: str, day: date, offset: int) -> DayUsage:
        """Return the 24 hours from midnight at `offset` minutes east of UTC."""
        payload = _usage_payload(station_id, DAY, day.isoformat(), offset, "powerflow")
        data = mapping(await send(_post("curve/station/queryStationCurve", payload)))
        summary = mapping(data.get("eRatioGraph"))
        return DayUsage(
            points=curve_points(data, offset, self._time_zone),
            summary=DaySummary(
                bought=values.number(summary.get("eMeterTotalBuy")),
                sold=values.number(summary.get("eMeterTotalSell")),
                used=values.number(summary.get("eUse")),
                self_used=values.number(summary.get("eUseSelf")),
                total=values.number(summary.get("eDayTotal")),
            ),
        )

    async def usage_rows(self, send: Send, station_id: str, period: Period, offset: int) -> list[UsageRow]:
        """Return the rows of a period that have data."""
        payload = _usage_payload(station_id, period.duration, str(period), offset, "update")
        data = await send(_post("curve/station/queryStationBarChart", payload))
        return usage_rows(data, period, self._time_zone)


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


def _inverter(row: Mapping[str, Any], serial_numbers: Mapping[str, str]) -> tuple[str, Inverter]:
    """Return the portal's id of an inverter, and the inverter. `serial_numbers` has those known before by id."""
    id_ = values.identifier(row.get("deviceId"))
    serial_number = values.serial_number(row.get("deviceSn")) or serial_numbers.get(id_, id_)
    return id_, Inverter(
        name=values.text(row.get("deviceName")) or serial_number,
        serial_number=serial_number,
        model=values.text(row.get("modelType")),
    )


def _energy(energies: Mapping[str, Any], name: str) -> float | None:
    return values.energy(energies.get(name), energies.get(f"{name}Unit"))


def _node_power(nodes: Mapping[str, Any], name: str) -> float | None:
    node = mapping(nodes.get(name))
    return values.power(node.get("currentData"), node.get("currentDataUnit"))


def _signed_node_power(nodes: Mapping[str, Any], name: str) -> float | None:
    """Return the power of a node from its magnitude and direction, None if either is missing."""
    if not (power := _node_power(nodes, name)):
        return power
    direction = values.number(mapping(nodes.get(name)).get("flowDirection"))
    if direction in _NOT_FEED_IN:
        return power
    return -abs(power) if direction == _FEED_IN else None


def _phases(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[int, PhaseReading]]:
    for number, letter in PHASES.items():
        phase = PhaseReading(
            inverter_power=_cell_power(fields.get(f"Invt_{letter}_P")),
            voltage=_cell_number(fields.get(f"Vgrid_Phase{letter}")),
            current=_cell_number(fields.get(f"Igrid_Phase{letter}")),
            grid_power=_cell_power(fields.get(f"PmeterPhase{letter}")),
        )
        if phase != _NO_PHASE:
            yield number, phase


def _temperatures(cells: list[Mapping[str, Any]]) -> Iterator[tuple[int, float]]:
    """Yield the temperatures of an inverter with their positions, from 1.

    A sensor without a value keeps its position, so that the others keep theirs.
    """
    for number, cell in enumerate(filter(_is_temperature, cells), start=1):
        if (value := _cell_number(cell)) is not None:
            yield number, value


def _is_temperature(cell: Mapping[str, Any]) -> bool:
    """Return whether the unit of a cell is °C. It may stand only behind the value."""
    unit = values.text(cell.get("unit")) or values.text(cell.get("value")) or ""
    return unit.endswith(_CELSIUS)


def _strings(string_rows: list[Mapping[str, Any]]) -> Iterator[tuple[int, StringReading]]:
    for position, row in enumerate(string_rows, start=1):
        cells = _cells(row)
        name = next((values.text(cell.get("value")) for cell in cells if not cell.get("field")), None)
        number = values.ordinal((name or "").removeprefix("PV"))
        fields = {str(cell.get("field"))[:1].lower(): cell for cell in cells if cell.get("field")}
        string = StringReading(
            power=_cell_power(fields.get("p")),
            voltage=_cell_number(fields.get("v")),
            current=_cell_number(fields.get("i")),
        )
        if string != _NO_STRING:
            yield position if number is None else number, string


def _cell_number(cell: Mapping[str, Any] | None) -> float | None:
    return None if cell is None else values.number(cell.get("value"))


def _cell_power(cell: Mapping[str, Any] | None) -> float | None:
    """Return the power in W of a cell; without a unit it is in kW."""
    return None if cell is None else values.power(cell.get("value"), values.text(cell.get("unit")) or "kW")


def _cells(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the cells of a row, which is a cell itself or an object of cells."""
    return [row] if "field" in row else rows(list(row.values()))
