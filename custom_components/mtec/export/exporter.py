"""The work of the actions that export usage: into a response or a file."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.json import JsonObjectType

from custom_components.mtec.const import DOMAIN
from custom_components.mtec.errors import homeassistant_error, validation_error
from custom_components.mtec.models import DaySummary, Station
from custom_components.mtec.responses import days_left_out, days_without_data
from custom_components.mtec.sources import HistorySource, SourceError

from .file import AtomicFile
from .progress import ProgressNotification
from .table import CsvFormat, csv_header, csv_rows, record
from .usage import RangeError, UsagePart, UsageQuery, UsageReport, UsageType, read_usage

LONGEST_CURVE: Final = 366
"""Days of five-minute curves that a response may hold. Files may be longer."""

_OPEN_FILES: HassKey[set[Path]] = HassKey(f"{DOMAIN}_open_files")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageExport:
    """An export of a station's usage, which ends when the account is unloaded.

    Its methods raise a translated HomeAssistantError, or a ServiceValidationError for a query that makes no sense.
    """

    hass: HomeAssistant
    entry: ConfigEntry
    source: HistorySource
    station: Station
    query: UsageQuery

    async def async_rows(self) -> JsonObjectType:
        """Return the rows and a report, for curves with the summary of each day and their sum."""
        self._check_length()
        return await self._async_run(self._async_rows())

    async def async_text(self, csv_format: CsvFormat) -> JsonObjectType:
        """Return CSV and a report."""
        self._check_length()
        return await self._async_run(self._async_text(csv_format))

    async def async_file(self, csv_format: CsvFormat, path: Path) -> JsonObjectType:
        """Write CSV to a file and return a report. Creates the file's folder, but not the folder above it."""
        open_files = self.hass.data.setdefault(_OPEN_FILES, set())
        if path in open_files:
            raise validation_error("file_in_use", path=str(path))
        open_files.add(path)
        try:
            return await self._async_run(self._async_file(csv_format, path))
        finally:
            open_files.remove(path)

    def _check_length(self) -> None:
        if self.query.type is UsageType.DAY and self.query.days > LONGEST_CURVE:
            raise validation_error("too_long", days=str(LONGEST_CURVE))

    async def _async_run(self, job: Coroutine[Any, Any, JsonObjectType]) -> JsonObjectType:
        """Return the result of a job, which is cancelled when the account is unloaded."""
        task = self.entry.async_create_background_task(self.hass, job, f"{DOMAIN} usage of {self.station.name}")
        try:
            return await task
        except asyncio.CancelledError as error:
            if (caller := asyncio.current_task()) is not None and caller.cancelling():
                raise
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="export_cancelled") from error
        except RangeError as error:
            raise range_error(error, self.station.name) from error
        except SourceError as error:
            raise homeassistant_error(error) from error

    async def _async_rows(self) -> JsonObjectType:
        report = UsageReport()
        in_executor = self.hass.async_add_executor_job
        rows: list[Any] = []
        summaries: list[Any] = []
        async with self._progress() as progress, aclosing(self._async_parts(report, progress)) as parts:
            async for part in parts:
                rows += await in_executor(_records, part)
                if part.summary is not None and part.rows:
                    summaries.append({"date": part.day.isoformat(), **asdict(part.summary)})
        response: JsonObjectType = {"rows": rows, **_report(report)}
        if self.query.type is UsageType.DAY:
            response |= {"summary": _sums(summaries), "summaries": summaries}
        return response

    async def _async_text(self, csv_format: CsvFormat) -> JsonObjectType:
        report = UsageReport()
        in_executor = self.hass.async_add_executor_job
        texts = [csv_header(self.query.type, csv_format)]
        async with self._progress() as progress, aclosing(self._async_parts(report, progress)) as parts:
            texts += [await in_executor(csv_rows, part.rows, csv_format) async for part in parts]
        return {"path": None, "rows": report.rows, **_report(report), "csv": "".join(texts)}

    async def _async_file(self, csv_format: CsvFormat, path: Path) -> JsonObjectType:
        report = UsageReport()
        in_executor = self.hass.async_add_executor_job
        file = AtomicFile(path)
        try:
            async with self._progress() as progress, aclosing(self._async_parts(report, progress)) as parts:
                first = await anext(parts, None)
                await in_executor(_open, file, path, csv_header(self.query.type, csv_format))
                if first is not None:
                    await in_executor(_write, file, first, csv_format)
                async for part in parts:
                    await in_executor(_write, file, part, csv_format)
                await in_executor(file.commit)
                progress.show_result(path, report.rows)
        except OSError as error:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="file_not_written",
                translation_placeholders={"path": str(path), "error": error.strerror or str(error)},
            ) from error
        finally:
            await in_executor(file.discard)
        return {"path": str(path), "rows": report.rows, **_report(report)}

    def _progress(self) -> ProgressNotification:
        return ProgressNotification(self.hass, self.station.name)

    async def _async_parts(self, report: UsageReport, progress: ProgressNotification) -> AsyncGenerator[UsagePart]:
        """Yield the usage part by part, add it to the report and show the progress."""
        parts = read_usage(self.source, self.station.id, self.query)
        async with aclosing(parts):
            async for part in parts:
                report.add(part)
                progress.show(part.progress)
                yield part


def range_error(error: RangeError, station: str) -> ServiceValidationError:
    """Return the error of an action for a range without usage; `station` is the station's name."""
    return validation_error(error.problem, station=station, day="" if error.day is None else error.day.isoformat())


def _open(file: AtomicFile, path: Path, header: str) -> None:
    path.parent.mkdir(exist_ok=True)
    file.open()
    file.write(header)


def _write(file: AtomicFile, part: UsagePart, csv_format: CsvFormat) -> None:
    file.write(csv_rows(part.rows, csv_format))


def _records(part: UsagePart) -> list[dict[str, str | float | None]]:
    return [record(row) for row in part.rows]


def _report(report: UsageReport) -> JsonObjectType:
    return {
        "first": None if report.first is None else report.first.isoformat(),
        "last": None if report.last is None else report.last.isoformat(),
        **days_without_data(report.days_without_data),
        **days_left_out(report.left_out),
        "points_left_out": report.unusable_points,
        "contradictions": list(report.contradictions),
    }


def _sums(summaries: list[dict[str, Any]]) -> JsonObjectType:
    """Return the sums of the days' summaries in kWh, None for an energy that no day has."""
    known = {
        field.name: [summary[field.name] for summary in summaries if summary[field.name] is not None]
        for field in fields(DaySummary)
    }
    return {name: round(sum(values), 2) if values else None for name, values in known.items()}
