"""A database with the study's published table in it."""

import pytest

from planner.service import fitting


@pytest.fixture
def published(tmp_path):
    db = str(tmp_path / "published.db")
    fitting.import_results(db, "same2026")
    return db
