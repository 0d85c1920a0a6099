"""A law across families: intervals of the offset, and regret beside separate laws and one pooled law.

Run: python tests/benchmarks/family_worlds.py [N_WORLDS]

Two families with 8 runs each (four sizes at two lengths), noise of 5 %. A world draws levels (spread .4), floors'
shares and exponents that differ between families by 10 %. Candidates of both families reach to twice the largest size
and to lengths of 2 to 30 s, and cost size x seconds, the second family a third of that. For budgets over the whole
range each law names the candidate of the least predicted error; regret is its true error above the best true one.
"""

from __future__ import annotations

import sys

import numpy as np

from planner.errors import FitError
from planner.laws.fit_law import fit_law
from planner.laws.groups.group_law import fit_groups
from planner.laws.observations import Floats, Observations

SIZES = np.array([[37e6, 72e6, 241e6, 763e6], [30e6, 110e6, 300e6, 608e6]])
SECONDS = np.array([4.0, 12.0])
COST = np.array([1.0, 1.0 / 3.0])
BUDGETS = np.geomspace(1e8, 3e10, 12)
NOISE = 0.05
AXES = ("n_params", "audio_seconds")
LAWS = ("partial", "separate", "pooled")


class World:
    """Two families with their true laws."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.level = np.log(0.1) + rng.normal(0.0, 0.4, 2)
        floor = 1 / (1 + np.exp(-rng.normal(-0.5, 0.5) - 0.1 * rng.standard_normal(2)))
        split = 1 / (1 + np.exp(-rng.normal(0.7, 0.5)))
        self.shares = np.array([floor, (1 - floor) * split, (1 - floor) * (1 - split)])
        self.a = np.exp(rng.normal(np.log(0.4), 0.3) + 0.1 * rng.standard_normal(2))
        self.b = np.exp(rng.normal(np.log(0.9), 0.3) + 0.1 * rng.standard_normal(2))

    def __call__(self, family: np.ndarray, x: Floats) -> Floats:
        """True mean error of rows (m, 2)."""
        n, s = x[:, 0] / 200e6, x[:, 1] / 7.0
        floor, of_n, of_s = self.shares[:, family]
        terms = floor + of_n * n ** -self.a[family] + of_s * s ** -self.b[family]
        return np.asarray(np.exp(self.level[family]) * terms)


def grid(sizes: Floats, seconds: Floats) -> tuple[np.ndarray, Floats]:
    """Families and rows of all sizes (2, k) at all lengths."""
    rows = [(f, n, s) for f in (0, 1) for n in sizes[f] for s in seconds]
    found = np.array(rows)
    return found[:, 0].astype(int), found[:, 1:]


def predictions(
    table: Observations, family: np.ndarray, to: np.ndarray, x: Floats
) -> dict[str, Floats]:
    """Errors of the candidates by each law; the group law's offset beside them."""
    law = fit_groups(table, [f"f{g}" for g in family])
    separate = np.empty(len(x))
    for f in (0, 1):
        mine = table.rows(np.flatnonzero(family == f))
        separate[to == f] = np.asarray(fit_law(mine, law="additive").predict(x[to == f]).mean)
    offset = law.offset("f1", "f0")
    return {
        "partial": law.predict([f"f{g}" for g in to], x)[0],
        "separate": separate,
        "pooled": np.asarray(fit_law(table, law="additive").predict(x).mean),
        "offset": np.log([offset.low, offset.ratio, offset.high]),
        "scales": law.scales,
    }


def world(seed: int) -> tuple[bool, Floats]:
    """Whether the offset's interval holds the truth, and the mean regret (points) of each law."""
    rng = np.random.default_rng(seed)
    truth = World(rng)
    family, x = grid(SIZES, SECONDS)
    error = truth(family, x) * np.exp(NOISE * rng.standard_normal(len(x)))
    further = np.concatenate([SIZES, 2 * SIZES[:, -1:]], axis=1)
    to, asked = grid(further, np.array([2.0, 4.0, 8.0, 12.0, 20.0, 30.0]))
    found = predictions(Observations(axes=AXES, x=x, error=error), family, to, asked)
    at = np.tile(found["scales"], (2, 1))
    zero, one = np.log(truth(np.array([0, 1]), at))
    held = bool(found["offset"][0] <= one - zero <= found["offset"][2])
    real, cost = truth(to, asked), COST[to] * asked.prod(axis=1)
    regret = np.zeros(len(LAWS))
    for budget in BUDGETS:
        within = np.flatnonzero(cost <= budget)
        best = real[within].min()
        regret += [real[within[np.argmin(found[law][within])]] - best for law in LAWS]
    return held, 100 * regret / len(BUDGETS)


def main(n_worlds: int) -> None:
    """Coverage and regrets with their standard errors."""
    held, regrets = [], []
    for seed in range(n_worlds):
        try:
            one, regret = world(seed)
        except FitError as problem:
            print(f"seed {seed}: {problem}")
            continue
        held.append(one)
        regrets.append(regret)
    mean, se = np.mean(regrets, axis=0), np.std(regrets, axis=0) / np.sqrt(len(regrets))
    print(
        f"{len(held)} worlds; offset's 90 % interval holds {np.mean(held):.3f} (target .87 to .93)"
    )
    for law, m, s in zip(LAWS, mean, se, strict=True):
        print(f"  regret {law}: {m:.3f} points, standard error {s:.3f}")
    ratios = mean[0] / mean[1:]
    print(f"  of separate laws {ratios[0]:.2f}x, of one pooled law {ratios[1]:.2f}x (target .8)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
