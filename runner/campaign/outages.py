"""Ray as something that can go away: what says so, and an executor that outlives it.

Ray's processes may be killed like any other. A trial's worker that dies is an outcome of that trial;
the death of a raylet, of the head or of one of Ray's agents is an outage of all of them: the trials
in flight go back to the queue uncharged, and the work goes on with a new cluster of this machine, or,
where the cluster is someone else's, once that answers again.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import MissingResourceError, OutageError
from runner.campaign.worker import JobOutcome, TrialJob

if TYPE_CHECKING:
    from planner.words.records import Resources
    from runner.campaign.executors import Executor

LOCAL_STARTS = 3
"""New local clusters that one driver starts after outages: more is a fault of the machine."""

WAIT_SECONDS = 600.0
"""How long a cluster that went away is waited for (s; assumption: a head restarts within minutes)."""

ASK_SECONDS = 10.0
"""Pause between two attempts to join it again (s)."""


HEAD_SECONDS = 5.0
"""How long the head may take to accept a connection (s)."""


@contextmanager
def outages(ray: Any) -> Iterator[None]:
    """Turn every error of Ray's own machinery into an outage; a task's own error passes.

    Raises:
        OutageError: Ray does not work any more.
    """
    try:
        yield
    except ray.exceptions.RayTaskError:
        raise
    except (ray.exceptions.RayError, ConnectionError) as problem:
        raise OutageError(f"Ray does not work any more: {first_line(problem)}") from problem


@contextmanager
def starts(ray: Any, folder: Path) -> Iterator[None]:
    """Turn whatever Ray raises while it starts a cluster of this machine into an outage.

    It says so by RuntimeError and by bare Exception ("Failed to start GCS", "the current node timed out").

    Args:
        ray: the module.
        folder: of that cluster; removed with what had started.

    Raises:
        OutageError: Ray did not start.
    """
    try:
        yield
    except BaseException as problem:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(problem, Exception):
            raise
        raise OutageError(f"Ray does not start on this machine: {first_line(problem)}") from problem


def first_line(problem: BaseException) -> str:
    """An error's kind and the first line of its text."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {(lines or ['no text'])[0]}"


def require_own_node(ray: Any) -> None:
    """Refuse to wait for a cluster whose node this process is attached to is dead.

    Ray answers nothing then: a wait for its tasks ends neither well nor badly (90 s after the raylet's
    death, nothing: notebooks/LOG.md), and without its head it ends this process after a minute.

    Raises:
        OutageError: the node or the head is dead.
    """
    with outages(ray):
        mine = ray.get_runtime_context().get_node_id()
    if mine not in {node["NodeID"] for node in alive_nodes(ray)}:
        raise OutageError("Ray does not work any more: its node on this machine is dead")


def require_same_head(ray: Any) -> None:
    """Refuse a head that does not answer, or was started anew at the address of the one that was joined.

    A new one knows nothing of what runs here, and Ray answers the next question about its nodes by ending this process
    ("Check failed: WrongClusterID", exit code 1; Ray 2.60, notebooks/LOG.md 2026-11-30).

    Raises:
        OutageError: it is away, or another.
    """
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    mine = ray._private.worker.global_worker.gcs_client
    head = ray.get_runtime_context().gcs_address
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), HEAD_SECONDS).close()
    except OSError as problem:
        raise OutageError(f"Ray's head at {head} does not answer: {problem}") from problem
    if GcsClient(address=head).cluster_id != mine.cluster_id:
        raise OutageError(f"Ray's head at {head} was started anew")


def alive_nodes(ray: Any) -> list[dict[str, Any]]:
    """Ray's description of each node that is up.

    Raises:
        OutageError: Ray does not work any more, or its head is another.
    """
    with outages(ray):
        require_same_head(ray)
        return [node for node in ray.nodes() if node["Alive"]]


