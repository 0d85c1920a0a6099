from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputError, OutageError, StoreError, TrialsFailedError
from planner.store import host_leases, transactions
from planner.store.claims import Claim, claim_trial, finish
from planner.store.engine import open_store, opened
from planner.store.read import TrialStatus, attempts, runs, sweep_status
from planner.words.records import Evaluation, Resources, RunRecord, Trial
from runner.campaign import display
from runner.campaign.cut_off import kind_of
from runner.campaign.drive import CampaignResult, CampaignSetting, run_campaign
from runner.campaign.inline import InlineExecutor
from runner.campaign.notice import sigterm_interrupts
from runner.campaign.worker import JobOutcome, TrialJob, store_record, this_worker, work_on
from runner.sweep import prepare
from runner.sweep_commands import result_line
from tests.campaign.made import NO_LATENCY


@pytest.fixture
def campaign(tmp_path: Path, write_spec: Callable[..., Path]) -> Callable[..., CampaignResult]:
    """Run the micro sweep in this process; its talk lands in `said.txt`."""

    def run(
        *changes: tuple[str, str],
        db: str = f"sqlite:///{tmp_path}/runs.db",
        work: Callable[..., JobOutcome] = work_on,
        hosts: frozenset[str] | None = None,
        task: str = "asr",
        storage_seconds: float = 2.0,
        latency: bool = False,
    ) -> CampaignResult:
        changes = changes if latency else (*changes, NO_LATENCY)
        prepared = prepare.prepare(write_spec(*changes, task=task), db, lambda line: None)
        setting = CampaignSetting(
            db=db,
            artifacts=str(tmp_path / "artifacts"),
            poll_seconds=0.05,
            storage_seconds=storage_seconds,
        )
        executor = InlineExecutor(work=work)
        executor.hosts = hosts or executor.hosts
        with (tmp_path / "said.txt").open("w") as said:
            shown = display.PlainLines(said)
            return run_campaign(prepared.spec, prepared.trials, setting, lambda: executor, shown)

    return run


def rows_of(tmp_path: Path, db: str = "") -> list:
    with opened(db or f"sqlite:///{tmp_path}/runs.db") as engine:
        return runs(engine)


@pytest.mark.parametrize("task", ["asr", "emotion"])
def test_a_campaign_trains_every_trial_on_real_tensors(task, campaign, tmp_path):
    result = campaign(task=task, latency=True)
    rows = rows_of(tmp_path)
    assert (result.n_finished, result.n_failed) == (3, 0)
    assert [row.status for row in rows] == ["finished"] * 3
    assert all(row.error is not None and row.latency_p95_ms > 0 for row in rows)
    assert all(Path(row.artifact).exists() for row in rows)


def test_a_sweep_of_an_encoder_that_writes_by_ctc_is_trained_and_scored(campaign, tmp_path):
    """Its vocabulary is made from the training texts and kept with the run."""
    one = (("[2, 3]", "2"), ('["none", "stem:2"]', '"stem:2"'))
    ctc = (('"whisper-micro"', '"wav2vec2-micro"'), ("max_new_tokens = 4", ""))
    result = campaign(*one, *ctc, latency=True)
    rows = rows_of(tmp_path)
    assert (result.n_finished, result.n_failed) == (1, 0)
    assert all(row.error is not None and row.latency_p95_ms > 0 for row in rows)
    kept = [json.loads((Path(row.artifact) / "adapter.json").read_text())["labels"] for row in rows]
    assert all({"<pad>", "|", *"one", *"two"} <= set(tokens) for tokens in kept)


SEARCH = ("batch_size = 2", "batch_size = 2\nlearning_rate = [1e-4, 1e-1]")


@pytest.fixture
def validated(manifest: Path) -> None:
    """One speaker of the micro corpus to choose learning rates by."""
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    marked = [row | {"split": "validation"} if row["speaker"] == "s2" else row for row in rows]
    manifest.write_text("\n".join(map(json.dumps, marked)))


def test_a_search_trains_every_rate_validates_each_and_keeps_the_beaten_out_of_the_law(
    campaign, validated, tmp_path
):
    from planner.evidence.study import gather

    result = campaign(SEARCH, task="emotion")
    rows = rows_of(tmp_path)
    assert (result.n_finished, len(rows)) == (6, 6)
    assert all(row.resources.validate for row in swept(tmp_path))
    assert all(0 <= row.evaluation_details["validation_error"] <= 1 for row in rows)
    evidence = gather(rows, "emotion", axes=("audio_seconds",))
    assert len({row.setup.fingerprint for row in evidence.rows}) == 3
    reasons = dict(evidence.exclusions)
    assert sorted({row.run_id for row in rows} - {row.run_id for row in evidence.rows}) == sorted(
        reasons
    )
    assert all("another learning rate was better" in reason for reason in reasons.values())


