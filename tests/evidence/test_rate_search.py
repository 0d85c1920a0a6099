"""Of a search's learning rates the one that validation likes best enters the law, and no other."""

from planner.evidence.rate_search import beaten
from planner.evidence.study import gather
from tests.evidence.rows import run


def test_the_rate_that_is_best_on_validation_stands_although_another_is_better_on_test():
    rows = [run(1, 1e-3, 0.20, 0.10), run(2, 3e-3, 0.10, 0.20)]
    assert list(beaten(rows)) == [2]
    assert "0.001 has error 0.1 on validation" in beaten(rows)[2]


def test_seeds_of_a_rate_are_averaged_and_combinations_kept_apart():
    rows = [
        run(1, 1e-3, 0.2, 0.10), run(2, 1e-3, 0.2, 0.30, seed=1),
        run(3, 3e-3, 0.2, 0.15), run(4, 3e-3, 0.2, 0.15, seed=1),
        run(5, 1e-3, 0.2, 0.50, factor=2),
    ]  # fmt: skip
    assert list(beaten(rows)) == [1, 2]


def test_a_rate_that_was_not_validated_is_beaten_and_without_any_all_stay():
    rows = [run(1, 1e-3, 0.1, None), run(2, 3e-3, 0.2, 0.9)]
    assert "this one was not scored" in beaten(rows)[1]
    assert beaten([run(1, 1e-3, 0.1, None), run(2, 3e-3, 0.2, None)]) == {}


def test_beaten_rates_stay_in_the_evidence_as_exclusions_with_their_reason():
    rows = [
        run(1, 1e-3, 0.2, 0.1), run(2, 3e-3, 0.1, 0.2), run(3, 1e-3, 0.3, 0.1, factor=2),
    ]  # fmt: skip
    found = gather(rows, "asr", axes=("tokens_per_second",))
    assert [r.run_id for r in found.rows] == [1, 3]
    assert found.exclusions[0][0] == 2
    assert "another learning rate was better" in found.exclusions[0][1]
