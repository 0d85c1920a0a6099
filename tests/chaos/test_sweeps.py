"""Real sweeps by the command itself, under kills, stops and restarts of the server; by hand sweeps.py."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.chaos.sweeps import ROOT
from tests.conftest import server_binaries

needs_postgres = pytest.mark.skipif(
    server_binaries() is None, reason="no PostgreSQL server binaries (initdb) on this machine"
)


def after_faults(ray: str, n_faults: int, seed: int) -> dict[str, Any]:
    """What the harness found: in a process of its own, whose drivers are forked with all imports done."""
    harness = [sys.executable, str(ROOT / "tests/chaos/sweeps.py"), "--ray", ray]
    done = subprocess.run(
        [*harness, "--faults", str(n_faults), "--seed", str(seed)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@needs_postgres
@pytest.mark.postgres
def test_real_sweeps_whose_drivers_and_server_die_store_every_trial_once():
    found = after_faults("none", 40, seed=3)
    assert (found["broken"], found["left_over_after_90_s"], found["faults"]) == ([], [], 40)


@needs_postgres
@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("ray", ["local", "nodes"])
def test_real_sweeps_whose_ray_dies_store_every_trial_once(ray):
    found = after_faults(ray, 20, seed=4)
    assert (found["broken"], found["left_over_after_90_s"]) == ([], [])
