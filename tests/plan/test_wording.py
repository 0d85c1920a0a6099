"""Costs in words."""

from planner.plan.wording import with_interval


def test_words_that_a_cost_and_its_interval_share_stand_once():
    assert with_interval("real_time_factor", 1 / 18.9, (1 / 11.3, 1 / 31.6)) == (
        "18.9x  [11.3x, 31.6x] real time"
    )
    assert with_interval("energy_j_per_hour", 1275.0, (491.0, 3310.0)) == (
        "1.275 kJ  [491 J, 3.31 kJ] for 1 h"
    )


def test_a_unit_of_one_word_stays_beside_each_number():
    assert with_interval("latency_ms", 908.0, (537.0, 1530.0)) == "908 ms  [537 ms, 1.53 s]"
