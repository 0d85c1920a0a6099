"""A sweep before any run: which points to train, and how wide the intervals will be.

At an assumed law with Jacobian J of ln error in its parameters (rows are points) and scatter sigma, a
design S gives the covariance sigma^2 (J_S^T J_S)^-1. `optimal` maximises det(J_S^T J_S) by greedy choice
and exchange (Fedorov 1972, on the finite grid); repeats of a point are seeds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import InputError
from planner.plan.cost import Floats

KINDS = ("star", "grid", "isoflop", "optimal")
MAX_EXCHANGES = 20
"""Passes of exchange over an optimal design; two or three suffice (assumption)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Half-widths that a design would give, at a level.

    Attributes:
        parameters: of each parameter, NaN where the design does not identify it.
        prediction: of ln error at the point asked for, NaN where it is not identified.
        identified: whether the design has full rank.
    """

    parameters: Floats
    prediction: float
    identified: bool


def star(levels: Sequence[Sequence[float]], centre: Sequence[int]) -> list[tuple[int, ...]]:
    """Indices of the centre and of each axis's other levels, the other axes at the centre."""
    out = [tuple(centre)]
    for k, values in enumerate(levels):
        for i in range(len(values)):
            if i != centre[k]:
                point = list(centre)
                point[k] = i
                out.append(tuple(point))
    return out


def grid(levels: Sequence[Sequence[float]]) -> list[tuple[int, ...]]:
    """Indices of every combination."""
    return list(itertools.product(*(range(len(v)) for v in levels)))


def isoflop(
    points: Sequence[tuple[int, ...]], flops: Floats, n_budgets: int = 3, tolerance: float = 0.25
) -> list[tuple[int, ...]]:
    """Points near one of a few FLOP budgets, spread evenly in log between the inner quartiles."""
    logs = np.log(flops)
    low, high = np.quantile(logs, [0.25, 0.75])
    budgets = np.linspace(low, high, n_budgets)
    near = np.abs(logs[:, None] - budgets[None, :]).min(axis=1) <= np.log1p(tolerance)
    return [p for p, keep in zip(points, near, strict=True) if keep]


def repeated(points: Sequence[tuple[int, ...]], runs: int) -> list[tuple[int, ...]]:
    """The first `runs` of the points, gone through again with new seeds where there are fewer."""
    if not points:
        raise InputError("the design has no point; give more levels")
    return [points[i % len(points)] for i in range(runs)]


def optimal(jacobian: Floats, runs: int, *, repeats: bool = True) -> list[int]:
    """Rows of the Jacobian that maximise the determinant of the information.

    Args:
        jacobian: d ln error / d parameter at every candidate point, shape (m, p).
        runs: how many to choose, at least p; at most m without repeats.
        repeats: whether a row may be chosen again.

    Raises:
        InputError: there are fewer runs than parameters.
    """
    p = jacobian.shape[1]
    if runs < p:
        raise InputError(f"{runs} runs cannot identify {p} parameters; ask for at least {p + 1}")
    scaled = jacobian / np.maximum(np.abs(jacobian).max(axis=0), 1e-300)
    # A ridge that vanishes with the first p points lets the greedy start from nothing.
    inverse = np.eye(p) * 1e6
    chosen: list[int] = []
    for _ in range(runs):
        gain = np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
        if not repeats:
            gain[chosen] = -np.inf
        j = int(gain.argmax())
        chosen.append(j)
        inverse = _with_row(inverse, scaled[j], 1.0)
    return _exchanged(scaled, chosen, repeats)


def _with_row(inverse: Floats, row: Floats, sign: float) -> Floats:
    """(M + sign r r^T)^-1 from M^-1 (Sherman and Morrison)."""
    v = inverse @ row
    return np.asarray(inverse - sign * np.outer(v, v) / (1.0 + sign * float(row @ v)))


def _exchanged(scaled: Floats, chosen: list[int], repeats: bool) -> list[int]:
    """Swap one point for another while that raises the determinant."""
    p = scaled.shape[1]
    for _ in range(MAX_EXCHANGES):
        better = False
        for i in range(len(chosen)):
            others = [c for k, c in enumerate(chosen) if k != i]
            rest = scaled[others]
            inverse = np.linalg.inv(rest.T @ rest + 1e-9 * np.eye(p))
            gain = np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
            if not repeats:
                gain[others] = -np.inf
            j = int(gain.argmax())
            if gain[j] > gain[chosen[i]] * (1 + 1e-9):
                chosen[i] = j
                better = True
        if not better:
            break
    return sorted(chosen)


def widths(jacobian: Floats, at: Floats, sigma: float, z: float) -> Widths:
    """Half-widths from a design's Jacobian, shape (n, p), and the gradient `at` a point, shape (p,).

    Args:
        jacobian: rows of the design.
        at: gradient of ln error where a prediction is wanted.
        sigma: scatter of one run about the law, in ln error.
        z: quantile of the level.
    """
    information = jacobian.T @ jacobian
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information / np.outer(scale, scale)
    p = jacobian.shape[1]
    # 1e-8 on the unit-diagonal information: the rank test of the laws (condition 1e8).
    identified = bool(np.linalg.matrix_rank(scaled, tol=1e-8) == p)
    if not identified:
        return Widths(parameters=np.full(p, np.nan), prediction=float("nan"), identified=False)
    covariance = sigma**2 * np.linalg.inv(scaled) / np.outer(scale, scale)
    return Widths(
        parameters=z * np.sqrt(np.diag(covariance)),
        prediction=float(z * np.sqrt(at @ covariance @ at)),
        identified=True,
    )
