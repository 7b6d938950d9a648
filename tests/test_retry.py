"""Requests that are repeated, and source errors as Home Assistant's errors."""

from collections.abc import Awaitable, Callable

import pytest

from custom_components.mtec import retry as retry_module
from custom_components.mtec.errors import EXCEPTION_KEYS, FORM_KEYS, error_key, homeassistant_error, update_failed
from custom_components.mtec.export import usage as usage_module
from custom_components.mtec.retry import has_pauses_left, is_passing, retry
from custom_components.mtec.sources import (
    AuthenticationError,
    BusyError,
    ResponseError,
    SourceConnectionError,
    SourceError,
)
from custom_components.mtec.time_limit import OutOfTimeError, UnexpectedError


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without waiting for them."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(f"{retry_module.__name__}.asyncio.sleep", sleep)
    return made


def failing(*errors: SourceError) -> Callable[[], Awaitable[str]]:
    """Return a request that fails with these errors, one after the other, and then succeeds."""
    left = list(errors)

    async def request() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return request


async def test_pauses_grow_and_the_last_one_is_repeated(pauses: list[float]) -> None:
    request = failing(*[BusyError("busy")] * 5)
    assert await retry(request, lambda error, _: is_passing(error)) == "answer"
    assert pauses == [10.0, 60.0, 300.0, 300.0, 300.0]


async def test_an_export_repeats_a_request_three_times_while_the_source_is_busy_or_unreachable(
    pauses: list[float],
) -> None:
    busy, unreachable = BusyError("busy"), SourceConnectionError("unreachable")
    assert await usage_module._retry(failing(busy, unreachable, busy)) == "answer"
    assert pauses == [10.0, 60.0, 300.0]
    with pytest.raises(SourceConnectionError):
        await usage_module._retry(failing(busy, busy, busy, unreachable))


@pytest.mark.parametrize("error", [AuthenticationError("refused"), ResponseError("nonsense")])
async def test_an_export_does_not_repeat_a_request_that_is_refused(pauses: list[float], error: SourceError) -> None:
    with pytest.raises(type(error)):
        await usage_module._retry(failing(error))
    assert pauses == []


def test_there_are_as_many_repetitions_as_pauses() -> None:
    assert [has_pauses_left(repetitions) for repetitions in range(5)] == [True, True, True, False, False]


def test_subclasses_of_source_errors_have_the_texts_of_their_class() -> None:
    assert EXCEPTION_KEYS.keys() == FORM_KEYS.keys()
    for class_ in EXCEPTION_KEYS:
        error = class_("text")
        assert (homeassistant_error(error).translation_key, error_key(error)) == (
            EXCEPTION_KEYS[class_],
            FORM_KEYS[class_],
        )
    late, unreadable = OutOfTimeError(), UnexpectedError(ValueError("secret"))
    assert (homeassistant_error(late).translation_key, error_key(late)) == ("portal_unreachable", "cannot_connect")
    assert (homeassistant_error(unreadable).translation_key, error_key(unreadable)) == (
        "portal_response",
        "invalid_response",
    )


def test_an_update_that_failed_has_the_pause_that_the_source_asks_for() -> None:
    assert update_failed(BusyError("busy", 42)).retry_after == 42
    assert update_failed(ResponseError("nonsense")).retry_after is None
