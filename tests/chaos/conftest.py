"""Tests of faults end with the audit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.invariants import LastAudit


@pytest.fixture
def clean_history(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test of faults did to a campaign: at its end `sweep audit` finds no promise broken."""
    last = LastAudit(request)
    yield
    assert last.broken() == {}
