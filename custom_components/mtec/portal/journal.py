"""What happened between an account and the portal lately: for whoever has to find out what is wrong."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
import json
from typing import Any, Final

from .redaction import Shown

ANSWERS_OF_A_PATH: Final = 12
"""Answers to different questions that are kept of one path."""

_LONGEST_LIST = 31
"""Rows of a month."""
_KEPT_AT_EACH_END = 2
_DEEPEST = 12
_LONGEST_TEXT = 200
_LONGEST_SHAPE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAnswer:
    """The last answer to a question: `data` as the portal sent it, with long lists shortened."""

    at: datetime
    path: str
    question: Mapping[str, Any]
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """The last error of a path. `notes` describe an answer that is none of the API's."""

    at: datetime
    path: str
    kind: str
    text: str
    notes: tuple[str, ...]


@dataclass(slots=True)
class Journal:
    """What happened in an account's session since it began: counts, and the last answer and error of each kind.

    It holds what is private. Only a Redaction may show it.
    """

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    requests: int = 0
    logins: int = 0
    last_login: datetime | None = None
    last_success: datetime | None = None
    error_counts: Counter[str] = field(default_factory=Counter)
    errors: dict[str, LastError] = field(default_factory=dict)
    _answers: dict[str, OrderedDict[str, LastAnswer]] = field(default_factory=dict)

    @property
    def answers(self) -> list[LastAnswer]:
        """The last answers, by path."""
        return [answer for path in sorted(self._answers) for answer in self._answers[path].values()]

    def answered(self, path: str, question: Mapping[str, Any] | None, data: Any) -> None:
        """Note an answer."""
        self.last_success = datetime.now(UTC)
        question = _shortened(dict(question or {}))
        known = self._answers.setdefault(path, OrderedDict())
        known[str(question)] = LastAnswer(at=self.last_success, path=path, question=question, data=_shortened(data))
        known.move_to_end(str(question))
        if len(known) > ANSWERS_OF_A_PATH:
            known.popitem(last=False)

    def logged_in(self, path: str, data: Any) -> None:
        """Note a login's answer, without what it says: it has the token."""
        self.answered(path, None, _described(data))
        self.logins += 1
        self.last_login = self.last_success

    def failed(self, path: str, error: Exception) -> None:
        """Note an error."""
        kind = type(error).__name__.strip("_")
        self.error_counts[kind] += 1
        notes = tuple(getattr(error, "__notes__", ()))
        self.errors[path] = LastError(at=datetime.now(UTC), path=path, kind=kind, text=str(error), notes=notes)


def shape(body: bytes) -> str:
    """Return the shape of an answer without its values: its names and types, or what else it is."""
    try:
        text = json.dumps(_described(json.loads(body)))
    except ValueError, RecursionError:
        text = f"{'a page' if body.lstrip()[:1] == b'<' else 'no JSON'} of {len(body)} bytes"
    return f"The answer: {text[:_LONGEST_SHAPE]}"


def _shortened(data: Any, depth: int = 0) -> Any:
    """Return a copy without the middle of long lists: that of a day has hundreds of points."""
    if depth > _DEEPEST:
        return Shown(f"{type(data).__name__}, too deep to be shown")
    if isinstance(data, dict):
        return {key: _shortened(value, depth + 1) for key, value in data.items()}
    if isinstance(data, list) and len(data) > _LONGEST_LIST:
        left_out = Shown(f"{len(data) - 2 * _KEPT_AT_EACH_END} more")
        return [
            *(_shortened(each, depth + 1) for each in data[:_KEPT_AT_EACH_END]),
            left_out,
            *(_shortened(each, depth + 1) for each in data[-_KEPT_AT_EACH_END:]),
        ]
    if isinstance(data, list):
        return [_shortened(each, depth + 1) for each in data]
    if isinstance(data, str) and len(data) > _LONGEST_TEXT and not isinstance(data, Shown):
        return Shown(f"text ({len(data)} characters)")
    return data


def _described(data: Any, depth: int = 0) -> Any:
    """Return the shape of an answer without its values."""
    if isinstance(data, dict) and depth < _DEEPEST:
        return {key: _described(value, depth + 1) for key, value in data.items()}
    length = f" ({len(data)} characters)" if isinstance(data, str) else ""
    return Shown(f"{type(data).__name__}{length}")
