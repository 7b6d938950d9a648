"""Source errors as Home Assistant's translated errors."""

from collections.abc import Mapping
from typing import Final

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.update_coordinator import UpdateFailed

from .const import DOMAIN
from .local.errors import (
    ConnectionClosedError,
    ConnectionHeldError,
    InvalidSettingError,
    NotAnInverterError,
    NotTakenError,
    OtherInverterError,
    UnsupportedHardwareError,
    WriteRefusedError,
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

ADDRESS_ERRORS: Final = frozenset({"invalid_url", "insecure_url", "cannot_connect", "invalid_response"})
"""Those texts below `config.error` that ask to check the address of the portal."""

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


REFUSAL_KEYS: Final[Mapping[int | None, str]] = {
    1: "write_refused_function",
    2: "write_refused_address",
    3: "write_refused_value",
}
"""Translation keys below `exceptions` for a refused write, by the code of the Modbus exception."""

CONTROL_KEYS: Final[Mapping[type[SourceError], str]] = {
    NotTakenError: "write_not_taken",
    OtherInverterError: "other_inverter_answers",
    UnsupportedHardwareError: "hardware_not_proven",
    BusyError: "inverter_busy",
    SourceConnectionError: "inverter_silent",
    SourceError: "inverter_not_understood",
}
"""Translation keys below `exceptions` for what goes wrong when an inverter is set, the special ones first."""


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


def control_error(error: SourceError) -> HomeAssistantError:
    """Return the error of an action or an entity that sets an inverter."""
    if isinstance(error, WriteRefusedError):
        return HomeAssistantError(
            translation_domain=DOMAIN,
            translation_key=REFUSAL_KEYS.get(error.code, "write_refused"),
            translation_placeholders={"code": "?" if error.code is None else str(error.code)},
        )
    if isinstance(error, InvalidSettingError):
        return validation_error("setting_out_of_range", error=str(error))
    class_ = next(class_ for class_ in CONTROL_KEYS if isinstance(error, class_))
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key=CONTROL_KEYS[class_],
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
