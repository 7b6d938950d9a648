"""Redaction of private data in answers and texts, with a stable pseudonym for each private value.

Only values of an answer that are known to be harmless are shown; any other text is replaced by its kind and length.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from functools import partial
import re
from typing import Any, Final
from unicodedata import normalize

from custom_components.mtec.models import Inverter, Station

from .vocabulary import MODELS, NEVER_ALONE, READINGS, SCHEMA, STATES


class Shown(str):
    """A text of our own about an answer, shown unchanged."""

    __slots__ = ()


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", re.ASCII)
"""The words of a name such as stationStatusTip or Igrid_PhaseA."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_NEW_NAME = re.compile(r"[a-z][A-Za-z_]{2,39}\d{0,2}", re.ASCII)
_LONG_NUMBER = re.compile(r"\d{3}", re.ASCII)

_UNIT = r"(?:[kMGTm]?(?:Wh|Wp|W|VArh|VAr|VA|V|Ah|A|Hz|Ω)|%|°C|℃|°F|dBm?|min|s|h)"
_A_UNIT = re.compile(_UNIT, re.IGNORECASE)
_A_NUMBER = re.compile(
    rf"\s*[+-]?(?:\d{{1,2}}|[1-9]\d{{2,5}})(?P<decimals>\.\d{{1,3}})?\s*(?P<unit>{_UNIT})?\s*", re.ASCII
)
"""A reading or a code. With more digits it could be a telephone number, with more decimals a place."""
_FLAGS = re.compile(r"0[xX][0-9A-Fa-f]{1,8}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d(-\d\d)?([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_NO_VALUE = re.compile(r"[-\s./]{0,3}|null|none|true|false|n/?a", re.IGNORECASE | re.ASCII)
_PART = re.compile(r"(PV|MPPT|L)\d{1,2}", re.ASCII)
"""The name of a part of an inverter."""
_STATE = re.compile(r"[A-Za-z]+(?:[ _-][A-Za-z]+){0,4}", re.ASCII)
_VERSION = re.compile(r"[Vv]?\d{1,2}\.\d{1,2}\.\d{1,3}", re.ASCII)
_MODEL = re.compile(r"(?=.*\d)(?=.*[A-Za-z])(?!.*\d{3})(?!(?:\D*\d){7})[0-9A-Za-z.\-/ ]{1,24}", re.ASCII)
"""Letters and digits: no more of these than 25 kW, three phases and 25 A take."""
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TYPE = re.compile(r"(?:dict|list|str|int|float|bool|NoneType)(?: \(\d+ characters\))?")
_DIGITS = re.compile(r"[\d\s+()/.,:;-]+")

_UNIT_WORDS: Final = {"unit", "units"}
_TIME_WORDS: Final = {"date", "time", "timestamp", "stamp"}
_FIELD_WORDS: Final = {"field", "path"}
_MODEL_WORDS: Final = {"model", "type", "types", "version", "firmware"}
_FLAG_WORDS: Final = {"flag", "flags", "code", "error", "fault", "warn"}
_ID_WORDS: Final = {"id", "ids", "sn", "no", "key", "serial", "name", "names", "uid", "uuid"}
_PERSONAL_WORDS: Final = {
    *("mail", "email", "phone", "mobile", "tel", "telephone", "fax", "wechat", "contact"),
    *("owner", "installer", "user", "users", "customer", "person", "account", "login"),
    *("birth", "birthday", "surname", "nickname"),
    *("ip", "mac", "ssid", "imei", "iccid"),
    *("addr", "address", "street", "house", "city", "county", "district", "region", "province", "country"),
    *("post", "postal", "postcode", "zip", "zipcode"),
    *("lat", "lng", "lon", "latitude", "longitude", "location", "coordinate", "coordinates", "geo"),
}
_PERSONAL_PART = re.compile(r"mail|phone|address|latitude|longitude|owner|street|surname|birth|ssid", re.IGNORECASE)
"""The same in names without separators between words."""
_SECRET_PART = re.compile(r"token|password|passwd|digest|salt|secret", re.IGNORECASE)

_NAMED: Final = READINGS | STATES | SCHEMA | _PERSONAL_WORDS | _ID_WORDS

_SHORTEST_ID = 5
"""Shorter ids belong to the platform's own lists of types and labels."""
_SHORTEST_WORD = 3
_ROUNDING = 1e-6
_LARGEST_READING = 1e7
_LARGEST_FLAGS = 2**32
_STAMPS = range(946_684_800_000, 4_102_444_800_000)
"""Moments from 2000 to 2100, in ms since the epoch."""
_A_STAMP = re.compile(r"[1-9]\d{11,12}", re.ASCII)
_IN_TEXT = (
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "email"),
    (re.compile(r"\b[0-9a-fA-F]{24,}\b|\b[\w-]{32,}\b"), "secret"),
    (re.compile(r"\b(?=\w*\d{3})(?=\w*[A-Z])[A-Z0-9]{8,}\b|\b\d{9,}\b"), "id"),
    (re.compile(r"(?<!\w)[+0]\d[\d /()-]{5,}\d"), "number"),
    (re.compile(r"\b\d{1,3}\.\d{4,}\b"), "coordinate"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"), "address"),
)
"""Patterns of private text, and the kind of their pseudonym."""


class Redactor:
    """A redactor with its own set of pseudonyms."""

    def __init__(self) -> None:
        self._pseudonyms: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._texts: dict[str, int] = {}

    def pseudonym(self, kind: str, private: Any) -> str:
        """Return the pseudonym of a private value: its kind and a number, as in station-1."""
        key = _normal(private)
        if key not in self._pseudonyms:
            self._counts[kind] += 1
            self._pseudonyms[key] = f"{kind}-{self._counts[kind]}"
        return self._pseudonyms[key]

    def learn(self, private: Any, pseudonym: str) -> None:
        """Set the pseudonym of a private value, unless it already has one."""
        if key := _normal(private or ""):
            self._pseudonyms.setdefault(key, pseudonym)

    def known(self, private: str) -> str | None:
        """Return the pseudonym of a private value, None if it has none."""
        return self._pseudonyms.get(_normal(private))

    def station(self, station: Station) -> str:
        """Return the pseudonym of a station's id, and learn its name."""
        pseudonym = self.pseudonym("station", station.id)
        self.learn(station.name, f"name-of-{pseudonym}")
        return pseudonym

    def inverter(self, inverter: Inverter) -> str:
        """Return the pseudonym of an inverter's serial number, and learn its name."""
        pseudonym = self.pseudonym("inverter", inverter.serial_number)
        self.learn(inverter.name, f"name-of-{pseudonym}")
        return pseudonym

    def redact_model_name(self, model: str | None) -> str | None:
        """Return the name of a model if it looks like one, else its kind and length."""
        return None if model is None else self._redact_answer_text(model, "model", personal=False)

    def redact_text(self, text: str) -> str:
        """Return a text of our own with pseudonyms for known private values and for text that looks private."""
        if (whole := self.known(text)) is not None:
            return whole
        if _MOMENT.fullmatch(text):
            return text
        text = normalize("NFC", text).encode(errors="replace").decode()
        # Longest first: one private text may contain another.
        if known := sorted(filter(None, self._pseudonyms), key=len, reverse=True):
            # An underscore separates words, too.
            pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, known))})(?![^\W_])", re.IGNORECASE)
            text = pattern.sub(lambda found: self._pseudonyms.get(_normal(found[0]), "private"), text)
        for looks, kind in _IN_TEXT:
            text = looks.sub(partial(self._found, kind), text)
        return text

    def redact_shape(self, text: str) -> str:
        """Return the shape of an answer, which may be cut, with stand-ins for names that could be more than that."""
        end = max((found.end() for found in _QUOTED.finditer(text)), default=0)
        # What is left of a name that was cut is not known to be one.
        whole = text[:end] + text[end:].partition('"')[0]
        return self.redact_text(_QUOTED.sub(lambda found: f'"{self._shape_word(found[1])}"', whole))

    def _shape_word(self, word: str) -> str:
        return word if _TYPE.fullmatch(word) else self._name(word)

    def redact_answer(self, raw: Any, key: str = "", *, personal: bool = False) -> Any:
        """Return data that the portal sent under the name `key`, as JSON, with only the values that cannot be private.

        Any other value is replaced by its kind and length. `personal` is whether a name above it is that of personal
        data.
        """
        personal = personal or _is_personal(key)
        if isinstance(raw, Mapping):
            return {self._name(str(name)): self._member(raw, str(name), personal=personal) for name in raw}
        if isinstance(raw, list | tuple):
            return [self.redact_answer(each, key, personal=personal) for each in raw]
        if isinstance(raw, Shown) or raw is None or isinstance(raw, bool):
            return raw
        if isinstance(raw, int | float):
            return self._redact_number(raw, key, personal=personal)
        return self._redact_answer_text(str(raw), key, personal=personal)

    def redact_data(self, value: Any) -> Any:
        """Return models, or collections of models, as JSON with pseudonyms in their texts."""
        if is_dataclass(value) and not isinstance(value, type):
            return {each.name: self.redact_data(getattr(value, each.name)) for each in fields(value)}
        if isinstance(value, Mapping):
            return {self.redact_text(str(key)): self.redact_data(each) for key, each in value.items()}
        if isinstance(value, Iterable) and not isinstance(value, str | Enum):
            return [self.redact_data(each) for each in value]
        return self._redact_scalar(value)

    def _redact_scalar(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, str):
            return self.redact_text(value)
        # The portal can have sent any number in the place of a reading.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return self._redact_number(value, "", personal=False) if is_number else value

    def _found(self, kind: str, found: re.Match[str]) -> str:
        return self.pseudonym(kind, found[0])

    def _name(self, name: str) -> str:
        """Return the name of a value, or a pseudonym if it may be private: an answer may use ids as keys."""
        words = _words(name)
        if not name or (_is_name(name) and words <= _NAMED):
            return name
        known_words = {word for word in words & _NAMED if len(word) >= _SHORTEST_WORD} - NEVER_ALONE
        if _NEW_NAME.fullmatch(name) and known_words and not self._mentions(name):
            return name
        return self.pseudonym("id" if any(map(str.isdigit, name)) else "key", name)

    def _member(self, raw: Mapping[Any, Any], name: str, *, personal: bool) -> Any:
        """Return a redacted value of an object. The value of a cell counts under the name of its field."""
        field = raw.get("field")
        return self.redact_answer(
            raw[name], field if name == "value" and isinstance(field, str) else name, personal=personal
        )

    def _redact_number(self, raw: float, key: str, *, personal: bool) -> Any:
        words = _words(key)
        if words & _TIME_WORDS and not personal and _is_stamp(raw):
            return raw
        largest = _LARGEST_FLAGS if words & _FLAG_WORDS else _LARGEST_READING
        if personal or self._is_id(raw, words) or not abs(raw) < largest:
            return f"{self.pseudonym('id', raw)} ({type(raw).__name__})"
        return f"about {raw:.0f}" if _is_precise(raw) else raw

    def _is_id(self, number: float, words: set[str]) -> bool:
        written = str(number)
        return len(written) >= _SHORTEST_ID and (bool(words & _ID_WORDS) or self.known(written) is not None)

    def _redact_answer_text(self, raw: str, key: str, *, personal: bool) -> str:
        if _SECRET_PART.search(key) and raw.strip():
            return self.known(raw) or f"secret ({len(raw)} characters)"
        return self._redact_unless_harmless(raw, key, personal=personal)

    def _redact_unless_harmless(self, raw: str, key: str, *, personal: bool) -> str:
        stripped, words = raw.strip(), _words(key)
        if _NO_VALUE.fullmatch(stripped):
            return raw
        if not (personal or words & _ID_WORDS) and _is_reading(stripped, key):
            return raw
        if (known := self.known(raw)) is not None:
            return known
        if not personal and self._is_harmless(stripped, words):
            return raw
        return self._described(raw, words)

    def _is_harmless(self, text: str, words: set[str]) -> bool:
        """Return whether a text under a name of these words is the platform's own and mentions nothing private."""
        if words & _ID_WORDS:
            return len(text) < _SHORTEST_ID and text.isdecimal()
        return _is_word(text, words) and not self._mentions(text)

    def _mentions(self, text: str) -> bool:
        """Return whether a single word of a text is a known private value."""
        words = (*_WORDS.findall(text), *text.split())
        return any(self.known(word) is not None for word in words if not word.isdecimal())

    def _described(self, raw: str, words: set[str]) -> str:
        stripped = raw.strip()
        if words & _ID_WORDS:
            kind = self.pseudonym("id", stripped)
        elif _DIGITS.fullmatch(stripped):
            kind = "number as text"
        else:
            kind = f"text-{self._texts.setdefault(stripped, len(self._texts) + 1)}"
        return f"{kind} ({len(raw)} characters)"


