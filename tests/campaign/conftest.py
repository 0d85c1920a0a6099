"""A corpus of tones and a sweep of random micro models on it: real training, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.campaign.made import write_sweep, write_tones
from tests.chaos.invariants import LastAudit


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve clips of 1.5 s."""
    return write_tones(tmp_path)


@pytest.fixture
def write_spec(tmp_path: Path, manifest: Path) -> Callable[..., Path]:
    """Write the micro sweep, pieces of its text replaced."""
    return partial(write_sweep, tmp_path, manifest)


@pytest.fixture
def clean_history(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test of faults did to a campaign: at its end `sweep audit` finds no promise broken."""
    last = LastAudit(request)
    yield
    assert last.broken() == {}
