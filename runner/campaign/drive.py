"""Drives a sweep: registers its trials, hands them to an executor, watches the database.

The driver keeps no state of its own that matters. Killed at any moment, the same command started
again finds what is finished, takes over what died, and goes on; several drivers may work on one
sweep at once. What a trial's worker promises is in runner.campaign.worker.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError, TrialsFailedError
from planner.words.records import Resources, Trial, canonical_json
from runner.campaign import artifacts
from runner.campaign.cut_off import CutOff
from runner.campaign.display import OPEN_STATES, Display, TimeLeft, counts
from runner.campaign.executors import Executor, check_fits
from runner.campaign.heartbeat import LEASE_SECONDS
from runner.campaign.notice import sigterm_interrupts
from runner.campaign.recovery import end_exhausted, give_back_dead, recover
from runner.campaign.storage_pause import WAIT_SECONDS, StoragePause
from runner.campaign.worker import JobOutcome, TrialJob, current_versions
from runner.sweep.keys import SweepSpec

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.read import SweepStatus, TrialStatus
    from planner.store.sweep_history import Left

POLL_SECONDS = 0.5
"""Shortest time between two looks at the database (s)."""

STATUS_SHARE = 0.05
"""Largest share of its time that a driver spends reading the state of a large sweep."""

STOP_SECONDS = 20.0
"""How long running trials may take to give themselves back after Ctrl-C (s); the lease covers the rest."""

BACKLOG = 2
"""Tasks handed out for each one that can run, so that no worker waits for the driver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """What a campaign found and did. Counts are of the sweep's trials; `n_trained` by this driver."""

    name: str
    n_trials: int
    n_finished_before: int
    n_finished: int
    n_failed: int
    n_cancelled: int
    n_trained: int
    seconds: float
    left: Left | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSetting:
    """Where a campaign works: the same for every trial of it."""

    db: str
    artifacts: str
    """A folder or an fsspec URL (`runner.campaign.artifacts`)."""
    weights: Path | None = None
    lease_seconds: float = LEASE_SECONDS
    poll_seconds: float = POLL_SECONDS
    storage_seconds: float = WAIT_SECONDS
    note_storage: bool = True
    """Whether a fault of the storage is told; of campaigns one after the other the first tells it."""


def absolute_db(url: str | None) -> str:
    """The database URL as any worker on this machine can open it, whatever its working directory."""
    from planner.store.engine import resolve_url

    resolved = resolve_url(url)
    prefix = "sqlite:///"
    if resolved.startswith(prefix):
        return prefix + str(Path(resolved.removeprefix(prefix)).expanduser().resolve())
    return resolved


def run_campaign(
    spec: SweepSpec,
    trials: Sequence[tuple[Trial, Resources]],
    setting: CampaignSetting,
    make_executor: Callable[[], Executor],
    display: Display,
    work: Callable[[Trial], float] = lambda trial: 1.0,
    registered: Callable[[Engine, int], object] = lambda engine, sweep_id: None,
) -> CampaignResult:
    """Train every trial of a sweep that is not finished; returns when none is waiting or running.

    Args:
        spec: the checked sweep file.
        trials: what `runner.sweep.expand.expand` made of it.
        setting: database, artifacts, weights.
        make_executor: called only when there is something to train.
        display: shows the progress.
        work: a number that grows with a trial's duration, for the time left.
        registered: called with the database and the sweep's key before anything is trained.

    Raises:
        InputError: the cluster cannot run a trial, spans hosts with a SQLite database, or a worker
            runs another version.
        TrialsFailedError: a programming error stopped the campaign.
        StoreError: results cannot be stored.
        OutageError: Ray, or the storage of artifacts, is away and did not come back.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the running trials were given back.
    """
    from planner.store.claims import check_one_host
    from planner.store.engine import opened

    with opened(setting.db) as engine, closing(display):
        check_one_host(engine, socket.gethostname())
        return Campaign(engine, spec, trials, setting, display, work).run(make_executor, registered)


