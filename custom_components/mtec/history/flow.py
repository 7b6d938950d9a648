"""The dialog that imports history, offered after the setup and in the options of an account."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState, ConfigFlowResult, OptionsFlow
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.selector import (
    BooleanSelector,
    DateSelector,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
)
from homeassistant.util import dt as dt_util
import voluptuous as vol

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.errors import homeassistant_error
from custom_components.mtec.home import MtecConfigEntry
from custom_components.mtec.models import Station
from custom_components.mtec.sources import SourceError

from .importer import Resolution
from .manager import RunningImport, async_import_manager
from .report import Phase, Report

CONF_STATIONS: Final = "stations"
CONF_START: Final = "start"
CONF_RESOLUTION: Final = "resolution"
CONF_REFINE: Final = "refine"

_UPDATE_INTERVAL: Final = 1.0
"""Seconds between two updates of the progress."""


class ImportHistoryFlow(OptionsFlow):
    """A dialog that starts imports, shows their progress and stops them. They go on when it is closed."""

    config_entry: MtecConfigEntry
    _imports: Sequence[RunningImport] = ()
    _watching: asyncio.Task[None] | None = None
    _wants_another: bool = False

    async def async_step_import_history(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Ask for the stations to import, the first day and the resolution, and start the imports."""
        if self.config_entry.state is not ConfigEntryState.LOADED:
            return self.async_abort(reason="not_loaded")
        running, free = self._running_and_free()
        if running and (not free or (user_input is None and not self._wants_another)):
            self._imports = running
            return await self.async_step_import_running()
        if user_input is None:
            return self._show_form(free, None, {})
        return await self._async_begin(free, user_input)

    def _running_and_free(self) -> tuple[list[RunningImport], dict[str, Station]]:
        """Return the imports of the account's stations in progress, and the stations without one."""
        stations = self.config_entry.runtime_data.stations
        running = async_import_manager(self.hass).running
        free = {id_: station for id_, station in stations.items() if id_ not in running}
        return [each for id_, each in running.items() if id_ in stations], free

    async def _async_begin(self, free: Mapping[str, Station], user_input: dict[str, Any]) -> ConfigFlowResult:
        """Start what the person chose and show its progress, or the form again with what is wrong."""
        start = dt_util.parse_date(user_input.get(CONF_START, ""))
        if start is not None and start > dt_util.now().date():
            return self._show_form(free, user_input, {CONF_START: "start_in_future"})
        try:
            self._imports = await self._async_start(free, user_input, start)
        except HomeAssistantError as error:
            return self._failed(error)
        return await self.async_step_import_watch()

    async def _async_start(
        self, stations: Mapping[str, Station], user_input: Mapping[str, Any], start: date | None
    ) -> list[RunningImport]:
        """Start the imports of the chosen stations, all of them if there was no choice. Raises HomeAssistantError."""
        chosen = [stations[id_] for id_ in user_input.get(CONF_STATIONS, stations) if id_ in stations]
        resolution = Resolution(user_input[CONF_RESOLUTION])
        refine = bool(user_input.get(CONF_REFINE, False))
        manager = async_import_manager(self.hass)
        return [
            await manager.async_start(self.config_entry, station, start, resolution, refine=refine)
            for station in chosen
        ]

    def _show_form(
        self, stations: Mapping[str, Station], user_input: dict[str, Any] | None, errors: dict[str, str]
    ) -> ConfigFlowResult:
        """Show the form with the previous input. It has the stations only if there are several."""
        fields: dict[vol.Marker, Any] = {}
        if len(stations) > 1:
            options = [SelectOptionDict(value=id_, label=station.name) for id_, station in stations.items()]
            fields[vol.Required(CONF_STATIONS, default=list(stations))] = SelectSelector(
                SelectSelectorConfig(options=options, multiple=True)
            )
        fields[vol.Required(CONF_RESOLUTION, default=Resolution.HOURS.value)] = SelectSelector(
            SelectSelectorConfig(
                options=[resolution.value for resolution in Resolution],
                translation_key="history_resolution",
                mode=SelectSelectorMode.LIST,
            )
        )
        fields[vol.Optional(CONF_START)] = DateSelector()
        fields[vol.Optional(CONF_REFINE, default=False)] = BooleanSelector()
        return self.async_show_form(
            step_id="import_history",
            data_schema=self.add_suggested_values_to_schema(vol.Schema(fields), user_input),
            errors=errors,
        )

    async def async_step_import_running(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the menu for imports in progress. Another station can be begun if there is one."""
        has_other = len(self.config_entry.runtime_data.stations) > len(self._imports)
        return self.async_show_menu(
            step_id="import_running",
            menu_options=["import_watch", "import_stop", *(["import_another"] if has_other else [])],
            description_placeholders={"stations": self._names(), "percent": str(int(self._fraction() * 100))},
        )

    async def async_step_import_another(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Begin the import of a station while others are being imported."""
        self._wants_another = True
        return await self.async_step_import_history()

    async def async_step_import_stop(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Stop the imports."""
        for each in self._imports:
            await async_import_manager(self.hass).async_stop(each.station.id)
        return self.async_abort(reason="import_stopped")

    async def async_step_import_watch(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the progress."""
        if self._watching is None:
            self._watching = self.hass.async_create_background_task(
                self._async_watch(), f"{DOMAIN} progress of an import", eager_start=False
            )
        if self._watching.done():
            return self.async_show_progress_done(next_step_id="import_done")
        return self.async_show_progress(
            step_id="import_watch",
            progress_action=self._phase().value,
            description_placeholders={"stations": self._names(), "time_left": self._time_left()},
            progress_task=self._watching,
        )

    async def async_step_import_done(self, user_input: dict[str, Any] | None = None) -> ConfigFlowResult:
        """Show the result."""
        reports: list[Report] = []
        for each in self._imports:
            try:
                reports.append(each.task.result())
            except asyncio.CancelledError:
                return self.async_abort(reason="import_stopped")
            except SourceError as error:
                return self._failed(homeassistant_error(error))
            except HomeAssistantError as error:
                return self._failed(error)
        changed = [report.imported | report.refined for report in reports]
        days = sorted({day for each in changed for day in each})
        if not days:
            return self.async_abort(reason="history_complete")
        return self.async_abort(
            reason="history_imported",
            description_placeholders={
                "days": str(sum(map(len, changed))),
                "first": days[0].isoformat(),
                "last": days[-1].isoformat(),
                "requests": str(sum(report.requests for report in reports)),
            },
        )

    async def _async_watch(self) -> None:
        """Update the progress until all imports have ended."""
        shown = self._phase(), self._time_left()
        while pending := [each.task for each in self._imports if not each.task.done()]:
            self.async_update_progress(self._fraction())
            if shown != (now := (self._phase(), self._time_left())):
                shown = now
                self.async_notify_flow_changed()
            await asyncio.wait(pending, timeout=_UPDATE_INTERVAL)

    def _failed(self, error: HomeAssistantError) -> ConfigFlowResult:
        return self.async_abort(reason="import_failed", description_placeholders={"error": str(error)})

    def _names(self) -> str:
        return ", ".join(each.station.name for each in self._imports)

    def _fraction(self) -> float:
        """Return the progress of all imports, from 0 to 1."""
        return sum(each.work.progress.fraction for each in self._imports) / len(self._imports)

    def _phase(self) -> Phase:
        """Return the earliest phase that an import is in."""
        return min((each.work.progress.phase for each in self._imports), key=list(Phase).index)

    def _time_left(self) -> str:
        """Return the estimated remaining time of all imports, such as "2 h 5 min"."""
        minutes = 1 + int(max(each.work.progress.seconds_left for each in self._imports) / 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
