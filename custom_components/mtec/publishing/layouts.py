"""The layouts of the known tools: which topics of MQTT have which values, and how the values are written.

Only known values have a message. Signs are those of the tool: in M-TEC-API's layout drawing from the grid is positive,
in MTECmqtt's feeding in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
import re
from typing import Any, Final
from unicodedata import category

from custom_components.mtec.energies import (
    BATTERY_CHARGE,
    BATTERY_DISCHARGE,
    CONSUMPTION,
    GRID_EXPORT,
    GRID_IMPORT,
    Energy,
    is_supported,
)
from custom_components.mtec.local.modes import MODES
from custom_components.mtec.models import (
    BackupReading,
    BatteryMode,
    Energies,
    InverterReading,
    InverterSettings,
    PhaseReading,
    ReadingSource,
    StationReading,
    StringReading,
    UsageRow,
    WorkStatus,
)

type Value = float | bool | str | None
"""A value of a topic: a number is written with the decimals of floats, a flag as 0 or 1, a text as it is."""

DEFAULT_TOPIC: Final = "MTEC"
MOST_DECIMALS: Final = 6

_PHASES: Final[Mapping[int, str]] = {1: "a", 2: "b", 3: "c"}
_TEMPERATURES: Final = (1, 2, 3, 4)
_PERCENT: Final = 100.0
_UNSEEN: Final = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
"""Categories of characters that are not to be seen, or that MQTT forbids."""


class Layout(StrEnum):
    """A layout of topics: that of M-TEC-API's MQTT server, or that of MTECmqtt."""

    M_TEC_API = "m_tec_api"
    MTECMQTT = "mtecmqtt"


DECIMALS: Final[Mapping[Layout, int]] = {Layout.M_TEC_API: 2, Layout.MTECMQTT: 3}
"""Decimals of floats, as the tools write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How readings are published. `decimals` is None for those of the layout."""

    layout: Layout = Layout.M_TEC_API
    topic: str = DEFAULT_TOPIC
    decimals: int | None = None

    def text(self, value: float | bool | str) -> str:
        """Return a value as it is published."""
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return str(int(value))
        decimals = DECIMALS[self.layout] if self.decimals is None else self.decimals
        # Rounding a small negative number must not leave the sign of a zero.
        return f"{round(value, decimals) + 0.0:.{decimals}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterValues:
    """What is known of an inverter now.

    `station` and `today` are the readings of its station and the station's energies of today in kWh. They are None
    unless it is the only inverter of the station: then its station's values are its own. `settings` are None unless
    they are switched on.
    """

    serial_number: str
    reading: InverterReading
    firmware: str | None = None
    station: StationReading | None = None
    today: UsageRow | None = None
    settings: InverterSettings | None = None


# Levels of topics


def topic_level(name: str) -> str:
    """Return a name as a level of a topic, empty if nothing remains of it.

    What a level must not have becomes an underscore: the separator, wildcards, and characters that are not to be seen.
    """
    kept = "".join("_" if each in "/+#" or category(each) in _UNSEEN else each for each in name).strip()
    # Topics that begin with it belong to the broker.
    return "_" + kept[1:] if kept.startswith("$") else kept


def is_topic_level(text: str) -> bool:
    """Return whether a text can be a level of a topic as it is."""
    return bool(text) and topic_level(text) == text


def topic_levels(names: Mapping[str, str]) -> dict[str, str]:
    """Return a level of a topic for each id, of the name that it has, and no level twice.

    Of several with the same level the one with the lowest id has it, which is the oldest; the others have their id
    behind it. So a thing that is new never takes the topics of another one.
    """
    levels: dict[str, str] = {}
    taken: set[str] = set()
    for id_ in sorted(names, key=lambda id_: (len(id_), id_)):
        own = topic_level(id_) or "_"
        level = topic_level(names[id_]) or own
        while level in taken:
            level = f"{level} {own}"
        levels[id_] = level
        taken.add(level)
    return levels


# The layout of M-TEC-API's MQTT server

type _Row[ThingT] = tuple[str, Callable[[ThingT], Value]]

