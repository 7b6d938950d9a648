"""The registers of an inverter that are read and written, as blocks of which each is one request.

Words are big-endian, the high word first. Only registers that owners and the maker's table of registers name are read,
and only in ranges known to work: reading others hangs some of the inverters' WLAN sticks for a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modbus_connection.model import Component, NumberField, RawField, StringField

from custom_components.mtec.models import BatteryMode, WorkStatus

type Range = tuple[int, int]
"""The first and the last address of registers in a row."""

CLUSTERS: Final = (
    *((10000, 15), (10100, 16), (10994, 22), (11016, 14), (11032, 4), (11038, 4), (11062, 4)),
    *((30200, 26), (30230, 26), (30254, 6), (31000, 7), (31102, 14), (33000, 16)),
)
"""Start and length of what is known to be readable at once."""

_BESIDE_CLUSTERS: Final = ((10120, 2), (11042, 8), (11066, 8), (32005, 2), (33016, 4))
"""Start and length of registers that are known, but not whether each inverter answers."""

_LARGEST_RATED_POWER: Final = 50_000.0
"""In W: that of an unknown model."""


def _joined(parts: tuple[tuple[int, int], ...]) -> tuple[Range, ...]:
    """Return starts and lengths as ranges, those that touch or overlap as one."""
    ranges: list[Range] = []
    for start, length in sorted(parts):
        if ranges and start <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], start + length - 1))
        else:
            ranges.append((start, start + length - 1))
    return tuple(ranges)


READABLE: Final = _joined(CLUSTERS + _BESIDE_CLUSTERS)
"""The ranges that a request may be in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A kind of value: its unit and its limits. The limits are values that still can be.

    `times_rated` limits a power to a multiple of the inverter's rated power, if that is more than `highest`. Where 0
    is outside the limits, `zero` says that it stands for a line that is dead.
    """

    unit: str
    lowest: float
    highest: float
    times_rated: float | None = None
    zero: bool = False

    def is_plausible(self, value: float, rated_power: float | None) -> bool:
        """Return whether a value can be. `rated_power` is the inverter's in W, None if it is not known."""
        if self.zero and value == 0:
            return True
        lowest, highest = self.lowest, self.highest
        if self.times_rated is not None:
            highest = max(highest, self.times_rated * (rated_power or _LARGEST_RATED_POWER))
            lowest = min(lowest, -highest)
        return lowest <= value <= highest


_POWER: Final = Quantity(unit="W", lowest=0, highest=0, times_rated=3)
_METER_POWER: Final = Quantity(unit="W", lowest=-100_000, highest=100_000, times_rated=3)
"""A house may use far more than its inverter can deliver."""
_DAY_ENERGY: Final = Quantity(unit="kWh", lowest=0, highest=5_000)
_LIFE_ENERGY: Final = Quantity(unit="kWh", lowest=0, highest=10_000_000)
_HOURS: Final = Quantity(unit="h", lowest=0, highest=1_000_000)
_AC_VOLTAGE: Final = Quantity(unit="V", lowest=0, highest=600)
_DC_VOLTAGE: Final = Quantity(unit="V", lowest=0, highest=1_500)
_CELL_VOLTAGE: Final = Quantity(unit="V", lowest=0, highest=5)
_CURRENT: Final = Quantity(unit="A", lowest=-500, highest=500)
_FREQUENCY: Final = Quantity(unit="Hz", lowest=40, highest=70, zero=True)
_TEMPERATURE: Final = Quantity(unit="°C", lowest=-60, highest=150)
_SHARE: Final = Quantity(unit="%", lowest=0, highest=100)


class QuantityField(NumberField[float]):
    """A value with a unit, divided by a power of ten."""

    def __init__(self, address: int, quantity: Quantity, divisor: int, *, count: int, signed: bool) -> None:
        super().__init__(address, count=count, signed=signed, scale=1 / divisor, unit=quantity.unit)
        self.quantity = quantity


def _u16(address: int, quantity: Quantity, divisor: int = 1) -> QuantityField:
    return QuantityField(address, quantity, divisor, count=1, signed=False)


def _i16(address: int, quantity: Quantity, divisor: int = 1) -> QuantityField:
    return QuantityField(address, quantity, divisor, count=1, signed=True)


