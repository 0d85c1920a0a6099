"""Groups that borrow: how often their intervals hold the truth, and how wide they are beside fits of each group alone.

Run: python tests/benchmarks/group_coverage.py [N_WORLDS] [WORDS_OF_SCENES]

Worlds of groups E_g + A_g n^-alpha_g: levels differ by e^.7, floors' shares by .8 in log odds, exponents by a share.
All groups are measured at 39 M, 244 M and 1.5 B but the first fifth, which lacks the largest. Asked are each group's
mean inside, at twice and ten times the largest size, the fifth's missing size, and a new group. With the word error
rates of English recognisers in tests/fixtures/real_tables each test set's largest model is foretold from the others.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from planner.errors import FitError
from planner.laws.fit_law import fit_law
from planner.laws.groups.group_law import fit_groups
from planner.laws.observations import Observations

SIZES = np.array([39e6, 244e6, 1.5e9])
SCENES = {
    "50 groups, exponents within 20 %, noise 5 %": (50, 0.2, 0.05),
    "50 groups, exponents within 5 %, noise 2 %": (50, 0.05, 0.02),
    "50 groups, exponents within 40 %, noise 10 %": (50, 0.4, 0.1),
    "10 groups, exponents within 20 %, noise 5 %": (10, 0.2, 0.05),
}
Found = dict[str, list[tuple[float, float]]]


class World:
    """Groups with their true laws."""

    def __init__(self, n_groups: int, spread: float, rng: np.random.Generator) -> None:
        self.level = rng.normal(np.log(0.12), 0.7, n_groups)
        self.floor = 1 / (1 + np.exp(-rng.normal(0, 0.8, n_groups)))
        self.exponent = np.exp(rng.normal(np.log(0.5), spread, n_groups))

    def __call__(self, group: np.ndarray, n: np.ndarray) -> np.ndarray:
        """True mean error."""
        rest = (1 - self.floor[group]) * (n / 244e6) ** -self.exponent[group]
        return np.asarray(np.exp(self.level[group]) * (self.floor[group] + rest))


def judged(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Share held, and median half-width in logarithms."""
    return float(np.mean((low <= truth) & (truth <= high))), float(
        np.median(np.log(high / low) / 2)
    )


def scene(n_groups: int, spread: float, sigma: float, seed: int, found: Found) -> None:
    """One world: fit, ask, and fit some groups alone."""
    rng = np.random.default_rng(seed)
    world = World(n_groups, spread, rng)
    few = n_groups // 5
    group = np.repeat(np.arange(n_groups), 3)
    n = np.tile(SIZES, n_groups)
    error = world(group, n) * np.exp(sigma * rng.standard_normal(len(n)))
    keep = (group >= few) | (n < SIZES[2])
    table = Observations(axes=("n",), x=n[keep][:, None], error=error[keep])
    law = fit_groups(table, [str(g) for g in group[keep]], seed=seed)
    for name, size, groups in (
        ("inside", 6e8, range(few, n_groups)),
        ("2x beyond", 3e9, range(few, n_groups)),
        ("10x beyond", 15e9, range(few, n_groups)),
        ("two points, 6x beyond", SIZES[2], range(few)),
    ):
        asked = np.array(list(groups))
        at = np.full(len(asked), size)
        _, low, high = law.predict([str(g) for g in asked], at[:, None])
        found[name].append(judged(world(asked, at), low, high))
    new = World(400, spread, rng)
    _, low, high = law.predict([None], SIZES[2:, None])
    found["new group"].append(judged(new(np.arange(400), np.full(400, SIZES[2])), low, high))
    for g in range(few, few + 3):
        mine = group == g
        alone = fit_law(Observations(axes=("n",), x=n[mine][:, None], error=error[mine]))
        band = alone.predict([[3e9]])
        found["alone, 2x beyond"].append(
            judged(world(np.array([g]), np.array([3e9])), band.low, band.high)
        )


def recognisers() -> None:
    """Curves of English recognisers by set, family and form: the largest foretold from the three smallest."""
    path = Path(__file__).parents[1] / "fixtures" / "real_tables" / "english_asr.csv"
    rows = list(csv.DictReader(path.open()))
    label = np.array([f"{r['form']} {r['family']} {r['set']}" for r in rows])
    n = np.array([float(r["params_millions"]) for r in rows])
    error = np.array([float(r["wer_percent"]) for r in rows]) / 100
    curves = list(dict.fromkeys(label.tolist()))
    few = np.zeros(len(rows), dtype=bool)
    last = []
    for curve in curves:
        mine = np.flatnonzero(label == curve)
        by_size = mine[np.argsort(n[mine], kind="stable")]
        few[by_size[:3]] = True
        last.append(by_size[-1])
    law = fit_groups(
        Observations(axes=("n",), x=n[few][:, None], error=error[few]), label[few].tolist()
    )
    _, low, high = law.predict(curves, n[last][:, None], "new-run")
    alone = []
    for curve, place in zip(curves, last, strict=True):
        mine = few & (label == curve)
        one = fit_law(Observations(axes=("n",), x=n[mine][:, None], error=error[mine]))
        band = one.predict([[n[place]]], kind="new-run")
        alone.append((float(band.low[0]), float(band.high[0])))
    print(
        f"{len(curves)} curves of recognisers, the largest model's error from the three smallest:"
    )
    for name, ends in (("borrowing", np.array([low, high]).T), ("alone", np.array(alone))):
        held, width = judged(error[last], ends[:, 0], ends[:, 1])
        print(f"  {name}: held {held:.3f}, half-width {100 * np.expm1(width):.0f} %", flush=True)


def main(n_worlds: int, words: str) -> None:
    """The recognisers, then the scenes whose name begins with those words; each share with its error over worlds."""
    if not words:
        recognisers()
    for name, (n_groups, spread, sigma) in SCENES.items():
        if not name.startswith(words):
            continue
        found: Found = defaultdict(list)
        for seed in range(n_worlds):
            try:
                scene(n_groups, spread, sigma, seed, found)
            except FitError as problem:
                print(f"seed {seed}: {problem}")
        print(name)
        for what, both in found.items():
            shares, width = [b[0] for b in both], np.median([b[1] for b in both])
            error = np.std(shares, ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else np.nan
            print(
                f"  {what}: held {np.mean(shares):.3f} +- {error:.3f}, half-width {100 * np.expm1(width):.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40, " ".join(sys.argv[2:]))
