"""Write the golden database of the newest revision: run once when a revision is released.

python tests/store/golden/make.py

The dump holds a finished, a failed and a queued trial, an imported result, a fit and an answer, as
text that any later version must be able to upgrade and use.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.store import write  # noqa: E402
from planner.store.claims import fail, finish  # noqa: E402
from planner.store.engine import open_store  # noqa: E402
from planner.store.schema import SCHEMA_REVISION  # noqa: E402
from planner.words.records import Evaluation, RunRecord  # noqa: E402
from tests.store.samples import LEASE, WORKER, claim_any, failed, finished, sweep_of, trial  # noqa: E402


def main() -> None:
    """Fill a new database and write its dump beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "golden.db"
        engine = open_store(str(path))
        sweep = sweep_of(engine, 3)
        finish(engine, claim_any(engine, sweep, WORKER, LEASE), finished())
        fail(engine, claim_any(engine, sweep, WORKER, LEASE), failed(), retry=False)
        evaluation = Evaluation(split="test", metric="wer", error=0.1)
        record = RunRecord(status="finished", evaluations=(evaluation,))
        row = write.ImportedRun(trial=trial(seed=50), record=record, source="table 2")
        write.import_runs(engine, [row], "published")
        fit = write.FitRow(
            fit_id="f1", task="asr", metric="wer", law="additive", status="converged", n_runs=1,
            objective=0.5, selection_json="{}", fit_json="{}", version="0.1.0",
            runs=((1, True, None),),
        )  # fmt: skip
        write.save_fit(engine, fit)
        plan = write.PlanRow(
            answer_id="a1", fit_id="f1", task="asr", query_json="{}", answer_json="{}",
            version="0.1.0",
        )  # fmt: skip
        write.save_plan(engine, plan)
        engine.dispose()
        lines = sqlite3.connect(path).iterdump()
        target = Path(__file__).with_name(f"{SCHEMA_REVISION}.sql")
        target.write_text("\n".join(lines) + "\n")
        print(f"wrote {target.name}")


if __name__ == "__main__":
    main()
