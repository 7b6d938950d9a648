"""The rows of a benchmark, and the table that they are printed as."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its unit. `ratio` is that to the yardstick named in `what`, "" without one. `goal` is in words."""

    what: str
    figure: str
    ratio: str = ""
    goal: str = ""


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown."""
    cells = [("what", "figure", "ratio", "goal"), *((row.what, row.figure, row.ratio, row.goal) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
