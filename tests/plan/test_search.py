"""The choice: exact properties over random worlds, and agreement with brute force."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from planner.plan.choice import (
    cheapest,
    decide,
    joint_probability,
    ladder,
    relaxations,
    relaxed,
    together,
)
from tests.plan.worlds import permuted, world

SEEDS = st.integers(0, 10_000)
SHARES = st.floats(0.05, 1.5)
PROBS = st.sampled_from([0.5, 0.8, 0.9, 0.99])


def limits_of(table, flops_share, latency_share):
    return {
        "flops": float(flops_share * table.costs["flops"].value.max()),
        "latency_ms": float(latency_share * table.costs["latency_ms"].value.max()),
    }


def brute_force(table, limits, min_prob):
    """Every candidate one by one, with the standard library's normal distribution."""
    fits = []
    for j in range(len(table)):
        p = 1.0
        for name, limit in limits.items():
            cost = table.costs[name]
            v, lo, hi = cost.value[j], cost.low[j], cost.high[j]
            if hi == lo:
                p *= float(v <= limit)
            else:
                sd = math.log(hi / lo) / (2 * NormalDist().inv_cdf(0.95))
                p *= NormalDist(math.log(v), sd).cdf(math.log(limit))
        if p >= min_prob:
            fits.append((table.error[j], j))
    return min(fits)[1] if fits else None


@settings(max_examples=150, deadline=None)
@given(SEEDS, SHARES, SHARES, PROBS)
def test_the_answer_equals_brute_force(seed, a, b, min_prob):
    table = world(seed)
    limits = limits_of(table, a, b)
    assert decide(table, limits, min_prob).best == brute_force(table, limits, min_prob)


@settings(max_examples=100, deadline=None)
@given(SEEDS, SHARES, SHARES, PROBS)
def test_the_answer_meets_the_limits_with_the_probability_asked_for(seed, a, b, min_prob):
    table = world(seed)
    limits = limits_of(table, a, b)
    best = decide(table, limits, min_prob).best
    assert best is None or joint_probability(table, limits)[best] >= min_prob


@settings(max_examples=100, deadline=None)
@given(SEEDS, SHARES, SHARES, st.floats(1.0, 3.0), PROBS)
def test_a_larger_budget_never_gives_a_worse_expected_error(seed, a, b, more, min_prob):
    table = world(seed)
    limits = limits_of(table, a, b)
    small = decide(table, limits, min_prob).best
    large = decide(table, {k: more * v for k, v in limits.items()}, min_prob).best
    assert small is None or table.error[large] <= table.error[small]


@settings(max_examples=60, deadline=None)
@given(SEEDS, SHARES, SHARES)
def test_the_order_of_candidates_and_of_limits_does_not_matter(seed, a, b):
    table = world(seed)
    limits = limits_of(table, a, b)
    order = np.random.default_rng(seed).permutation(len(table))
    here = decide(table, limits, 0.9).best
    there = decide(permuted(table, order), dict(reversed(limits.items())), 0.9).best
    assert (here is None) == (there is None)
    assert here is None or order[there] == here


@settings(max_examples=60, deadline=None)
@given(SEEDS, SHARES, SHARES)
def test_removing_a_dominated_candidate_changes_nothing(seed, a, b):
    table = world(seed)
    limits = limits_of(table, a, b)
    best = decide(table, limits, 0.9).best
    assume(best is not None)
    worst = int(np.argmax(table.error))
    keep = np.array([j for j in range(len(table)) if j != worst or j == best])
    assert keep[decide(permuted(table, keep), limits, 0.9).best] == best


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.floats(0.001, 0.2), st.floats(0.001, 0.2), PROBS)
def test_a_proposed_relaxation_suffices_and_a_smaller_one_does_not(seed, a, b, min_prob):
    table = world(seed)
    limits = limits_of(table, a, b)
    assume(decide(table, limits, min_prob).best is None)
    for r in relaxations(table, limits, min_prob):
        assert decide(table, {**limits, r.limit: r.value}, min_prob).best is not None
        less = {**limits, r.limit: r.value * (1 - 1e-9)}
        assert decide(table, less, min_prob).best is None


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.floats(0.001, 0.2), st.floats(0.001, 0.2), PROBS)
def test_limits_relaxed_together_let_their_candidate_in_and_lower_none(seed, a, b, min_prob):
    table = world(seed)
    limits = limits_of(table, a, b)
    assume(decide(table, limits, min_prob).best is None)
    near = cheapest(table, limits)
    raised = together(table, limits, min_prob, near)
    assert decide(table, raised, min_prob).feasible[near]
    assert all(raised[name] >= limits[name] for name in limits)


