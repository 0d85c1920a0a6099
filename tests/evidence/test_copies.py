"""Runs that count once, and rows that an evidence keeps or names."""

import dataclasses

from planner.evidence.copies import copies
from planner.evidence.study import gather
from planner.words.records import Reduction
from tests.evidence.test_noise_of_runs import TRIAL, run


def seeded(run_id, seed, **more):
    trial = dataclasses.replace(TRIAL, seed=seed)
    return dataclasses.replace(run(run_id, **more), trial=trial)


def test_a_row_given_twice_counts_once():
    again = [seeded(i, 0, error=0.1, n_errors=10) for i in (1, 2)]
    assert copies(again) == {2: "a copy of run 1: it counts once"}


def test_two_seeds_that_make_as_many_errors_by_chance_count_twice():
    assert copies([seeded(i, i, error=0.1, n_errors=100) for i in (1, 2)]) == {}


def test_two_seeds_that_agree_to_the_last_of_thousands_of_errors_count_once():
    assert list(copies([seeded(i, i, error=0.1, n_errors=5000) for i in (1, 2)])) == [2]


def test_an_error_above_one_is_named_and_no_error_is_kept():
    rows = [
        dataclasses.replace(
            run(i, error=e, n_units=1000, n_errors=int(1000 * e)),
            trial=dataclasses.replace(TRIAL, audio_seconds=5.0 * i, reduction=Reduction.parse("none")),
        )
        for i, e in ((1, 0.2), (2, 0.0), (3, 3.4))
    ]  # fmt: skip
    found = gather(rows, "asr", axes=("audio_seconds",))
    assert [r.run_id for r in found.rows] == [1, 2]
    assert found.exclusions == ((3, "diverged: error 3.4 is above 1"),)
