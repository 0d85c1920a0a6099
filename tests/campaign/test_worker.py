from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, text

from planner.store import host_leases
from planner.store.claims import Claim, cancel, claim_trial, expire, finish, give_back
from planner.store.engine import open_store
from planner.store.read import attempts, sweep_status
from planner.store.write import register_sweep
from planner.words.records import Resources, RunRecord, Trial
from runner.campaign import heartbeat, host_use, worker
from runner.campaign.worker import (
    Heartbeat,
    StopWork,
    TrialJob,
    current_versions,
    may_retry,
    this_worker,
    work_on,
)
from runner.data.clips import DataSpec
from runner.trial.progress import StopKeeping
from tests.store.samples import finished

pytestmark = pytest.mark.usefixtures("clean_history")

NOW = SimpleNamespace(phase="train", step=3, n_steps=9, loss=1.5)
TRIAL = Trial(
    task="asr",
    dataset="none",
    dataset_digest="0" * 64,
    split_policy="official",
    n_train=1,
    n_test=1,
    backbone="whisper-micro",
    initialisation="random",
    audio_seconds=2.0,
)


@dataclasses.dataclass(frozen=True)
class Held:
    """A store with one claimed trial."""

    url: str
    engine: Engine
    sweep_id: int
    claim: Claim

    def row(self):
        return sweep_status(self.engine, "one").rows[0]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    url = f"sqlite:///{tmp_path}/one.db"
    engine = open_store(url)
    sweep = register_sweep(engine, "one", "{}", [(TRIAL, Resources())])
    trial_id = sweep_status(engine, "one").rows[0].trial_id
    claim = claim_trial(engine, trial_id, this_worker(), 60.0)
    yield Held(url, engine, sweep.sweep_id, claim)
    engine.dispose()


