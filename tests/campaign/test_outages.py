from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planner.errors import MissingResourceError, OutageError
from planner.store.engine import opened
from planner.store.read import attempts, sweep_status
from runner.campaign import display, executors, outages
from runner.campaign.drive import CampaignSetting, run_campaign
from runner.campaign.executors import RayExecutor, _import_ray
from runner.campaign.host import short_folder
from runner.campaign.outages import SteadyExecutor
from runner.campaign.worker import JobOutcome, TrialJob
from runner.sweep import prepare
from tests.campaign.test_executors import wait_for
from tests.chaos.invariants import audited

pytestmark = pytest.mark.usefixtures("clean_history")

JOB = SimpleNamespace(trial_id=4)


class Fragile:
    """An executor whose Ray dies while it collects, and which then finishes what it is given."""

    def __init__(self, *, dies: bool) -> None:
        self.dies = dies
        self.hosts, self.n_gpus = frozenset({"here"}), 0.0
        self.jobs: list = []

    def avoid(self, hosts: frozenset[str]) -> None:
        self.avoided = hosts

    def submit(self, job: object) -> None:
        self.jobs.append(job)

    def collect(self, seconds: float) -> list[JobOutcome]:
        if self.dies:
            raise OutageError("Ray does not work any more: the raylet is gone")
        return [JobOutcome(trial_id=job.trial_id, kind="finished") for job in self.jobs]

    def close(self) -> None:
        """Nothing is held."""


def steady(deaths: list[bool], *, owned: bool = True, said: list[str] | None = None):
    left = iter(deaths)
    lines: list[str] = [] if said is None else said
    return SteadyExecutor(
        lambda: Fragile(dies=next(left)), lines.append, local=owned, pause=lambda seconds: None
    )


def test_trials_in_flight_come_back_as_an_outage_and_the_next_cluster_takes_over():
    said: list[str] = []
    executor = steady([True, False], said=said)
    executor.submit(JOB)
    assert [(o.trial_id, o.kind) for o in executor.collect(0)] == [(4, "outage")]
    executor.submit(JOB)
    assert [o.kind for o in executor.collect(0)] == ["finished"]
    assert "a new local cluster is started (1 of 3)" in said[0]


def test_the_next_cluster_avoids_the_hosts_that_the_last_one_did():
    executor = steady([True, False])
    executor.avoid(frozenset({"drained"}))
    executor.submit(JOB)
    executor.collect(0)
    assert executor._now.avoided == {"drained"}


def test_the_fourth_outage_of_a_local_cluster_ends_with_its_own_exit_code():
    executor = steady([True] * 9)
    for _ in range(3):
        executor.collect(0)
    with pytest.raises(OutageError, match="--ray none") as end:
        executor.collect(0)
    assert end.value.exit_code == 10
    assert executor.stop(0) == []


def test_a_cluster_of_others_is_waited_for(monkeypatch):
    said: list[str] = []
    makes = iter([Fragile(dies=True), None, Fragile(dies=False)])

    def make() -> Fragile:
        found = next(makes)
        if found is None:
            raise MissingResourceError("no Ray cluster answers at 'auto'")
        return found

    executor = SteadyExecutor(make, said.append, local=False, pause=lambda seconds: None)
    executor.collect(0)
    assert said[-1] == "the cluster answers again"
    assert "waiting up to 600 s" in said[0]


@pytest.mark.parametrize(
    ("local", "told"), [(True, "is started (1 of 3)"), (False, "waiting up to 600 s")]
)
def test_the_first_start_is_tried_again_as_the_later_ones_are(local, told):
    said: list[str] = []
    makes = iter([OutageError("Ray does not start on this machine"), Fragile(dies=False)])

    def make() -> Fragile:
        found = next(makes)
        if isinstance(found, OutageError):
            raise found
        return found

    executor = SteadyExecutor(make, said.append, local=local, pause=lambda seconds: None)
    executor.submit(JOB)
    assert [outcome.kind for outcome in executor.collect(0)] == ["finished"]
    assert told in said[0]


def test_a_cluster_that_never_was_there_is_not_waited_for():
    def make() -> Fragile:
        raise MissingResourceError("no Ray cluster answers at 'auto'")

    with pytest.raises(MissingResourceError):
        SteadyExecutor(make, lambda line: None, local=False)


def test_a_cluster_that_stays_away_ends_with_what_to_do(monkeypatch):
    monkeypatch.setattr(outages, "WAIT_SECONDS", 0.0)
    executor = steady([True, True], owned=False)
    with pytest.raises(OutageError, match="ray start --head"):
        executor.collect(0)


