"""Laws with best values inside: valleys whose place moves as a power law of the other axes.

| law | f | source |
|---|---|---|
| optimum:a+b | (E + sum_k A_k x_k^-alpha_k) prod_j exp(curve_j u_j^2) | Li et al. 2025, arXiv 2503.04715 |
| optimum-skew:a+b | the same with 2 curve_j (e^(s u) - 1 - s u)/s^2 for curve_j u_j^2 | Varian 1975: linex |

u_j = ln(x_j / best_j), and the best value of an axis is

    best_j (x_k / s_k)^power ...   over the axes without a best value, and those with one that are named after j,

so that the best learning rate may depend on the batch and both on size and data. The place, not the curve, is
estimated: its interval is read off. The factors stand on the floor as well: with another learning rate the whole
loss is missed, and a multiple of it, to first order (tests/benchmarks/moving_optima.py compares).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.errors import InputError, UnknownNameError
from planner.laws.forms.base import Evaluator, Form, Linearisation, ParameterSpec, Posynomial
from planner.laws.forms.power_laws import (
    Roles,
    Term,
    additive,
    compose,
    power_axes,
    single,
    split_outside,
)
from planner.laws.observations import Floats

SERIES_BELOW = 0.5
"""|w| below which powers are summed: the closed forms lose digits as w^-3."""
SERIES_TERMS = 18
LARGEST_SKEW = 40.0
"""w beyond which the steep side is cut off: e^40 is steep enough."""


def _power_series(w: Floats, shift: int, order: int) -> Floats:
    """The derivative of that order of sum_n w^n / (n + shift)!, for small w."""
    total = np.zeros_like(w)
    for n in range(SERIES_TERMS - 1, order - 1, -1):
        total = total * w + math.perm(n, order) / math.factorial(n + shift)
    return total


@dataclass(frozen=True, slots=True)
class _Linex:
    """(e^w - 1 - w)/w^2 with two derivatives, and (e^w - 1)/w with one, at the same places."""

    bowl: Floats
    bowl_1: Floats
    bowl_2: Floats
    rise: Floats
    rise_1: Floats
    power: Floats


def _linex(w: Floats) -> _Linex:
    w = np.minimum(w, LARGEST_SKEW)
    near = np.abs(w) < SERIES_BELOW
    far, close = np.where(near, 1.0, w), np.where(near, w, 0.0)
    power = np.exp(far)
    bowl = (power - 1.0 - far) / far**2
    rise = (power - 1.0) / far
    rise_1 = (power - rise) / far
    bowl_1 = (rise - 2.0 * bowl) / far
    bowl_2 = (rise_1 - 3.0 * bowl_1) / far
    return _Linex(
        bowl=np.where(near, _power_series(close, 2, 0), bowl),
        bowl_1=np.where(near, _power_series(close, 2, 1), bowl_1),
        bowl_2=np.where(near, _power_series(close, 2, 2), bowl_2),
        rise=np.where(near, _power_series(close, 1, 0), rise),
        rise_1=np.where(near, _power_series(close, 1, 1), rise_1),
        power=np.exp(w),
    )


@dataclass(frozen=True, slots=True)
class Valley:
    """One axis's factor: places in theta of (root, place, drifts ...), of its skew, and columns of the axes.

    v = root z - place - sum_k drift_k z_k is linear in them, which is why they are estimated and not curve =
    root^2, ln best = place / root and power_k = drift_k / root: those make curved valleys of the objective, in
    which Newton's method takes hundreds of steps.
    """

    params: tuple[int, ...]
    column: int
    others: tuple[int, ...]
    skew: int | None = None

    def features(self, z: Floats) -> Floats:
        """What the parameters of v multiply, shape (q, n)."""
        return np.array([z[:, self.column], -np.ones(len(z)), *(-z[:, k] for k in self.others)])


@dataclass(frozen=True)
class Optimum(Form):
    """A posynomial times a valley for each axis with a best value inside."""

    law: str
    base: Posynomial
    parameters: tuple[ParameterSpec, ...]
    valleys: tuple[Valley, ...]
    letters: str

    most_steps = 600
    derived = True

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Axes in the law."""
        return self.base.axes

    @property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Positions in theta of the parameters of each term, its amplitude first: the valleys are in all."""
        rest = tuple(range(self.base.n_parameters, self.n_parameters))
        return tuple((*own, *rest) for own in self.base.term_parameters)

    def natural(self, theta: Floats) -> Floats:
        """Curve, ln best/s, powers and skew of ln(x/best) in the places of root, place, drifts and skew."""
        out = theta.copy()
        for valley in self.valleys:
            root, *rest = valley.params
            out[:, root] = theta[:, root] ** 2
            out[:, rest] = theta[:, rest] / theta[:, [root]]
            if valley.skew is not None:
                out[:, valley.skew] = theta[:, valley.skew] * theta[:, root]
        return out

    def natural_slopes(self, theta: Floats) -> Floats:
        """D natural / d theta at theta (p,), shape (p, p)."""
        slopes = np.eye(len(theta))
        for valley in self.valleys:
            root, *rest = valley.params
            slopes[root, root] = 2.0 * theta[root]
            slopes[rest, rest] = 1.0 / theta[root]
            slopes[rest, root] = -theta[rest] / theta[root] ** 2
            if valley.skew is not None:
                slopes[valley.skew, valley.skew] = theta[root]
                slopes[valley.skew, root] = theta[valley.skew]
        return slopes

    def formula(self) -> str:
        """The law in letters."""
        return self.letters

    def at(self, z: Floats) -> OptimumRows:
        """The form at rows z of shape (n, k)."""
        return OptimumRows(self, np.asarray(z, dtype=np.float64))


class OptimumRows(Evaluator):
    """A law with best values at fixed rows: ln f = ln base + sum_j 2 v_j^2 bowl(s_j v_j)."""

    def __init__(self, form: Optimum, z: Floats) -> None:
        self.form = form
        self.base = form.base.at(z)
        self.features = [valley.features(z) for valley in form.valleys]

    def _valley(self, theta: Floats, j: int) -> tuple[Floats, Floats, _Linex]:
        """The v and the skew of one valley, and its bowl there."""
        valley = self.form.valleys[j]
        v = theta[:, list(valley.params)] @ self.features[j]
        skew = np.zeros((1, 1)) if valley.skew is None else theta[:, valley.skew, None]
        return v, skew, _linex(skew * v)

    def _depth(self, theta: Floats) -> Floats:
        """Ln of all valleys together, shape (b, n)."""
        total = np.zeros((len(theta), self.features[0].shape[1]))
        for j in range(len(self.features)):
            v, _, at = self._valley(theta, j)
            total += 2.0 * v**2 * at.bowl
        return total

    def log_terms(self, theta: Floats) -> list[Floats]:
        """t_j, one array (b, n) for each term."""
        depth = self._depth(theta)
        return [t + depth for t in self.base.log_terms(theta[:, : self.form.base.n_parameters])]

    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean, Jacobian and exact second derivatives for theta (b, p)."""
        n_base = self.form.base.n_parameters
        inner = self.base.linearise(theta[:, :n_base])
        log_mean = inner.log_mean.copy()
        jacobian = np.zeros((*theta.shape, log_mean.shape[1]))
        jacobian[:, :n_base] = inner.jacobian
        seen = []
        for j, (valley, features) in enumerate(zip(self.form.valleys, self.features, strict=True)):
            v, _, at = self._valley(theta, j)
            log_mean += 2.0 * v**2 * at.bowl
            jacobian[:, list(valley.params)] = (2.0 * v * at.rise)[:, None, :] * features
            if valley.skew is not None:
                jacobian[:, valley.skew] = 2.0 * v**3 * at.bowl_1
            seen.append((v, at))

        def second(psi: Floats) -> Floats:
            total = (jacobian * psi[:, None, :]) @ jacobian.transpose(0, 2, 1)
            if inner.second is not None:
                total[:, :n_base, :n_base] = inner.second(psi)
            for valley, features, (v, at) in zip(
                self.form.valleys, self.features, seen, strict=True
            ):
                _add_bends(total, valley, features, psi, v, at)
            return np.asarray(total)

        return Linearisation(log_mean, jacobian, second)


