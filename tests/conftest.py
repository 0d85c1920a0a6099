"""Shared fixtures: a fresh database of each kind, and a throw-away PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import Engine

from planner.store.engine import open_store
from planner.store.schema import metadata

if "PYTEST_XDIST_WORKER" in os.environ:
    # A core for each worker; set before torch and NumPy look.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent
SHARED = {"page": "browser", "http": "service"}
"""Folder -> what all of its tests share and start once."""


def _group(item: pytest.Item) -> str:
    """The tests that one worker takes together, as they share what is slow to make."""
    if item.get_closest_marker("ray"):
        return "ray"
    folder = item.path.relative_to(ROOT).parts[0]
    return SHARED.get(folder, str(item.path.relative_to(ROOT)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


# How long an example takes says what else the machine does, not whether the code is right.
hypothesis.settings.register_profile("soundscale", deadline=None)
hypothesis.settings.load_profile("soundscale")


@pytest.fixture(autouse=True)
def _same_gpus_after_each_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's process hides GPUs from itself for good; here it is the tests' own process."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", os.environ["CUDA_VISIBLE_DEVICES"])
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def server_binaries() -> Path | None:
    """The folder of initdb and pg_ctl: the newest installed server, else what PATH has."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path:
        found = [Path(on_path).resolve()]
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """A server of its own on a free port; as root it runs as user postgres.

    Args:
        binaries: folder of initdb and pg_ctl.
        address: where it listens.
    """

    def __init__(self, binaries: Path, address: str = "127.0.0.1") -> None:
        self.address = address
        self.root = Path(tempfile.mkdtemp(prefix="soundscale_pg_"))
        self.port = _free_port()
        self._binaries = binaries
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._as_user:
            shutil.chown(self.root, "postgres")
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "postgres", "-N")
        with (self.root / "data/pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {address}/24 trust\n")

    def _run(self, program: str, *args: str) -> None:
        command = [*self._as_user, str(self._binaries / program), *args]
        quiet = subprocess.DEVNULL
        subprocess.run(command, check=True, cwd=self.root, stdout=quiet, stderr=quiet)

    def start(self) -> None:
        # -F: no fsync. What the tests kill are processes; the machine stays up and keeps its writes.
        options = f"-F -p {self.port} -k {self.root} -c listen_addresses={self.address}"
        self._run("pg_ctl", "-D", "data", "-o", options, "-l", "log", "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@{self.address}:{self.port}/{database}"

    def new_database(self) -> str:
        import psycopg

        name = f"db{os.urandom(4).hex()}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install psycopg[binary]")
    binaries = server_binaries()
    if binaries is None:
        pytest.skip(
            "no PostgreSQL server binaries (initdb) on this machine: apt install postgresql"
        )
    server = PostgresServer(binaries)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.root, ignore_errors=True)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    return postgres_server.new_database()


BOTH = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgres),
]


@pytest.fixture(params=BOTH)
def db_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database that nobody has opened yet; each test runs once on each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, which a test's own store is a copy of."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    open_store(str(path)).dispose()
    return path


@pytest.fixture(scope="session")
def postgres_shared(postgres_server: PostgresServer) -> str:
    """A migrated database that tests empty before use: a new one takes a second."""
    url = postgres_server.new_database()
    open_store(url).dispose()
    return url


@pytest.fixture
def open_at() -> Iterator[Callable[[str], Engine]]:
    """Opens stores and disposes of them at the end."""
    engines: list[Engine] = []

    def opened(url: str) -> Engine:
        engines.append(open_store(url))
        return engines[-1]

    yield opened
    for engine in engines:
        engine.dispose()


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path, open_at: Callable[[str], Engine]) -> Engine:
    return open_at(str(shutil.copy(sqlite_template, tmp_path / "store.db")))


@pytest.fixture
def postgres_store(postgres_shared: str, open_at: Callable[[str], Engine]) -> Engine:
    engine = open_at(postgres_shared)
    with engine.begin() as connection:
        names = ", ".join(metadata.tables)
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
    return engine


@pytest.fixture(params=BOTH)
def store(request: pytest.FixtureRequest) -> Engine:
    """A fresh, migrated store; each test runs once on each kind of database."""
    name = "sqlite_store" if request.param == "sqlite" else "postgres_store"
    engine: Engine = request.getfixturevalue(name)
    return engine
