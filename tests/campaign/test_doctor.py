from __future__ import annotations

from pathlib import Path

import pytest

from planner.store.claims import claim_trial
from planner.store.engine import open_store
from planner.store.read import sweeps
from runner.campaign import artifacts, doctor_nodes
from runner.campaign.doctor import database_tls, examine
from runner.campaign.worker import this_worker
from tests.store.samples import sweep_of


def by_what(url: str, location: object) -> dict:
    return {found.what: found for found in examine(url, str(location), None)}


def test_a_healthy_place_is_good_throughout_and_nothing_is_left_behind(db_url, tmp_path):
    engine = open_store(db_url)
    sweep_of(engine, 1)
    claim_trial(engine, 1, this_worker(), 600.0)
    found = by_what(db_url, tmp_path / "artifacts")
    assert {f.state for f in found.values()} <= {"good", "doubtful"}
    assert found["leases"].found == "1 alive, 0 run out"
    assert [s.name for s in sweeps(engine)] == ["sweep"]
    assert not (tmp_path / "artifacts").exists()
    engine.dispose()


def test_a_database_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path):
    found = by_what(f"sqlite:///{tmp_path}/none.db", tmp_path)
    assert found["database"].state == "doubtful"
    assert "not there yet" in found["database"].found
    assert list(tmp_path.iterdir()) == []


def test_one_fault_does_not_hide_the_next(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "none.db").write_text("no database")
    found = by_what(f"sqlite:///{tmp_path}/none.db", tmp_path / "file/artifacts")
    assert (found["database"].state, found["artifacts"].state) == ("bad", "bad")
    assert "--artifacts" in (found["artifacts"].remedy or "")


def test_a_password_is_not_shown(tmp_path: Path):
    found = by_what("postgresql://me:s3cret@127.0.0.1:1/x", tmp_path)
    assert found["database"].state == "bad"
    assert "s3cret" not in str(found)


HERE = {"soundscale": "0.1.0", "torch": "2.13.0"}
WELL = {
    "host": "a", "libraries": HERE, "gpus": ["NVIDIA H200"], "n_cpus": 16, "database": None, "storage": None,
    "shared": True, "free_bytes": 2**40,
}  # fmt: skip


@pytest.mark.parametrize(
    ("differs", "off_seconds", "n_gpus", "state", "said"),
    [
        ({}, 0.0, 1.0, "good", "NVIDIA H200"),
        ({"gpus": []}, 0.0, 0.0, "good", "no GPU, 16 CPU cores"),
        ({"libraries": {"soundscale": "0.1.0"}}, 0.0, 1.0, "bad", "torch None (here 2.13.0)"),
        ({"database": "no route"}, 0.0, 1.0, "bad", "does not reach the database: no route"),
        ({"storage": "denied"}, 0.0, 1.0, "bad", "does not reach the artifacts: denied"),
        ({"shared": False}, 0.0, 1.0, "doubtful", "not this machine's"),
        ({"free_bytes": 2**20}, 0.0, 1.0, "doubtful", "1 MiB free"),
        ({}, -61.2, 1.0, "doubtful", "-61.2 s off"),
        ({"gpus": []}, 0.0, 1.0, "doubtful", "Ray hands out 1 GPUs, torch sees 0"),
        ({}, 0.0, 0.0, "doubtful", "of which Ray hands out none"),
    ],
)
def test_what_a_node_lacks_is_said_with_what_to_do(differs, off_seconds, n_gpus, state, said):
    found = doctor_nodes.finding(WELL | differs, HERE, off_seconds, n_gpus)
    assert (found.what, found.state, said in found.found) == ("node a", state, True)
    assert (found.remedy is None) == (state == "good")


def test_a_node_reaches_database_and_artifacts_by_itself(db_url, tmp_path):
    open_store(db_url).dispose()
    with artifacts.marked(str(tmp_path)) as mark:
        facts = doctor_nodes.node_facts(db_url, str(tmp_path), mark)
        elsewhere = doctor_nodes.node_facts(db_url, str(tmp_path / "own"), mark)
    assert (facts["database"], facts["storage"], facts["shared"]) == (None, None, True)
    assert (elsewhere["storage"], elsewhere["shared"]) == (None, False)
    assert not list(tmp_path.glob(".mark-*"))


def test_a_node_without_database_or_artifacts_says_both_and_no_password(tmp_path):
    (tmp_path / "file").touch()
    facts = doctor_nodes.node_facts(
        "postgresql://me:s3cret@127.0.0.1:1/x", str(tmp_path / "file/a"), None
    )
    assert "127.0.0.1" in facts["database"]
    assert "cannot be written to" in facts["storage"]
    assert "s3cret" not in str(facts)


@pytest.mark.parametrize("url", [False, True])
def test_storage_is_shared_where_its_mark_is_seen(url, tmp_path):
    here, there = (f"{'file://' if url else ''}{tmp_path}/{name}" for name in ("here", "there"))
    artifacts.check(here)
    artifacts.check(there)
    with artifacts.marked(here) as mark:
        assert (artifacts.sees(here, mark), artifacts.sees(there, mark)) == (True, False)
    assert not artifacts.sees(here, mark)


@pytest.mark.parametrize(
    ("version", "host", "sslmode", "state"),
    [
        (None, "", None, "good"),
        (None, "/run/postgresql", None, "good"),
        (None, "127.0.0.1", "prefer", "good"),
        (None, "db.example", "prefer", "doubtful"),
        ("TLSv1.3", "db.example", "prefer", "doubtful"),
        ("TLSv1.3", "db.example", "require", "doubtful"),
        ("TLSv1.3", "db.example", "verify-full", "good"),
    ],
)
def test_a_connection_that_others_can_read_or_answer_is_doubtful(version, host, sslmode, state):
    found = database_tls(version, host, sslmode)
    assert (found.state, found.remedy is None) == (state, state == "good")


def test_tls_of_a_cluster_matters_where_other_machines_are():
    states = [
        doctor_nodes.tls(frozenset(nodes), wanted).state
        for nodes, wanted in (
            (["127.0.0.1"], None), (["127.0.0.1", "10.0.0.2"], None), (["10.0.0.2"], "1"),
        )
    ]  # fmt: skip
    assert states == ["good", "doubtful", "good"]


def test_a_slow_answer_is_no_wrong_clock():
    slow, quick = iter([100.0, 120.0]), iter([100.0, 100.2])
    assert doctor_nodes.clock_off_seconds(lambda: 101.0, lambda: next(slow)) == 0.0
    assert doctor_nodes.clock_off_seconds(lambda: 40.1, lambda: next(quick)) == pytest.approx(-59.9)
