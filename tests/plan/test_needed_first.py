"""Runs that are repeated before they are trusted."""

import numpy as np
import pytest

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations, RunNoise
from planner.plan.needed_first import _lucky


@pytest.fixture(scope="module")
def fit():
    x = np.geomspace(1.0, 40.0, 12)
    factor = np.exp(0.04 * np.array([1, -1, 1, -1, 1, -1, 1, -1, 1, -6.5, 1, -1]))
    noise = RunNoise(own=np.full(12, 0.02**2), common=0.1**2, common_dof=27.0, source="utterances")
    return fit_law(
        Observations(
            axes=("n",), x=x[:, None], error=0.1 * x**-0.3 * factor, noise=noise,
            run_ids=tuple(range(12)),
        ),
        law="log-linear",
    )  # fmt: skip


def test_a_choice_whose_only_run_lies_far_below_its_law_is_repeated_first(fit):
    ids = tuple((i,) for i in range(12))
    (needed,) = _lucky(fit, ids, 9, [])
    assert needed.index == 9
    assert "lies 2." in needed.why or "lies 3." in needed.why
    assert "repeat it" in needed.why


def test_a_choice_near_its_law_or_run_twice_or_asked_for_already_is_not(fit):
    ids = tuple((i,) for i in range(12))
    assert _lucky(fit, ids, 8, []) == []
    assert _lucky(fit, ids, 9, [9]) == []
    assert _lucky(fit, (*ids[:9], (9, 12), *ids[10:]), 9, []) == []
