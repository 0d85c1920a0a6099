"""Quality of fits: objectives, recovery, extrapolation and flags, each beside its reference.

Run: python tests/benchmarks/fit_quality.py [PYTHON_WITH_PEERS]

The optional argument is an interpreter of another environment with `simple-scaling-laws` of PyPI (0.2.0): the costliest
15 % of the rows of public tables are then foretold from the others by it, by scipy's least squares and by us.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import fit_data
import numpy as np
from scipy.optimize import curve_fit

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations
from planner.laws.table import predictions
from planner.laws.table_law import fit

CHINCHILLA = {
    (False, "huber:1e-3"): 1.0182740178006e-3,
    (False, "log"): 5.730943495849324e-3,
    (False, "huber:1e-6"): 1.129452120007787e-6,
    (True, "huber:1e-3"): 1.826010523069335e-3,
    (True, "log"): 3.549521578931482e-2,
    (True, "huber:1e-6"): 1.9398009281052146e-6,
}
GEMSTONES = {
    ("hot", 2): 2.0750516e-4,
    ("hot", 3): 1.3853801e-4,
    ("hot", 4): 1.1141139e-4,
    ("hot_100b+", 2): 6.9232891e-4,
    ("hot_100b+", 4): 2.9480528e-4,
}
"""Best objectives known; all digits that are stated."""
PUBLISHED = {("hot", 2): 2.076018e-4, ("hot", 4): 1.11878e-4, ("hot_100b+", 4): 2.949708e-4}

SCALEBENCH = {
    "data_constrained_scaling_law": (("unique_tokens", "params", "tokens"), "loss", 0.911, 0.96),
    "vocab_scaling_law": (
        ("non_vocab_parameters", "vocab_size", "num_characters"),
        "unigram_normalized_loss",
        0.966,
        0.98,
    ),
}
"""Axes, error, the human experts' R2, and the target."""


def objectives() -> None:
    """Objective of each reference fit against the best known."""
    print("\nobjective (sum over rows)        ours              best known        excess")
    for (raw, loss), known in CHINCHILLA.items():
        found_law = fit_law(fit_data.chinchilla(raw=raw), law="additive", loss=loss)
        name = f"chinchilla {'245' if raw else '240'} {loss}"
        print(
            f"{name:32s} {found_law.objective:.12e} {known:.12e} {found_law.objective / known - 1:+.1e}"
        )
    for (table, k), known in GEMSTONES.items():
        found_law = fit_law(fit_data.gemstones(table, k), law="additive", loss="huber:1e-4")
        name = f"gemstones {table} {k} terms"
        more = f"  published {PUBLISHED[table, k]:.6e}" if (table, k) in PUBLISHED else ""
        line = f"{name:32s} {found_law.objective:.12e} {known:.12e} {found_law.objective / known - 1:+.1e}"
        print(line + more)


def recovery(n: int = 500) -> None:
    """Noise-free random laws on one to three axes: the largest relative error of a parameter."""
    found, worst = 0, 0.0
    for seed in range(n):
        rng = np.random.default_rng(seed)
        k = 1 + seed % 3
        x = np.exp(rng.uniform(0, 5, (12 * k, k))) * 10 ** rng.uniform(-3, 9, k)
        amplitude, alpha = np.exp(rng.normal(0, 0.7, k)), rng.uniform(0.15, 1.2, k)
        scale = np.exp(np.log(x).mean(0))
        error = np.exp(rng.normal()) + (amplitude * (x / scale) ** -alpha).sum(1)
        axes = tuple("abc"[:k])
        found_law = fit_law(Observations(axes=axes, x=x, error=error), law="additive")
        got = np.array([p.value for p in found_law.parameters if p.kind == "exponent"])
        off = float(np.abs(got / alpha - 1).max()) if len(got) == k else np.inf
        found, worst = found + (off <= 1e-6), max(worst, off)
    print(f"\nnoise-free recovery to 1e-6: {found} of {n}, worst {worst:.1e} (target {n} of {n})")


def extrapolation() -> None:
    """R2 on ScaleBench's held-out rows from the training table alone."""
    print("\nScaleBench, train-only selection   ours   human   target   seconds")
    for task, (axes, error, human, target) in SCALEBENCH.items():
        train = fit_data.columns(f"scalebench/{task}.train.csv")
        test = fit_data.columns(f"scalebench/{task}.test.csv")
        for loss in ("auto", "log"):
            start = time.perf_counter()
            law = fit(train, axes=axes, error=error, loss=loss).law
            seconds = time.perf_counter() - start
            predicted = np.array([row["mean"] for row in predictions(law, test)])
            measured = np.array(test[error], dtype=float)
            r2 = 1 - ((predicted - measured) ** 2).mean() / measured.var()
            name = f"{task.split('_scaling')[0]} {loss}"
            print(f"{name:32s} {r2:.4f}  {human:.3f}   {target:.2f}     {seconds:.1f}  {law.law}")


