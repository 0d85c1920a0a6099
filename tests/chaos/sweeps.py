"""Kill, stop and starve real sweeps: the command itself, real training of micro models; then audit.

By hand, the long form:

    python tests/chaos/sweeps.py --ray none --faults 400 --seed 1
    python tests/chaos/sweeps.py --ray local --faults 70 --seed 2
    python tests/chaos/sweeps.py --ray nodes --faults 30 --seed 3

A driver that is killed is started again by the same command. With `none` two drivers run each sweep, with
`local` one starts Ray on this machine, with `nodes` two join a cluster of two nodes, and Ray's own processes
are killed and stopped too. The database is a PostgreSQL server that is shut down in between. Each driver is
forked from a process that has imported everything, which saves its seconds and nothing else. What a fault
costs is what starts again after it, so that Ray's workers die oftener than its head and its drivers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.store.engine import opened  # noqa: E402
from tests.campaign.made import NO_LATENCY, write_sweep, write_tones  # noqa: E402
from tests.chaos.invariants import MUST_BE_EMPTY, audited  # noqa: E402
from tests.chaos.victims import Victims  # noqa: E402
from tests.store.samples import rows_of  # noqa: E402

CONTEXT = multiprocessing.get_context("forkserver")

LONGEST_PAUSE_SECONDS, LONGEST_END_SECONDS = 2.0, 300.0
MAY_END_WITH = {0, 5, 6, 10, 130, -signal.SIGKILL, -signal.SIGTERM}
"""Done; no cluster was there to join; the database or Ray is away; given back; killed; ended before it had begun."""

SENT = {
    "killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A sweep that can be hit often before it is finished.

    Attributes:
        n_drivers: on one sweep.
        n_seeds: three trials of each.
        steps: of a trial.
        shares: of each kind of fault among those that can be made.
        while_it_begins: share of the looks at which a fault is made though nothing is trained; a driver begins
            for longer than it trains.
    """

    n_drivers: int
    n_seeds: int
    steps: int
    shares: Mapping[str, int]
    while_it_begins: float

    @property
    def n_trials(self) -> int:
        """Of a sweep."""
        return 3 * self.n_seeds


_DRIVERS = {
    "driver killed": 8,
    "driver stopped": 4,
    "SIGTERM": 2,
    "Ctrl-C": 2,
    "server shut down": 2,
}
_RAY = {"driver killed": 2, "driver stopped": 3, "SIGTERM": 1, "Ctrl-C": 1, "server shut down": 3,
        "worker killed": 9, "worker stopped": 4, "raylet killed": 2, "raylet stopped": 2, "agent killed": 1,
        "agent stopped": 1, "head killed": 2, "head stopped": 2}  # fmt: skip
SHAPES = {
    "none": Shape(n_drivers=2, n_seeds=1, steps=20, shares=_DRIVERS, while_it_begins=0.2),
    "local": Shape(n_drivers=1, n_seeds=6, steps=40, shares=_RAY, while_it_begins=0.03),
    "nodes": Shape(n_drivers=2, n_seeds=6, steps=40, shares=_RAY, while_it_begins=0.03),
}


def drive(arguments: Sequence[str], said: str) -> None:
    """The command, as a process of its own; what it says goes to a file."""
    os.setsid()
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Path(f"{said}.{os.getpid()}").touch()
    sys.argv = ["soundscale", *arguments]
    from planner.cli.main import main

    main()


