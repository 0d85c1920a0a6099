"""Contestants under the clock: order of requests, turns, and what is written down."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.trial.requests import Request
from runner.trial.timing import Ready, RequestPlan, Timer, place_of


@given(st.integers(1, 60), st.integers(0, 3))
def test_every_pass_takes_each_request_once(n, which):
    places = [place_of(which * n + i, n) for i in range(n)]
    assert sorted(places) == list(range(n))


@given(st.integers(8, 60), st.integers(4, 8))
def test_any_beginning_of_a_pass_is_spread_over_the_sizes(n, k):
    places = sorted(place_of(i, n) for i in range(k))
    gaps = np.diff([-1, *places, n])
    assert gaps.max() <= 0.62 * n


@given(st.integers(8, 60))
def test_even_and_odd_rounds_see_small_and_large_requests_alike(n):
    even = np.mean([place_of(i, n) for i in range(0, n - n % 2, 2)])
    odd = np.mean([place_of(i, n) for i in range(1, n - n % 2, 2)])
    assert abs(even - odd) <= 0.3 * n


def window(length):
    return np.zeros(length, dtype=np.float32)


def request(name, *lengths):
    return Request(
        utterance_id=name, windows=tuple(window(n) for n in lengths),
        n_output_tokens=tuple(n // 10 for n in lengths),
    )  # fmt: skip


def timer(seen, clock=None):
    def time_window(audio, n):
        seen.append((len(audio), n))
        return 0.001 * len(audio), 0.01 * n

    ready = Ready(time_window=time_window, stages=("features", "rest"), processor_seconds=clock)
    return Timer(ready=ready, requests=[request("a", 10), request("b", 20, 30)])


def test_a_request_is_all_its_windows_with_their_own_tokens():
    seen: list = []
    taken = timer(seen).time(request("b", 20, 30), 5)
    assert seen == [(20, 2), (30, 3)]
    assert (taken.round, taken.n_output_tokens) == (5, (2, 3))
    assert taken.stages_ms == pytest.approx(np.array([[20.0, 20.0], [30.0, 30.0]]))
    assert taken.wall_seconds == pytest.approx(0.1)
    assert taken.processor_seconds is None


def test_processor_time_is_that_of_the_contestants_own_clock():
    ticks = iter([3.0, 3.5])
    assert timer([], lambda: next(ticks)).time(request("a", 10), 0).processor_seconds == 0.5


def test_a_plan_ends_with_its_passes_or_after_the_fewest_once_time_is_over():
    one = timer([])
    one.run(RequestPlan(n_warmup=1, passes=3, fewest=2, seconds=3600.0))
    assert [t.round for t in one.taken] == [0, 1, 2, 3, 4, 5]
    short = timer([])
    short.run(RequestPlan(n_warmup=0, passes=3, fewest=2, seconds=0.0))
    assert len(short.taken) == 2
