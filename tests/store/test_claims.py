"""A trial is trained by one worker at a time and its result stored once; on both databases."""

import dataclasses

import pytest
from sqlalchemy.exc import IntegrityError

from planner.errors import InputError, StoreError
from planner.store import leases, read, transactions
from planner.store.claims import (
    RunProgress,
    cancel,
    check_one_host,
    claim_trial,
    expire,
    fail,
    finish,
    give_back,
    heartbeat,
    lose,
    retry_cancelled,
    retry_failed,
)
from planner.store.write import register_sweep
from planner.words.records import Resources
from tests.store.samples import (
    LEASE,
    WORKER,
    claim_any,
    count,
    failed,
    finished,
    let_time_pass,
    rows_of,
    sweep_of,
    trial,
)


def state_of(store, trial_id):
    return rows_of(store, "SELECT state FROM trials WHERE trial_id = :t", t=trial_id)[0][0]


def statuses_of_trials(store):
    return [state for (state,) in rows_of(store, "SELECT state FROM trials")]


def statuses(store):
    return [row.status for row in read.runs(store)]


def test_a_claim_carries_the_trial_and_how_to_execute_it(store):
    resources = Resources(cpus=2, gpus=0.5, micro_batch=4, max_attempts=5)
    sweep = register_sweep(store, "s", "{}", [(trial(seed=9), resources)])
    claim = claim_any(store, sweep.sweep_id, WORKER, LEASE)
    assert (claim.trial, claim.resources, claim.attempt) == (trial(seed=9), resources, 1)


def test_each_trial_is_claimed_once(store):
    sweep = sweep_of(store, 5)
    claims_ = [claim_any(store, sweep, WORKER, LEASE) for _ in range(6)]
    assert claims_[5] is None
    assert len({c.trial_id for c in claims_[:5]}) == 5


def test_a_claim_takes_the_trial_that_is_asked_for_and_no_other(store):
    sweep_of(store, 3)
    second = sorted(key for (key,) in rows_of(store, "SELECT trial_id FROM trials"))[1]
    assert claim_trial(store, second, WORKER, LEASE).trial_id == second
    assert claim_trial(store, -1, WORKER, LEASE) is None
    assert sorted(statuses_of_trials(store)) == ["queued", "queued", "running"]


