"""Signals in the middle of a real stage: nothing is lost, and the host is not held for long."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from planner.store import host_leases, latency_stages
from planner.store.engine import open_store
from planner.store.read import latencies, sweep_id_of
from runner.campaign import display
from runner.campaign.drive import CampaignSetting, run_campaign
from runner.campaign.inline import InlineExecutor
from runner.sweep import prepare
from tests.campaign.nodes import Nodes

pytestmark = pytest.mark.slow

COMMAND = "from planner.cli.main import main; main()"


@pytest.fixture
def swept(tmp_path: Path, write_spec) -> Iterator[tuple[str, Engine]]:
    """A finished micro sweep."""
    db = f"sqlite:///{tmp_path}/runs.db"
    prepared = prepare.prepare(write_spec(), db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=str(tmp_path / "artifacts"), poll_seconds=0.05)
    run_campaign(prepared.spec, prepared.trials, setting, InlineExecutor, display.Quiet())
    engine = open_store(db)
    yield db, engine
    engine.dispose()


def started(db: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMAND, "sweep", "latency", "micro", "--db", db, *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.ray
def test_on_a_cluster_each_host_measures_what_was_trained_there(swept):
    db, engine = swept
    with Nodes() as nodes:
        nodes.start(0)
        code = [sys.executable, "-c", COMMAND, "sweep", "latency", "micro", "--db", db]
        while not answers(nodes.address):
            time.sleep(0.1)
        done = subprocess.run(
            [*code, "--ray", nodes.address, "--seconds", "0", "-f", "json"],
            env=nodes.environment, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (stage,) = json.loads(done.stdout)["latency_stages"]
    assert (stage["host"], stage["n_contestants"]) == (socket.gethostname(), 3)
    assert not host_leases.held(engine, socket.gethostname())


def answers(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def turns(engine: Engine) -> list[latency_stages.TurnRow]:
    found = latency_stages.stages(engine, sweep_id_of(engine, "micro"))
    return latency_stages.turns(engine, found[0].latency_stage_id) if found else []


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_stage_loses_nothing(swept, kind):
    db, engine = swept
    first = started(db, "--seconds", "3600")
    while len(turns(engine)) < 2:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    (child,) = children(first.pid)
    first.send_signal(kind)
    first.communicate(timeout=60)
    kept = turns(engine)
    while Path(f"/proc/{child}").exists() and b"stage_child" in cmdline(child):
        time.sleep(0.05)
    if kind is signal.SIGKILL:
        assert host_leases.held(engine, socket.gethostname())
        with engine.begin() as connection:
            connection.execute(text("UPDATE host_leases SET lease_until_seconds = 1.0"))
    assert not host_leases.held(engine, socket.gethostname())
    second = started(db, "--seconds", "0")
    _out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    again = {(t.contestant, t.round): t for t in turns(engine)}
    assert all(again[t.contestant, t.round] == t for t in kept)
    assert all(
        latencies(engine, run_id=run)[-1].latency.method.endswith("in turns") for run in (1, 2, 3)
    )


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
