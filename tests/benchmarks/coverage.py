"""Coverage of the laws' intervals on simulated tables.

Run: python tests/benchmarks/coverage.py REPLICATES [PART_OF_A_NAME [FIRST_SEED]]

The truth is an additive law on two or three axes with levels 1, 2, 4, 8. Each replicate draws noise,
fits, and asks whether the 90 % intervals hold the true floor, exponents, the mean error twice (and
four times) beyond the grid on every axis, and the optimum x* on a budget surface prod x = const.
Prints one line for each design; figures belong, dated, into notebooks/LOG.md.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.laws.fit_law import fit_law
from planner.laws.observations import Floats, Observations

LEVELS = (1.0, 2.0, 4.0, 8.0)
AMPLITUDES, EXPONENTS, FLOOR = (2.0, 1.2, 0.8), (0.35, 0.45, 0.55), 1.7
SIGMA = 0.01
"""Standard deviation of a run's log error, as between seeds of one trial (assumption)."""

Truth = Callable[[Floats], Floats]
Noise = Callable[[np.random.Generator, int], Floats]


@dataclass(frozen=True, slots=True)
class Design:
    """A simulated experiment: points, truth, noise in units of SIGMA, its stated spread, the fit."""

    name: str
    points: Floats
    truth: Truth
    noise: Noise
    spread: Floats | None = None
    law: str = "additive"
    loss: str = "log"


def additive(x: Floats) -> Floats:
    """FLOOR + sum_k A_k x_k^-alpha_k."""
    k = x.shape[1]
    return np.asarray(FLOOR + (np.array(AMPLITUDES[:k]) * x ** -np.array(EXPONENTS[:k])).sum(1))


def interacting(x: Floats) -> Floats:
    """A truth that is in no set: terms that saturate, coupled in a square root."""
    a, b, c = (
        s * x[:, k] ** -e for k, (s, e) in enumerate(zip(AMPLITUDES, EXPONENTS, strict=True))
    )
    return np.asarray(FLOOR + np.sqrt(a * a + b * b + a * b) + c / (1.0 + 0.3 * c))


def grid(k: int, levels: tuple[float, ...] = LEVELS) -> Floats:
    """All combinations of the levels on k axes."""
    return np.array(list(itertools.product(levels, repeat=k)))


def star() -> Floats:
    """Twelve points: the centre's three arms and two corners."""
    centre = (8.0, 8.0, 8.0)
    points = [centre]
    for axis in range(3):
        points += [tuple(v if k == axis else 8.0 for k in range(3)) for v in (1.0, 2.0, 4.0)]
    return np.array([*points, (1.0, 1.0, 1.0), (2.0, 2.0, 2.0)])


def normal(rng: np.random.Generator, n: int) -> Floats:
    """Independent normal noise."""
    return rng.standard_normal(n)


def heavy(rng: np.random.Generator, n: int) -> Floats:
    """Student's t with 3 degrees of freedom, scaled to standard deviation 1."""
    return np.asarray(rng.standard_t(3, n) / math.sqrt(3.0))


def designs() -> list[Design]:
    """All simulated experiments."""
    full, threes = grid(3), grid(3, (1.0, 2.0, 8.0))
    spread = np.where(full.prod(1) > np.median(full.prod(1)), 2.0, 0.5)

    def unequal(rng: np.random.Generator, n: int) -> Floats:
        return np.asarray(spread * rng.standard_normal(n))

    return [
        Design("2 axes 4x4, n=16", grid(2), additive, normal),
        Design("3 axes 3x3x3, n=27", threes, additive, normal),
        Design("3 axes 4x4x4, n=64", full, additive, normal),
        Design("3 axes star, n=12", star(), additive, normal),
        Design("4x4x4, t(3) noise", full, additive, heavy),
        Design("4x4x4, t(3) noise, huber:auto", full, additive, heavy, loss="huber:auto"),
        Design("4x4x4, unequal noise", full, additive, unequal),
        Design("4x4x4, unequal noise, stated", full, additive, unequal, spread),
        Design("4x4x4, not in the set, auto", full, interacting, normal, law="auto"),
    ]


STEPS = 41
"""Levels of the first axis, and of the second for each of them, on the budget surface."""


