"""A backbone of the user's own as a database keeps it, read without trusting what is there."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from planner.errors import InputError
from planner.words.catalogue import Backbone, shape_of
from planner.words.config_checks import LARGEST_SIZE

_MAY_BE_ZERO = ("relative_buckets",)


def read_stored(name: str, text: str) -> Backbone:
    """The backbone that `to_config` wrote.

    Raises:
        InputError: the text is no such thing, or a size is none that a model can have.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad(name, "its text is no JSON") from None
    if not isinstance(value, dict):
        raise _bad(name, "it is no object")
    made = shape_of(value.get("family"))
    value = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    for field in dataclasses.fields(made):
        if field.name in value:
            _check(name, field.name, str(field.type), value[field.name])
    try:
        backbone = made(**value)
        fits = backbone.name == name and backbone.n_params > 0
    except (TypeError, ValueError, ArithmeticError, LookupError) as problem:
        raise _bad(name, f"it describes no model ({problem})") from None
    if not fits:
        raise _bad(name, f"it is stored under that name and says {backbone.name!r}")
    return backbone


def _check(name: str, key: str, kind: str, value: Any) -> None:
    if kind == "int" and not _is_size(value, 0 if key in _MAY_BE_ZERO else 1):
        raise _bad(name, f"{key} is {str(value)[:40]!r}, no positive whole number")
    if kind == "tuple[int, ...]" and not (
        isinstance(value, tuple) and value and all(_is_size(one, 1) for one in value)
    ):
        raise _bad(name, f"{key} is {str(value)[:40]!r}, no list of positive whole numbers")
    if kind == "bool" and not isinstance(value, bool):
        raise _bad(name, f"{key} is {str(value)[:40]!r}, neither true nor false")
    if (
        kind.startswith("str")
        and not isinstance(value, str)
        and not (value is None and "None" in kind)
    ):
        raise _bad(name, f"{key} is {str(value)[:40]!r}, no text")


def _is_size(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < LARGEST_SIZE


def _bad(name: str, why: str) -> InputError:
    return InputError(
        f"backbone {name!r} as it is stored cannot be used: {why}; "
        f"add it again: soundscale backbones add PATH --name {name}"
    )
