"""Text normalisers that an installed runner gives: the planner has none, and asks by a scorer's name."""

from __future__ import annotations

from collections.abc import Callable

Normalise = Callable[[str], str]

_given: list[Callable[[str], Normalise]] = []


def provide(load: Callable[[str], Normalise]) -> None:
    """Let texts be normalised by `load(name)`, which may raise where it knows no such name."""
    if load not in _given:
        _given.append(load)


def normaliser(name: str | None) -> Normalise | None:
    """The normaliser of that name; None where no one gives it, or what it needs is not installed."""
    for load in _given if name else ():
        try:
            return load(str(name))
        except (ImportError, ValueError):
            continue
    return None
