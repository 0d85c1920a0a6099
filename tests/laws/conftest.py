"""Tables of runs for the laws' tests."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from planner.laws.observations import Observations

AXES = ("n_params", "audio_seconds", "tokens_per_second")


def true_error(x):
    """An additive law on three axes, in the unit of a WER."""
    return (
        0.04
        + 0.05 * (x[:, 0] / 1e8) ** -0.4
        + 0.03 * (x[:, 1] / 8) ** -1.2
        + 0.02 * (x[:, 2] / 25) ** -0.8
    )


@pytest.fixture
def grid_points():
    return np.array(
        list(itertools.product((39e6, 74e6, 244e6, 769e6), (4, 8, 15, 30), (12.5, 25, 50))), float
    )


@pytest.fixture
def star_points():
    sizes = (37.76e6, 72.59e6)
    rest = ((12, 50), (8, 50), (4, 50), (12, 25), (12, 12.5), (4, 12.5))
    return np.array([(n, *r) for n in sizes for r in rest], float)


@pytest.fixture
def table(grid_points):
    """Four by four by three runs with 2 % noise."""
    noise = np.random.default_rng(3).standard_normal(len(grid_points))
    return Observations(
        axes=AXES, x=grid_points, error=true_error(grid_points) * np.exp(0.02 * noise)
    )
