"""Which configurations a probe measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.costs.latency.model import fit_latency_model
from planner.costs.latency.probe_points import CORE, calibration_points
from planner.costs.latency.stages import regressors
from planner.costs.latency.transfer import (
    datasheet_costs,
)
from planner.errors import InputError
from tests.costs.latency.simulated import GRID, WINDOWS, half_width, measured, predicted


def test_calibration_points_differ_and_start_the_same_whatever_their_number():
    points = calibration_points(WINDOWS, 12)
    assert len(set(points)) == 12
    assert calibration_points(WINDOWS, 5) == points[:5]


def test_calibration_points_stay_within_the_time_that_is_allowed():
    costs = datasheet_costs(CORE)
    points = calibration_points(WINDOWS, 12, seconds=90.0, samples=10)
    spent = sum(float(regressors([WINDOWS[i]])[0] @ costs) for i in points)
    assert 10 * spent / 1e3 <= 90.0
    assert len(points) == 12


def test_calibration_points_determine_the_device_better_than_any_others():
    chosen = fit_latency_model([measured(GRID[i]) for i in calibration_points(WINDOWS, 12)])
    first = fit_latency_model([measured(w) for w in GRID[:12]])
    targets = GRID[::7]
    widths = [
        np.mean([half_width(p) for p in predicted(replace(m, measured={}), targets)])
        for m in (chosen, first)
    ]
    assert widths[0] < widths[1] / 2


@pytest.mark.parametrize(("n", "seconds"), [(0, None), (3, 1e-6)])
def test_a_calibration_without_points_or_time_is_refused(n, seconds):
    with pytest.raises(InputError, match=r"at least 1 point|more time"):
        calibration_points(WINDOWS, n, seconds=seconds)
