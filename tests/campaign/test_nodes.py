"""Two raylets on this machine: one dies in the middle, then the head; the database ends the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.store import host_leases
from planner.store.engine import open_store
from planner.store.read import attempts, runs, steps, sweep_status, utterances
from runner.campaign import display
from runner.campaign.drive import CampaignSetting, run_campaign
from runner.campaign.inline import InlineExecutor
from runner.sweep import prepare
from tests.campaign.made import NO_LATENCY
from tests.campaign.nodes import Nodes
from tests.chaos.invariants import audited
from tests.chaos.network import NEAR, Link

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def until(happens: Callable[[], object], what: str, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"it never came that {what}"
        time.sleep(0.1)


def answers(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def bring_up(nodes: Nodes) -> None:
    nodes.start(0)
    until(lambda: answers(nodes.address), "the head answers")
    nodes.start(1)
    said = nodes.folder / "node1.txt"
    until(lambda: "Ray runtime started" in said.read_text(), "the second node is up")


def states(db: str) -> list[tuple[str, int | None]]:
    """State and process of each trial; none before the sweep is registered."""
    engine = open_store(db)
    try:
        return [(row.state, row.pid) for row in sweep_status(engine, "micro").rows]
    except InputError:
        return []
    finally:
        engine.dispose()


def running(db: str) -> set[int | None]:
    return {pid for state, pid in states(db) if state == "running"}


def command(spec: Path, nodes: Nodes, db: str, folder: Path) -> subprocess.Popen[str]:
    code = "from planner.cli.main import main; main()"
    sweep = [sys.executable, "-c", code, "sweep", "run", str(spec), "--db", db]
    return subprocess.Popen(
        [*sweep, "--ray", nodes.address, "--artifacts", str(folder)],
        env=nodes.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def results(db: str) -> dict[str, object]:
    """All that a finished run says and that time and place must not change, by fingerprint."""
    engine = open_store(db)
    found = {}
    for row in runs(engine, status="finished"):
        assert row.trial.fingerprint not in found, "stored twice"
        losses = [(s.step, s.loss, s.grad_norm) for s in steps(engine, row.run_id)]
        spoken = [
            (u.utterance_id, u.hypothesis, u.n_errors) for u in utterances(engine, row.run_id)
        ]
        counts = (row.error, row.n_units, row.n_errors, row.n_trainable, row.train_flops)
        found[row.trial.fingerprint] = (counts, losses, spoken)
    engine.dispose()
    return found


def undisturbed(spec: Path, folder: Path) -> dict[str, object]:
    db = f"sqlite:///{folder}/undisturbed.db"
    prepared = prepare.prepare(spec, db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=str(folder / "undisturbed"))
    run_campaign(prepared.spec, prepared.trials, setting, InlineExecutor, display.Quiet())
    return results(db)


def test_a_campaign_whose_node_and_then_whose_head_dies_ends_as_an_undisturbed_one(
    write_spec, tmp_path, db_url
):
    spec = write_spec(("steps = 2", "steps = 60"), ("[2, 3]", "[2, 3, 4]"))
    expected = undisturbed(spec, tmp_path)
    with Nodes() as nodes:
        bring_up(nodes)
        driver = command(spec, nodes, db_url, tmp_path / "a")
        until(lambda: running(db_url) & set(nodes.pids(1)), "the second node works")
        nodes.kill(1)
        until(lambda: "finished" in [state for state, _ in states(db_url)], "a trial is finished")
        nodes.kill(0)
        driver.kill()
        driver.communicate()
    with Nodes() as nodes:
        bring_up(nodes)
        again = command(spec, nodes, db_url, tmp_path / "a")
        _, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert results(db_url) == expected
    engine = open_store(db_url)
    kinds = [row.status for t in (1, 2, 3, 4) for row in attempts(engine, t)]
    assert audited(engine) == {}
    engine.dispose()
    assert kinds.count("finished") == len(expected) == 4
    assert 1 <= kinds.count("lost") <= 3
    assert set(kinds) == {"finished", "lost"}


def test_a_driver_outlives_a_head_that_is_started_anew_at_its_address(
    write_spec, tmp_path, postgres_url
):
    """Ray itself ends a process that asks the new head about nodes of the old one."""
    spec = write_spec(("steps = 2", "steps = 40"), NO_LATENCY)
    with Nodes() as nodes:
        bring_up(nodes)
        driver = command(spec, nodes, postgres_url, tmp_path / "a")
        until(lambda: running(postgres_url), "a trial runs")
        for number in (1, 0):
            nodes.kill(number)
        bring_up(nodes)
        _, said = driver.communicate(timeout=300)
    assert driver.returncode == 0, said
    assert "the cluster answers again" in said
    engine = open_store(postgres_url)
    assert audited(engine) == {}
    engine.dispose()


def test_trials_run_on_the_nodes_that_have_their_device_label(write_spec, tmp_path):
    db = f"sqlite:///{tmp_path}/runs.db"
    label = ("[optimisation]", '[resources]\ndevice_label = "node1"\n\n[optimisation]')
    with Nodes() as nodes:
        bring_up(nodes)
        driver = command(write_spec(label), nodes, db, tmp_path / "a")
        seen: set[int | None] = set()
        of_node_1: set[int | None] = set()
        while driver.poll() is None:
            seen |= running(db)
            of_node_1 |= set(nodes.pids(1))
            time.sleep(0.05)
        _, said = driver.communicate()
    assert driver.returncode == 0, said
    assert seen
    assert seen <= of_node_1


def named(host: str) -> list[str]:
    """Before a command: a host name of its own, as another machine has."""
    return ["unshare", "--uts", "bash", "-c", f'hostname {host} && exec "$@"', host]


def test_a_drained_node_gives_its_trial_back_and_the_others_train_the_rest(
    write_spec, tmp_path, postgres_url
):
    if os.geteuid() != 0:
        pytest.skip("a host name of its own needs root")
    db = postgres_url
    spec = write_spec(("steps = 2", "steps = 80"), ("[2, 3]", "[2, 3, 4]"))
    with Nodes(wrap=([], named("other"))) as nodes:
        bring_up(nodes)
        driver = command(spec, nodes, db, tmp_path / "a")
        until(lambda: running(db) & set(nodes.pids(1)), "the second node works")
        engine = open_store(db)
        host_leases.drain(engine, "other")
        until(lambda: host_leases.n_running(engine, "other") == 0, "the second node is empty", 60.0)
        _, said = driver.communicate(timeout=300)
        assert driver.returncode == 0, said
    hosts = [(row.status, row.host) for t in (1, 2, 3, 4) for row in attempts(engine, t)]
    assert sum(status == "finished" for status, _ in hosts) == 4
    assert ("cancelled", "other") in hosts
    assert {row.max_attempts - row.n_attempts for row in sweep_status(engine, "micro").rows} == {2}
    assert audited(engine) == {}
    engine.dispose()


@pytest.fixture
def link():
    try:
        with Link() as link:
            yield link
    except PermissionError as problem:
        pytest.skip(str(problem))


def test_an_open_cluster_that_other_machines_reach_is_refused(link, write_spec, tmp_path):
    address = link.address(NEAR)
    with Nodes(addresses=(address, address)) as nodes:
        nodes.environment["RAY_AUTH_MODE"] = "disabled"
        nodes.start(0)
        until(lambda: answers(nodes.address), "the head answers")
        nodes.environment["RAY_AUTH_MODE"] = "token"
        driver = command(write_spec(), nodes, f"sqlite:///{tmp_path}/runs.db", tmp_path / "a")
        _, said = driver.communicate(timeout=240)
    assert driver.returncode == 2, said
    assert "runs code for anyone who reaches it; start its nodes with RAY_AUTH_MODE=token" in said
