"""The tables of the two tools, written by hand: what each parameter of the house is by its plant's model.

The golden lists are what the code publishes. Here each text is made from the model alone, with the unit, the sign and
the decimals of the tool.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from typing import Final

import pytest

from custom_components.mtec.publishing.layouts import Layout, inverter_messages
from tests.conftest import GENERATION1, GENERATION2, NOON
from tests.mqtt_messages import API, TOOL, local_values, messages_of
from tests.portal_simulator import HOUSE, PortalSimulator, plant_of

PLANT: Final = plant_of(HOUSE, 1)
VOLTS: Final = {"a": 231.4, "b": 229.8, "c": 230.6}
LOAD_OF_PHASE: Final = {"a": 0.5, "b": 0.3, "c": 0.2}
BACKED_UP: Final = 0.15

type Text = tuple[float, int, int]
"""A value in the tool's unit and sign; decimals to which the source measures it; decimals of the text."""


def text(value: Text) -> str:
    """Return the text of a value."""
    number, measured, decimals = value
    return f"{round(number, measured) + 0.0:.{decimals}f}"


def string_volts(watts: float) -> float:
    return round(340 + watts / 100, 1) if watts else 0.0


@dataclass(frozen=True)
class Counted:
    """Energies of a period in kWh, as the counters show them."""

    pv: float
    bought: float
    fed_in: float
    charged: float
    discharged: float
    backup: float

    @property
    def consumption(self) -> float:
        """What the tool calculates."""
        return self.pv + self.bought + self.discharged - self.fed_in - self.charged


def counted(moment: datetime, start: date, decimals: int) -> Counted:
    """Return the energies from a day until a moment."""
    energies = PLANT.energy(PLANT.day_start(start), moment)
    found = (
        *(energies.pv, energies.import_, energies.export, energies.charge, energies.discharge),
        energies.consumption * BACKED_UP,
    )
    return Counted(*(round(each, decimals) for each in found))


def remaining(part: float, whole: float) -> float:
    """Return what remains of a whole in %, as the tool calculates it."""
    return 100 * (1 - part / whole) if whole > 0 else 0


def energies_of_mtecmqtt(group: str, energies: Counted) -> dict[str, Text]:
    return {
        f"{group}/grid_feed_{group}": (energies.fed_in, 3, 3),
        f"{group}/grid_purchase_{group}": (energies.bought, 3, 3),
        f"{group}/backup_{group}": (energies.backup, 3, 3),
        f"{group}/battery_charge_{group}": (energies.charged, 3, 3),
        f"{group}/battery_discharge_{group}": (energies.discharged, 3, 3),
        f"{group}/pv_{group}": (energies.pv, 3, 3),
        f"{group}/consumption_{group}": (energies.consumption, 3, 3),
        f"{group}/autarky_rate_{group}": (remaining(energies.bought, energies.consumption), 3, 3),
        f"{group}/own_consumption_{group}": (remaining(energies.fed_in, energies.pv), 3, 3),
    }


