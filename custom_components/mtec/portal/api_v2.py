"""Version 2 of the portal's API, `/monitor/`: its paths, payloads and names, turned into models.

The names are the portal's own, typos included. They were observed on the sister portal from 2024 to 2026.
"""

from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from itertools import count
from typing import Any

from custom_components.mtec.models import (
    BackupReading,
    BatteryMode,
    BatteryReading,
    DaySummary,
    DayUsage,
    Energies,
    Inverter,
    InverterReading,
    PhaseReading,
    Station,
    StationReading,
    StringReading,
    UsageRow,
    WorkStatus,
)
from custom_components.mtec.sources import ResponseError

from . import values
from .api import Answer, Request, Send
from .auth import Credentials
from .parsing import DAY, PHASES, Period, curve_points, mapping, required, required_rows, usage_rows

_PATH = "monitor/"
_CHANNEL = 1
_PAGE_SIZE = 50
_CURVE_TYPE = "1000"
_STATION_TYPE = "1"
_INVERTER = 2
"""`deviceType`."""

_BATTERY_POWER = ("batteryP", "batteryPOrgion")
_BACKUP_POWER = ("totalBackupPower", "totalBackupPowerOrgin", "totalBackupP", "generatorBackupPower")
"""Alternative names of a station's powers, preferred first."""

_BATTERY = {
    "voltage": "batteryV",
    "current": "batteryI",
    "state_of_charge": "soc",
    "state_of_health": "soh",
    "temperature": "bmsPackTemperature",
    "highest_cell_voltage": "maxCellVoltage",
    "lowest_cell_voltage": "minCellVoltage",
    "highest_cell_temperature": "maxCellTemperature",
    "lowest_cell_temperature": "minCellTemperature",
    "charge_current_limit": "iChargingLimit",
    "discharge_current_limit": "iDischargeLimit",
}
_TODAY = {
    "pv": "epvDay",
    "grid_import": "ebuyDay",
    "grid_export": "esellDay",
    "battery_charge": "ebatterychargeDaily",
    "battery_discharge": "ebatteryDischargeDaily",
    "consumption": "eloadUseDay",
    "backup": "ebackupDay",
}
_TOTAL = {
    "pv": "etotalPv",
    "grid_import": "ebuyTotal",
    "grid_export": "esellTotal",
    "battery_charge": "eTotalbatteryCharge",
    "battery_discharge": "eTotalbatteryDischarge",
    "consumption": "etotalLoaduse",
    "backup": "eTotalBackupLoad",
}
_TEMPERATURES = {number: f"temperature{number}" for number in range(1, 5)}
_FAULTS = {number: f"faultFlag{number}" for number in range(1, 4)}
_WARNINGS = {number: f"warnFlag{number}" for number in range(1, 4)}
_STRINGS = range(1, 11)
_NO_PHASE = PhaseReading()
_NO_STRING = StringReading()
_NO_BACKUP = BackupReading()
_INVERTER_POWERS = {letter: (f"invt{letter}P", f"activePower{letter}") for letter in PHASES.values()}
"""Alternative names of an inverter's power on a phase, preferred first."""

_IEC_PATH = (
    *("pac", "ppvInput", "pmeterTotal", "fgrid", "workStatus", "totalBackupP"),
    *(f"{what}{number}" for number in _STRINGS for what in ("ppv", "vpv", "ipv")),
    *(f"{what}Phase{letter}" for letter in PHASES.values() for what in ("vgrid", "igrid", "pmeter")),
    *(name for names in _INVERTER_POWERS.values() for name in names),
    *(f"backup{letter}{what}" for letter in PHASES.values() for what in "VIFP"),
    *("batteryP", "batteryMode", "bmsErrorCode", "bmsWarnCode"),
    *(name for table in (_BATTERY, _TODAY, _TOTAL) for name in table.values()),
    *(name for table in (_TEMPERATURES, _FAULTS, _WARNINGS) for name in table.values()),
)
"""All names that are requested of an inverter."""

_STEP = timedelta(minutes=5)
"""The time between two points of an inverter."""
_LATE_AFTER = 3 * _STEP
"""After this time without a new point the inverter is not expected to send soon."""
_ALL_NAMES_EVERY = timedelta(hours=1)
"""A name that never had a value may get one: a battery is added, or the sun rises."""

_WORK_STATUS: Mapping[int | None, WorkStatus] = dict(enumerate(WorkStatus))
_BATTERY_MODE: Mapping[int | None, BatteryMode] = dict(enumerate(BatteryMode))
"""Battery modes by code. All codes are those of the inverter's own Modbus registers."""

