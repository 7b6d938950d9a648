"""Repair issues of commands to batteries."""

from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from custom_components.mtec.const import DOMAIN

NOT_ENDED: Final = "command_not_ended"
FOREIGN: Final = "foreign_command"


@callback
def async_note_not_ended(hass: HomeAssistant, serial_number: str, name: str | None) -> None:
    """Say that an inverter with this name cannot be brought back from a command, or, with None, that it is."""
    _async_note(hass, NOT_ENDED, serial_number, name, ir.IssueSeverity.CRITICAL)


@callback
def async_note_foreign_command(hass: HomeAssistant, serial_number: str, name: str | None) -> None:
    """Say that an inverter with this name is under a command that is not ours, or, with None, that it is not."""
    _async_note(hass, FOREIGN, serial_number, name, ir.IssueSeverity.WARNING, is_fixable=True)


def _async_note(
    hass: HomeAssistant,
    kind: str,
    serial_number: str,
    name: str | None,
    severity: ir.IssueSeverity,
    *,
    is_fixable: bool = False,
) -> None:
    issue_id = f"{kind}_{serial_number}"
    if name is None:
        ir.async_delete_issue(hass, DOMAIN, issue_id)
        return
    ir.async_create_issue(
        hass,
        DOMAIN,
        issue_id,
        data={"serial_number": serial_number, "name": name},
        is_fixable=is_fixable,
        severity=severity,
        translation_key=kind,
        translation_placeholders={"name": name},
    )