class House:
    """The house at a moment."""

    def __init__(self, moment: datetime) -> None:
        inverter = HOUSE.inverters[0]
        self.moment = moment
        self.power = PLANT.power(moment)
        self.strings = self.power.inverters[inverter.device_id].strings
        self.ac = sum(self.strings.values()) + self.power.battery
        self.battery_volts = round(48 + 0.064 * (self.power.soc or 0.0), 1)

    def pv_since(self, day: date) -> tuple[float, int]:
        """Return the PV energy since a day in kWh, and the decimals the portal has: Wh 0, kWh 2, MWh 3."""
        energy = PLANT.energy(PLANT.day_start(day), self.moment).pv
        return energy, 3 if energy < 0.9995 else 2 if energy < 999.995 else 0

    # M-TEC-API's server: all numbers with two decimals; + drawn, + discharging.

    def station_of_m_tec_api(self) -> dict[str, Text]:
        today = self.moment.date()
        return {
            "day_production": (*self.pv_since(today), 2),
            "month_production": (*self.pv_since(today.replace(day=1)), 2),
            "year_production": (*self.pv_since(today.replace(month=1, day=1)), 2),
            "total_production": (*self.pv_since(HOUSE.installed), 2),
            "current_PV": (self.power.pv, 0, 2),
            "current_grid": (self.power.grid, 0, 2),
            "current_battery": (self.power.battery, 0, 2),
            "current_load": (self.power.load, 0, 2),
            # Whole numbers, as the portal has them.
            "current_battery_SOC": (self.power.soc or 0.0, 0, 0),
            "grid_interrupt": (0, 0, 0),
        }

    def inverter_of_m_tec_api(self, *, amperes: int, percent: int) -> dict[str, Text]:
        """Return an inverter's parameters; the source measures currents and % to so many decimals."""
        table: dict[str, Text] = {
            "battery_P": (self.power.battery, 0, 2),
            "battery_V": (self.battery_volts, 1, 2),
            "battery_I": (self.power.battery / self.battery_volts, amperes, 2),
            "battery_SOC": (self.power.soc or 0.0, percent, 2),
        }
        for letter, volts in VOLTS.items():
            table |= {
                f"inverter_{letter.upper()}_P": (self.ac / 3, 0, 2),
                f"inverter_{letter.upper()}_V": (volts, 1, 2),
                f"inverter_{letter.upper()}_I": (self.ac / 3 / volts, amperes, 2),
                f"grid_{letter.upper()}_P": (self.power.load * LOAD_OF_PHASE[letter] - self.ac / 3, 0, 2),
            }
        for name, watts in self.strings.items():
            volts = string_volts(watts)
            table |= {
                # The tool's table says W.
                f"PV_{name}_P": (watts, 0, 2),
                f"PV_{name}_V": (volts, 1, 2),
                f"PV_{name}_I": (watts / volts, amperes, 2),
            }
        return table

    # MTECmqtt: scaled registers with three decimals, the others as whole numbers; + fed in, + discharging.

    def mtecmqtt_of_both(self, *, amperes: int, percent: int) -> dict[str, Text]:
        """Return what every source has; it measures currents and % to so many decimals."""
        table: dict[str, Text] = {
            "now-base/grid_power": (-self.power.grid, 0, 0),
            "now-base/pv": (self.power.pv, 0, 0),
            "now-base/battery_soc": (self.power.soc or 0.0, percent, 3),
            "now-base/battery": (self.power.battery, 0, 0),
            "now-battery/battery_voltage": (self.battery_volts, 1, 3),
            "now-battery/battery_current": (self.power.battery / self.battery_volts, amperes, 3),
            "now-inverter/inverter_temp1": (22.4 + 21 * self.ac / 8000, 1, 3),
            "now-inverter/inverter_temp2": (24.1 + 26 * self.ac / 8000, 1, 3),
        }
        for letter, volts in VOLTS.items():
            table |= {
                f"now-grid/grid_{letter}": (self.ac / 3 - self.power.load * LOAD_OF_PHASE[letter], 0, 0),
                f"now-grid/ac_voltage_{letter}": (volts, 1, 3),
                f"now-grid/ac_current_{letter}": (self.ac / 3 / volts, amperes, 3),
                f"now-inverter/inverter_{letter}": (self.ac / 3, 0, 0),
            }
        for name, watts in self.strings.items():
            volts, number = string_volts(watts), name.removeprefix("PV")
            table |= {
                f"now-pv/pv_{number}": (watts, 0, 0),
                f"now-pv/pv_voltage_{number}": (volts, 1, 3),
                f"now-pv/pv_current_{number}": (watts / volts, amperes, 3),
            }
        return table

    def mtecmqtt_of_the_network(self) -> dict[str, Text]:
        backup = self.power.load * BACKED_UP
        lines = {
            f"{one}_{other}": sqrt(VOLTS[one] ** 2 + VOLTS[other] ** 2 + VOLTS[one] * VOLTS[other])
            for one, other in ("ab", "bc", "ca")
        }
        table: dict[str, Text] = {
            "now-base/inverter_status": (2, 0, 0),
            "now-base/inverter": (self.ac, 0, 0),
            "now-base/backup": (backup, 0, 0),
            "now-base/battery_mode": (int(self.power.battery < 0), 0, 0),
            # The difference of two registers in whole W.
            "now-base/consumption": (round(self.ac) - round(-self.power.grid), 0, 0),
            "now-grid/ac_fequency": (50, 2, 3),
            "now-inverter/inverter_temp3": (0, 1, 3),
            "now-inverter/inverter_temp4": (0, 1, 3),
            "now-battery/battery_soh": (98, 2, 3),
            "now-battery/battery_temp": (24.5, 1, 3),
            "now-battery/battery_cell_t_max": (25.1, 1, 3),
            "now-battery/battery_cell_t_min": (23.8, 1, 3),
            "now-battery/battery_cell_v_max": (self.battery_volts / 16 + 0.004, 3, 3),
            "now-battery/battery_cell_v_min": (self.battery_volts / 16 - 0.003, 3, 3),
            "now-pv/pv_generation_duration": (
                (self.moment - PLANT.day_start(HOUSE.installed)) / timedelta(hours=1) // 2,
                0,
                0,
            ),
        }
        table |= {f"now-grid/ac_voltage_{lines_}": (volts, 1, 3) for lines_, volts in lines.items()}
        for letter, volts in VOLTS.items():
            table |= {
                f"now-backup/backup_voltage_{letter}": (volts, 1, 3),
                f"now-backup/backup_current_{letter}": (backup / 3 / volts, 1, 3),
                f"now-backup/backup_frequency_{letter}": (50, 2, 3),
                f"now-backup/backup_{letter}": (backup / 3, 0, 0),
            }
        for group, start in (("day", self.moment.date()), ("total", HOUSE.installed)):
            table |= energies_of_mtecmqtt(group, counted(self.moment, start, 1))
        return table

    def mtecmqtt_of_the_portal(self) -> dict[str, Text]:
        day = self.moment.date()
        today = counted(self.moment, day, 2)
        # Calculated from what the portal says of the consumption itself.
        consumption = round(PLANT.energy(PLANT.day_start(day), self.moment).consumption, 2)
        table = energies_of_mtecmqtt("day", today) | {
            "day/consumption_day": (consumption, 3, 3),
            "day/autarky_rate_day": (remaining(today.bought, consumption), 3, 3),
            "total/pv_total": (*self.pv_since(HOUSE.installed), 3),
            "now-base/consumption": (self.power.load, 0, 0),
        }
        # No row of the portal has it.
        del table["day/backup_day"]
        return table


