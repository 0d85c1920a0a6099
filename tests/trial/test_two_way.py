"""Two-way standard errors against what repeated draws of speakers and sentences really scatter by."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data import cremad, emodb, ravdess
from runner.trial.metrics import rate_std_error, recall_std_error
from runner.trial.two_way import KIND, rate_influence, recall_influence, two_way_variance


def crossed(rng, n_speakers, n_sentences, by_speaker, by_sentence):
    """Errors of 20 words of every sentence by every speaker, with scatter of both."""
    speaker = rng.normal(0, by_speaker, n_speakers)
    sentence = rng.normal(0, by_sentence, n_sentences)
    pairs = list(itertools.product(range(n_speakers), range(n_sentences)))
    share = np.clip([0.3 + speaker[i] + sentence[j] for i, j in pairs], 0.01, 0.99)
    return (
        rng.binomial(20, share).tolist(),
        [f"s{i}" for i, _ in pairs],
        [f"t{j}" for _, j in pairs],
    )


def test_it_is_what_new_speakers_and_new_sentences_scatter_by():
    rng = np.random.default_rng(1)
    rates, found, by_speaker = [], [], []
    for _ in range(300):
        errors, speakers, sentences = crossed(rng, 12, 10, 0.05, 0.08)
        units = [20] * len(errors)
        rates.append(sum(errors) / sum(units))
        found.append(two_way_variance(rate_influence(errors, units), speakers, sentences))
        sums = pd.Series(rate_influence(errors, units)).groupby(speakers).sum()
        by_speaker.append(12 / 11 * float((sums**2).sum()))
    true = np.var(rates)
    assert np.mean(found) == pytest.approx(true, rel=0.25)
    assert np.mean(by_speaker) < 0.6 * true


@given(st.data())
def test_sums_over_clusters_agree_with_pandas(data):
    n = data.draw(st.integers(4, 25))
    speakers = data.draw(st.lists(st.sampled_from("abcd"), min_size=n, max_size=n))
    sentences = data.draw(st.lists(st.sampled_from("xyz"), min_size=n, max_size=n))
    values = np.array(data.draw(st.lists(st.floats(-1, 1), min_size=n, max_size=n)))
    found = two_way_variance(values, speakers, sentences)
    table = pd.DataFrame({"v": values, "a": speakers, "b": sentences})
    if table.groupby("b")["a"].nunique().max() < 2 or table["b"].nunique() < 2:
        assert found is None
        return
    parts = []
    for keys in (["a"], ["b"], ["a", "b"]):
        sums = table.groupby(keys)["v"].sum()
        parts.append(len(sums) / (len(sums) - 1) * float((sums**2).sum()))
    assert found == pytest.approx(max(parts[0] + parts[1] - parts[2], 0.0), abs=1e-12)


def test_what_every_speaker_gets_wrong_of_one_sentence_widens_the_error():
    errors = [5 if j == 0 else 0 for _ in range(8) for j in range(5)]
    speakers = [f"s{i}" for i in range(8) for _ in range(5)]
    sentences = [f"t{j}" for _ in range(8) for j in range(5)]
    units = [10] * 40
    plain, _ = rate_std_error(errors, units, speakers)
    both, kind = rate_std_error(errors, units, speakers, sentences=sentences)
    assert kind == KIND
    assert both > 2 * plain


def test_sentences_that_nobody_shares_change_nothing():
    errors, speakers = [1, 0, 2, 0] * 5, list("aabb") * 5
    alone = [f"t{i}" for i in range(20)]
    units = [10] * 20
    assert rate_std_error(errors, units, speakers, sentences=alone) == rate_std_error(
        errors, units, speakers
    )


def test_the_influence_of_a_clip_is_the_change_of_the_mean_recall_when_it_goes():
    references, right = list("aaaabb"), np.array([1.0, 0, 1, 1, 0, 1])
    influence = recall_influence(references, right)
    assert influence.sum() == pytest.approx(0)
    recalls = lambda keep: np.mean([right[keep & (np.array(references) == c)].mean() for c in "ab"])  # noqa: E731
    everyone = np.ones(6, dtype=bool)
    gone = everyone.copy()
    gone[1] = False
    # Leaving one of n out moves a mean by its influence times n / (n - 1).
    assert recalls(everyone) - recalls(gone) == pytest.approx(influence[1] * 4 / 3)


def test_a_classifier_that_fails_by_sentence_is_less_sure_by_both():
    labels = ["a", "b"]
    references = [labels[(i + j) % 2] for i in range(6) for j in range(6)]
    speakers = [f"s{i}" for i in range(6) for _ in range(6)]
    sentences = [f"t{j}" for _ in range(6) for j in range(6)]
    heard = [
        r if s != "t0" else ("a" if r == "b" else "b")
        for r, s in zip(references, sentences, strict=True)
    ]
    one, _ = recall_std_error(references, heard, labels, speakers)
    both, kind = recall_std_error(references, heard, labels, speakers, sentences=sentences)
    assert kind == KIND
    assert both > one


@pytest.mark.parametrize(
    ("naming", "stem", "sentence"),
    [
        (emodb.NAMING, "11b03Td", "b03"),
        (cremad.NAMING, "1044_TSI_HAP_XX", "TSI"),
        (ravdess.NAMING, "03-01-05-02-01-02-17", "01"),
    ],
)
def test_a_file_name_says_which_sentence_is_read(naming, stem, sentence):
    assert naming.pattern.fullmatch(stem).group("sentence") == sentence
