"""What the imported energy has cost: the Energy dashboard counts costs only from when a price is set.

The dashboard keeps costs as a sensor of its own beside each energy that has a price. The hours before that sensor's
first row are filled in from the energy's statistics, at the price that is set. Only a fixed price can be told for the
past: what a sensor's price was is not known here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from homeassistant.const import UnitOfEnergy
from homeassistant.core import HomeAssistant
from homeassistant.util.unit_conversion import EnergyConverter

from custom_components.mtec.home_assistant_internals import (
    Feature,
    async_cost_sensors,
    async_energy_sources,
    check_supported,
)

from .spread import HOUR
from .statistics import PastHour, Series, async_begun_series, begins_day

_DAYS_AT_ONCE: Final = 92

_PRICES: Final = (
    ("stat_energy_from", "number_energy_price", "entity_energy_price"),
    ("stat_energy_to", "number_energy_price_export", "entity_energy_price_export"),
)
"""Where a grid connection of the dashboard has an energy, its fixed price and the entity of a changing one."""


async def async_fill_costs(hass: HomeAssistant, energies: Mapping[str, Series], longest: float) -> dict[str, float]:
    """Fill in the costs of energies that have a fixed price. Return what was filled in, by entity id.

    `longest` is in seconds, and how long to wait for the first row of a sensor of costs. Raises NotSupportedError.
    """
    if "energy" not in hass.config.components:
        return {}
    check_supported(Feature.COSTS)
    sources = await async_energy_sources(hass)
    if not (priced := [(id_, price) for id_, price in _fixed_prices(sources) if id_ in energies]):
        return {}
    known = async_cost_sensors(hass)
    prices = {known[id_]: (id_, price) for id_, price in priced if id_ in known}
    begun = await async_begun_series(hass, set(prices), longest)
    return {
        cost_id: filled
        for cost_id, costs in begun.items()
        if (filled := await _async_fill(energies[prices[cost_id][0]], costs, prices[cost_id][1])) is not None
    }


def _fixed_prices(sources: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield the energies with a fixed price, and the price of a kWh."""
    for source in sources:
        for energy, price, entity in _PRICES:
            if source.get(energy) and source.get(price) is not None and source.get(entity) is None:
                yield source[energy], source[price]


async def _async_fill(energy: Series, costs: Series, price: float) -> float | None:
    """Fill in the costs before their first row. Return them, None if none were missing."""
    await costs.async_settle()
    first, begin = await costs.async_first(), await energy.async_first()
    if first is None or begin is None:
        return None
    own = first.start.replace(minute=0)
    rows = await energy.async_rows(begin.start, own, "hour")
    days = [index for index, row in enumerate(rows) if begins_day(row)]
    if not days:
        return None
    factor = price * EnergyConverter.convert(1, energy.unit, UnitOfEnergy.KILO_WATT_HOUR)
    hours = [
        PastHour(row.start, row.state * factor, (row.sum - before) * factor, row.last_reset or row.start)
        for row, before in zip(rows, (0.0, *(row.sum for row in rows)), strict=False)
    ]
    # The energy of the hour in which the sensor of costs began, as far as that has a row.
    beside = await energy.async_rows(first.start, first.end, "hour" if first.end - first.start == HOUR else "5minute")
    last_rise = (beside[0].sum - rows[-1].sum) * factor if beside else 0.0
    until = len(hours)
    for index in dict.fromkeys((*days[::-_DAYS_AT_ONCE], days[0])):
        first = await costs.async_first()
        if first is None:
            return None
        await costs.async_put_before(first, hours[index:until], first.state if begins_day(first) else last_rise)
        until = index
    return sum(hour.rise for hour in hours[days[0] :])
