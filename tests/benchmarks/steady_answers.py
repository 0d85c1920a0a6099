"""How far an answer moves when the errors behind it are drawn again within their own noise.

Run: python tests/benchmarks/steady_answers.py [DRAWS [DATABASE]]

The runs of a database (the quickstart's fixture) keep their configurations; ln error of each gets noise of
the variance and correlation that its utterances give it, without the common level, which moves all alike. The
centre of each measured configuration is set against the half-width of its interval over 1.645: the target
is below half. Measured points below the drawn frontier by more than two paired standard errors are counted.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from planner.evidence.study import Evidence, gather, with_counts
from planner.laws.fit_law import fit_law
from planner.plan import candidates
from planner.plan.candidates import CandidateTable
from planner.plan.workload import Workload
from planner.store.engine import open_store, upgrade
from planner.store.read_evidence import learned_runs, scored_counts
from planner.words.question import PlanQuery

FIXTURE = Path(__file__).parents[1] / "fixtures" / "quickstart.db"
WORKLOAD = Workload(seconds=(10.0,), output_tokens=30.0, source="assumption")


def evidence_of(path: Path) -> Evidence:
    """The evidence of a database, with the counts of its utterances."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "runs.db"
        shutil.copy(path, copy)
        upgrade(str(copy))
        engine = open_store(f"sqlite:///{copy}", must_exist=True)
        evidence = gather(learned_runs(engine, "asr"), "asr")
        ids, study = [r.run_id for r in evidence.rows], evidence.study
        found = with_counts(evidence, scored_counts(engine, ids, study.split, study.metric))
        engine.dispose()
    return found


def redrawn(evidence: Evidence, rng: np.random.Generator) -> Evidence:
    """The same runs with errors drawn again within their own noise."""
    noise = evidence.observations.noise
    assert noise is not None
    own = rng.standard_normal(len(noise.own))
    if noise.pairs is not None:
        own = np.linalg.cholesky(noise.pairs) @ own
    factor = np.exp(np.sqrt(noise.own) * own)
    error = np.minimum(evidence.observations.error * factor, 0.99)
    rows = tuple(
        r._replace(error=float(e))
        if hasattr(r, "_replace")
        else dataclasses.replace(r, error=float(e))
        for r, e in zip(evidence.rows, error, strict=True)
    )
    observations = dataclasses.replace(evidence.observations, error=error)
    return dataclasses.replace(evidence, rows=rows, observations=observations)


def table_of(evidence: Evidence) -> tuple[CandidateTable, dict[str, float]]:
    """The measured configurations as the product believes them, and the weights of the forms."""
    fit = fit_law(evidence.observations)
    query = PlanQuery(task="asr", flops=1e18, measured_only=True)
    table = candidates.build(query, evidence, fit, WORKLOAD, None)
    return table, {f.law: f.weight for f in fit.forms if f.weight > 0}


def below_the_frontier(evidence: Evidence, table: CandidateTable) -> float:
    """Share of measured points that lie below the frontier's expectation by two paired deviations."""
    noise = evidence.observations.noise
    assert noise is not None
    flops, out = table.costs["flops"].value, []
    for j in range(len(table)):
        cheaper = np.flatnonzero(flops <= flops[j])
        best = cheaper[table.error[cheaper].argmin()]
        gap = np.log(table.error[best] / table.measured_error[j])
        out.append(gap > 2 * np.sqrt(2 * np.median(noise.own)))
    return float(np.mean(out))


def main(n: int = 200, path: Path = FIXTURE) -> None:
    """Print how far centres move, in standard errors, and what lies below the frontier."""
    rng = np.random.default_rng(0)
    evidence = evidence_of(path)
    first, weights = table_of(evidence)
    print("forms", {k: round(v, 2) for k, v in weights.items()})
    sd = np.log(first.error_high / first.error_low) / (2 * 1.645)
    moved, below = [], []
    for _ in range(n):
        again = redrawn(evidence, rng)
        table, _ = table_of(again)
        place = [first.configs.index(c) for c in table.configs]
        moved.append(np.log(table.error / first.error[place]) / sd[place])
        below.append(below_the_frontier(again, table))
    size = np.abs(np.array(moved))
    print(
        f"{n} draws, {len(first)} configurations: centres move {np.sqrt((size**2).mean()):.2f} standard errors "
        f"(root mean square), median {np.median(size):.2f}, 90 % below {np.quantile(size, 0.9):.2f}; "
        f"below the frontier {np.mean(below):.3f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, *(Path(a) for a in sys.argv[2:3]))
