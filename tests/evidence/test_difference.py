"""The paired difference: golden figures, independent oracles, what must hold whatever the counts."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from planner.evidence.paired.difference import (
    Pair,
    bootstrap,
    clusters,
    detectable,
    difference,
    utterances_needed,
)
from tests.benchmarks.paired_tests import World, drawn, false_alarms_of_classes
from tests.evidence.conftest import pair_of

COUNTS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 30)), min_size=2, max_size=40
)


def drawn_pair(counts, **more):
    first, second, units = zip(*counts, strict=True)
    return pair_of(first, second, units, **more)


def test_the_difference_and_students_t_are_those_of_the_golden_pairs(golden_pairs, golden_counts):
    words, errors = golden_counts
    for row in golden_pairs:
        a, b = errors[int(row["run_a"])], errors[int(row["run_b"])]
        by_words, by_utterance = pair_of(b, a, words), pair_of(b, a, [1] * len(words))
        points = 100 * difference(by_words).difference
        assert points == pytest.approx(float(row["difference_points"]), abs=1e-6)
        # With equal lengths the linearised ratio is the mean of differences.
        assert difference(by_utterance).p == pytest.approx(float(row["utterance_t_p"]), abs=1e-6)


def test_the_bootstrap_is_that_of_the_golden_pairs_within_its_own_error(
    golden_pairs, golden_counts
):
    words, errors = golden_counts
    for row in golden_pairs:
        pair = pair_of(errors[int(row["run_b"])], errors[int(row["run_a"])], words)
        found = bootstrap(pair, np.random.default_rng(1), 0.95, 20_000)
        wanted = float(row["bootstrap_p"])
        assert found.p == pytest.approx(wanted, abs=0.02 if wanted < 0.3 else 0.04)
        assert 100 * found.low == pytest.approx(float(row["bootstrap_low_points"]), abs=0.15)
        assert 100 * found.high == pytest.approx(float(row["bootstrap_high_points"]), abs=0.15)


@given(COUNTS)
def test_equal_lengths_give_the_paired_t_of_scipy(counts):
    first, second, _ = zip(*counts, strict=True)
    d = np.array(second) - np.array(first)
    assume(d.std() > 0 and d.mean() != 0 and np.count_nonzero(d) > 1)
    found = difference(pair_of(first, second, [1] * len(d)))
    wanted = stats.ttest_rel(second, first)
    floor = 2.0 ** (1 - np.count_nonzero(d))
    assert found.p == pytest.approx(max(wanted.pvalue, floor), rel=1e-9)
    if wanted.pvalue > floor:
        low, high = wanted.confidence_interval(0.9)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


@given(COUNTS)
def test_swapping_the_runs_turns_the_sign_and_nothing_else(counts):
    found = difference(drawn_pair(counts))
    swapped = difference(drawn_pair([(b, a, n) for a, b, n in counts]))
    assert found.p == pytest.approx(swapped.p, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((-swapped.high, -swapped.low), abs=1e-12)


@given(COUNTS, st.randoms(use_true_random=False))
def test_the_order_of_utterances_does_not_matter(counts, random):
    shuffled = random.sample(counts, len(counts))
    found, other = difference(drawn_pair(counts)), difference(drawn_pair(shuffled))
    assert (found.p, found.low, found.high) == pytest.approx((other.p, other.low, other.high))


@given(COUNTS)
def test_the_interval_holds_0_exactly_where_p_says_so(counts):
    found = difference(drawn_pair(counts), 0.9)
    assume(abs(found.p - 0.1) > 1e-9)
    assert (found.low <= 0 <= found.high) == (found.p > 0.1)


@given(COUNTS)
def test_equal_systems_read_as_equal(counts):
    pair = drawn_pair([(a, a, n) for a, _, n in counts])
    found, drawn_again = difference(pair), bootstrap(pair, np.random.default_rng(0), n_draws=200)
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.low < 0 < found.high
    assert (drawn_again.p_improvement, drawn_again.p) == (0.5, 1.0)


@given(COUNTS)
def test_the_points_of_utterances_add_up_to_the_difference(counts):
    pair = drawn_pair(counts)
    assert pair.points.sum() == pytest.approx(difference(pair).difference, abs=1e-12)
    assert pair.influence.sum() == pytest.approx(0.0, abs=1e-12)


def test_the_same_difference_everywhere_is_sure_and_not_certain():
    found = difference(pair_of([0] * 28, [1] * 28), 0.9)
    assert found.p == pytest.approx(2.0**-27, rel=1e-6)
    assert 0 < found.low < found.difference < found.high


def test_what_three_utterances_say_is_not_called_sure():
    found = difference(pair_of([0] * 3, [5, 5, 6]))
    assert found.p == pytest.approx(0.25)


def test_utterances_of_a_speaker_count_together_from_five_speakers_on():
    few, many = [("a", "b")[i % 2] for i in range(40)], [f"s{i % 5}" for i in range(40)]
    assert clusters(few)[1] == "utterance"
    assert clusters([*many[:-1], None])[1] == "utterance"
    assert clusters(many)[1] == "speaker"


def test_a_difference_that_one_speaker_makes_is_not_sure_of_new_speakers():
    speakers = [f"s{i // 20}" for i in range(120)]
    second = [2 if s == "s0" else 0 for s in speakers]
    alone, together = (difference(pair_of([0] * 120, second, speakers=s)) for s in (None, speakers))
    assert alone.p < 0.001
    assert together.p > 0.3


def test_the_difference_of_mean_recalls_weighs_classes_alike():
    # Class 0 has 8 utterances, class 1 two: one error more in class 1 is half of its recall.
    stratum = [0] * 8 + [1] * 2
    found = difference(pair_of([0] * 10, [0] * 9 + [1], [1] * 10, stratum))
    assert found.difference == pytest.approx(0.25)


def test_a_stratum_without_units_is_refused():
    with pytest.raises(ValueError, match="without"):
        pair_of([0, 1], [1, 0], [3, 0], [0, 1])


def test_as_many_utterances_as_are_needed_give_the_power_that_was_promised():
    rng = np.random.default_rng(5)
    pair = drawn(World(n_utterances=400), rng)
    needed = utterances_needed(pair, difference(pair), 0.01)
    s = difference(pair).std_error * np.sqrt(400)
    power = 1 - stats.nct.cdf(
        stats.t.ppf(0.975, needed - 1), needed - 1, 0.01 * np.sqrt(needed) / s
    )
    assert power == pytest.approx(0.8, abs=0.005)


def test_what_a_set_can_tell_apart_needs_that_set():
    pair = drawn(World(n_utterances=300), np.random.default_rng(6))
    found = difference(pair)
    assert utterances_needed(pair, found, detectable(found)) == pytest.approx(300, abs=2)


def test_no_difference_says_nothing_of_how_many_are_needed():
    pair = pair_of([1] * 20, [1] * 20)
    assert utterances_needed(pair, difference(pair), 0.01) is None


@pytest.mark.parametrize("n", [28, 100])
def test_equal_systems_are_told_apart_no_more_often_than_stated(n):
    rng = np.random.default_rng(n)
    alarms = sum(difference(drawn(World(n_utterances=n), rng)).p < 0.05 for _ in range(600))
    # 30 are expected; 46 is the 99.8 % point of that binomial.
    assert 12 <= alarms <= 46


def test_equal_classifiers_with_a_rare_class_are_told_apart_no_more_often_than_stated():
    assert 0.01 <= false_alarms_of_classes(12, 600, 3) <= 0.077


def test_a_class_of_one_utterance_takes_the_spread_of_the_others():
    stratum = [0] * 10 + [1]
    found = difference(pair_of([0] * 11, [1, 1, 1] + [0] * 7 + [1], [1] * 11, stratum))
    assert found.p > 0.1
    assert found.std_error > 0.2


def test_the_arguments_are_checked():
    with pytest.raises(ValueError, match="level"):
        difference(pair_of([0, 1], [1, 0]), 1.0)
    with pytest.raises(ValueError, match="one length"):
        Pair(first=np.zeros(2, int), second=np.zeros(3, int), n_units=np.ones(2, int),
             stratum=np.zeros(2, int), speakers=("a", "b"))  # fmt: skip