class SteadyExecutor:
    """An executor that is made again when what it runs on goes away.

    Args:
        make: makes one; called at once, and after each outage, also one that is met at once.
        say: told of outages, one line each.
        local: it starts a cluster of its own; else it joins one.
        pause: waits between two attempts to join a cluster.

    Raises:
        MissingResourceError: there is no such cluster, or no Ray, from the start.
        OutageError: after `LOCAL_STARTS` new clusters, or `WAIT_SECONDS` without the joined one.
    """

    def __init__(
        self,
        make: Callable[[], Executor],
        say: Callable[[str], None],
        *,
        local: bool,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._make, self._say, self._local, self._pause = make, say, local, pause
        self._n_outages = 0
        try:
            first = make()
        except OutageError as problem:
            first = self._again(str(problem))
        self._now: Executor | None = first
        self.hosts, self.n_gpus = first.hosts, first.n_gpus
        self._in_flight: dict[int, TrialJob] = {}
        self._lost: list[JobOutcome] = []
        self._avoided: frozenset[str] = frozenset()

    def capacity(self, resources: Resources) -> int:
        """As the executor of now says."""
        return int(self._through(lambda now: now.capacity(resources)))

    def most_on_a_node(self, resources: Resources) -> int:
        """As the executor of now says."""
        return int(self._through(lambda now: now.most_on_a_node(resources)))

    def avoid(self, hosts: frozenset[str]) -> None:
        """Hand nothing more to these hosts, whichever executor it is."""
        self._avoided = hosts
        if self._now is not None:
            self._now.avoid(hosts)

    def submit(self, job: TrialJob) -> None:
        """Take a job; returns at once unless there is an outage."""
        self._through(lambda now: now.submit(job))
        self._in_flight[job.trial_id] = job

    def collect(self, seconds: float) -> list[JobOutcome]:
        """Outcomes since the last call; after an outage, of kind `outage`, all that were in flight."""
        lost, self._lost = self._lost, []
        if lost:
            return lost
        found: list[JobOutcome] = self._through(lambda now: now.collect(seconds), again=False) or []
        lost, self._lost = self._lost, []
        for outcome in found:
            self._in_flight.pop(outcome.trial_id, None)
        return [*found, *lost]

    def stop(self, seconds: float) -> list[JobOutcome]:
        """Ask every running job to give its trial back; none can be asked during an outage."""
        if self._now is None:
            return []
        try:
            return self._now.stop(seconds)
        except OutageError as problem:
            self._say(str(problem))
            return []

    def close(self) -> None:
        """Let go of everything that this executor started."""
        now, self._now = self._now, None
        if now is not None:
            with suppress(OutageError):
                now.close()

    def _through(self, ask: Callable[[Executor], Any], *, again: bool = True) -> Any:
        """Ask the executor of now, and where it went away the next one (`again`)."""
        while True:
            if self._now is None:
                raise OutageError("Ray does not work any more, and nothing took its place")
            try:
                return ask(self._now)
            except OutageError as problem:
                self._replace(problem)
                if not again:
                    return None

    def _replace(self, problem: OutageError) -> None:
        text = str(problem)
        self._lost += [
            JobOutcome(trial_id=key, kind="outage", failure_text=text) for key in self._in_flight
        ]
        self._in_flight.clear()
        self.close()
        self._now = self._again(text)
        self.hosts, self.n_gpus = self._now.hosts, self._now.n_gpus
        self._now.avoid(self._avoided)

    def _again(self, text: str) -> Executor:
        return self._start_local(text) if self._local else self._join_again(text)

    def _start_local(self, text: str) -> Executor:
        while self._n_outages < LOCAL_STARTS:
            self._n_outages += 1
            self._say(
                f"{text}; a new local cluster is started ({self._n_outages} of {LOCAL_STARTS}), no "
                "trial is charged"
            )
            try:
                return self._make()
            except (OutageError, MissingResourceError) as problem:
                text = str(problem)
        raise OutageError(
            f"{text}; {LOCAL_STARTS} new local clusters went the same way: look at this machine's "
            "memory, disk and load, or use --ray none; the same command again goes on from here"
        )

    def _join_again(self, text: str) -> Executor:
        self._say(
            f"{text}; waiting up to {WAIT_SECONDS:.0f} s for the cluster to answer again. A node that "
            "lost its link rejoins by: ray stop; ray start --address HEAD:PORT"
        )
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            try:
                now = self._make()
            except (OutageError, MissingResourceError) as problem:
                text = str(problem)
                self._pause(ASK_SECONDS)
            else:
                self._say("the cluster answers again")
                return now
        raise OutageError(
            f"{text}; it did not answer for {WAIT_SECONDS:.0f} s: start it (ray start --head), then "
            "the same command again, which goes on from what is stored"
        )
