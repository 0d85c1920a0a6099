"""Claims a second: ours, the bare statement's and Optuna's ask and tell, on the same file or server.

Run: python tests/benchmarks/claims_speed.py [--optuna PYTHON] [--processes 8] [--trials 8000]

`PYTHON` is an interpreter of another environment that has Optuna. Every round runs all contestants
one after another on databases beside each other; a figure is the median of the rounds, the noise floor
the spread of ours between rounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.store import claims  # noqa: E402
from planner.store.engine import open_store  # noqa: E402
from tests.chaos.chaos import database  # noqa: E402
from tests.store.samples import LEASE, WORKER, rows_of, sweep_of  # noqa: E402

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["planner.store.claims", "psycopg", "tests.store.samples"])
SQLITE_TARGET, OPTUNA_TARGET, POSTGRES_TARGET = 2_000.0, 50.0, 0.7

OPTUNA = """
import multiprocessing, sys, time, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
url, n_processes, n_each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def work(barrier):
    study = optuna.load_study(study_name="s", storage=url, sampler=optuna.samplers.RandomSampler())
    barrier.wait()
    for _ in range(n_each):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, 0.0)
if __name__ == "__main__":
    optuna.create_study(study_name="s", storage=url)
    barrier = multiprocessing.Barrier(n_processes + 1)
    started = [multiprocessing.Process(target=work, args=(barrier,)) for _ in range(n_processes)]
    [process.start() for process in started]
    barrier.wait()
    began = time.perf_counter()
    [process.join() for process in started]
    print(n_processes * n_each / (time.perf_counter() - began))
"""


def ours(url: str, share: slice, barrier: Any, answers: Any) -> None:
    """Claim the trials of one's share by their keys, as a driver hands them out."""
    engine = open_store(url, worker=True)
    dealt = [key for (key,) in rows_of(engine, "SELECT trial_id FROM trials ORDER BY 1")][share]
    claims.claim_trial(engine, -1, WORKER, LEASE)  # compiles the statements
    barrier.wait()
    claimed = [claims.claim_trial(engine, key, WORKER, LEASE) for key in dealt]
    answers.put([claim.trial_id for claim in claimed if claim is not None])


BARE = {
    "sqlite": (
        "UPDATE cfg SET state = 'running', token = token + 1 WHERE id ="
        " (SELECT id FROM cfg WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING id"
    ),
    "postgresql": (
        "UPDATE cfg SET state = 'running', token = token + 1 WHERE id ="
        " (SELECT id FROM cfg WHERE state = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING id"
    ),
}


def driver(url: str) -> Any:
    """The bare driver's connection, each statement a transaction."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(
            url.removeprefix("sqlite:///"), isolation_level=None, timeout=60
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection
    import psycopg

    return psycopg.connect(url, autocommit=True)


def bare(url: str, share: slice, barrier: Any, answers: Any) -> None:
    """The same with one statement on one narrow table, no run, no lease."""
    connection, taken = driver(url), []
    statement = BARE["sqlite" if url.startswith("sqlite") else "postgresql"]
    barrier.wait()
    while True:
        if url.startswith("sqlite"):
            connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(statement).fetchone()
        if url.startswith("sqlite"):
            connection.execute("COMMIT")
        if row is None:
            break
        taken.append(row[0])
    answers.put(taken)


def per_second(work: Callable[..., None], url: str, n_processes: int, n: int) -> float:
    """Claims a second of so many processes together.

    Raises:
        AssertionError: a trial was claimed twice, or not at all.
    """
    barrier, answers = CONTEXT.Barrier(n_processes + 1), CONTEXT.SimpleQueue()
    started = [
        CONTEXT.Process(target=work, args=(url, slice(i, None, n_processes), barrier, answers))
        for i in range(n_processes)
    ]
    for process in started:
        process.start()
    barrier.wait()
    began = time.perf_counter()
    found = [key for _ in started for key in answers.get()]
    seconds = time.perf_counter() - began
    for process in started:
        process.join()
    assert len(found) == len(set(found)) == n, "claimed twice, or not at all"
    return n / seconds


def fill_bare(url: str, n: int) -> None:
    connection = driver(url)
    connection.execute("DROP TABLE IF EXISTS cfg")
    connection.execute("CREATE TABLE cfg (id INTEGER PRIMARY KEY, state TEXT, token INTEGER)")
    connection.execute("CREATE INDEX cfg_state ON cfg (state, id)")
    values = ", ".join(f"({i}, 'queued', 0)" for i in range(n))
    connection.execute(f"INSERT INTO cfg VALUES {values}")
    connection.close()


def one_round(make: Callable[[], str], asked: argparse.Namespace) -> tuple[float, float]:
    """Ours and the bare statement's claims a second, each on a fresh database."""
    url = make()
    engine = open_store(url)
    sweep_of(engine, asked.trials)
    mine = per_second(ours, url, asked.processes, asked.trials)
    assert rows_of(engine, "SELECT count(*) FROM runs") == [(asked.trials,)]
    engine.dispose()
    other = make()
    fill_bare(other, asked.trials)
    return mine, per_second(bare, other, asked.processes, asked.trials)


def optuna(python: str, url: str, n_processes: int) -> float:
    """Optuna's ask and tell a second on a file beside ours."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(OPTUNA)
        script.flush()
        command = [python, script.name, url, str(n_processes), "15"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def compare(name: str, make: Callable[[], str], asked: argparse.Namespace) -> dict[str, Any]:
    rounds = [one_round(make, asked) for _ in range(asked.rounds)]
    mine = [r[0] for r in rounds]
    ratios = [ours_ / bare_ for ours_, bare_ in rounds]
    return {
        "database": name,
        "claims_per_second": round(statistics.median(mine)),
        "bare_per_second": round(statistics.median(r[1] for r in rounds)),
        "ratio": round(statistics.median(ratios), 2),
        "noise_floor": round((max(mine) - min(mine)) / statistics.median(mine), 2),
        "claimed_twice": 0,
    }


def verdict(row: dict[str, Any], passed: bool, target: str) -> None:
    print(json.dumps(row | {"target": target, "verdict": "pass" if passed else "miss"}), flush=True)


def main() -> int:
    """Print one line of JSON for each comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--optuna", metavar="PYTHON", help="an interpreter that has Optuna")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--trials", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="claims_"))
    numbers = iter(range(1_000))

    def file() -> str:
        return f"sqlite:///{folder}/{next(numbers)}.db"

    row = compare("sqlite", file, asked)
    if asked.optuna:
        row["optuna_per_second"] = round(optuna(asked.optuna, file(), asked.processes), 1)
        row["times_optuna"] = round(row["claims_per_second"] / row["optuna_per_second"])
    passed = row["claims_per_second"] >= SQLITE_TARGET
    passed &= row.get("times_optuna", OPTUNA_TARGET) >= OPTUNA_TARGET
    verdict(row, passed, f">= {SQLITE_TARGET:g}/s and >= {OPTUNA_TARGET:g} x Optuna")
    server, _ = database("throw-away-postgresql")
    try:
        row = compare("postgresql", server.new_database, asked)
    finally:
        server.stop()
    verdict(row, row["ratio"] >= POSTGRES_TARGET, f">= {POSTGRES_TARGET} x bare SKIP LOCKED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
