"""The sensors of how long a station's battery needs at its present power until it is full, and until its reserve."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.const import UnitOfTime
from homeassistant.core import callback

from custom_components.mtec.energy_dashboard import async_capacity
from custom_components.mtec.entity import Discovery, MtecEntity, MtecEntityDescription
from custom_components.mtec.home import Home
from custom_components.mtec.models import StationReading

_IDLE: Final = 50.0
"""W below which a battery does not really charge or discharge: the time would be that of days."""

type Sources = Callable[[], Sequence[Mapping[str, Any]]]
"""Returns the sources of the Energy dashboard, where a person has told the capacity of the battery."""


@dataclass(frozen=True, kw_only=True)
class BatteryTimeDescription(SensorEntityDescription, MtecEntityDescription[StationReading]):
    """A time until the battery has reached `goal_fn(home, station_id)`, a state of charge in %, None if not known.

    `value_fn` returns the power in W with which it goes there, and `left_fn` the % that are left until the goal.
    """

    goal_fn: Callable[[Home, str], float | None]
    left_fn: Callable[[float, float], float]


def _description(
    key: str,
    value_fn: Callable[[StationReading], float | None],
    goal_fn: Callable[[Home, str], float | None],
    left_fn: Callable[[float, float], float],
) -> BatteryTimeDescription:
    return BatteryTimeDescription(
        key=key,
        translation_key=key,
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.HOURS,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=1,
        value_fn=value_fn,
        goal_fn=goal_fn,
        left_fn=left_fn,
    )


@callback
def _reserve(home: Home, station_id: str) -> float | None:
    """Return the reserve in % that is kept on the grid. It is known of a single inverter whose settings are read."""
    ids = [coordinator.id for coordinator in home.inverter_coordinators(station_id)]
    settings = home.settings.get(ids[0]) if len(ids) == 1 else None
    if settings is None or settings.reading is None or not settings.reading.has_reserve_on_grid:
        return None
    return settings.reading.reserve_on_grid


_SENSORS: Final = (
    _description(
        "battery_time_to_full",
        lambda reading: None if reading.battery_power is None else -reading.battery_power,
        lambda home, station_id: 100.0,
        lambda goal, now: goal - now,
    ),
    _description(
        "battery_time_to_reserve", lambda reading: reading.battery_power, _reserve, lambda goal, now: now - goal
    ),
)


class BatteryTimeSensor(MtecEntity[StationReading], SensorEntity):
    """A time in hours, None while the battery does not go there."""

    entity_description: BatteryTimeDescription

    def __init__(self, home: Home, station_id: str, description: BatteryTimeDescription, sources: Sources) -> None:
        super().__init__(home, home.station_readings[station_id], description)
        self._sources = sources

    @callback
    @override
    def _update_value(self) -> None:
        # A time of before is wrong: nothing is kept.
        self.value = self._hours()

    def _hours(self) -> float | None:
        id_, reading = self.coordinator.id, self.coordinator.reading
        if reading is None or reading.state_of_charge is None:
            return None
        capacity = async_capacity(self.hass, self._home.config_entry, id_, self._sources())
        goal = self.entity_description.goal_fn(self._home, id_)
        power = self.entity_description.value_fn(reading)
        if capacity is None or goal is None or power is None or power < _IDLE:
            return None
        left = max(0.0, self.entity_description.left_fn(goal, reading.state_of_charge))
        hours: float = left / 100 * capacity * 1000 / power
        return round(hours, 2)

    @property
    @override
    def native_value(self) -> float | None:
        value: float | None = self.value
        return value


def discover_battery_times(discovery: Discovery, sources: Sources) -> Iterator[BatteryTimeSensor]:
    """Yield the times of a station's battery whose capacity is known."""
    home, id_ = discovery.home, discovery.id
    reading = home.station_readings[id_].reading
    if reading is None or reading.state_of_charge is None or reading.battery_power is None:
        return

    def is_known(description: BatteryTimeDescription) -> bool:
        is_goal_known = description.goal_fn(home, id_) is not None
        return is_goal_known and async_capacity(home.hass, home.config_entry, id_, sources()) is not None

    for description in discovery.new(_SENSORS, is_known):
        yield BatteryTimeSensor(home, id_, description, sources)
