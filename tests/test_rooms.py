"""What importing a room loads: the planner's mathematics and pages need no database and no command line."""

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

LOADS_NOT = {
    "planner.words": ("numpy.random", "sqlalchemy", "click", "pydantic", "planner.costs", "planner.plan"),
    "planner.costs": ("sqlalchemy", "click", "planner.store"),
    "planner.laws": ("sqlalchemy", "click", "planner.store"),
    "planner.evidence": ("sqlalchemy", "click", "planner.plan", "planner.service"),
    "planner.plan": ("sqlalchemy", "click", "scipy", "planner.service", "planner.report"),
    "planner.report": ("click", "sqlalchemy", "planner.cli", "planner.http"),
    "planner.service": ("click", "fastapi", "pydantic", "planner.report", "planner.cli", "planner.http"),
}  # fmt: skip


def modules_of(room):
    package = importlib.import_module(room)
    return [room, *(m.name for m in pkgutil.walk_packages(package.__path__, f"{room}."))]


@pytest.mark.parametrize("room", LOADS_NOT)
def test_importing_a_room_loads_nothing_of_above_it(room):
    code = (
        "import importlib, json, sys\n"
        f"for name in {modules_of(room)!r}:\n    importlib.import_module(name)\n"
        f"print(json.dumps([m for m in {LOADS_NOT[room]!r} if m in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
