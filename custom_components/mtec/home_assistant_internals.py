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

from .const import DOMAIN, LOGGER


class Feature(StrEnum):
    """What cannot do without such names."""

    IMPORT = "import"
    COSTS = "costs"


_LACKING: Final[dict[Feature, str]] = {}
"""The features that this version does not support, and what they lack."""

try:
    from homeassistant.components.recorder import Recorder, get_instance, is_entity_recorded
    from homeassistant.components.recorder.models import StatisticData, StatisticMetaData
    from homeassistant.components.recorder.statistics import (
        async_import_statistics,
        get_metadata,
        statistics_during_period,
    )
    from homeassistant.components.recorder.tasks import SynchronizeTask
    from homeassistant.const import EVENT_RECORDER_5MIN_STATISTICS_GENERATED

    for _method in ("async_add_executor_job", "async_adjust_statistics", "queue_task"):
        getattr(Recorder, _method)
except (AttributeError, ImportError) as error:
    _LACKING[Feature.IMPORT] = str(error)

try:
    from homeassistant.components.energy import async_get_manager
except ImportError as error:
    _LACKING[Feature.COSTS] = str(error)

_NOT_SUPPORTED: Final = {Feature.IMPORT: "import_not_supported", Feature.COSTS: "costs_not_supported"}

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

    `last_reset` is None if the sensor tells none.
    """

    start: datetime
    end: datetime
    state: float
    sum: float
    last_reset: datetime | None


@dataclass(frozen=True, slots=True)
class Statistic:
    """The statistics that the recorder keeps of one sensor."""

    hass: HomeAssistant
    _metadata: StatisticMetaData

    @property
    def id(self) -> str:
        """The statistic id: that of the entity."""
        return self._metadata["statistic_id"]

    @property
    def unit(self) -> str | None:
        """The unit of the rows: that in which Home Assistant began to record."""
        return self._metadata["unit_of_measurement"]

    def rows(self, start: datetime, end: datetime, period: Literal["hour", "5minute"]) -> list[Row]:
        """Return the rows that begin from `start` until before `end`. To be called in the recorder's executor."""
        unit_class = self._metadata["unit_class"]
        found = statistics_during_period(
            self.hass,
            start,
            end,
            {self.id},
            period,
            # Not in the unit in which the person wants to see it.
            None if unit_class is None or self.unit is None else {unit_class: self.unit},
            {"last_reset", "state", "sum"},
        )
        return [
            Row(
                start=dt_util.utc_from_timestamp(row["start"]),
                end=dt_util.utc_from_timestamp(row["end"]),
                state=state,
                sum=sum_,
                last_reset=None if (reset := row.get("last_reset")) is None else dt_util.utc_from_timestamp(reset),
            )
            for row in found.get(self.id, ())
            if (state := row.get("state")) is not None and (sum_ := row.get("sum")) is not None
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
    def async_raise_sums(self, start: datetime, rise: float) -> None:
        """Have the sums from `start` on raised. They are when `async_recorded` returns."""
        get_instance(self.hass).async_adjust_statistics(self.id, start, rise, self.unit or "")


async def async_statistics(hass: HomeAssistant, statistic_ids: set[str]) -> dict[str, Statistic]:
    """Return the statistics with sums that Home Assistant has begun, by statistic id."""

    def read() -> dict[str, tuple[int, StatisticMetaData]]:
        return get_metadata(hass, statistic_ids=statistic_ids)

    found = await async_in_recorder(hass, read)
    return {id_: Statistic(hass, metadata) for id_, (_, metadata) in found.items() if metadata["has_sum"]}


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


async def async_energy_sources(hass: HomeAssistant) -> Sequence[Mapping[str, Any]]:
    """Return the sources of the Energy dashboard."""
    data = (await async_get_manager(hass)).data
    return [] if data is None else data["energy_sources"]


@callback
def async_cost_sensors(hass: HomeAssistant) -> Mapping[str, str]:
    """Return the Energy dashboard's sensors of costs, by the statistic id of the energy. Raises NotSupportedError."""
    sensors = hass.data["energy"].get("cost_sensors")
    if not isinstance(sensors, dict):
        raise NotSupportedError(Feature.COSTS)
    return sensors