def _u32(address: int, quantity: Quantity, divisor: int = 1) -> QuantityField:
    return QuantityField(address, quantity, divisor, count=2, signed=False)


def _i32(address: int, quantity: Quantity, divisor: int = 1) -> QuantityField:
    return QuantityField(address, quantity, divisor, count=2, signed=True)


def _flags(address: int) -> NumberField[int]:
    return NumberField(address, count=2, signed=False)


def _word[WordT](address: int, words: Mapping[int, WordT]) -> NumberField[WordT]:
    """Return a code that stands for one of a few words; any other is None."""
    return NumberField(address, signed=False, convert=words.get)


def _moment(packed: int) -> datetime | None:
    """Return the bytes year since 2000, month, day, hour, minute and second as a naive datetime, None if invalid."""
    year, *rest = packed.to_bytes(6, "big")
    try:
        return datetime(2000 + year, *rest)  # type: ignore[arg-type]  # noqa: DTZ001 - it is in the inverter's own zone
    except ValueError:
        return None


def _version(packed: int) -> str:
    """Return eight bytes as two versions, as in V1.0.0.1-V27.52.4.0."""
    numbers = [str(number) for number in packed.to_bytes(8, "big")]
    return f"V{'.'.join(numbers[:4])}-V{'.'.join(numbers[4:])}"


class Block(Component):
    """Registers that are read with one request."""

    register_ranges = READABLE
    register_space = "holding"


class SerialNumber(Block):
    """Whose registers these are."""

    serial_number = StringField(10000, count=8)


class Model(Block):
    """The model, as a code. One stick is known not to answer."""

    model = RawField(10008)


class Firmware(Block):
    """The firmware."""

    firmware: NumberField[str] = NumberField(10011, count=4, signed=False, convert=_version)


class Status(Block):
    """The inverter's clock, its status, and its faults but for the third word."""

    clock: NumberField[datetime] = NumberField(10100, count=3, signed=False, convert=_moment)
    work_status = _word(10105, dict(enumerate(WorkStatus)))
    faults_1 = _flags(10112)
    faults_2 = _flags(10114)


class MoreFaults(Block):
    """The third word of faults."""

    faults_3 = _flags(10120)


class Grid(Block):
    """The meter, where positive is fed in; the grid; the inverter's and the strings' power."""

    meter_power_1 = _i32(10994, _METER_POWER)
    meter_power_2 = _i32(10996, _METER_POWER)
    meter_power_3 = _i32(10998, _METER_POWER)
    meter_power = _i32(11000, _METER_POWER)
    meter_export_total = _u32(11002, _LIFE_ENERGY, 100)
    meter_import_total = _u32(11004, _LIFE_ENERGY, 100)
    line_voltage_1_2 = _u16(11006, _AC_VOLTAGE, 10)
    line_voltage_2_3 = _u16(11007, _AC_VOLTAGE, 10)
    line_voltage_3_1 = _u16(11008, _AC_VOLTAGE, 10)
    phase_voltage_1 = _u16(11009, _AC_VOLTAGE, 10)
    phase_current_1 = _u16(11010, _CURRENT, 10)
    phase_voltage_2 = _u16(11011, _AC_VOLTAGE, 10)
    phase_current_2 = _u16(11012, _CURRENT, 10)
    phase_voltage_3 = _u16(11013, _AC_VOLTAGE, 10)
    phase_current_3 = _u16(11014, _CURRENT, 10)
    grid_frequency = _u16(11015, _FREQUENCY, 100)
    power = _i32(11016, _POWER)
    pv_time = _u32(11022, _HOURS)
    pv_power = _u32(11028, _POWER)


class Temperatures(Block):
    """The inverter's own temperatures."""

    temperature_1 = _i16(11032, _TEMPERATURE, 10)
    temperature_2 = _i16(11033, _TEMPERATURE, 10)
    temperature_3 = _i16(11034, _TEMPERATURE, 10)
    temperature_4 = _i16(11035, _TEMPERATURE, 10)


class Strings(Block):
    """Voltage and current of the PV strings that all models have."""

    string_voltage_1 = _u16(11038, _DC_VOLTAGE, 10)
    string_current_1 = _u16(11039, _CURRENT, 10)
    string_voltage_2 = _u16(11040, _DC_VOLTAGE, 10)
    string_current_2 = _u16(11041, _CURRENT, 10)


