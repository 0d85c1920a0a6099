"""One driver in a table of processes of its own: works on the sweep that its database holds.

    python two_tables.py URL N_TRIALS N_PROCESSES_BEFORE

Started twice by test_recovery, each time under `unshare --pid`. The work of a trial is real claims,
beats and results without the training, long enough that the other driver looks for dead workers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from planner.store.claims import RunProgress, claim_trial, finish, heartbeat
from planner.store.engine import open_store, opened
from planner.store.write import register_sweep
from planner.words.records import Resources
from runner.campaign.recovery import recover
from runner.campaign.worker import this_worker
from tests.store.samples import finished, trial

LEASE_SECONDS = 5.0
TRIAL_SECONDS = 0.3


def main(url: str, n_trials: int, n_before: int) -> None:
    """Claim, beat, store and look for the dead until nothing is left to claim."""
    for _ in range(n_before):
        # the next process number: two drivers of equal numbers would hold each other for themselves
        subprocess.run(["true"], check=True)
    if child := os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    trials = [(trial(seed=i), Resources(max_attempts=3)) for i in range(n_trials)]
    with opened(url, worker=True) as engine:
        sweep_id = register_sweep(engine, "two", "{}", trials).sweep_id
        for trial_id in range(1, n_trials + 1):
            claim = claim_trial(engine, trial_id, this_worker(), LEASE_SECONDS)
            end = time.monotonic() + TRIAL_SECONDS
            while claim is not None and time.monotonic() < end:
                heartbeat(engine, claim, LEASE_SECONDS, RunProgress(phase="train"))
                recover(engine, sweep_id)
            if claim is not None:
                finish(engine, claim, finished())


if __name__ == "__main__":
    open_store(sys.argv[1]).dispose()
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
