from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from planner.errors import InputError
from planner.store.engine import open_store, opened
from planner.store.read import attempts, latencies, runs, sweep_status
from planner.words.records import Resources
from runner.campaign import artifacts, display, doctor_nodes
from runner.campaign.drive import CampaignResult, CampaignSetting, run_campaign
from runner.campaign.executors import RayExecutor, check_fits
from runner.campaign.host import ProcessIdentity, short_folder
from runner.campaign.worker import JobOutcome, TrialJob
from runner.data.clips import DataSpec
from runner.sweep import prepare
from runner.trial.device import gpu_models
from tests.campaign.made import NO_LATENCY, write_sweep, write_tones
from tests.chaos.invariants import audited

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayExecutor]:
    """Two one-thread workers and a logical GPU, started under a $TMPDIR too long for Ray's sockets."""
    long = tmp_path_factory.mktemp("a" * 90)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(long))
        executor = RayExecutor("local", n_workers=2, gpus=1)
    yield executor
    executor.close()


class Shared:
    """The module's cluster, left running when a campaign closes it."""

    def __init__(self, cluster: RayExecutor) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> object:
        return getattr(self._cluster, name)

    def close(self) -> None:
        """Left to the fixture."""


def campaign_on(cluster: RayExecutor, folder: Path, spec: Path) -> CampaignResult:
    """Run a sweep on the module's cluster, with its database and files in a folder."""
    db = f"sqlite:///{folder}/runs.db"
    prepared = prepare.prepare(spec, db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=str(folder / "artifacts"), poll_seconds=0.1)
    shared = Shared(cluster)
    return run_campaign(prepared.spec, prepared.trials, setting, lambda: shared, display.Quiet())


@pytest.fixture
def campaign(cluster: RayExecutor, tmp_path: Path) -> Callable[[Path], CampaignResult]:
    return partial(campaign_on, cluster, tmp_path)


def rows_of(tmp_path: Path) -> list:
    with opened(f"sqlite:///{tmp_path}/runs.db") as engine:
        return runs(engine)


def latencies_of(tmp_path: Path) -> list:
    with opened(f"sqlite:///{tmp_path}/runs.db") as engine:
        return latencies(engine)


