"""A database with structure, the application in this process, and a real server in its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install '.[service]'")

from starlette.testclient import TestClient

from planner.http.app import create
from planner.http.settings import Settings
from tests.http import worlds

BASE = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of `worlds`, with one law fitted; shared, so tests only add to it."""
    from planner.service import asking
    from planner.words.question import PlanQuery

    db = worlds.structured(tmp_path_factory.mktemp("bench"))
    asking.plan(db, PlanQuery(task="asr", flops=20e9))
    return db


@pytest.fixture
def own_bench(bench: str, tmp_path: Path) -> str:
    """A copy that a test may change."""
    import sqlite3

    copy = tmp_path / "own.db"
    with sqlite3.connect(bench) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    return str(copy)


@contextmanager
def client_of(db: str, **settings: object) -> Iterator[TestClient]:
    given = {"db": db, "log_format": "none", "requests_per_second": 0.0, **settings}
    with TestClient(create(Settings(**given)), base_url=BASE) as found:
        yield found


@pytest.fixture(scope="session")
def client(bench: str) -> Iterator[TestClient]:
    with client_of(bench) as found:
        yield found


@dataclass
class Served:
    """A `soundscale serve` in a process of its own."""

    port: int
    process: subprocess.Popen
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> str:
        self.process.terminate()
        self.process.wait(20)
        return self.log.read_text()


def serve(db: str, *options: str, log: Path, wait: Callable[[], None] | None = None) -> Served:
    """Start the command on a free port and read from its first line where it listens."""
    command = [
        sys.executable,
        "-m",
        "planner.cli.main",
        "serve",
        "--db",
        db,
        "--port",
        "0",
        *options,
    ]
    with log.open("w") as out:
        process = subprocess.Popen(command, stderr=out, stdout=out, env={**os.environ})
    for _ in range(2400):
        found = re.search(r"on http://\S+:(\d+)/", log.read_text())
        if found:
            return Served(int(found.group(1)), process, log)
        if process.poll() is not None:
            break
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"the server did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def served(bench: str) -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="soundscale_http_"))
    found = serve(bench, "--rate", "0", log=folder / "log")
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)
