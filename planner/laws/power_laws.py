"""Power laws as posynomials: additive, multiplicative and the slope-only law.

Sources: additive, Hoffmann et al. 2022 (arXiv 2203.15556); multiplicative, Zhang et al. 2024
(arXiv 2402.17193). An axis of two levels cannot hold a floor and a curvature, so in every law it is
one factor (x/s)^-b on the whole, with b of either sign: an axis may hurt.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.laws.forms import POWER, SLOPE, ParameterSpec, Posynomial

Roles = Mapping[str, str]


def used_axes(roles: Roles) -> tuple[str, ...]:
    """Axes that are in the law, in the order given."""
    return tuple(axis for axis, role in roles.items() if role in (POWER, SLOPE))


def _slopes(
    roles: Roles, first: int
) -> tuple[list[ParameterSpec], tuple[tuple[int, int], ...], str]:
    axes = used_axes(roles)
    slopes = [axis for axis in axes if roles[axis] == SLOPE]
    specs = [ParameterSpec(name=f"slope_{axis}", kind="slope", axis=axis) for axis in slopes]
    pairs = tuple((first + i, 1 + axes.index(axis)) for i, axis in enumerate(slopes))
    letters = " ".join(f"({axis}/s)^-slope_{axis}" for axis in slopes)
    return specs, pairs, letters


def additive(roles: Roles, *, floor: bool = True) -> Posynomial:
    """Law f = (E + sum_k A_k (x_k/s_k)^-alpha_k) * prod_j (x_j/s_j)^-slope_j.

    k runs over the power axes and j over the slope axes. E and A_k in the unit of the error.
    Without a power axis this is the slope-only law.
    """
    axes = used_axes(roles)
    power = [axis for axis in axes if roles[axis] == POWER]
    if not power:
        return slopes_only(roles)
    specs = [ParameterSpec(name="E", kind="floor")] if floor else []
    terms: list[list[tuple[int, int]]] = [[(0, 0)]] if floor else []
    letters = ["E"] if floor else []
    for axis in power:
        at = len(specs)
        specs += [
            ParameterSpec(name=f"A_{axis}", kind="amplitude", axis=axis),
            ParameterSpec(name=f"alpha_{axis}", kind="exponent", axis=axis),
        ]
        terms.append([(at, 0), (at + 1, 1 + axes.index(axis))])
        letters.append(f"A_{axis} ({axis}/s)^-alpha_{axis}")
    more, pairs, factor = _slopes(roles, len(specs))
    sum_letters = " + ".join(letters)
    return Posynomial(
        law="additive",
        axes=axes,
        parameters=tuple(specs + more),
        terms=tuple(tuple(term) + pairs for term in terms),
        letters=f"({sum_letters}) {factor}" if factor else sum_letters,
    )


def multiplicative(roles: Roles, *, floor: bool = True) -> Posynomial:
    """Law f = (E + A prod_k (x_k/s_k)^-alpha_k) * prod_j (x_j/s_j)^-slope_j."""
    axes = used_axes(roles)
    power = [axis for axis in axes if roles[axis] == POWER]
    if not power:
        return slopes_only(roles)
    specs = [ParameterSpec(name="E", kind="floor")] if floor else []
    amplitude = len(specs)
    specs.append(ParameterSpec(name="A", kind="amplitude"))
    term = [(amplitude, 0)]
    for axis in power:
        term.append((len(specs), 1 + axes.index(axis)))
        specs.append(ParameterSpec(name=f"alpha_{axis}", kind="exponent", axis=axis))
    more, pairs, factor = _slopes(roles, len(specs))
    terms = ([[(0, 0)]] if floor else []) + [term]
    product = "A " + " ".join(f"({axis}/s)^-alpha_{axis}" for axis in power)
    sum_letters = f"E + {product}" if floor else product
    return Posynomial(
        law="multiplicative",
        axes=axes,
        parameters=tuple(specs + more),
        terms=tuple(tuple(t) + pairs for t in terms),
        letters=f"({sum_letters}) {factor}" if factor else sum_letters,
    )


def slopes_only(roles: Roles, *, floor: bool = False) -> Posynomial:
    """Law f = A prod_j (x_j/s_j)^-slope_j over all axes: a plane in logarithms, no floor."""
    del floor
    axes = used_axes(roles)
    slopes = {axis: SLOPE for axis in axes}
    specs, pairs, factor = _slopes(slopes, 1)
    return Posynomial(
        law="log-linear",
        axes=axes,
        parameters=(ParameterSpec(name="A", kind="amplitude"), *specs),
        terms=(((0, 0), *pairs),),
        letters=f"A {factor}",
    )
