"""The imports of history that are going on: begun, continued after a restart, stopped."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypedDict

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.json import JsonObjectType

from custom_components.mtec.account import MtecConfigEntry
from custom_components.mtec.const import DOMAIN, LOGGER
from custom_components.mtec.home_assistant_internals import (
    Feature,
    NotSupportedError,
    check_supported,
    is_supported,
)
from custom_components.mtec.models import (
    Station,
)
from custom_components.mtec.sources import (
    SourceError,
)

from .export import async_portal_error, without_data
from .importer import HistoryImport, NothingRecordedError, Report, Resolution

_VERSION: Final = 1


class _Job(TypedDict):
    """An import that is not finished, as it is stored. `start` is a date, None for all of the station's past."""

    entry_id: str
    start: str | None
    resolution: str


@dataclass(frozen=True, slots=True)
class Running:
    """An import that is going on."""

    station: Station
    work: HistoryImport
    task: asyncio.Task[Report]


@dataclass(slots=True)
class HistoryJobs:
    """The imports of all accounts, one for a station at most."""

    hass: HomeAssistant
    running: dict[str, Running] = field(default_factory=dict)
    _jobs: dict[str, _Job] | None = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _store: Store[dict[str, _Job]] = field(init=False)

    def __post_init__(self) -> None:
        """Keep what is not finished in one store, which writes one after the other."""
        self._store = Store(self.hass, _VERSION, f"{DOMAIN}.history")

    async def async_begin(
        self,
        entry: MtecConfigEntry,
        station: Station,
        start: date | None,
        resolution: Resolution,
    ) -> Running:
        """Begin an import, to be continued until it has come to its end. Raises HomeAssistantError."""
        if "recorder" not in self.hass.config.components:
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="no_recorder")
        check_supported(Feature.IMPORT)
        jobs = await self._async_load()
        if station.id in self.running:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="import_running",
                translation_placeholders={"station": station.name},
            )
        jobs[station.id] = _Job(
            entry_id=entry.entry_id, start=None if start is None else start.isoformat(), resolution=resolution.value
        )
        running = self._run(entry, station, jobs[station.id], patient=False)
        await self._async_save()
        return running

    async def async_continue(self, entry: MtecConfigEntry) -> None:
        """Go on with the imports of an account that were not finished before it was loaded."""
        if "recorder" not in self.hass.config.components or not is_supported(Feature.IMPORT):
            return
        for station_id, job in (await self._async_load()).items():
            station = entry.runtime_data.stations.get(station_id)
            if job["entry_id"] == entry.entry_id and station is not None and station_id not in self.running:
                LOGGER.info("The import of the history of %s goes on", station.name)
                self._run(entry, station, job, patient=True)

    async def async_stop(self, station_id: str) -> None:
        """Stop the import of a station for good; what has been imported stays."""
        running = self.running.get(station_id)
        await self._async_forget(station_id)
        if running is not None:
            running.task.cancel()
            await asyncio.wait([running.task])

    async def async_forget_account(self, entry_id: str) -> None:
        """Forget the imports of an account that is removed."""
        for station_id, job in list((await self._async_load()).items()):
            if job["entry_id"] == entry_id:
                await self._async_forget(station_id)

    @callback
    def _run(self, entry: MtecConfigEntry, station: Station, job: _Job, *, patient: bool) -> Running:
        work = HistoryImport(
            hass=self.hass,
            client=entry.runtime_data.client.in_background(),
            station_id=station.id,
            start=None if job["start"] is None else date.fromisoformat(job["start"]),
            resolution=Resolution(job["resolution"]),
            patient=patient,
        )
        task = entry.async_create_background_task(
            self.hass, self._async_work(station, work), f"{DOMAIN} import of the history of {station.name}"
        )
        running = self.running[station.id] = Running(station, work, task)

        @callback
        def ended(_: asyncio.Task[Report]) -> None:
            if self.running.get(station.id) is running:
                del self.running[station.id]
            if not task.cancelled():
                task.exception()  # It has been logged: not all who began an import wait for its end.

        task.add_done_callback(ended)
        return running

    async def _async_work(self, station: Station, work: HistoryImport) -> Report:
        """Import. Only what ends by itself is forgotten: what is cut off goes on when the account is loaded again."""
        LOGGER.info("The history of %s is being imported by %s", station.name, work.resolution)
        try:
            report = await work.async_run()
        except NotSupportedError, NothingRecordedError:
            await self._async_forget(station.id)
            raise
        except SourceError as error:
            LOGGER.warning(
                "The import of the history of %s goes on when the account is loaded again: %s", station.name, error
            )
            raise
        else:
            await self._async_forget(station.id)
            LOGGER.info(
                "The history of %s is imported: %s days with %s requests",
                station.name,
                len(report.imported),
                report.requests,
            )
            return report

    async def _async_load(self) -> dict[str, _Job]:
        async with self._loading:
            if self._jobs is None:
                self._jobs = await self._store.async_load() or {}
        return self._jobs

    async def _async_forget(self, station_id: str) -> None:
        if (await self._async_load()).pop(station_id, None) is not None:
            await self._async_save()

    async def _async_save(self) -> None:
        await self._store.async_save(await self._async_load())


_JOBS: HassKey[HistoryJobs] = HassKey(f"{DOMAIN}_history_jobs")


@callback
def async_jobs(hass: HomeAssistant) -> HistoryJobs:
    """Return the imports of all accounts."""
    return hass.data.setdefault(_JOBS, HistoryJobs(hass))


async def async_import_history(
    hass: HomeAssistant,
    entry: MtecConfigEntry,
    station: Station,
    start: date | None,
    resolution: Resolution,
) -> JsonObjectType:
    """Import a station's past and return what was done. Raises a translated HomeAssistantError.

    If only the caller is stopped, the import goes on.
    """
    running = await async_jobs(hass).async_begin(entry, station, start, resolution)
    await asyncio.wait([running.task])
    try:
        return _response(running.task.result())
    except asyncio.CancelledError as error:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key="import_stopped") from error
    except SourceError as error:
        raise async_portal_error(error) from error


def _response(report: Report) -> JsonObjectType:
    days = sorted(report.imported)
    return {
        "requests": report.requests,
        "days": len(days),
        "hours": report.hours,
        "first": days[0].isoformat() if days else None,
        "last": days[-1].isoformat() if days else None,
        **without_data(report.without_data),
        "energy": _rounded(report.energy),
        "costs": _rounded(report.costs),
        "not_recorded": list(report.not_recorded),
    }


def _rounded(values: Mapping[str, float]) -> JsonObjectType:
    return {key: round(value, 2) for key, value in values.items()}
