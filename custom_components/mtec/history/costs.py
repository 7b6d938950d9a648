"""Costs of imported energy: the Energy dashboard records costs only from when a price is set.

The dashboard has a sensor of costs for each energy with a price. The hours before the first row of that sensor are
calculated from the statistics of the energy and the price that is set. Only a fixed price can be used for the past:
past states of a price sensor are not read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from homeassistant.const import UnitOfEnergy
from homeassistant.core import HomeAssistant
from homeassistant.util.unit_conversion import EnergyConverter

from custom_components.mtec.home_assistant_internals import (
    Feature,
    Row,
    async_cost_sensors,
    async_energy_sources,
    check_supported,
)

from .hours import HOUR
from .statistics import PastHour, Series, async_series_with_rows, begins_day

_PRICES: Final = (
    ("stat_energy_from", "number_energy_price", "entity_energy_price"),
    ("stat_energy_to", "number_energy_price_export", "entity_energy_price_export"),
)
"""The keys of an energy, its fixed price and its price sensor in a grid connection of the dashboard."""


async def async_fill_costs(hass: HomeAssistant, energies: Mapping[str, Series], longest: float) -> dict[str, float]:
    """Add the past costs of energies that have a fixed price. Return the costs added, by entity id.

    Waits at most `longest` seconds for the first row of a sensor of costs. Raises NotSupportedError.
    """
    if "energy" not in hass.config.components:
        return {}
    check_supported(Feature.COSTS)
    sources = await async_energy_sources(hass)
    if not (priced := [(id_, price) for id_, price in _fixed_prices(sources) if id_ in energies]):
        return {}
    known = async_cost_sensors(hass)
    prices = {known[id_]: (id_, price) for id_, price in priced if id_ in known}
    sensors = await async_series_with_rows(hass, set(prices), longest)
    return {
        cost_id: filled
        for cost_id, costs in sensors.items()
        if (filled := await _async_fill(energies[prices[cost_id][0]], costs, prices[cost_id][1])) is not None
    }


def _fixed_prices(sources: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield the statistic ids of energies with a fixed price, each with the price of a kWh."""
    for source in sources:
        for energy, price, entity in _PRICES:
            if source.get(energy) and source.get(price) is not None and source.get(entity) is None:
                yield source[energy], source[price]


@dataclass(frozen=True, slots=True)
class _Costs:
    """Hours of costs before the first row, from the first one that begins a day on, and the rise in the first row."""

    hours: Sequence[PastHour]
    last_rise: float


async def _async_fill(energy: Series, costs: Series, price: float) -> float | None:
    """Add the costs before their first row. Return their sum, None if none were missing."""
    await costs.async_rebase_sums()
    first, first_of_energy = await costs.async_first(), await energy.async_first()
    if first is None or first_of_energy is None:
        return None
    past = await _async_past_costs(energy, first_of_energy, first, price)
    if not past.hours:
        return None
    await costs.async_prepend(first, past.hours, first.state if begins_day(first) else past.last_rise)
    return sum(hour.rise for hour in past.hours)


async def _async_past_costs(energy: Series, first_of_energy: Row, first: Row, price: float) -> _Costs:
    """Return the costs of the energy's hours before the first row of costs, at `price` for a kWh."""
    rows = await energy.async_rows(first_of_energy.start, first.start.replace(minute=0), "hour")
    factor = price * EnergyConverter.convert(1, energy.unit, UnitOfEnergy.KILO_WATT_HOUR)
    hours = await energy.hass.async_add_executor_job(_hours_of_costs, rows, factor)
    # The energy's own row of the first row of costs has the rise of the sum in between, if it is there.
    period: Literal["hour", "5minute"] = "hour" if first.end - first.start == HOUR else "5minute"
    beside = await energy.async_rows(first.start, first.end, period)
    return _Costs(
        hours=hours,
        last_rise=(beside[0].sum - rows[-1].sum) * factor if beside and rows else 0.0,
    )


def _hours_of_costs(rows: Sequence[Row], factor: float) -> list[PastHour]:
    """Return hours of an energy's rows, multiplied by a factor, from the first one that begins a day on."""
    first = next((index for index, row in enumerate(rows) if begins_day(row)), len(rows))
    before = rows[first - 1].sum if 0 < first < len(rows) else 0.0
    hours = []
    for row in rows[first:]:
        hours.append(PastHour(row.start, row.state * factor, (row.sum - before) * factor, row.last_reset or row.start))
        before = row.sum
    return hours
