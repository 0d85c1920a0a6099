"""Questions in a query string: `flops=520G` is what `{"flops": 520e9}` is in a body.

Each parameter's text becomes a value by its name, and the strict model of the body checks it: so that
both ways of asking refuse the same things, and an answer can be linked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from planner.errors import UnitError
from planner.words.asked import READERS
from planner.words.question import KINDS

Model = TypeVar("Model", bound=BaseModel)

MAX_PARAMETERS = 40

_NUMBER = re.compile(r"[+-]?(\d{1,30}\.?\d{0,30}|\.\d{1,30})([eE][+-]?\d{1,3})?$", re.ASCII)
_UNIT = r"^[1-9][0-9]{0,4}(\.[0-9]{1,4})?"


def _float(text: str) -> float:
    if not _NUMBER.match(text):
        raise UnitError(f"must be a number, got {text[:40]!r}")
    return float(text)


def _int(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        raise UnitError(f"must be a whole number, got {text[:40]!r}")
    return int(text)


def _bool(text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise UnitError(f"must be true or false, got {text[:40]!r}")
    return text in ("true", "1")


_UNITS = {
    "flops": "[kMGTP]?", "latency": "(ms|s)?", "bytes": "([kMG]B|[KMG]iB)?", "error": "%",
    "energy": "(k?J|k?Wh)?", "power": "k?W?", "price": "(/h|/day)?",
}  # fmt: skip
"""Kind of a quantity -> its units, as a pattern for OpenAPI."""
_QUANTITIES = {one.name: one for fields in KINDS.values() for one in fields if one.kind in READERS}
"""Parameters whose text takes a unit."""


def _reader(model: type[BaseModel], name: str) -> Callable[[str], Any] | None:
    """How the text of a parameter becomes a value; None keeps the text."""
    if name in _QUANTITIES:
        return READERS[_QUANTITIES[name].kind]
    field = model.model_fields.get(name)
    if field is None:
        return None
    kinds = {field.annotation, *get_args(field.annotation)}
    kinds |= {inner for k in kinds for inner in get_args(k)}
    for kind, reader in ((bool, _bool), (float, _float), (int, _int)):
        if kind in kinds:
            return reader
    return None


def _readers(model: type[BaseModel]) -> dict[str, Callable[[str], Any] | None]:
    return {name: _reader(model, name) for name in model.model_fields}


def asked(model: type[Model]) -> Callable[[Request], Model]:
    """A dependency that reads the model from the query string.

    Raises (in the dependency):
        RequestValidationError: a parameter is unknown, comes twice, or is not what it should be.
    """
    readers = _readers(model)

    def read(request: Request) -> Model:
        try:
            pairs = parse_qsl(
                request.scope["query_string"].decode("latin-1"),
                keep_blank_values=True,
                max_num_fields=MAX_PARAMETERS,
                errors="strict",
            )
        except (ValueError, UnicodeError):
            raise _refused(
                "query", f"not UTF-8, or more than {MAX_PARAMETERS} parameters"
            ) from None
        values: dict[str, Any] = {}
        for name, text in pairs:
            if name in values:
                raise _refused(name, "given twice")
            reader = readers.get(name)
            try:
                if reader is not None and not text.isascii():
                    raise UnitError("must be written in ASCII digits")
                values[name] = text if reader is None else reader(text)
            except (UnitError, OverflowError) as problem:
                raise _refused(name, str(problem)) from None
        try:
            return model.model_validate(values)
        except ValidationError as problem:
            raise RequestValidationError(problem.errors(include_input=False)) from None

    return read


def _refused(name: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": (name,), "msg": message}])


def parameters(model: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes the model in its query string."""
    schema = model.model_json_schema()
    needed = set(schema.get("required", ()))
    out = []
    for name, described in schema["properties"].items():
        shown = {k: v for k, v in described.items() if k not in ("title", "default", "anyOf")}
        kinds = [k for k in described.get("anyOf", ()) if k.get("type") != "null"]
        # Without a unit the parameter is a number; with one it is text.
        shown |= kinds[0] if kinds else {}
        if name in _QUANTITIES:
            number = {k: v for k, v in shown.items() if k not in ("description", "examples")}
            asked = _QUANTITIES[name]
            texts = {"type": "string", "pattern": f"{_UNIT}{_UNITS[asked.kind]}$"}
            shown = {"anyOf": [number, texts], "examples": [asked.example]}
        if described.get("default") is not None:
            shown["default"] = described["default"]
        out.append(
            {
                "name": name, "in": "query", "required": name in needed, "schema": shown,
                "description": described.get("description", ""),
            }
        )  # fmt: skip
    return {"parameters": out}