_DEFAULT_POWER_UNIT = "kW"
"""The unit of an inverter's powers until it is detected: they come without one.

Version 1 sends the same fields in kW under another spelling: `Invt_A_P` for `invtAP`.
"""
_SMALLEST_PRODUCT = 100
"""Volts times amperes of a string below which they are too inexact to detect the unit of its power."""
_UNIT_TOLERANCE = 3
"""The factor by which product and power may differ: they may be of different seconds."""


class ApiV2:
    """Version 2 of the API."""

    version = 2
    auth_codes = True

    def __init__(self, time_zone: tzinfo) -> None:
        self._time_zone = time_zone
        self.device_ids: Mapping[str, str] = {}
        self.power_units: dict[str, str] = {}
        self._stations_with_inverters: set[str] = set()
        self._polls: dict[tuple[str, str], _InverterPoll] = {}

    def login(self, credentials: Credentials | None) -> Request:
        """Return the login request. Raises ResponseError for the demo account: none is known."""
        if credentials is None:
            raise ResponseError("The portal has no demo account")
        password = b64encode(credentials.digest.encode()).decode()
        return _post("auth/login", {"email": credentials.email, "password": password, "channel": _CHANNEL})

    def token(self, answer: Answer) -> str | None:
        """Return the token in a login's answer, None if there is none."""
        return values.text(answer.headers.get("token"))

    def renewed_token(self, answer: Answer) -> str | None:
        """Return the token that replaces that of the request, None if there is none."""
        return self.token(answer)

    def headers(self, token: str | None) -> dict[str, str]:
        """Return the headers of a request; None is a request before the login."""
        headers = {"ver": "pc"}
        return headers if token is None else headers | {"token": token, "Cookie": f"token={token}"}

    def alive(self) -> Request:
        """Return a request that succeeds while the token is valid."""
        return _get("auth/info", useFor="1")

    async def stations(self, send: Send) -> list[Station]:
        """Return the account's stations, from all pages."""
        found: dict[str, Station] = {}
        for page in count(1):
            records = required_rows(required(await send(_station_page(page))).get("records"))
            known = len(found)
            for record in records:
                id_ = values.identifier(record.get("id"))
                found[id_] = Station(id=id_, name=values.text(record.get("name")) or id_)
            if len(records) < _PAGE_SIZE or len(found) == known:
                break
        return list(found.values())

    async def inverters(self, send: Send, station_id: str) -> list[Inverter]:
        """Return the inverters of a station, from anywhere in its tree of devices.

        If no device has the type of an inverter, the first one with a serial number is taken, preferably one without a
        type.
        """
        data = await send(_get(f"core/device/getListByStation/{station_id}"))
        if not isinstance(data, dict | list):
            raise ResponseError(f"The portal sent {type(data).__name__} instead of a list")
        devices = [node for node in _nodes(data) if _has_serial_number(node) or _device_type(node) == _INVERTER]
        found = [device for device in devices if _device_type(device) == _INVERTER]
        if found:
            self._stations_with_inverters.add(station_id)
        elif station_id not in self._stations_with_inverters:
            # Once a station had an inverter, another device such as its logger must not be taken for one.
            found = sorted(devices, key=lambda device: _device_type(device) is not None)[:1]
        inverters = map(_inverter, found)
        return list({inverter.serial_number: inverter for inverter in inverters}.values())

    async def station_reading(self, send: Send, station_id: str) -> StationReading:
        """Return the values of a station now."""
        path = "core/power/station/overview/getSingleStationOverview"
        overview = _Overview(required(await send(_get(path, id=station_id))))
        if overview.flag("allInverterOffline"):
            return StationReading()
        battery_power = _directed(
            overview.first_power(_BATTERY_POWER, ("batteryPUnit",)),
            overview.flag("arrowBatteryInverter"),
            overview.flag("arrowInverterBattery"),
        )
        state_of_charge = overview.number("soc")
        # A battery has a state of charge; a plant without one may report a power of 0.
        has_battery = state_of_charge is not None or battery_power
        return StationReading(
            pv_energy_today=overview.energy("eDay"),
            pv_energy_this_month=overview.energy("eMonth"),
            pv_energy_this_year=overview.energy("eYear"),
            pv_energy_total=overview.energy("eTotal"),
            pv_power=overview.power("pac"),
            grid_power=_directed(
                overview.power("pmeterTotal"), overview.flag("arrowGridInverter"), overview.flag("arrowInverterGrid")
            ),
            battery_power=battery_power if has_battery else None,
            consumption_power=overview.power("pLoad"),
            state_of_charge=state_of_charge,
            backup_power=overview.first_power(_BACKUP_POWER, ("totalBackupPowerUnit", "generatorBackupPowerUnit")),
            installed_power=overview.power("instatlledPower"),
            signal_strength=overview.number("rssi"),
        )

    async def inverter_reading(self, send: Send, station_id: str, serial_number: str) -> InverterReading:
        """Return the values of an inverter now: the newest ones of today.

        The portal is asked only if it may have a newer point than that of the last reading.
        """
        now = _now(self._time_zone)
        poll = self._polls.setdefault((station_id, serial_number), _InverterPoll())
        if poll.reading is not None and not poll.is_due(now):
            return poll.reading
        names = poll.names(now)
        data = await send(
            _post(
                "core/curve/device/queryRealTimeData",
                {
                    "deviceSn": serial_number,
                    "stationId": station_id,
                    "iecPath": names,
                    "time": now.date().isoformat(),
                    "timeZoneOffset": round((now.utcoffset() or timedelta()).total_seconds() / 60),
                },
            )
        )
        points = _newest_first([] if data is None else required_rows(data))
        if serial_number not in self.power_units and (unit := _unit_of_powers(points)):
            self.power_units[serial_number] = unit
        newest = _Newest(points, names, self.power_units.get(serial_number, _DEFAULT_POWER_UNIT))
        measured_at = values.moment(points[0].get("dataTime"), self._time_zone) if points else None
        poll.record(now, measured_at, newest.names, all_names=len(names) == len(_IEC_PATH))
        poll.reading = newest.reading(self._time_zone)
        return poll.reading

    async def day_usage(self, send: Send, station_id: str, day: date, offset: int) -> DayUsage:
        """Return the 24 hours from midnight at `offset` minutes east of UTC, without a summary."""
        data = await send(_chart(station_id, DAY, day.isoformat(), offset))
        return DayUsage(points=curve_points(data, offset, self._time_zone), summary=DaySummary())

    async def usage_rows(self, send: Send, station_id: str, period: Period, offset: int) -> list[UsageRow]:
        """Return the rows of a period that have data."""
        data = await send(_chart(station_id, period.duration, str(period), offset))
        return usage_rows(data, period, self._time_zone)


