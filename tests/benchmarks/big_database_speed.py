"""A database of a million runs: the best feasible run, and pages of the list.

Run: python tests/benchmarks/big_database_speed.py [--runs 1000000] [--keep FILE]

One run is stored by the store itself and multiplied in SQL, each copy with its own fingerprint, error
and latency. Budgets are drawn evenly over the logarithm of the latencies, the tightest included that
one run in 100,000 meets.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from sqlalchemy import Engine, text  # noqa: E402

from planner.store import claims, read, schema  # noqa: E402
from planner.store.engine import open_store  # noqa: E402
from tests.store.samples import CPU, LEASE, WORKER, claim_any, finished, sweep_of  # noqa: E402

P99_MS, PAGE_RATIO, PAGE, N_ASKED = 5.0, 1.5, 100, 400
SHORTEST_MS, LONGEST_MS = 5.0, 2_000.0

RANDOM = "(abs(random()) / 9223372036854775807.0)"
CHANGED = {
    "trials": {
        "trial_id": "n",
        "fingerprint": "lower(hex(randomblob(32)))",
    },
    "runs": {"run_id": "n", "trial_id": "n", "claim_key": "lower(hex(randomblob(16)))"},
    "evaluations": {"evaluation_id": "n", "run_id": "n", "error": f"0.02 + 0.9 * {RANDOM}"},
    "latencies": {
        "latency_id": "n",
        "run_id": "n",
        "measurement_key": "lower(hex(randomblob(16)))",
        "p50_ms": f"{SHORTEST_MS} * pow({LONGEST_MS / SHORTEST_MS}, {RANDOM})",
    },
}
"""What differs between the copies of the one stored run: SQL for each column, `n` its number."""


def fill(engine: Engine, n_runs: int) -> None:
    """Store one run, then multiply it."""
    claim = claim_any(engine, sweep_of(engine, 1), WORKER, LEASE)
    assert claim is not None
    assert claims.finish(engine, claim, finished(n_utterances=0, steps=()))
    numbers = "WITH RECURSIVE count(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM count WHERE n < :n)"
    with engine.begin() as connection:
        for name, changed in CHANGED.items():
            columns = [c.name for c in schema.metadata.tables[name].columns]
            values = ", ".join(changed.get(column, f"o.{column}") for column in columns)
            connection.execute(
                text(
                    f"INSERT INTO {name} ({', '.join(columns)}) {numbers} "
                    f"SELECT {values} FROM count CROSS JOIN (SELECT * FROM {name} LIMIT 1) o"
                ),
                {"n": n_runs},
            )


def timed(ask: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    ask()
    return 1e3 * (time.perf_counter() - began)


def best_feasible(engine: Engine) -> dict[str, Any]:
    """Latency of `best_run` for budgets from the tightest to the widest."""
    rng = random.Random(0)
    span = LONGEST_MS / SHORTEST_MS
    # The share of runs that a budget allows is log(budget / shortest) / log(span).
    shares = [10 ** rng.uniform(-5, 0) for _ in range(N_ASKED)]
    budgets = [SHORTEST_MS * span**share for share in shares]

    def ask(budget: float) -> Callable[[], object]:
        return lambda: read.best_run(engine, "asr", max_latency_ms=budget, device=CPU.name)

    ask(budgets[0])()
    took = sorted(timed(ask(budget)) for budget in budgets)
    p99 = took[int(0.99 * len(took))]
    return {
        "best_feasible_p50_ms": round(statistics.median(took), 2),
        "best_feasible_p99_ms": round(p99, 2),
        "target": f"p99 <= {P99_MS:g} ms",
        "verdict": "pass" if p99 <= P99_MS else "miss",
    }


def pages(engine: Engine, n_runs: int) -> dict[str, Any]:
    """Page 10,000 against page 1, in turn (the last page of a smaller database)."""
    far = min(9_999 * PAGE, n_runs - PAGE)

    def page(after: int | None) -> float:
        return timed(lambda: read.runs(engine, limit=PAGE, after=after))

    page(None)
    pairs = [(page(None), page(far)) for _ in range(50)]
    ratio = statistics.median(b / a for a, b in pairs)
    again = [page(None) / a for a, _ in pairs]
    cuts = statistics.quantiles(again, n=4)
    return {
        "page_1_ms": round(statistics.median(a for a, _ in pairs), 2),
        "page_10000_ms": round(statistics.median(b for _, b in pairs), 2),
        "ratio": round(ratio, 2),
        "noise_floor": round(cuts[2] - cuts[0], 2),
        "target": f"<= {PAGE_RATIO} x page 1",
        "verdict": "pass" if ratio <= PAGE_RATIO else "miss",
    }


def main() -> int:
    """Print one line of JSON for each question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="where the database is made, or found again")
    asked = parser.parse_args()
    path = asked.keep or Path(tempfile.mkdtemp(prefix="big_")) / "runs.db"
    known = path.exists()
    engine = open_store(str(path))
    began = time.perf_counter()
    if not known:
        fill(engine, asked.runs)
    size = path.stat().st_size / 1e6
    print(json.dumps({"runs": asked.runs, "MB": round(size), "s": time.perf_counter() - began}))
    print(json.dumps(best_feasible(engine)))
    print(json.dumps(pages(engine, asked.runs)))
    engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
