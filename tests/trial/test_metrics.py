"""Error counts against independent implementations and hand-made tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError, UnknownNameError
from runner.trial.metrics import (
    character_counts,
    class_scores,
    normaliser,
    quantiles,
    rate_std_error,
    recall_std_error,
    word_counts,
)

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd"]), max_size=8)


def distance(reference, hypothesis):
    """Levenshtein distance by the textbook's table."""
    row = list(range(len(hypothesis) + 1))
    for i, r in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, h in enumerate(hypothesis, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (r != h))
    return row[-1]


@given(WORDS, WORDS)
def test_word_errors_are_the_edit_distance(reference, hypothesis):
    found = word_counts(" ".join(reference), " ".join(hypothesis))
    assert found.n_errors == distance(reference, hypothesis)
    assert found.n_units == len(reference)
    assert found.n_insertions - found.n_deletions == len(hypothesis) - len(reference)


@given(st.text("ab ", max_size=9), st.text("ab ", max_size=9))
def test_character_errors_are_the_edit_distance(reference, hypothesis):
    reference, hypothesis = (" ".join(t.split()) for t in (reference, hypothesis))
    assert character_counts(reference, hypothesis).n_errors == distance(reference, hypothesis)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("whisper-english", "Mr. Smith's twenty-one dollars, um, ...", "mister smith is $21"),
        ("whisper-basic", "Hello, [noise] World!", "hello world"),
        ("none", " Hello,  World! ", "Hello, World!"),
    ],
)
def test_normalisers_by_name(name, text, wanted):
    assert normaliser(name)(text).strip() == wanted


def test_an_unknown_normaliser_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean whisper-english"):
        normaliser("whisper-englsh")


def test_the_bootstrap_agrees_with_the_binomial_where_that_holds():
    rng = np.random.default_rng(1)
    errors = rng.binomial(10, 0.2, size=400)
    found, cluster = rate_std_error(list(errors), [10] * 400, [None] * 400)
    assert cluster == "utterance"
    assert found == pytest.approx((0.2 * 0.8 / 4000) ** 0.5, rel=0.1)


def test_utterances_of_one_speaker_are_drawn_together():
    speakers = [s for s in "abcdefgh" for _ in range(50)]
    errors = [int(s in "ab") for s in speakers]
    alone, _ = rate_std_error(errors, [1] * 400, [None] * 400)
    together, cluster = rate_std_error(errors, [1] * 400, speakers)
    assert cluster == "speaker"
    assert together > 5 * alone


def test_two_alike_speakers_do_not_make_the_spread_small():
    speakers = ["a", "b"] * 200
    errors = [int(i % 4 < 2) for i in range(400)]
    found, cluster = rate_std_error(errors, [1] * 400, speakers)
    assert cluster == "utterance"
    assert found == pytest.approx(0.5 / 20, rel=0.1)


def test_one_utterance_says_nothing_about_the_spread():
    assert rate_std_error([1], [10], ["a"])[0] is None


REFERENCES = ["a"] * 8 + ["b"] * 2
HYPOTHESES = ["a"] * 6 + ["b"] * 2 + ["b", "a"]


def test_class_scores_of_a_table_by_hand():
    scores = class_scores(REFERENCES, HYPOTHESES, ["a", "b", "c"])
    assert scores.unweighted_accuracy == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert scores.weighted_accuracy == pytest.approx(7 / 10)
    assert scores.macro_f1 == pytest.approx((2 * 6 / 15 + 2 * 1 / 5) / 2)
    assert scores.confusion["a"] == {"a": 6, "b": 2, "c": 0}
    assert set(scores.recalls) == {"a", "b"}


def test_the_mean_recalls_spread_agrees_with_the_binomial():
    references = ["a"] * 300 + ["b"] * 100
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.8
    hypotheses = [r if ok else "ab".replace(r, "") for r, ok in zip(references, right, strict=True)]
    found, _ = recall_std_error(references, hypotheses, ["a", "b"], [None] * 400)
    assert found == pytest.approx(0.5 * (0.16 / 300 + 0.16 / 100) ** 0.5, rel=0.15)


def test_quantiles_and_what_has_none():
    assert quantiles([1.0, 2.0, 3.0]) == {"mean": 2.0, "p50": 2.0, "p90": 2.8, "p99": 2.98}
    with pytest.raises(InputError):
        quantiles([])
    with pytest.raises(InputError, match="no utterance"):
        class_scores([], [], ["a", "b"])


def test_a_classifier_that_gives_one_answer_is_not_sure_of_its_accuracy():
    references = ["a", "b", "c"] * 20
    found, _ = recall_std_error(references, ["a"] * 60, ["a", "b", "c"], [None] * 60)
    assert 0.01 < found < 0.05


def test_no_error_in_any_word_has_a_standard_error():
    found, _ = rate_std_error([0] * 30, [10] * 30, [None] * 30)
    assert 0 < found < 1 / 300