class MoreStrings(Strings):
    """Voltage and current of the PV strings of a large model."""

    string_voltage_3 = _u16(11042, _DC_VOLTAGE, 10)
    string_current_3 = _u16(11043, _CURRENT, 10)
    string_voltage_4 = _u16(11044, _DC_VOLTAGE, 10)
    string_current_4 = _u16(11045, _CURRENT, 10)
    string_voltage_5 = _u16(11046, _DC_VOLTAGE, 10)
    string_current_5 = _u16(11047, _CURRENT, 10)
    string_voltage_6 = _u16(11048, _DC_VOLTAGE, 10)
    string_current_6 = _u16(11049, _CURRENT, 10)


class StringPowers(Block):
    """Power of the PV strings that all models have."""

    string_power_1 = _u32(11062, _POWER)
    string_power_2 = _u32(11064, _POWER)


class MoreStringPowers(StringPowers):
    """Power of the PV strings of a large model."""

    string_power_3 = _u32(11066, _POWER)
    string_power_4 = _u32(11068, _POWER)
    string_power_5 = _u32(11070, _POWER)
    string_power_6 = _u32(11072, _POWER)


class BackupPhases(Block):
    """The backup output by phase."""

    backup_voltage_1 = _u16(30200, _AC_VOLTAGE, 10)
    backup_current_1 = _u16(30201, _CURRENT, 10)
    backup_frequency_1 = _u16(30202, _FREQUENCY, 100)
    backup_power_1 = _i32(30204, _POWER)
    backup_voltage_2 = _u16(30210, _AC_VOLTAGE, 10)
    backup_current_2 = _u16(30211, _CURRENT, 10)
    backup_frequency_2 = _u16(30212, _FREQUENCY, 100)
    backup_power_2 = _i32(30214, _POWER)
    backup_voltage_3 = _u16(30220, _AC_VOLTAGE, 10)
    backup_current_3 = _u16(30221, _CURRENT, 10)
    backup_frequency_3 = _u16(30222, _FREQUENCY, 100)
    backup_power_3 = _i32(30224, _POWER)


class BatteryFlow(Block):
    """What flows into the battery and out of it, where positive is discharging. Only the third generation has these."""

    battery_voltage = _u16(30254, _DC_VOLTAGE, 10)
    battery_current = _i16(30255, _CURRENT, 10)
    battery_mode = _word(30256, dict(enumerate(BatteryMode)))
    battery_power = _i32(30258, _POWER)


class Flows(BatteryFlow):
    """What flows to the backup output, to each phase, and into the battery and out of it."""

    backup_power = _i32(30230, _POWER)
    inverter_power_1 = _i32(30236, _POWER)
    inverter_power_2 = _i32(30242, _POWER)
    inverter_power_3 = _i32(30248, _POWER)


class Today(Block):
    """Energies of today. Owners doubt the last one."""

    grid_export_today = _u16(31000, _DAY_ENERGY, 10)
    grid_import_today = _u16(31001, _DAY_ENERGY, 10)
    backup_today = _u16(31002, _DAY_ENERGY, 10)
    battery_charge_today = _u16(31003, _DAY_ENERGY, 10)
    battery_discharge_today = _u16(31004, _DAY_ENERGY, 10)
    pv_today = _u16(31005, _DAY_ENERGY, 10)
    load_today = _u16(31006, _DAY_ENERGY, 10)


class Total(Block):
    """Energies of the inverter's life. Owners doubt the last one."""

    grid_export_total = _u32(31102, _LIFE_ENERGY, 10)
    grid_import_total = _u32(31104, _LIFE_ENERGY, 10)
    backup_total = _u32(31106, _LIFE_ENERGY, 10)
    battery_charge_total = _u32(31108, _LIFE_ENERGY, 10)
    battery_discharge_total = _u32(31110, _LIFE_ENERGY, 10)
    pv_total = _u32(31112, _LIFE_ENERGY, 10)
    load_total = _u32(31114, _LIFE_ENERGY, 10)


