"""Fill automatically what was missed while Home Assistant was off or a source was away."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
import logging
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from custom_components.mtec.const import CONF_FILL_GAPS, DOMAIN, LOGGER
from custom_components.mtec.home import MtecConfigEntry
from custom_components.mtec.home_assistant_internals import Feature, is_recorded, is_supported
from custom_components.mtec.models import CurvePoint, Station
from custom_components.mtec.retry import Questions
from custom_components.mtec.sources import HistorySource, ResponseError, SourceError
from custom_components.mtec.usage_rows import UsageRows

from .filling import GapFiller, lacking_days
from .manager import async_import_manager
from .report import Report
from .sensors import EnergySensor, async_energy_ids
from .statistics import async_series

LONGEST_SILENCE: Final = timedelta(hours=1)
"""A source that gave nothing for longer, and for the time between two polls, was away, and something may lack."""
_RECORDED_AFTER: Final = timedelta(minutes=10)
"""How long after a source is back Home Assistant has surely recorded it: it writes rows every five minutes."""
_NIGHT: Final = timedelta(minutes=30)
"""How long after midnight the portal may still complete the day before."""
_LONGEST_HOUR: Final = timedelta(minutes=70)
"""How long ago the last hour that is recorded began at most."""
_LOOKED_BACK: Final = timedelta(days=31)
"""How far back gaps are looked for at least; as long as there is no complete day, further."""
_ATTEMPTS: Final = 6
"""How often a source is asked that does not answer, the later the more rarely."""
_PATIENT_ATTEMPTS: Final = 3
"""Attempts after which a day is filled without its curve, or with rows that contradict others."""


@callback
def fills_gaps(hass: HomeAssistant, entry: MtecConfigEntry, entity_id: str | None = None) -> bool:
    """Return whether gaps in a home's energies are filled automatically, or those of one sensor.

    Without an account there is nobody to ask.
    """
    return (
        entry.runtime_data.has_account
        and bool(entry.options.get(CONF_FILL_GAPS, True))
        and "recorder" in hass.config.components
        and is_supported(Feature.IMPORT)
        and (entity_id is None or is_recorded(hass, entity_id))
    )


@dataclass(slots=True, kw_only=True)
class Healing:
    """One look for gaps of a station, and their filling. Nothing is repeated: a later attempt does all of it again."""

    hass: HomeAssistant
    source: HistorySource
    station_id: str
    is_last: bool
    report: Report = field(default_factory=Report)

    async def async_run(self) -> bool:
        """Fill what can be filled. Return whether that was all there is. Raises SourceError."""
        ids = {
            id_: energy
            for id_, energy in async_energy_ids(self.hass, self.station_id).items()
            if is_recorded(self.hass, id_)
        }
        series = await async_series(self.hass, set(ids))
        sensors = [EnergySensor(ids[id_], each) for id_, each in series.items()]
        today = dt_util.now().date()
        reader = UsageRows(
            source=self.source,
            station_id=self.station_id,
            today=today,
            questions=Questions(once=True, on_answer=self._answered),
        )
        filler = GapFiller(reader=reader, curve=partial(self._async_curve, reader), report=self.report)
        since = await self._async_since(filler, sensors, today)
        lacking = await filler.async_find(sensors, since)
        await filler.async_fill(lacking, since)
        self.report.contradictions = reader.contradictions
        # What lacks before a sensor's return is seen once that is recorded.
        is_back = all(dt_util.utcnow() - each.last < _LONGEST_HOUR for each in lacking.values())
        return is_back and not filler.postponed and not reader.contradictions

    def _answered(self) -> None:
        self.report.requests += 1

    async def _async_since(self, filler: GapFiller, sensors: Sequence[EnergySensor], today: date) -> date:
        """Return the day after the last complete one before which more days may lack something."""
        back = _LOOKED_BACK
        while True:
            since = today - back
            days = lacking_days((await filler.async_find(sensors, since)).values(), since)
            if not days or days[0] > since:
                return since
            back *= 4

    async def _async_curve(self, reader: UsageRows, day: date) -> Sequence[CurvePoint]:
        try:
            return await reader.questions.ask(partial(self.source.day_curve, self.station_id, day))
        except ResponseError:
            if not self.is_last:
                raise
            return ()


@dataclass(slots=True, kw_only=True)
class _Watched:
    """What is known of a station: when it was last read, and when to look for gaps, None if there is no reason to."""

    read_at: datetime | None = None
    due: datetime | None = None
    attempts: int = 0


@dataclass(slots=True)
class Healer:
    """Looks for gaps when an account is set up and whenever a station was away."""

    hass: HomeAssistant
    entry: MtecConfigEntry
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _is_running: bool = False

    @callback
    def async_polled(self) -> None:
        """Note which stations were read, and begin to look for gaps if it is time to."""
        now = dt_util.utcnow()
        self._note_reads(now)
        due = [id_ for id_, watched in self._watched.items() if watched.due is not None and watched.due <= now]
        if not due or self._is_running or dt_util.as_local(now - _NIGHT).date() < dt_util.as_local(now).date():
            return
        if (station := self.entry.runtime_data.stations.get(due[0])) is None:
            self._watched.pop(due[0])
            return
        if station.id in async_import_manager(self.hass).running:
            return
        self._is_running = True
        self.entry.async_create_background_task(
            self.hass, self._async_heal(station, self._watched[due[0]]), f"{DOMAIN} gaps of {station.name}"
        )

    def _note_reads(self, now: datetime) -> None:
        for id_, energies in self.entry.runtime_data.daily_energies.items():
            watched = self._watched.setdefault(id_, _Watched())
            if energies.read_at is None or energies.read_at == watched.read_at:
                continue
            longest = LONGEST_SILENCE + self.entry.runtime_data.interval
            if watched.read_at is None or energies.read_at - watched.read_at > longest:
                watched.due, watched.attempts = now + _RECORDED_AFTER, 0
            watched.read_at = energies.read_at

    async def _async_heal(self, station: Station, watched: _Watched) -> None:
        """Look for gaps once, and again later if the source does not tell all."""
        healing = Healing(
            hass=self.hass,
            source=self.entry.runtime_data.history_source,
            station_id=station.id,
            is_last=watched.attempts >= _PATIENT_ATTEMPTS,
        )
        watched.attempts += 1
        is_over = watched.attempts >= _ATTEMPTS
        watched.due = None if is_over else dt_util.utcnow() + _RECORDED_AFTER * 2**watched.attempts
        try:
            if await healing.async_run():
                watched.due = None
        except SourceError as error:
            LOGGER.log(
                logging.WARNING if is_over else logging.DEBUG,
                "What Home Assistant missed of %s cannot be filled in%s: %s",
                station.name,
                "" if is_over else " yet",
                error,
            )
        finally:
            self._is_running = False
            self._log(station, healing.report)

    def _log(self, station: Station, report: Report) -> None:
        if not report.imported:
            return
        days = sorted(report.imported)
        LOGGER.info(
            "What Home Assistant missed of %s from %s to %s is filled in: %s hours, %.2f kWh, with %s requests%s",
            station.name,
            days[0],
            days[-1],
            report.hours,
            sum(report.energy.values()),
            report.requests,
            f"; more is recorded than the portal says of {', '.join(map(str, sorted(report.more_recorded)))}"
            if report.more_recorded
            else "",
        )


@callback
def async_heal_by_itself(hass: HomeAssistant, entry: MtecConfigEntry) -> None:
    """Look for gaps in an account's energies now and whenever something was away, unless the person turned that off."""
    if not fills_gaps(hass, entry):
        return
    healer = Healer(hass, entry)
    entry.async_on_unload(entry.runtime_data.async_add_listener(healer.async_polled))
    healer.async_polled()
