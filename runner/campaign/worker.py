"""What runs inside one task: claim a trial, keep its lease, train it, store what came of it.

The database decides everything. A claim carries a fencing token; a heartbeat thread with its own
connection extends the lease by the database's clock and stops the work when the lease is lost; a
result is stored only while the token is still the newest. So any process may die, pause or be cut
off at any moment: the trial is stored once, by whoever holds the lease at the end.

Retry by failure class, and this is the only layer that retries:

| class | again? |
|---|---|
| out-of-memory | yes, with half the micro-batch (same effective batch), until it is 1 |
| lost-node, preempted | yes |
| diverged, broken-data, missing-resource | no: the same trial would end the same way |
| programming-error | no, and the campaign stops |
"""

from __future__ import annotations

import dataclasses
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.costs.flops.forward import resolve_convention
from planner.errors import InputError, MissingResourceError, StoreError
from planner.words.records import TRIAL_SCHEMA, Resources, RunRecord
from runner.campaign.artifacts import StorageError, Workplace, check_once, fault, workplace
from runner.campaign.cut_off import kind_of
from runner.campaign.heartbeat import LEASE_SECONDS, Heartbeat, StopWork
from runner.campaign.host import ProcessIdentity
from runner.campaign.host_use import refuses
from runner.campaign.notice import Notice
from runner.data.clips import DataSpec
from runner.trial.progress import StopKeeping
from runner.trial.versions import code_revision, installed, versions

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.claims import Claim, Worker

