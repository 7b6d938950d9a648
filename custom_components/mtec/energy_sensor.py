"""The energy sensors of stations and inverters, for the Energy dashboard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.const import UnitOfEnergy
from homeassistant.core import callback
from homeassistant.helpers.restore_state import ExtraStoredData, RestoredExtraData, RestoreEntity
from homeassistant.util import dt as dt_util

from .coordinator import MtecCoordinator, is_over
from .counter import Counter, ResetCycle
from .energies import (
    ENERGIES,
    PV,
    DailyEnergies,
    Energy,
    LifetimeEnergies,
    dated_readings,
    has_dated_readings,
    is_supported,
)
from .entity import Discovery, MtecEntity, MtecEntityDescription
from .history.healing import fills_gaps
from .home import Home
from .models import Energies, InverterReading, StationReading

_MADE_UP_IN_TIME: Final = timedelta(minutes=20)
"""How long after an hour a row that Home Assistant makes up of it looks as if it was recorded, and some minutes."""
_DATED_LATELY: Final = timedelta(hours=6)
"""For how long readings with a date are waited for while the source gives none: one without may be of yesterday."""


_PRECISION: Final = {ResetCycle.DAY: 2, ResetCycle.MONTH: 1, ResetCycle.YEAR: 0, ResetCycle.NEVER: 0}
"""The number of decimals of an energy: the portal reports those above a thousand kWh as whole ones."""


@dataclass(frozen=True, kw_only=True)
class MtecEnergyDescription[DataT](SensorEntityDescription, MtecEntityDescription[DataT]):
    """An energy in kWh. `value_fn` returns it from a reading, `row_energy` is its row in the table of energies.

    `measured_fn` returns when a reading was measured, None if the source does not report that.
    """

    cycle: ResetCycle
    value_fn: Callable[[DataT], float | None] = lambda _: None
    measured_fn: Callable[[DataT], datetime | None] = lambda _: None
    row_energy: Energy | None = None


def energy[DataT](
    key: str, cycle: ResetCycle, value_fn: Callable[[DataT], float | None], **more: Any
) -> MtecEnergyDescription[DataT]:
    """Return the description of an energy in kWh."""
    return MtecEnergyDescription(
        key=key,
        translation_key=key,
        device_class=SensorDeviceClass.ENERGY,
        native_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        state_class=SensorStateClass.TOTAL_INCREASING if cycle is ResetCycle.NEVER else SensorStateClass.TOTAL,
        suggested_display_precision=_PRECISION[cycle],
        cycle=cycle,
        value_fn=value_fn,
        **more,
    )


STATION_ENERGIES: tuple[MtecEnergyDescription[StationReading], ...] = (
    energy("pv_energy_today", ResetCycle.DAY, lambda reading: reading.pv_energy_today, row_energy=PV),
    energy("pv_energy_this_month", ResetCycle.MONTH, lambda reading: reading.pv_energy_this_month, row_energy=PV),
    energy("pv_energy_this_year", ResetCycle.YEAR, lambda reading: reading.pv_energy_this_year, row_energy=PV),
    energy("pv_energy_total", ResetCycle.NEVER, lambda reading: reading.pv_energy_total),
    # These are not in a reading of the station, only in its daily energies.
    *(energy(each.key, ResetCycle.DAY, lambda _: None, row_energy=each) for each in ENERGIES if each is not PV),
)


def _of_all_years(row_energy: Energy) -> MtecEnergyDescription[LifetimeEnergies]:
    key = f"{row_energy.key.removesuffix('_today')}_total"
    return energy(key, ResetCycle.NEVER, lambda energies: energies.total(row_energy), row_energy=row_energy)


# The total of the PV energy is in a reading of the station.
_LIFETIME_ENERGIES = tuple(_of_all_years(each) for each in ENERGIES if each is not PV)


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
    """Return an energy of an inverter today, which its station has too."""
    return energy(
        f"{key}_today",
        ResetCycle.DAY,
        lambda reading: value_fn(reading.today),
        measured_fn=lambda reading: reading.measured,
        in_station=True,
    )


def _total(key: str, value_fn: Callable[[Energies], float | None]) -> MtecEnergyDescription[InverterReading]:
    return energy(f"{key}_total", ResetCycle.NEVER, lambda reading: value_fn(reading.total))


INVERTER_ENERGIES: tuple[MtecEnergyDescription[InverterReading], ...] = tuple(
    description(key, value_fn) for description in (_today, _total) for key, value_fn in _INVERTER_COUNTERS.items()
)


class MtecEnergySensor[DataT](MtecEntity[DataT], SensorEntity, RestoreEntity):
    """An energy. Its counter keeps wrong readings out of the state and the statistics."""

    entity_description: MtecEnergyDescription[DataT]

    def __init__(
        self,
        home: Home,
        coordinator: MtecCoordinator[DataT],
        description: MtecEnergyDescription[DataT],
        daily_energies: MtecCoordinator[DailyEnergies] | None = None,
    ) -> None:
        self._daily_energies = daily_energies
        self._counter = Counter(cycle=description.cycle)
        self._fetched_at = coordinator.fetched_at
        super().__init__(home, coordinator, description, () if daily_energies is None else (daily_energies,))
        self._shown_at: datetime | None = None
        self._dated_at: datetime | None = None
        self._added_at = dt_util.utcnow()

    @property
    @override
    def available(self) -> bool:
        daily = self._daily_energies
        if daily is None:
            return self.coordinator.last_update_success
        # What a station takes from its inverters in the network has no energies.
        return daily.last_update_success or self.coordinator.fetched_at is not None

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
        if (stored := await self.async_get_last_extra_data()) is not None:
            self._counter.restore(stored.as_dict())
        await super().async_added_to_hass()

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        daily, fetched_at = self._daily_energies, self.coordinator.fetched_at
        is_live_alone = self.coordinator.has_preferred and fetched_at == self._fetched_at
        self._fetched_at = fetched_at
        if daily is not None and (is_live_alone or not self.coordinator.last_update_success):
            # What a station takes from its inverters in the network has no energies. It may come between the portal's
            # live values and its daily energies: what is shown is then still old.
            if not (self.available and daily.is_due):
                self._write_if_changed()
        elif daily is None or not daily.is_due:
            # If the daily energies are due in this poll, they come first: they tell of which day they are.
            super()._handle_coordinator_update()

    @callback
    @override
    def _handle_other_update(self) -> None:
        super()._handle_coordinator_update()

    @callback
    @override
    def _update_value(self) -> None:
        self._counter.update_all(self._readings())

    @callback
    @override
    def _write_if_changed(self) -> None:
        super()._write_if_changed()
        if self.available:
            self._shown_at = dt_util.utcnow()

    @override
    def _shown(self) -> object:
        return self.available, self.native_value, self.last_reset

    def _readings(self) -> Iterator[tuple[float, datetime, date | None]]:
        """Yield readings in kWh, each with the time it was asked for, and its day if the source reports it."""
        if daily := [*self._readings_by_day()]:
            self._dated_at = dt_util.utcnow()
            yield from daily
            return
        if not is_over(self._dated_at, _DATED_LATELY):
            return
        description, coordinator = self.entity_description, self.coordinator
        reading, read_at = coordinator.reading, coordinator.read_at
        if reading is None or read_at is None:
            return
        if (value := description.value_fn(reading)) is not None:
            measured = description.measured_fn(reading)
            day = None if measured is None else dt_util.as_local(measured).date()
            yield value, dt_util.as_local(read_at), day

    def _readings_by_day(self) -> Iterator[tuple[float, datetime, date]]:
        """Yield readings from the daily energies, none if they do not have this energy."""
        row_energy, daily = self.entity_description.row_energy, self._daily_energies
        if row_energy is None or daily is None or daily.reading is None or daily.read_at is None:
            return
        query = (row_energy, daily.reading.rows, daily.reading.day, self.entity_description.cycle)
        if has_dated_readings(*query):
            at = dt_util.as_local(daily.read_at)
            today = daily.reading.day
            yield from (
                (value, at, day)
                for value, day in dated_readings(*query)
                if day == today or not self._is_left_to_history(day)
            )

    def _is_left_to_history(self, day: date) -> bool:
        """Return whether the rest of a day that is over is filled into its own hours, as nothing was shown in the last.

        Counted now, it would be energy of today.
        """
        shown = self._shown_at or self._counter.accepted
        if shown is None or self._counter.cycle is not ResetCycle.DAY:
            return False
        midnight = datetime.combine(day + timedelta(days=1), time(), dt_util.get_default_time_zone())
        # Rarely polled it is shown all the same.
        was_away = shown < midnight - timedelta(hours=1) - self._home.interval
        # A start so soon after midnight writes the row of the last hour as if Home Assistant had been on.
        has_gap = not midnight <= self._added_at < midnight + _MADE_UP_IN_TIME
        return was_away and has_gap and fills_gaps(self.hass, self._home.config_entry, self.entity_id)


def _is_supported(
    description: MtecEnergyDescription[Any],
    coordinator: MtecCoordinator[Any],
    daily_energies: MtecCoordinator[DailyEnergies] | None = None,
) -> bool:
    """Return whether the plant has an energy. Without the hardware there is no value, or it is always 0.

    Before the first attempt to read the daily energies it is not known which of them there are.
    """
    if daily_energies is not None and daily_energies.reading is None and daily_energies.error is None:
        return False
    if coordinator.reading is not None and description.value_fn(coordinator.reading) is not None:
        return True
    energies = None if daily_energies is None else daily_energies.reading
    if energies is None or description.row_energy is None:
        return False
    return is_supported(description.row_energy, energies.rows.values(), coordinator.reading) and has_dated_readings(
        description.row_energy, energies.rows, energies.day, description.cycle
    )


def discover_energies(discovery: Discovery) -> Iterator[MtecEnergySensor[Any]]:
    """Yield the energy sensors that a station or an inverter supports and does not have yet."""
    home, id_ = discovery.home, discovery.id
    descriptions: tuple[MtecEnergyDescription[Any], ...] = STATION_ENERGIES
    live: MtecCoordinator[Any] | None = home.station_readings.get(id_)
    if live is None:
        descriptions, live = INVERTER_ENERGIES, home.inverter_readings[id_]
    daily = home.daily_energies.get(id_)
    for description in discovery.new(descriptions, lambda each: _is_supported(each, live, daily)):
        yield MtecEnergySensor(home, live, description, daily)
    if (lifetime := home.lifetime_energies.get(id_)) is not None and (energies := lifetime.reading) is not None:
        reading = home.station_readings[id_].reading
        for total in discovery.new(_LIFETIME_ENERGIES, lambda each: _is_total(each, energies, reading)):
            yield MtecEnergySensor(home, lifetime, total)


def _is_total(
    description: MtecEnergyDescription[LifetimeEnergies], energies: LifetimeEnergies, reading: StationReading | None
) -> bool:
    """Return whether the years report an energy, and the plant has it."""
    row_energy = description.row_energy
    if row_energy is None or energies.total(row_energy) is None:
        return False
    return is_supported(row_energy, energies.rows, reading)