class BatteryLimits(Block):
    """The currents that the battery's electronics allow."""

    charge_current_limit = _u16(32005, _CURRENT, 10)
    discharge_current_limit = _u16(32006, _CURRENT, 10)


class BatteryState(Block):
    """The battery and its cells."""

    state_of_charge = _u16(33000, _SHARE, 100)
    state_of_health = _u16(33001, _SHARE, 100)
    battery_temperature = _i16(33003, _TEMPERATURE, 10)
    highest_cell_temperature = _i16(33009, _TEMPERATURE, 10)
    lowest_cell_temperature = _i16(33011, _TEMPERATURE, 10)
    highest_cell_voltage = _u16(33013, _CELL_VOLTAGE, 1000)
    lowest_cell_voltage = _u16(33015, _CELL_VOLTAGE, 1000)


class BatteryProblems(Block):
    """The battery's error and warning."""

    battery_error = _flags(33016)
    battery_warning = _flags(33018)


_SETTING_CLUSTERS: Final = ((25100, 4), (50000, 1), (52502, 4), (52601, 3))
"""Start and length of settings that are known to be readable at once."""

_SETTINGS_BESIDE: Final = ((50007, 1), (50009, 1), (50207, 3))
"""Start and length of settings that are known, but not whether each inverter answers."""


def _setting(address: int, *, signed: bool = False) -> NumberField[int]:
    return NumberField(address, signed=signed)


SETTABLE: Final = _joined(_SETTING_CLUSTERS + _SETTINGS_BESIDE)
"""The ranges that a request of settings may be in. They are read as raw numbers, and written one by one."""


class Mode(Block):
    """The mode, one of MODES."""

    register_ranges = SETTABLE
    mode = _setting(50000)


class FeedingIn(Block):
    """The limit of feeding in."""

    register_ranges = SETTABLE
    is_feed_in_limited = _setting(25100)
    feed_in_limit = _setting(25103)


class DrawingIsLimited(Block):
    """Whether drawing is limited."""

    register_ranges = SETTABLE
    is_drawing_limited = _setting(50007)


class DrawingLimit(Block):
    """The limit of drawing. Its address follows that of the switch, but for one register that nobody names."""

    register_ranges = SETTABLE
    drawing_limit = _setting(50009)


class Reserves(Block):
    """The states of charge that the battery keeps."""

    register_ranges = SETTABLE
    has_reserve_on_grid = _setting(52502)
    reserve_on_grid = _setting(52503)
    has_reserve_off_grid = _setting(52504)
    reserve_off_grid = _setting(52505)


class CurrentLimits(Block):
    """The limits of the battery's currents that a person chooses."""

    register_ranges = SETTABLE
    most_charge_current = _setting(52601)
    most_discharge_current = _setting(52603)


class Command(Block):
    """What the battery is told while the mode is that of a command. Negative charges and draws."""

    register_ranges = SETTABLE
    told_power = _setting(50207, signed=True)
    most_output = _setting(50208, signed=True)
    most_input = _setting(50209, signed=True)


TOLD_POWER_STEP: Final = 10.0
"""In W: the told power and the caps are written in hundredths of a kW."""

OPEN_CAPS: Final[Mapping[str, int]] = {"most_output": 20_000, "most_input": -20_000}
"""The raw caps of the inverter's AC output and input that limit nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting that can be written: the block it is in, its range and its step. The raw value is it times `scale`."""

    block: type[Block]
    lowest: float
    highest: float
    step: float = 1.0
    scale: int = 10

    def raw(self, value: float, highest: float) -> int | None:
        """Return the raw value of a value that may be written, None if it may not."""
        if not self.lowest <= value <= highest:
            return None
        steps = value / self.step
        return round(value * self.scale) if abs(steps - round(steps)) < _SAME_STEP else None


_SAME_STEP: Final = 1e-6


def _switch(block: type[Block]) -> Setting:
    return Setting(block=block, lowest=0, highest=1, scale=1)


