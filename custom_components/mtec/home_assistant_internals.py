"""What is used of Home Assistant beyond what it promises to integrations, with what happens when that is gone.

Its recorder and its Energy dashboard may change with any version. A name that they lack makes one feature unsupported:
`check_supported` raises then, and nothing of that feature may be used. All else goes on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from homeassistant.const import __version__
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util import dt as dt_util
from sqlalchemy import func, select
import voluptuous as vol

from .const import DOMAIN, LOGGER


class Feature(StrEnum):
    """What cannot do without such names."""

    IMPORT = "import"
    COSTS = "costs"
    ENERGY_DASHBOARD = "energy_dashboard"


_LACKING: Final[dict[Feature, str]] = {}
"""The features that this version does not support, and what they lack."""

try:
    from homeassistant.components.recorder import Recorder, get_instance, is_entity_recorded
    from homeassistant.components.recorder.db_schema import Statistics, StatisticsShortTerm
    from homeassistant.components.recorder.models import StatisticData, StatisticMetaData
    from homeassistant.components.recorder.statistics import async_import_statistics, get_metadata
    from homeassistant.components.recorder.tasks import SynchronizeTask
    from homeassistant.components.recorder.util import session_scope
    from homeassistant.const import EVENT_RECORDER_5MIN_STATISTICS_GENERATED

    for _method in ("async_add_executor_job", "async_adjust_statistics", "queue_task"):
        getattr(Recorder, _method)
except (AttributeError, ImportError) as error:
    _LACKING[Feature.IMPORT] = str(error)

try:
    from homeassistant.components.energy import async_get_manager
except ImportError as error:
    _LACKING[Feature.COSTS] = str(error)

try:
    from homeassistant.components.energy.data import ENERGY_SOURCE_SCHEMA
except ImportError as error:
    _LACKING[Feature.ENERGY_DASHBOARD] = str(error)

if Feature.IMPORT not in _LACKING:
    _TABLES: Final[Mapping[str, type[Statistics | StatisticsShortTerm]]] = {
        "hour": Statistics,
        "5minute": StatisticsShortTerm,
    }
_LATE: Final = 600.0
"""Seconds after its end from which a row was not written in time: Home Assistant needs some ten seconds."""

_NOT_SUPPORTED: Final = {
    Feature.IMPORT: "import_not_supported",
    Feature.COSTS: "costs_not_supported",
    Feature.ENERGY_DASHBOARD: "energy_dashboard_not_supported",
}

for _feature, _lacking in _LACKING.items():
    LOGGER.warning("Home Assistant %s does not support %s of history: %s", __version__, _feature, _lacking)


class NotSupportedError(HomeAssistantError):
    """The running version of Home Assistant lacks what a feature needs."""

    def __init__(self, feature: Feature) -> None:
        super().__init__(
            translation_domain=DOMAIN,
            translation_key=_NOT_SUPPORTED[feature],
            translation_placeholders={"version": __version__},
        )


@callback
def is_supported(feature: Feature) -> bool:
    """Return whether this version of Home Assistant has what a feature needs."""
    return feature not in _LACKING


@callback
def check_supported(feature: Feature) -> None:
    """Raise NotSupportedError if this version of Home Assistant lacks what a feature needs."""
    if not is_supported(feature):
        raise NotSupportedError(feature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was recorded from `start` until `end` (UTC): a sensor's state, since when that counts, and the sum.

    `last_reset` is None if the sensor tells none. `is_late` is whether the row was written long after its end: by an
    import, or by Home Assistant for the time that it was off.
    """

    start: datetime
    end: datetime
    state: float
    sum: float
    last_reset: datetime | None
    is_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanRow:
    """An hour from `start` (UTC) on of a sensor without sums: its mean, lowest and highest value."""

    start: datetime
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True, eq=False)
class Statistic:
    """The statistics that the recorder keeps of one sensor.

    `first_start`, `last_start` and `rows` are to be called in the recorder's executor.
    """

    hass: HomeAssistant
    _id: int
    _metadata: StatisticMetaData

    @property
    def id(self) -> str:
        """The statistic id: that of the entity."""
        return self._metadata["statistic_id"]

    @property
    def unit(self) -> str | None:
        """The unit of the rows: that in which Home Assistant began to record."""
        return self._metadata["unit_of_measurement"]

    def first_start(self, period: Literal["hour", "5minute"]) -> datetime | None:
        """Return the start of the first row, None if there is none."""
        table = _TABLES[period]
        with session_scope(hass=self.hass, read_only=True) as session:
            first = session.execute(select(func.min(table.start_ts)).where(table.metadata_id == self._id)).scalar()
        return None if first is None else dt_util.utc_from_timestamp(first)

    def last_start(self, period: Literal["hour", "5minute"], before: datetime) -> datetime | None:
        """Return the start of the last row that begins before a moment, None if there is none."""
        table = _TABLES[period]
        query = select(func.max(table.start_ts)).where(
            table.metadata_id == self._id, table.start_ts < before.timestamp()
        )
        with session_scope(hass=self.hass, read_only=True) as session:
            last = session.execute(query).scalar()
        return None if last is None else dt_util.utc_from_timestamp(last)

    def rows(self, start: datetime, end: datetime, period: Literal["hour", "5minute"]) -> list[Row]:
        """Return the rows with a sum that begin from `start` until before `end`."""
        table = _TABLES[period]
        query = (
            select(table.start_ts, table.state, table.sum, table.last_reset_ts, table.created_ts)
            .where(table.metadata_id == self._id, table.start_ts >= start.timestamp(), table.start_ts < end.timestamp())
            .where(table.state.is_not(None), table.sum.is_not(None))
            .order_by(table.start_ts)
        )
        with session_scope(hass=self.hass, read_only=True) as session:
            found = session.execute(query).all()
        duration = table.duration.total_seconds()
        return [
            Row(
                start=dt_util.utc_from_timestamp(begin),
                end=dt_util.utc_from_timestamp(begin + duration),
                state=state,
                sum=sum_,
                last_reset=None if reset is None else dt_util.utc_from_timestamp(reset),
                is_late=created is not None and created > begin + duration + _LATE,
            )
            for begin, state, sum_, reset, created in found
        ]

    @callback
    def async_import(self, hours: Sequence[Row]) -> None:
        """Have rows of hours written. They are there when `async_recorded` returns."""
        rows = [
            StatisticData(start=hour.start, state=hour.state, sum=hour.sum, last_reset=hour.last_reset)
            for hour in hours
        ]
        async_import_statistics(self.hass, self._metadata, rows)

    @callback
    def async_import_means(self, hours: Sequence[MeanRow]) -> None:
        """Have hours of a sensor without sums written. They are there when `async_recorded` returns."""
        rows = [StatisticData(start=hour.start, mean=hour.mean, min=hour.lowest, max=hour.highest) for hour in hours]
        async_import_statistics(self.hass, self._metadata, rows)

    @callback
    def async_raise_sums(self, start: datetime, rise: float) -> None:
        """Have the sums from `start` on raised. They are when `async_recorded` returns."""
        get_instance(self.hass).async_adjust_statistics(self.id, start, rise, self.unit or "")


