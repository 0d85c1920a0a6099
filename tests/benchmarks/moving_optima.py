"""Best values that move: how often their intervals hold them, and how well such laws foretell larger models.

Run: python tests/benchmarks/moving_optima.py [N_WORLDS] [TRAIN.csv TEST.csv]

Worlds of learning rate x batch x size x data with known best places and noise of .3 %: coverage of 90 % intervals of
the best learning rate inside the sizes and at four times the largest, and of its powers. Tables, where two are given
with the columns lr, batch, n, d and loss, are fitted on the first and foretold on the second: R2 of each form and of
`auto`, which sees the first alone.
"""

from __future__ import annotations

import csv
import itertools
import sys
from pathlib import Path

import numpy as np

from planner.laws.best import best_values
from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations

AXES = ("lr", "batch", "n", "d")
GRID = np.array(
    list(itertools.product(np.geomspace(1e-4, 1e-2, 5), (32, 128, 512), (5e7, 2e8, 1e9), (2e9, 2e10, 2e11)))
)  # fmt: skip
FORMS = (
    "additive", "multiplicative", "valley:lr+batch", "optimum:lr+batch", "optimum-skew:lr+batch", "auto",
)  # fmt: skip


def world(
    rng: np.random.Generator, sigma: float
) -> tuple[Observations, tuple[float, float, float]]:
    """A table, and ln best lr at 2e8, its power of n and of the batch."""
    place = np.log(1e-3) + 0.5 * rng.standard_normal()
    by_n, by_batch, skew = rng.uniform(-0.6, 0.0), rng.uniform(0.0, 0.6), rng.uniform(0.1, 0.6)
    lr, batch, n, d = np.log(GRID).T
    u = lr - place - by_n * (n - np.log(2e8)) - by_batch * (batch - np.log(128))
    v = batch - np.log(128) - 0.3 * (d - np.log(2e10))
    base = 1.7 + 0.6 * np.exp(-0.3 * (n - np.log(2e8))) + 0.5 * np.exp(-0.3 * (d - np.log(2e10)))
    bowl = 2 * (np.exp(skew * u) - 1 - skew * u) / skew**2
    loss = base * np.exp(0.02 * bowl + 0.01 * v**2 + sigma * rng.standard_normal(len(GRID)))
    return Observations(axes=AXES, x=GRID, error=loss), (place, by_n, by_batch)


def covered(law: str, n_worlds: int, sigma: float = 0.003) -> None:
    """Shares of the worlds whose intervals hold the best learning rate and its powers."""
    held = np.zeros(4)
    for seed in range(n_worlds):
        table, (place, by_n, by_batch) = world(np.random.default_rng(seed), sigma)
        fit = fit_law(table, law=law, loss="log")
        for i, n in enumerate((2e8, 4e9)):
            best = best_values(fit, [[1.0, 128.0, n, 2e10]])[0]
            truth = np.exp(place + by_n * np.log(n / 2e8))
            held[i] += best.low[0] <= truth <= best.high[0]
        found = {p.name: p for p in fit.parameters}
        for i, (name, truth) in enumerate((("best_lr_by_n", by_n), ("best_lr_by_batch", by_batch))):
            low, high = found[name].low, found[name].high
            held[2 + i] += low is not None and high is not None and low <= truth <= high
    words = ("best lr inside", "at 4x the largest", "power of n", "power of batch")
    print(
        law,
        " ".join(f"{w} {h / n_worlds:.3f}" for w, h in zip(words, held, strict=True)),
        flush=True,
    )


def foretold(train: str, test: str) -> None:
    """R2 of every form on the second table, fitted to the first."""
    tables = []
    for path in (train, test):
        with Path(path).open() as file:
            rows = list(csv.DictReader(file))
        x = np.array([[float(row[axis]) for axis in AXES] for row in rows])
        tables.append((x, np.array([float(row["loss"]) for row in rows])))
    (x, y), (next_x, next_y) = tables
    for law in FORMS:
        fit = fit_law(Observations(axes=AXES, x=x, error=y), law=law, loss="auto")
        band = fit.predict(next_x, kind="new-run")
        r2 = 1 - ((band.mean - next_y) ** 2).sum() / ((next_y - next_y.mean()) ** 2).sum()
        held = np.mean((band.low <= next_y) & (next_y <= band.high))
        off = np.mean(np.abs(band.mean / next_y - 1))
        print(
            f"{law} ({fit.law}): R2 {r2:.4f}, mean relative error {100 * off:.2f} %, 90 % held {held:.3f}",
            flush=True,
        )


def main(n_worlds: int, tables: list[str]) -> None:
    """The tables, then the worlds."""
    if tables:
        foretold(*tables)
    for law in ("optimum:lr+batch", "optimum-skew:lr+batch"):
        covered(law, n_worlds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2:])
