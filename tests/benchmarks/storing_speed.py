"""Storing a finished run: ours against the same rows through bare sqlite3, at equal durability.

Run: python tests/benchmarks/storing_speed.py [--runs 40] [--db FILE]

A run has 400 metric points and 2,000 utterances. The reference writes the same values with
executemany into tables of the same columns and primary keys, without the token's check, without
foreign keys and without checks; both commit once a run with `synchronous = FULL` on files beside each
other, in turn. The figure is the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.store import claims, schema  # noqa: E402
from planner.store.engine import open_store  # noqa: E402
from planner.words.records import RunRecord, Step  # noqa: E402
from tests.store.samples import LEASE, WORKER, claim_any, finished, sweep_of  # noqa: E402

N_STEPS, N_UTTERANCES, TARGET = 400, 2_000, 0.6
TABLES = (schema.utterances, schema.run_steps)


def record() -> RunRecord:
    """A finished run of the size that is asked for."""
    steps = tuple(
        Step(step=i, loss=2.0 / i, grad_norm=1.0, learning_rate=1e-3, seconds=0.1 * i)
        for i in range(1, N_STEPS + 1)
    )
    return finished(n_utterances=N_UTTERANCES, steps=steps)


def bare_store(path: Path) -> sqlite3.Connection:
    """The same columns and keys, nothing else."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for table in TABLES:
        names = ", ".join(c.name for c in table.columns)
        key = ", ".join(c.name for c in table.primary_key.columns)
        connection.execute(
            f"CREATE TABLE {table.name} ({names}, PRIMARY KEY ({key})) WITHOUT ROWID"
        )
    return connection


def bare_rows(run: RunRecord, number: int) -> dict[str, list[tuple[Any, ...]]]:
    """The rows as plain tuples, made before the clock starts."""
    names = [c.name for c in schema.utterances.columns][1:]
    (evaluation,) = run.evaluations
    return {
        "utterances": [
            (number, *(getattr(u, name) for name in names)) for u in evaluation.utterances
        ],
        "run_steps": [
            (number, s.step, s.loss, s.grad_norm, s.learning_rate, s.seconds) for s in run.steps
        ],
    }


def store_bare(connection: sqlite3.Connection, rows: dict[str, list[tuple[Any, ...]]]) -> float:
    began = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    for name, values in rows.items():
        marks = ", ".join("?" * len(values[0]))
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", values)
    connection.execute("COMMIT")
    return time.perf_counter() - began


def store_ours(engine: Any, sweep: int, run: RunRecord) -> float:
    claim = claim_any(engine, sweep, WORKER, LEASE)
    assert claim is not None
    began = time.perf_counter()
    assert claims.finish(engine, claim, run)
    return time.perf_counter() - began


def main() -> int:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=40)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="storing_"))
    engine, bare = open_store(str(folder / "ours.db")), bare_store(folder / "bare.db")
    sweep, run = sweep_of(engine, asked.runs + 1), record()
    store_ours(engine, sweep, run)  # compiles the statements
    pairs = []
    for number in range(asked.runs):
        rows = bare_rows(run, number)
        both = [lambda: store_ours(engine, sweep, run), lambda r=rows: store_bare(bare, r)]
        order = [0, 1] if random.random() < 0.5 else [1, 0]
        took = {which: both[which]() for which in order}
        pairs.append((took[0], took[1]))
    engine.dispose()
    ratios = [reference / mine for mine, reference in pairs]
    cuts = statistics.quantiles([mine for mine, _ in pairs], n=4)
    row = {
        "runs_per_second": round(1 / statistics.median(mine for mine, _ in pairs), 1),
        "bare_per_second": round(1 / statistics.median(ref for _, ref in pairs), 1),
        "ratio": round(statistics.median(ratios), 2),
        "noise_floor": round((cuts[2] - cuts[0]) / cuts[1], 2),
        "target": f">= {TARGET} x bare executemany",
    }
    row["verdict"] = "pass" if row["ratio"] >= TARGET else "miss"
    print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
