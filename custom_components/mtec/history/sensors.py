"""The energy and power sensors of a station, and their statistics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from homeassistant.const import PERCENTAGE, UnitOfEnergy, UnitOfPower
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.util.unit_conversion import EnergyConverter, PowerConverter

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.energies import ENERGIES, Energy
from custom_components.mtec.models import CurvePoint

from .statistics import Series

MEANS: Final[Mapping[str, Callable[[CurvePoint], float | None]]] = {
    "pv_power": lambda point: point.pv_power,
    "grid_power": lambda point: point.grid_power,
    "battery_power": lambda point: point.battery_power,
    "consumption_power": lambda point: point.consumption_power,
    "state_of_charge": lambda point: point.state_of_charge,
}
"""The sensors whose past is in the curves, in W or %, by their key."""


@dataclass(frozen=True, slots=True)
class EnergySensor:
    """An energy sensor of a station and its statistics."""

    energy: Energy
    series: Series

    @property
    def factor(self) -> float:
        """A kWh in the unit of the statistics."""
        return EnergyConverter.convert(1, UnitOfEnergy.KILO_WATT_HOUR, self.series.unit)


def mean_factor(unit: str | None) -> float:
    """Return a W, or a %, in the unit of statistics."""
    return 1.0 if unit == PERCENTAGE else PowerConverter.convert(1, UnitOfPower.WATT, unit)


@callback
def async_energy_ids(hass: HomeAssistant, station_id: str) -> dict[str, Energy]:
    """Return the energies of a station's enabled sensors, by statistic id."""
    return _async_enabled(hass, station_id, {energy.key: energy for energy in ENERGIES})


@callback
def async_mean_ids(hass: HomeAssistant, station_id: str) -> dict[str, Callable[[CurvePoint], float | None]]:
    """Return what a station's enabled sensors of powers and of the charge show of a curve, by statistic id."""
    return _async_enabled(hass, station_id, MEANS)


@callback
def _async_enabled[ValueT](hass: HomeAssistant, station_id: str, keys: Mapping[str, ValueT]) -> dict[str, ValueT]:
    registry = er.async_get(hass)
    found = {registry.async_get_entity_id("sensor", DOMAIN, f"{station_id}_{key}"): keys[key] for key in keys}
    return {
        id_: value
        for id_, value in found.items()
        if id_ is not None and (entry := registry.async_get(id_)) is not None and not entry.disabled
    }
