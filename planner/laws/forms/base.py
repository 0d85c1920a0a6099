"""What a law is: named parameters and the logarithm of a positive function of scaled axes.

All laws here are sums of positive terms, f(x) = sum_j exp(t_j(theta, z)), with z_k = ln(x_k / s_k)
and stored reference scales s_k, so that every coefficient is the size of its term at the scale and
keeps its meaning when units change. Amplitudes enter as logarithms; each term has exactly one.
Where every t_j is linear in theta the law is a posynomial (`Posynomial`), which covers the additive,
the multiplicative, the shared-exponent and the interaction laws, and has a cheap exact Hessian.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.observations import Floats

POWER = "power"
"""Role of an axis with three levels or more: a power term of its own."""
SLOPE = "slope"
"""Role of an axis with two levels: one factor (x/s)^-b on everything, b of either sign."""
LEFT_OUT = "left-out"
"""Role of an axis with one level: not in the law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec:
    """One parameter and its kind, which sets its bounds and whether theta holds its logarithm.

    `floor` and `amplitude`: logarithms in the working vector theta, in the unit of the error.
    `natural-amplitude`: a formula's, in whatever unit it has there, a logarithm too. `scale`: of a
    formula, in the unit of its axis, held as its logarithm.
    `exponent`: positive. `signed`, `slope`, `change`: exponents of either sign. `bend`: of z^2.
    `break`: a place on an axis, ln(x/s). `width`: of a break, in log units. `shift`: ln(shift/s),
    added to the axis. `level`: of a saturating term, ln h at the scale. Of a valley: `curvature`, of
    u^2; `place`, ln(best/s); `drift`, the power of the axis `by` with which the best value moves; `skew`.
    """

    name: str
    kind: str
    axis: str | None = None
    by: str | None = None

    @property
    def is_log(self) -> bool:
        """Whether theta holds the logarithm of the parameter."""
        return self.kind in ("floor", "amplitude", "natural-amplitude")


@dataclass(frozen=True, slots=True)
class Linearisation:
    """Value and derivatives of the log mean at b parameter vectors.

    Attributes:
        log_mean: ln f, shape (b, n).
        jacobian: d ln f / d theta, shape (b, p, n).
        second: takes psi (b, n) and gives sum_n psi_n (d2 ln f_n / d theta2 + J_n J_n^T), shape
            (b, p, p): the second derivative of f over f, as the law's terms give it; None where the
            law has no second derivatives (Gauss-Newton is used).
    """

    log_mean: Floats
    jacobian: Floats
    second: Callable[[Floats], Floats] | None


class Evaluator(abc.ABC):
    """A form at fixed rows; `known` is the log of a term that is not fitted, shape (n,), or None."""

    known: Floats | None = None

    @abc.abstractmethod
    def log_terms(self, theta: Floats) -> list[Floats]:
        """t_j for theta of shape (b, p): one array (b, n) for each term."""

    @abc.abstractmethod
    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean and derivatives for theta of shape (b, p)."""

    def log_mean(self, theta: Floats) -> Floats:
        """Log mean ln f for theta of shape (b, p), shape (b, n)."""
        return log_sum(self.log_terms(theta))


class Form(abc.ABC):
    """A law bound to axes; immutable, and rebuilt from its name, axes and roles."""

    law: str
    axes: tuple[str, ...]
    parameters: tuple[ParameterSpec, ...]
    unscaled: bool = False
    """Whether axes are in their own units, and not over scales of the table."""
    most_steps: int = 200
    """Newton steps after which a start is given up."""
    box: tuple[tuple[int, float, float], ...] = ()
    """Bounds of the user's own: place in theta, lower and upper; infinite where the usual one stands."""
    priors: tuple[tuple[int, float, float], ...] = ()
    """Normal priors of the user's own: place in theta, mean and standard deviation."""
    fixed: frozenset[int] = frozenset()
    """Places in theta that the user holds."""
    noise: float = 0.0
    """Variance of a row at weight 1, by which priors weigh; 0: they do not."""

    def check_rows(self, z: Floats) -> None:
        """That the form has a value at rows z, shape (n, k); a built-in one has it everywhere.

        Raises:
            InputError: a formula has none at a row.
        """
        del z

    @abc.abstractmethod
    def at(self, z: Floats) -> Evaluator:
        """The form at rows z of shape (n, k), z = ln(x / scale)."""

    @abc.abstractmethod
    def formula(self) -> str:
        """The law in letters."""

    @property
    @abc.abstractmethod
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Positions in theta of the parameters of each term, its amplitude first."""

    @property
    def n_parameters(self) -> int:
        """Number of working parameters p."""
        return len(self.parameters)

    derived: bool = False
    """Whether some parameters are reported otherwise than they are estimated: `natural` says how."""

    def natural(self, theta: Floats) -> Floats:
        """Working parameters (b, p) as they are reported, logarithms as such."""
        return theta

    def natural_slopes(self, theta: Floats) -> Floats:
        """D natural / d theta at theta (p,), shape (p, p)."""
        return np.eye(len(theta))

    @property
    def n_fitted(self) -> int:
        """Number of parameters that the rows are asked for: those that are not held."""
        return self.n_parameters - len(self.fixed)

    @functools.cached_property
    def log_parameters(self) -> NDArray[np.intp]:
        """Positions in theta that hold logarithms: floor and amplitudes, one for each term."""
        return np.array([i for i, spec in enumerate(self.parameters) if spec.is_log], dtype=np.intp)

    def indices(self, *kinds: str) -> list[int]:
        """Positions in theta of the parameters of those kinds."""
        return [i for i, spec in enumerate(self.parameters) if spec.kind in kinds]


def log_sum(terms: list[Floats]) -> Floats:
    """Log of the sum, ln sum_j exp(t_j), without overflow."""
    if len(terms) == 1:
        return terms[0].copy()
    top = np.maximum.reduce(terms)
    total = np.exp(terms[0] - top)
    for term in terms[1:]:
        total += np.exp(term - top)
    return np.asarray(np.log(total) + top)


@dataclass(frozen=True)
class Posynomial(Form):
    """A form whose terms are log-linear: t_j = sum over (parameter, column) of theta * Z[column].

    Of K axes column 0 of Z is 1, column k is -z_k, so that a positive exponent lowers the error, and
    column K + k is z_k^2.
    """

    law: str
    axes: tuple[str, ...]
    parameters: tuple[ParameterSpec, ...]
    terms: tuple[tuple[tuple[int, int], ...], ...]
    letters: str = ""

    def formula(self) -> str:
        """The law in letters."""
        return self.letters

    @functools.cached_property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Positions in theta of the parameters of each term, its amplitude first."""
        return tuple(tuple(dict.fromkeys(p for p, _ in term)) for term in self.terms)

    def at(self, z: Floats) -> PosynomialRows:
        """The form at rows z of shape (n, k)."""
        return PosynomialRows(self, np.asarray(z, dtype=np.float64))


