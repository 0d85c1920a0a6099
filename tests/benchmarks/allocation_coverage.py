"""How often the intervals of compute-optimal exponents hold the truth, and Approach 2's bias with a figure.

Run: python tests/benchmarks/allocation_coverage.py [N_WORLDS]

Worlds: E + A n^-alpha + B d^-beta with Besiroglu's constants, noise of 0.7 % (the 240 points' own) or 2 %, on
isoFLOP slices of one to three decades of n, centred on the optimum or up to a factor of 3 off it, and on a grid.
The bias is that of noiseless slices: the parabolas' exponent less the law's.
"""

from __future__ import annotations

import sys

import numpy as np

from planner.laws.allocate.allocation import Resampling, allocate
from planner.laws.allocate.cost import cost_of_formula
from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations

E, A, B, ALPHA, BETA = 1.81686, 482.01, 2085.43, 0.34781, 0.36585
COST = cost_of_formula("6*n*d", ["n", "d"])
EXPONENT = BETA / (ALPHA + BETA)


def optimum(c: np.ndarray) -> np.ndarray:
    """Closed form of Hoffmann et al., equation 4."""
    g = (ALPHA * A / (BETA * B)) ** (1 / (ALPHA + BETA))
    return g * (c / 6) ** EXPONENT


def slices(decades: float, off: float = 1.0, drift: float = 1.0) -> np.ndarray:
    """Nine budgets of nine sizes, as wide as that, centred off the optimum by a factor that may drift with the budget.

    A factor that is the same for every budget moves the parabolas' minima and no exponent; one that drifts moves both.
    """
    budgets = np.geomspace(6e18, 3e21, 9)
    off = off * np.geomspace(1 / drift, drift, 9)[:, None]
    n = optimum(budgets)[:, None] * off * np.logspace(-decades / 2, decades / 2, 9)
    return np.stack([n.ravel(), (budgets[:, None] / 6 / n).ravel()], axis=1)


def grid() -> np.ndarray:
    """Five sizes by five amounts of data."""
    n, d = np.meshgrid(np.geomspace(5e7, 5e9, 5), np.geomspace(1e9, 1e11, 5))
    return np.stack([n.ravel(), d.ravel()], axis=1)


DESIGNS = {
    "slices of a decade": slices(1.0),
    "slices of two decades": slices(2.0),
    "two decades, 3x off": slices(2.0, 3.0),
    "two decades, 3x below to 3x above": slices(2.0, 1.0, 3.0),
    "three decades, 3x below to 3x above": slices(3.0, 1.0, 3.0),
    "grid of 25": grid(),
}


def world(x: np.ndarray, sigma: float, rng: np.random.Generator) -> Observations:
    """Runs at those places with that noise in ln error."""
    loss = E + A * x[:, 0] ** -ALPHA + B * x[:, 1] ** -BETA
    return Observations(
        axes=("n", "d"), x=x, error=loss * np.exp(sigma * rng.standard_normal(len(x)))
    )


def covered(name: str, x: np.ndarray, sigma: float, n_worlds: int) -> None:
    """Shares of the worlds whose intervals hold the exponent, and their half-widths."""
    held = np.zeros(4)
    widths: list[list[float]] = [[], [], [], []]
    for seed in range(n_worlds):
        table = world(x, sigma, np.random.default_rng(seed))
        how = Resampling(bootstrap=200, draws=400, seed=seed)
        found = allocate(table, fit_law(table, law="additive"), COST, how=how)
        ends = [(a.exponents[0].low, a.exponents[0].high) for a in found.approaches]
        ends.append(
            (
                found.approaches[2].exponents[0].draws_low,
                found.approaches[2].exponents[0].draws_high,
            )
        )
        for i, (low, high) in enumerate(ends):
            if low is not None and high is not None:
                held[i] += low <= EXPONENT <= high
                widths[i].append(0.5 * (high - low))
    shares = " ".join(
        f"{word} {h / max(len(w), 1):.2f} (± {np.median(w) if w else float('nan'):.3f})"
        for word, h, w in zip(
            ("envelope", "parabolas", "law, bootstrap", "law, draws"), held, widths, strict=True
        )
    )
    print(f"{name}, noise {100 * sigma:g} %: {shares}", flush=True)


def main(n_worlds: int) -> None:
    """Coverage on every design, then the bias."""
    for name, x in DESIGNS.items():
        exact = world(x, 0.0, np.random.default_rng(0))
        law = fit_law(exact, law="additive", loss="log")
        found = allocate(exact, law, COST, how=Resampling(bootstrap=0, draws=2))
        if found.bias and found.bias[0].exponent_found is not None:
            off = found.bias[0].exponent_found - EXPONENT
            print(
                f"{name}: bias of parabolas {off:+.4f}, worst minimum {found.bias[0].worst_place:.2f}x off"
            )
    for sigma in (0.007, 0.02):
        for name, x in DESIGNS.items():
            covered(name, x, sigma, n_worlds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