class Campaign:
    """One driver of one sweep. `run_campaign` is the way in."""

    def __init__(
        self,
        engine: Engine,
        spec: SweepSpec,
        trials: Sequence[tuple[Trial, Resources]],
        setting: CampaignSetting,
        display: Display,
        work: Callable[[Trial], float],
    ) -> None:
        self._engine, self._spec, self._setting = engine, spec, setting
        self._trials, self._display, self._work = trials, display, work
        self._in_flight: set[int] = set()
        self._n_trained = 0
        self._last_recovery = -float("inf")
        self._drained: frozenset[str] = frozenset()
        self._pause = StoragePause(display.say, setting.storage_seconds)
        self._cut_off = CutOff(display.say)

    def run(
        self,
        make_executor: Callable[[], Executor],
        registered: Callable[[Engine, int], object],
    ) -> CampaignResult:
        """Register, train what is missing, report."""
        from planner.store.read import sweep_status
        from planner.store.wal import wal_reset_note
        from planner.store.write import register_sweep

        began = time.monotonic()
        spec_json = canonical_json(self._spec.model_dump(mode="json"))
        count = register_sweep(self._engine, self._spec.name, spec_json, self._trials)
        self._sweep_id = count.sweep_id
        registered(self._engine, count.sweep_id)
        self._recover(force=True)
        status = sweep_status(self._engine, self._spec.name)
        if count.left is not None:
            self._display.say(f"sweep {self._spec.name!r}: {count.left}")
        self._announce(status)
        if any(row.state in OPEN_STATES for row in status.rows):
            note = wal_reset_note(self._engine) if self._setting.note_storage else None
            if note:
                self._display.say(f"note: {note}")
            self._train(make_executor, status, began)
            status = sweep_status(self._engine, self._spec.name)
        n_by_state = counts(status)
        return CampaignResult(
            name=self._spec.name,
            n_trials=len(status.rows),
            n_finished_before=count.n_finished,
            n_finished=n_by_state["finished"],
            n_failed=n_by_state["failed"],
            n_cancelled=n_by_state["cancelled"],
            n_trained=self._n_trained,
            seconds=time.monotonic() - began,
            left=count.left,
        )

    def _announce(self, status: SweepStatus) -> None:
        name, n_by_state = self._spec.name, counts(status)
        n_open = n_by_state["queued"] + n_by_state["running"]
        if not n_open:
            self._display.say(
                f"nothing to train: {n_by_state['finished']} of {len(status.rows)} trials of sweep "
                f"{name!r} are finished"
            )
        else:
            self._display.say(
                f"sweep {name!r}: {len(status.rows)} trials, {n_by_state['finished']} finished already, "
                f"{n_open} to run"
            )
        for state, said in (("failed", "failed earlier"), ("cancelled", "are cancelled")):
            if n := n_by_state[state]:
                again = f"soundscale sweep retry {name} --{state}"
                self._display.say(f"{n} {said}; to try them again: {again}")

    def _train(
        self, make_executor: Callable[[], Executor], status: SweepStatus, began: float
    ) -> None:
        done = frozenset(r.trial_id for r in status.rows if r.state not in OPEN_STATES)
        left = TimeLeft({r.trial_id: self._work(r.trial) for r in status.rows}, began, done)
        with sigterm_interrupts() as asked:
            executor = make_executor()
            try:
                self._check(executor)
                self._loop(executor, left, asked)
            except BaseException as problem:
                if (
                    isinstance(problem, KeyboardInterrupt) or asked.is_set()
                ):  # in a lock it is the lock's error
                    self._give_back(executor)
                    raise KeyboardInterrupt from problem
                executor.stop(STOP_SECONDS)
                raise
            finally:
                executor.close()

    def _check(self, executor: Executor) -> None:
        """Refuse what cannot work before anything is claimed."""
        others = executor.hosts - {socket.gethostname()}
        if others and self._setting.db.startswith("sqlite"):
            raise InputError(
                f"the cluster has other hosts ({', '.join(sorted(others)[:3])}) and the database is "
                f"SQLite, a file that only one machine can lock safely; use "
                f"--db postgresql://USER@HOST/NAME, or --ray local"
            )
        for resources in dict.fromkeys(resources for _, resources in self._trials):
            check_fits(executor, self._placed(resources, executor))
        artifacts.check(self._setting.artifacts)
        if others and not artifacts.is_url(self._setting.artifacts):
            self._display.say(
                f"note: unless {self._setting.artifacts} is shared, each host keeps its own files there "
                "and a trial that moves starts again; --artifacts URL goes anywhere (s3://…)"
            )

    def _placed(self, resources: Resources, executor: Executor) -> Resources:
        """A trial's stored resources, with a GPU on a cluster that has any where the file says none."""
        return replace(resources, gpus=self._spec.resources.on(executor.n_gpus).gpus)

    def _loop(self, executor: Executor, left: TimeLeft, asked_to_end: threading.Event) -> None:
        from planner.store.read import sweep_status

        while True:
            if asked_to_end.is_set():
                raise KeyboardInterrupt
            self._recover()
            asked = time.monotonic()
            status = sweep_status(self._engine, self._spec.name)
            now = time.monotonic()
            self._display.show(status, left.seconds(status.rows, now))
            if not self._in_flight and not any(r.state in OPEN_STATES for r in status.rows):
                return
            self._submit(executor, status.rows)
            pause = max(self._setting.poll_seconds, (now - asked) / STATUS_SHARE)
            outcomes = executor.collect(pause)
            self._in_flight -= {outcome.trial_id for outcome in outcomes}
            if out := [outcome.trial_id for outcome in outcomes if outcome.kind == "outage"]:
                give_back_dead(self._engine, self._sweep_id, out)
            for outcome in outcomes:
                self._look_at(outcome)

    def _submit(self, executor: Executor, rows: Sequence[TrialStatus]) -> None:
        waiting = [r for r in rows if r.state == "queued" and r.trial_id not in self._in_flight]
        if not waiting or self._pause.holds:
            return
        first = self._placed(waiting[0].resources, executor)
        room = self._room(executor, first)
        n_open = sum(row.state in OPEN_STATES for row in rows)
        n_processes = max(1, min(executor.most_on_a_node(first), n_open))
        for row in waiting[: max(0, room)]:
            self._in_flight.add(row.trial_id)  # before an interrupt can come between
            executor.submit(
                TrialJob(
                    trial_id=row.trial_id,
                    label=row.trial.label,
                    db=self._setting.db,
                    data_request=self._spec.data_request,
                    artifacts=self._setting.artifacts,
                    weights=None if self._setting.weights is None else str(self._setting.weights),
                    placement=self._placed(row.resources, executor),
                    versions=current_versions(),
                    lease_seconds=self._setting.lease_seconds,
                    n_processes=n_processes,
                    latency=self._spec.latency,
                )
            )

    def _room(self, executor: Executor, resources: Resources) -> int:
        """How many more trials are handed out now; none while every host that could is drained."""
        from planner.store.host_leases import drained

        hosts = frozenset(drained(self._engine))
        if hosts != self._drained:
            self._drained = hosts
            executor.avoid(hosts)
            self._display.say(f"drained hosts: {', '.join(sorted(hosts)) or 'none any more'}")
        n_at_once = executor.capacity(resources)
        if n_at_once == 0 and hosts:
            return 0
        return BACKLOG * max(1, n_at_once) - len(self._in_flight)

    def _look_at(self, outcome: JobOutcome) -> None:
        """End the campaign where going on would only repeat the same failure."""
        text = (outcome.failure_text or "").strip()
        if outcome.kind == "refused":
            raise InputError(text)
        self._n_trained += outcome.kind == "finished"
        if outcome.kind == "storage":
            self._pause.failed(text)
        elif outcome.kind in ("finished", "failed", "retry"):
            self._pause.worked()
        self._cut_off.told(outcome.kind, text)
        if outcome.failure_class == "programming-error":
            last = text.splitlines()[-1].strip() if text else "no text"
            where = (
                "its worker could not even begin"
                if outcome.kind == "died"
                else f"its trace is stored: soundscale sweep status {self._spec.name} -f json"
            )
            raise TrialsFailedError(
                f"trial {outcome.trial_id} stopped the campaign with a programming error: {last}; "
                f"{where}"
            )
        if outcome.kind == "died" and outcome.failure_class == "out-of-memory":
            end_exhausted(self._engine, self._sweep_id, outcome.trial_id, text)
        if outcome.kind in ("died", "cut-off"):
            # Its lease may have most of a minute to go; of a process that is here it is known to be gone.
            self._recover(force=True)

    def _recover(self, *, force: bool = False) -> None:
        """Queue again what lost its worker: expired leases, and dead processes of this host."""
        if not force and time.monotonic() - self._last_recovery < self._setting.lease_seconds / 6:
            return
        self._last_recovery = time.monotonic()
        recover(self._engine, self._sweep_id)

    def _give_back(self, executor: Executor) -> None:
        """Stop the running trials; none of their attempts counts, however they ended."""
        self._display.say("stopping: the running trials are given back")
        executor.stop(STOP_SECONDS)
        executor.close()
        give_back_dead(self._engine, self._sweep_id, self._in_flight)
        self._display.say(
            f"stopped; what is finished is stored. To go on, start the same command again; to see "
            f"where it is: soundscale sweep status {self._spec.name}"
        )
