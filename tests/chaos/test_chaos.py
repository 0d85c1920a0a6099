"""The short form of chaos.py: workers and drivers die and hang, every result is stored once."""

from __future__ import annotations

from tests.chaos.chaos import Chaos, check


def test_every_trial_is_stored_once_whoever_dies(db_url, tmp_path):
    folder = tmp_path / "seen"
    folder.mkdir()
    chaos = Chaos(url=db_url, folder=folder, n_trials=150, n_faults=30, seed=11)
    chaos.run()
    found = check(chaos)
    assert found["broken"] == {}
    assert found["finished"] == chaos.n_trials
    assert chaos.made >= 30
