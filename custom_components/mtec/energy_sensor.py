"""Energy sensors of stations and inverters, as the Energy dashboard takes them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.const import UnitOfEnergy
from homeassistant.core import callback
from homeassistant.helpers.restore_state import ExtraStoredData, RestoredExtraData, RestoreEntity
from homeassistant.util import dt as dt_util

from .coordinator import EnergyBalance, MtecCoordinator, Part
from .counter import Counter, ResetCycle
from .energies import dated_readings, has_dated_readings
from .entity import MtecEntity, MtecEntityDescription
from .history.healing import fills_gaps
from .models import Energies, InverterReading, StationReading
from .presence import is_present


@dataclass(frozen=True, kw_only=True)
class MtecEnergyDescription[ReadingT](SensorEntityDescription, MtecEntityDescription[ReadingT]):
    """An energy in kWh: `value_fn` finds it in a reading, `row_energy` names the field of the rows that have it.

    `measured_fn` returns when the reading was measured, None if the source does not say.
    """

    cycle: ResetCycle
    value_fn: Callable[[ReadingT], float | None] = lambda _: None
    measured_fn: Callable[[ReadingT], datetime | None] = lambda _: None
    row_energy: str | None = None


def energy[ReadingT](
    key: str, cycle: ResetCycle, value_fn: Callable[[ReadingT], float | None], **more: Any
) -> MtecEnergyDescription[ReadingT]:
    """Return the description of an energy in kWh."""
    return MtecEnergyDescription(
        key=key,
        translation_key=key,
        device_class=SensorDeviceClass.ENERGY,
        native_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        state_class=SensorStateClass.TOTAL_INCREASING if cycle is ResetCycle.NEVER else SensorStateClass.TOTAL,
        suggested_display_precision=2,
        cycle=cycle,
        value_fn=value_fn,
        **more,
    )


def _in_rows(name: str) -> MtecEnergyDescription[StationReading]:
    """Return an energy that only the rows have."""
    return energy(f"{name}_today", ResetCycle.DAY, lambda _: None, row_energy=name)


STATION_ENERGIES: tuple[MtecEnergyDescription[StationReading], ...] = (
    energy("pv_energy_today", ResetCycle.DAY, lambda reading: reading.pv_energy_today, row_energy="pv"),
    energy("pv_energy_this_month", ResetCycle.MONTH, lambda reading: reading.pv_energy_this_month, row_energy="pv"),
    energy("pv_energy_this_year", ResetCycle.YEAR, lambda reading: reading.pv_energy_this_year, row_energy="pv"),
    energy("pv_energy_total", ResetCycle.NEVER, lambda reading: reading.pv_energy_total),
    _in_rows("grid_import"),
    _in_rows("grid_export"),
    _in_rows("battery_charge"),
    _in_rows("battery_discharge"),
    _in_rows("consumption"),
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
        ResetCycle.DAY,
        lambda reading: value_fn(reading.today),
        measured_fn=lambda reading: reading.measured,
        entity_registry_enabled_default=False,
    )


def _total(key: str, value_fn: Callable[[Energies], float | None]) -> MtecEnergyDescription[InverterReading]:
    return energy(f"{key}_total", ResetCycle.NEVER, lambda reading: value_fn(reading.total))


INVERTER_ENERGIES: tuple[MtecEnergyDescription[InverterReading], ...] = tuple(
    description(key, value_fn) for description in (_today, _total) for key, value_fn in _INVERTER_COUNTERS.items()
)


class MtecEnergySensor[ReadingT](MtecEntity[ReadingT], SensorEntity, RestoreEntity):
    """An energy, counted so that wrong readings change neither the sensor nor its statistics."""

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
        self._counter = Counter(cycle=description.cycle)
        self._shown_at: datetime | None = None

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
        if start is None or self.entity_description.cycle is ResetCycle.NEVER:
            return None
        return datetime.combine(start, time(), dt_util.get_default_time_zone())

    @property
    @override
    def extra_restore_state_data(self) -> ExtraStoredData:
        return RestoredExtraData(self._counter.as_dict())

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        if (stored := await self.async_get_last_extra_data()) is not None:
            self._counter.restore(stored.as_dict())
        self._count()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._count()
        if self.available:
            self._shown_at = dt_util.utcnow()
        self.async_write_ha_state()

    @callback
    def _count(self) -> None:
        self._counter.update_all(self._readings())

    def _readings(self) -> Iterator[tuple[float, datetime, date | None]]:
        """Return readings in kWh with the time at which they were asked for, and their day if the source gives it.

        While a source gives the day, a reading without one does not count: it may be old.
        """
        part, energy_name = self._balance, self.entity_description.row_energy
        if part is None or part.reading is None or part.read_at is None or energy_name is None:
            return self._undated_readings()
        at, query = (
            dt_util.as_local(part.read_at),
            (part.reading.rows, part.reading.day, self._counter.cycle, energy_name),
        )
        if not has_dated_readings(*query):
            return self._undated_readings()
        return (
            (reading, at, day)
            for reading, day in dated_readings(*query)
            if day == part.reading.day or not self._is_left_to_history(day)
        )

    def _is_left_to_history(self, day: date) -> bool:
        """Return whether the rest of a day that is over is filled into its own hours, as nothing was shown in the last.

        Counted now, it would be energy of today.
        """
        shown = self._shown_at or self._counter.accepted
        if shown is None or self._counter.cycle is not ResetCycle.DAY or self.registry_entry is None:
            return False
        midnight = datetime.combine(day + timedelta(days=1), time(), dt_util.get_default_time_zone())
        is_away = shown < midnight - timedelta(hours=1)
        return is_away and fills_gaps(self.hass, self.coordinator.config_entry, self.entity_id)

    def _undated_readings(self) -> Iterator[tuple[float, datetime, date | None]]:
        part, description = self.part, self.entity_description
        if part.reading is None or part.read_at is None or (value := description.value_fn(part.reading)) is None:
            return
        measured = description.measured_fn(part.reading)
        day = None if measured is None else dt_util.as_local(measured).date()
        yield value, dt_util.as_local(part.read_at), day


def _is_supported(
    description: MtecEnergyDescription[Any], part: Part[Any], balance: Part[EnergyBalance] | None = None
) -> bool:
    """Return whether the plant has the energy: without the hardware the portal has no value, or always reports 0."""
    if part.reading is not None and description.value_fn(part.reading) is not None:
        return True
    if balance is None or balance.reading is None or description.row_energy is None:
        return False
    return is_present(description.row_energy, balance.reading.rows.values(), part.reading) and has_dated_readings(
        balance.reading.rows, balance.reading.day, description.cycle, description.row_energy
    )


def discover_energies(coordinator: MtecCoordinator) -> Iterator[MtecEnergySensor[Any]]:
    """Yield the energies that have a value."""
    for id_, station in coordinator.data.stations.items():
        balance = coordinator.data.balances[id_]
        for description in STATION_ENERGIES:
            if _is_supported(description, station, balance):
                yield MtecEnergySensor(coordinator, station, description, balance)
    for inverter in coordinator.data.inverters.values():
        for inverter_description in INVERTER_ENERGIES:
            if _is_supported(inverter_description, inverter):
                yield MtecEnergySensor(coordinator, inverter, inverter_description)