def swept(tmp_path: Path) -> Sequence[TrialStatus]:
    with opened(f"sqlite:///{tmp_path}/runs.db") as engine:
        return sweep_status(engine, "micro").rows


def test_a_trial_is_executed_by_its_stored_resources_on_the_gpus_of_its_executor(
    campaign, monkeypatch
):
    seen: list[Resources] = []

    def watched(trial: Trial, resources: Resources, **rest: object) -> RunRecord:
        seen.append(resources)
        return RunRecord(status="finished", evaluations=(HALF,))

    def on_a_gpu(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        given = dataclasses.replace(job.placement, gpus=0.5, micro_batch=7, validate=True)
        return work_on(dataclasses.replace(job, placement=given), stopped)

    monkeypatch.setattr("runner.trial.run.run_trial", watched)
    campaign(work=on_a_gpu)
    assert set(seen) == {Resources(gpus=0.5)}


def test_a_second_run_trains_nothing_and_says_so(campaign, tmp_path):
    campaign(work=quick)
    before = rows_of(tmp_path)
    again = campaign(work=never)
    assert (again.n_finished_before, again.n_finished) == (3, 3)
    assert "nothing to train: 3 of 3 trials" in (tmp_path / "said.txt").read_text()
    assert rows_of(tmp_path) == before


def test_a_campaign_whose_only_host_is_drained_waits_and_goes_on_when_it_is_undone(
    campaign, tmp_path
):
    host, db, said = socket.gethostname(), f"sqlite:///{tmp_path}/runs.db", tmp_path / "said.txt"
    with opened(db) as engine:
        host_leases.drain(engine, host)

    def undo_once_it_waits() -> None:
        while not said.exists() or f"drained hosts: {host}" not in said.read_text():
            time.sleep(0.02)
        time.sleep(0.3)
        assert rows_of(tmp_path) == []
        with opened(db) as engine:
            host_leases.give_up(engine, host, host_leases.DRAINED)

    undoing = threading.Thread(target=undo_once_it_waits)
    undoing.start()
    result = campaign(work=quick)
    undoing.join()
    assert (result.n_finished, len(rows_of(tmp_path))) == (3, 3)
    assert "drained hosts: none any more" in said.read_text()


def quick(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
    """The worker's claims without the training, for tests of the driver."""
    return end_with(job, RunRecord(status="finished", evaluations=(HALF,)))


def hopeless(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
    return end_with(job, RunRecord(status="failed", failure_class="diverged", failure_text="nan"))


HALF = Evaluation(split="test", metric="wer", error=0.5, n_units=2, n_errors=1)


def end_with(job: TrialJob, record: RunRecord) -> JobOutcome:
    with opened(job.db) as engine:
        claim = claim_trial(engine, job.trial_id, this_worker(), 60.0)
        if claim is None:
            return JobOutcome(trial_id=job.trial_id, kind="not-claimed")
        return store_record(engine, claim, record)


def never(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
    raise AssertionError(f"trial {job.trial_id} must not be worked on again")


def test_a_dry_run_lists_costs_and_writes_no_database(write_spec, tmp_path, capsys):
    from runner import sweep_commands

    sweep_commands.dry_run(
        write_spec(), f"sqlite:///{tmp_path}/none.db", "json", device=None, workers=None
    )
    found = json.loads(capsys.readouterr().out)
    rows = found["trials"]
    assert [row["state"] for row in rows] == ["new"] * 3
    assert (found["total"]["source"], found["total"]["n_trials"]) == ("assumption", 3)
    assert all(row["train_flops"] > row["window_flops"] > 0 for row in rows)
    assert not (tmp_path / "none.db").exists()


def test_a_dry_run_knows_what_is_finished(campaign, write_spec, tmp_path, capsys):
    from runner import sweep_commands

    campaign(work=quick)
    sweep_commands.dry_run(
        write_spec(("[2, 3]", "[2, 3, 4]")),
        f"sqlite:///{tmp_path}/runs.db",
        "json",
        device=None,
        workers=None,
    )
    states = [row["state"] for row in json.loads(capsys.readouterr().out)["trials"]]
    assert sorted(states) == ["finished", "finished", "new", "new"]


def test_a_diverged_trial_fails_at_once_and_the_others_finish(campaign, tmp_path):
    changes = ('reduction = ["none", "stem:2"]', 'reduction = "none"')
    result = campaign(changes, ("steps = 2", "steps = 3\nlearning_rate = 1e30\nclip_norm = 1e30"))
    rows = rows_of(tmp_path)
    assert (result.n_finished, result.n_failed) == (0, 2)
    assert {(row.failure_class, row.attempt) for row in rows} == {("diverged", 1)}


def test_weights_that_cannot_be_had_are_a_failure_without_retry(campaign, tmp_path):
    result = campaign(('initialisation = "random"', 'initialisation = "pretrained"'))
    assert result.n_failed == 3
    assert {row.failure_class for row in rows_of(tmp_path)} == {"missing-resource"}


def test_a_programming_error_stops_the_campaign_and_keeps_its_trace(
    campaign, tmp_path, monkeypatch
):
    def broken(*args: object, **kwargs: object) -> None:
        raise TypeError("a wrong turn")

    monkeypatch.setattr("runner.trial.run.run_trial", broken)
    with pytest.raises(TrialsFailedError, match="programming error: TypeError: a wrong turn"):
        campaign()
    row = rows_of(tmp_path)[0]
    assert row.failure_class == "programming-error"
    assert "Traceback" in row.failure_text
    assert len(rows_of(tmp_path)) < 3


def test_a_sqlite_database_is_refused_where_the_cluster_has_other_hosts(campaign, tmp_path):
    with pytest.raises(InputError, match=r"other hosts \(far\.away\) and the database is SQLite"):
        campaign(hosts=frozenset({"far.away"}))
    assert rows_of(tmp_path) == []


def test_a_worker_of_another_version_is_refused_with_both_versions(campaign, tmp_path):
    def older(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        driver = {**job.versions, "soundscale": "99.0"}
        return work_on(dataclasses.replace(job, versions=driver), stopped)

    with pytest.raises(InputError, match=r"runs soundscale \S+ \(driver: 99\.0\)"):
        campaign(work=older)
    assert rows_of(tmp_path) == []


def test_what_failed_is_not_tried_again_before_it_is_queued_again(campaign, tmp_path):
    from runner import sweep_commands

    db = f"sqlite:///{tmp_path}/runs.db"
    campaign(work=hopeless)
    campaign(work=never)
    assert sweep_commands.retry(db, "micro", failed=True, cancelled=False) == 3
    campaign(work=hopeless)
    assert sorted(row.attempt for row in rows_of(tmp_path)) == [1, 1, 1, 2, 2, 2]


def test_a_cancelled_sweep_stays_cancelled_until_it_is_queued_again(campaign, tmp_path):
    from runner import sweep_commands

    db = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(KeyboardInterrupt):
        campaign(work=interrupted)
    assert sweep_commands.cancel(db, "micro") == 3
    assert campaign(work=never).n_cancelled == 3
    assert "sweep retry micro --cancelled" in (tmp_path / "said.txt").read_text()
    assert sweep_commands.retry(db, "micro", failed=False, cancelled=True) == 3
    assert campaign(work=quick).n_finished == 3


def interrupted(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
    raise KeyboardInterrupt


def test_a_driver_that_is_asked_to_end_while_it_takes_a_lock_gives_its_trials_back(
    campaign, tmp_path, monkeypatch
):
    """The interrupt comes out of `threading.Condition` as an error of its own."""
    collect = InlineExecutor.collect

    def in_a_lock(self: InlineExecutor, seconds: float) -> list[JobOutcome]:
        try:
            return collect(self, seconds)
        except KeyboardInterrupt:
            raise RuntimeError("release unlocked lock") from None

    def asks_to_end(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        os.kill(os.getpid(), signal.SIGTERM)
        while not stopped():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        return JobOutcome(trial_id=job.trial_id, kind="released")

    monkeypatch.setattr(InlineExecutor, "collect", in_a_lock)
    with pytest.raises(KeyboardInterrupt):
        campaign(work=asks_to_end)
    assert "the same command again" in (tmp_path / "said.txt").read_text()
    monkeypatch.undo()
    assert campaign(work=quick).n_finished == 3


def driven(executor: InlineExecutor) -> None:
    try:
        with sigterm_interrupts():
            executor.submit(object())  # nobody looks at it
            while True:
                executor.collect(1.0)
    finally:
        executor.close()


def test_no_trial_of_threads_outlives_a_driver_that_is_interrupted_at_its_first_step():
    """`ThreadPoolExecutor` left it running in 200 of 200 rounds: interrupted where it starts a thread, it keeps no
    note of that thread (CPython 3.11.7)."""
    for _ in range(50):
        ended = threading.Event()

        def asks_to_end(job: object, stopped: Callable[[], bool]) -> JobOutcome:
            os.kill(os.getpid(), signal.SIGTERM)
            while not stopped():
                time.sleep(0.001)
            ended.set()  # noqa: B023
            return JobOutcome(trial_id=1, kind="released")

        with pytest.raises(KeyboardInterrupt):
            driven(InlineExecutor(work=asks_to_end))
        assert ended.is_set()


def test_two_drivers_on_one_sweep_store_each_trial_once(campaign, tmp_path, db_url):
    second: list[CampaignResult] = []

    def with_company(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        """While the first driver works on its first trial, another one runs the whole sweep."""
        if not second:
            second.append(campaign(work=quick, db=db_url))
        return quick(job, stopped)

    first = campaign(work=with_company, db=db_url)
    assert (first.n_finished, second[0].n_finished) == (3, 3)
    assert first.n_trained + second[0].n_trained == 3
    assert "by other drivers" in result_line(first, db_url)
    assert [row.attempt for row in rows_of(tmp_path, db_url)] == [1, 1, 1]


def test_an_attempt_whose_process_is_gone_is_taken_over_at_once(campaign, db_url):
    dead = claim_of_a_dead_process(campaign, db_url)
    campaign(work=quick, db=db_url)
    engine = open_store(db_url)
    lost, done = attempts(engine, dead.trial_id)
    assert (lost.status, done.status) == ("lost", "finished")
    assert "is gone" in lost.failure_text
    assert not finish(engine, dead, RunRecord(status="finished"))
    engine.dispose()


def test_a_worker_killed_for_its_memory_is_recorded_so(campaign, db_url):
    from runner.campaign.recovery import end_exhausted

    dead = claim_of_a_dead_process(campaign, db_url)
    engine = open_store(db_url)
    end_exhausted(engine, sweep_status(engine, "micro").sweep_id, dead.trial_id, "Ray killed it")
    assert sweep_status(engine, "micro").rows[0].state == "queued"
    assert attempts(engine, dead.trial_id)[0].failure_class == "out-of-memory"
    engine.dispose()


def claim_of_a_dead_process(campaign: Callable[..., CampaignResult], db_url: str) -> Claim:
    """Register the sweep, then claim its first trial in the name of a process that has ended."""
    with pytest.raises(KeyboardInterrupt):
        campaign(work=interrupted, db=db_url)
    ended = subprocess.Popen(["true"])
    ended.wait()
    engine = open_store(db_url)
    worker = dataclasses.replace(this_worker(), pid=ended.pid)
    row = sweep_status(engine, "micro").rows[0]
    claim = claim_trial(engine, row.trial_id, worker, lease_seconds=600.0)
    engine.dispose()
    assert claim is not None
    return claim


def test_a_storage_that_fails_pauses_the_campaign_and_charges_no_trial(campaign, tmp_path):
    failures = iter([True, True])

    def full_twice(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        if next(failures, False):
            return JobOutcome(trial_id=job.trial_id, kind="storage", failure_text="cannot write")
        return quick(job, stopped)

    assert campaign(work=full_twice).n_finished == 3
    assert [row.attempt for row in rows_of(tmp_path)] == [1, 1, 1]
    said = (tmp_path / "said.txt").read_text()
    assert "the campaign pauses: cannot write" in said
    assert "the campaign goes on" in said


def test_a_storage_that_stays_away_ends_the_campaign_with_its_own_exit_code(campaign, tmp_path):
    def full(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        return JobOutcome(trial_id=job.trial_id, kind="storage", failure_text="cannot write")

    with pytest.raises(OutageError, match="the same command goes on") as end:
        campaign(work=full, storage_seconds=0.0)
    assert end.value.exit_code == 10
    assert {row.state for row in swept(tmp_path)} == {"queued"}


def test_a_worker_that_cannot_reach_the_database_costs_neither_the_campaign_nor_a_trial(
    campaign, tmp_path
):
    failures = iter([True, True])

    def beyond_a_cut_link(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        if next(failures, False):
            # The discard port: nothing listens there.
            job = dataclasses.replace(job, db="postgresql://nobody@127.0.0.1:9/none")
            return work_on(job, stopped)
        return quick(job, stopped)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transactions, "RETRY_SECONDS", 0.0)
        assert campaign(work=beyond_a_cut_link).n_finished == 3
    assert [row.attempt for row in rows_of(tmp_path)] == [1, 1, 1]
    assert "its trial runs again" in (tmp_path / "said.txt").read_text()


def test_a_database_that_no_worker_reaches_ends_the_campaign(campaign):
    def away(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
        return JobOutcome(trial_id=job.trial_id, kind="cut-off", failure_text="cannot open it")

    with pytest.raises(StoreError, match="cannot open it"):
        campaign(work=away)


def test_a_database_that_takes_nothing_more_is_everybodys(tmp_path):
    with opened(f"sqlite:///{tmp_path}/full.db") as engine, pytest.raises(StoreError) as full:
        transactions.write(
            engine, lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1") and fill(c)
        )
    assert kind_of(full.value) == "unstored"


def fill(connection: Any) -> None:
    connection.exec_driver_sql("CREATE TABLE much (a)")
    connection.exec_driver_sql("INSERT INTO much VALUES (zeroblob(10000000))")
