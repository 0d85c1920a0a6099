"""Laws by name. A law of the user's own is one class or function behind an entry point.

Group `soundscale.laws`: the entry point's name is the law's name, its object a callable
`build(roles, *, floor=True) -> Form`, where `roles` maps each axis to `power` or `slope`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

from planner.errors import UnknownNameError
from planner.laws.forms import Form
from planner.laws.power_laws import Roles, additive, multiplicative, slopes_only

Builder = Callable[..., Form]

ENTRY_POINT_GROUP = "soundscale.laws"

_LAWS: dict[str, Builder] = {
    "additive": additive,
    "multiplicative": multiplicative,
    "log-linear": slopes_only,
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
        UnknownNameError: no law has the name.
    """
    if law not in _LAWS:
        for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
            if point.name == law:
                _LAWS[law] = point.load()
    if law not in _LAWS:
        raise UnknownNameError("law", law, ("auto", *law_names()))
    return _LAWS[law](roles, floor=floor)
