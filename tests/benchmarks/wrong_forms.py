"""Coverage four times beyond the data where no form of the set is the truth.

Run: python tests/benchmarks/wrong_forms.py [WORLDS [TRUTH...]]

Truths, each with random parameters: `coupled` (terms under a root, one that saturates), `broken` (an
exponent that changes smoothly inside the data), `odds` (a law of the odds, not of the error). The runs
are a 3 x 3 x 3 grid over a factor of 8 on each axis; the product chooses and weighs its forms.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence

import numpy as np

from planner.laws.fit_law import fit_law
from planner.laws.observations import Floats, Observations
from planner.plan.belief import Measurements, belief
from planner.words.axes import COMPUTE_AXES

LEVELS = (1.0, 2.828, 8.0)
BEYOND = 4.0
NOISE = 0.01
Truth = Callable[[Floats], Floats]


def coupled(rng: np.random.Generator) -> Truth:
    """floor + sqrt(a^2 + b^2 + a b) + c / (1 + c s)."""
    a, b, c, s = rng.uniform([0.03, 0.03, 0.03, 3.0], [0.08, 0.08, 0.08, 8.0])
    e, floor = rng.uniform(0.3, 0.8, 3), rng.uniform(0.01, 0.04)

    def truth(x: Floats) -> Floats:
        p, q, r = (k * x[:, i] ** -e[i] for i, k in enumerate((a, b, c)))
        return np.asarray(floor + np.sqrt(p * p + q * q + p * q) + r / (1 + s * r))

    return truth


def broken(rng: np.random.Generator) -> Truth:
    """floor + a x^-e (1 + (x / d)^4)^(-f / 4) + two power terms: the first steepens or flattens at d."""
    a = rng.uniform(0.03, 0.08, 3)
    e, f, d = rng.uniform(0.3, 0.6, 3), rng.uniform(-0.25, 0.4), rng.uniform(2.0, 4.0)
    floor = rng.uniform(0.01, 0.04)

    def truth(x: Floats) -> Floats:
        terms = a * x**-e
        terms[:, 0] *= (1 + (x[:, 0] / d) ** 4) ** (-f / 4)
        return np.asarray(floor + terms.sum(axis=1))

    return truth


def odds(rng: np.random.Generator) -> Truth:
    """error / (1 - error) is an additive law: the error saturates where the law says more than 1."""
    a, e, floor = rng.uniform(0.1, 0.6, 3), rng.uniform(0.4, 1.0, 3), rng.uniform(0.02, 0.06)

    def truth(x: Floats) -> Floats:
        law = floor + (a * x**-e).sum(axis=1)
        return np.asarray(law / (1 + law))

    return truth


TRUTHS: dict[str, Callable[[np.random.Generator], Truth]] = {
    "coupled": coupled,
    "broken": broken,
    "odds": odds,
}


def covered(kind: str, seed: int) -> tuple[bool, bool, float]:
    """Whether the law's interval and the planner's hold the truth, and the latter's half-width."""
    rng = np.random.default_rng([seed, 5])
    truth = TRUTHS[kind](rng)
    x = np.array(list(itertools.product(LEVELS, repeat=3)))
    error = truth(x) * np.exp(NOISE * rng.standard_normal(len(x)))
    table = Observations(axes=COMPUTE_AXES, x=x, error=error, std_error=NOISE * error)
    fit = fit_law(table)
    at = np.full((1, 3), LEVELS[-1] * BEYOND)
    value = float(truth(at)[0])
    law = fit.predict(at)
    nothing = Measurements(
        run_ids=((),), error=np.array([np.nan]), variance=np.array([np.nan]), typical=NOISE**2
    )
    ours = belief(fit, at, ["at"], nothing, 2000, seed)
    low, high = float(ours.low[0]), float(ours.high[0])
    return (
        bool(law.low[0] <= value <= law.high[0]),
        bool(low <= value <= high),
        float(np.log(high / low) / 2),
    )


def main(n: int = 60, kinds: Sequence[str] = tuple(TRUTHS)) -> None:
    """Print coverage for each truth."""
    print(f"coverage of 90 % intervals at {BEYOND:g}x on every axis, {n} worlds each, target 0.85")
    for kind in kinds:
        found = np.array([covered(kind, seed) for seed in range(n)], dtype=float)
        law, ours, width = found.mean(axis=0)
        verdict = "met" if ours >= 0.85 else "missed"
        print(
            f"{kind:10s} law {law:.3f}  planner {ours:.3f} +- {(ours * (1 - ours) / n) ** 0.5:.3f}  "
            f"half-width {100 * width:.1f} %  {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60, sys.argv[2:] or tuple(TRUTHS))
