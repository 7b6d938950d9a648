"""The layouts of MQTT: topic by topic and text by text, for all plants, both versions of the API, and the network."""

from collections.abc import Mapping
from typing import Final

from hypothesis import given, strategies as st
import pytest

from custom_components.mtec.models import (
    BatteryMode,
    BatteryReading,
    Energies,
    InverterReading,
    PhaseReading,
    Station,
    StationReading,
    StringReading,
    UsageRow,
    WorkStatus,
)
from custom_components.mtec.publishing.layouts import (
    Format,
    InverterValues,
    Layout,
    inverter_messages,
    station_messages,
    topic_level,
    topic_levels,
)
from tests.conftest import NOON
from tests.mqtt_messages import API, TOOL, golden, local_values, messages_of
from tests.portal_simulator import BARN, CABIN, FARM, HOUSE, PortalSimulator, plant_of

PLANTS: Final = {"family": HOUSE, "barn": BARN, "farm": FARM, "cabin": CABIN}
LAYOUTS: Final = pytest.mark.parametrize("layout", list(Layout))
NO_READING: Final = InverterReading(battery=BatteryReading(), phases={}, strings={})

# The tables of the two tools, topic by topic.
STATION_TABLE: Final = [
    *(f"{period}_production" for period in ("day", "month", "year", "total")),
    *(f"current_{each}" for each in ("PV", "grid", "battery", "load", "battery_SOC")),
    "grid_interrupt",
]
DEVICE_TABLE: Final = [
    *(f"battery_{each}" for each in ("P", "V", "I", "SOC")),
    *(f"inverter_{phase}_{each}" for phase in "ABC" for each in "PVI"),
    *(f"grid_{phase}_P" for phase in "ABC"),
    *(f"PV_PV{number}_{each}" for number in (1, 2) for each in "PVI"),
]
MTECMQTT_TABLE: Final = {
    "config": "serial_no firmware_version",
    "now-base": "inverter_date inverter_status grid_power inverter pv backup battery_soc battery battery_mode"
    " consumption",
    "now-grid": "grid_a grid_b grid_c ac_voltage_a_b ac_voltage_b_c ac_voltage_c_a ac_voltage_a ac_current_a"
    " ac_voltage_b ac_current_b ac_voltage_c ac_current_c ac_fequency",
    "now-inverter": "inverter_temp1 inverter_temp2 inverter_temp3 inverter_temp4 inverter_a inverter_b inverter_c",
    "now-backup": " ".join(
        f"backup_voltage_{phase} backup_current_{phase} backup_frequency_{phase} backup_{phase}" for phase in "abc"
    ),
    "now-battery": "battery_voltage battery_current battery_soh battery_temp battery_cell_t_max battery_cell_t_min"
    " battery_cell_v_max battery_cell_v_min",
    "now-pv": "pv_generation_duration pv_voltage_1 pv_current_1 pv_voltage_2 pv_current_2 pv_1 pv_2",
    **{
        group: " ".join(
            f"{each}_{group}"
            for each in (
                *("grid_feed", "grid_purchase", "backup", "battery_charge", "battery_discharge", "pv"),
                *("autarky_rate", "consumption", "own_consumption"),
            )
        )
        for group in ("day", "total")
    },
}


def check_golden(name: str, messages: Mapping[str, str]) -> None:
    """Compare messages with the golden list of that name."""
    assert dict(messages) == golden(name)


@LAYOUTS
@pytest.mark.parametrize("account", PLANTS)
async def test_layout_of_a_plant_in_the_portal(
    simulator: PortalSimulator, generation: int, account: str, layout: Layout
) -> None:
    check_golden(f"{account}-generation{generation}-{layout}", await messages_of(simulator, account, layout))


@LAYOUTS
@pytest.mark.parametrize("account", PLANTS)
async def test_layout_of_an_inverter_in_the_network(account: str, layout: Layout) -> None:
    values = await local_values(PLANTS[account])
    path = ("Station", "Inverter") if layout is Layout.M_TEC_API else (values.serial_number,)
    check_golden(f"{account}-network-{layout}", inverter_messages(Format(layout=layout), path, values))


@pytest.mark.parametrize("generation", [1], indirect=True)
async def test_every_parameter_of_m_tec_api(simulator: PortalSimulator) -> None:
    messages = await messages_of(simulator, "family", Layout.M_TEC_API)
    expected = [f"MTEC/Haus am See/{each}" for each in STATION_TABLE]
    expected += [f"MTEC/Haus am See/Energy Butler/{each}" for each in DEVICE_TABLE]
    assert sorted(messages) == sorted(expected)


