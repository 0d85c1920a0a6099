"""A law as it is typed: `E + A*n^-a + B*(d/(1+d/k))^-b`, with exact derivatives.

A sum of terms, each with one amplitude of its own; names that are no axis are parameters, and all are positive: an
exponent that lowers the error is written with its sign. What stands behind ^ is an exponent, any other parameter a
scale in the unit of what it stands with. Axes are in their own units, not over scales as in the built-in laws.

An axis that is an expression of columns, `(n*d)`, stands where the formula has that expression; of a column with
zeros, whose axis is `(share+c)`, the formula means the column itself: `E + A*(share+k)^-a` is read as it is typed.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from planner.errors import InputError
from planner.laws.expression.parse import parse
from planner.laws.expression.tree import (
    Binary,
    Call,
    Name,
    Node,
    Number,
    count_of,
    gradient_of,
    names_of,
    text_of,
    value_of,
)
from planner.laws.forms.base import Evaluator, Form, Linearisation, ParameterSpec, log_sum
from planner.laws.forms.power_laws import Roles
from planner.laws.observations import Floats

ROUNDING = 1e-9
"""Share of an axis' offset below which what is left of it is the rounding of a column's 0."""
LEAST_NAME, ALIKE = 4, 0.8
"""Letters of a parameter and the likeness (difflib's ratio) from which it is a slip for an axis (assumption)."""
NOTHING = -700.0
"""Logarithm of a term that is 0 or less, where e^t is still a number."""


def is_formula(law: str) -> bool:
    """Whether the text is a formula and no name."""
    return any(sign in law for sign in "+*/^(") and ":" not in law


@dataclass(frozen=True)
class FormulaLaw(Form):
    """A formula bound to axes: its terms without their amplitudes."""

    law: str
    axes: tuple[str, ...]
    parameters: tuple[ParameterSpec, ...]
    terms: tuple[Node, ...]
    letters: str
    shifted: tuple[tuple[str, str, float], ...] = ()
    """Columns that the formula names, their axes, which are `(column+c)`, and c."""

    unscaled = True

    def formula(self) -> str:
        """The formula as it is read."""
        return self.letters

    @functools.cached_property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Positions in theta of the parameters of each term, its amplitude first."""
        place = {spec.name: i for i, spec in enumerate(self.parameters)}
        return tuple(
            (int(amplitude), *(place[n] for n in names_of(term) if n in place))
            for amplitude, term in zip(self.log_parameters, self.terms, strict=True)
        )

    def check_rows(self, z: Floats) -> None:
        """That zeros of a column leave every term a value, as `share^-b` does not.

        Raises:
            InputError: a term has none where the column is 0, all parameters at 1.
        """
        rows = self.at(z)
        ones = {spec.name: np.ones((1, 1)) for spec in self.parameters}
        for term in self.terms if self.shifted else ():
            value = np.broadcast_to(value_of(term, rows.axes | ones), rows.shape)
            for column, axis, _ in self.shifted:
                zero = (rows.axes[column] == 0.0) & ~np.isfinite(value)
                if column in names_of(term) and zero.any():
                    said = text_of(term).removeprefix("1*")
                    raise InputError(
                        f"{said!r} of law {self.law!r} has no value where {column} is 0 (in {int(zero.sum())} "
                        f"rows); write {axis} there, or ({column}+k) with a k to be fitted"
                    )

    def at(self, z: Floats) -> FormulaRows:
        """The form at rows z of shape (n, k), which are ln x."""
        return FormulaRows(self, np.asarray(z, dtype=np.float64))


class FormulaRows(Evaluator):
    """A formula at fixed rows."""

    def __init__(self, form: FormulaLaw, z: Floats) -> None:
        self.form = form
        self.axes = {axis: np.exp(z[None, :, i]) for i, axis in enumerate(form.axes)}
        for column, axis, offset in form.shifted:
            value = self.axes[axis] - offset
            self.axes[column] = np.where(np.abs(value) < ROUNDING * offset, 0.0, value)
        self.shape = (1, len(z))

    def _values(self, theta: Floats) -> dict[str, Floats]:
        values = dict(self.axes)
        for i, spec in enumerate(self.form.parameters):
            if not spec.is_log:
                column = theta[:, i : i + 1]
                values[spec.name] = np.exp(column) if spec.kind == "scale" else column
        return values

    def log_terms(self, theta: Floats) -> list[Floats]:
        """Ln of each term, (b, n)."""
        values = self._values(theta)
        return [
            theta[:, place : place + 1] + self._log(value_of(term, values), len(theta))
            for place, term in zip(self.form.log_parameters, self.form.terms, strict=True)
        ]

    def _log(self, value: Floats, n: int) -> Floats:
        value = np.broadcast_to(value, (n, self.shape[1]))
        good = np.isfinite(value) & (value > 0)
        return np.where(good, np.log(np.where(good, value, 1.0)), NOTHING)

    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean and its exact Jacobian; Gauss-Newton is used, as second derivatives are not formed."""
        values = self._values(theta)
        terms = self.log_terms(theta)
        log_mean = log_sum(terms)
        jacobian = np.zeros((*theta.shape, self.shape[1]))
        place = {spec.name: i for i, spec in enumerate(self.form.parameters)}
        free = tuple(spec.name for spec in self.form.parameters if not spec.is_log)
        for amplitude, term, log in zip(
            self.form.log_parameters, self.form.terms, terms, strict=True
        ):
            share = np.exp(log - log_mean)
            jacobian[:, amplitude] += share
            value, slopes = gradient_of(term, values, free)
            good = np.isfinite(value) & (value > 0)
            for name, slope in slopes.items():
                by_theta = (
                    slope * values[name]
                    if self.form.parameters[place[name]].kind == "scale"
                    else slope
                )
                relative = np.where(
                    good & np.isfinite(by_theta), by_theta / np.where(good, value, 1.0), 0.0
                )
                jacobian[:, place[name]] += share * relative
        return Linearisation(log_mean, jacobian, None)


def formula_law(roles: Roles, *, floor: bool = True, argument: str = "") -> FormulaLaw:
    """The law that a formula says, on the axes that it names.

    Raises:
        InputError: it is no formula, names no axis, or a term has no amplitude of its own.
    """
    tree, shifted = _on_axes(parse(argument), tuple(roles))
    names = names_of(tree)
    columns = {column: axis for column, axis, _ in shifted}
    meant = {**columns, **{axis: axis for axis in roles if axis in names}}
    axes = tuple(axis for axis in roles if axis in meant.values())
    if not axes:
        raise InputError(f"law {argument!r} names none of the axes {', '.join(roles)}")
    specs: list[ParameterSpec] = []
    rests: list[Node] = []
    for term in _summands(tree, argument):
        amplitude = _amplitude(term, tree, tuple(meant), argument)
        alone = isinstance(term, Name)
        if alone and any(spec.kind == "floor" for spec in specs):
            raise InputError(
                f"law {argument!r} has two constant terms; one floor is all that can be told"
            )
        if not alone:
            _check_factors(term, tree, amplitude, tuple({**meant, **roles}), argument)
        specs.append(ParameterSpec(name=amplitude, kind="floor" if alone else "natural-amplitude"))
        rests.append(_without(term, amplitude))
    known = {spec.name for spec in specs}
    powers = _powers(tree)
    for name in names:
        if name in known or name in meant:
            continue
        _check_spelling(name, roles, argument)
        scale = name not in powers
        beside = _beside(tree, name, tuple(meant)) if scale else None
        specs.append(
            ParameterSpec(
                name=name,
                kind="scale" if scale else "exponent",
                axis=None if beside is None else meant[beside],
            )
        )
    return FormulaLaw(
        law=argument, axes=axes, parameters=tuple(specs), terms=tuple(rests), letters=text_of(tree),
        shifted=shifted,
    )  # fmt: skip


def _on_axes(tree: Node, axes: tuple[str, ...]) -> tuple[Node, tuple[tuple[str, str, float], ...]]:
    """The tree with axes that are expressions as names, and the columns that are meant where zeros moved an axis."""
    shifted = []
    for axis in axes:
        try:
            said = parse(axis)
        except InputError:
            continue
        if isinstance(said, Name):
            continue
        tree = _replaced(tree, said, Name(axis))
        column = _offset_of(said)
        if column is not None and column[0] in names_of(tree):
            shifted.append((column[0], axis, column[1]))
    return tree, tuple(shifted)


def _offset_of(node: Node) -> tuple[str, float] | None:
    """Column and c of `column+c`."""
    if (
        isinstance(node, Binary)
        and node.operator == "+"
        and isinstance(node.left, Name)
        and isinstance(node.right, Number)
    ):
        return node.left.name, node.right.value
    return None


def _replaced(node: Node, part: Node, by: Node) -> Node:
    """The tree with every subtree that equals a part replaced."""
    if node == part:
        return by
    if isinstance(node, Binary):
        return Binary(
            node.operator, _replaced(node.left, part, by), _replaced(node.right, part, by)
        )
    return (
        Call(node.function, _replaced(node.argument, part, by)) if isinstance(node, Call) else node
    )


def _check_factors(
    term: Node, tree: Node, amplitude: str, axes: tuple[str, ...], text: str
) -> None:
    """A factor of parameters alone, that stand nowhere else, is part of the amplitude: mostly a misspelt axis."""
    for factor in _all_factors(term):
        names = names_of(factor)
        if factor == Name(amplitude) or not names or any(name in axes for name in names):
            continue
        if all(count_of(tree, name) == count_of(factor, name) for name in names):
            raise InputError(
                f"{text_of(factor)!r} of law {text!r} depends on no axis ({', '.join(axes)}), and {amplitude} holds "
                f"it already{_near(names, axes)}; leave it out, or name an axis"
            )


def _check_spelling(name: str, axes: Iterable[str], text: str) -> None:
    """A parameter that is called nearly as an axis is: a slip that would be fitted as a scale."""
    near = [axis for axis in axes if len(name) >= LEAST_NAME and _alike(name, axis)]
    if near:
        raise InputError(
            f"law {text!r} names {name}, which is no axis; did you mean {near[0]}? A parameter needs a name "
            "that is farther from the axes'"
        )


def _near(names: Iterable[str], axes: tuple[str, ...]) -> str:
    near = [axis for name in names for axis in axes if _alike(name, axis)]
    return f" (did you mean {near[0]}?)" if near else ""


def _alike(name: str, axis: str) -> bool:
    return difflib.SequenceMatcher(None, name.lower(), axis.lower()).ratio() >= ALIKE


def _all_factors(node: Node) -> list[Node]:
    """What a term multiplies and divides by."""
    if isinstance(node, Binary) and node.operator in "*/":
        return _all_factors(node.left) + _all_factors(node.right)
    return [node]


def _summands(node: Node, text: str) -> list[Node]:
    if isinstance(node, Binary) and node.operator == "+":
        return _summands(node.left, text) + _summands(node.right, text)
    if (isinstance(node, Binary) and node.operator == "-") or (
        isinstance(node, Call) and node.function == "neg"
    ):
        raise InputError(f"law {text!r} subtracts a term; a law here is a sum of positive terms")
    return [node]


def _factors(node: Node) -> list[Node]:
    """What a term multiplies, without what it divides by."""
    if isinstance(node, Binary) and node.operator == "*":
        return _factors(node.left) + _factors(node.right)
    if isinstance(node, Binary) and node.operator == "/":
        return _factors(node.left)
    return [node]


def _amplitude(term: Node, tree: Node, axes: tuple[str, ...], text: str) -> str:
    for factor in _factors(term):
        if (
            isinstance(factor, Name)
            and factor.name not in axes
            and count_of(tree, factor.name) == 1
        ):
            return factor.name
    raise InputError(
        f"term {text_of(term)!r} of law {text!r} has no amplitude of its own; multiply it by a parameter that stands "
        "nowhere else"
    )


def _without(node: Node, name: str) -> Node:
    """The term with its amplitude at 1."""
    if isinstance(node, Name):
        return Number(1.0) if node.name == name else node
    if isinstance(node, Binary):
        return Binary(node.operator, _without(node.left, name), _without(node.right, name))
    return Call(node.function, _without(node.argument, name)) if isinstance(node, Call) else node


def _powers(node: Node) -> set[str]:
    """Names that stand in an exponent, with or without a sign."""
    if isinstance(node, Call):
        return _powers(node.argument)
    if not isinstance(node, Binary):
        return set()
    own = set(names_of(node.right)) if node.operator == "^" else set()
    return own | _powers(node.left) | _powers(node.right)


def _beside(node: Node, name: str, axes: tuple[str, ...]) -> str | None:
    """The axis in the smallest part of the formula that holds a scale and an axis."""
    children: list[Node] = []
    if isinstance(node, Binary):
        children = [node.left, node.right]
    elif isinstance(node, Call):
        children = [node.argument]
    for child in children:
        found = _beside(child, name, axes) if name in names_of(child) else None
        if found is not None:
            return found
    here = [axis for axis in names_of(node) if axis in axes] if name in names_of(node) else []
    return here[0] if here else None