def _now(time_zone: tzinfo) -> datetime:
    return datetime.now(time_zone)


def _get(path: str, **params: str) -> Request:
    return Request(method="GET", path=_PATH + path, params=params)


def _post(path: str, payload: Mapping[str, Any]) -> Request:
    return Request(method="POST", path=_PATH + path, json=payload)


def _station_page(page: int) -> Request:
    empty = ("status", "type", "snOrNameOrEmail", "installStartTime", "installEndTime", "modelTypes")
    return _get(
        "core/power/station/monitoring/getPage",
        pageNum=str(page),
        pageSize=str(_PAGE_SIZE),
        **dict.fromkeys(empty, ""),
    )


def _chart(station_id: str, duration: int, day: str, offset: int) -> Request:
    return _get(
        "core/power/station/overview/getGridConnectedData",
        id=station_id,
        durationType=str(duration),
        curveType=_CURVE_TYPE,
        date=day,
        stationType=_STATION_TYPE,
        timeZoneOffset=str(offset),
    )


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all objects in a tree of lists and objects, in order."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            node = list(node.values())
        waiting += [child for child in reversed(node) if isinstance(child, dict | list)]


def _inverter(node: Mapping[str, Any]) -> Inverter:
    serial_number = values.identifier(
        values.serial_number(node.get("deviceSn")) or values.serial_number(node.get("serialNum"))
    )
    return Inverter(
        # Not seen in this version, but version 1 sends names.
        name=values.text(node.get("deviceName")) or serial_number,
        serial_number=serial_number,
        model=values.text(node.get("modelType")),
    )


def _device_type(node: Mapping[str, Any]) -> float | None:
    return values.number(node.get("deviceType"))


def _has_serial_number(node: Mapping[str, Any]) -> bool:
    return any(values.text(node.get(name)) for name in ("deviceSn", "serialNum"))


def _directed(power: float | None, positive: bool | None, negative: bool | None) -> float | None:
    """Return a power with the sign of its direction, unchanged if neither or both flags are set.

    None if a direction that is needed is missing.
    """
    if power is None or bool(positive) == bool(negative):
        return None if power and power > 0 and not positive and None in {positive, negative} else power
    return abs(power) if positive else -abs(power) + 0.0


