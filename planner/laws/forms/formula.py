"""A law as it is typed: `E + A*n^-a + B*(d/(1+d/k))^-b`, with exact derivatives.

A sum of terms, each with one amplitude of its own; names that are no axis are parameters, and all are positive: an
exponent that lowers the error is written with its sign. What stands behind ^ is an exponent, any other parameter a
scale in the unit of what it stands with. Axes are in their own units, not over scales as in the built-in laws.
"""

from __future__ import annotations

import functools
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

    def at(self, z: Floats) -> FormulaRows:
        """The form at rows z of shape (n, k), which are ln x."""
        return FormulaRows(self, np.asarray(z, dtype=np.float64))


class FormulaRows(Evaluator):
    """A formula at fixed rows."""

    def __init__(self, form: FormulaLaw, z: Floats) -> None:
        self.form = form
        self.axes = {axis: np.exp(z[None, :, i]) for i, axis in enumerate(form.axes)}
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
    tree = parse(argument)
    names = names_of(tree)
    axes = tuple(axis for axis in roles if axis in names)
    if not axes:
        raise InputError(f"law {argument!r} names none of the axes {', '.join(roles)}")
    specs: list[ParameterSpec] = []
    rests: list[Node] = []
    for term in _summands(tree, argument):
        amplitude = _amplitude(term, tree, axes, argument)
        alone = isinstance(term, Name)
        specs.append(ParameterSpec(name=amplitude, kind="floor" if alone else "natural-amplitude"))
        rests.append(_without(term, amplitude))
    known = {spec.name for spec in specs}
    powers = _powers(tree)
    for name in names:
        if name not in known and name not in axes:
            kind = "exponent" if name in powers else "scale"
            specs.append(
                ParameterSpec(
                    name=name,
                    kind=kind,
                    axis=_beside(tree, name, axes) if kind == "scale" else None,
                )
            )
    return FormulaLaw(
        law=argument, axes=axes, parameters=tuple(specs), terms=tuple(rests), letters=text_of(tree)
    )


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