class PosynomialRows(Evaluator):
    """A posynomial at fixed rows, with the products of features that its Hessian needs."""

    def __init__(self, form: Posynomial, z: Floats) -> None:
        self.n_parameters = form.n_parameters
        columns = np.concatenate([np.ones((1, len(z))), -z.T, z.T**2])
        self.params: list[list[int]] = []
        self.features: list[Floats] = []
        for term in form.terms:
            params = list(dict.fromkeys(p for p, _ in term))
            rows = [sum(columns[c] for q, c in term if q == p) for p in params]
            self.params.append(params)
            self.features.append(np.ascontiguousarray(rows, dtype=np.float64))
        self._products: list[Floats] | None = None

    def log_terms(self, theta: Floats) -> list[Floats]:
        """t_j, one array (b, n) for each term."""
        return [theta[:, p] @ f for p, f in zip(self.params, self.features, strict=True)]

    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean, Jacobian and exact second derivatives for theta (b, p)."""
        shares = self.log_terms(theta)
        top = np.maximum.reduce(shares) if len(shares) > 1 else shares[0].copy()
        for share in shares:
            share -= top
            np.exp(share, out=share)
        total = shares[0].copy()
        for share in shares[1:]:
            total += share
        log_mean = np.log(total) + top
        jacobian = np.zeros((len(theta), self.n_parameters, log_mean.shape[1]))
        for share, params, features in zip(shares, self.params, self.features, strict=True):
            share /= total
            # The first parameter of a term is its amplitude, whose feature is 1.
            jacobian[:, params[0]] = share
            for row, p in enumerate(params[1:], 1):
                jacobian[:, p] += share * features[row]

        def second(psi: Floats) -> Floats:
            return self._second(shares, psi)

        return Linearisation(log_mean, jacobian, second)

    def _second(self, shares: list[Floats], psi: Floats) -> Floats:
        """sum_n psi sum_j S_j F_j F_j^T, S_j the share of term j in the mean."""
        total = np.zeros((len(psi), self.n_parameters, self.n_parameters))
        for share, params, products in zip(shares, self.params, self.products, strict=True):
            moments = (psi * share) @ products
            if len(params) == 1:
                total[:, params[0], params[0]] += moments[:, 0]
                continue
            index = np.array(params)
            total[:, index[:, None], index[None, :]] += moments.reshape(
                -1, len(params), len(params)
            )
        return total

    @property
    def products(self) -> list[Floats]:
        """Pairwise products of each term's features, shape (n, m*m), made when first needed."""
        if self._products is None:
            self._products = [
                np.ascontiguousarray((f[:, None, :] * f[None, :, :]).reshape(-1, f.shape[1]).T)
                for f in self.features
            ]
        return self._products