async def async_statistics(
    hass: HomeAssistant, statistic_ids: set[str], *, with_sums: bool = True
) -> dict[str, Statistic]:
    """Return the statistics with sums, or those without, that Home Assistant has begun, by statistic id."""

    def read() -> dict[str, tuple[int, StatisticMetaData]]:
        return get_metadata(hass, statistic_ids=statistic_ids)

    found = await async_in_recorder(hass, read)
    return {
        id_: Statistic(hass, number, metadata)
        for id_, (number, metadata) in found.items()
        if metadata["has_sum"] is with_sums
    }


async def async_in_recorder[ResultT](hass: HomeAssistant, job: Callable[[], ResultT]) -> ResultT:
    """Run what reads from the database in the recorder's executor."""
    return await get_instance(hass).async_add_executor_job(job)


async def async_recorded(hass: HomeAssistant) -> None:
    """Wait until the recorder has done all it was told."""
    done: asyncio.Future[None] = hass.loop.create_future()
    get_instance(hass).queue_task(SynchronizeTask(done))
    await done


@callback
def is_recorded(hass: HomeAssistant, entity_id: str) -> bool:
    """Return whether the person lets Home Assistant record an entity."""
    return is_entity_recorded(hass, entity_id)


@callback
def async_listen_to_statistics(hass: HomeAssistant, action: Callable[[], None]) -> CALLBACK_TYPE:
    """Call `action` whenever Home Assistant has written the rows of five minutes. Return what ends that."""

    @callback
    def written(_: Event[Any]) -> None:
        action()

    return hass.bus.async_listen(EVENT_RECORDER_5MIN_STATISTICS_GENERATED, written)


async def async_energy_sources_reader(hass: HomeAssistant) -> Callable[[], Sequence[Mapping[str, Any]]]:
    """Return what returns the sources of the Energy dashboard of that moment, none if they cannot be read."""
    if not is_supported(Feature.COSTS):
        return list
    manager = await async_get_manager(hass)
    return lambda: [] if manager.data is None else manager.data["energy_sources"]


async def async_energy_sources(hass: HomeAssistant) -> Sequence[Mapping[str, Any]]:
    """Return the sources of the Energy dashboard."""
    return (await async_energy_sources_reader(hass))()


async def async_set_energy_sources(hass: HomeAssistant, sources: Sequence[Mapping[str, Any]]) -> None:
    """Replace the sources of the Energy dashboard. Raises NotSupportedError if it does not know such sources."""
    check_supported(Feature.ENERGY_DASHBOARD)
    check_supported(Feature.COSTS)
    changed: Any = [dict(source) for source in sources]
    try:
        # The manager stores whatever it is given.
        ENERGY_SOURCE_SCHEMA(changed)
        await (await async_get_manager(hass)).async_update({"energy_sources": changed})  # type: ignore[typeddict-item]
    except (AttributeError, KeyError, TypeError, ValueError, vol.Invalid) as error:
        LOGGER.warning("The Energy dashboard of Home Assistant %s refuses its sources: %s", __version__, error)
        raise NotSupportedError(Feature.ENERGY_DASHBOARD) from error


@callback
def async_cost_sensors(hass: HomeAssistant) -> Mapping[str, str]:
    """Return the Energy dashboard's sensors of costs, by the statistic id of the energy. Raises NotSupportedError."""
    sensors = hass.data["energy"].get("cost_sensors")
    if not isinstance(sensors, dict):
        raise NotSupportedError(Feature.COSTS)
    return sensors
