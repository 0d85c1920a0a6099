"""What every executor promises, and the one of a Ray cluster; that of this process is runner.campaign.inline.

Ray executes; it is never asked to remember. Its retries are off (`max_retries=0`): a task that Ray
repeats would repeat its side effects, and one layer owns retries (runner.campaign.worker by failure class,
through the database). A task that dies is only an `Outcome` of kind `died`; the lease that it held
decides when its trial runs again.

Each trial is one task with declared CPUs, GPUs (whole or fractional), memory and device label, and
Ray packs them. Worker processes are reused between trials, so that the seconds of importing torch
are paid once; with GPUs each trial gets a fresh process, so that no memory is left over.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from planner.errors import InputError, MissingResourceError, OutageError
from planner.words.records import Resources
from planner.words.units import format_bytes
from runner.campaign.host import short_folder
from runner.campaign.notice import sigterm_stays
from runner.campaign.outages import alive_nodes, first_line, outages, require_own_node, starts
from runner.campaign.ray_options import GPU_CALLS, ray_resources, task_options
from runner.campaign.ray_security import (
    ask_for_tokens,
    give_token,
    refuse_known_holes,
    require_token,
)
from runner.campaign.worker import JobOutcome, TrialJob, work_on

OBJECT_STORE_BYTES = 100 * 1024 * 1024
"""Ray's object store (bytes): jobs and outcomes are a few kB; Ray's default is 30 % of the memory."""


class Executor(Protocol):
    """Runs jobs; says what became of them."""

    hosts: frozenset[str]
    n_gpus: float

    def capacity(self, resources: Resources) -> int:
        """How many trials of these resources run at once; 0 when no node can ever run one."""
        ...

    def most_on_a_node(self, resources: Resources) -> int:
        """How many of them share one machine at most: what a latency was measured beside."""
        ...

    def avoid(self, hosts: frozenset[str]) -> None:
        """Hand nothing more to these hosts, and to all others again."""
        ...

    def submit(self, job: TrialJob) -> None:
        """Take a job; returns at once."""
        ...

    def collect(self, seconds: float) -> list[JobOutcome]:
        """Outcomes since the last call; waits at most `seconds` for the first one."""
        ...

    def stop(self, seconds: float) -> list[JobOutcome]:
        """Ask every running job to give its trial back and wait at most `seconds` for them."""
        ...

    def close(self) -> None:
        """Let go of everything that this executor started."""
        ...


class RayExecutor:
    """One Ray task a trial, on a local cluster that this process starts or on a running one.

    Args:
        address: `local` starts a cluster of this machine; `auto` or an address joins one.
        n_workers: trials at once on a local cluster; None: one for each `cpus` of the machine.
        cpus: CPUs of one trial, the size of a local worker.
        gpus: logical GPUs of a local cluster; None: those that Ray finds.
        work: what a task does; another function in tests of the machinery.

    Raises:
        MissingResourceError: Ray is not installed or has a known hole, or no cluster answers.
        InputError: the cluster is open to strangers.
        OutageError: Ray goes away; from every method too (`runner.campaign.outages`).
    """

    def __init__(
        self,
        address: str = "local",
        *,
        n_workers: int | None = None,
        cpus: float = 1.0,
        gpus: float | None = None,
        work: Callable[..., JobOutcome] = work_on,
    ) -> None:
        ray = _import_ray()
        self._ray = ray
        self._folder: Path | None = None
        self.owned = address == "local" and not ray.is_initialized()
        self._connected = not ray.is_initialized()
        with sigterm_stays(ray):
            if self.owned:
                with outages(ray):
                    self._start_local(n_workers, cpus, gpus)
            elif self._connected:
                self._join(address)
        nodes = self.alive_nodes()
        if not self.owned:
            require_token(ray, frozenset(n["NodeManagerAddress"] for n in nodes))
        self.hosts = frozenset(n["NodeManagerHostname"] for n in nodes)
        self.n_gpus = max((n["Resources"].get("GPU", 0.0) for n in nodes), default=0.0)
        # A cluster of our own is exactly as large as was asked for.
        self._limit = None if self.owned else n_workers
        self._running: dict[Any, TrialJob] = {}
        self._avoided: frozenset[str] = frozenset()
        self._work = ray.remote(work)
        self._gpu_work = ray.remote(max_calls=GPU_CALLS)(work)

    def _start_local(self, n_workers: int | None, cpus: float, gpus: float | None) -> None:
        folder = short_folder()
        self._folder = folder
        _set_local_environment(cpus)
        with starts(self._ray, folder):
            self._ray.init(
                address="local",
                num_cpus=None if n_workers is None else max(1, round(n_workers * cpus)),
                num_gpus=gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=False,
                _temp_dir=str(folder),
            )

    def _join(self, address: str) -> None:
        try:
            self._ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=False,
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as problem:
            text = str(problem).strip().splitlines() or [type(problem).__name__]
            raise MissingResourceError(
                f"no Ray cluster answers at {address!r}: {text[0]}; start one with `ray start "
                f"--head`, give its token as RAY_AUTH_TOKEN, or use --ray local"
            ) from None

    def capacity(self, resources: Resources) -> int:
        """Trials of these resources that the cluster's nodes hold together."""
        total = sum(self._on_each_node(resources))
        return total if self._limit is None else min(total, self._limit)

    def most_on_a_node(self, resources: Resources) -> int:
        """Trials of these resources on the node that holds the most of them."""
        return max(self._on_each_node(resources), default=0)

    def _on_each_node(self, resources: Resources) -> list[int]:
        wanted = {k: v for k, v in ray_resources(resources).items() if v > 0}
        nodes = [n["Resources"] for n in self.alive_nodes() if self._takes_trials(n)]
        return [min(int(has.get(k, 0.0) / v + 1e-9) for k, v in wanted.items()) for has in nodes]

    def avoid(self, hosts: frozenset[str]) -> None:
        """Hand tasks only to nodes of other hosts; what runs there is stopped by its own heartbeat."""
        self._avoided = hosts

    def _takes_trials(self, node: dict[str, Any]) -> bool:
        return node["NodeManagerHostname"] not in self._avoided

    def _avoided_nodes(self) -> list[str]:
        if not self._avoided:
            return []
        return [n["NodeID"] for n in self.alive_nodes() if not self._takes_trials(n)]

    def alive_nodes(self) -> list[dict[str, Any]]:
        """Ray's description of each node that is up."""
        return alive_nodes(self._ray)

    def submit(self, job: TrialJob) -> None:
        """Hand a trial to Ray; it claims the trial when it starts, not while it waits."""
        function = self._gpu_work if job.placement.gpus > 0 else self._work
        with outages(self._ray):
            avoided = self._avoided_nodes()
        task = function.options(
            **task_options(job.placement, job.label, avoided, joined=not self.owned)
        )
        with outages(self._ray):
            self._running[task.remote(job)] = job

    def collect(self, seconds: float) -> list[JobOutcome]:
        """Outcomes of the tasks that ended, whatever ended them."""
        refs = list(self._running)
        if not refs:
            time.sleep(seconds)
            return []
        with outages(self._ray):
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=seconds)
            more, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        if not ready:
            require_own_node(self._ray)
        return [self._outcome(ref) for ref in dict.fromkeys([*ready, *more])]

    def _outcome(self, ref: Any) -> JobOutcome:
        job = self._running.pop(ref)
        errors = self._ray.exceptions
        try:
            outcome: JobOutcome = self._ray.get(ref)
            return outcome
        except errors.TaskCancelledError:
            return JobOutcome(trial_id=job.trial_id, kind="released")
        except errors.OutOfMemoryError as problem:
            return _died(job, "out-of-memory", problem)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError) as problem:
            return _died(job, "lost-node", problem)
        except errors.RayTaskError as problem:
            return _died(job, "programming-error", problem)
        except errors.RayError as problem:
            raise OutageError(f"Ray does not work any more: {first_line(problem)}") from problem

    def stop(self, seconds: float) -> list[JobOutcome]:
        """Interrupt every task; each gives its trial back, which takes one statement."""
        refs = list(self._running)
        with outages(self._ray):
            for ref in refs:
                self._ray.cancel(ref, force=False)
            ready, _ = (
                self._ray.wait(refs, num_returns=len(refs), timeout=seconds) if refs else ([], [])
            )
        return [self._outcome(ref) for ref in ready]

    def close(self) -> None:
        """Shut a cluster of our own down and remove its folder; leave a joined one running."""
        if self._connected:
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _set_local_environment(cpus: float) -> None:
    """What a local cluster's processes inherit where the user says nothing: workers share the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(cpus))))
    give_token()


def _import_ray() -> Any:
    # Read once, when Ray is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    # Without its head Ray ends the process after 60 s; an outage is found and told long before 600.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "600")
    ask_for_tokens()
    try:
        import ray
    except ImportError:
        raise MissingResourceError(
            "Ray is not installed; install it with: pip install 'soundscale[runner]', or use --ray none"
        ) from None
    refuse_known_holes(ray.__version__)
    return ray


def _died(job: TrialJob, failure_class: str, problem: BaseException) -> JobOutcome:
    lines = [line for line in str(problem).strip().splitlines() if line.strip()]
    text = str(problem) if failure_class == "programming-error" else (lines or [""])[0]
    return JobOutcome(
        trial_id=job.trial_id, kind="died", failure_class=failure_class, failure_text=text
    )


def check_fits(executor: Executor, resources: Resources) -> int:
    """Trials that run at once.

    Raises:
        InputError: no node of the cluster can ever run one.
    """
    n = executor.capacity(resources)
    if n < 1:
        asks = f"{resources.cpus:g} CPU, {resources.gpus:g} GPU"
        if resources.memory_bytes:
            asks += f", {format_bytes(resources.memory_bytes)}"
        if resources.device_label:
            asks += f", device label {resources.device_label}"
        raise InputError(
            f"a trial needs {asks}, no node of the cluster has that; lower [resources] in the sweep "
            f"file or add a node"
        )
    return n