def budget_surface(k: int) -> tuple[Floats, np.ndarray]:
    """Points on prod_k x_k = 4^k with 1 <= x_k <= 16, and which of STEPS x STEPS (or 1) cells they are."""
    line = np.linspace(math.log(1.0), math.log(16.0), STEPS)
    if k == 2:
        logs = np.column_stack([line, 2 * math.log(4.0) - line])
    else:
        logs = np.array([(a, b, 3 * math.log(4.0) - a - b) for a in line for b in line])
    inside = (logs > -1e-9).all(1) & (logs < math.log(16.0) + 1e-9).all(1)
    return np.exp(logs[inside]), inside.reshape(STEPS, -1)


def optimum(error: Floats, inside: np.ndarray) -> Floats:
    """ln x* on the first axis of each draw, shape (b,), from its errors on the surface, shape (b, m).

    Between the grid's points the log error is a parabola: the coverage of a law's optimum is asked for,
    not that of the nearest point of a grid, which an interval of few points always covers too often.
    """
    cells = np.full((len(error), *inside.shape), np.inf)
    cells[:, inside] = np.log(error)
    _, along = lowest(cells)
    place, _ = lowest(along)
    return place * math.log(16.0) / (STEPS - 1)


def lowest(values: Floats) -> tuple[Floats, Floats]:
    """Place and value of the least of each row (last axis), by a parabola through its neighbours."""
    at = np.argmin(values, axis=-1)
    n = values.shape[-1]
    left, here, right = (
        np.take_along_axis(values, np.clip(at + d, 0, n - 1)[..., None], -1)[..., 0]
        for d in (-1, 0, 1)
    )
    with np.errstate(invalid="ignore"):
        bowl, tilt = left - 2 * here + right, left - right
    curved = (at > 0) & (at < n - 1) & np.isfinite(bowl) & (bowl > 0)
    shift = np.where(curved, tilt / np.where(curved, 2 * bowl, 1.0), 0.0)
    return at + shift, np.where(curved, here - 0.25 * np.where(curved, tilt, 0.0) * shift, here)


def hits(design: Design, seed: int) -> dict[str, bool]:
    """Which true values the intervals of one replicate hold."""
    rng = np.random.default_rng(seed)
    x, k = design.points, design.points.shape[1]
    error = design.truth(x) * np.exp(SIGMA * design.noise(rng, len(x)))
    std_error = None if design.spread is None else SIGMA * design.spread * error
    axes = tuple("abc"[:k])
    fit = fit_law(
        Observations(axes=axes, x=x, error=error, std_error=std_error),
        law=design.law,
        loss=design.loss,
    )
    found = {}
    if design.law == "additive":
        truth = {"E": FLOOR} | {f"alpha_{a}": EXPONENTS[i] for i, a in enumerate(axes)}
        values = {p.name: p for p in fit.parameters}
        for name, value in truth.items():
            if name not in values:
                found[name] = name == "E"
                continue
            low, high = values[name].low, values[name].high
            found[name] = (low is None or low <= value) and (high is None or value <= high)
    for factor in (2.0, 4.0):
        point = np.full((1, k), 8.0 * factor)
        p = fit.predict(point)
        found[f"{factor:g}x"] = bool(p.low[0] <= design.truth(point)[0] <= p.high[0])
    surface, inside = budget_surface(k)
    low, high = np.quantile(optimum(fit.draws(surface, 400, seed), inside), [0.05, 0.95])
    best = optimum(design.truth(surface)[None], inside)[0]
    found["x*"] = bool(low - 1e-9 <= best <= high + 1e-9)
    return found


def coverage(design: Design, n: int, first_seed: int = 0) -> dict[str, float]:
    """Share of n replicates whose intervals hold each true value."""
    rows = [hits(design, first_seed + i) for i in range(n)]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def main() -> None:
    """Print coverage of every design."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print(f"coverage of 90 % intervals, {n} replicates, +-{1.645 * math.sqrt(0.09 / n):.3f}")
    for design in designs():
        if only not in design.name:
            continue
        start = time.perf_counter()
        shares = coverage(design, n, first)
        seconds = time.perf_counter() - start
        shown = "  ".join(f"{name} {share:.3f}" for name, share in shares.items())
        print(f"{design.name:32s} {shown}  ({1e3 * seconds / n:.0f} ms)", flush=True)


if __name__ == "__main__":
    main()
