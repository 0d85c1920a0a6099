"""Scores on further test sets: stored once, under one name one set, and never in place of a trial's own."""

import dataclasses

import pytest

from planner.errors import InputError
from planner.store import read
from planner.store.engine import opened
from planner.store.read_evidence import learned_runs, scored_counts
from planner.store.results_on import results_on
from planner.store.test_sets import save_scored, scored_sets, set_names
from planner.store.views import results
from tests.notebooks.conftest import quickstart_db

__all__ = ["quickstart_db"]


@pytest.fixture
def store(quickstart_db):
    with opened(str(quickstart_db)) as engine:
        yield engine


def on_other(engine, row, name="other", digest="d" * 64, more=1):
    """A run's own score as one on a further set, with so many more errors in each utterance."""
    own = next(e for e in read.evaluations(engine, row.run_id) if e.split == row.split)
    heard = tuple(
        dataclasses.replace(u, n_errors=u.n_errors + more)
        for u in read.utterances(engine, row.run_id)
    )
    errors = sum(u.n_errors for u in heard)
    return dataclasses.replace(
        own, split=name, n_errors=errors, error=errors / sum(u.n_units for u in heard), utterances=heard,
        details=(own.details or {}) | {"test_set": {"digest": digest}},
    )  # fmt: skip


def test_a_score_is_stored_once_and_the_runs_own_stays_its_own(store):
    row = read.runs(store, status="finished")[0]
    score = on_other(store, row)
    assert save_scored(store, row.run_id, score)
    assert not save_scored(store, row.run_id, score)
    assert read.run(store, row.run_id) == row
    (known,) = scored_sets(store, [row.run_id]).values()
    assert (known.digest, known.language) == ("d" * 64, None)
    assert scored_sets(store) == {(row.run_id, "other"): known}
    assert set_names(store, "asr") == {"other": 1}
    there = read.run_on(store, row, "other")
    assert (there.split, there.error) == ("other", score.error)
    assert read.run_on(store, row, None) == row
    assert read.run_on(store, row, "elsewhere") is None
    assert len(read.utterances(store, row.run_id, "other")) == len(score.utterances)


def test_a_name_stands_for_one_set_of_clips(store):
    row = read.runs(store, status="finished")[0]
    save_scored(store, row.run_id, on_other(store, row))
    score = on_other(store, row)
    for changed in (
        on_other(store, row, digest="e" * 64),
        dataclasses.replace(score, details={**score.details, "normaliser": "none"}),
        dataclasses.replace(score, details={"test_set": {"digest": "d" * 64, "language": "fr"}}),
    ):
        with pytest.raises(
            InputError, match="a set called 'other' of other clips or by another scorer"
        ):
            save_scored(store, row.run_id, changed)


@pytest.mark.parametrize("name", ["test", "train", "validation"])
def test_the_splits_of_a_trials_own_data_are_not_written_over(store, name):
    row = read.runs(store, status="finished")[0]
    with pytest.raises(InputError, match="another name"):
        save_scored(store, row.run_id, on_other(store, row, name=name))


def test_a_run_that_is_not_there_or_a_number_that_is_none_is_refused(store):
    row = read.runs(store, status="finished")[0]
    score = on_other(store, row)
    with pytest.raises(InputError, match="not there"):
        save_scored(store, 10_000, score)
    with pytest.raises(InputError, match="finite"):
        save_scored(store, row.run_id, dataclasses.replace(score, error=float("nan")))
    assert scored_sets(store, [row.run_id]) == {}


def test_a_law_of_the_set_learns_from_the_runs_that_were_scored_there_alone(store):
    rows = [r for r in read.runs(store, task="asr", status="finished") if r.error is not None]
    for row in rows[:3]:
        save_scored(store, row.run_id, on_other(store, row, more=2))
    mine, others = learned_runs(store, "asr"), learned_runs(store, "asr", "other")
    assert [r.run_id for r in others] == [r.run_id for r in rows[:3]]
    by_id = {r.run_id: r for r in mine}
    for other in others:
        own = by_id[other.run_id]
        assert other.error > own.error
        same = set(type(own)._fields) - {"split", "error", "n_errors", "evaluation_details"}
        assert all(getattr(own, name) == getattr(other, name) for name in same)
    counts = scored_counts(store, [r.run_id for r in others], "other", "wer")
    assert set(counts.run_id.tolist()) == {r.run_id for r in others}


def test_the_trials_own_set_is_the_view_itself():
    assert results_on(None) is results
    assert results_on("test") is results
    assert results_on("other").c.keys() == results.c.keys()
