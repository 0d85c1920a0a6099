"""`soundscale design` places seeds of one configuration, and says what they buy."""

import math
from collections import Counter

import pytest
from scipy.special import polygamma

from planner.plan.design import KINDS
from planner.service.design import _bought, _trigamma, design_sweep


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runs", [10, 14, 24])
def test_a_design_has_three_seeds_of_one_configuration_within_its_runs(kind, runs):
    found = design_sweep("asr", runs, kind)
    counts = Counter((r["backbone"], r["audio_seconds"], r["reduction"]) for r in found["runs"])
    assert max(counts.values()) >= 3
    assert found["n_runs"] == runs == sum(counts.values())
    seeds = {
        (*c, r["seed"]) for c in counts for r in found["runs"] if list(r.values())[:3] == list(c)
    }
    assert len(seeds) == runs


def test_few_runs_go_to_the_law_and_the_design_says_that_seeds_stay_assumed():
    found = design_sweep("asr", 8, "star")
    assert found["seeds"]["dof"] == 0
    assert "stays an assumption" in found["seeds"]["text"]
    assert found["seeds"]["factor"] == found["seeds"]["factor_before"]


@pytest.mark.parametrize("dof", [1, 2, 3, 7, 20])
def test_what_seeds_buy_follows_from_the_variance_of_a_log_variance(dof):
    assert _trigamma(dof / 2) == pytest.approx(float(polygamma(1, dof / 2)), rel=1e-12)
    bought = _bought(Counter({(0,): dof + 1}))
    assert 1 < bought["factor"] < bought["factor_before"]
    alone = math.exp(1.6448536 * 0.5 * math.sqrt(float(polygamma(1, dof / 2))))
    assert bought["factor"] < alone
