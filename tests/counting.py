"""How often a function really ran, wherever it was imported to."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest


def calls_of(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any]) -> list[None]:
    """A list that grows by one with each call of the function, under every name it has in the planner."""
    calls: list[None] = []

    @functools.wraps(function)
    def counted(*given: Any, **named: Any) -> Any:
        calls.append(None)
        return function(*given, **named)

    for name, module in list(sys.modules.items()):
        if name.startswith("planner."):
            for attribute, value in list(vars(module).items()):
                if value is function:
                    monkeypatch.setattr(module, attribute, counted)
    return calls