SETTINGS: Final[Mapping[str, Setting]] = {
    "is_feed_in_limited": _switch(FeedingIn),
    "feed_in_limit": Setting(block=FeedingIn, lowest=0, highest=100),
    "is_drawing_limited": _switch(DrawingIsLimited),
    "drawing_limit": Setting(block=DrawingLimit, lowest=0, highest=100, step=0.1),
    "has_reserve_on_grid": _switch(Reserves),
    "reserve_on_grid": Setting(block=Reserves, lowest=5, highest=100),
    "has_reserve_off_grid": _switch(Reserves),
    "reserve_off_grid": Setting(block=Reserves, lowest=5, highest=100),
    "most_charge_current": Setting(block=CurrentLimits, lowest=0, highest=200),
    "most_discharge_current": Setting(block=CurrentLimits, lowest=0, highest=200),
}
"""The settings but for the mode, by their names in InverterSettings, where a switch is a bool."""

DISPENSABLE_SETTINGS: Final[frozenset[type[Block]]] = frozenset({DrawingIsLimited, DrawingLimit})
"""What an inverter may not know: done without then."""

MOVING: Final[tuple[type[Block], ...]] = (Status, Grid, Strings, StringPowers, Flows, BatteryState)
"""What moves: read each time."""

EACH_MINUTE: Final[tuple[type[Block], ...]] = (
    *(Today, Total),
    *(Temperatures, BackupPhases, MoreFaults, BatteryProblems),
)
"""Energies, and what moves slowly or few people look at."""

EACH_HOUR: Final[tuple[type[Block], ...]] = (Firmware, BatteryLimits)
"""What is fixed, or nearly so; the serial number, too."""

OPTIONAL: Final[frozenset[type[Block]]] = frozenset(
    {Firmware, MoreFaults, MoreStrings, MoreStringPowers, BatteryLimits, BatteryProblems}
)
"""What an inverter may refuse to read: done without then."""

OF_LARGE_MODELS: Final[Mapping[type[Block], type[Block]]] = {Strings: MoreStrings, StringPowers: MoreStringPowers}
"""What a large model has instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareModel:
    """A model: its rated power in W, its phases, and whether it is large and has up to six PV strings."""

    name: str
    rated_power: float
    phases: int
    large: bool


def _models(phases: int, names: str, *, large: bool = False) -> tuple[HardwareModel, ...]:
    """Return the models with these names, which begin with the rated power in kW."""
    return tuple(
        HardwareModel(name=name, rated_power=float(name.partition("K")[0]) * 1000, phases=phases, large=large)
        for name in names.split()
    )


_MODELS: Final[Mapping[int, tuple[HardwareModel, ...]]] = {
    30: _models(3, "4K-25 5K-25 6K-25 8K-25 10K-25 12K-25 10K-40 12K-40 15K-40 20K-40"),
    31: _models(1, "3K-30D 3.6K-30D 4.2K-30D 4.6K-30D 5K-30D 6K-30D 7K-30D 8K-30D 3K-30S 3.6K-30S"),
    32: _models(3, "25K-100 30K-100 36K-100 40K-100 50K-100", large=True),
}
"""The models by the high byte of their code, in the order of its low byte."""


def model_of(code: int) -> HardwareModel | None:
    """Return the model with a code, None if it is not known."""
    high, low = divmod(code, 0x100)
    models = _MODELS.get(high, ())
    return models[low] if low < len(models) else None


def model_named(name: str | None) -> HardwareModel | None:
    """Return the model with a name, None if it is not known."""
    return next((model for models in _MODELS.values() for model in models if model.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterValue:
    """A register, or several that are one value, as they were read last, and what became of them.

    `value` is None if the words were dropped because they make no sense.
    """

    address: int
    name: str
    words: tuple[int, ...]
    value: Any
    unit: str | None


def register_values(
    block: Block, words: Mapping[int, int | bool], rated_power: float | None
) -> dict[str, RegisterValue]:
    """Return the registers of a block that was just read, by name. Those that cannot be have no value."""
    return {
        name: RegisterValue(
            address=resolved.address,
            name=name,
            words=tuple(int(words[resolved.address + offset]) for offset in range(resolved.count)),
            value=_plausible(resolved.field, getattr(block, name), rated_power),
            unit=resolved.field.unit if isinstance(resolved.field, QuantityField) else None,
        )
        for name, resolved in block.resolved_fields.items()
    }


def _plausible(field: object, value: Any, rated_power: float | None) -> Any:
    if isinstance(field, QuantityField) and not field.quantity.is_plausible(value, rated_power):
        return None
    return value
