"""Laws whose terms are not log-linear: shifted powers, broken power laws and saturation.

| law | f before the slopes | source |
|---|---|---|
| shifted | E + sum_k A_k (x_k + c_k)^-alpha_k | Alabdulmohsin et al. 2022, arXiv 2209.06640 (M3 without saturation) |
| bnsl-1:axis | additive, the axis's term times (1 + (x/d)^(1/f))^(-c f) | Caballero et al. 2023, arXiv 2210.14891 |
| bnsl-2:axis | the same with two breaks | the same |
| saturating | E + A h/(1 + h), h = prod_k (x_k/s_k)^-alpha_k e^b | Alabdulmohsin et al. 2022 (M4's bounded excess) |

A break's exponent change c may be negative beyond the first exponent, so that an axis can have a best
value, as a best duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import UnknownNameError
from planner.laws.forms.base import (
    Evaluator,
    Form,
    Linearisation,
    ParameterSpec,
    Posynomial,
    log_sum,
)
from planner.laws.forms.power_laws import (
    Roles,
    Term,
    additive,
    compose,
    log_linear,
    power_axes,
    single,
)
from planner.laws.observations import Floats

Derivatives = tuple[Floats, list[Floats], dict[tuple[int, int], Floats]]
"""Value (b, n), first derivatives, and second derivatives by pairs of the factor's parameters."""


@dataclass(frozen=True, slots=True)
class Shift:
    """ln of (x + c)^-alpha over x^0: parameters (alpha, ln(c/s)), column of the axis."""

    params: tuple[int, int]
    column: int

    def evaluate(self, theta: Floats, z: Floats) -> Derivatives:
        """Value -alpha ln(e^z + e^c) and its derivatives."""
        alpha, shift = theta[:, self.params[0], None], theta[:, self.params[1], None]
        axis = z[:, self.column]
        size = np.logaddexp(axis, shift)
        share = np.exp(shift - size)
        first = [-size, -alpha * share]
        second = {(0, 1): -share, (1, 1): -alpha * share * (1.0 - share)}
        return -alpha * size, first, second


@dataclass(frozen=True, slots=True)
class Break:
    """ln of (1 + (x/d)^(1/f))^(-c f): parameters (c, ln(d/s), f), column of the axis."""

    params: tuple[int, int, int]
    column: int

    def evaluate(self, theta: Floats, z: Floats) -> Derivatives:
        """Value -c f softplus((z - d)/f) and its derivatives."""
        change, place, width = (theta[:, p, None] for p in self.params)
        u = (z[:, self.column] - place) / width
        soft, step = np.logaddexp(0.0, u), _sigmoid(u)
        slope = step * (1.0 - step)
        excess = soft - u * step
        first = [-width * soft, change * step, -change * excess]
        second = {
            (0, 1): step,
            (0, 2): -excess,
            (1, 1): -change * slope / width,
            (1, 2): -change * slope * u / width,
            (2, 2): -change * slope * u * u / width,
        }
        return -change * width * soft, first, second


@dataclass(frozen=True, slots=True)
class Saturation:
    """ln of h/(1 + h), ln h = b - sum_k alpha_k z_k: parameters (b, alpha_1, ...)."""

    params: tuple[int, ...]
    columns: tuple[int, ...]

    def evaluate(self, theta: Floats, z: Floats) -> Derivatives:
        """Value ln h - softplus(ln h) and its derivatives."""
        features = [np.ones(len(z)), *(-z[:, c] for c in self.columns)]
        q = np.asarray(theta[:, list(self.params)] @ np.array(features))
        rest = _sigmoid(-q)
        slope = -rest * (1.0 - rest)
        first = [rest * f for f in features]
        second = {
            (i, j): slope * features[i] * features[j]
            for i in range(len(features))
            for j in range(i, len(features))
        }
        return -np.logaddexp(0.0, -q), first, second


Factor = Shift | Break | Saturation


def _sigmoid(u: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0.0, -u)))


