"""One raw portal value -> a value in fixed units, or None where the portal has none."""

from datetime import UTC, datetime, tzinfo
import math
import re
from typing import Any

from .errors import ResponseError

_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(\D*?)\s*", re.ASCII)

_NO_SERIAL_NUMBER = re.compile(r"(?:[\W_0]*|null|none|nil|nan|undefined|unknown|n/?a)", re.IGNORECASE)

_TO_KWH = {"wh": 1e-3, "kwh": 1.0, "mwh": 1e3, "gwh": 1e6}
_TO_W = {"w": 1.0, "kw": 1e3, "mw": 1e6, "gw": 1e9, "wp": 1.0, "kwp": 1e3, "mwp": 1e6}

_TRUE = {"1", "true"}
_FALSE = {"0", "false"}


def number(raw: Any) -> float | None:
    """Return a number the portal sent as a number or as text, with or without a unit behind it.

    None for every spelling of "no value" (null, "", "--") and for what is no number.
    """
    return _split(raw)[0]


def energy(raw: Any, unit: Any) -> float | None:
    """Return kWh from a value and the unit the portal gave with it: Wh, kWh, MWh or GWh.

    None if there is no value, or its unit is missing or not one of energy.
    """
    return _normalised(raw, unit, _TO_KWH)


def power(raw: Any, unit: Any) -> float | None:
    """Return W from a value and the unit the portal gave with it: W, kW, MW or GW, or for a peak power Wp, kWp or MWp.

    None if there is no value, or its unit is missing or not one of power.
    """
    return _normalised(raw, unit, _TO_W)


def code(raw: Any) -> int | None:
    """Return a code or a word of flags, which the portal sends as a whole number or as text, decimal or like 0x1F."""
    if isinstance(raw, str) and raw.strip()[:2].lower() == "0x":
        try:
            return int(raw.strip(), 16)
        except ValueError:
            return None
    value = number(raw)
    return int(value) if value is not None and value.is_integer() else None


def flag(raw: Any) -> bool | None:
    """Return a yes or no that the portal spells as a bool, 0 or 1, or either as text."""
    spelled = str(raw).strip().lower()
    if spelled in _TRUE:
        return True
    return False if spelled in _FALSE else None


def text(raw: Any) -> str | None:
    """Return a text without the blanks around it, None if it is empty or no text."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    return raw.strip() or None if isinstance(raw, str) else None


def identifier(raw: Any) -> str:
    """Return an id as text. Raises ResponseError if it is missing, or a float, whose last digits are lost."""
    if (found := text(raw)) is None:
        raise ResponseError(f"The portal sent no usable id but {type(raw).__name__}")
    return found


def serial_number(raw: Any) -> str | None:
    """Return a serial number, None for every spelling of "no value": null, "", "--", zeros, "unknown" and the like."""
    found = text(raw)
    return None if found is None or _NO_SERIAL_NUMBER.fullmatch(found) else found


def moment(raw: Any, time_zone: tzinfo) -> datetime | None:
    """Return the moment of milliseconds since the epoch, or of a text in `time_zone`, as an aware datetime in it.

    None if it is neither. Generation 1 sends milliseconds; a text was seen on the sister portal.
    """
    try:
        if isinstance(raw, str) and not raw.strip().isdecimal():
            parsed = datetime.fromisoformat(raw.strip())
            return parsed.astimezone(time_zone) if parsed.tzinfo else parsed.replace(tzinfo=time_zone)
        milliseconds = number(raw)
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(time_zone)
    except ValueError, OverflowError, OSError:
        return None


def _split(raw: Any) -> tuple[float | None, str]:
    """Return the number of a raw value and the unit written behind it, "" if there is none."""
    unit = ""
    if isinstance(raw, str):
        if (found := _NUMBER.fullmatch(raw)) is None:
            return None, ""
        raw, unit = float(found[1]), found[2]
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None, ""
    try:
        value = float(raw)
    except OverflowError:
        return None, ""
    # Adding zero turns -0.0 into 0.0.
    return (value + 0.0 if math.isfinite(value) else None), unit


def _normalised(raw: Any, unit: Any, factors: dict[str, float]) -> float | None:
    value, written = _split(raw)
    factor = factors.get((written or str(unit)).strip().lower())
    return None if value is None or factor is None else value * factor
