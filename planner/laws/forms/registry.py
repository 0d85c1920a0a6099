"""Laws by name. A law of the user's own is one class or function behind an entry point.

A law that is a formula (`E + A*n^-a`) is its own name (`planner.laws.forms.formula`).
A name may carry an argument behind a colon: `bnsl-1:audio_seconds`, `sum:n_params*n_train+n_params`.
Group `soundscale.laws`: the entry point's name is the law's name, its object a callable
`build(roles, *, floor=True, argument="") -> Form`, where `roles` maps each axis to `power` or `slope`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

from planner.errors import UnknownNameError
from planner.laws.forms import curved_laws, optima, power_laws
from planner.laws.forms.base import Form
from planner.laws.forms.formula import formula_law, is_formula
from planner.laws.forms.power_laws import Roles

Builder = Callable[..., Form]

ENTRY_POINT_GROUP = "soundscale.laws"

_LAWS: dict[str, Builder] = {
    "additive": power_laws.additive,
    "multiplicative": power_laws.multiplicative,
    "shared-exponent": power_laws.shared_exponent,
    "additive+joint": power_laws.additive_joint,
    "add-interact": power_laws.add_interact,
    "add-interact-simple": power_laws.add_interact_simple,
    "sum": power_laws.sum_of_products,
    "valley": power_laws.valley,
    "optimum": optima.optimum,
    "optimum-skew": optima.optimum_skew,
    "shifted": curved_laws.shifted,
    "bnsl-1": curved_laws.bnsl_1,
    "bnsl-2": curved_laws.bnsl_2,
    "saturating": curved_laws.saturating,
    "log-linear": power_laws.log_linear,
}


def law_names() -> tuple[str, ...]:
    """Names of the built-in laws and of those that installed packages add."""
    added = [point.name for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)]
    return tuple(_LAWS) + tuple(name for name in added if name not in _LAWS)


def register_law(name: str, builder: Builder) -> None:
    """Add a law for this process; an existing name is replaced."""
    _LAWS[name] = builder


def build_form(law: str, roles: Roles, *, floor: bool = True) -> Form:
    """The named law on these axes.

    Raises:
        UnknownNameError: no law has the name, or its argument names no axis.
        InputError: the law needs an argument.
    """
    name, _, argument = law.partition(":")
    if name not in _LAWS:
        for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
            if point.name == name:
                _LAWS[name] = point.load()
    if name not in _LAWS and is_formula(law):
        return formula_law(roles, argument=law)
    if name not in _LAWS:
        raise UnknownNameError("law", name, ("auto", *law_names()))
    return _LAWS[name](roles, floor=floor, argument=argument)