def wait_for(tmp_path: Path, state: str) -> list:
    """Trials of the sweep in that state, as soon as there is one."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if (tmp_path / "runs.db").exists():
            engine = open_store(f"sqlite:///{tmp_path}/runs.db")
            try:
                found = [r for r in sweep_status(engine, "micro").rows if r.state == state]
            except InputError:
                found = []  # not registered yet
            finally:
                engine.dispose()
            if found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"no trial came to be {state}")


@pytest.mark.parametrize("task", ["asr", "emotion"])
def test_a_real_lora_trial_of_each_task_trains_on_ray(task, campaign, write_spec, tmp_path):
    one = ('kind = "star"', 'kind = "list"\nruns = [{audio_seconds = 2, reduction = "stem:2"}]')
    result = campaign(write_spec(one, ("[2, 3]", "2"), task=task))
    row = rows_of(tmp_path)[0]
    assert (result.n_finished, row.status, row.trial.task) == (1, "finished", task)
    assert row.n_trainable > 0
    assert {x.latency.n_processes for x in latencies_of(tmp_path)} == {1}
    assert row.error is not None
    assert Path(row.artifact).exists()


@pytest.fixture(scope="module")
def disturbed(
    cluster: RayExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CampaignResult, Engine, list[int]]]:
    """A campaign of two trials: the worker of the first is killed, that of the other gets SIGTERM."""
    folder = tmp_path_factory.mktemp("disturbed")
    spec = write_sweep(
        folder, write_tones(folder), ("steps = 2", "steps = 60"), ('["none", "stem:2"]', '"none"'),
        NO_LATENCY,
    )  # fmt: skip
    hit: list[int] = []

    def disturb() -> None:
        for sent in (signal.SIGKILL, signal.SIGTERM):
            while not (rows := [r for r in wait_for(folder, "running") if r.trial_id not in hit]):
                time.sleep(0.02)
            os.kill(rows[0].pid, sent)
            hit.append(rows[0].trial_id)

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    result = campaign_on(cluster, folder, spec)
    disturbing.join()
    with opened(f"sqlite:///{folder}/runs.db") as engine:
        yield result, engine, hit


def test_a_trial_whose_worker_is_killed_runs_again_and_is_stored_once(disturbed):
    result, engine, (killed, _) = disturbed
    assert [row.status for row in attempts(engine, killed)] == ["lost", "finished"]
    assert (audited(engine), result.n_finished) == ({}, 2)


def test_a_worker_that_gets_sigterm_gives_its_trial_back_uncharged(disturbed):
    _, engine, (_, asked) = disturbed
    assert [row.status for row in attempts(engine, asked)] == ["cancelled", "finished"]
    (row,) = [row for row in sweep_status(engine, "micro").rows if row.trial_id == asked]
    assert row.max_attempts - row.n_attempts == 2


INTERRUPTS = [
    pytest.param(signal.SIGINT, ["none"], id="ctrl-c-inline"),
    pytest.param(signal.SIGTERM, ["local", "--workers", "1"], id="sigterm-ray"),
]


@pytest.mark.parametrize(("sent", "ray"), INTERRUPTS)
def test_an_interrupted_driver_gives_its_trial_back_and_says_how_to_go_on(
    sent, ray, write_spec, tmp_path
):
    driver = start(write_spec(("steps = 2", "steps = 4000")), tmp_path, "--ray", *ray)
    wait_for(tmp_path, "running")
    driver.send_signal(sent)
    _, said = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "start the same command again" in said
    engine = open_store(f"sqlite:///{tmp_path}/runs.db")
    rows = sweep_status(engine, "micro").rows
    assert {row.state for row in rows} == {"queued"}
    assert {row.max_attempts - row.n_attempts for row in rows} == {3}
    assert [row.status for row in runs(engine)] == ["cancelled"]
    assert audited(engine) == {}
    engine.dispose()


def start(spec: Path, tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    """The command itself, in a process of its own."""
    command = [
        sys.executable,
        "-c",
        "from planner.cli.main import main; main()",
        "sweep",
        "run",
        str(spec),
    ]
    command += ["--db", f"{tmp_path}/runs.db", "--artifacts", str(tmp_path / "a"), *options]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # A shell that starts this run in the background leaves Ctrl-C ignored, also for children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


PACKED = [
    (Resources(cpus=1), 2),
    (Resources(cpus=2), 1),
    (Resources(cpus=0.5), 4),
    (Resources(cpus=0.1, gpus=0.25), 4),
    (Resources(cpus=1, gpus=1), 1),
]


@pytest.mark.parametrize(("resources", "n"), PACKED)
def test_trials_are_packed_by_what_they_ask_for(resources, n, cluster):
    assert check_fits(cluster, resources) == n
    assert cluster.most_on_a_node(resources) == n


def holding(folder: str, n_together: int) -> Callable[[TrialJob], JobOutcome]:
    """Work that waits until so many tasks have begun, and then counts those that run."""

    def work(job: TrialJob) -> JobOutcome:
        import pathlib
        import time

        place = pathlib.Path(folder)
        (place / f"begun-{job.trial_id}").touch()
        while len(list(place.glob("begun-*"))) < n_together:
            time.sleep(0.05)
        time.sleep(0.3)
        running = len(list(place.glob("begun-*"))) - len(list(place.glob("ended-*")))
        (place / f"ended-{job.trial_id}").touch()
        return JobOutcome(trial_id=job.trial_id, kind="finished", failure_text=str(running))

    return work


def test_halves_of_a_gpu_are_used_together_and_never_oversubscribed(cluster, tmp_path):
    executor = RayExecutor("local", work=holding(str(tmp_path), 2))
    half = Resources(cpus=0.1, gpus=0.5)
    assert executor.capacity(half) == 2
    for number in range(4):
        executor.submit(job_of(number, half))
    outcomes: list[JobOutcome] = []
    while len(outcomes) < 4:
        outcomes += executor.collect(60.0)
    assert [outcome.kind for outcome in outcomes] == ["finished"] * 4
    assert max(int(outcome.failure_text) for outcome in outcomes) == 2


def says_its_process(job: TrialJob) -> JobOutcome:
    return JobOutcome(trial_id=job.trial_id, kind="finished", failure_text=str(os.getpid()))


@pytest.mark.parametrize(("gpus", "n_processes"), [(1.0, 3), (0.0, 1)])
def test_trials_with_a_gpu_get_a_fresh_process_each_and_others_share_theirs(
    gpus, n_processes, cluster
):
    executor = RayExecutor("local", work=says_its_process)
    seen = set()
    for number in range(3):
        executor.submit(job_of(number, Resources(cpus=1, gpus=gpus)))
        (outcome,) = executor.collect(120.0)
        seen.add(outcome.failure_text)
    assert len(seen) == n_processes


def job_of(number: int, resources: Resources) -> TrialJob:
    return TrialJob(
        trial_id=number,
        label=f"trial {number}",
        db="none",
        data_request=DataSpec(name="none", path="none", task="asr"),
        artifacts="none",
        weights=None,
        placement=resources,
        versions={},
    )


@pytest.mark.parametrize(
    "resources",
    [Resources(gpus=2), Resources(memory_bytes=2**50), Resources(device_label="h100")],
    ids=["gpus", "memory", "label"],
)
def test_what_no_node_has_is_refused_at_once(resources, cluster):
    with pytest.raises(InputError, match="no node of the cluster has that"):
        check_fits(cluster, resources)


def test_the_clusters_folder_is_short_whatever_tmpdir_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 100)))
    folder = short_folder()
    shutil.rmtree(folder)
    assert len(str(folder)) < 41


def test_the_folder_of_a_killed_driver_is_removed_and_a_living_ones_kept():
    ended = subprocess.Popen(["true"])
    ended.wait()
    me = ProcessIdentity.of_this_process().stored()
    abandoned, elsewhere = [Path(f"/tmp/sscale-{ended.pid}-{name}") for name in ("gone", "away")]
    for folder, process in ((abandoned, me), (elsewhere, me | {"namespace": "of a container"})):
        folder.mkdir()
        owner = {"pid": ended.pid, "process": process}
        (folder / "owner.json").write_text(json.dumps(owner))
    first, second = short_folder(), short_folder()
    assert (abandoned.exists(), elsewhere.exists(), first.exists()) == (False, True, True)
    for folder in (elsewhere, first, second):
        shutil.rmtree(folder)


def test_each_node_is_asked_by_a_task_of_its_own_what_it_reaches(cluster, sqlite_url, tmp_path):
    open_store(sqlite_url).dispose()
    artifacts.check(str(tmp_path))
    (row,) = doctor_nodes.nodes(sqlite_url, str(tmp_path))
    # The cluster hands out a GPU that this machine does not have.
    has = len(gpu_models())
    assert (row.state, "torch sees 0" in row.found) == (
        ("doubtful", True) if not has else (row.state, False)
    )
    assert not list(tmp_path.glob(".mark-*"))
    (row,) = doctor_nodes.nodes(f"sqlite:///{tmp_path}/none.db", str(tmp_path))
    assert (row.state, "does not reach the database: there is no" in row.found) == ("bad", True)
