"""The imports of history in progress: started, continued after a restart, stopped."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NotRequired, TypedDict

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.json import JsonObjectType

from custom_components.mtec.const import DOMAIN, LOGGER
from custom_components.mtec.errors import homeassistant_error
from custom_components.mtec.home import MtecConfigEntry
from custom_components.mtec.home_assistant_internals import Feature, NotSupportedError, check_supported, is_supported
from custom_components.mtec.models import Station
from custom_components.mtec.responses import days_with_more_recorded, days_without_data
from custom_components.mtec.sources import SourceError

from .importer import HistoryImport, NothingRecordedError, Resolution
from .report import Report

_VERSION: Final = 1


class _StoredImport(TypedDict):
    """An unfinished import as it is stored. `start` is an ISO 8601 date, None for the station's whole past."""

    entry_id: str
    start: str | None
    resolution: str
    refine: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class RunningImport:
    """An import in progress."""

    station: Station
    work: HistoryImport
    task: asyncio.Task[Report]


@dataclass(slots=True)
class ImportManager:
    """The imports of all accounts, at most one for each station."""

    hass: HomeAssistant
    running: dict[str, RunningImport] = field(default_factory=dict)
    _stored: dict[str, _StoredImport] | None = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _store: Store[dict[str, _StoredImport]] = field(init=False)

    def __post_init__(self) -> None:
        """Create the one store of all unfinished imports, so that no two are written at the same time."""
        self._store = Store(self.hass, _VERSION, f"{DOMAIN}.history")

    async def async_start(
        self,
        entry: MtecConfigEntry,
        station: Station,
        start: date | None,
        resolution: Resolution,
        *,
        refine: bool = False,
    ) -> RunningImport:
        """Start an import, which is continued after a restart until it is finished. Raises HomeAssistantError."""
        if "recorder" not in self.hass.config.components:
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="no_recorder")
        check_supported(Feature.IMPORT)
        stored = await self._async_load()
        if station.id in self.running:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="import_running",
                translation_placeholders={"station": station.name},
            )
        stored[station.id] = _StoredImport(
            entry_id=entry.entry_id,
            start=None if start is None else start.isoformat(),
            resolution=resolution.value,
            refine=refine,
        )
        running = self._run(entry, station, stored[station.id], patient=False)
        await self._async_save()
        return running

    async def async_continue(self, entry: MtecConfigEntry) -> None:
        """Continue the unfinished imports of an account that has been loaded."""
        if "recorder" not in self.hass.config.components or not is_supported(Feature.IMPORT):
            return
        for station_id, stored in (await self._async_load()).items():
            station = entry.runtime_data.stations.get(station_id)
            if stored["entry_id"] == entry.entry_id and station is not None and station_id not in self.running:
                LOGGER.info("The import of the history of %s goes on", station.name)
                self._run(entry, station, stored, patient=True)

    async def async_stop(self, station_id: str) -> None:
        """Stop the import of a station and do not continue it. Imported hours remain."""
        running = self.running.get(station_id)
        await self._async_forget(station_id)
        if running is not None:
            running.task.cancel()
            await asyncio.wait([running.task])

    async def async_forget_account(self, entry_id: str) -> None:
        """Forget the imports of an account that is removed."""
        for station_id, stored in list((await self._async_load()).items()):
            if stored["entry_id"] == entry_id:
                await self._async_forget(station_id)

    @callback
    def _run(self, entry: MtecConfigEntry, station: Station, stored: _StoredImport, *, patient: bool) -> RunningImport:
        work = HistoryImport(
            hass=self.hass,
            source=entry.runtime_data.history_source,
            station_id=station.id,
            start=None if stored["start"] is None else date.fromisoformat(stored["start"]),
            resolution=Resolution(stored["resolution"]),
            refine=stored.get("refine", False),
            patient=patient,
        )
        task = entry.async_create_background_task(
            self.hass, self._async_work(entry, station, work), f"{DOMAIN} import of the history of {station.name}"
        )
        running = self.running[station.id] = RunningImport(station, work, task)

        @callback
        def ended(_: asyncio.Task[Report]) -> None:
            if self.running.get(station.id) is running:
                del self.running[station.id]
            if not task.cancelled():
                task.exception()  # It is logged already, and nobody may be waiting for the task.

        task.add_done_callback(ended)
        return running

    async def _async_work(self, entry: MtecConfigEntry, station: Station, work: HistoryImport) -> Report:
        """Import, and forget the import unless it was interrupted: then it is continued when the account is loaded."""
        LOGGER.info("The history of %s is being imported by %s", station.name, work.resolution)
        try:
            await entry.runtime_data.async_wait_for_first_poll()
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

    async def _async_load(self) -> dict[str, _StoredImport]:
        async with self._loading:
            if self._stored is None:
                self._stored = await self._store.async_load() or {}
        return self._stored

    async def _async_forget(self, station_id: str) -> None:
        if (await self._async_load()).pop(station_id, None) is not None:
            await self._async_save()

    async def _async_save(self) -> None:
        await self._store.async_save(await self._async_load())


_MANAGER: HassKey[ImportManager] = HassKey(f"{DOMAIN}_import_manager")


@callback
def async_import_manager(hass: HomeAssistant) -> ImportManager:
    """Return the manager of the imports of all accounts."""
    return hass.data.setdefault(_MANAGER, ImportManager(hass))


async def async_import_history(
    hass: HomeAssistant,
    entry: MtecConfigEntry,
    station: Station,
    start: date | None,
    resolution: Resolution,
    *,
    refine: bool = False,
) -> JsonObjectType:
    """Import a station's past and return the response of the action. Raises a translated HomeAssistantError.

    The import continues if the caller is cancelled.
    """
    running = await async_import_manager(hass).async_start(entry, station, start, resolution, refine=refine)
    await asyncio.wait([running.task])
    try:
        return _response(running.task.result())
    except asyncio.CancelledError as error:
        raise HomeAssistantError(translation_domain=DOMAIN, translation_key="import_stopped") from error
    except SourceError as error:
        raise homeassistant_error(error) from error


def _response(report: Report) -> JsonObjectType:
    days = sorted(report.imported)
    return {
        "requests": report.requests,
        "days": len(days),
        "hours": report.hours,
        "first": days[0].isoformat() if days else None,
        "last": days[-1].isoformat() if days else None,
        **days_without_data(report.without_data),
        "energy": _rounded(report.energy),
        "costs": _rounded(report.costs),
        "hours_of_powers": report.hours_of_powers,
        "refined_days": len(report.refined),
        **days_with_more_recorded(sorted(report.more_recorded)),
        "contradictions": list(report.contradictions),
        "not_recorded": list(report.not_recorded),
    }


def _rounded(values: Mapping[str, float]) -> JsonObjectType:
    return {key: round(value, 2) for key, value in values.items()}
