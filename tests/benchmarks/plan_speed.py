"""Speed of the planner: decisions on large tables, and a cold `soundscale plan` on a large database.

Run: python tests/benchmarks/plan_speed.py [RUNS]

Warm means what the service keeps between questions: the table of candidates with its joint draws; the
question is then decided under new limits. Building the table (law, belief, draws) is timed beside it.
Cold is a new process on a SQLite file with RUNS (10,000) finished runs whose law is stored.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from simulated import DEVICE, WORKLOAD, Study, all_configs, latency_of, run_of, sweep, world

from planner.laws.fit_law import fit_law
from planner.laws.result import LawFit
from planner.plan.belief import Measurements, belief
from planner.plan.candidates import CandidateTable
from planner.plan.choice import decide
from planner.plan.configurations import Config
from planner.plan.cost import Cost
from planner.store import write
from planner.store.engine import open_store
from planner.words.records import Adaptation, Evaluation, Reduction, RunRecord

N_DRAWS = 1000


def timed(function: Callable[[], object], n: int = 11) -> tuple[float, float]:
    """Median and least seconds of n calls, after one that warms up."""
    function()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times)), min(times)


def line(name: str, median: float, least: float, target: float | None, reference: str) -> None:
    """One row: ours, the reference, the ratio to the target, the noise floor, the verdict."""
    noise = f"{100 * (median / least - 1):.0f} %"
    if target is None:
        wanted, verdict = "-", ""
    else:
        wanted = f"{1e3 * target:.0f} ({median / target:.2f})"
        verdict = "met" if median <= target else "missed"
    print(
        f"{name:44s} {1e3 * median:9.1f} {1e3 * least:9.1f}  {noise:>6s}  {wanted:>12s}  {verdict:7s}{reference}",
        flush=True,
    )


def table_of(fit: LawFit, shape: tuple[int, int, int]) -> CandidateTable:
    """A full grid of candidates: sizes x windows x reductions, a tenth of them run before."""
    sizes = np.geomspace(3e7, 1.5e9, shape[0])
    seconds = np.linspace(2.0, 30.0, shape[1])
    points = list(itertools.product(range(shape[0]), range(shape[1]), range(1, shape[2] + 1)))
    configs = tuple(
        Config(
            backbone=f"size-{i}", audio_seconds=float(seconds[j]),
            reduction=Reduction.parse("none" if k == 1 else f"stem:{k}"),
            adaptation=Adaptation.parse("lora:8"),
        )
        for i, j, k in points
    )  # fmt: skip
    x = np.array([[sizes[i], seconds[j], 50.0 / k] for i, j, k in points])
    m, rng = len(points), np.random.default_rng(0)
    ran = np.arange(m) % 10 == 0
    error = np.where(ran, fit.predict(x).mean * np.exp(0.02 * rng.standard_normal(m)), np.nan)
    runs = Measurements(
        run_ids=tuple((j,) if ran[j] else () for j in range(m)), error=error,
        variance=np.where(ran, 1e-4, np.nan), typical=1e-4,
    )  # fmt: skip
    found = belief(fit, x, [c.label for c in configs], runs, N_DRAWS, 0)
    flops = 2 * x[:, 0] * x[:, 1] * x[:, 2]
    latency = 20 + flops**0.8 / 1e7 * np.exp(0.1 * rng.standard_normal(m))
    return CandidateTable(
        configs=configs, error=found.error, error_low=found.low, error_high=found.high,
        draws=found.draws, run_ids=runs.run_ids, measured_error=error,
        distance=fit.distance(x).max(axis=1), n_windows=np.ones(m),
        costs={
            "flops": Cost.exact("flops", flops, "exact/1"),
            "memory_bytes": Cost.exact("memory_bytes", 8 * x[:, 0], "closed form"),
            "latency_ms": Cost(
                name="latency_ms", value=latency, low=latency / 1.2, high=latency * 1.2,
                source=("interpolated",) * m,
            ),
        },
    )  # fmt: skip


def decisions() -> None:
    """Questions on kept tables of 12,000 and of 100,000 candidates."""
    made = world(5)
    study = Study.start(made, 5, sweep(5, 24))
    fit = fit_law(study.evidence().observations, law="additive")
    for shape, n_budgets, target in (((40, 25, 12), 1, 0.15), ((100, 50, 20), 5, 1.0)):
        start = time.perf_counter()
        table = table_of(fit, shape)
        built = time.perf_counter() - start
        m = len(table)
        shares = np.quantile(table.costs["flops"].value, np.linspace(0.3, 0.9, n_budgets))
        limits = {
            "latency_ms": float(np.median(table.costs["latency_ms"].value)),
            "memory_bytes": 8e9,
        }

        def ask(
            table: CandidateTable = table, shares: np.ndarray = shares, limits: dict = limits
        ) -> object:
            return [decide(table, {**limits, "flops": float(b)}, 0.9) for b in shares]

        name = f"{m:,} x {N_DRAWS:,} x {n_budgets} budgets"
        line(f"{name}, decided", *timed(ask), target, "")
        line(f"{name}, table built", built, built, None, "once for each state of the evidence")


def database(path: Path, n: int) -> None:
    """A SQLite file with n finished runs of 80 configurations, and 80 latencies."""
    made, rng = world(5), np.random.default_rng(0)
    m = len(all_configs())
    rows = []
    for i in range(n):
        run = run_of(made, i % m, i + 1, rng)
        record = RunRecord(
            status="finished", train_seconds=run.train_seconds, device=DEVICE,
            evaluations=(
                Evaluation(split="test", metric="wer", error=run.error, std_error=run.std_error),
            ),
            latencies=(latency_of(made, i % m, rng),) if i < m else (),
        )  # fmt: skip
        rows.append(
            write.ImportedRun(
                trial=run.trial, record=record, source="simulated", source_kind="simulated"
            )
        )
    engine = open_store(str(path))
    write.import_runs(engine, rows, "imported")
    engine.dispose()


def cold(n: int) -> None:
    """`soundscale plan` in a new process, the law stored by a first one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        database(path, n)
        command = [
            sys.executable, "-m", "planner.cli.main", "plan", "--task", "asr", "--flops", "200G",
            "--latency", "2s", "--db", str(path),
        ]  # fmt: skip

        def ask() -> None:
            subprocess.run(command, check=True, capture_output=True)

        line(f"soundscale plan, cold, {n:,} runs", *timed(ask, 7), 1.0, "")
        bare = [sys.executable, "-c", "import numpy, sqlalchemy, click"]
        line(
            "  of which: numpy, sqlalchemy and click",
            *timed(lambda: subprocess.run(bare, check=True), 5), None, "the floor of any such command",
        )  # fmt: skip


def main() -> None:
    """Print the table."""
    assert WORKLOAD.seconds
    print(
        f"{'what':44s} {'median ms':>9s} {'least ms':>9s}  {'noise':>6s}  {'target':>12s}  verdict"
    )
    decisions()
    cold(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)


if __name__ == "__main__":
    main()
