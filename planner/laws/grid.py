"""Starts by variable projection: an exhaustive grid of exponents, amplitudes solved exactly.

Given the exponents every amplitude is linear, so each cell of the grid is a small non-negative
least-squares problem in relative residuals, f/e - 1, which equal log residuals to first order. The
normal matrices of all cells and of all bootstrap replicates are one matrix product, as replicates
differ in row weights only.
"""

from __future__ import annotations

import itertools

import numpy as np

from planner.laws.forms import Evaluator, Form
from planner.laws.observations import Floats

CHUNK = 256
"""Cells whose bases are held at once."""

MOST_CELLS = 4096
"""Largest full grid; above it a fixed low-discrepancy sample of the box is used."""

SMALLEST_SHARE = 1e-6
"""Amplitudes that the projection sets to 0 start at this share of the mean, to be judged by Newton."""

LEVELS_BY_DIMENSION = {1: 64, 2: 20, 3: 9, 4: 6}


def exponent_cells(
    lower: Floats, upper: Floats, signed: np.ndarray, n_levels: int | None = None
) -> Floats:
    """Grid over nonlinear parameters, shape (K, q): geometric where positive, linear where signed."""
    q = len(lower)
    if q == 0:
        return np.zeros((1, 0))
    n = n_levels or LEVELS_BY_DIMENSION.get(q, 4)
    if n**q > MOST_CELLS:
        unit = halton(MOST_CELLS, q)
        return np.where(
            signed, lower + unit * (upper - lower), _geometric(lower, upper, signed, unit)
        )
    unit = np.linspace(0.0, 1.0, n)
    columns = [
        lower[j] + unit * (upper[j] - lower[j])
        if signed[j]
        else lower[j] * (upper[j] / lower[j]) ** unit
        for j in range(q)
    ]
    return np.array(list(itertools.product(*columns)))


def _geometric(lower: Floats, upper: Floats, signed: np.ndarray, unit: Floats) -> Floats:
    low = np.where(signed, 1.0, lower)
    high = np.where(signed, 1.0, upper)
    return np.asarray(low * (high / low) ** unit)


def halton(n: int, dimensions: int) -> Floats:
    """First n points of the Halton sequence in [0, 1)^d, without the origin."""
    primes = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43]
    points = np.zeros((n, dimensions))
    for j in range(dimensions):
        base, index = primes[j % len(primes)], np.arange(1, n + 1)
        fraction = 1.0
        while index.any():
            fraction /= base
            points[:, j] += fraction * (index % base)
            index = index // base
    return points


def nonnegative(moments: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Exact non-negative least squares of many small problems by enumerating supports.

    Args:
        moments: Gram matrices, shape (..., k, k).
        target: inner products with the data, shape (..., k).

    Returns:
        The reduction target . b of the sum of squares, shape (...), and b, shape (..., k).
    """
    k = target.shape[-1]
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("...ii->...i", moments), 1e-300))
    gram = moments * scale[..., :, None] * scale[..., None, :] + 1e-12 * np.eye(k)
    right = target * scale
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
            part = np.linalg.solve(gram[:, support][:, :, support], right[:, support][:, :, None])[
                :, :, 0
            ]
            gained = (part * right[:, support]).sum(-1)
            better = (part >= 0).all(-1) & (gained > reduction)
            reduction[better] = gained[better]
            full = np.zeros((n, k))
            full[:, support] = part
            best[better] = full[better]
    return best


def projected_starts(
    form: Form, evaluator: Evaluator, y: Floats, weight: Floats, cells: Floats, n_starts: int
) -> Floats:
    """The best cells of the grid with their amplitudes, as working parameters.

    Args:
        form: gives which parameters are amplitudes (one for each term, in order).
        evaluator: the form at the n rows.
        y: log of the error, shape (n,).
        weight: shape (B, n), one row for each replicate.
        cells: nonlinear parameters, shape (K, q).
        n_starts: starts kept for each replicate.

    Returns:
        Starts, shape (B, n_starts, p), best first.
    """
    linear = form.indices("floor", "amplitude")
    nonlinear = [i for i in range(form.n_parameters) if i not in linear]
    k, n_replicates = len(linear), len(weight)
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    reductions, amplitudes = [], []
    for begin in range(0, len(cells), CHUNK):
        theta = np.zeros((len(cells[begin : begin + CHUNK]), form.n_parameters))
        theta[:, nonlinear] = cells[begin : begin + CHUNK]
        basis = [np.exp(term - y) for term in evaluator.log_terms(theta)]
        products = np.concatenate([basis[i] * basis[j] for i, j in pairs] + basis)
        sums = (weight @ products.T).reshape(n_replicates, len(pairs) + k, len(theta))
        gram = np.empty((n_replicates, len(theta), k, k))
        for q, (i, j) in enumerate(pairs):
            gram[..., i, j] = gram[..., j, i] = sums[:, q]
        reduction, amplitude = nonnegative(gram, np.moveaxis(sums[:, len(pairs) :], 1, -1))
        reductions.append(reduction)
        amplitudes.append(amplitude)
    reduction = np.concatenate(reductions, axis=1)
    amplitude = np.concatenate(amplitudes, axis=1)
    n_starts = min(n_starts, len(cells))
    order = np.argsort(-reduction, axis=1, kind="stable")[:, :n_starts]
    rows = np.arange(n_replicates)[:, None]
    starts = np.zeros((n_replicates, n_starts, form.n_parameters))
    smallest = SMALLEST_SHARE * np.exp(np.average(y))
    starts[:, :, linear] = np.log(np.maximum(amplitude[rows, order], smallest))
    starts[:, :, nonlinear] = cells[order]
    return starts
