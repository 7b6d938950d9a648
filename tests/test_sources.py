"""Readings of two sources as one."""

from custom_components.mtec.models import BatteryReading, Energies, InverterReading, PhaseReading
from custom_components.mtec.sources import combine


def test_fallback_fills_in_what_the_primary_source_does_not_have() -> None:
    primary = InverterReading(
        battery=BatteryReading(power=0.0, voltage=210.5),
        phases={1: PhaseReading(voltage=230.0), 2: PhaseReading(voltage=231.0)},
        strings={},
        power=100.0,
        today=Energies(pv=0.0),
    )
    fallback = InverterReading(
        battery=BatteryReading(power=500.0, temperature=25.0),
        phases={1: PhaseReading(voltage=1.0, current=2.0), 3: PhaseReading(voltage=3.0)},
        strings={},
        power=1.0,
        grid_frequency=50.0,
        today=Energies(pv=9.0, grid_import=1.0),
    )
    assert combine(primary, fallback) == InverterReading(
        battery=BatteryReading(power=0.0, voltage=210.5, temperature=25.0),
        phases={
            1: PhaseReading(voltage=230.0, current=2.0),
            2: PhaseReading(voltage=231.0),
            3: PhaseReading(voltage=3.0),
        },
        strings={},
        power=100.0,
        grid_frequency=50.0,
        today=Energies(pv=0.0, grid_import=1.0),
    )


def test_a_reading_is_unchanged_by_an_empty_one_and_replaces_it() -> None:
    reading = InverterReading(battery=BatteryReading(power=1.0), phases={1: PhaseReading(current=0.0)}, strings={})
    empty = InverterReading(battery=BatteryReading(), phases={}, strings={})
    assert combine(reading, empty) == reading
    assert combine(empty, reading) == reading