_STATION: Final[tuple[_Row[StationReading], ...]] = (
    ("day_production", lambda reading: reading.pv_energy_today),
    ("month_production", lambda reading: reading.pv_energy_this_month),
    ("year_production", lambda reading: reading.pv_energy_this_year),
    ("total_production", lambda reading: reading.pv_energy_total),
    ("current_PV", lambda reading: reading.pv_power),
    ("current_grid", lambda reading: reading.grid_power),
    ("current_battery", lambda reading: reading.battery_power),
    ("current_battery_SOC", lambda reading: _whole(reading.state_of_charge)),
    ("current_load", lambda reading: reading.consumption_power),
    ("grid_interrupt", lambda reading: reading.grid_outage),
)

_BATTERY: Final[tuple[_Row[InverterReading], ...]] = (
    ("battery_P", lambda reading: reading.battery.power),
    ("battery_V", lambda reading: reading.battery.voltage),
    ("battery_I", lambda reading: reading.battery.current),
    ("battery_SOC", lambda reading: reading.battery.state_of_charge),
)

_PHASE: Final[tuple[_Row[PhaseReading], ...]] = (
    ("inverter_{}_P", lambda phase: phase.inverter_power),
    ("inverter_{}_V", lambda phase: phase.voltage),
    ("inverter_{}_I", lambda phase: phase.current),
    ("grid_{}_P", lambda phase: phase.grid_power),
)

_STRING: Final[tuple[_Row[StringReading], ...]] = (
    ("PV_PV{}_P", lambda string: string.power),
    ("PV_PV{}_V", lambda string: string.voltage),
    ("PV_PV{}_I", lambda string: string.current),
)


def _rows[ThingT](rows: Iterable[_Row[ThingT]], thing: ThingT, part: object = "") -> Iterator[tuple[str, Value]]:
    yield from ((topic.format(part), value_fn(thing)) for topic, value_fn in rows)


def station_messages(format_: Format, level: str, reading: StationReading) -> dict[str, str]:
    """Return the texts of a station's topics; MTECmqtt's layout has no station. `level` is that of its name."""
    if format_.layout is Layout.MTECMQTT:
        return {}
    return _messages(format_, (level,), _rows(_STATION, reading))


def inverter_messages(format_: Format, levels: tuple[str, ...], values: InverterValues) -> dict[str, str]:
    """Return the texts of an inverter's topics. `levels` are those of its station's name and of its own.

    In MTECmqtt's layout the only level is that of its serial number.
    """
    rows = _mtecmqtt(values) if format_.layout is Layout.MTECMQTT else _m_tec_api(values.reading)
    return _messages(format_, levels, rows)


def _messages(format_: Format, levels: tuple[str, ...], rows: Iterable[tuple[str, Value]]) -> dict[str, str]:
    base = "/".join((format_.topic, *levels))
    return {f"{base}/{topic}": format_.text(value) for topic, value in rows if value is not None}


def _m_tec_api(reading: InverterReading) -> Iterator[tuple[str, Value]]:
    yield from _rows(_BATTERY, reading)
    for number, letter in _PHASES.items():
        yield from _rows(_PHASE, reading.phases.get(number, PhaseReading()), letter.upper())
    for number, string in sorted(reading.strings.items()):
        yield from _rows(_STRING, string, number)


# The layout of MTECmqtt. It writes values of registers without a scale as whole numbers: powers, hours and codes.

_STATUS_CODES: Final[Mapping[WorkStatus, str]] = {status: str(code) for code, status in enumerate(WorkStatus)}
_MODE_CODES: Final[Mapping[BatteryMode, str]] = {mode: str(code) for code, mode in enumerate(BatteryMode)}

