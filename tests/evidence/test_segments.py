"""MAPSSWE against NIST's sc_stats, and the alignment against independent ones."""

import dataclasses
import math

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.evidence.paired import scored
from planner.evidence.paired.segments import (
    SCLITE,
    align,
    mapsswe,
    plain_words,
    segments,
    slots_of,
)
from planner.words.records import Utterance
from runner.data.normalise import normaliser

SUBSTITUTION, INSERTION = SCLITE
DELETION = INSERTION

WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd"]), max_size=9)

PRINTED = {
    "1 and 2": ({-5: 1, -2: 2, -1: 6, 0: 7, 1: 2, 2: 1, 5: 1}, 20, -0.300, 1.895, -0.708),
    "1 and 5": ({-10: 1, -4: 1, -2: 3, -1: 8, 0: 6, 1: 3, 2: 1}, 23, -1.000, 2.335, -2.053),
    "4 and 10": ({-2: 4, -1: 8, 0: 9, 1: 10, 2: 3}, 34, 0.000, 1.181, 0.000),
}
"""Differences of segments (value: how often) of two runs, and what sc_stats printed of them
(eight LoRA runs on 28 joined prompts of Asterisk's English sounds, errors by sclite)."""


def slots(reference, hypothesis):
    return slots_of(align(reference, hypothesis))


def test_every_pair_has_the_figures_that_sc_stats_prints(golden_pairs, golden_slots):
    for row in golden_pairs:
        a, b = int(row["run_a"]), int(row["run_b"])
        both = zip(golden_slots[b], golden_slots[a], strict=True)
        found = mapsswe([s for first, second in both for s in segments(first, second)])
        assert found.n_segments == int(row["nist_segments"])
        assert found.mean == pytest.approx(float(row["nist_mean"]), abs=5.1e-4)
        assert found.std == pytest.approx(float(row["nist_sd"]), abs=5.1e-4)
        assert found.z == pytest.approx(float(row["nist_z"]), abs=1.1e-3)
        assert found.p == pytest.approx(float(row["mapsswe_p"]), abs=1e-6)


@pytest.mark.parametrize(("counts", "n", "mean", "sd", "z"), PRINTED.values(), ids=list(PRINTED))
def test_the_figures_of_one_pair_without_the_data(counts, n, mean, sd, z):
    found = mapsswe([(0, d) for d, times in counts.items() for _ in range(times)])
    assert found.n_segments == n
    assert (found.mean, found.std, found.z) == pytest.approx((mean, sd, z), abs=6e-4)


def test_equal_systems_have_p_1_and_a_difference_without_spread_is_sure():
    assert mapsswe([]).p == 1.0
    assert mapsswe([(1, 1)] * 20).p == 1.0
    assert mapsswe([(0, 1)] * 20).p == 2.0**-19


def test_two_right_words_in_both_end_a_segment_and_one_does_not():
    reference = ["a", "b", "c", "d", "e", "f"]
    far = segments(
        slots(reference, ["x", "b", "c", "d", "e", "f"]),
        slots(reference, ["a", "b", "c", "d", "e", "x"]),
    )
    near = segments(
        slots(reference, ["x", "b", "c", "d", "e", "f"]),
        slots(reference, ["a", "b", "x", "d", "e", "f"]),
    )
    assert far == [(1, 0), (0, 1)]
    assert near == [(1, 1)]


def test_an_insertion_between_two_right_words_does_not_end_a_segment():
    reference = ["a", "b", "c"]
    assert segments(slots(reference, ["a", "x", "b", "c"]), slots(reference, reference)) == [(1, 0)]


@given(WORDS, WORDS)
def test_the_alignment_spells_both_texts(reference, hypothesis):
    ops = align(reference, hypothesis)
    assert [r for kind, r, _ in ops if kind != "i"] == reference
    assert [h for kind, _, h in ops if kind != "d"] == hypothesis
    assert all((r == h) == (kind == "=") for kind, r, h in ops)


@given(WORDS, WORDS)
def test_the_alignment_is_the_cheapest(reference, hypothesis):
    def cheapest(r, h):
        row = [j * INSERTION for j in range(len(h) + 1)]
        for i, word in enumerate(r, 1):
            before, row[0] = row[0], i * DELETION
            for j, heard in enumerate(h, 1):
                across = before + SUBSTITUTION * (word != heard)
                before, row[j] = row[j], min(across, row[j] + DELETION, row[j - 1] + INSERTION)
        return row[-1]

    price = {"=": 0, "s": SUBSTITUTION, "i": INSERTION, "d": DELETION}
    ops = align(reference, hypothesis)
    assert sum(price[kind] for kind, _, _ in ops) == cheapest(reference, hypothesis)


@given(WORDS.filter(len), WORDS)
def test_no_alignment_has_fewer_errors_than_jiwers(reference, hypothesis):
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    fewest = found.substitutions + found.insertions + found.deletions
    assert sum(slots(reference, hypothesis)) >= fewest


@given(WORDS, WORDS, WORDS)
def test_segments_keep_every_error_and_swap_with_the_systems(reference, one, other):
    first, second = slots(reference, one), slots(reference, other)
    found = segments(first, second)
    assert [sum(e) for e in zip(*found, strict=True)] == (
        [sum(first), sum(second)] if found else []
    )
    assert segments(second, first) == [(b, a) for a, b in found]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_the_test_is_antisymmetric(pairs):
    found, swapped = mapsswe(pairs), mapsswe([(b, a) for a, b in pairs])
    assert math.isclose(found.p, swapped.p)
    assert found.mean == -swapped.mean


def test_plain_words_drop_punctuation_and_case():
    assert plain_words("Mr. Smith's “twenty-one”, um…") == ["mr", "smith's", "twenty", "one", "um"]


TEXTS = Utterance(
    utterance_id="u", audio_seconds=3.0, reference="I'm at twenty-four, Mister Smith",
    hypothesis="I am at 24 Mr. Smyth", n_errors=1, n_units=6, speaker=None,
)  # fmt: skip


def test_texts_are_aligned_as_their_own_normaliser_leaves_them():
    assert scored.slots(TEXTS) is None
    whole = normaliser("whisper-english")
    assert scored.slots(TEXTS, whole) == [0, 0] * 5 + [0, 1, 0]


def test_an_alignment_of_an_error_rate_stands_where_the_one_of_sclite_has_more_errors():
    given = dataclasses.replace(TEXTS, reference="a b", hypothesis="b c", n_errors=2, n_units=2)
    assert sum(scored.slots(given)) == 2
