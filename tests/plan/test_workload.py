"""What an utterance is."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.plan.workload import Workload


@given(st.lists(st.floats(0.1, 90.0), max_size=400), st.lists(st.floats(0.5, 30.0), min_size=1))
def test_windows_of_many_lengths_are_the_means_of_each(utterances, lengths):
    workload = Workload(
        seconds=tuple(utterances), output_tokens=1.0, source="", windows_at={5.0: 2.25}
    )
    alone = [workload.windows(s) for s in lengths]
    assert workload.windows_of(np.array(lengths)).tolist() == alone
    whole = [max(1, math.ceil(s / 5.0 - 1e-9)) for s in utterances] or [1]
    surplus = 2.25 / float(np.mean(whole))
    by_hand = [max(1, math.ceil(s / lengths[0] - 1e-9)) for s in utterances] or [1]
    wanted = 2.25 if lengths[0] == 5.0 else max(1.0, float(np.mean(by_hand)) * surplus)
    assert alone[0] == wanted