@settings(max_examples=60, deadline=None)
@given(SEEDS, SHARES, SHARES)
def test_the_choice_changes_at_a_switch_and_not_before(seed, a, b):
    table = world(seed)
    limits = limits_of(table, a, b)
    decision = decide(table, limits, 0.9)
    for name, switch in decision.switches.items():
        at = decide(table, {**limits, name: switch.value}, 0.9)
        before = decide(table, {**limits, name: switch.value * (1 - 1e-9)}, 0.9)
        assert at.best == switch.index
        assert before.best == decision.best


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_probabilities_of_being_best_sum_to_one_over_the_feasible(seed):
    decision = decide(world(seed), {"flops": 1e15}, 0.9)
    assert decision.p_best.sum() == pytest.approx(1.0)
    assert decision.regret >= 0
    assert decision.regret_bound >= 0


def test_a_limit_that_every_candidate_meets_does_not_bind():
    decision = decide(world(3), {"flops": 1e30, "latency_ms": 1e12}, 0.9)
    assert decision.binding == ()
    assert set(decision.doubling.values()) == {0.0}


def test_an_exact_cost_is_met_at_its_own_value():
    table = world(5, soft=False)
    at = relaxed(table, {"flops": 1.0}, 0.9, "flops")
    np.testing.assert_array_equal(at, table.costs["flops"].value)


@settings(max_examples=60, deadline=None)
@given(SEEDS, SHARES)
def test_certainty_equals_a_count_over_the_draws(seed, a):
    table = world(seed, n=40)
    limits = limits_of(table, a, 10.0)
    decision = decide(table, limits, 0.9)
    assume(decision.best is not None)
    fits = [j for j in range(len(table)) if decision.feasible[j]]
    first = [min(fits, key=lambda j: row[j]) for row in table.draws]
    regret = [row[decision.best] - row[j] for row, j in zip(table.draws, first, strict=True)]
    assert decision.regret == pytest.approx(np.mean(regret))
    assert decision.regret_bound == pytest.approx(np.quantile(regret, 0.95))
    for j in fits:
        assert decision.p_best[j] == pytest.approx(first.count(j) / len(first))
        as_good = np.mean([row[j] <= row[decision.best] for row in table.draws])
        assert j == decision.best or (j in decision.ties) == (as_good >= 0.05)


@settings(max_examples=60, deadline=None)
@given(SEEDS, SHARES, SHARES)
def test_the_steps_of_a_limit_are_all_the_choices_as_it_grows(seed, a, b):
    table = world(seed)
    limits = limits_of(table, a, b)
    best = decide(table, limits, 0.9).best
    assume(best is not None)
    for name in limits:
        found = ladder(table, limits, 0.9, name, best)
        now = best
        for step in found:
            before = {**limits, name: step.value * (1 - 1e-9)}
            assert decide(table, before, 0.9).best == now
            assert decide(table, {**limits, name: step.value}, 0.9).best == step.index
            now = step.index
        assert decide(table, {**limits, name: 1e300}, 0.9).best == now


@settings(max_examples=60, deadline=None)
@given(SEEDS, SHARES, SHARES, PROBS)
def test_adding_a_dominated_candidate_changes_nothing(seed, a, b, min_prob):
    table = world(seed)
    keep = np.array([j for j in range(len(table)) if j != int(np.argmax(table.error))])
    limits = limits_of(table, a, b)
    without = decide(permuted(table, keep), limits, min_prob).best
    # The worst error and, by doubling, the highest costs: it loses to every other candidate.
    worst = np.append(keep, int(np.argmax(table.error)))
    added = permuted(table, worst)
    for cost in added.costs.values():
        for values in (cost.value, cost.low, cost.high):
            values[-1] = 2 * values.max()
    with_it = decide(added, limits, min_prob)
    if without is not None:
        assert with_it.best == without
    else:
        assert with_it.best in (None, len(worst) - 1)
