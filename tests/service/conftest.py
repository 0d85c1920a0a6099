"""A database with the study's published table in it."""

import pytest

from planner.service import asking


@pytest.fixture
def published(tmp_path):
    db = str(tmp_path / "published.db")
    asking.import_results(db, "same2026")
    return db
