"""The energies of stations and inverters: counters that the Energy dashboard takes as they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import UnitOfEnergy
from homeassistant.core import callback
from homeassistant.helpers.restore_state import ExtraStoredData, RestoredExtraData, RestoreEntity
from homeassistant.util import dt as dt_util

from .coordinator import EnergyBalance, MtecCoordinator, Part
from .counter import Counter, Period
from .entity import MtecEntity, MtecEntityDescription
from .portal import Energies, InverterReading, StationReading, UsageRow


@dataclass(frozen=True, kw_only=True)
class MtecEnergyDescription[ReadingT](SensorEntityDescription, MtecEntityDescription[ReadingT]):
    """An energy: in the readings, in the rows of the energy balance, or in both.

    `life_fn` is the energy of the plant's life in the same reading: one that is less than it was before, or missing,
    says that the reading is not of now.
    """

    value_fn: Callable[[ReadingT], float | None] = lambda _: None
    life_fn: Callable[[ReadingT], float | None] | None = None
    row_fn: Callable[[UsageRow], float | None] = lambda _: None
    period: Period


def energy[ReadingT](
    key: str, period: Period, value_fn: Callable[[ReadingT], float | None], **more: Any
) -> MtecEnergyDescription[ReadingT]:
    """Return the description of an energy in kWh."""
    return MtecEnergyDescription(
        key=key,
        translation_key=key,
        device_class=SensorDeviceClass.ENERGY,
        native_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        state_class=SensorStateClass.TOTAL_INCREASING if period is Period.LIFE else SensorStateClass.TOTAL,
        suggested_display_precision=2,
        period=period,
        value_fn=value_fn,
        **more,
    )


def _in_rows(key: str, row_fn: Callable[[UsageRow], float | None]) -> MtecEnergyDescription[StationReading]:
    return energy(key, Period.DAY, lambda _: None, row_fn=row_fn)


def _pv_energy_total(reading: StationReading) -> float | None:
    return reading.pv_energy_total


STATION_ENERGIES: tuple[MtecEnergyDescription[StationReading], ...] = (
    energy(
        "pv_energy_today",
        Period.DAY,
        lambda reading: reading.pv_energy_today,
        life_fn=_pv_energy_total,
        row_fn=lambda row: row.pv,
    ),
    energy(
        "pv_energy_this_month", Period.MONTH, lambda reading: reading.pv_energy_this_month, life_fn=_pv_energy_total
    ),
    energy("pv_energy_this_year", Period.YEAR, lambda reading: reading.pv_energy_this_year, life_fn=_pv_energy_total),
    energy("pv_energy_total", Period.LIFE, _pv_energy_total),
    _in_rows("grid_import_today", lambda row: row.grid_import),
    _in_rows("grid_export_today", lambda row: row.grid_export),
    _in_rows("battery_charge_today", lambda row: row.battery_charge),
    _in_rows("battery_discharge_today", lambda row: row.battery_discharge),
    _in_rows("consumption_today", lambda row: row.consumption),
)


_INVERTER_COUNTERS: dict[str, Callable[[Energies], float | None]] = {
    "pv_energy": lambda energies: energies.pv,
    "grid_import": lambda energies: energies.grid_import,
    "grid_export": lambda energies: energies.grid_export,
    "battery_charge": lambda energies: energies.battery_charge,
    "battery_discharge": lambda energies: energies.battery_discharge,
    "consumption": lambda energies: energies.consumption,
    "backup": lambda energies: energies.backup,
}


def _today(key: str, value_fn: Callable[[Energies], float | None]) -> MtecEnergyDescription[InverterReading]:
    """Return an energy of an inverter, which a station has too: disabled at first."""
    return energy(
        f"{key}_today",
        Period.DAY,
        lambda reading: value_fn(reading.today),
        life_fn=lambda reading: value_fn(reading.total),
        entity_registry_enabled_default=False,
    )


def _total(key: str, value_fn: Callable[[Energies], float | None]) -> MtecEnergyDescription[InverterReading]:
    return energy(f"{key}_total", Period.LIFE, lambda reading: value_fn(reading.total))


INVERTER_ENERGIES: tuple[MtecEnergyDescription[InverterReading], ...] = tuple(
    description(key, value_fn) for description in (_today, _total) for key, value_fn in _INVERTER_COUNTERS.items()
)


class MtecEnergySensor[ReadingT](MtecEntity[ReadingT], SensorEntity, RestoreEntity):
    """An energy, counted so that nothing the portal says wrongly for a while is shown."""

    entity_description: MtecEnergyDescription[ReadingT]

    def __init__(
        self,
        coordinator: MtecCoordinator,
        part: Part[ReadingT],
        description: MtecEnergyDescription[ReadingT],
        balance: Part[EnergyBalance] | None = None,
    ) -> None:
        super().__init__(coordinator, part, description)
        self._balance = balance
        self._counter = Counter(period=description.period)
        self._life = Counter(period=Period.LIFE)

    @property
    @override
    def available(self) -> bool:
        parts: tuple[Part[Any] | None, ...] = (self.part, self._balance)
        return self.coordinator.last_update_success and any(
            part is not None and part.reading is not None for part in parts
        )

    @property
    @override
    def native_value(self) -> float | None:
        return self._counter.value

    @property
    @override
    def last_reset(self) -> datetime | None:
        start = self._counter.start
        if start is None or self.entity_description.period is Period.LIFE:
            return None
        return datetime.combine(start, time(), dt_util.get_default_time_zone())

    @property
    @override
    def extra_restore_state_data(self) -> ExtraStoredData:
        return RestoredExtraData({**self._counter.as_dict(), "life": self._life.as_dict()})

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        if (stored := await self.async_get_last_extra_data()) is not None:
            self._counter.restore(data := stored.as_dict())
            self._life.restore(data.get("life") or {})
        self._count()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._count()
        self.async_write_ha_state()

    @callback
    def _count(self) -> None:
        """Count what the portal tells. Where that completes yesterday, today begins at the next poll.

        Each of the two is a state of its own, and two states of one moment have no order.
        """
        now, counter = dt_util.now(), self._counter
        for told, day in self._told():
            if told is None:
                continue
            start, value = counter.start, counter.value
            counter.tell(told, now, day=day)
            if day is not None and counter.start == start == day < now.date() and counter.value != value:
                break

    def _told(self) -> Iterator[tuple[float | None, date | None]]:
        """Yield the energies that the portal tells, each with its day where the portal says of which day it is."""
        if self._balance is not None and (balance := self._balance.reading) is not None:
            rows = (balance.yesterday, balance.today)
            yield from ((self.entity_description.row_fn(row), row.start) for row in rows if row is not None)
        if self.part.reading is not None and self._is_of_now(self.part.reading):
            yield self.entity_description.value_fn(self.part.reading), None

    def _is_of_now(self, reading: ReadingT) -> bool:
        """Return whether nothing says that a reading is not of now."""
        if self.entity_description.life_fn is None:
            return True
        life = self.entity_description.life_fn(reading)
        return self._life.value is None if life is None else self._life.tell(life, dt_util.now())


def _has_value(description: MtecEnergyDescription[Any], part: Part[Any], balance: Part[EnergyBalance] | None) -> bool:
    """Return whether the portal knows the energy: what the hardware lacks it never does."""
    rows = () if balance is None or balance.reading is None else (balance.reading.today, balance.reading.yesterday)
    return any(row is not None and description.row_fn(row) is not None for row in rows) or (
        part.reading is not None and description.value_fn(part.reading) is not None
    )


def discover_energies(coordinator: MtecCoordinator) -> Iterator[MtecEnergySensor[Any]]:
    """Yield the energies that have a value."""
    for id_, station in coordinator.data.stations.items():
        balance = coordinator.data.balances[id_]
        for description in STATION_ENERGIES:
            if _has_value(description, station, balance):
                yield MtecEnergySensor(coordinator, station, description, balance)
    for inverter in coordinator.data.inverters.values():
        for inverter_description in INVERTER_ENERGIES:
            if _has_value(inverter_description, inverter, None):
                yield MtecEnergySensor(coordinator, inverter, inverter_description)