def _normal(private: Any) -> str:
    """Return a private value in the spelling used as key."""
    return normalize("NFC", str(private)).strip().lower()


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(name) if not word.isdecimal()}


def _is_name(text: str) -> bool:
    """Return whether a text can be the name of a value: with more than two digits in a row it is an id."""
    return _NAME.fullmatch(text) is not None and _LONG_NUMBER.search(text) is None


def _is_personal(key: str) -> bool:
    return bool(_words(key) & _PERSONAL_WORDS) or any(map(bool, (_PERSONAL_PART.search(key), _SECRET_PART.search(key))))


def _is_precise(number: float) -> bool:
    """Return whether a number has more than three decimals, as a place has."""
    return abs(number - round(number, 3)) > _ROUNDING


def _is_stamp(milliseconds: float) -> bool:
    return _STAMPS.start <= milliseconds < _STAMPS.stop


def _is_reading(text: str, key: str) -> bool:
    """Return whether a text under a name is a number, with or without a unit, or a moment."""
    words = _words(key)
    if words & _TIME_WORDS and (_MOMENT.fullmatch(text) or (_A_STAMP.fullmatch(text) and _is_stamp(int(text)))):
        return True
    if (number := _A_NUMBER.fullmatch(text)) is not None:
        # By themselves some digits can be anything, unless their name says what they are.
        return bool(number["decimals"] or number["unit"]) or words <= READINGS
    return words <= READINGS and _FLAGS.fullmatch(text) is not None


def _is_word(text: str, words: set[str]) -> bool:
    """Return whether a text under a name of these words is one of the platform's: a unit, a field, a state, a model."""
    if words & _UNIT_WORDS:
        return _A_UNIT.fullmatch(text) is not None
    own = _words(text)
    if words & _FIELD_WORDS:
        return _is_name(text) and own <= _NAMED and not own <= NEVER_ALONE
    if words & _MODEL_WORDS and (_VERSION.fullmatch(text) or _is_model(text)):
        return True
    return _PART.fullmatch(text) is not None or (_STATE.fullmatch(text) is not None and own <= STATES)


def _is_model(text: str) -> bool:
    return _MODEL.fullmatch(text) is not None and all(len(word) == 1 or word in MODELS for word in _words(text))