def flags() -> None:
    """Statuses and warnings where they must and must not stand."""
    print("\nflags")
    for raw in (False, True):
        found_law = fit_law(fit_data.chinchilla(raw=raw), law="additive", loss="huber:1e-3")
        _show(
            f"chinchilla {'245 raw' if raw else '240 clean'}", found_law.status, found_law.warnings
        )
    for name in ("hot", "hot_100b+"):
        found_law = fit_law(fit_data.gemstones(name, 3), law="additive", loss="huber:1e-4")
        _show(f"gemstones {name} 3 terms", found_law.status, found_law.warnings)
    table = fit_data.columns("llava_tokens_n_v/runs.csv")
    for task in ("general_avg9", "ocr_avg"):
        rows = [i for i, name in enumerate(table["task"]) if name == task]
        columns = {key: [values[i] for i in rows] for key, values in table.items()}
        error = [1 - float(value) for value in columns["accuracy"]]
        made = fit(
            {**columns, "error": error},
            axes=("n_params_b", "visual_tokens"),
            error="error",
            law="multiplicative",
        ).law
        _show(f"llava {task}", made.status, made.warnings)


def _show(name: str, status: str, warnings: tuple) -> None:
    codes = sorted({warning.code for warning in warnings})
    print(f"  {name:30s} {status:22s} {', '.join(codes) or '-'}")


KEPT_BACK = 0.15
"""Share of the rows, costliest first, that no fit sees."""


def against_peers(python: str) -> None:
    """Mean relative error and share of 90 % intervals that hold, on the costliest rows of public tables."""
    print(
        "\nkept back: the costliest 15 %     who                    error %   90 % held   seconds"
    )
    tables = {"chinchilla 240": fit_data.chinchilla()}
    for name in ("hot", "cool_end", "hot_100b+"):
        tables[f"gemstones {name}"] = fit_data.gemstones(name, 2)
    for name, table in tables.items():
        rank = np.argsort(np.argsort(table.x.prod(axis=1), kind="stable"), kind="stable")
        seen = rank < round((1 - KEPT_BACK) * len(table))
        train, test = table.rows(seen), table.rows(~seen)
        for who, (foretold, low, high, seconds) in {
            "ours, auto": _ours(train, test, "auto"),
            "ours, additive": _ours(train, test, "additive"),
            "simple-scaling-laws": _peers(python, train, test),
            "scipy curve_fit": _by_scipy(train, test),
        }.items():
            error = 100 * np.abs(foretold / test.error - 1).mean()
            held = f"{np.mean((low <= test.error) & (test.error <= high)):.2f}" if len(low) else "-"
            print(f"{name:32s} {who:22s} {error:7.3f}   {held:>9s}   {seconds:7.2f}", flush=True)


Foretold = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def _ours(train: Observations, test: Observations, law: str) -> Foretold:
    start = time.perf_counter()
    found = fit_law(train, law=law)
    seconds = time.perf_counter() - start
    band = found.predict(test.x, kind="new-run")
    return band.mean, band.low, band.high, seconds


def _peers(python: str, train: Observations, test: Observations) -> Foretold:
    told = {"train": [*train.x.T.tolist(), train.error.tolist()], "test": test.x.T.tolist()}
    script = str(Path(__file__).with_name("fit_rival_ssl.py"))
    apart = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, script],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=True,
        env=apart,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return *(np.array(found[end]) for end in ("mean", "low", "high")), found["seconds"]


def _by_scipy(train: Observations, test: Observations) -> Foretold:
    """E + A n^-a + B d^-b by least squares of logarithms, from Hoffmann's own values."""
    scale = np.exp(np.log(train.x).mean(axis=0))

    def log_mean(
        x: np.ndarray, e: float, a: float, alpha: float, b: float, beta: float
    ) -> np.ndarray:
        z = np.log(x / scale)
        return np.logaddexp.reduce([np.full(len(x), e), a - alpha * z[:, 0], b - beta * z[:, 1]])

    start = time.perf_counter()
    first = [np.log(0.7 * train.error.min()), -1.5, 0.34, -1.5, 0.28]
    found, _ = curve_fit(log_mean, train.x, np.log(train.error), first, maxfev=20000)
    seconds = time.perf_counter() - start
    none = np.empty(0)
    return np.exp(log_mean(test.x, *found)), none, none, seconds


if __name__ == "__main__":
    recovery()
    if fit_data.available():
        objectives()
        extrapolation()
        flags()
        if len(sys.argv) > 1:
            against_peers(sys.argv[1])
