"""Speed of fits: ours, the reference's and the ratio in one run.

Run: python tests/benchmarks/fit_speed.py [PYTHON_WITH_CHINCHILLA]

The optional argument is an interpreter of another environment with the `chinchilla` package of PyPI
(0.2.0): its README grid runs for minutes. Times are the median and the least of several fits.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fit_data
import numpy as np

from planner.laws.fit_law import fit_law
from planner.laws.forms.registry import build_form
from planner.laws.observations import Observations
from planner.laws.one_form import Setting, fit_form, scaled_rows
from planner.laws.solver.estimate import estimate
from planner.laws.solver.losses import Loss
from planner.laws.uncertainty.bootstrap import bootstrap


def timed(function: Callable[[], object], n: int = 15) -> tuple[float, float]:
    """Median and least seconds of n calls, after one that warms up."""
    function()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times)), min(times)


def line(name: str, median: float, least: float, target: float, more: str = "") -> None:
    """One row of the table."""
    print(
        f"{name:52s} {1e3 * median:9.1f} {1e3 * least:9.1f} {1e3 * target:9.0f}  {more}", flush=True
    )


def point_estimates() -> None:
    """Chinchilla's 240 points and Gemstones' four terms: the estimate alone."""
    cases = [
        ("chinchilla 240, Huber 1e-3", fit_data.chinchilla(), 1e-3, 0.015),
        ("gemstones hot, 4 terms, Huber 1e-4", fit_data.gemstones("hot", 4), 1e-4, 0.5),
        ("gemstones hot_100b+, 4 terms", fit_data.gemstones("hot_100b+", 4), 1e-4, 0.5),
    ]
    for name, table, delta, target in cases:
        form = build_form("additive", dict.fromkeys(table.axes, "power"))
        rows, _ = scaled_rows(table, form, Setting().link)
        found = estimate(form, rows, Loss(delta=delta))
        times = timed(lambda form=form, rows=rows, d=delta: estimate(form, rows, Loss(delta=d)))
        line(name, *times, target, f"objective {found.objective:.10e}")


def whole_fits() -> None:
    """fit_law with intervals, warnings and statuses."""
    x = np.array(list(itertools.product((1.0, 2.0, 4.0, 8.0), repeat=3)))
    noise = np.random.default_rng(0).standard_normal(len(x))
    truth = 1.7 + 2 * x[:, 0] ** -0.35 + 1.2 * x[:, 1] ** -0.45 + 0.8 * x[:, 2] ** -0.55
    table = Observations(axes=("a", "b", "c"), x=x, error=truth * np.exp(0.01 * noise))
    line("3 axes, n=64: fit and intervals", *timed(lambda: fit_law(table, law="additive")), 0.05)
    times = timed(lambda: fit_law(table), 3)
    line("3 axes, n=64: 16 forms tried and weighed", *times, np.nan)


def resampling() -> None:
    """1,000 replicates, each with a global second start."""
    x = np.array(list(itertools.product((1.0, 2.0, 4.0, 8.0), repeat=3)))
    x = np.concatenate([x, x[:36]])
    noise = np.random.default_rng(0).standard_normal(len(x))
    truth = 1.7 + 2 * x[:, 0] ** -0.35 + 1.2 * x[:, 1] ** -0.45 + 0.8 * x[:, 2] ** -0.55
    three = Observations(axes=("a", "b", "c"), x=x, error=truth * np.exp(0.01 * noise))
    for name, table, loss, target in (
        ("bootstrap 1,000, 2 axes n=240, Huber 1e-3", fit_data.chinchilla(), "huber:1e-3", 1.0),
        ("bootstrap 1,000, 2 axes n=240, least squares", fit_data.chinchilla(), "log", 1.0),
        ("bootstrap 1,000, 3 axes n=100, Huber 1e-3", three, "huber:1e-3", 3.0),
        ("bootstrap 1,000, 3 axes n=100, least squares", three, "log", 3.0),
        (
            "bootstrap 1,000, raw 245, Huber 1e-3",
            fit_data.chinchilla(raw=True),
            "huber:1e-3",
            np.nan,
        ),
    ):
        fitted = fit_form(table, "additive", Setting(loss=loss))

        def run(fitted=fitted):
            return bootstrap(
                fitted.estimate, fitted.rows, None, fitted.scales, n=1000, level=0.9, seed=0
            )

        found = run()
        line(name, *timed(run, 3), target, f"second start wins {found.second_start_wins}")


def against_chinchilla(python: str) -> None:
    """The `chinchilla` package on its README grid, in its own environment."""
    table = fit_data.chinchilla()
    payload = json.dumps([table.x[:, 0].tolist(), table.x[:, 1].tolist(), table.error.tolist()])
    script = str(Path(__file__).with_name("fit_rival_chinchilla.py"))
    done = subprocess.run(
        [python, script], input=payload, capture_output=True, text=True, check=True
    )
    rival = json.loads(done.stdout.splitlines()[-1])
    form = build_form("additive", dict.fromkeys(table.axes, "power"))
    rows, _ = scaled_rows(table, form, Setting().link)
    ours = estimate(form, rows, Loss(delta=1e-3))
    median, _ = timed(lambda: estimate(form, rows, Loss(delta=1e-3)))
    print(
        f"chinchilla 0.2.0, README grid of {rival['n_starts']} starts: {rival['seconds']:.1f} s, "
        f"objective {rival['objective']:.10e}; ours {1e3 * median:.1f} ms, {ours.objective:.10e}; "
        f"{rival['seconds'] / median:,.0f} times faster, objective ratio "
        f"{ours.objective / rival['objective']:.9f}"
    )


if __name__ == "__main__":
    print(f"{'what':52s} {'median ms':>9s} {'least ms':>9s} {'target':>9s}")
    whole_fits()
    if fit_data.available():
        point_estimates()
        resampling()
        if len(sys.argv) > 1:
            against_chinchilla(sys.argv[1])
