"""A database that a real quickstart left, for the notebooks and whoever else reads one."""

import shutil
from pathlib import Path

import pytest

STORED = Path(__file__).parents[1] / "fixtures" / "quickstart.db"


@pytest.fixture
def quickstart_db(tmp_path):
    """A copy of the stored quickstart database, brought to this version's revision."""
    from planner.store import engine

    copy = tmp_path / "quickstart.db"
    shutil.copy(STORED, copy)
    engine.upgrade(str(copy))
    return copy