async def test_every_parameter_of_mtecmqtt() -> None:
    values = await local_values(HOUSE)
    messages = inverter_messages(Format(layout=Layout.MTECMQTT), ("SN",), values)
    table = [f"MTEC/SN/{group}/{each}" for group, names in MTECMQTT_TABLE.items() for each in names.split()]
    assert sorted(messages) == sorted(table)


@pytest.mark.parametrize("generation", [1], indirect=True)
async def test_signs_and_units_are_those_of_the_tools(simulator: PortalSimulator) -> None:
    power = plant_of(HOUSE, 1).power(NOON)
    api = await messages_of(simulator, "family", Layout.M_TEC_API)
    mqtt = await messages_of(simulator, "family", Layout.MTECMQTT)
    base = f"MTEC/{HOUSE.inverters[0].serial}/now-base"
    drawn = float(api["MTEC/Haus am See/current_grid"])
    assert abs(drawn) > 100
    assert drawn == pytest.approx(power.grid, abs=10)
    assert float(mqtt[f"{base}/grid_power"]) == pytest.approx(-power.grid, abs=10)
    assert float(api["MTEC/Haus am See/current_battery"]) == pytest.approx(power.battery, abs=10)
    assert float(mqtt[f"{base}/battery"]) == pytest.approx(power.battery, abs=10)
    battery = InverterReading(battery=BatteryReading(power=-250.0), phases={}, strings={})
    for layout, level, text in ((API, "battery_P", "-250.00"), (TOOL, "now-base/battery", "-250")):
        found = inverter_messages(layout, ("S",), InverterValues(serial_number="SN", reading=battery))
        assert found[f"MTEC/S/{level}"] == text
    # A string's power is in W.
    strings = [float(api[f"MTEC/Haus am See/Energy Butler/PV_PV{number}_P"]) for number in (1, 2)]
    assert sum(strings) == pytest.approx(power.pv, rel=0.02)


# Texts


def test_floats_have_the_decimals_of_the_layout_unless_others_are_chosen() -> None:
    assert (API.text(1234.5678), TOOL.text(1234.5678)) == ("1234.57", "1234.568")
    assert Format(decimals=0).text(1234.5678) == "1235"
    assert Format(decimals=6).text(0.1) == "0.100000"


def test_zero_has_no_sign() -> None:
    assert API.text(-0.0) == API.text(-0.001) == "0.00"
    assert Format(decimals=0).text(-0.4) == "0"


@LAYOUTS
def test_what_is_not_known_is_not_published(layout: Layout) -> None:
    format_ = Format(layout=layout)
    assert station_messages(format_, "S", StationReading()) == {}
    found = inverter_messages(format_, ("S",), InverterValues(serial_number="SN", reading=NO_READING))
    assert found == ({} if layout is Layout.M_TEC_API else {"MTEC/S/config/serial_no": "SN"})


def test_grid_outage_is_a_number() -> None:
    found = [station_messages(API, "S", StationReading(grid_outage=each)) for each in (True, False)]
    assert found == [{"MTEC/S/grid_interrupt": "1"}, {"MTEC/S/grid_interrupt": "0"}]


def test_words_of_the_inverter_are_its_codes() -> None:
    def codes(status: WorkStatus, mode: BatteryMode) -> list[str]:
        reading = InverterReading(battery=BatteryReading(mode=mode), phases={}, strings={}, work_status=status)
        found = inverter_messages(TOOL, ("S",), InverterValues(serial_number="SN", reading=reading))
        return [found[f"MTEC/S/now-base/{each}"] for each in ("inverter_status", "battery_mode")]

    assert codes(WorkStatus.ON_GRID, BatteryMode.DISCHARGING) == ["2", "0"]
    assert codes(WorkStatus.OFF_GRID, BatteryMode.CHARGING) == ["5", "1"]


def test_firmware_is_written_as_mtecmqtt_writes_it() -> None:
    values = InverterValues(serial_number="SN", reading=NO_READING, firmware="V1.0.0.1-V27.52.4.0")
    found = inverter_messages(TOOL, ("S",), values)
    assert found["MTEC/S/config/firmware_version"] == "01 00 00 01  27 52 04 00"