def test_a_running_trial_cannot_be_claimed_by_its_key(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    assert claim_trial(store, claim.trial_id, WORKER, LEASE) is None


@pytest.mark.parametrize("lease", [0, -1, float("nan"), float("inf")])
def test_a_lease_must_be_a_positive_time(store, lease):
    with pytest.raises(InputError, match="lease_seconds must be positive"):
        claim_any(store, sweep_of(store, 1), WORKER, lease)


def test_an_expired_lease_is_claimed_again_with_a_newer_token(store):
    sweep = sweep_of(store, 1)
    first = claim_any(store, sweep, WORKER, LEASE)
    let_time_pass(store, LEASE + 1)
    second = claim_any(store, sweep, WORKER, LEASE)
    assert (second.trial_id, second.attempt) == (first.trial_id, 2)
    assert second.token > first.token
    assert statuses(store) == ["lost", "running"]


def test_a_heartbeat_keeps_the_lease_and_shows_progress(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    let_time_pass(store, LEASE - 1)
    progress = RunProgress(phase="train", step=3, n_steps=10, loss=float("nan"))
    assert heartbeat(store, claim, LEASE, progress)
    let_time_pass(store, LEASE - 1)
    assert expire(store) == 0
    row = read.sweep_status(store, "sweep").rows[0]
    assert (row.phase, row.step, row.n_steps, row.loss) == ("train", 3, 10, None)


def test_a_heartbeat_without_progress_keeps_what_was_shown(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    assert heartbeat(store, claim, LEASE, RunProgress(phase="score", step=1))
    assert heartbeat(store, claim, LEASE)
    assert read.sweep_status(store, "sweep").rows[0].phase == "score"


def test_a_lost_worker_can_neither_beat_nor_store_anything(store):
    sweep = sweep_of(store, 1)
    zombie = claim_any(store, sweep, WORKER, LEASE)
    let_time_pass(store, LEASE + 1)
    heir = claim_any(store, sweep, WORKER, LEASE)
    assert not heartbeat(store, zombie, LEASE)
    assert not finish(store, zombie, finished(error=0.9))
    assert not fail(store, zombie, failed(), retry=True)
    assert not give_back(store, zombie, "late")
    assert finish(store, heir, finished(error=0.1))
    assert [r.error for r in read.runs(store, status="finished")] == [0.1]


def test_a_late_result_counts_while_nobody_took_the_lease(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    let_time_pass(store, LEASE + 1)
    assert finish(store, claim, finished())
    assert expire(store) == 0
    assert statuses(store) == ["finished"]


def test_a_finished_trial_is_never_claimed_again(store):
    sweep = sweep_of(store, 1)
    claim = claim_any(store, sweep, WORKER, LEASE)
    finish(store, claim, finished())
    let_time_pass(store, 10 * LEASE)
    assert claim_any(store, sweep, WORKER, LEASE) is None
    assert claim_trial(store, claim.trial_id, WORKER, LEASE) is None
    assert retry_failed(store, sweep) == 0


def test_storing_a_result_again_after_a_lost_acknowledgement_adds_nothing(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    tables = ("runs", "evaluations", "utterances", "run_steps", "latencies", "devices")
    assert finish(store, claim, finished())
    before = [count(store, t) for t in tables]
    assert finish(store, claim, finished())
    assert [count(store, t) for t in tables] == before == [1, 1, 3, 2, 1, 1]


def test_a_failure_told_twice_counts_once(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    assert fail(store, claim, failed(), retry=True)
    assert fail(store, claim, failed(), retry=True)
    assert statuses(store) == ["failed"]
    assert state_of(store, claim.trial_id) == "queued"


def test_a_failure_after_the_retry_began_cannot_disturb_it(store):
    sweep = sweep_of(store, 1)
    first = claim_any(store, sweep, WORKER, LEASE)
    fail(store, first, failed(), retry=True)
    second = claim_any(store, sweep, WORKER, LEASE)
    assert fail(store, first, failed(), retry=True)
    assert heartbeat(store, second, LEASE)
    assert statuses(store) == ["failed", "running"]


def test_a_failure_not_worth_a_retry_ends_the_trial(store):
    sweep = sweep_of(store, 1)
    assert fail(store, claim_any(store, sweep, WORKER, LEASE), failed("diverged"), retry=False)
    assert claim_any(store, sweep, WORKER, LEASE) is None
    row = read.sweep_status(store, "sweep").rows[0]
    assert (row.state, row.failure_class, row.failure_text) == (
        "failed", "diverged", "no more memory",
    )  # fmt: skip


@pytest.mark.parametrize("end", ["fail", "expire", "lose"])
def test_attempts_are_bounded_however_they_end(store, end):
    sweep = sweep_of(store, 1, max_attempts=2)
    for _ in range(2):
        claim = claim_any(store, sweep, WORKER, LEASE)
        if end == "fail":
            fail(store, claim, failed(), retry=True)
        elif end == "lose":
            lose(store, claim, "its process is gone")
        else:
            let_time_pass(store, LEASE + 1)
            assert expire(store, sweep) == 1
    assert claim_any(store, sweep, WORKER, LEASE) is None
    assert state_of(store, claim.trial_id) == "failed"


def test_a_retry_by_hand_gives_as_many_attempts_as_at_first(store):
    sweep = sweep_of(store, 1, max_attempts=1)
    fail(store, claim_any(store, sweep, WORKER, LEASE), failed(), retry=True)
    assert retry_failed(store, sweep) == 1
    assert claim_any(store, sweep, WORKER, LEASE).attempt == 2
    assert retry_failed(store, sweep) == 0


def test_a_trial_given_back_has_lost_no_attempt(store):
    sweep = sweep_of(store, 1, max_attempts=1)
    claim = claim_any(store, sweep, WORKER, LEASE)
    assert give_back(store, claim, "no GPU here")
    assert give_back(store, claim, "no GPU here")
    again = claim_any(store, sweep, WORKER, LEASE)
    fail(store, again, failed(), retry=True)
    assert state_of(store, claim.trial_id) == "failed"
    assert read.runs(store)[0].failure_text == "no GPU here"


def test_a_sweep_that_is_cancelled_stops_its_workers_and_waits_to_be_asked(store):
    sweep = sweep_of(store, 3)
    running = claim_any(store, sweep, WORKER, LEASE)
    assert cancel(store, sweep) == 3
    assert not heartbeat(store, running, LEASE)
    assert not finish(store, running, finished())
    sweep_of(store, 3)
    assert claim_any(store, sweep, WORKER, LEASE) is None
    assert retry_cancelled(store, sweep) == 3
    assert claim_any(store, sweep, WORKER, LEASE) is not None


def test_expiry_is_done_once_whoever_asks(store):
    sweep = sweep_of(store, 3)
    for _ in range(2):
        claim_any(store, sweep, WORKER, LEASE)
    let_time_pass(store, LEASE + 1)
    assert [expire(store), expire(store, sweep)] == [2, 0]
    assert statuses(store) == ["lost", "lost"]


def test_expiry_of_one_sweep_leaves_the_others_alone(store):
    first, second = sweep_of(store, 1, name="a"), sweep_of(store, 1, name="b", first_seed=50)
    for sweep in (first, second):
        claim_any(store, sweep, WORKER, LEASE)
    let_time_pass(store, LEASE + 1)
    assert expire(store, first) == 1
    assert statuses(store) == ["lost", "running"]


def test_a_claim_whose_acknowledgement_was_lost_is_found_again(store, monkeypatch):
    sweep = sweep_of(store, 2)
    real, calls = transactions.claim, []

    def twice(engine, work):
        calls.append(real(engine, work))
        return real(engine, work)

    monkeypatch.setattr(transactions, "claim", twice)
    claim = claim_any(store, sweep, WORKER, LEASE)
    assert claim.run_id == calls[0].run_id
    assert count(store, "runs") == 1


def test_a_record_with_a_number_that_is_not_finite_is_refused_whole(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    for broken in ({"train_flops": float("inf")}, {"train_seconds": float("nan")}):
        with pytest.raises(InputError, match="must be finite"):
            finish(store, claim, finished(**broken))
    with pytest.raises(InputError, match="error on test"):
        finish(store, claim, finished(error=float("nan")))
    assert statuses(store) == ["running"]


def test_a_record_must_say_what_it_is_stored_as(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    with pytest.raises(InputError, match="says status 'failed'"):
        finish(store, claim, failed())
    with pytest.raises(InputError, match="says status 'finished'"):
        fail(store, claim, finished(), retry=False)


def test_nothing_of_a_result_is_stored_when_a_part_of_it_is_refused(store):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    record = finished()
    twice = dataclasses.replace(record, evaluations=record.evaluations * 2)
    with pytest.raises(IntegrityError):
        finish(store, claim, twice)
    assert [count(store, t) for t in ("evaluations", "utterances", "latencies")] == [0, 0, 0]
    assert finish(store, claim, record)


def test_a_sqlite_file_serves_one_host(sqlite_store):
    sweep = sweep_of(sqlite_store, 1)
    claim_any(sqlite_store, sweep, WORKER, LEASE)
    check_one_host(sqlite_store, WORKER.host)
    with pytest.raises(StoreError, match=r"one SQLite file.*postgresql://"):
        check_one_host(sqlite_store, "node-b")
    let_time_pass(sqlite_store, LEASE + 1)
    check_one_host(sqlite_store, "node-b")


@pytest.mark.postgres
def test_a_server_serves_many_hosts(postgres_store):
    claim_any(postgres_store, sweep_of(postgres_store, 1), WORKER, LEASE)
    check_one_host(postgres_store, "node-b")


@pytest.mark.postgres
def test_a_claim_looks_at_no_other_trial_whatever_the_statistics_say(postgres_store):
    sweep_of(postgres_store, 1_000)
    text, fixed, _ = leases.CLAIM_WITH_RUN.compiled(postgres_store.dialect)
    with postgres_store.begin() as connection:
        connection.exec_driver_sql("ANALYZE trials, sweep_trials")
        values = fixed | {"key": 1, "lease": LEASE, "name": "n", "at_host": "a", "process": 1}
        values |= {"version": "0", "revision": None}
        plan = connection.exec_driver_sql(f"EXPLAIN {text}", values).scalars().all()
    assert any("Index Cond" in line and "trial_id" in line for line in plan)
    assert not any("Seq Scan on trials" in line for line in plan)


def test_a_claim_that_is_interrupted_leaves_no_connection_that_commits_by_itself(postgres_store):
    sweep = sweep_of(postgres_store, 1)

    def interrupted(connection):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transactions.claim(postgres_store, interrupted)
    assert postgres_store.pool.checkedout() == 0
    with postgres_store.connect() as connection:
        assert connection.connection.driver_connection.autocommit is False
    assert claim_any(postgres_store, sweep, WORKER, LEASE) is not None


def test_no_run_ends_before_it_began_when_the_clock_is_put_back(store):
    from sqlalchemy import update

    from planner.store.schema import runs
    from planner.store.transactions import write

    sweep = sweep_of(store, 2)
    done, dead = claim_any(store, sweep, WORKER, LEASE), claim_any(store, sweep, WORKER, LEASE)
    late = "2999-01-01T00:00:00.000Z"
    write(store, lambda c: c.execute(update(runs).values(started_utc=late)))
    assert finish(store, done, finished())
    assert lose(store, dead, "gone")
    ended = rows_of(store, "SELECT finished_utc FROM runs")
    assert [row.finished_utc for row in ended] == [late, late]
