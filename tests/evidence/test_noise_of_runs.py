"""Scoring noise of runs from the counts of their utterances, and from what a table tells."""

import numpy as np
import pytest

from planner.evidence.noise_of_runs import noise_of, zero_as_rate
from planner.store.row_types import RunRow, ScoredCounts
from planner.words.records import Adaptation, Reduction, Trial

TRIAL = Trial(
    task="asr", dataset="d", dataset_digest="0", split_policy="official", n_train=1, n_test=1,
    backbone="whisper-tiny", audio_seconds=5.0, reduction=Reduction.parse("none"),
    adaptation=Adaptation.parse("lora:8"),
)  # fmt: skip


def run(run_id, **more):
    return RunRow(
        run_id=run_id, trial_id=run_id, trial=TRIAL, state="finished", attempt=1, status="finished",
        provenance="measured", n_params=1, tokens_per_second=50.0, metric="wer", split="test",
        started_utc="2026-01-01T00:00:00Z", **more,
    )  # fmt: skip


def world(n_runs=12, n_utterances=400, n_speakers=1, shared=0.7, own=0.5, seed=0):
    rng = np.random.default_rng(seed)
    words = rng.integers(20, 40, n_utterances)
    hard = rng.normal(-(shared**2) / 2, shared, n_utterances)
    luck = rng.normal(-(own**2) / 2, own, (n_runs, n_utterances))
    errors = rng.poisson(0.1 * words * np.exp(hard + luck))
    rows = [
        run(i, error=e.sum() / words.sum(), n_units=int(words.sum()), n_errors=int(e.sum()))
        for i, e in enumerate(errors)
    ]
    counts = ScoredCounts(
        run_id=np.repeat(np.arange(n_runs), n_utterances),
        utterance=np.tile(np.arange(n_utterances), n_runs),
        speaker=np.tile(np.arange(n_utterances) % n_speakers, n_runs),
        errors=errors.ravel(), words=np.tile(words, n_runs),
    )  # fmt: skip
    return rows, counts


def test_the_common_level_and_a_runs_own_share_are_told_apart():
    found = [noise_of(*world(seed=s)) for s in range(20)]
    # Of ln rate over U utterances: expm1(shared^2) / U in common, and own luck and chance alone.
    assert np.mean([f.common for f in found]) == pytest.approx(np.expm1(0.49) / 400, rel=0.25)
    alone = (np.exp(0.49) * np.expm1(0.25) + 1 / 3) / 400
    assert np.mean([f.own.mean() for f in found]) == pytest.approx(alone, rel=0.25)


def test_few_voices_leave_the_common_level_few_degrees_of_freedom():
    rows, counts = world(n_speakers=5)
    loud = np.where(counts.speaker == 0, 3 * counts.errors, counts.errors)
    counts = ScoredCounts(
        run_id=counts.run_id, utterance=counts.utterance, speaker=counts.speaker, errors=loud,
        words=counts.words,
    )  # fmt: skip
    found = noise_of(rows, counts)
    assert (found.source, found.common_dof) == ("speakers", 4.0)


def test_one_voice_is_clustered_by_utterances():
    assert noise_of(*world(n_speakers=1)).source == "utterances"


def test_a_run_scored_on_other_utterances_keeps_its_noise_to_itself():
    rows, counts = world()
    alike = noise_of(rows, counts)
    other = np.where(counts.run_id == 3, counts.utterance + 1000, counts.utterance)
    counts = ScoredCounts(
        run_id=counts.run_id, utterance=other, speaker=counts.speaker, errors=counts.errors,
        words=counts.words,
    )  # fmt: skip
    assert noise_of(rows, counts).own[3] > alike.own[3] + 0.5 * alike.common


def test_counts_alone_are_taken_as_half_shared():
    found = noise_of([run(1, error=0.1, n_units=1000, n_errors=100)])
    assert found.source == "counts"
    assert found.common == pytest.approx(found.own[0])


def test_no_error_is_a_rate_as_unsure_as_its_count():
    found = noise_of([run(1, error=0.0, n_units=1000, n_errors=0), run(2, error=0.1, n_units=1000)])
    assert found.own[0] > 4 > found.own[1]
    assert 0 < zero_as_rate(1000) < 1 / 1000


def test_rows_that_tell_nothing_have_no_known_noise():
    found = noise_of([run(1, error=0.1)])
    assert (found.source, found.common, found.own.tolist()) == ("none", 0.0, [0.0])


def kinds(n_utterances=300, shared=0.8, seed=0):
    """Two kinds of six runs each: a kind stumbles over utterances of its own."""
    rng = np.random.default_rng(seed)
    words = rng.integers(20, 40, n_utterances)
    of_kind = rng.normal(-(shared**2) / 2, shared, (2, n_utterances))
    errors = rng.poisson(0.1 * words * np.exp(np.repeat(of_kind, 6, axis=0)))
    rows = [
        run(i, error=e.sum() / words.sum(), n_units=int(words.sum()), n_errors=int(e.sum()))
        for i, e in enumerate(errors)
    ]
    counts = ScoredCounts(
        run_id=np.repeat(np.arange(12), n_utterances),
        utterance=np.tile(np.arange(n_utterances), 12), speaker=np.zeros(errors.size, dtype=int),
        errors=errors.ravel(), words=np.tile(words, 12),
    )  # fmt: skip
    return rows, counts


def test_runs_of_one_kind_are_found_to_share_what_the_others_do_not():
    pairs = noise_of(*kinds()).pairs
    same = np.kron(np.eye(2), np.ones((6, 6))).astype(bool) & ~np.eye(12, dtype=bool)
    assert pairs[same].mean() > 0.3
    assert pairs[~same & ~np.eye(12, dtype=bool)].mean() < -0.1
    assert np.linalg.eigvalsh(pairs).min() > 0


def test_pairs_of_independent_runs_are_left_out_unless_by_rare_chance():
    found = [noise_of(*world(n_utterances=100, seed=s)).pairs is None for s in range(40)]
    assert np.mean(found) > 0.8


def test_few_voices_do_not_make_a_runs_own_noise_too_large():
    alone = (np.exp(0.49) * np.expm1(0.25) + 1 / 3) / 400
    found = [noise_of(*world(n_speakers=5, seed=s)).own.mean() for s in range(30)]
    assert np.mean(found) == pytest.approx(alone, rel=0.15)


def test_a_level_that_few_utterances_carry_has_few_degrees_of_freedom():
    plain = noise_of(*world(n_utterances=200, shared=0.3)).common_dof
    skewed = noise_of(*world(n_utterances=200, shared=1.5)).common_dof
    assert skewed < 0.5 * plain <= 199
