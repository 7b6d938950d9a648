"""Requests that are repeated, and source errors as Home Assistant's errors."""

from collections.abc import Awaitable, Callable

import pytest

from custom_components.mtec import retry as retry_module
from custom_components.mtec.errors import EXCEPTION_KEYS, FORM_KEYS, error_key, homeassistant_error, update_failed
from custom_components.mtec.retry import Questions, has_pauses_left, is_passing, retry
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


def asked_before(*, endless: bool = False) -> Questions:
    return Questions(answered=1, endless=endless)


async def test_an_export_repeats_a_request_three_times_while_the_source_is_busy_unreachable_or_unreadable(
    pauses: list[float],
) -> None:
    busy, unreachable, unreadable = BusyError("busy"), SourceConnectionError("unreachable"), ResponseError("nonsense")
    assert await asked_before().ask(failing(busy, unreachable, unreadable)) == "answer"
    assert pauses == [10.0, 60.0, 300.0]
    with pytest.raises(SourceConnectionError):
        await asked_before().ask(failing(busy, busy, busy, unreachable))
    with pytest.raises(ResponseError):
        await asked_before().ask(failing(*[unreadable] * 4))


async def test_an_import_waits_for_a_busy_or_unreachable_source_as_long_as_it_takes(pauses: list[float]) -> None:
    errors = [BusyError("busy"), SourceConnectionError("unreachable")] * 4
    assert await asked_before(endless=True).ask(failing(*errors)) == "answer"
    assert await Questions(endless=True, patient=True).ask(failing(*errors)) == "answer"
    with pytest.raises(ResponseError):
        await asked_before(endless=True).ask(failing(*[ResponseError("nonsense")] * 4))


async def test_whoever_waits_for_the_first_answer_learns_at_once_that_the_source_is_busy(pauses: list[float]) -> None:
    for error in (BusyError("busy"), SourceConnectionError("unreachable")):
        with pytest.raises(type(error)):
            await Questions(endless=True).ask(failing(error))
    assert pauses == []
    assert await Questions().ask(failing(ResponseError("a page"))) == "answer"
    assert pauses == [10.0]


async def test_after_an_answer_that_stayed_unreadable_the_next_ones_are_not_worth_long_pauses(
    pauses: list[float],
) -> None:
    questions = asked_before()
    for _ in range(2):
        with pytest.raises(ResponseError):
            await questions.ask(failing(*[ResponseError("nonsense")] * 4))
    assert pauses == [10.0, 60.0, 300.0, 10.0]
    assert await questions.ask(failing()) == "answer"
    assert await questions.ask(failing(*[ResponseError("nonsense")] * 3)) == "answer"


async def test_a_refused_password_is_not_tried_again(pauses: list[float]) -> None:
    with pytest.raises(AuthenticationError):
        await asked_before(endless=True).ask(failing(AuthenticationError("refused")))
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
