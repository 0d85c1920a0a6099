"""Exact tests against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from planner.evidence.paired.signs import jeffreys, sign_test, wilcoxon


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_sign_test_is_the_binomial(n_less, n_more):
    wanted = stats.binomtest(n_less, n_less + n_more).pvalue if n_less + n_more else 1.0
    assert sign_test(n_less, n_more) == pytest.approx(wanted, rel=1e-8)


def test_signs_and_sentences_of_the_golden_pairs(golden_pairs):
    for row in golden_pairs:
        for a, b, p in (
            ("better_a", "better_b", "sign_p"),
            ("sentence_only_a", "sentence_only_b", "mcnemar_sentence_p"),
        ):
            assert sign_test(int(row[a]), int(row[b])) == pytest.approx(float(row[p]), abs=1e-6)


@given(st.permutations(range(1, 16)), st.lists(st.booleans(), min_size=15, max_size=15))
def test_wilcoxon_without_ties_is_scipys_exact_one(sizes, signs):
    values = [s if up else -s for s, up in zip(sizes, signs, strict=True)]
    assert wilcoxon(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


def test_wilcoxon_with_ties_is_the_law_over_all_signs():
    values = np.array([1.0, 1.0, -1.0, 2.0, 2.0, 3.0, 0.0])
    ranks = np.array([2.0, 2.0, 2.0, 4.5, 4.5, 6.0])
    every = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1).T @ ranks
    assert wilcoxon(values) == pytest.approx(2 * np.mean(every <= 2.0))


def test_wilcoxon_of_many_is_normal_as_scipys():
    values = np.random.default_rng(2).integers(-4, 6, 300)
    wanted = stats.wilcoxon(values, method="approx", correction=False).pvalue
    assert wilcoxon(values) == pytest.approx(wanted, rel=1e-9)


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_wilcoxon_is_the_same_from_either_side(values):
    assert wilcoxon(values) == pytest.approx(wilcoxon([-v for v in values]))


def test_a_recall_of_0_or_1_keeps_an_error():
    assert jeffreys(12, 12)[0] == pytest.approx(stats.beta.ppf(0.05, 12.5, 0.5))
    assert jeffreys(12, 12)[1] == 1.0
    assert jeffreys(3, 12) == pytest.approx(stats.beta.ppf([0.05, 0.95], 3.5, 9.5))
    with pytest.raises(ValueError, match="n_right"):
        jeffreys(4, 3)