def until(happens: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that must happen; a generous bound, never a measure of speed."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def stops(heart: Heartbeat) -> bool:
    try:
        heart.progress(NOW)
    except StopWork:
        return True
    return False


def test_a_heartbeat_extends_the_lease_and_shows_the_progress(held):
    with Heartbeat(held.url, held.claim, 1.2) as heart:
        heart.progress(NOW)
        until(lambda: held.row().step == 3)
        time.sleep(1.5)
        heart.progress(NOW)
        assert expire(held.engine) == 0
    assert (held.row().phase, held.row().n_steps, held.row().loss) == ("train", 9, 1.5)


def test_a_cancelled_trial_stops_its_worker(held):
    with Heartbeat(held.url, held.claim, 1.2) as heart:
        heart.progress(NOW)
        cancel(held.engine, held.sweep_id)
        until(lambda: stops(heart))
    assert heart.reason == "the lease was taken over or cancelled"


def test_a_worker_that_was_paused_past_its_lease_stops_at_its_next_step(held, monkeypatch):
    with Heartbeat(held.url, held.claim, 600.0) as heart:
        heart.progress(NOW)
        later = time.monotonic() + 601.0
        monkeypatch.setattr(heartbeat.time, "monotonic", lambda: later)
        assert stops(heart)


def test_a_database_that_is_away_stops_the_work_when_half_the_lease_is_gone(held, monkeypatch):
    from planner.errors import StoreError

    def away(*args: object, **options: object) -> bool:
        raise StoreError("no answer")

    monkeypatch.setattr("planner.store.claims.heartbeat", away)
    with Heartbeat(held.url, held.claim, 0.6) as heart:
        heart.progress(NOW)
        until(lambda: stops(heart))
    assert "lease" in heart.reason


def test_a_database_that_is_away_when_the_heartbeat_begins_is_tried_again(held, monkeypatch):
    from planner.errors import StoreError
    from planner.store import engine as store_engine

    really, n_away = store_engine.opened, [2]

    def away_at_first(*args: object, **options: object) -> object:
        n_away[0] -= 1
        if n_away[0] >= 0:
            raise StoreError("the server restarts")
        return really(*args, **options)

    monkeypatch.setattr(store_engine, "opened", away_at_first)
    with Heartbeat(held.url, held.claim, 1.2) as heart:
        heart.progress(NOW)
        until(lambda: held.row().step == 3)
    assert heart.reason is None
    assert n_away[0] == -1


def test_the_drivers_wish_to_stop_is_told_apart_from_a_lost_lease(held):
    wish = threading.Event()
    with Heartbeat(held.url, held.claim, 60.0, wish.is_set) as heart:
        heart.progress(NOW)
        wish.set()
        with pytest.raises(StopKeeping):
            heart.progress(NOW)


def job_of(held: Held, tmp_path: Path, **changes: object) -> TrialJob:
    values: dict = {
        "trial_id": held.claim.trial_id,
        "label": "x",
        "db": held.url,
        "data_request": DataSpec(name="manifest", path=str(tmp_path / "none.jsonl"), task="asr"),
        "artifacts": str(tmp_path),
        "weights": None,
        "placement": Resources(),
        "versions": current_versions(),
    }
    return TrialJob(**(values | changes))


def test_a_trial_that_another_worker_holds_is_left_alone(held, tmp_path):
    assert work_on(job_of(held, tmp_path)).kind == "not-claimed"
    assert held.row().token == held.claim.token


def test_a_trial_given_back_does_not_use_up_an_attempt(held, tmp_path, monkeypatch):
    finish_nothing(held)
    monkeypatch.setattr("runner.trial.run.run_trial", lambda *a, **k: k["progress"](NOW))
    for _ in range(5):
        assert work_on(job_of(held, tmp_path), lambda: True).kind == "released"
    row = held.row()
    assert row.state == "queued"
    assert row.max_attempts - row.n_attempts == 2


def finish_nothing(held: Held) -> None:
    """Let the fixture's claim end as lost, so that the trial can be claimed again."""
    from planner.store.claims import lose

    assert lose(held.engine, held.claim, "the test gave it up")


def test_out_of_memory_is_tried_again_with_half_the_micro_batch(held, tmp_path, monkeypatch):
    finish_nothing(held)
    register_sweep(held.engine, "one", "{}", [(TRIAL, Resources(micro_batch=8))])
    seen: list[int | None] = []

    def exhausted(trial: Trial, resources: Resources, **rest: object) -> RunRecord:
        seen.append(resources.micro_batch)
        raise MemoryError("too large")

    monkeypatch.setattr("runner.trial.run.run_trial", exhausted)
    kinds = [work_on(job_of(held, tmp_path)).kind for _ in "ab"]
    assert seen == [8, 4]
    assert kinds == ["retry", "retry"]
    assert held.row().state == "failed"
    classes = [row.failure_class for row in attempts(held.engine, held.claim.trial_id)]
    assert classes == ["lost-node", "out-of-memory", "out-of-memory"]


RETRIES = [
    ("out-of-memory", 8, True),
    ("out-of-memory", 1, False),
    ("lost-node", None, True),
    ("preempted", None, True),
    ("diverged", None, False),
    ("broken-data", None, False),
    ("missing-resource", None, False),
    ("programming-error", None, False),
]


@pytest.mark.parametrize(("failure", "micro_batch", "again"), RETRIES)
def test_only_failures_that_may_end_better_are_tried_again(failure, micro_batch, again):
    record = RunRecord(status="failed", failure_class=failure, micro_batch=micro_batch)
    assert may_retry(record) is again


def test_a_result_under_an_old_token_is_refused(held, tmp_path):
    finish_nothing(held)
    newer = claim_trial(held.engine, held.claim.trial_id, this_worker(), 60.0)
    late = worker.store_record(held.engine, held.claim, finished())
    assert late.kind == "fenced"
    assert finish(held.engine, newer, finished())
    statuses = [row.status for row in attempts(held.engine, held.claim.trial_id)]
    assert statuses == ["lost", "finished"]


def test_a_trial_whose_files_find_no_room_is_given_back_uncharged(held, tmp_path, monkeypatch):
    finish_nothing(held)
    message = "I/O error: No space left on device (os error 28)"

    def full(*args: object, **rest: object) -> RunRecord:
        raise OSError(28, message)

    monkeypatch.setattr("runner.trial.run.run_trial", full)
    outcome = work_on(job_of(held, tmp_path))
    assert outcome.kind == "storage"
    assert "No space left" in outcome.failure_text
    row = held.row()
    assert (row.state, row.max_attempts - row.n_attempts) == ("queued", 2)


def test_a_run_that_moves_to_another_node_goes_on_from_its_checkpoint(held, tmp_path, monkeypatch):
    finish_nothing(held)
    location = f"file://{tmp_path}/bucket"
    seen: list[list[str]] = []

    def interrupted(trial: Trial, resources: Resources, **rest) -> RunRecord:
        folder = rest["checkpoints"] / trial.fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        seen.append(sorted(path.name for path in folder.iterdir()))
        new = folder / f"step-{len(seen):08d}-{'0' * 64}.safetensors"
        new.write_bytes(b"tensors")
        rest["on_checkpoint"](new)
        if len(seen) == 1:
            return RunRecord(status="failed", failure_class="preempted", failure_text="notice")
        return finished()

    monkeypatch.setattr("runner.trial.run.run_trial", interrupted)
    job = job_of(held, tmp_path, artifacts=location)
    assert [work_on(job).kind for _ in "ab"] == ["retry", "finished"]
    assert seen == [[], [f"step-00000001-{'0' * 64}.safetensors"]]
    left = [p for p in (tmp_path / "bucket").rglob("*") if p.is_file()]
    assert left == []


def test_a_worker_without_the_gpu_that_it_was_given_says_so_and_claims_nothing(
    held, tmp_path, monkeypatch
):
    finish_nothing(held)
    token = held.row().token
    monkeypatch.setattr("runner.trial.device.NVIDIA_DRIVER", tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    outcome = work_on(job_of(held, tmp_path, placement=Resources(gpus=0.5)))
    assert outcome.kind == "refused"
    assert "was given a GPU that torch" in outcome.failure_text
    assert (held.row().state, held.row().token) == ("queued", token)


def test_a_trial_without_a_gpu_hides_those_of_its_host(held, tmp_path, monkeypatch):
    finish_nothing(held)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    seen: list[str] = []

    def looks(*args: object, **options: object) -> RunRecord:
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        raise MemoryError("enough")

    monkeypatch.setattr("runner.trial.run.run_trial", looks)
    work_on(
        job_of(held, tmp_path), stopped=lambda: False
    )  # a thread of a driver, which others share
    work_on(job_of(held, tmp_path))
    assert seen == ["0,1", ""]


def test_an_import_error_is_never_a_trials_failure(held, tmp_path, monkeypatch):
    finish_nothing(held)

    def half_there(*args: object, **options: object) -> RunRecord:
        raise ImportError("cannot import name 'WhisperConfig'")

    monkeypatch.setattr("runner.trial.run.run_trial", half_there)
    outcome = work_on(job_of(held, tmp_path))
    assert (outcome.kind, held.row().state) == ("refused", "queued")
    assert "WhisperConfig" in outcome.failure_text
    assert held.row().max_attempts == held.row().n_attempts + 2


@pytest.fixture
def sigterm_exits() -> Iterator[None]:
    """SIGTERM raises SystemExit, as in Ray's workers."""

    def leave(*_: object) -> None:
        raise SystemExit(1)

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_worker_that_is_asked_to_end_gives_its_trial_back_first(
    held, tmp_path, monkeypatch, sigterm_exits
):
    finish_nothing(held)
    n_left = held.row().max_attempts - held.row().n_attempts

    def asked_to_end(*args: object, **options: object) -> RunRecord:
        os.kill(os.getpid(), signal.SIGTERM)
        options["progress"](NOW)
        raise AssertionError("it went on")

    monkeypatch.setattr("runner.trial.run.run_trial", asked_to_end)
    with pytest.raises(SystemExit):
        work_on(job_of(held, tmp_path))
    row = held.row()
    assert (row.state, row.max_attempts - row.n_attempts) == ("queued", n_left)


def test_a_worker_that_is_asked_to_end_before_it_claims_claims_nothing(
    held, tmp_path, monkeypatch, sigterm_exits
):
    finish_nothing(held)
    token = held.row().token
    monkeypatch.setattr(worker, "check_once", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        work_on(job_of(held, tmp_path))
    assert (held.row().state, held.row().token) == ("queued", token)


def test_a_worker_whose_libraries_are_broken_claims_nothing(held, tmp_path, monkeypatch):
    finish_nothing(held)
    n_before = held.row().n_attempts

    def broken() -> None:
        raise ImportError("libfoo.so is missing")

    monkeypatch.setattr("runner.trial.libraries.load", broken)
    assert work_on(job_of(held, tmp_path)).kind == "refused"
    assert held.row().n_attempts == n_before


def test_a_worker_whose_artifacts_have_nowhere_to_go_claims_nothing(held, tmp_path):
    finish_nothing(held)
    n_before = held.row().n_attempts
    (tmp_path / "file").touch()
    outcome = work_on(job_of(held, tmp_path, artifacts=str(tmp_path / "file/artifacts")))
    assert (outcome.kind, held.row().n_attempts) == ("storage", n_before)
    assert "--artifacts" in outcome.failure_text


def test_a_folder_that_goes_away_in_the_middle_of_a_trial_is_not_the_trials_fault(
    held, tmp_path, monkeypatch
):
    finish_nothing(held)
    place = tmp_path / "artifacts"

    def unmounted(*args: object, **rest: object) -> RunRecord:
        place.rmdir()
        place.touch()
        raise ValueError("header too small")

    monkeypatch.setattr("runner.trial.run.run_trial", unmounted)
    assert work_on(job_of(held, tmp_path, artifacts=str(place))).kind == "storage"
    assert held.row().state == "queued"


def test_nothing_is_claimed_on_a_host_while_latency_is_measured_there(held, tmp_path, monkeypatch):
    monkeypatch.setattr(host_use, "HELD_SECONDS", 0.01)
    give_back(held.engine, held.claim, "for the test")
    host_leases.take(held.engine, this_worker().host, "measures", 600.0)
    looks = iter([False, False, True])
    outcome = work_on(job_of(held, tmp_path), lambda: next(looks))
    assert (outcome.kind, held.row().state) == ("released", "queued")
    claimed: list[str] = []
    monkeypatch.setattr(worker, "_attempt", lambda *_: claimed.append(held.row().state))
    waiting = threading.Thread(target=work_on, args=(job_of(held, tmp_path),))
    waiting.start()
    host_leases.give_up(held.engine, this_worker().host, "measures")
    waiting.join()
    assert claimed == ["running"]


def test_a_drained_host_claims_nothing_and_keeps_nobody_waiting(held, tmp_path):
    finish_nothing(held)
    token = held.row().token
    host_leases.drain(held.engine, this_worker().host)
    assert work_on(job_of(held, tmp_path)).kind == "drained"
    assert (held.row().state, held.row().token) == ("queued", token)


def test_a_trial_on_a_host_that_is_drained_is_stopped_and_given_back(held, tmp_path, monkeypatch):
    finish_nothing(held)
    n_left = held.row().max_attempts - held.row().n_attempts

    def long(*args: object, **options: object) -> RunRecord:
        host_leases.drain(held.engine, this_worker().host)
        while True:
            options["progress"](NOW)
            time.sleep(0.02)

    monkeypatch.setattr("runner.trial.run.run_trial", long)
    assert work_on(job_of(held, tmp_path, lease_seconds=1.2)).kind == "released"
    row = held.row()
    assert (row.state, row.max_attempts - row.n_attempts) == ("queued", n_left)
    ended = attempts(held.engine, held.claim.trial_id)[-1]
    assert (ended.status, ended.failure_text) == ("cancelled", host_use.WHY_DRAINED)


def test_a_measurement_that_died_keeps_a_host_no_longer_than_its_lease(held, tmp_path, monkeypatch):
    monkeypatch.setattr(host_use, "HELD_SECONDS", 0.01)
    give_back(held.engine, held.claim, "for the test")
    host_leases.take(held.engine, this_worker().host, "died", 600.0)
    monkeypatch.setattr(worker, "_attempt", lambda *_: held.row().state)
    with held.engine.begin() as connection:
        connection.execute(text("UPDATE host_leases SET lease_until_seconds = 1.0"))
    assert work_on(job_of(held, tmp_path)) == "running"
