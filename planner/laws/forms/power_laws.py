"""Laws that are sums of products of powers.

| law | f before the slopes | source |
|---|---|---|
| additive | E + sum_k A_k x_k^-alpha_k | Hoffmann et al. 2022, arXiv 2203.15556 |
| multiplicative | E + A prod_k x_k^-alpha_k | Zhang et al. 2024, arXiv 2402.17193 |
| shared-exponent | E + sum_k A_k x_k^-alpha | Gadre et al. 2024, arXiv 2403.08540 |
| additive+joint | additive + B prod_k x_k^-beta_k | Farseer, arXiv 2506.10972, as a power product |
| add-interact-simple | additive + sum_k B_k x_k^-beta_k n^-delta | Wang et al. 2025, arXiv 2505.18855 |
| add-interact | the same + C n^-delta | the same |
| sum:a*b+c | E + A x_a^-alpha x_b^-beta + B x_c^-gamma, any products | Tao et al. 2024, arXiv 2407.13623 |
| valley:a+b | additive in the others, times exp(c z^2) x^-b for a and b | a parabola in ln x |
| log-linear | A, slopes alone | - |

x_k stands for x_k / s_k with stored scales s_k. An axis of two levels cannot hold a floor and a
curvature, so in every law it is one factor (x/s)^-b on the whole, b of either sign: an axis may hurt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planner.errors import InputError, UnknownNameError
from planner.laws.forms.base import POWER, SLOPE, ParameterSpec, Posynomial

Roles = Mapping[str, str]

COVARIATE = "n_train"
"""The axis that interacts with all others in Wang's laws: fine-tuning examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One product: the amplitude's name and axis, and (parameter, kind, axis) of each factor."""

    amplitude: str
    axis: str | None = None
    factors: tuple[tuple[str, str, str], ...] = ()


def split_outside(text: str, sign: str) -> list[str]:
    """The parts of a text between signs that stand in no bracket: an axis may be `(share+0.05)`.

    >>> split_outside("n*(share+0.05)+n", "+")
    ['n*(share+0.05)', 'n']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == sign and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def used_axes(roles: Roles) -> tuple[str, ...]:
    """Axes that are in the law, in the order given."""
    return tuple(axis for axis, role in roles.items() if role in (POWER, SLOPE))


def power_axes(roles: Roles) -> tuple[str, ...]:
    """Axes with a power term of their own, in the order given."""
    return tuple(axis for axis, role in roles.items() if role == POWER)


def compose(
    law: str, roles: Roles, terms: list[Term], *, floor: bool, bent: tuple[str, ...] = ()
) -> Posynomial:
    """A posynomial of those terms and a floor, times the slopes of the two-level axes.

    Factors that name the same parameter share it. The slopes of `bent` axes carry a parabola.
    """
    axes = used_axes(roles)
    if floor:
        terms = [Term(amplitude="E"), *terms]
    specs: dict[str, ParameterSpec] = {}
    placed: list[list[tuple[str, int]]] = []
    for term in terms:
        kind = "floor" if term.amplitude == "E" else "amplitude"
        specs[term.amplitude] = ParameterSpec(name=term.amplitude, kind=kind, axis=term.axis)
        pairs = [(term.amplitude, 0)]
        for name, factor_kind, axis in term.factors:
            if name not in specs:
                specs[name] = ParameterSpec(name=name, kind=factor_kind, axis=axis)
            pairs.append((name, 1 + axes.index(axis)))
        placed.append(pairs)
    slopes = [axis for axis in axes if roles[axis] == SLOPE]
    for axis in slopes:
        name = f"slope_{axis}"
        specs[name] = ParameterSpec(name=name, kind="slope", axis=axis)
        for pairs in placed:
            pairs.append((name, 1 + axes.index(axis)))
        if axis in bent:
            bend = f"bend_{axis}"
            specs[bend] = ParameterSpec(name=bend, kind="bend", axis=axis)
            for pairs in placed:
                pairs.append((bend, 1 + len(axes) + axes.index(axis)))
    position = {name: i for i, name in enumerate(specs)}
    return Posynomial(
        law=law,
        axes=axes,
        parameters=tuple(specs.values()),
        terms=tuple(tuple((position[n], c) for n, c in pairs) for pairs in placed),
        letters=letters_of(terms, slopes, bent),
    )


def letters_of(terms: list[Term], slopes: list[str], bent: tuple[str, ...]) -> str:
    """The law in letters: terms added, slope factors behind."""
    products = [
        " ".join([t.amplitude, *(f"({axis}/s)^-{name}" for name, _, axis in t.factors)])
        for t in terms
    ]
    total = " + ".join(products)
    tail = " ".join(
        f"({axis}/s)^-slope_{axis}" + f" exp(bend_{axis} ln({axis}/s)^2)" * (axis in bent)
        for axis in slopes
    )
    if not tail:
        return total
    return f"({total}) {tail}" if len(products) > 1 else f"{total} {tail}"


def single(axis: str) -> Term:
    """A_k x_k^-alpha_k."""
    return Term(amplitude=f"A_{axis}", axis=axis, factors=((f"alpha_{axis}", "exponent", axis),))


def product(amplitude: str, letter: str, axes: tuple[str, ...]) -> Term:
    """One term over several axes, each with its own exponent, of either sign if they are several.

    Requiring positive exponents cost Wang et al. extrapolation (R2 .80 against .92).
    """
    kind = "signed" if len(axes) > 1 else "exponent"
    return Term(
        amplitude=amplitude,
        factors=tuple((f"{letter}_{axis}", kind, axis) for axis in axes),
    )