def _add_bends(
    total: Floats, valley: Valley, features: Floats, psi: Floats, v: Floats, at: _Linex
) -> None:
    """Add sum_n psi times the second derivatives of one valley to total (b, p, p)."""
    place = np.array(valley.params)
    bend = (psi * 2.0 * at.power)[:, None, :] * features
    total[:, place[:, None], place[None, :]] += bend @ features.T
    if valley.skew is None:
        return
    mixed = (psi * 2.0 * v**2 * at.rise_1) @ features.T
    total[:, place, valley.skew] += mixed
    total[:, valley.skew, place] += mixed
    total[:, valley.skew, valley.skew] += (psi * 2.0 * v**4 * at.bowl_2).sum(1)


def moved_by(best: tuple[str, ...], axes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Axes that the best value of each depends on: those without one, and those named after it."""
    rest = tuple(axis for axis in axes if axis not in best)
    return {axis: (*rest, *best[i + 1 :]) for i, axis in enumerate(best)}


def _specs(axis: str, movers: tuple[str, ...], skewed: bool) -> list[ParameterSpec]:
    made = [
        ParameterSpec(name=f"curve_{axis}", kind="curvature", axis=axis),
        ParameterSpec(name=f"best_{axis}", kind="place", axis=axis),
    ]
    made += [
        ParameterSpec(name=f"best_{axis}_by_{by}", kind="drift", axis=axis, by=by) for by in movers
    ]
    if skewed:
        made.append(ParameterSpec(name=f"skew_{axis}", kind="skew", axis=axis))
    return made


def _letters(axis: str, movers: tuple[str, ...], skewed: bool) -> str:
    place = " ".join([f"best_{axis}", *(f"({by}/s)^best_{axis}_by_{by}" for by in movers)])
    u = f"ln( {axis} / ( {place} ) )"
    if not skewed:
        return f"exp( curve_{axis} {u}^2 )"
    bent = f"skew_{axis} {u}"
    return f"exp( 2 curve_{axis} / skew_{axis} ^2 (exp( {bent} ) - 1 - {bent} ) )"


def _optimum(roles: Roles, law: str, argument: str, *, floor: bool, skewed: bool) -> Form:
    if not argument:
        raise InputError(f"law {law} needs its axes, e.g. {law}:learning_rate+batch")
    named = tuple(dict.fromkeys(split_outside(argument, "+")))
    for name in named:
        if name not in roles:
            raise UnknownNameError("axis", name, roles)
    power = power_axes(roles)
    best = tuple(axis for axis in named if axis in power)
    if not best:
        return additive(roles, floor=floor)
    rest = tuple(axis for axis in power if axis not in best)
    terms = [single(axis) for axis in rest] or [Term(amplitude="A")]
    base = compose(f"{law}:{argument}", roles, terms, floor=floor and bool(rest))
    specs: list[ParameterSpec] = []
    valleys: list[Valley] = []
    letters = [f"({base.letters})" if len(base.terms) > 1 else base.letters]
    for axis, movers in moved_by(best, base.axes).items():
        at = base.n_parameters + len(specs)
        specs += _specs(axis, movers, skewed)
        valleys.append(
            Valley(
                params=tuple(range(at, at + 2 + len(movers))),
                column=base.axes.index(axis),
                others=tuple(base.axes.index(by) for by in movers),
                skew=at + 2 + len(movers) if skewed else None,
            )
        )
        letters.append(_letters(axis, movers, skewed))
    return Optimum(
        law=f"{law}:{argument}",
        base=base,
        parameters=(*base.parameters, *specs),
        valleys=tuple(valleys),
        letters=" ".join(letters),
    )


def optimum(roles: Roles, *, floor: bool = True, argument: str = "") -> Form:
    """Law additive in the other axes, times exp(curve ln(x/best)^2) for each axis of the argument.

    Raises:
        InputError: no argument is given.
        UnknownNameError: it names an axis that is not in the table.
    """
    return _optimum(roles, "optimum", argument, floor=floor, skewed=False)


def optimum_skew(roles: Roles, *, floor: bool = True, argument: str = "") -> Form:
    """As `optimum`, each valley steeper on one side: exp(2 curve (e^(s u) - 1 - s u)/s^2), least at u = 0.

    Raises:
        InputError: no argument is given.
        UnknownNameError: it names an axis that is not in the table.
    """
    return _optimum(roles, "optimum-skew", argument, floor=floor, skewed=True)
