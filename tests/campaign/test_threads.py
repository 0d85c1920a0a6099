"""Two threads of one process meet everything that a trial needs at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from planner.store.engine import opened
from planner.store.read import runs
from tests.campaign.made import NO_LATENCY
from tests.chaos.invariants import audited

COMMAND = """
import sys
sys.setswitchinterval(1e-6)  # the threads take turns some thousand times as often as usual
from planner.cli.main import main
main()
"""


def test_two_workers_of_a_fresh_process_train_every_trial_at_the_first_attempt(
    write_spec, tmp_path: Path
):
    db = f"{tmp_path}/runs.db"
    sweep = [
        "sweep",
        "run",
        str(write_spec(NO_LATENCY)),
        "--db",
        db,
        "--artifacts",
        str(tmp_path / "a"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *sweep, "--ray", "none", "--workers", "2"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with opened(db) as engine:
        assert [(row.status, row.attempt) for row in runs(engine)] == [("finished", 1)] * 3
        assert audited(engine) == {}
