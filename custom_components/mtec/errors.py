"""Source errors as Home Assistant's translated errors."""

from collections.abc import Mapping
from typing import Final

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.update_coordinator import UpdateFailed

from .const import DOMAIN
from .local.errors import (
    ConnectionClosedError,
    ConnectionHeldError,
    NotAnInverterError,
    OtherInverterError,
    UnsupportedHardwareError,
)
from .sources import AuthenticationError, BusyError, ResponseError, SourceConnectionError, SourceError

EXCEPTION_KEYS: Final[Mapping[type[SourceError], str]] = {
    AuthenticationError: "authentication",
    BusyError: "portal_busy",
    SourceConnectionError: "portal_unreachable",
    ResponseError: "portal_response",
}
"""Translation keys below `exceptions`, by class of error."""

FORM_KEYS: Final[Mapping[type[SourceError], str]] = {
    AuthenticationError: "invalid_auth",
    BusyError: "busy",
    SourceConnectionError: "cannot_connect",
    ResponseError: "invalid_response",
}
"""Translation keys below `config.error`, by class of error."""

INVERTER_FORM_KEYS: Final[Mapping[type[Exception], str]] = {
    OtherInverterError: "other_inverter",
    UnsupportedHardwareError: "unsupported_hardware",
    NotAnInverterError: "not_an_inverter",
    ConnectionHeldError: "connection_held",
    ConnectionClosedError: "connection_held",
    SourceConnectionError: "no_answer",
    BusyError: "inverter_busy",
    ResponseError: "not_an_inverter",
    HomeAssistantError: "address_in_use",
    ValueError: "invalid_host",
}
"""Translation keys of forms for an inverter in the network, by class of error, the special ones first.

A HomeAssistantError is that of the Modbus integration, a ValueError says that something is no host.
"""


def _class(error: SourceError) -> type[SourceError]:
    """Return the class that the tables have for an error and its subclasses."""
    return next((class_ for class_ in EXCEPTION_KEYS if isinstance(error, class_)), ResponseError)


def homeassistant_error(error: SourceError) -> HomeAssistantError:
    """Return the error of an action or a dialog for a source error."""
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key=EXCEPTION_KEYS[_class(error)],
        translation_placeholders={"error": str(error)},
    )


def update_failed(error: SourceError | None) -> UpdateFailed:
    """Return the error of a coordinator for a source error, with the pause that the source asks for."""
    return UpdateFailed(
        translation_domain=DOMAIN,
        translation_key="update_failed",
        translation_placeholders={"error": str(error)},
        retry_after=error.retry_after if isinstance(error, BusyError) else None,
    )


def error_key(error: SourceError) -> str:
    """Return the key of the text that a config flow shows for a source error."""
    return FORM_KEYS[_class(error)]


def inverter_error_key(error: Exception) -> str:
    """Return the key of the text that a dialog shows if an inverter was searched in the network."""
    return next(key for class_, key in INVERTER_FORM_KEYS.items() if isinstance(error, class_))


def validation_error(key: str, **placeholders: str) -> ServiceValidationError:
    """Return the error for an action that was called with data that make no sense."""
    return ServiceValidationError(translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders)
