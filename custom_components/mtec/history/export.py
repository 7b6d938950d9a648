"""Usage taken out of the portal by an action: into a file or a response."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.json import JsonObjectType

from custom_components.mtec.account import MtecConfigEntry
from custom_components.mtec.const import DOMAIN
from custom_components.mtec.models import (
    DaySummary,
    Station,
)
from custom_components.mtec.portal.table import CsvFormat, csv_header, csv_rows, record
from custom_components.mtec.portal.usage import RangeError, UsagePart, UsageQuery, UsageReport, UsageType, read_usage
from custom_components.mtec.portal.whole_file import WholeFile
from custom_components.mtec.sources import (
    AuthenticationError,
    BusyError,
    ResponseError,
    SourceConnectionError,
    SourceError,
)

from .progress import ProgressNotification

LONGEST_CURVE: Final = 366
"""Days of five-minute curves that a response may hold. Files may be longer."""
MOST_DAYS_LISTED: Final = 366
"""Days without data that a response lists; it counts them all."""

_BEING_WRITTEN: HassKey[set[Path]] = HassKey(f"{DOMAIN}_being_written")

_PORTAL_ERRORS: dict[type[SourceError], str] = {
    AuthenticationError: "authentication",
    BusyError: "portal_busy",
    SourceConnectionError: "portal_unreachable",
    ResponseError: "portal_response",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageExport:
    """Usage of a station that is to be read, without delaying the polling and until the account is unloaded.

    Its methods raise a translated HomeAssistantError, a ServiceValidationError if the question makes no sense.
    """

    hass: HomeAssistant
    entry: MtecConfigEntry
    station: Station
    query: UsageQuery

    async def async_rows(self) -> JsonObjectType:
        """Return the rows, a summary of each day and of all, and a report."""
        self._check_length()
        return await self._async_run(self._async_rows())

    async def async_text(self, csv_format: CsvFormat) -> JsonObjectType:
        """Return the CSV, and a report."""
        self._check_length()
        return await self._async_run(self._async_text(csv_format))

    async def async_file(self, csv_format: CsvFormat, path: Path) -> JsonObjectType:
        """Write the CSV to a file and return a report. Makes the file's folder if the one above it is there."""
        being_written = self.hass.data.setdefault(_BEING_WRITTEN, set())
        if path in being_written:
            raise invalid("file_in_use", path=str(path))
        being_written.add(path)
        try:
            return await self._async_run(self._async_file(csv_format, path))
        finally:
            being_written.remove(path)

    def _check_length(self) -> None:
        if self.query.type is UsageType.DAY and self.query.days > LONGEST_CURVE:
            raise invalid("too_long", days=str(LONGEST_CURVE))

    async def _async_run(self, job: Coroutine[Any, Any, JsonObjectType]) -> JsonObjectType:
        """Return what a job returns that ends when the account is unloaded."""
        task = self.entry.async_create_background_task(self.hass, job, f"{DOMAIN} usage of {self.station.name}")
        try:
            return await task
        except asyncio.CancelledError as error:
            if (caller := asyncio.current_task()) is not None and caller.cancelling():
                raise
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="export_cancelled") from error
        except RangeError as error:
            raise async_range_error(error, self.station.name) from error
        except SourceError as error:
            raise async_portal_error(error) from error

    async def _async_rows(self) -> JsonObjectType:
        report = UsageReport()
        rows: list[Any] = []
        summaries: list[Any] = []
        async with aclosing(self._async_parts(report)) as parts:
            async for part in parts:
                rows += map(record, part.rows)
                if part.summary is not None and part.rows:
                    summaries.append({"date": part.day.isoformat(), **asdict(part.summary)})
        response: JsonObjectType = {"rows": rows, **_reported(report)}
        if self.query.type is UsageType.DAY:
            response |= {"summary": _sums(summaries), "summaries": summaries}
        return response

    async def _async_text(self, csv_format: CsvFormat) -> JsonObjectType:
        report = UsageReport()
        texts = [csv_header(self.query.type, csv_format)]
        async with aclosing(self._async_parts(report)) as parts:
            texts += [csv_rows(part.rows, csv_format) async for part in parts]
        return {"path": None, "rows": report.rows, **_reported(report), "csv": "".join(texts)}

    async def _async_file(self, csv_format: CsvFormat, path: Path) -> JsonObjectType:
        report = UsageReport()
        in_executor = self.hass.async_add_executor_job
        file = WholeFile(path)
        try:
            async with aclosing(self._async_parts(report)) as parts:
                first = await anext(parts, None)
                await in_executor(_begin, file, path, csv_header(self.query.type, csv_format))
                if first is not None:
                    await in_executor(file.write, csv_rows(first.rows, csv_format))
                async for part in parts:
                    await in_executor(file.write, csv_rows(part.rows, csv_format))
            await in_executor(file.commit)
        except OSError as error:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="file_not_written",
                translation_placeholders={"path": str(path), "error": error.strerror or str(error)},
            ) from error
        finally:
            await in_executor(file.discard)
        return {"path": str(path), "rows": report.rows, **_reported(report)}

    async def _async_parts(self, report: UsageReport) -> AsyncGenerator[UsagePart]:
        """Yield the usage part by part, reported, and show how far it is."""
        client = self.entry.runtime_data.client.in_background()
        parts = read_usage(client, self.station.id, self.query)
        async with ProgressNotification(self.hass, station=self.station.name) as progress, aclosing(parts):
            async for part in parts:
                report.add(part)
                progress.show(part.progress)
                yield part


@callback
def async_range_error(error: RangeError, station: str) -> ServiceValidationError:
    """Return what is wrong with a range as an error for people."""
    return invalid(error.problem, station=station, day="" if error.day is None else error.day.isoformat())


@callback
def async_portal_error(error: SourceError) -> HomeAssistantError:
    """Return what the portal did not give as an error for people."""
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key=_PORTAL_ERRORS.get(type(error), "portal_response"),
        translation_placeholders={"error": str(error)},
    )


def invalid(key: str, **placeholders: str) -> ServiceValidationError:
    """Return what makes no sense in a question as an error for people."""
    return ServiceValidationError(translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders)


def _begin(file: WholeFile, path: Path, header: str) -> None:
    path.parent.mkdir(exist_ok=True)
    file.open()
    file.write(header)


def _reported(report: UsageReport) -> JsonObjectType:
    return {
        "first": None if report.first is None else report.first.isoformat(),
        "last": None if report.last is None else report.last.isoformat(),
        **without_data(report.days_without_data),
    }


def without_data(days: Sequence[date]) -> JsonObjectType:
    """Return the days without data as a response has them: counted, and the first of them listed."""
    listed: list[Any] = [day.isoformat() for day in days[:MOST_DAYS_LISTED]]
    return {"days_without_data": listed, "days_without_data_count": len(days)}


def _sums(summaries: list[dict[str, Any]]) -> JsonObjectType:
    """Return the sums of days' summaries, None for what is not known of any day."""
    known = {
        field.name: [summary[field.name] for summary in summaries if summary[field.name] is not None]
        for field in fields(DaySummary)
    }
    return {name: round(sum(values), 2) if values else None for name, values in known.items()}
