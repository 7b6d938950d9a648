"""What is private, replaced by stand-ins: the same one for the same thing, so that a reader can tell two apart."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from functools import partial
import re
from typing import Any

from .models import Inverter, Station


class Shown(str):
    """A text that is no answer of the portal's but says something about one: it is shown as it is."""

    __slots__ = ()


_NUMBER = re.compile(r"\s*[+-]?\d{1,8}(\.\d*)?\s*[^\w\s]{0,2}[A-Za-z]{0,4}\s*")
_PRECISE = re.compile(r"\d\.\d{4,}")
_MOMENT = re.compile(r"\d{4}-\d\d(-\d\d)?([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?")
_NO_VALUE = re.compile(r"\W{0,3}|null|none|true|false", re.IGNORECASE)
_PART = re.compile(r"[A-Z]{1,4}\d{1,2}")
"""The name of a part, such as PV1, MPPT2, L3."""
_WORD = re.compile(r"[\w%°℃][\w.% /°℃-]{0,40}")

_TELLING_KEY = re.compile(r"(unit|field|type|model|status|tip|mode|code|version|label)$", re.IGNORECASE)
"""Names of values that are words of the platform's own."""
_TIME_KEY = re.compile(r"date|time|stamp", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
"""The words of a name such as stationStatusTip."""
_ID_WORDS = {"id", "ids", "sn", "no", "key", "serial", "name"}
_PERSONAL_WORDS = {
    *("mail", "email", "phone", "mobile", "tel", "telephone", "owner", "installer"),
    *("ip", "mac", "ssid", "imei", "iccid"),
    *("addr", "address", "street", "house", "city", "county", "province", "country"),
    *("post", "postal", "postcode", "zip", "zipcode"),
    *("lat", "lng", "lon", "latitude", "longitude", "location", "coordinate", "coordinates", "geo"),
}
_SECRET_KEY = re.compile(r"token|password|digest|salt|secret", re.IGNORECASE)

_SHORTEST_ID = 5
_SHORTEST_IN_TEXT = 4
"""Characters of a private value that is replaced wherever it is found in a text."""
_LARGEST_NUMBER = 1e9
_IN_TEXT = (
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "email"),
    (re.compile(r"\b[0-9a-fA-F]{24,}\b|\b[\w-]{32,}\b"), "secret"),
    (re.compile(r"\b(?=\w*\d{3})(?=\w*[A-Z])[A-Z0-9]{8,}\b|\b\d{9,}\b"), "id"),
    (re.compile(r"\b\d{1,3}\.\d{4,}\b"), "coordinate"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"), "address"),
)
"""What looks private in a text, and what stands for it."""


class Redaction:
    """Stand-ins for what is private."""

    def __init__(self) -> None:
        self._stand_ins: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def stand_in(self, kind: str, private: Any) -> str:
        """Return what stands for something private: the kind and a number, as in station-1."""
        key = str(private).strip().lower()
        if key not in self._stand_ins:
            self._counts[kind] += 1
            self.learn(key, f"{kind}-{self._counts[kind]}")
        return self._stand_ins[key]

    def learn(self, private: Any, stand_in: str) -> None:
        """Let `stand_in` stand for something private, unless something does already."""
        if key := str(private or "").strip().lower():
            self._stand_ins.setdefault(key, stand_in)

    def known(self, private: str) -> str | None:
        """Return what stands for something private, None if nothing does."""
        return self._stand_ins.get(private.strip().lower())

    def station(self, station: Station) -> str:
        """Return what stands for a station's id, and learn its name."""
        stand_in = self.stand_in("station", station.id)
        self.learn(station.name, f"name-of-{stand_in}")
        return stand_in

    def inverter(self, inverter: Inverter) -> str:
        """Return what stands for an inverter's serial number, and learn its name."""
        stand_in = self.stand_in("inverter", inverter.serial_number)
        self.learn(inverter.name, f"name-of-{stand_in}")
        return stand_in

    def text(self, text: str) -> str:
        """Return a text with stand-ins for what is known to be private and what looks like it."""
        if (whole := self.known(text)) is not None:
            return whole
        if _MOMENT.fullmatch(text):
            return text
        # Longest first: one private text may contain another.
        known = sorted((key for key in self._stand_ins if len(key) >= _SHORTEST_IN_TEXT), key=len, reverse=True)
        if known:
            pattern = re.compile("|".join(rf"(?<!\w){re.escape(key)}(?!\w)" for key in known), re.IGNORECASE)
            text = pattern.sub(lambda found: self._stand_ins.get(found[0].lower(), "private"), text)
        for looks, kind in _IN_TEXT:
            text = looks.sub(partial(self._found, kind), text)
        return text

    def answer(self, raw: Any, key: str = "") -> Any:
        """Return what the portal sent, as JSON, with only those values that cannot be private.

        What is left out is described, so that its type and length can be seen.
        """
        if isinstance(raw, Shown) or raw is None or isinstance(raw, bool):
            return raw
        if isinstance(raw, Mapping):
            field = raw.get("field")
            return {
                self._key(str(name)): self.answer(
                    value, field if name == "value" and isinstance(field, str) else str(name)
                )
                for name, value in raw.items()
            }
        if isinstance(raw, list | tuple):
            return [self.answer(each, key) for each in raw]
        if isinstance(raw, int | float):
            return self._number(raw, key)
        return self._text_of_answer(str(raw), key)

    def parsed(self, value: Any) -> Any:
        """Return a model, or anything made of models, as JSON with stand-ins in its texts."""
        if isinstance(value, Enum):
            return value.value
        if is_dataclass(value) and not isinstance(value, type):
            return {each.name: self.parsed(getattr(value, each.name)) for each in fields(value)}
        if isinstance(value, Mapping):
            return {self._key(str(key)): self.parsed(each) for key, each in value.items()}
        if isinstance(value, Iterable) and not isinstance(value, str):
            return [self.parsed(each) for each in value]
        if isinstance(value, date):
            return value.isoformat()
        return self.text(value) if isinstance(value, str) else value

    def _found(self, kind: str, found: re.Match[str]) -> str:
        return self.stand_in(kind, found[0])

    def _key(self, key: str) -> str:
        return self.text(key) if len(key) >= _SHORTEST_IN_TEXT else key

    def _number(self, raw: float, key: str) -> Any:
        if _TIME_KEY.search(key):
            return raw
        if _is_private(key, str(raw)) or str(raw) in self._stand_ins or abs(raw) >= _LARGEST_NUMBER:
            return f"{self.stand_in('id', raw)} ({type(raw).__name__})"
        return f"about {raw:.0f}" if _PRECISE.search(str(raw)) else raw

    def _text_of_answer(self, raw: str, key: str) -> str:
        stripped = raw.strip()
        if (known := self.known(raw)) is not None:
            return known
        if _is_harmless(stripped, key):
            return raw
        if _SECRET_KEY.search(key):
            return f"secret ({len(raw)} characters)"
        if _TELLING_KEY.search(key) and not _words(key) & _PERSONAL_WORDS and _WORD.fullmatch(stripped):
            return self.text(raw)
        kind = "id" if _words(key) & _ID_WORDS else "text"
        return f"{self.stand_in(kind, stripped)} ({len(raw)} characters)"


def _is_harmless(text: str, key: str) -> bool:
    """Return whether what the portal sent under a name is no more than a value or a moment."""
    if not text:
        return True
    if _TIME_KEY.search(key) and (text.isdecimal() or _MOMENT.fullmatch(text)):
        return True
    looks: tuple[Callable[[str], Any], ...] = (_NUMBER.fullmatch, _NO_VALUE.fullmatch, _PART.fullmatch)
    return not _is_private(key, text) and not _PRECISE.search(text) and any(like(text) for like in looks)


def _is_private(key: str, text: str) -> bool:
    """Return whether the name of a value says that it is private. Short ids are those of the platform's own lists."""
    words = _words(key)
    return bool(words & _PERSONAL_WORDS) or (bool(words & _ID_WORDS) and len(text) >= _SHORTEST_ID)


def _words(key: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(key)}