@dataclass
class FaultySweeps:
    """Sweep after sweep of micro trials, until so many faults were made.

    Attributes:
        shape: of each sweep.
        shutdown: stops the database server and starts it again; None: it is not ours.
        victims: Ray's processes; None: there are none.
        counts: faults by kind.
        broken: what did not hold, in words.
    """

    db: str
    folder: Path
    ray: Sequence[str]
    rng: random.Random
    shape: Shape
    shutdown: Callable[[], None] | None = None
    victims: Victims | None = None
    longest_wait: float = 1.5
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    n_sweeps: int = 0
    _trains: bool = False
    _drivers: list[Any] = field(default_factory=list)
    _paused: dict[int, float] = field(default_factory=dict)

    def run(self, n_faults: int) -> None:
        """Make so many faults, let the last sweep finish, and look at everything."""
        # Set last: the other tests' processes are forked from one server with these.
        CONTEXT.set_forkserver_preload(["tests.chaos.preloaded"])
        self._manifest = write_tones(self.folder)
        while self.counts.total() < n_faults:
            self._begin()
            while not self._finished():
                self._fill()
                time.sleep(self.rng.uniform(0.1, self.longest_wait))
                self._wake(time.monotonic())
                if self.victims:
                    self.victims.keep()
                now = self._trains or self.rng.random() < self.shape.while_it_begins
                if now and self.counts.total() < n_faults:
                    self._fault()
            self._wake(float("inf"))
            self._join()
        self._look()

    def _begin(self) -> None:
        n = self.n_sweeps = self.n_sweeps + 1
        self._name = f"faulty{n}"
        seeds = [100 * n + i for i in range(self.shape.n_seeds)]
        self._spec = write_sweep(
            self.folder, self._manifest, ('name = "micro"', f'name = "{self._name}"'),
            ('task = "asr"', f'task = "asr"\nseeds = {seeds}'), ("steps = 2", f"steps = {self.shape.steps}"),
            NO_LATENCY,
            ("[design]", "[resources]\nmax_attempts = 1000\n\n[design]"),
        )  # fmt: skip

    def _finished(self) -> bool:
        """Whether the sweep is; its last driver may still be about to say so."""
        states = (
            "SELECT t.state FROM sweeps s JOIN sweep_trials x ON x.sweep_id = s.sweep_id"
            f" JOIN trials t ON t.trial_id = x.trial_id WHERE s.name = '{self._name}'"
        )
        with opened(self.db, wait_seconds=60.0) as engine:
            found = [state for (state,) in rows_of(engine, states)]
        if {"failed", "cancelled"} & set(found):
            self.broken.append(f"{self._name}: a trial is {sorted(set(found))}")
            return True
        self._trains = "running" in found
        return bool(found) and set(found) == {"finished"}

    def _fill(self) -> None:
        self._reap()
        while len(self._drivers) < self.shape.n_drivers:
            sweep = ["sweep", "run", str(self._spec), "--db", self.db, "--ray", *self.ray]
            where = ["--artifacts", str(self.folder / "artifacts")]
            process = CONTEXT.Process(
                target=drive, args=([*sweep, *where], str(self.folder / "said.txt"))
            )
            process.start()
            self._drivers.append(process)

    def _reap(self) -> None:
        for process in [p for p in self._drivers if not p.is_alive()]:
            self._drivers.remove(process)
            self._paused.pop(process.pid, None)
            if process.exitcode not in MAY_END_WITH and not self._ended_by_ray(process):
                self.broken.append(f"{self._name}: a driver ended with {process.exitcode}")

    def _ended_by_ray(self, process: Any) -> bool:
        """Whether its raylet died while it registered there: Ray ends the process itself then, with 1 and a line."""
        said = (self.folder / "said.txt").read_text()
        line = rf" E {process.pid} \d+\] core_worker_process.cc:\d+: Failed to register worker"
        return process.exitcode == 1 and re.search(line, said) is not None

    def _fault(self) -> None:
        can = {"driver", "SIGTERM", "Ctrl-C"} | ({"server"} if self.shutdown else set())
        can |= set(self.victims.kinds() if self.victims else ())
        shares = {kind: n for kind, n in self.shape.shares.items() if kind.split()[0] in can}
        (kind,) = self.rng.choices(list(shares), list(shares.values()))
        if self._make(kind):
            self.counts[kind] += 1

    def _make(self, kind: str) -> bool:
        who, _, how = kind.partition(" ")
        if who == "server":
            assert self.shutdown is not None
            self.shutdown()
            return True
        if self.victims and who in self.victims.kinds():
            pid = self.victims.one(who, self.rng)
            if pid is None or pid in self._paused:
                return False
            return self._send(pid, SENT[how])
        awake = [p for p in self._drivers if p.is_alive() and p.pid not in self._paused]
        if kind == "Ctrl-C":
            # Before its own code begins, the server that it is forked from ends it with 1 and no word.
            awake = [p for p in awake if (self.folder / f"said.txt.{p.pid}").exists()]
        return bool(awake) and self._send(self.rng.choice(awake).pid, SENT[how or who])

    def _send(self, pid: int, sent: signal.Signals) -> bool:
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            return False
        if sent is signal.SIGSTOP:
            pause = self.rng.uniform(0.2, LONGEST_PAUSE_SECONDS)
            self._paused[pid] = time.monotonic() + pause
        return True

    def _wake(self, now: float) -> None:
        for pid in [pid for pid, until in self._paused.items() if until <= now]:
            del self._paused[pid]
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _join(self) -> None:
        for process in self._drivers:
            end = time.monotonic() + LONGEST_END_SECONDS
            while process.is_alive() and time.monotonic() < end:
                process.join(1)
                if self.victims:
                    self.victims.keep()
            if process.is_alive():
                self.broken.append(f"{self._name}: a driver did not end")
                process.kill()
                process.join()
        self._reap()

    def _look(self) -> None:
        """All trials once, the audit clean, no bug told."""
        with opened(self.db) as engine:
            self.broken += [f"{what}: {ids}" for what, ids in audited(engine).items()]
            for what in ("a fingerprint twice", "a trial that is not finished",
                         "a trial without a stored result", "a result stored twice"):  # fmt: skip
                if found := rows_of(engine, MUST_BE_EMPTY[what]):
                    self.broken.append(f"{what}: {found}")
            n = "SELECT (SELECT count(*) FROM trials), (SELECT count(*) FROM runs)"
            self.n_trials, self.n_attempts = rows_of(engine, n)[0]
        if self.n_trials != self.shape.n_trials * self.n_sweeps:
            self.broken.append(f"{self.n_trials} trials of {self.n_sweeps} sweeps")
        said = (self.folder / "said.txt").read_text()
        for bug in re.findall(r"Traceback[\s\S]{0,1500}|[^\n]*this is a bug[^\n]*", said)[:3]:
            self.broken.append(bug)


