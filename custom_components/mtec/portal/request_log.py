"""A log of the last answers and errors of an account, for diagnostics."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
import json
from typing import Any, Final

from .body import Body
from .redaction import Shown

ANSWERS_OF_A_PATH: Final = 12
"""Answers to different requests that are kept of one path."""

_LONGEST_LIST = 31
"""The rows of a month."""
_KEPT_AT_EACH_END = 2
_DEEPEST = 12
_LONGEST_TEXT = 200
_MOST_VALUES = 5000
"""Maximum values that are kept of one answer."""
_LONGEST_SHAPE = 1000
_KEPT_UNTIL_SHOWN = 16 * 1024
"""Maximum bytes of an answer that is shortened only when it is shown. Larger ones would take much memory until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAnswer:
    """The last answer to a request: `data` as the portal sent it, or with long lists shortened."""

    at: datetime
    path: str
    question: Mapping[str, Any]
    data: Any
    is_shortened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """The last error of a path. `notes` describe the shape of the answer that caused it."""

    at: datetime
    path: str
    kind: str
    text: str
    notes: tuple[str, ...]


@dataclass(slots=True)
class RequestLog:
    """Counters since the start, the last answer to each request and the last error of each path.

    It holds private data, to be shown only through a Redactor.
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
        """The last answers, shortened, sorted by path."""
        return [
            replace(
                answer,
                question=_shortened(answer.question),
                data=answer.data if answer.is_shortened else _shortened(answer.data),
                is_shortened=True,
            )
            for path in sorted(self._answers)
            for answer in self._answers[path].values()
        ]

    def record_answer(self, path: str, question: Mapping[str, Any] | None, data: Any, size: int = 0) -> None:
        """Record an answer to a request, of `size` bytes. Its data must not be changed any more."""
        self.last_success = datetime.now(UTC)
        is_large = size > _KEPT_UNTIL_SHOWN
        key = repr(question)
        known = self._answers.setdefault(path, OrderedDict())
        known[key] = LastAnswer(
            at=self.last_success,
            path=path,
            question=question or {},
            data=_shortened(data) if is_large else data,
            is_shortened=is_large,
        )
        known.move_to_end(key)
        if len(known) > ANSWERS_OF_A_PATH:
            known.popitem(last=False)

    def record_login(self, path: str, data: Any) -> None:
        """Record a login. Of its answer only the shape is kept: the values include the token."""
        self.record_answer(path, None, _described(_shortened(data)))
        self.logins += 1
        self.last_login = self.last_success

    def record_error(self, path: str, error: Exception, *notes: str) -> None:
        """Record an error, with notes on the answer that caused it."""
        kind = type(error).__name__
        self.error_counts[kind] += 1
        self.errors[path] = LastError(at=datetime.now(UTC), path=path, kind=kind, text=str(error), notes=notes)


def shape(body: Body) -> str:
    """Return the names and types of an answer without its values, or its size if it is not JSON."""
    if body.is_json:
        text = json.dumps(_described(_shortened(body.tree)))
    else:
        text = f"{'a page' if body.is_page else 'no JSON'} of {body.size} bytes"
    return f"The answer: {text[:_LONGEST_SHAPE]}"


def _shortened(data: Any) -> Any:
    """Return a copy of an answer without the middle of long lists and without long texts.

    A day has hundreds of points. Of an answer that is still too long only the beginning is copied.
    """
    return _Copier().copy(data, 0)


@dataclass(slots=True)
class _Copier:
    """A copier of an answer, which stops after `left` values."""

    left: int = _MOST_VALUES

    def copy(self, data: Any, depth: int) -> Any:
        """Return a copy with placeholders for parts that are too long or too deep."""
        self.left -= 1
        if depth > _DEEPEST:
            return Shown(f"{type(data).__name__}, too deep to be shown")
        if isinstance(data, dict):
            return self._copy_object(data, depth)
        if isinstance(data, list):
            return self._copy_list(data, depth)
        if isinstance(data, str) and len(data) > _LONGEST_TEXT and not isinstance(data, Shown):
            return Shown(f"text ({len(data)} characters)")
        return data

    def _copy_object(self, data: dict[str, Any], depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for name, value in data.items():
            if self.left <= 0:
                copied[Shown("more")] = Shown(f"{len(data) - len(copied)} more")
                break
            copied[_short_name(name)] = self.copy(value, depth + 1)
        return copied

    def _copy_list(self, data: list[Any], depth: int) -> list[Any]:
        shown = data
        if len(data) > _LONGEST_LIST:
            shown = [*data[:_KEPT_AT_EACH_END], *data[-_KEPT_AT_EACH_END:]]
        copied = [self.copy(each, depth + 1) for each in shown if self.left > 0]
        if len(copied) < len(data):
            place = min(len(copied), _KEPT_AT_EACH_END)
            copied.insert(place, Shown(f"{len(data) - len(copied)} more"))
        return copied


def _short_name(name: str) -> str:
    return name if len(name) <= _LONGEST_TEXT else Shown(f"name ({len(name)} characters)")


def _described(data: Any) -> Any:
    """Return a shortened answer with the type of each value in its place."""
    if isinstance(data, Shown):
        return data
    if isinstance(data, dict):
        return {name: _described(value) for name, value in data.items()}
    length = f" ({len(data)} characters)" if isinstance(data, str) else ""
    return Shown(f"{type(data).__name__}{length}")
