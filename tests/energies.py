"""The energies of the simulated house: the keys of their sensors, and what they are in the plant's model."""

from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter

from tests.portal_simulator import Energies

_IN_THE_MODEL = {
    "pv_energy": "pv",
    "grid_import": "import_",
    "grid_export": "export",
    "battery_charge": "charge",
    "battery_discharge": "discharge",
    "consumption": "consumption",
}

ENERGIES_TODAY = {f"{key}_today": part for key, part in _IN_THE_MODEL.items()}
"""The energies of a station since midnight, by the key of their sensor, and what the plant's model calls them."""

WHOLE = 1.05
"""Step in kWh in which the portal shows energies above a thousand."""

STATION_ENERGIES: dict[str, tuple[Callable[[Energies], float], float]] = {
    **{key: (attrgetter(part), 0.03) for key, part in ENERGIES_TODAY.items()},
    "pv_energy_this_month": (attrgetter("pv"), 0.03),
    "pv_energy_this_year": (attrgetter("pv"), WHOLE),
    "pv_energy_total": (attrgetter("pv"), WHOLE),
}
"""All energies of a station: how to get them from the plant's model, and how exactly the portal tells them, in kWh."""

STATION_TOTALS = {f"{key}_total": part for key, part in _IN_THE_MODEL.items() if key != "pv_energy"}
"""The energies of a station since it was built, by the key of their sensor, and what the plant's model calls them."""

INVERTER_ENERGIES: dict[str, Callable[[Energies], float]] = {
    f"{key}_total": attrgetter(part) for key, part in _IN_THE_MODEL.items()
}
"""The energies of an inverter, which it sends every quarter of an hour in generation 2."""

INVERTER_ENERGIES_TODAY: dict[str, Callable[[Energies], float]] = {
    key: attrgetter(part) for key, part in ENERGIES_TODAY.items()
}
"""The same energies since midnight, which are disabled at first."""

INVERTER_DELAY = timedelta(minutes=20)
"""Highest age of the energies of an inverter."""


def station_entity(key: str) -> str:
    """Return the entity of an energy of the house."""
    return f"sensor.haus_am_see_{key}"


def inverter_entity(key: str) -> str:
    """Return the entity of an energy of the house's inverter."""
    return f"sensor.energy_butler_{key}"


SHOWN_ENERGIES = tuple(
    station_entity(key)
    for key in (
        *("pv_energy_today", "pv_energy_this_month", "pv_energy_this_year", "pv_energy_total"),
        *("grid_import_today", "consumption_today"),
    )
)
"""Entities of one energy of each kind: told live or by the rows of days, and since midnight or another moment."""
