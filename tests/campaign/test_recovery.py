from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from planner.store.engine import open_store
from planner.store.read import attempts, sweep_status
from runner.campaign.host import ProcessIdentity, is_gone
from tests.chaos.invariants import audited

pytestmark = pytest.mark.usefixtures("clean_history")

ROOT = Path(__file__).resolve().parents[2]
OWN_TABLE = ["unshare", "--pid", "--fork", "--mount-proc"]
if os.getuid() != 0:
    OWN_TABLE.insert(1, "--map-root-user")
N_TRIALS = 20


def may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*OWN_TABLE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_unshare(), reason="needs the right to make a process namespace")
def test_workers_of_one_host_name_and_two_process_tables_leave_each_other_alone(db_url):
    engine = open_store(db_url)
    script = [sys.executable, str(ROOT / "tests/campaign/two_tables.py"), db_url, str(N_TRIALS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    drivers = [
        subprocess.Popen([*OWN_TABLE, *script, n_before], env=environment) for n_before in "07"
    ]
    assert [driver.wait(120) for driver in drivers] == [0, 0]
    rows = sweep_status(engine, "two").rows
    tries = [attempt for row in rows for attempt in attempts(engine, row.trial_id)]
    assert [(a.status, a.attempt) for a in tries] == [("finished", 1)] * N_TRIALS
    assert audited(engine) == {}
    engine.dispose()


def ended_process() -> int:
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


ME = ProcessIdentity.of_this_process()


def test_a_process_of_this_table_that_ended_is_gone():
    assert is_gone(ended_process(), ME)


def test_a_living_process_is_not_gone():
    assert not is_gone(os.getpid(), ME)


def test_another_process_that_got_the_same_number_does_not_hide_a_death():
    assert is_gone(os.getpid(), dataclasses.replace(ME, began="1"))


@pytest.mark.parametrize("field", ["host", "boot", "namespace"])
def test_a_process_that_cannot_be_seen_from_here_is_left_to_its_lease(field):
    assert not is_gone(ended_process(), dataclasses.replace(ME, **{field: "elsewhere"}))


@pytest.mark.parametrize("stored", [None, {}, {"host": "a", "boot": "b"}, {"host": 1}, "text"])
def test_a_claim_that_does_not_say_its_process_is_left_to_its_lease(stored):
    assert not is_gone(ended_process(), ProcessIdentity.read(stored))