@dataclass(frozen=True)
class Curved(Form):
    """A posynomial whose terms carry further factors; `factors[j]` belongs to term j."""

    law: str
    base: Posynomial
    parameters: tuple[ParameterSpec, ...]
    factors: tuple[tuple[Factor, ...], ...]
    letters: str = ""

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Axes in the law."""
        return self.base.axes

    @property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Positions in theta of the parameters of each term, its amplitude first."""
        return tuple(
            tuple(dict.fromkeys([*linear, *(p for factor in extra for p in factor.params)]))
            for linear, extra in zip(self.base.term_parameters, self.factors, strict=True)
        )

    def formula(self) -> str:
        """The law in letters."""
        return self.letters

    def at(self, z: Floats) -> CurvedRows:
        """The form at rows z of shape (n, k)."""
        return CurvedRows(self, np.asarray(z, dtype=np.float64))


class CurvedRows(Evaluator):
    """A curved law at fixed rows."""

    def __init__(self, form: Curved, z: Floats) -> None:
        self.form = form
        self.z = z
        self.n_base = form.base.n_parameters
        self.base = form.base.at(z)

    def log_terms(self, theta: Floats) -> list[Floats]:
        """t_j, one array (b, n) for each term."""
        terms = self.base.log_terms(theta[:, : self.n_base])
        for term, factors in zip(terms, self.form.factors, strict=True):
            for factor in factors:
                term += factor.evaluate(theta, self.z)[0]
        return terms

    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean, Jacobian and exact second derivatives for theta (b, p)."""
        terms = self.base.log_terms(theta[:, : self.n_base])
        gradients, curvatures = [], []
        for j, factors in enumerate(self.form.factors):
            gradient = np.zeros((len(theta), theta.shape[1], len(self.z)))
            gradient[:, self.base.params[j]] = self.base.features[j]
            bent: list[tuple[int, int, Floats]] = []
            for factor in factors:
                value, first, second = factor.evaluate(theta, self.z)
                terms[j] += value
                for p, slope in zip(factor.params, first, strict=True):
                    gradient[:, p] += slope
                bent += [(factor.params[a], factor.params[b], v) for (a, b), v in second.items()]
            gradients.append(gradient)
            curvatures.append(bent)
        log_mean = log_sum(terms)
        shares = [np.exp(term - log_mean) for term in terms]
        pairs = zip(shares, gradients, strict=True)
        jacobian = np.asarray(sum(share[:, None, :] * gradient for share, gradient in pairs))

        def second_order(psi: Floats) -> Floats:
            return _second(shares, gradients, curvatures, psi)

        return Linearisation(log_mean, jacobian, second_order)


def _second(
    shares: list[Floats],
    gradients: list[Floats],
    curvatures: list[list[tuple[int, int, Floats]]],
    psi: Floats,
) -> Floats:
    """sum_n psi sum_j S_j (F_j F_j^T + T_j)."""
    p = gradients[0].shape[1]
    total = np.zeros((len(psi), p, p))
    for share, gradient, bent in zip(shares, gradients, curvatures, strict=True):
        weight = psi * share
        total += (gradient * weight[:, None, :]) @ gradient.transpose(0, 2, 1)
        for a, b, value in bent:
            part = (weight * value).sum(1)
            total[:, a, b] += part
            if a != b:
                total[:, b, a] += part
    return np.asarray(total)


def _curve(
    law: str,
    base: Posynomial,
    specs: Sequence[ParameterSpec],
    factors: dict[int, list[Factor]],
    letters: str,
) -> Curved:
    return Curved(
        law=law,
        base=base,
        parameters=(*base.parameters, *specs),
        factors=tuple(tuple(factors.get(j, [])) for j in range(len(base.terms))),
        letters=letters,
    )


def shifted(roles: Roles, *, floor: bool = True, argument: str = "") -> Form:
    """Law f = E + sum_k A_k ((x_k + c_k)/s_k)^-alpha_k; c_k in the axis's unit, >= 0."""
    axes = power_axes(roles)
    if not axes:
        return log_linear(roles)
    bare = [Term(amplitude=f"A_{axis}", axis=axis) for axis in axes]
    base = compose("shifted", roles, bare, floor=floor)
    specs: list[ParameterSpec] = []
    factors: dict[int, list[Factor]] = {}
    letters = base.letters
    for i, axis in enumerate(axes):
        at = base.n_parameters + len(specs)
        specs += [
            ParameterSpec(name=f"alpha_{axis}", kind="exponent", axis=axis),
            ParameterSpec(name=f"shift_{axis}", kind="shift", axis=axis),
        ]
        factors[i + floor] = [Shift((at, at + 1), base.axes.index(axis))]
        letters = letters.replace(
            f"A_{axis}", f"A_{axis} (({axis}/s) + shift_{axis})^-alpha_{axis}"
        )
    return _curve("shifted", base, specs, factors, letters)


