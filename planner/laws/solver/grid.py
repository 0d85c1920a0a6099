"""Starts by variable projection: an exhaustive grid of exponents, amplitudes solved exactly.

Given the exponents every amplitude is linear, so each cell of the grid is a small non-negative
least-squares problem in relative residuals, f/e - 1, which equal log residuals to first order. A term
depends on few of the nonlinear parameters, so the inner product of two terms is a small table over
their own levels, from which the normal matrices of all cells are looked up; bootstrap replicates
differ in row weights only, so their tables are one matrix product.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from planner.laws.forms.base import Evaluator, Form
from planner.laws.observations import Floats

MOST_CELLS = 4096
"""Largest full grid; above it a fixed low-discrepancy sample of the box is used."""

SMALLEST_SHARE = 1e-6
"""Amplitudes that the projection sets to 0 start at this share of the mean, to be judged by Newton."""

LEVELS_BY_DIMENSION = {1: 48, 2: 16, 3: 9, 4: 6, 5: 5}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Points of the nonlinear parameters.

    Attributes:
        params: their positions in theta.
        values: shape (K, q).
        index: level of each parameter in each cell, shape (K, q); None for a sample.
        n_levels: number of levels of each parameter.
    """

    params: tuple[int, ...]
    values: Floats
    index: np.ndarray | None
    n_levels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.values)

    def distinct(self, params: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """One cell for each distinct setting of those parameters, and each cell's setting."""
        columns = [j for j, p in enumerate(self.params) if p in params]
        if not columns:
            return np.zeros(1, dtype=np.intp), np.zeros(len(self), dtype=np.intp)
        if self.index is None:
            every = np.arange(len(self))
            return every, every
        code = np.zeros(len(self), dtype=np.intp)
        for j in columns:
            code = code * self.n_levels[j] + self.index[:, j]
        first = np.zeros(math.prod(self.n_levels[j] for j in columns), dtype=np.intp)
        first[code[::-1]] = np.arange(len(self))[::-1]
        return first, code


def product_cells(params: tuple[int, ...], axes: list[Floats]) -> Cells:
    """All combinations of the levels, or a low-discrepancy sample between them if too many."""
    n_levels = tuple(len(axis) for axis in axes)
    if math.prod(n_levels) > MOST_CELLS:
        unit = halton(MOST_CELLS, len(axes))
        values = [
            np.interp(unit[:, j], np.linspace(0, 1, n_levels[j]), axes[j]) for j in range(len(axes))
        ]
        return Cells(params=params, values=np.stack(values, axis=1), index=None, n_levels=n_levels)
    index = np.array(list(itertools.product(*(range(n) for n in n_levels))), dtype=np.intp)
    index = index.reshape(-1, len(axes))
    values = [np.asarray(axes[j])[index[:, j]] for j in range(len(axes))]
    stacked = np.stack(values, axis=1) if values else np.zeros((1, 0))
    return Cells(params=params, values=stacked, index=index, n_levels=n_levels)


def halton(n: int, dimensions: int) -> Floats:
    """First n points of the Halton sequence in [0, 1)^d, without the origin.

    scipy's, the same to the last bit as those that stored fits began from (tests/laws/solver/test_grid.py).
    Imported here: grids of more than MOST_CELLS are rare, and none of the built-in tables needs one, so that
    a cold plan does not pay for scipy.stats (620 ms of processor time, measured).
    """
    from scipy.stats import qmc

    points: Floats = qmc.Halton(dimensions, scramble=False).random(n + 1)[1:]
    return points


def nonnegative(gram: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Exact non-negative least squares of many small problems by enumerating supports.

    Args:
        gram: Gram matrices, shape (..., k, k).
        right: inner products with the data, shape (..., k).

    Returns:
        The reduction right . b of the sum of squares, shape (...), and b, shape (..., k).
    """
    k = right.shape[-1]
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("...ii->...i", gram), 1e-300))
    gram = gram * scale[..., :, None] * scale[..., None, :] + 1e-12 * np.eye(k)
    right = right * scale
    solution = np.linalg.solve(gram, right[..., None])[..., 0]
    negative = (solution < 0).any(-1)
    if negative.any():
        solution[negative] = _best_support(gram[negative], right[negative])
    return (solution * right).sum(-1), solution * scale


def _best_support(gram: Floats, right: Floats) -> Floats:
    """The feasible support with the largest reduction, for problems whose full solution is not."""
    n, k = right.shape
    best, reduction = np.zeros((n, k)), np.full(n, -np.inf)
    for size in range(k - 1, 0, -1):
        for chosen in itertools.combinations(range(k), size):
            support = list(chosen)
            part = np.linalg.solve(gram[:, support][:, :, support], right[:, support][:, :, None])
            part = part[:, :, 0]
            gained = (part * right[:, support]).sum(-1)
            better = (part >= 0).all(-1) & (gained > reduction)
            reduction[better] = gained[better]
            full = np.zeros((n, k))
            full[:, support] = part
            best[better] = full[better]
    return best


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Basis:
    """One term with amplitude 1 at its distinct settings, relative to the errors, shape (u, n)."""

    values: Floats
    setting: np.ndarray


def _bases(form: Form, evaluator: Evaluator, y: Floats, cells: Cells) -> list[_Basis]:
    bases = []
    for term, params in enumerate(form.term_parameters):
        first, setting = cells.distinct(params)
        theta = np.zeros((len(first), form.n_parameters))
        theta[:, list(cells.params)] = cells.values[first]
        log_term = evaluator.log_terms(theta)[term]
        bases.append(_Basis(values=np.exp(log_term - y), setting=setting))
    return bases


def _inner(weight: Floats, a: _Basis, b: _Basis, same: bool) -> Floats:
    """Inner products sum_n w a b of every cell and replicate, shape (B, K)."""
    if same:
        return np.asarray((weight @ (a.values**2).T)[:, a.setting])
    n_a, n_b = len(a.values), len(b.values)
    if n_a * n_b <= max(2 * len(a.setting), n_a, n_b):
        if len(weight) == 1:
            return np.asarray(((a.values * weight) @ b.values.T)[a.setting, b.setting][None])
        products = (a.values[:, None, :] * b.values[None, :, :]).reshape(n_a * n_b, -1)
        return np.asarray((weight @ products.T)[:, a.setting * n_b + b.setting])
    return np.asarray(weight @ (a.values[a.setting] * b.values[b.setting]).T)


def projected_starts(
    form: Form, evaluator: Evaluator, y: Floats, weight: Floats, cells: Cells, n_starts: int
) -> Floats:
    """The best cells of the grid with their amplitudes, as working parameters.

    Args:
        form: gives the parameters of each term.
        evaluator: the form at the n rows.
        y: log of the error, shape (n,).
        weight: shape (B, n), one row for each replicate.
        cells: the grid of nonlinear parameters.
        n_starts: starts kept for each replicate.

    Returns:
        Starts, shape (B, n_starts, p), best first.
    """
    bases = _bases(form, evaluator, y, cells)
    k = len(bases)
    gram = np.empty((len(weight), len(cells), k, k))
    right = np.empty((len(weight), len(cells), k))
    target = np.ones(len(y)) if evaluator.known is None else 1.0 - np.exp(evaluator.known - y)
    for i in range(k):
        right[:, :, i] = ((weight * target) @ bases[i].values.T)[:, bases[i].setting]
        for j in range(i, k):
            moment = _inner(weight, bases[i], bases[j], i == j)
            gram[:, :, i, j] = gram[:, :, j, i] = moment
    reduction, amplitude = nonnegative(gram, right)
    n_starts = min(n_starts, len(cells))
    order = np.argsort(-reduction, axis=1, kind="stable")[:, :n_starts]
    rows = np.arange(len(weight))[:, None]
    starts = np.zeros((len(weight), n_starts, form.n_parameters))
    smallest = SMALLEST_SHARE * np.exp(np.mean(y))
    starts[:, :, form.log_parameters] = np.log(np.maximum(amplitude[rows, order], smallest))
    starts[:, :, list(cells.params)] = cells.values[order]
    return starts