RAY_ERRORS = ("RaySystemError", "LocalRayletDiedError", "OutOfDiskError", "RuntimeEnvSetupError")


@pytest.mark.parametrize("name", RAY_ERRORS)
def test_every_error_of_rays_own_machinery_is_an_outage(name):
    ray = _import_ray()
    with pytest.raises(OutageError, match="Ray does not work any more"), outages.outages(ray):
        raise getattr(ray.exceptions, name)("it broke")


@pytest.mark.parametrize(
    "problem", [RuntimeError("Failed to start GCS. Last 0 lines"), Exception("timed out")]
)
def test_a_ray_that_does_not_start_is_an_outage_and_leaves_no_folder(
    problem, monkeypatch: pytest.MonkeyPatch
):
    ray = _import_ray()
    asked: list[Path] = []

    def init(**options: object) -> None:
        asked.append(Path(str(options["_temp_dir"])))
        raise problem

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(OutageError, match="Ray does not start on this machine"):
        RayExecutor("local", n_workers=1)
    assert not asked[0].exists()


def finished_once_told(folder: str) -> Callable[[TrialJob], JobOutcome]:
    """Work of a real claim that ends when its folder says so, without the seconds of training."""

    def work(job: TrialJob) -> JobOutcome:
        import pathlib
        import time

        from planner.store.claims import claim_trial
        from planner.store.engine import opened
        from planner.words.records import Evaluation, RunRecord
        from runner.campaign.worker import store_record, this_worker

        half = Evaluation(split="test", metric="wer", error=0.5, n_units=2, n_errors=1)
        with opened(job.db) as engine:
            claim = claim_trial(engine, job.trial_id, this_worker(), 60.0)
            if claim is None:
                return JobOutcome(trial_id=job.trial_id, kind="not-claimed")
            while not (pathlib.Path(folder) / "go-on").exists():
                time.sleep(0.02)
            return store_record(engine, claim, RunRecord(status="finished", evaluations=(half,)))

    return work


@pytest.mark.ray
def test_a_driver_whose_raylet_is_killed_starts_a_new_cluster_and_finishes(
    write_spec: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And whose first start fails: Ray gets a folder at first in which nothing can be made."""
    psutil = pytest.importorskip("psutil")
    folders = iter([Path("/proc/soundscale")])
    monkeypatch.setattr(executors, "short_folder", lambda: next(folders, None) or short_folder())
    # Ray's head looks every 3 s and believes in a death at the fifth miss: a minute of waiting.
    monkeypatch.setenv("RAY_health_check_period_ms", "300")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    db = f"sqlite:///{tmp_path}/runs.db"
    prepared = prepare.prepare(write_spec(), db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=str(tmp_path / "artifacts"), poll_seconds=0.1)
    work = finished_once_told(str(tmp_path))

    def kill_the_raylet() -> None:
        worker = wait_for(tmp_path, "running")[0].pid
        for process in psutil.Process().children(recursive=True):
            if process.name() == "raylet":
                os.kill(process.pid, signal.SIGKILL)
        while psutil.pid_exists(worker):
            time.sleep(0.05)
        (tmp_path / "go-on").touch()

    answers: list[Any] = []

    def make() -> RayExecutor:
        made = RayExecutor("local", n_workers=1, work=work)
        answers.append(signal.getsignal(signal.SIGTERM))
        return made

    killer = threading.Thread(target=kill_the_raylet)
    killer.start()
    with (tmp_path / "said.txt").open("w") as talk:
        shown = display.PlainLines(talk)
        result = run_campaign(
            prepared.spec,
            prepared.trials,
            setting,
            lambda: SteadyExecutor(make, shown.say, local=True),
            shown,
        )
    killer.join()
    said = (tmp_path / "said.txt").read_text()
    assert re.search(r"Ray does not start on this machine: .*a new local .* \(1 of 3\)", said)
    assert re.search(r"Ray does not work any more: .*a new local .* \(2 of 3\)", said)
    # Ray takes SIGTERM for itself whenever it starts; it stays the campaign's.
    assert ["sigterm_interrupts" in answer.__qualname__ for answer in answers] == [True, True]
    assert result.n_finished == result.n_trials == 3
    with opened(db) as engine:
        assert audited(engine) == {}
        histories = [
            [attempt.status for attempt in attempts(engine, row.trial_id)]
            for row in sweep_status(engine, "micro").rows
        ]
    assert sorted(histories) == [["cancelled", "finished"], ["finished"], ["finished"]]