_MTECMQTT: Final[tuple[_Row[InverterValues], ...]] = (
    ("config/serial_no", lambda values: values.serial_number),
    ("config/firmware_version", lambda values: _firmware(values.firmware)),
    ("now-base/inverter_date", lambda values: _clock(values.reading)),
    ("now-base/inverter_status", lambda values: _code(_STATUS_CODES, values.reading.work_status)),
    ("now-base/grid_power", lambda values: _whole(_negated(values.reading.grid_power))),
    ("now-base/inverter", lambda values: _whole(values.reading.power)),
    ("now-base/pv", lambda values: _whole(values.reading.pv_power)),
    ("now-base/backup", lambda values: _whole(values.reading.backup_power)),
    ("now-base/battery_soc", lambda values: values.reading.battery.state_of_charge),
    ("now-base/battery_mode", lambda values: _code(_MODE_CODES, values.reading.battery.mode)),
    ("now-base/battery", lambda values: _whole(values.reading.battery.power)),
    ("now-base/consumption", lambda values: _whole(values.reading.consumption_power)),
    ("now-grid/ac_voltage_a_b", lambda values: values.reading.line_voltages.get(1)),
    ("now-grid/ac_voltage_b_c", lambda values: values.reading.line_voltages.get(2)),
    ("now-grid/ac_voltage_c_a", lambda values: values.reading.line_voltages.get(3)),
    ("now-grid/ac_fequency", lambda values: values.reading.grid_frequency),
    ("now-battery/battery_voltage", lambda values: values.reading.battery.voltage),
    ("now-battery/battery_current", lambda values: values.reading.battery.current),
    ("now-battery/battery_soh", lambda values: values.reading.battery.state_of_health),
    ("now-battery/battery_temp", lambda values: values.reading.battery.temperature),
    ("now-battery/battery_cell_t_max", lambda values: values.reading.battery.highest_cell_temperature),
    ("now-battery/battery_cell_t_min", lambda values: values.reading.battery.lowest_cell_temperature),
    ("now-battery/battery_cell_v_max", lambda values: values.reading.battery.highest_cell_voltage),
    ("now-battery/battery_cell_v_min", lambda values: values.reading.battery.lowest_cell_voltage),
    ("now-pv/pv_generation_duration", lambda values: _whole(values.reading.pv_time)),
)

_MTECMQTT_SETTINGS: Final[tuple[_Row[InverterSettings], ...]] = (
    ("now-base/mode", lambda settings: None if settings.mode is None else str(MODES[settings.mode])),
    ("config/grid_inject_switch", lambda settings: settings.is_feed_in_limited),
    ("config/grid_inject_limit", lambda settings: settings.feed_in_limit),
    ("config/on_grid_soc_switch", lambda settings: settings.has_reserve_on_grid),
    ("config/on_grid_soc_limit", lambda settings: settings.reserve_on_grid),
    ("config/off_grid_soc_switch", lambda settings: settings.has_reserve_off_grid),
    ("config/off_grid_soc_limit", lambda settings: settings.reserve_off_grid),
)

_MTECMQTT_PHASE: Final[tuple[_Row[PhaseReading], ...]] = (
    ("now-grid/grid_{}", lambda phase: _whole(_negated(phase.grid_power))),
    ("now-grid/ac_voltage_{}", lambda phase: phase.voltage),
    ("now-grid/ac_current_{}", lambda phase: phase.current),
    ("now-inverter/inverter_{}", lambda phase: _whole(phase.inverter_power)),
)

_MTECMQTT_BACKUP: Final[tuple[_Row[BackupReading], ...]] = (
    ("now-backup/backup_voltage_{}", lambda backup: backup.voltage),
    ("now-backup/backup_current_{}", lambda backup: backup.current),
    ("now-backup/backup_frequency_{}", lambda backup: backup.frequency),
    ("now-backup/backup_{}", lambda backup: _whole(backup.power)),
)

_MTECMQTT_STRING: Final[tuple[_Row[StringReading], ...]] = (
    ("now-pv/pv_voltage_{}", lambda string: string.voltage),
    ("now-pv/pv_current_{}", lambda string: string.current),
    ("now-pv/pv_{}", lambda string: _whole(string.power)),
)

_MTECMQTT_ENERGIES: Final[tuple[_Row[Energies], ...]] = (
    ("grid_feed_{}", lambda energies: energies.grid_export),
    ("grid_purchase_{}", lambda energies: energies.grid_import),
    ("backup_{}", lambda energies: energies.backup),
    ("battery_charge_{}", lambda energies: energies.battery_charge),
    ("battery_discharge_{}", lambda energies: energies.battery_discharge),
    ("pv_{}", lambda energies: energies.pv),
    ("consumption_{}", lambda energies: energies.consumption),
    ("autarky_rate_{}", lambda energies: _remaining_share(energies.grid_import, energies.consumption)),
    ("own_consumption_{}", lambda energies: _remaining_share(energies.grid_export, energies.pv)),
)


