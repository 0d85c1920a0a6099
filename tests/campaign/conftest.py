"""A corpus of tones and a sweep of random micro models on it: real training, in seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.campaign.made import write_sweep, write_tones


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Twelve clips of 1.5 s."""
    return write_tones(tmp_path)


@pytest.fixture
def write_spec(tmp_path: Path, manifest: Path) -> Callable[..., Path]:
    """Write the micro sweep, pieces of its text replaced."""
    return partial(write_sweep, tmp_path, manifest)
