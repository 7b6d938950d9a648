"""Which energies a station has: the portal may report 0.0 for hardware that is not installed."""

from collections.abc import Iterable, Mapping
from typing import Final

from .models import StationReading, UsageRow

_LIVE_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "pv": ("pv_power",),
    "grid_import": ("grid_power",),
    "grid_export": ("grid_power",),
    "consumption": ("consumption_power", "grid_power"),
    "battery_charge": ("battery_power", "state_of_charge"),
    "battery_discharge": ("battery_power", "state_of_charge"),
}
"""The fields of a station's reading that have a value only where the hardware behind an energy is installed."""


def is_present(energy_name: str, rows: Iterable[UsageRow], reading: StationReading | None) -> bool:
    """Return whether a station has an energy, named as a field of `UsageRow`.

    It has if any of the rows known so far has it other than zero, or the reading has a live value of it. `reading` is
    None while the station has none; then the rows alone decide.
    """
    if any(getattr(row, energy_name) for row in rows):
        return True
    return any(getattr(reading, name, None) is not None for name in _LIVE_FIELDS[energy_name])
