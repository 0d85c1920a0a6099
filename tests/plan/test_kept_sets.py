"""How surely a candidate keeps a rule on a further test set, against Student's t and the draws themselves."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from planner.evidence.paired.difference import Pair, difference
from planner.plan.kept_sets import Untrained, on_set, probability_within
from planner.words.keep import rules_of

RNG = np.random.default_rng(5)
BASE = Untrained(run_id=1, label="base", error=0.10, std_error=0.01)


def _pair(first, second, words=10):
    n = len(first)
    return Pair(
        first=np.array(first), second=np.array(second), n_units=np.full(n, words),
        stratum=np.zeros(n, dtype=np.int64), speakers=(None,) * n,
    )  # fmt: skip


def _judged(rule, draws, untrained, pairs=None):
    error = draws.mean(axis=0)
    (one,) = rules_of(rule)
    return on_set(one, error, error - 0.01, error + 0.01, draws, untrained, pairs or {}, 0.9)


def test_of_what_was_run_the_probability_is_students_t_of_the_paired_difference():
    first = RNG.poisson(1.0, 60)
    d = difference(_pair(first, np.maximum(first + RNG.integers(-1, 3, 60), 0)))
    for most in (-0.02, 0.0, d.difference, 0.08):
        expected = stats.t.cdf((most - d.difference) / d.std_error, 59)
        assert probability_within(d, most) == pytest.approx(expected, abs=1e-12)
    found = _judged("s<=+1pt", np.full((100, 1), 0.3), [BASE], {0: d})
    assert found.paired.tolist() == [True]
    assert found.change[0] == d.difference
    assert found.probability[0] == pytest.approx(
        stats.t.cdf((0.01 - d.difference) / d.std_error, 59)
    )


def test_runs_that_never_differ_keep_a_margin_surely_and_no_change_at_all_by_half():
    d = difference(_pair([1] * 40, [1] * 40))
    assert probability_within(d, 0.0) == 0.5
    assert 0.5 < probability_within(d, 0.001) < probability_within(d, 0.02) <= 1.0
    one = difference(_pair([1], [1]))
    assert probability_within(one, 0.02) <= 1.0


def test_of_what_was_not_run_it_is_the_share_of_draws_with_the_references_own_noise():
    draws = RNG.normal(0.105, 0.02, (20_000, 2))
    found = _judged("s<=+1pt", draws, [BASE, None])
    expected = stats.norm.cdf((0.01 - 0.005) / np.hypot(0.02, 0.01))
    assert found.probability[0] == pytest.approx(expected, abs=0.015)
    assert found.change_high[0] - found.change_low[0] == pytest.approx(
        2 * 1.645 * np.hypot(0.02, 0.01), rel=0.03
    )
    # Without a checkpoint of its backbone a change is not known, and is not kept.
    assert found.probability[1] == 0.0
    assert np.isnan(found.change[1])
    by_error = _judged("s<=11%", draws, [BASE, None])
    assert by_error.probability == pytest.approx(stats.norm.cdf(0.005 / 0.02), abs=0.015)


def test_what_is_judged_of_some_candidates_is_what_is_judged_of_all():
    draws = RNG.normal(0.1, 0.02, (500, 9))
    whole = _judged("s<=+1pt", draws, [BASE] * 9)
    some = np.array([False, True, True, False, False, True, False, False, False])
    part, alone = whole.among(some), _judged("s<=+1pt", draws[:, some], [BASE] * 3)
    for field in dataclasses.fields(part):
        if field.name not in ("rule", "place", "spread"):
            mine, theirs = getattr(part, field.name), getattr(alone, field.name)
            np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    assert [part.needed(j, 0.8) for j in range(3)] == [alone.needed(j, 0.8) for j in range(3)]


@pytest.mark.parametrize("rule", ["s<=+1pt", "s<=11%"])
@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99])
def test_the_bound_that_is_needed_is_the_least_that_is_kept(rule, probability):
    draws = RNG.normal(0.105, 0.02, (1000, 2)).astype(np.float32)
    first = RNG.poisson(1.0, 60)
    d = difference(_pair(first, np.maximum(first + RNG.integers(-1, 3, 60), 0)))
    found = _judged(rule, draws, [BASE, BASE], {1: d})
    for j in range(2):
        most = found.needed(j, probability)
        for asked, kept in ((most + 1e-9, True), (most - 1e-4, False)):
            (one,) = rules_of(rule)
            again = on_set(
                dataclasses.replace(one, most=asked), found.error, found.low, found.high, draws,
                [BASE, BASE], {1: d}, 0.9,
            )  # fmt: skip
            assert bool(again.probability[j] >= probability) == kept