RETRIED = ("out-of-memory", "lost-node", "preempted")
"""Failure classes of which another attempt may end better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """One trial to be worked on: all that a worker on another machine needs to know."""

    trial_id: int
    label: str
    db: str
    data_request: DataSpec
    artifacts: str
    weights: str | None
    placement: Resources
    """What the executor sets aside; the claim's stored resources say how the trial is executed."""
    versions: dict[str, str]
    lease_seconds: float = LEASE_SECONDS
    n_processes: int = 1
    """Trials that may run on this machine at the same time, this one included."""
    latency: str = "beside"
    """When latency is measured: at the end of the trial (`beside`), there shortly and in a stage after
    training (`quiet`), or not at all (`none`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """What became of a job. The database holds the truth; this only tells the driver to look.

    `kind`: `finished`; `failed` (for good); `retry` (queued again); `fenced` (the lease was lost, nothing stored);
    `unstored` (the database cannot take the result); `cut-off` (it could not be reached from there); `not-claimed`
    (finished, or another worker has it); `released` (stopped and given back); `refused` (this worker may not run
    it); `died` (its process ended without a word); `storage` (its artifacts have nowhere
    to go); `drained` (its host takes no trials); `outage` (what runs the processes went away).
    """

    trial_id: int
    kind: str
    failure_class: str | None = None
    failure_text: str | None = None


def current_versions() -> dict[str, str]:
    """What must agree between driver and worker: package, counting convention, trial schema."""
    return {
        "soundscale": installed("soundscale") or "not installed",
        "flops": resolve_convention("exact"),
        "trial": TRIAL_SCHEMA,
    }


def version_mismatch(driver: dict[str, str], worker: dict[str, str]) -> str | None:
    """One line that names both versions of whatever differs, or None."""
    different = [
        f"{name} {worker.get(name, 'unknown')} (driver: {driver.get(name, 'unknown')})"
        for name in sorted({*driver, *worker})
        if driver.get(name) != worker.get(name)
    ]
    if not different:
        return None
    return (
        f"worker on {socket.gethostname()} runs {', '.join(different)}; every worker must run the "
        f"driver's version, install soundscale {driver.get('soundscale', 'unknown')} there"
    )


def _lacks(resources: Resources, *, own_process: bool) -> str | None:
    """What this worker was given and cannot use, in one line, or None.

    What it was not given is hidden where the process is the worker's own: threads of one driver share its
    environment with trials that do have a GPU, and with a local Ray that it may start.
    """
    from runner.trial.device import hide_gpus, unusable_gpu

    if resources.gpus <= 0 and own_process:
        hide_gpus()
    return unusable_gpu(resources)


def _broken() -> str | None:
    """What keeps this worker's libraries from being imported, in one line, or None.

    Asked before anything is claimed, and by one thread while the others wait.
    """
    from runner.trial import libraries

    try:
        libraries.load()
    except ImportError as problem:
        return _cannot_import(problem)
    return None


def _cannot_import(problem: ImportError) -> str:
    return (
        f"worker on {socket.gethostname()} cannot import what trials need: {problem}; no trial was "
        "charged; run: pip install 'soundscale[runner]' there, then the same command again"
    )


def this_worker() -> Worker:
    """Who claims: host, process, version and code revision."""
    from planner.store.claims import Worker

    me = ProcessIdentity.of_this_process()
    return Worker(
        host=socket.gethostname(),
        pid=os.getpid(),
        version=current_versions()["soundscale"],
        code_revision=code_revision(),
        process=None if me is None else me.stored(),
    )


def work_on(job: TrialJob, stopped: Callable[[], bool] | None = None) -> JobOutcome:
    """Claim a trial, run it, store its outcome. Raises nothing that a trial can cause.

    At SIGTERM the trial's step is finished and kept, the trial is given back, and the process ends.

    Args:
        job: the trial and where its database, data and weights are.
        stopped: asked between steps; True gives the trial back (the inline executor's Ctrl-C).
    """
    with Notice() as notice:
        try:
            return _work_on(job, stopped or (lambda: False), notice, own_process=stopped is None)
        except StoreError as problem:
            return _unstored(job.trial_id, problem)


def _unstored(trial_id: int, problem: StoreError) -> JobOutcome:
    return JobOutcome(trial_id=trial_id, kind=kind_of(problem), failure_text=_on_host(problem))


def _work_on(
    job: TrialJob, stopped: Callable[[], bool], notice: Notice, *, own_process: bool
) -> JobOutcome:
    from planner.store.claims import claim_trial
    from planner.store.engine import opened
    from planner.store.transactions import RETRY_SECONDS

    unfit = (
        version_mismatch(job.versions, current_versions())
        or _broken()
        or _lacks(job.placement, own_process=own_process)
    )
    if unfit is not None:
        return JobOutcome(trial_id=job.trial_id, kind="refused", failure_text=unfit)
    try:
        check_once(job.artifacts)
    except (InputError, MissingResourceError) as problem:
        return JobOutcome(trial_id=job.trial_id, kind="storage", failure_text=_on_host(problem))
    with opened(job.db, must_exist=True, worker=True, wait_seconds=RETRY_SECONDS) as engine:
        if kind := refuses(engine, lambda: notice.asked or stopped()):
            return JobOutcome(trial_id=job.trial_id, kind=kind)
        claim = claim_trial(engine, job.trial_id, this_worker(), job.lease_seconds)
        if claim is None:
            return JobOutcome(trial_id=job.trial_id, kind="not-claimed")
        return _attempt(engine, job, claim, stopped, notice)


def _attempt(
    engine: Engine, job: TrialJob, claim: Claim, stopped: Callable[[], bool], notice: Notice
) -> JobOutcome:
    """One attempt under its heartbeat; the record is stored while the lease still lives."""
    with Heartbeat(job.db, claim, job.lease_seconds, stopped, notice) as heart:
        try:
            with workplace(job.artifacts, claim.trial.fingerprint) as place:
                record = _run(engine, job, claim, heart, place)
                outcome = store_record(engine, claim, record)
                if outcome.kind in ("finished", "failed"):
                    place.discard_checkpoints()
                return outcome
        except StopWork:
            return JobOutcome(trial_id=claim.trial_id, kind="fenced", failure_text=heart.reason)
        except (StopKeeping, KeyboardInterrupt):
            return _released(engine, claim, heart.reason or notice.why)
        except ImportError as problem:
            # The installation's fault, never the trial's: another worker may well run it.
            text = _cannot_import(problem)
            _released(engine, claim, text)
            return JobOutcome(trial_id=claim.trial_id, kind="refused", failure_text=text)
        except StorageError as problem:
            text = _on_host(problem)
            _released(engine, claim, text)
            return JobOutcome(trial_id=claim.trial_id, kind="storage", failure_text=text)


def _on_host(problem: Exception) -> str:
    return f"worker on {socket.gethostname()}: {problem}"


def _released(engine: Engine, claim: Claim, why: str) -> JobOutcome:
    """Give a trial back that was stopped for no fault of its own: the attempt does not count."""
    from planner.store.claims import give_back

    give_back(engine, claim, why)
    return JobOutcome(trial_id=claim.trial_id, kind="released")


def _run(
    engine: Engine, job: TrialJob, claim: Claim, heart: Heartbeat, place: Workplace
) -> RunRecord:
    """`run_trial`, with whatever it raises turned into a record.

    Raises:
        StorageError: its files cannot be written, which is no fault of the trial.
        ImportError: a library is missing or broken here, which is none either.
    """
    from planner.store.read import catalogue
    from runner.trial.run import run_trial

    try:
        record = run_trial(
            claim.trial,
            attempt_resources(engine, job, claim),
            data_request=job.data_request,
            artifacts=place.folder,
            weights_folder=Path(job.weights) if job.weights else None,
            progress=heart.progress,
            checkpoints=place.checkpoints,
            on_checkpoint=place.keep,
            catalogue=catalogue(engine),
            latency=job.latency,
        )
        return _completed(record, job, place)
    except MissingResourceError as problem:
        return _failed("missing-resource", str(problem))
    except MemoryError as problem:
        return _failed("out-of-memory", f"out of memory: {problem}")
    except InputError as problem:
        return _failed("broken-data", str(problem))
    except (ImportError, StorageError):
        raise
    except Exception as problem:
        if (wrong := fault(job.artifacts, problem)) is not None:
            raise wrong from problem
        return _failed("programming-error", traceback.format_exc())


def _completed(record: RunRecord, job: TrialJob, place: Workplace) -> RunRecord:
    """A record with what only its worker knows: where its files are, and what ran beside it."""
    alone = job.n_processes == 1
    beside = [
        # Beside other trials no processor is waited for, yet caches and memory are shared.
        dataclasses.replace(x, n_processes=job.n_processes, quiet=x.quiet if alone else False)
        for x in record.latencies
    ]
    details = record.details
    if place.problems:
        details = (details or {}) | {"checkpoints_not_kept": place.problems[:5]}
    return dataclasses.replace(
        record,
        latencies=tuple(beside),
        artifact=place.publish(record.artifact),
        details=details,
    )


def _failed(failure_class: str, text: str) -> RunRecord:
    return RunRecord(
        status="failed",
        failure_class=failure_class,
        failure_text=text,
        host=socket.gethostname(),
        code_revision=code_revision(),
        versions=versions(),
    )


def attempt_resources(engine: Engine, job: TrialJob, claim: Claim) -> Resources:
    """The claim's stored resources on the GPUs that the executor gave this task.

    The micro-batch is halved for each attempt that ran out of memory. The effective batch stays what
    the trial says: gradients are accumulated over more steps.
    """
    from planner.store.read import attempts

    resources = dataclasses.replace(claim.resources, gpus=job.placement.gpus)
    n_exhausted = sum(a.failure_class == "out-of-memory" for a in attempts(engine, claim.trial_id))
    if not n_exhausted:
        return resources
    full = resources.micro_batch or claim.trial.optimisation.batch_size
    return dataclasses.replace(resources, micro_batch=max(1, full >> n_exhausted))


def may_retry(record: RunRecord) -> bool:
    """Whether another attempt may end better than this failed one."""
    if record.failure_class == "out-of-memory":
        return record.micro_batch is None or record.micro_batch > 1
    return record.failure_class in RETRIED


def store_record(engine: Engine, claim: Claim, record: RunRecord) -> JobOutcome:
    """Store an attempt's record under the claim's token.

    The store waits for a database that is away, and both statements are idempotent, so that a lost
    acknowledgement stores nothing twice. What cannot be stored in the end is left to the lease.
    """
    from planner.store.claims import fail, finish

    retry = record.status != "finished" and may_retry(record)
    try:
        if record.status == "finished":
            kept, kind = finish(engine, claim, record), "finished"
        else:
            kept, kind = fail(engine, claim, record, retry=retry), "retry" if retry else "failed"
    except StoreError as problem:
        return _unstored(claim.trial_id, problem)
    if not kept:
        return JobOutcome(trial_id=claim.trial_id, kind="fenced", failure_text="the lease was lost")
    return JobOutcome(
        trial_id=claim.trial_id,
        kind=kind,
        failure_class=record.failure_class,
        failure_text=record.failure_text,
    )
