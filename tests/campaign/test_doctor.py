from __future__ import annotations

from pathlib import Path

from planner.store.claims import claim_trial
from planner.store.engine import open_store
from planner.store.read import sweeps
from runner.campaign.doctor import examine
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
    assert list((tmp_path / "artifacts").iterdir()) == []
    engine.dispose()


def test_one_fault_does_not_hide_the_next(tmp_path):
    (tmp_path / "file").touch()
    found = by_what(f"sqlite:///{tmp_path}/none.db", tmp_path / "file/artifacts")
    assert (found["database"].state, found["artifacts"].state) == ("bad", "bad")
    assert "--artifacts" in (found["artifacts"].remedy or "")


def test_a_password_is_not_shown(tmp_path: Path):
    found = by_what("postgresql://me:s3cret@127.0.0.1:1/x", tmp_path)
    assert found["database"].state == "bad"
    assert "s3cret" not in str(found)
