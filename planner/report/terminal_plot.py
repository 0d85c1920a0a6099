"""Charts of characters: points on two logarithmic axes, for a terminal or a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 64, 18

Point = tuple[float, float, str]
"""x, y and one character; of points in one place the last is shown."""


def scatter(
    points: Sequence[Point],
    *,
    x_title: str,
    y_title: str,
    x_shown: Callable[[float], str] = "{:.3g}".format,
    y_shown: Callable[[float], str] = "{:.1%}".format,
) -> str:
    """Points on logarithmic axes with their ends and middles labelled.

    >>> print(scatter([(1, 0.1, "o"), (100, 0.2, "x")], x_title="cost", y_title="error"))  # doctest: +ELLIPSIS
    error
     20.0% ┤...x
    ...
    """
    xs = [math.log(p[0]) for p in points]
    ys = [math.log(p[1]) for p in points]
    left, right = _widened(min(xs), max(xs))
    low, high = _widened(min(ys), max(ys))
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for x, y, (_, _, mark) in zip(xs, ys, points, strict=True):
        column = round((x - left) / (right - left) * (WIDTH - 1))
        row = round((high - y) / (high - low) * (HEIGHT - 1))
        grid[row][column] = mark
    lines = [y_title]
    for number, cells in enumerate(grid):
        labelled = number in (0, HEIGHT // 2, HEIGHT - 1)
        value = math.exp(high - (high - low) * number / (HEIGHT - 1))
        label = y_shown(value) if labelled else ""
        lines.append(f"{label:>6s} {'┤' if labelled else '│'}{''.join(cells)}".rstrip())
    lines.append(" " * 7 + "└" + "─" * WIDTH)
    ends = [x_shown(math.exp(v)) for v in (left, (left + right) / 2, right)]
    space = WIDTH - sum(map(len, ends))
    lines.append(
        " " * 8 + ends[0] + " " * (space // 2) + ends[1] + " " * (space - space // 2) + ends[2]
    )
    lines.append(" " * 8 + x_title)
    return "\n".join(lines)


def _widened(low: float, high: float) -> tuple[float, float]:
    """The same ends, or a factor of two around a single value."""
    return (low, high) if high > low else (low - math.log(2), high + math.log(2))
