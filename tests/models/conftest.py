from __future__ import annotations

import functools

import pytest
import torch

from tests.trial.made import write_manifest


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in the same order everywhere, and no fight for cores with other workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def manifest(tmp_path):
    return functools.partial(write_manifest, tmp_path)
