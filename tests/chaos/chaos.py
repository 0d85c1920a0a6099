"""Kill and pause workers and drivers at random while they train tiny trials; then count.

By hand, the long form (issue 7, R1 and R5):

    python tests/chaos/chaos.py --db /tmp/chaos.db --trials 10000 --faults 1000 --seed 7
    python tests/chaos/chaos.py --db throw-away-postgresql --trials 10000 --faults 1000 --shutdowns 20

Every process is real. A worker claims, beats six times and stores a small result; a driver registers
the sweep again and ends expired leases. Both are killed (6 of 10 faults) or stopped for longer than
the lease. Each execution and each acknowledged result is written to a file by the process that saw
it, and the invariants are checked by SQL from a fresh process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from sqlalchemy import text  # noqa: E402

from planner.store import claims  # noqa: E402
from planner.store.engine import open_store  # noqa: E402
from planner.store.transactions import read  # noqa: E402
from planner.store.write import register_sweep  # noqa: E402
from planner.words.records import Resources  # noqa: E402
from tests.chaos.invariants import broken_invariants  # noqa: E402
from tests.store.processes import CONTEXT  # noqa: E402
from tests.store.samples import claim_any, finished, trial  # noqa: E402

LEASE_SECONDS = 0.6
N_WORKERS, N_DRIVERS, N_BEATS, N_UTTERANCES = 6, 2, 6, 2
KILL_SHARE = 0.6
SWEEP = "chaos"


def note(folder: str, kind: str, run_id: int) -> None:
    """Append a line that this process has seen; a line this short is written whole."""
    path = os.path.join(folder, f"{kind}-{os.getpid()}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, f"{run_id}\n".encode())
    os.close(handle)


def patient(url: str) -> Any:
    """The store as workers open it: they outlive a restart of the server."""
    return open_store(url, worker=True, wait_seconds=30.0)


def register(url: str, n_trials: int) -> int:
    engine = patient(url)
    resources = Resources(max_attempts=1_000_000)
    trials = [(trial(seed=i), resources) for i in range(n_trials)]
    count = register_sweep(engine, SWEEP, "{}", trials)
    engine.dispose()
    return count.sweep_id


def worker(url: str, sweep_id: int, folder: str, lease: float = LEASE_SECONDS) -> None:
    """Claim and work until nothing is open."""
    engine, rng = patient(url), random.Random(os.getpid())
    me = claims.Worker(host="here", pid=os.getpid(), version="0")
    while True:
        claim = claim_any(engine, sweep_id, me, lease)
        if claim is None:
            if not n_open(engine):
                return
            time.sleep(0.05)
            continue
        note(folder, "executed", claim.run_id)
        for step in range(N_BEATS):
            time.sleep(rng.uniform(0.003, 0.012))
            progress = claims.RunProgress(phase="train", step=step, n_steps=N_BEATS, loss=1.0)
            if not claims.heartbeat(engine, claim, lease, progress):
                note(folder, "stopped", claim.run_id)
                break
        else:
            kept = claims.finish(engine, claim, finished(n_utterances=N_UTTERANCES))
            note(folder, "acknowledged" if kept else "fenced", claim.run_id)


def driver(url: str, n_trials: int, folder: str) -> None:
    """Register the sweep again, as a restarted driver does, and end expired leases."""
    sweep_id, engine = register(url, n_trials), patient(url)
    while n_open(engine):
        claims.expire(engine, sweep_id)
        time.sleep(LEASE_SECONDS / 4)


def n_open(engine: Any) -> int:
    # By the index on states: asked hundreds of times a second, it must not be what is measured.
    query = text("SELECT count(*) FROM trials WHERE state IN ('queued', 'running')")
    return int(read(engine, lambda c: c.execute(query).scalar_one()))


def guarded(target: Callable[..., None], *args: Any) -> None:
    """Keep what a process died of: only our signals may end one early."""
    try:
        target(*args)
    except BaseException:
        Path(args[-1], f"error-{os.getpid()}").write_text(traceback.format_exc())
        raise


@dataclass
class Chaos:
    """A campaign under faults. `shutdown` stops and starts the database server, where that is ours."""

    url: str
    folder: Path
    n_trials: int
    n_faults: int
    seed: int
    n_shutdowns: int = 0
    shutdown: Callable[[], None] = lambda: None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("kills", "pauses", "shutdowns"), 0)
    )

    def run(self) -> None:
        """Return when every trial is finished and as many faults were made as asked for."""
        self._rng = random.Random(self.seed)
        self._paused: dict[int, float] = {}
        self._sweep = register(self.url, self.n_trials)
        self._engine = open_store(self.url)
        self._processes: list[tuple[Any, str]] = []
        while self._more():
            self._fill()
            time.sleep(self._rng.uniform(0.01, 0.06))
            self._wake(time.monotonic())
            self._fault()
        self._wake(float("inf"))
        for process, _ in self._processes:
            process.join(60)
        self._engine.dispose()

    @property
    def made(self) -> int:
        """Kills and pauses so far."""
        return self.counts["kills"] + self.counts["pauses"]

    def _more(self) -> bool:
        still_open = n_open(self._engine)
        # Faults keep pace with the trials, and lead them a little.
        self._due = (self.n_faults + 1) * (1 - still_open / self.n_trials) + 1
        if still_open:
            return True
        if self.made >= self.n_faults and self.counts["shutdowns"] >= self.n_shutdowns:
            return False
        self.n_trials += max(50, self.n_trials // 10)
        register(self.url, self.n_trials)
        return True

    def _fill(self) -> None:
        self._processes = [(p, role) for p, role in self._processes if p.is_alive()]
        for role, wanted in (("worker", N_WORKERS), ("driver", N_DRIVERS)):
            for _ in range(wanted - sum(r == role for _, r in self._processes)):
                target: Any = worker if role == "worker" else driver
                first = self._sweep if role == "worker" else self.n_trials
                args = (target, self.url, first, str(self.folder))
                process = CONTEXT.Process(target=guarded, args=args)
                process.start()
                self._processes.append((process, role))

    def _fault(self) -> None:
        if self.counts["shutdowns"] < self._due * self.n_shutdowns / max(1, self.n_faults):
            self.shutdown()
            self.counts["shutdowns"] += 1
        if self.made >= self._due:
            return
        process, _ = self._rng.choice(self._processes)
        if process.pid in self._paused or not process.is_alive():
            return
        if self._rng.random() < KILL_SHARE:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            self.counts["kills"] += 1
        else:
            os.kill(process.pid, signal.SIGSTOP)
            pause = LEASE_SECONDS * self._rng.uniform(1.2, 2.5)
            self._paused[process.pid] = time.monotonic() + pause
            self.counts["pauses"] += 1

    def _wake(self, now: float) -> None:
        for pid in [pid for pid, until in self._paused.items() if until <= now]:
            del self._paused[pid]
            os.kill(pid, signal.SIGCONT)


def checked(url: str, folder: Path, n_trials: int, answers: Any) -> None:
    answers.put(broken_invariants(url, folder, n_trials, N_UTTERANCES))


def check(chaos: Chaos) -> dict[str, Any]:
    """What the invariants say, from a fresh process."""
    answers = CONTEXT.SimpleQueue()
    args = (chaos.url, chaos.folder, chaos.n_trials, answers)
    process = CONTEXT.Process(target=checked, args=args)
    process.start()
    found: dict[str, Any] = answers.get()
    process.join()
    return found


def main() -> int:
    """Run by hand; exit code 1 when an invariant is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--db", required=True, help="URL, path or throw-away-postgresql")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=1_000)
    parser.add_argument("--shutdowns", type=int, default=0, help="of a throw-away server")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--log", type=Path, help="folder for what the processes saw")
    asked = parser.parse_args()
    import tempfile

    folder = asked.log or Path(tempfile.mkdtemp(prefix="chaos_"))
    server, url = database(asked.db)
    chaos = Chaos(url, folder, asked.trials, asked.faults, asked.seed, asked.shutdowns)
    if server is not None:
        chaos.shutdown = lambda: (server.stop("immediate"), server.start())[1]
    began = time.monotonic()
    try:
        chaos.run()
        seconds = time.monotonic() - began
        found = check(chaos)
    finally:
        if server is not None:
            server.stop()
    shown = {"seed": asked.seed, "trials": chaos.n_trials, **chaos.counts}
    print(json.dumps(shown | {"seconds": round(seconds, 1)} | found))
    return 1 if found["broken"] else 0


def database(db: str) -> tuple[Any, str]:
    """A throw-away server and its URL where that is asked for, else no server and the URL given."""
    if db != "throw-away-postgresql":
        return None, db
    from tests.conftest import PostgresServer, server_binaries

    binaries = server_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server binaries (initdb) on this machine")
    server = PostgresServer(binaries)
    server.start()
    return server, server.new_database()


if __name__ == "__main__":
    sys.exit(main())
