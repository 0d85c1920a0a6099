from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import runner

HEAVY = ("torch", "transformers", "peft", "ray")
ROOMS = ("sweep", "campaign", "data", "weights", "probing")
MEASURING = {  # what runs in the measuring processes alone
    "runner.probing.child",
    "runner.probing.stage_child",
    "runner.probing.random_models",
}


def modules_of(room: str) -> list[str]:
    folder = Path(runner.__file__).parent / room
    names = [f"runner.{room}.{path.stem}" for path in folder.glob("*.py")]
    return sorted(name for name in names if name not in MEASURING)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_trains_nothing_loads_no_model_and_no_cluster(room):
    code = (
        f"import importlib, sys\n[importlib.import_module(n) for n in {modules_of(room)!r}]\n"
        f"print([n for n in {HEAVY!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