def additive(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """Law f = E + sum_k A_k (x_k/s_k)^-alpha_k; E and A_k in the unit of the error."""
    axes = power_axes(roles)
    if not axes:
        return log_linear(roles)
    return compose("additive", roles, [single(axis) for axis in axes], floor=floor)


def multiplicative(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """Law f = E + A prod_k (x_k/s_k)^-alpha_k."""
    axes = power_axes(roles)
    if not axes:
        return log_linear(roles)
    return compose("multiplicative", roles, [product("A", "alpha", axes)], floor=floor)


def shared_exponent(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """Law f = E + sum_k A_k (x_k/s_k)^-alpha, one exponent for all axes."""
    axes = power_axes(roles)
    if not axes:
        return log_linear(roles)
    terms = [
        Term(amplitude=f"A_{axis}", axis=axis, factors=(("alpha", "exponent", axis),))
        for axis in axes
    ]
    return compose("shared-exponent", roles, terms, floor=floor)


def additive_joint(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """Law f = E + sum_k A_k (x_k/s_k)^-alpha_k + B prod_k (x_k/s_k)^-beta_k."""
    axes = power_axes(roles)
    if len(axes) < 2:
        return additive(roles, floor=floor)
    terms = [single(axis) for axis in axes] + [product("B", "beta", axes)]
    return compose("additive+joint", roles, terms, floor=floor)


def _covariate(roles: Roles, argument: str) -> tuple[tuple[str, ...], str]:
    """The compute axes and the axis n that interacts with them."""
    axes = power_axes(roles)
    if argument and argument not in roles:
        raise UnknownNameError("axis", argument, roles)
    n = argument or (COVARIATE if COVARIATE in axes else axes[-1])
    return tuple(axis for axis in axes if axis != n), n


def _interact(roles: Roles, law: str, argument: str, *, floor: bool, alone: bool) -> Posynomial:
    axes = power_axes(roles)
    if len(axes) < 2 or (argument and argument not in axes):
        return additive(roles, floor=floor)
    rest, n = _covariate(roles, argument)
    delta = (f"delta_{n}", "exponent", n)
    terms = [single(axis) for axis in rest]
    terms += [
        Term(amplitude=f"B_{axis}", factors=((f"beta_{axis}", "change", axis), delta))
        for axis in rest
    ]
    if alone:
        terms.append(Term(amplitude=f"C_{n}", axis=None, factors=(delta,)))
    return compose(f"{law}:{n}", roles, terms, floor=floor)


def add_interact_simple(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """Law f = E + sum_k A_k x_k^-alpha_k + sum_k B_k x_k^-beta_k n^-delta, beta of either sign.

    `argument` names the axis n; without it `n_train`, or the last power axis.
    """
    return _interact(roles, "add-interact-simple", argument, floor=floor, alone=False)


def add_interact(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """Law f = E + sum_k A_k x_k^-alpha_k + sum_k B_k x_k^-beta_k n^-delta + C n^-delta."""
    return _interact(roles, "add-interact", argument, floor=floor, alone=True)


def sum_of_products(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """A sum of the products that the argument names: `n_params*audio_seconds+audio_seconds`.

    Axes that are not power axes drop out of the products.

    Raises:
        InputError: no argument is given.
        UnknownNameError: it names an axis that is not in the table.
    """
    if not argument:
        raise InputError("law sum needs its products, e.g. sum:n_params*audio_seconds+n_params")
    power = power_axes(roles)
    products: list[tuple[str, ...]] = []
    for text in split_outside(argument, "+"):
        names = split_outside(text, "*")
        for name in names:
            if name not in roles:
                raise UnknownNameError("axis", name, roles)
        kept = tuple(axis for axis in power if axis in names)
        if kept and kept not in products:
            products.append(kept)
    if not products:
        return log_linear(roles)
    letters = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
    terms = [
        product(f"A{i + 1}", letters[i % len(letters)] + ("" if i < 8 else str(i)), axes)
        for i, axes in enumerate(products)
    ]
    return compose(f"sum:{argument}", roles, terms, floor=floor)


def valley(roles: Roles, *, floor: bool = True, argument: str = "") -> Posynomial:
    """Law additive in the other axes, times a parabola in ln x for each axis of the argument.

    For an axis with a best value: exp(bend z^2) (x/s)^-slope, least at z = slope / (2 bend).

    Raises:
        InputError: no argument is given.
        UnknownNameError: it names an axis that is not in the table.
    """
    if not argument:
        raise InputError("law valley needs its axes, e.g. valley:audio_seconds")
    named = tuple(split_outside(argument, "+"))
    for name in named:
        if name not in roles:
            raise UnknownNameError("axis", name, roles)
    bent = tuple(axis for axis in power_axes(roles) if axis in named)
    rest = {axis: SLOPE if axis in bent else role for axis, role in roles.items()}
    axes = power_axes(rest)
    terms = [single(axis) for axis in axes] or [Term(amplitude="A")]
    return compose(f"valley:{argument}", rest, terms, floor=floor and bool(axes), bent=bent)


def log_linear(roles: Roles, *, floor: bool = False, argument: str = "") -> Posynomial:
    """Law f = A prod_j (x_j/s_j)^-slope_j over all axes: a plane in logarithms, no floor."""
    flat = {axis: SLOPE for axis in used_axes(roles)}
    return compose("log-linear", flat, [Term(amplitude="A")], floor=False)
