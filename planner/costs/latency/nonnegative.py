"""Non-negative least squares on relative errors, with leverage, spread and degrees of freedom.

Minimise sum((x_i c / y_i - 1)^2) over c >= 0: a latency of 10 ms counts as much as one of 10 s, and no
part of a latency is negative. The solution is a weighted least squares on its active columns, which
gives the leverage h(x) = a (A'A)^-1 a' of a new row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.costs.windows import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class NonNegativeFit:
    """Costs of all columns and how far they can be trusted.

    Attributes:
        cost: ms for each unit of a column, shape (k,), zeros where inactive.
        sd: standard deviation of the relative error of one measurement.
        dof: degrees of freedom of `sd`.
        active: indices of columns with a positive cost.
        inverse: (A'A)^-1 on them, shape (a, a).
    """

    cost: Floats
    sd: float
    dof: float
    active: tuple[int, ...]
    inverse: Floats

    def leverage(self, x: Floats, value: Floats) -> Floats:
        """Parameter variance at rows x over the error variance, shape (m,)."""
        a = x[:, list(self.active)] / np.maximum(value, 1e-12)[:, None]
        return np.asarray(np.einsum("mi,ij,mj->m", a, self.inverse, a))


def solve(x: Floats, y: Floats, columns: list[int]) -> Floats:
    """Costs >= 0 on those columns, zero elsewhere, shape (k,)."""
    scale = np.maximum(x[:, columns].max(axis=0), 1e-300)
    found = nnls(x[:, columns] / scale / y[:, None], np.ones(len(y)))
    cost = np.zeros(x.shape[1])
    cost[columns] = found / scale
    return cost


def nnls(a: Floats, b: Floats) -> Floats:
    """Minimiser over c >= 0 of |a c - b|, shape (k,): the active-set method of Lawson and Hanson (1974).

    scipy.optimize.nnls has the same (tests/costs/latency/test_nonnegative.py compares them). It is not used, as a
    cold plan under a latency limit fits the model anew: importing scipy.optimize takes 300 ms of processor
    time, the whole plan 540 (measured); and its last bits differ, so that stored answers would not replay.
    """
    c, free = np.zeros(a.shape[1]), np.zeros(a.shape[1], dtype=bool)
    small = 1e-12 * max(float(np.abs(a.T @ b).max(initial=0.0)), 1e-300)
    for _ in range(10 * a.shape[1]):
        slope = np.where(free, -np.inf, a.T @ (b - a @ c))
        if slope.max(initial=-np.inf) <= small:
            break
        free[int(np.argmax(slope))] = True
        while True:
            wanted = np.zeros_like(c)
            wanted[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
            below = free & (wanted <= 0)
            if not below.any():
                break
            # As far towards the unconstrained solution as every coefficient stays positive.
            step = np.min(c[below] / np.maximum(c[below] - wanted[below], 1e-300))
            c = c + step * (wanted - c)
            free &= c > 1e-15
            c[~free] = 0.0
        c = wanted
    return c


def fit(
    x: Floats, y: Floats, columns: list[int], prior_sd: float, prior_dof: float
) -> NonNegativeFit:
    """Costs and spread of measurements y at rows x.

    The spread is pulled to `prior_sd` with the weight of `prior_dof` observations, so that a handful of
    points that happen to lie on the model is not taken for certainty.

    Args:
        x: quantities, shape (n, k).
        y: measured ms, shape (n,), > 0.
        columns: columns that may have a cost.
        prior_sd: relative spread expected before any measurement.
        prior_dof: weight of that expectation, in observations.
    """
    cost = solve(x, y, columns)
    active = tuple(int(i) for i in np.flatnonzero(cost > 0))
    a = x[:, list(active)] / y[:, None]
    inverse: Floats = np.asarray(np.linalg.pinv(a.T @ a)) if active else np.zeros((0, 0))
    residual = x @ cost / y - 1.0
    dof = max(len(y) - len(active), 0)
    sd = math.sqrt((float(residual @ residual) + prior_dof * prior_sd**2) / (dof + prior_dof))
    return NonNegativeFit(cost=cost, sd=sd, dof=dof + prior_dof, active=active, inverse=inverse)
