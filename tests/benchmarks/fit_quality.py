"""Quality of fits: objectives, recovery, extrapolation and flags, each beside its reference.

Run: python tests/benchmarks/fit_quality.py
"""

from __future__ import annotations

import time

import fit_data
import numpy as np

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


if __name__ == "__main__":
    recovery()
    if fit_data.available():
        objectives()
        extrapolation()
        flags()
