"""The tree of a formula: values and exact derivatives by forward accumulation, arrays throughout.

A derivative is carried beside its value through every node (Griewank & Walther 2008, chapter 3), so it is exact to
rounding and costs one pass for each name that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from planner.laws.observations import Floats

Values = Mapping[str, Floats]
Partials = dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """An axis or a parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Binary:
    """Two nodes and `+`, `-`, `*`, `/` or `^` between them."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call:
    """`exp`, `ln`, `log` (natural), `log10`, `sqrt` or `neg` of a node."""

    function: str
    argument: Node


Node = Number | Name | Binary | Call

FUNCTIONS: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats, Floats], Floats]]] = {
    "exp": (np.exp, lambda x, f: f),
    "ln": (np.log, lambda x, f: 1.0 / x),
    "log": (np.log, lambda x, f: 1.0 / x),
    "log10": (np.log10, lambda x, f: 1.0 / (x * np.log(10.0))),
    "sqrt": (np.sqrt, lambda x, f: 0.5 / f),
    "neg": (np.negative, lambda x, f: np.full_like(x, -1.0)),
}
"""Each function with its derivative, which is given the argument and the value."""


def names_of(node: Node) -> tuple[str, ...]:
    """Every name in the order in which it first appears."""
    return tuple(dict.fromkeys(_names(node)))


def count_of(node: Node, name: str) -> int:
    """How often a name appears."""
    return _names(node).count(name)


def _names(node: Node) -> list[str]:
    if isinstance(node, Name):
        return [node.name]
    if isinstance(node, Binary):
        return _names(node.left) + _names(node.right)
    return _names(node.argument) if isinstance(node, Call) else []


def value_of(node: Node, values: Values) -> Floats:
    """The formula at arrays that broadcast; what has no value is NaN or infinite, never an error."""
    with np.errstate(all="ignore"):
        return _dual(node, values, frozenset())[0]


def gradient_of(node: Node, values: Values, by: tuple[str, ...]) -> tuple[Floats, Partials]:
    """The formula and its derivatives by those names, each of the broadcast shape; names it lacks are left out."""
    with np.errstate(all="ignore"):
        return _dual(node, values, frozenset(by))


def _dual(node: Node, values: Values, by: frozenset[str]) -> tuple[Floats, Partials]:
    if isinstance(node, Number):
        return np.asarray(node.value, dtype=np.float64), {}
    if isinstance(node, Name):
        value = np.asarray(values[node.name], dtype=np.float64)
        return value, {node.name: np.ones_like(value)} if node.name in by else {}
    if isinstance(node, Call):
        x, dx = _dual(node.argument, values, by)
        function, slope = FUNCTIONS[node.function]
        f = np.asarray(function(x))
        factor = slope(x, f) if dx else x
        return f, {name: factor * d for name, d in dx.items()}
    return _binary(node, values, by)


def _binary(node: Binary, values: Values, by: frozenset[str]) -> tuple[Floats, Partials]:
    x, dx = _dual(node.left, values, by)
    y, dy = _dual(node.right, values, by)
    if node.operator in "+-":
        sign = 1.0 if node.operator == "+" else -1.0
        return x + sign * y, _mixed(dx, 1.0, dy, sign)
    if node.operator == "*":
        return x * y, _mixed(dx, y, dy, x)
    if node.operator == "/":
        return x / y, _mixed(dx, 1.0 / y, dy, -x / y**2)
    value = np.asarray(x**y)
    # The factors are only made where they are needed: ln x of a negative base has none.
    by_base = y * x ** (y - 1.0) if dx else 0.0
    by_power = np.where(value == 0.0, 0.0, value * np.log(x)) if dy else 0.0
    return value, _mixed(dx, by_base, dy, by_power)


def _mixed(dx: Partials, a: Floats | float, dy: Partials, b: Floats | float) -> Partials:
    """A dx + b dy, name by name."""
    out = {name: np.asarray(a * d) for name, d in dx.items()}
    for name, d in dy.items():
        out[name] = out[name] + b * d if name in out else np.asarray(b * d)
    return out


_RANK = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}


def text_of(node: Node) -> str:
    """The formula written out with no bracket that it does not need; parsing it gives the same tree."""
    return _text(node)[0]


def _text(node: Node) -> tuple[str, int]:
    if isinstance(node, Number):
        return repr(node.value).removesuffix(".0"), 5
    if isinstance(node, Name):
        return node.name, 5
    if isinstance(node, Call):
        text, rank = _text(node.argument)
        if node.function == "neg":
            return f"-{text if rank >= 3 else f'({text})'}", 3
        return f"{node.function}({text})", 5
    rank = _RANK[node.operator]
    left, of_left = _text(node.left)
    right, of_right = _text(node.right)
    if of_left < rank or (node.operator == "^" and of_left <= rank):
        left = f"({left})"
    # A sign needs no bracket behind ^, and of equals ^ alone goes from the right.
    least = 3 if node.operator == "^" else rank + 1
    if of_right < least:
        right = f"({right})"
    between = node.operator if rank > 1 else f" {node.operator} "
    return f"{left}{between}{right}", rank