def test_values_of_the_station_stand_in_for_those_of_its_only_inverter() -> None:
    row = UsageRow(
        start=NOON.date(),
        consumption=10.0,
        pv=20.0,
        battery_discharge=1.0,
        battery_charge=2.0,
        grid_import=3.0,
        grid_export=5.0,
    )
    station = StationReading(pv_power=900.0, grid_power=-450.4, pv_energy_total=7.0)
    reading = InverterReading(battery=BatteryReading(), phases={}, strings={}, pv_power=800.0)
    values = InverterValues(serial_number="SN", reading=reading, station=station, today=row)
    found = inverter_messages(TOOL, ("S",), values)
    assert found == {
        "MTEC/S/config/serial_no": "SN",
        "MTEC/S/now-base/pv": "800",
        "MTEC/S/now-base/grid_power": "450",
        "MTEC/S/day/grid_feed_day": "5.000",
        "MTEC/S/day/grid_purchase_day": "3.000",
        "MTEC/S/day/battery_charge_day": "2.000",
        "MTEC/S/day/battery_discharge_day": "1.000",
        "MTEC/S/day/pv_day": "20.000",
        "MTEC/S/day/consumption_day": "10.000",
        "MTEC/S/day/autarky_rate_day": "70.000",
        "MTEC/S/day/own_consumption_day": "75.000",
        "MTEC/S/total/pv_total": "7.000",
    }


def test_energies_of_today_are_those_of_one_source() -> None:
    row = UsageRow(
        start=NOON.date(),
        consumption=None,
        pv=20.0,
        battery_discharge=None,
        battery_charge=4.0,
        grid_import=None,
        grid_export=None,
    )
    reading = InverterReading(battery=BatteryReading(), phases={}, strings={}, today=Energies(pv=1.0))
    found = inverter_messages(TOOL, ("S",), InverterValues(serial_number="SN", reading=reading, today=row))
    assert {topic: text for topic, text in found.items() if "/day/" in topic} == {"MTEC/S/day/pv_day": "1.000"}


def test_share_without_a_whole_is_zero() -> None:
    today = Energies(pv=0.0, grid_export=0.0, grid_import=2.0, consumption=0.0)
    reading = InverterReading(battery=BatteryReading(), phases={}, strings={}, today=today)
    found = inverter_messages(TOOL, ("S",), InverterValues(serial_number="SN", reading=reading))
    assert found["MTEC/S/day/autarky_rate_day"] == found["MTEC/S/day/own_consumption_day"] == "0.000"


def test_phases_and_strings_that_are_there_are_published() -> None:
    reading = InverterReading(
        battery=BatteryReading(), phases={1: PhaseReading(voltage=230.0)}, strings={3: StringReading(power=512.5)}
    )
    found = inverter_messages(API, ("S", "I"), InverterValues(serial_number="SN", reading=reading))
    assert found == {"MTEC/S/I/inverter_A_V": "230.00", "MTEC/S/I/PV_PV3_P": "512.50"}


# Levels


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("Haus am See", "Haus am See"),
        ('Stall; "Süd"/Müller', 'Stall; "Süd"_Müller'),
        ("a+b#c/d", "a_b_c_d"),
        ("tab\tnull\0bell\x07", "tab_null_bell_"),
        ("\u2028line\x85\u200b", "_line__"),
        ("$SYS", "_SYS"),
        ("  \t ", "_"),
        ("   ", ""),
    ],
)
def test_name_becomes_one_level(name: str, level: str) -> None:
    assert topic_level(name) == level


def test_two_stations_never_share_a_level() -> None:
    names = {"12": "Haus/1", "9": "Haus+1", "100": "Haus_1", "101": "", "7": "Haus_1 12"}
    levels = topic_levels(names)
    # The oldest has the name alone.
    assert levels == {"7": "Haus_1 12", "9": "Haus_1", "12": "Haus_1 12 12", "100": "Haus_1 100", "101": "101"}
    assert topic_levels(dict(reversed(names.items()))) == levels


def test_new_station_does_not_take_the_topics_of_an_old_one() -> None:
    old = topic_levels({"5": "Haus"})
    assert topic_levels({"5": "Haus", "6": "Haus"})["5"] == old["5"]


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=6))
def test_levels_are_valid_and_different(names: dict[str, str]) -> None:
    levels = topic_levels(names)
    assert levels.keys() == names.keys()
    assert len(set(levels.values())) == len(levels)
    for level in levels.values():
        assert level
        assert not set(level) & set("/+#\0")
        assert not level.startswith("$")
        level.encode()
        assert level.isprintable() or " " in level or "\u3000" in level or level.strip()


def test_station_of_mtecmqtt_has_no_topics() -> None:
    station = Station(id="1", name="Haus")
    assert station_messages(TOOL, station.name, StationReading(pv_power=1.0)) == {}
