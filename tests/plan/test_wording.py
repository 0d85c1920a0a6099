"""Costs in words."""

from hypothesis import given
from hypothesis import strategies as st

from planner.plan.wording import NAMES, enough, with_interval
from planner.words.asked import READERS
from planner.words.question import LIMITS


def test_words_that_a_cost_and_its_interval_share_stand_once():
    assert with_interval("real_time_factor", 1 / 18.9, (1 / 11.3, 1 / 31.6)) == (
        "18.9x  [11.3x, 31.6x] real time"
    )
    assert with_interval("energy_j_per_hour", 1275.0, (491.0, 3310.0)) == (
        "1.275 kJ  [491 J, 3.31 kJ] for 1 h"
    )


def test_a_unit_of_one_word_stays_beside_each_number():
    assert with_interval("latency_ms", 908.0, (537.0, 1530.0)) == "908 ms  [537 ms, 1.53 s]"


@given(
    name=st.sampled_from(
        ["flops", "latency_ms", "memory_bytes", "train_flops", "real_time_factor", "cost_per_1000h",
         "energy_j_per_hour", "size_bytes"]
    ),
    value=st.floats(1e-3, 1e15),
)  # fmt: skip
def test_a_limit_that_is_said_to_be_enough_is_enough_when_it_is_typed(name, value):
    value = max(value, 1.5) if name == "train_flops" else value
    words = enough(name, value).removeprefix(NAMES[name]).split()
    one = next(o for o in LIMITS if o.name == ("rtfx" if name == "real_time_factor" else name))
    typed = words[0].removesuffix("x") if words[0].endswith("x") else "".join(words[:2])
    typed = words[0] if name == "cost_per_1000h" else typed
    read = READERS.get(one.kind, float)(typed)
    limit = 1 / read if name == "real_time_factor" else read
    assert value <= limit <= 1.012 * value
