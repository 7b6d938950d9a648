"""The terminal: questions and the progress bar, both on the standard error so that the output stays clean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import sys
from typing import Final

_BAR: Final = 30
"""The width of the progress bar in characters."""


def ask(prompt: str) -> str:
    """Return the line that the person types, empty at the end of the input."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Callable[[float], None]]:
    """Provide a function that shows a progress from 0 to 1."""
    drawn: int | None = None

    def show(progress: float) -> None:
        nonlocal drawn
        if (percent := int(progress * 100)) != drawn:
            drawn = percent
            filled = percent * _BAR // 100
            sys.stderr.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {percent:3} %")
            sys.stderr.flush()

    try:
        yield show if shown else lambda _: None
    finally:
        if shown:
            sys.stderr.write(f"\r{' ' * (_BAR + 8)}\r")
            sys.stderr.flush()