def _broken(roles: Roles, law: str, argument: str, n_breaks: int, *, floor: bool) -> Form:
    axes = power_axes(roles)
    if argument and argument not in roles:
        raise UnknownNameError("axis", argument, roles)
    if not axes or (argument and argument not in axes):
        return additive(roles, floor=floor)
    axis = argument or ("audio_seconds" if "audio_seconds" in axes else axes[-1])
    base = compose(law, roles, [_signed(name, name == axis) for name in axes], floor=floor)
    specs: list[ParameterSpec] = []
    factors: list[Factor] = []
    letters = ""
    for b in range(1, n_breaks + 1):
        at = base.n_parameters + len(specs)
        names = (f"change{b}_{axis}", f"break{b}_{axis}", f"width{b}_{axis}")
        kinds = ("change", "break", "width")
        specs += [
            ParameterSpec(name=n, kind=k, axis=axis) for n, k in zip(names, kinds, strict=True)
        ]
        factors.append(Break((at, at + 1, at + 2), base.axes.index(axis)))
        letters += f" (1 + ({axis}/s / {names[1]})^1/{names[2]})^-{names[0]}*{names[2]}"
    first = f"({axis}/s)^-alpha_{axis}"
    place = axes.index(axis) + floor
    return _curve(
        f"{law}:{axis}", base, specs, {place: factors}, base.letters.replace(first, first + letters)
    )


def _signed(axis: str, broken: bool) -> Term:
    """A power term; the first exponent of a broken axis may have either sign."""
    if not broken:
        return single(axis)
    return Term(amplitude=f"A_{axis}", axis=axis, factors=((f"alpha_{axis}", "change", axis),))


def bnsl_1(roles: Roles, *, floor: bool = True, argument: str = "") -> Form:
    """Additive law with one break on the argument's axis (default audio_seconds, else the last)."""
    return _broken(roles, "bnsl-1", argument, 1, floor=floor)


def bnsl_2(roles: Roles, *, floor: bool = True, argument: str = "") -> Form:
    """Additive law with two breaks on the argument's axis."""
    return _broken(roles, "bnsl-2", argument, 2, floor=floor)


def saturating(roles: Roles, *, floor: bool = True, argument: str = "") -> Form:
    """Law f = E + A h/(1 + h), h = e^b prod_k (x_k/s_k)^-alpha_k: from A + E at no compute to E."""
    axes = power_axes(roles)
    if not axes:
        return log_linear(roles)
    base = compose("saturating", roles, [Term(amplitude="A")], floor=floor)
    at = base.n_parameters
    specs = [ParameterSpec(name="b", kind="level")]
    specs += [ParameterSpec(name=f"alpha_{axis}", kind="exponent", axis=axis) for axis in axes]
    columns = tuple(base.axes.index(axis) for axis in axes)
    factor = Saturation(tuple(range(at, at + 1 + len(axes))), columns)
    h = "h = exp(b) " + " ".join(f"({axis}/s)^-alpha_{axis}" for axis in axes)
    letters = base.letters.replace("A", "A h/(1 + h)", 1) + f", {h}"
    return _curve("saturating", base, specs, {int(floor): [factor]}, letters)
