"""The progress of a long export, shown as a notification."""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from homeassistant.components import persistent_notification
from homeassistant.core import HomeAssistant
from homeassistant.helpers.translation import async_get_translations
from homeassistant.util.ulid import ulid_now

from custom_components.mtec.const import DOMAIN

SHOW_AFTER: Final = 10.0
"""Seconds that an export takes before its progress is shown."""


class ProgressNotification:
    """A notification with the progress of an export, and then with its result.

    Without a result it is dismissed at the end of this context.
    """

    def __init__(self, hass: HomeAssistant, station: str) -> None:
        self._hass = hass
        self._station = station
        self._id = f"{DOMAIN}_export_{ulid_now()}"
        self._texts: dict[str, str] = {}
        self._started = hass.loop.time()
        self._percent: int | None = None
        self._has_result = False

    async def __aenter__(self) -> Self:
        """Load the texts in Home Assistant's language."""
        self._texts = await async_get_translations(self._hass, self._hass.config.language, "common", [DOMAIN])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Dismiss the notification if there is no result."""
        if self._percent is not None and not self._has_result:
            persistent_notification.async_dismiss(self._hass, self._id)

    def show(self, progress: float) -> None:
        """Show the progress, from 0 to 1, unless the export has only just started."""
        percent = int(progress * 100)
        if percent == self._percent or (self._percent is None and self._hass.loop.time() - self._started < SHOW_AFTER):
            return
        self._percent = percent
        self._notify("export_progress", percent=percent)

    def show_result(self, path: Path, rows: int) -> None:
        """Show the file that was written, if the progress was shown."""
        if self._percent is not None:
            self._has_result = True
            self._notify("export_done", path=path, rows=rows)

    def _notify(self, key: str, **placeholders: object) -> None:
        text = self._text(key).format(station=self._station, **placeholders)
        persistent_notification.async_create(self._hass, text, self._text("export_title"), self._id)

    def _text(self, key: str) -> str:
        return self._texts[f"component.{DOMAIN}.common.{key}"]
