"""What an utterance is."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.plan.workload import SHARES, Workload


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


SIZES = Workload(
    seconds=tuple(float(s) for s in range(4, 64)),
    output_tokens=60.0,
    source="",
    tokens=tuple(float(2 * s + s % 3) for s in range(4, 64)),
    as_scored=True,
)


@given(st.floats(2.0, 40.0), st.floats(0.0, 1.0))
def test_quantiles_of_requests_are_those_of_utterances_one_by_one(length, share):
    windows = np.array([max(1, math.ceil(s / length - 1e-9)) for s in SIZES.seconds], dtype=float)
    tokens = np.array(SIZES.tokens)
    each = (1 - share) * windows / windows.mean() + share * tokens / tokens.mean()
    found = SIZES.request_factors(
        np.array([length]), np.zeros(1, dtype=np.int64), np.array([share]), (0.5, 0.95)
    )
    assert np.allclose(found[:, 0], np.quantile(each, (0.5, 0.95)), rtol=0.01)


def test_an_utterance_of_unknown_length_is_the_mean_one():
    nothing = Workload(seconds=(), output_tokens=1.0, source="")
    assert nothing.request_factors(
        np.array([5.0, 9.0]), np.arange(2), np.zeros(2), (0.5, 0.95)
    ).tolist() == [
        [1.0, 1.0],
        [1.0, 1.0],
    ]


def test_lengths_given_together_are_as_each_alone_and_shares_between_are_straight_lines():
    lengths = np.linspace(2.0, 30.0, 57)
    code = np.random.default_rng(0).integers(0, len(lengths), 400)
    share = np.append(np.random.default_rng(1).random(398), [0.0, 1.0])
    found = SIZES.request_factors(lengths, code, share, (0.5, 0.95))
    one = np.zeros(len(SHARES), dtype=np.int64)
    for j, k in enumerate(code.tolist()):
        at_shares = SIZES.request_factors(lengths[[k]], one, SHARES, (0.5, 0.95))
        wanted = [float(np.interp(share[j], SHARES, row)) for row in at_shares]
        assert found[:, j].tolist() == wanted