class _Overview:
    """The fields of a station's answer, by name in any case: older answers spell some differently."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._fields = {name.lower(): value for name, value in data.items() if value is not None}

    def number(self, name: str) -> float | None:
        return values.number(self._fields.get(name.lower()))

    def flag(self, name: str) -> bool | None:
        return values.flag(self._fields.get(name.lower()))

    def power(self, name: str) -> float | None:
        return values.power(self._fields.get(name.lower()), self._fields.get(f"{name}Unit".lower()))

    def first_power(self, names: Iterable[str], units: Iterable[str]) -> float | None:
        """Return the power in W of the first name that has one.

        Its unit is the name's own, else the first of `units` that is present, else W.
        """
        for name in names:
            own = values.text(self._fields.get(f"{name}Unit".lower()))
            unit = own or next(filter(None, (values.text(self._fields.get(each.lower())) for each in units)), "W")
            if (power := values.power(self._fields.get(name.lower()), unit)) is not None:
                return power
        return None

    def energy(self, name: str) -> float | None:
        return values.energy(self._fields.get(name.lower()), self._fields.get(f"{name}Unit".lower()))


def _newest_first(points: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the points, the newest first."""
    return sorted(points, key=lambda point: values.number(point.get("dataTime")) or 0.0, reverse=True)


def _unit_of_powers(points: list[Mapping[str, Any]]) -> str | None:
    """Return the unit of an inverter's powers, from the newest point in which all its strings indicate the same.

    None if there is no such point, as at night.
    """
    for point in points:
        data = mapping(point.get("data"))
        units = {unit for number in _STRINGS if (unit := _unit_of_string(data, number))}
        if len(units) == 1:
            return units.pop()
    return None


def _unit_of_string(data: Mapping[str, Any], number: int) -> str | None:
    """Return the unit in which a string's power matches volts times amperes, None if that is unclear."""
    power, voltage, current = (values.number(data.get(f"{what}{number}")) or 0.0 for what in ("ppv", "vpv", "ipv"))
    product = voltage * current
    if power <= 0 or product < _SMALLEST_PRODUCT:
        return None
    matching = {"W": product / power, "kW": product / power / 1000}
    return next((unit for unit, ratio in matching.items() if 1 / _UNIT_TOLERANCE <= ratio <= _UNIT_TOLERANCE), None)


@dataclass(slots=True)
class _InverterPoll:
    """The next request for the values of an inverter: its time, and the names in it.

    `reading` is the last one, and `due` the moment from which the portal may have a newer one.
    """

    reading: InverterReading | None = None
    asked: datetime | None = None
    due: datetime | None = None
    asked_for_all: datetime | None = None
    known_names: set[str] = field(default_factory=set)

    def is_due(self, now: datetime) -> bool:
        """Return whether the last reading may be out of date: by its age, a new day, or a clock that was put back."""
        if self.asked is None or self.due is None:
            return True
        return now.date() != self.asked.date() or not self.asked <= now < self.due

    def names(self, now: datetime) -> list[str]:
        """Return the names to ask for: those that ever had a value, and once an hour all."""
        since = None if self.asked_for_all is None else now - self.asked_for_all
        if not self.known_names or since is None or not timedelta() <= since < _ALL_NAMES_EVERY:
            return list(_IEC_PATH)
        return [name for name in _IEC_PATH if name in self.known_names]

    def record(self, now: datetime, measured: datetime | None, names: Collection[str], *, all_names: bool) -> None:
        """Record an answer, with the moment of its newest point and the names that have a value."""
        self.asked = now
        self.known_names.update(names)
        if all_names:
            self.asked_for_all = now
        if measured is None:
            self.due = None
        elif now < measured + _LATE_AFTER:
            # A point that is due may be late: then every poll asks for it.
            self.due = min(measured, now) + _STEP
        else:
            # The inverter has stopped sending, as some do at night.
            self.due = now + _STEP