def _mtecmqtt(values: InverterValues) -> Iterator[tuple[str, Value]]:
    values = _with_station(values)
    reading = values.reading
    yield from _rows(_MTECMQTT, values)
    if values.settings is not None:
        yield from _rows(_MTECMQTT_SETTINGS, values.settings)
    for number, letter in _PHASES.items():
        yield from _rows(_MTECMQTT_PHASE, reading.phases.get(number, PhaseReading()), letter)
        yield from _rows(_MTECMQTT_BACKUP, reading.backup_phases.get(number, BackupReading()), letter)
    for number in _TEMPERATURES:
        yield f"now-inverter/inverter_temp{number}", reading.temperatures.get(number)
    for number, string in sorted(reading.strings.items()):
        yield from _rows(_MTECMQTT_STRING, string, number)
    for group, energies in (("day", reading.today), ("total", reading.total)):
        yield from ((f"{group}/{topic}", value) for topic, value in _rows(_MTECMQTT_ENERGIES, energies, group))


def _with_station(values: InverterValues) -> InverterValues:
    """Return the values with those of the station in the place of what the inverter does not report."""
    reading, station = values.reading, values.station or StationReading()
    # Energies of today are those of one source: the other may be of yesterday.
    today = reading.today if reading.today != Energies() else _energies_of(values.today, station)
    battery = replace(
        reading.battery,
        power=_first(reading.battery.power, station.battery_power),
        state_of_charge=_first(reading.battery.state_of_charge, station.state_of_charge),
    )
    return replace(
        values,
        reading=replace(
            reading,
            battery=battery,
            pv_power=_first(reading.pv_power, station.pv_power),
            grid_power=_first(reading.grid_power, station.grid_power),
            consumption_power=_first(reading.consumption_power, station.consumption_power),
            backup_power=_first(reading.backup_power, station.backup_power),
            today=today,
            total=replace(reading.total, pv=_first(reading.total.pv, station.pv_energy_total)),
        ),
    )


def supported_row(
    row: UsageRow, rows: Iterable[UsageRow], reading: StationReading | None, *, has_meter: bool
) -> UsageRow:
    """Return the energies of a station's day without those it has no hardware for: a source may report 0.0 for them."""
    known = [*rows]
    without: dict[str, Any] = {
        name: None
        for name, energy in _ENERGIES.items()
        if not (is_supported(energy, known, reading) or (has_meter and energy in {GRID_IMPORT, GRID_EXPORT}))
    }
    return replace(row, **without)


_ENERGIES: Final[Mapping[str, Energy]] = {
    "grid_import": GRID_IMPORT,
    "grid_export": GRID_EXPORT,
    "battery_charge": BATTERY_CHARGE,
    "battery_discharge": BATTERY_DISCHARGE,
    "consumption": CONSUMPTION,
}


def _energies_of(row: UsageRow | None, station: StationReading) -> Energies:
    if row is None:
        return Energies(pv=station.pv_energy_today)
    return Energies(
        pv=_first(row.pv, station.pv_energy_today),
        grid_import=row.grid_import,
        grid_export=row.grid_export,
        battery_charge=row.battery_charge,
        battery_discharge=row.battery_discharge,
        consumption=row.consumption,
    )


def _first(value: float | None, other: float | None) -> float | None:
    return other if value is None else value


def _whole(value: float | None) -> str | None:
    return None if value is None else str(round(value))


def _negated(value: float | None) -> float | None:
    return None if value is None else 0 - value


def _code[WordT](codes: Mapping[WordT, str], word: WordT | None) -> str | None:
    return None if word is None else codes[word]


def _firmware(version: str | None) -> str | None:
    """Return V1.0.0.1-V27.52.4.0 as 01 00 00 01  27 52 04 00."""
    if version is None:
        return None
    parts = [re.findall(r"\d+", part) for part in version.split("-")]
    return "  ".join(" ".join(f"{int(number):02d}" for number in part) for part in parts)


def _clock(reading: InverterReading) -> str | None:
    """Return the inverter's clock when its energies were read. What the portal stamps is not that clock."""
    measured: datetime | None = reading.measured if reading.source is ReadingSource.NETWORK else None
    return None if measured is None else f"{measured:%y-%m-%d %H:%M:%S}"


def _remaining_share(part: float | None, whole: float | None) -> float | None:
    """Return how much of a whole remains without a part of it in %; 0, as the tool has it, if there is no whole."""
    if part is None or whole is None:
        return None
    return max(_PERCENT * (1 - part / whole), 0.0) if whole > 0 else 0.0
