"""The audit is clean after real histories, and finds each kind of broken one."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from planner.store.audit import INVARIANTS, audit
from planner.store.claims import fail, finish, give_back, lose
from tests.store.samples import LEASE, WORKER, claim_any, failed, finished, sweep_of


@pytest.fixture
def history(store):
    """Trials that finished, failed, were lost, given back, are running, and wait."""
    sweep = sweep_of(store, 6)
    for end in (
        lambda c: finish(store, c, finished()),
        lambda c: fail(store, c, failed(), retry=False),
        lambda c: lose(store, c, "gone"),
        lambda c: finish(store, c, finished()),
        lambda c: give_back(store, c, "stopped"),
        lambda c: finish(store, c, finished()),
    ):
        assert end(claim_any(store, sweep, WORKER, LEASE))
    claim_any(store, sweep, WORKER, LEASE)
    return store


def test_every_way_that_an_attempt_may_end_is_clean(history):
    found = audit(history, "sweep")
    assert found.clean, [i for i in found.invariants if i.trial_ids]
    assert found.attempts_by_status["finished"] == 3


BROKEN = {
    "a trial is finished exactly": "UPDATE trials SET state = 'queued' WHERE trial_id = 1",
    "no trial is trained again": (
        "INSERT INTO runs (trial_id, attempt, token, status, started_utc)"
        " VALUES (1, 2, 2, 'failed', '2999')"
    ),
    "every attempt is counted": "UPDATE trials SET n_attempts = n_attempts + 1 WHERE trial_id = 1",
    "each claim's fencing token": "UPDATE runs SET token = 1",
    "one attempt at a time": "UPDATE runs SET finished_utc = '2998' WHERE status = 'lost'",
    "a trial runs exactly": "UPDATE runs SET status = 'lost' WHERE status = 'running'",
    "no run ends before it began": "UPDATE runs SET started_utc = '2999' WHERE status = 'finished'",
    "a result is stored whole": "UPDATE evaluations SET run_id = 2 WHERE run_id = 1",
    "nothing is scored below": "UPDATE runs SET status = 'failed' WHERE run_id = 1",
}


@pytest.mark.parametrize("begins", BROKEN)
def test_a_broken_history_is_found(history, begins):
    with history.begin() as connection:
        connection.execute(text(BROKEN[begins]))
    broken = [one.invariant for one in audit(history, "sweep").invariants if one.trial_ids]
    assert any(said.startswith(begins) for said in broken), broken


def test_every_invariant_but_the_databases_own_is_tried_broken():
    tried = {said for said in INVARIANTS for begins in BROKEN if said.startswith(begins)}
    assert set(INVARIANTS) - tried == {"each trial has one stored result at most"}