class _Newest:
    """The newest value of each name in the points of a day; a point may lack names."""

    def __init__(self, points: list[Mapping[str, Any]], names: Iterable[str], power_unit: str) -> None:
        self._fields: dict[str, Any] = {}
        self._stamps: dict[str, Any] = {}
        self._power_unit = power_unit
        missing = set(names)
        for point in points:
            if not missing:
                break
            data = mapping(point.get("data"))
            found = {name: data[name] for name in missing if data.get(name) is not None and _is_value(data[name])}
            self._fields |= found
            self._stamps |= dict.fromkeys(found, point.get("dataTime"))
            missing -= found.keys()

    @property
    def names(self) -> Collection[str]:
        """The names that have a value."""
        return self._fields.keys()

    def reading(self, time_zone: tzinfo) -> InverterReading:
        """Return the values as a reading."""
        battery = self.battery()
        return InverterReading(
            battery=battery,
            phases=dict(self.phases()),
            strings=dict(self.strings()),
            temperatures=self.numbers(_TEMPERATURES),
            power=self.power("pac"),
            pv_power=self.power("ppvInput"),
            grid_power=self.power("pmeterTotal"),
            grid_frequency=self.number("fgrid"),
            work_status=_WORK_STATUS.get(self.code("workStatus")),
            backup_power=self.power("totalBackupP"),
            backup_phases=dict(self.backup_phases()),
            today=self.energies(_TODAY, has_battery=battery != BatteryReading()),
            total=self.energies(_TOTAL, has_battery=battery != BatteryReading()),
            faults=self.codes(_FAULTS),
            warnings=self.codes(_WARNINGS),
            measured=self.measured(_TODAY, time_zone),
        )

    def number(self, name: str) -> float | None:
        return values.number(self._fields.get(name))

    def measured(self, names: Mapping[str, str], time_zone: tzinfo) -> datetime | None:
        """Return when the oldest of the named values was measured, None if a time is unknown or there is no value."""
        stamps = [values.moment(self._stamps[name], time_zone) for name in names.values() if name in self._stamps]
        known = [stamp for stamp in stamps if stamp is not None]
        return min(known) if known and len(known) == len(stamps) else None

    def power(self, *names: str) -> float | None:
        """Return the power in W of the first name that has one."""
        powers = (values.power(self._fields.get(name), self._power_unit) for name in names)
        return next((power for power in powers if power is not None), None)

    def code(self, name: str) -> int | None:
        return values.code(self._fields.get(name))

    def numbers(self, names: Mapping[int, str]) -> dict[int, float]:
        found = {key: self.number(name) for key, name in names.items()}
        return {key: value for key, value in found.items() if value is not None}

    def codes(self, names: Mapping[int, str]) -> dict[int, int]:
        found = {key: self.code(name) for key, name in names.items()}
        return {key: value for key, value in found.items() if value is not None}

    def battery(self) -> BatteryReading:
        numbers = {field: self.number(name) for field, name in _BATTERY.items()}
        # A battery has a voltage; an inverter without a battery may report 0 for all its values.
        if not numbers["voltage"] and not numbers["state_of_charge"]:
            return BatteryReading()
        return BatteryReading(
            power=self.power("batteryP"),
            mode=_BATTERY_MODE.get(self.code("batteryMode")),
            error_code=self.code("bmsErrorCode"),
            warning_code=self.code("bmsWarnCode"),
            **numbers,
        )

    def energies(self, names: Mapping[str, str], *, has_battery: bool) -> Energies:
        return Energies(
            **{
                field: self.number(name)
                for field, name in names.items()
                if has_battery or not field.startswith("battery")
            }
        )

    def phases(self) -> Iterator[tuple[int, PhaseReading]]:
        for number, letter in PHASES.items():
            phase = PhaseReading(
                inverter_power=self.power(*_INVERTER_POWERS[letter]),
                voltage=self.number(f"vgridPhase{letter}"),
                current=self.number(f"igridPhase{letter}"),
                grid_power=self.power(f"pmeterPhase{letter}"),
            )
            if phase != _NO_PHASE:
                yield number, phase

    def backup_phases(self) -> Iterator[tuple[int, BackupReading]]:
        for number, letter in PHASES.items():
            phase = BackupReading(
                power=self.power(f"backup{letter}P"),
                voltage=self.number(f"backup{letter}V"),
                current=self.number(f"backup{letter}I"),
                frequency=self.number(f"backup{letter}F"),
            )
            if phase != _NO_BACKUP:
                yield number, phase

    def strings(self) -> Iterator[tuple[int, StringReading]]:
        for number in _STRINGS:
            string = StringReading(
                power=self.power(f"ppv{number}"),
                voltage=self.number(f"vpv{number}"),
                current=self.number(f"ipv{number}"),
            )
            if string != _NO_STRING:
                yield number, string


def _is_value(raw: Any) -> bool:
    return values.number(raw) is not None or values.code(raw) is not None