def processor_seconds() -> float:
    """Of this process, of the server that drivers are forked from, and of those that ended (s; proc(5))."""
    found = sum(os.times()[:4])
    for place in Path(f"/proc/self/task/{os.getpid()}").glob("children"):
        for child in place.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()
            found += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return round(found, 1)


def main() -> int:
    """Run by hand; exit code 1 when something did not hold."""
    from tests.chaos.chaos import database
    from tests.chaos.victims import left_over, local_victims, no_ray, two_nodes

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ray", choices=["none", "local", "nodes"], default="none")
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    folder, rng = Path(tempfile.mkdtemp(prefix="faulty_")), random.Random(asked.seed)
    made: dict[str, Any] = {"none": no_ray, "local": local_victims, "nodes": two_nodes}
    server, db = database("throw-away-postgresql")
    began = time.monotonic()
    try:
        ray, victims = made[asked.ray]()
        sweeps = FaultySweeps(db, folder, ray, rng, SHAPES[asked.ray], victims=victims)
        if server is not None:
            sweeps.shutdown = lambda: (server.stop("immediate"), server.start())[1]
        sweeps.run(asked.faults)
        if victims is not None:
            victims.close()
    finally:
        if server is not None:
            server.stop()
    left = left_over()
    shown = {"ray": asked.ray, "seed": asked.seed, "faults": sweeps.counts.total()}
    shown |= {"by_kind": dict(sweeps.counts), "sweeps": sweeps.n_sweeps, "trials": sweeps.n_trials}
    shown |= {"attempts": sweeps.n_attempts, "left_over_after_90_s": left}
    shown |= {"seconds": round(time.monotonic() - began), "folder": str(folder)}
    shown |= {"processor_seconds": processor_seconds()}
    print(json.dumps(shown | {"broken": sweeps.broken}))
    return 1 if sweeps.broken or left else 0


if __name__ == "__main__":
    sys.exit(main())
