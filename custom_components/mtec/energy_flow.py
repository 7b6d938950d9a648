"""The dialogs that put the plants into the Energy dashboard, and that tell where our own dashboard is."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState, ConfigFlowResult, OptionsFlow
from homeassistant.const import UnitOfEnergy
from homeassistant.helpers.selector import (
    EntitySelector,
    EntitySelectorConfig,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
)
import voluptuous as vol

from .dashboard import async_dashboard_path
from .energy_dashboard import Addition, Prices, async_add, async_added, async_additions, async_present, async_take_out
from .home import MtecConfigEntry
from .home_assistant_internals import NotSupportedError

CONF_IMPORT_PRICE: Final = "import_price"
CONF_IMPORT_PRICE_ENTITY: Final = "import_price_entity"
CONF_EXPORT_PRICE: Final = "export_price"
CONF_EXPORT_PRICE_ENTITY: Final = "export_price_entity"
CONF_CAPACITY: Final = "capacity"

_FIRST_POLL_SECONDS: Final = 20
"""How long the dialog waits for the entities of a home that has just been set up."""

_PRICE_ENTITY: Final = EntitySelector(EntitySelectorConfig(domain=["sensor", "input_number", "number"]))


class EnergyFlow(OptionsFlow):
    """A dialog that sets up the Energy dashboard, takes that back, and shows the way to our dashboard."""

    config_entry: MtecConfigEntry
    _additions: Sequence[Addition] = ()

    async def async_step_energy_dashboard(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show what the Energy dashboard lacks of the stations, ask for prices, and add it."""
        if self.config_entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_loaded")
        errors: dict[str, str] = {}
        if user_input is None:
            await self._async_wait_for_entities()
            self._additions = await async_additions(self.hass, self.config_entry)
            if not self._additions:
                is_there = bool(await async_present(self.hass))
                return self.async_abort(reason="energy_complete" if is_there else "energy_nothing")
        elif not (errors := _price_errors(user_input)):
            return await self._async_add(user_input)
        return self.async_show_form(
            step_id="energy_dashboard",
            data_schema=self.add_suggested_values_to_schema(self._schema(), user_input),
            errors=errors,
            description_placeholders={"sources": self._list()},
        )

    async def async_step_energy_remove(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Take out of the Energy dashboard what was added, after a confirmation."""
        names = [str(source.get("name", source["type"])) for source in await async_added(self.hass, self.config_entry)]
        listed = "\n".join(f"- {name}" for name in names)
        if user_input is None:
            return self.async_show_form(step_id="energy_remove", description_placeholders={"sources": listed})
        try:
            await async_take_out(self.hass, self.config_entry)
        except NotSupportedError as error:
            return self.async_abort(reason="energy_failed", description_placeholders={"error": str(error)})
        return self.async_abort(reason="energy_removed")

    async def async_step_open_dashboard(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Link to the dashboard, or tell how to add it."""
        if (path := await async_dashboard_path(self.hass)) is None:
            return self.async_abort(
                reason="dashboard_new", description_placeholders={"url": "/config/lovelace/dashboards"}
            )
        return self.async_abort(reason="dashboard_here", description_placeholders={"url": f"/{path}"})

    async def _async_wait_for_entities(self) -> None:
        try:
            async with asyncio.timeout(_FIRST_POLL_SECONDS):
                await self.config_entry.runtime_data.async_wait_for_first_poll()
        except TimeoutError:
            return

    async def _async_add(self, user_input: Mapping[str, Any]) -> ConfigFlowResult:
        prices = Prices(
            imported=user_input.get(CONF_IMPORT_PRICE),
            imported_entity=user_input.get(CONF_IMPORT_PRICE_ENTITY),
            exported=user_input.get(CONF_EXPORT_PRICE),
            exported_entity=user_input.get(CONF_EXPORT_PRICE_ENTITY),
        )
        capacity = user_input.get(CONF_CAPACITY)
        try:
            await async_add(self.hass, self.config_entry, self._additions, prices, capacity)
        except NotSupportedError:
            return self.async_abort(
                reason="energy_by_hand",
                description_placeholders={"sources": self._list(), "url": "/config/energy"},
            )
        return self.async_abort(
            reason="energy_added", description_placeholders={"sources": self._list(), "url": "/energy"}
        )

    def _schema(self) -> vol.Schema:
        """Return the fields: prices if a grid is added, a capacity if just one battery is."""
        types = [each.type for each in self._additions]
        currency = f"{self.hass.config.currency}/{UnitOfEnergy.KILO_WATT_HOUR}"
        fields: dict[vol.Marker, Any] = {}
        if "grid" in types:
            for price, entity in _PRICE_FIELDS:
                fields[vol.Optional(price)] = _number(currency)
                fields[vol.Optional(entity)] = _PRICE_ENTITY
        if types.count("battery") == 1:
            fields[vol.Optional(CONF_CAPACITY)] = _number(UnitOfEnergy.KILO_WATT_HOUR, 0.01)
        return vol.Schema(fields)

    def _list(self) -> str:
        """Return the additions as a list: each station, its sources and their sensors."""
        lines: list[str] = []
        for station in dict.fromkeys(each.station for each in self._additions):
            lines.append(f"**{station}**")
            for each in self._additions:
                if each.station == station:
                    sensors = ", ".join(self._sensor_name(sensor) for sensor in each.sensors.values())
                    lines.append(f"- {each.name.removeprefix(f'{station}: ')}: {sensors}")
            lines.append("")
        return "\n".join(lines).strip()

    def _sensor_name(self, entity_id: str) -> str:
        state = self.hass.states.get(entity_id)
        name = entity_id if state is None else state.name
        stations = {each.station for each in self._additions}
        return next((name.removeprefix(f"{each} ") for each in stations if name.startswith(f"{each} ")), name)


_PRICE_FIELDS: Final = (
    (CONF_IMPORT_PRICE, CONF_IMPORT_PRICE_ENTITY),
    (CONF_EXPORT_PRICE, CONF_EXPORT_PRICE_ENTITY),
)


def _number(unit: str, lowest: float = 0) -> NumberSelector:
    return NumberSelector(
        NumberSelectorConfig(min=lowest, step="any", unit_of_measurement=unit, mode=NumberSelectorMode.BOX)
    )


def _price_errors(user_input: Mapping[str, Any]) -> dict[str, str]:
    """Return an error for each price that is both a number and an entity."""
    return {entity: "price_twice" for price, entity in _PRICE_FIELDS if price in user_input and entity in user_input}
