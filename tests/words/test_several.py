"""P values adjusted for their number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.words.several import holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p(p):
    found = holm(p)
    assert all(q >= before for q, before in zip(found, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert all(np.diff(np.array(found)[order]) >= 0)
