"""Conversion of a raw value of the portal to a value in a fixed unit, or None if the portal has none."""

from datetime import datetime, tzinfo
import re
from typing import Any

from custom_components.mtec.sources import ResponseError

_NUMBERS = (float, int)
"""The types of a number in JSON. A bool is another."""
_SPELLED = (str, int)
_NUMBER = re.compile(r"\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(\D*?)\s*", re.ASCII)

_NO_SERIAL_NUMBER = re.compile(r"(?:[\W_0]*|null|none|nil|nan|undefined|unknown|n/?a)", re.IGNORECASE)

_TO_KWH = {"Wh": 1e-3, "kWh": 1.0, "MWh": 1e3, "GWh": 1e6}
_TO_W = {"W": 1.0, "kW": 1e3, "MW": 1e6, "GW": 1e9, "Wp": 1.0, "kWp": 1e3, "MWp": 1e6}
_TO_KWH |= {unit.lower(): factor for unit, factor in _TO_KWH.items()}
_TO_W |= {unit.lower(): factor for unit, factor in _TO_W.items()}

_LONGEST_NUMBER = 100
"""Maximum characters of a text that is read as a number with its unit."""
_LARGEST_NUMBER = 1e20
"""Larger numbers count as no value, so that sums and products stay finite."""
_LARGEST_CODE = 2**64
_LARGEST_ORDINAL = 99

FIRST_YEAR, LAST_YEAR = 2000, 2100
"""The years of a valid timestamp; no plant is older."""

_TRUE = {"1", "true"}
_FALSE = {"0", "false"}


def number(raw: Any) -> float | None:
    """Return a number that the portal sent as a number or as text, with or without a unit.

    None for every spelling of "no value" (null, "", "--") and for anything else.
    """
    if type(raw) in _NUMBERS:
        return _bounded(raw)
    return _split_text(raw)[0] if isinstance(raw, str) else None


def energy(raw: Any, unit: Any) -> float | None:
    """Return an energy in kWh from a value and its unit: Wh, kWh, MWh or GWh.

    None if there is no value, or no unit of energy.
    """
    return _normalised(raw, unit, _TO_KWH)


def power(raw: Any, unit: Any) -> float | None:
    """Return a power in W from a value and its unit: W, kW, MW or GW, or Wp, kWp or MWp for a peak power.

    None if there is no value, or no unit of power.
    """
    return _normalised(raw, unit, _TO_W)


def kilowatts(raw: Any) -> float | None:
    """Return a power in W from a value in kW, or from a text with its own unit. None if there is no value."""
    # A curve has hundreds of plain numbers.
    return raw * 1e3 + 0.0 if type(raw) is float and -_LARGEST_NUMBER <= raw <= _LARGEST_NUMBER else power(raw, "kW")


def code(raw: Any) -> int | None:
    """Return a code or a bit field that the portal sent as a whole number or as text, decimal or like 0x1F.

    None if it is neither, or has more than 64 bits.
    """
    if isinstance(raw, str) and len(raw) <= _LONGEST_NUMBER and raw.strip()[:2].lower() == "0x":
        try:
            value = int(raw.strip(), 16)
        except ValueError:
            return None
    else:
        found = number(raw)
        if found is None or not found.is_integer():
            return None
        value = int(found)
    return value if abs(value) < _LARGEST_CODE else None


def ordinal(raw: str) -> int | None:
    """Return the number of a part, such as the 2 of PV2: 0 to 99. None if the text is no such number."""
    short = raw.isascii() and raw.isdecimal() and len(raw) <= len(str(_LARGEST_ORDINAL))
    return int(raw) if short else None


def flag(raw: Any) -> bool | None:
    """Return a boolean that the portal sent as a bool, as 0 or 1, or as text. None if it is none of these."""
    if not isinstance(raw, _SPELLED):
        return None
    spelled = str(raw).strip().lower()
    if spelled in _TRUE:
        return True
    return False if spelled in _FALSE else None


def text(raw: Any) -> str | None:
    """Return a stripped text that can be encoded as UTF-8, None if it is empty or no text."""
    if isinstance(raw, str):
        return encodable(raw).strip() or None
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else None


def encodable(text: str) -> str:
    """Return a text with a replacement character for each half of a surrogate pair, which cannot be encoded as UTF-8.

    The portal truncates names, which can leave half an emoji at the end.
    """
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def identifier(raw: Any) -> str:
    """Return an id as text. Raises ResponseError if it is missing, or a float, which has lost its last digits."""
    if (found := text(raw)) is None:
        raise ResponseError(f"The portal sent no usable id but {type(raw).__name__}")
    return found


def serial_number(raw: Any) -> str | None:
    """Return a serial number, None for every spelling of "no value": null, "", "--", zeros, "unknown" and the like."""
    found = text(raw)
    return None if found is None or _NO_SERIAL_NUMBER.fullmatch(found) else found


def moment(raw: Any, time_zone: tzinfo) -> datetime | None:
    """Return an aware datetime in `time_zone` from milliseconds since the epoch, or from a text.

    A text without an offset is in `time_zone`; only the sister portal sends one. None if it is neither, or outside
    FIRST_YEAR to LAST_YEAR.
    """
    try:
        if isinstance(raw, str) and not raw.strip().isdecimal():
            parsed = datetime.fromisoformat(raw.strip())
            found = parsed.astimezone(time_zone) if parsed.tzinfo else parsed.replace(tzinfo=time_zone)
        elif (milliseconds := number(raw)) is not None:
            found = datetime.fromtimestamp(milliseconds / 1000, time_zone)
        else:
            return None
    except ValueError, OverflowError, OSError:
        return None
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else None


def _split_text(raw: str) -> tuple[float | None, str]:
    """Return the number in a text, and the unit after it or ""."""
    # Python reads 1_000 as a number; the portal would mean something else.
    if len(raw) > _LONGEST_NUMBER or "_" in raw:
        return None, ""
    if raw[-1:].isdecimal():
        try:
            return _bounded(float(raw)), ""
        except ValueError:
            return None, ""
    found = _NUMBER.fullmatch(raw)
    return (None, "") if found is None else (_bounded(float(found[1])), found[2])


def _bounded(value: float) -> float | None:
    """Return a number with 0.0 in place of -0.0, None if it is too large, even for a float."""
    return value + 0.0 if -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER else None


def _normalised(raw: Any, unit: Any, factors: dict[str, float]) -> float | None:
    if isinstance(raw, str):
        value, written = _split_text(raw)
        unit = written or unit
    else:
        value = number(raw)
    if value is None or not isinstance(unit, str):
        return None
    factor = factors.get(unit) or factors.get(unit.strip().lower())
    return None if factor is None else value * factor