def texts(base: str, table: Mapping[str, Text]) -> dict[str, str]:
    return {f"{base}/{parameter}": text(value) for parameter, value in table.items()}


SERIAL = f"MTEC/{HOUSE.inverters[0].serial}"

MOMENTS: Final = {
    "feeding in": NOON,
    "charging": datetime(2026, 6, 15, 8, 47, 30, tzinfo=UTC),
    "discharging": datetime(2026, 6, 15, 11, 2, 30, tzinfo=UTC),
    "drawing": datetime(2026, 1, 12, 7, 2, 30, tzinfo=UTC),
}
AT_MOMENTS: Final = pytest.mark.parametrize("now", MOMENTS.values(), ids=MOMENTS)


def test_the_moments_have_both_signs() -> None:
    powers = {name: PLANT.power(moment) for name, moment in MOMENTS.items()}
    assert powers["feeding in"].grid < -100
    assert powers["charging"].battery < -100
    assert powers["discharging"].battery > 100
    assert powers["drawing"].grid > 100
    assert counted(MOMENTS["drawing"], MOMENTS["drawing"].date(), 2).bought > 1


@AT_MOMENTS
@GENERATION1
async def test_m_tec_api_of_the_portal(simulator: PortalSimulator, now: datetime) -> None:
    house = House(now)
    station = texts("MTEC/Haus am See", house.station_of_m_tec_api())
    inverter = texts("MTEC/Haus am See/Energy Butler", house.inverter_of_m_tec_api(amperes=2, percent=1))
    assert await messages_of(simulator, "family", Layout.M_TEC_API, now) == station | inverter


@AT_MOMENTS
@GENERATION2
async def test_m_tec_api_of_the_newer_portal(simulator: PortalSimulator, now: datetime) -> None:
    house = House(now)
    station = texts("MTEC/Haus am See", house.station_of_m_tec_api())
    # It does not say whether the grid is there.
    del station["MTEC/Haus am See/grid_interrupt"]
    inverter = texts("MTEC/Haus am See/Energy Butler", house.inverter_of_m_tec_api(amperes=2, percent=1))
    assert await messages_of(simulator, "family", Layout.M_TEC_API, now) == station | inverter


@AT_MOMENTS
async def test_m_tec_api_of_the_network(now: datetime) -> None:
    found = inverter_messages(API, ("Station", "Inverter"), await local_values(HOUSE, now))
    assert found == texts("MTEC/Station/Inverter", House(now).inverter_of_m_tec_api(amperes=1, percent=2))


@AT_MOMENTS
@GENERATION1
async def test_mtecmqtt_of_the_portal(simulator: PortalSimulator, now: datetime) -> None:
    house = House(now)
    expected = texts(SERIAL, house.mtecmqtt_of_both(amperes=2, percent=1) | house.mtecmqtt_of_the_portal())
    expected[f"{SERIAL}/config/serial_no"] = "EB083P2304180127"
    assert await messages_of(simulator, "family", Layout.MTECMQTT, now) == expected


@AT_MOMENTS
async def test_mtecmqtt_of_the_network(now: datetime) -> None:
    house = House(now)
    found = inverter_messages(TOOL, (HOUSE.inverters[0].serial,), await local_values(HOUSE, now))
    assert found == texts(SERIAL, house.mtecmqtt_of_both(amperes=1, percent=2) | house.mtecmqtt_of_the_network()) | {
        f"{SERIAL}/config/serial_no": "EB083P2304180127",
        f"{SERIAL}/config/firmware_version": "01 00 00 01  27 52 04 00",
        f"{SERIAL}/now-base/inverter_date": f"{now.astimezone(HOUSE.zone):%y-%m-%d %H:%M:%S}",
    }
