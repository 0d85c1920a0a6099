"""Latency of requests: quantiles over utterances, the machine's part apart from them."""

import dataclasses

import numpy as np
import pytest

from runner.trial.quantiles import (
    brought_to,
    by_processor,
    contention,
    measured,
    noise_floor,
    request_quantiles,
    share_above,
    stage_medians,
    whole_tokens,
)
from runner.trial.requests import shared_tokens
from runner.trial.timing import STAGES, TimedRequest

WINDOW_MS, TOKEN_MS = 100.0, 5.0


def taken(tokens, slower=1.0, round_=0):
    """A request of windows that take 60 + 30 + (10 + 5 tokens) ms each, all of it `slower` times."""
    stages = slower * np.array([[60.0, 30.0, 10.0 + TOKEN_MS * n] for n in tokens])
    wall = stages.sum() / 1e3
    return TimedRequest(
        round=round_, n_output_tokens=tuple(tokens), stages_ms=stages, wall_seconds=wall,
        processor_seconds=wall / slower,
    )  # fmt: skip


SOME = [taken([10]), taken([20, 4]), taken([30, 25, 8]), taken([12, 12])]


def test_quantiles_are_over_all_requests_though_some_were_timed():
    sizes = np.array([(n % 3 + 1, 5 * n) for n in range(60)], dtype=float)
    exact = sizes @ [WINDOW_MS, TOKEN_MS]
    found = request_quantiles(SOME, sizes, (0.5, 0.95))
    assert found == pytest.approx(np.quantile(exact, (0.5, 0.95)), rel=1e-9)


def test_without_output_tokens_a_request_takes_its_windows():
    found = request_quantiles(
        [taken([0]), taken([0, 0])], np.array([[1.0, 0], [3.0, 0]]), (0.0, 1.0)
    )
    assert found == pytest.approx([WINDOW_MS, 3 * WINDOW_MS])


def test_the_machines_part_widens_the_requests():
    noisy = [taken([10 + n % 7], slower=1.0 + 0.1 * (n % 2)) for n in range(20)]
    alike = np.array([[1.0, 12.0]] * 5)
    low, high = request_quantiles(noisy, alike, (0.05, 0.95))
    assert high / low == pytest.approx(1.1, rel=0.02)


def test_a_p95_is_that_of_as_many_requests_as_were_scored():
    """Of 28 utterances the 27th and 28th are far longer: numpy's p95 lies between the 26th and the 27th."""
    sizes = np.array([(1.0, n) for n in [*range(3, 29), 60, 90]])
    exact = sizes @ [WINDOW_MS, TOKEN_MS]
    noisy = [taken([n], slower=1.0 + sign * 0.05) for n in (5, 20, 40, 90) for sign in (-1, 1)]
    (found,) = request_quantiles(noisy, sizes, (0.95,))
    assert found == pytest.approx(np.quantile(exact, 0.95), rel=0.05)
    rng = np.random.default_rng(5)
    drawn = [np.quantile(exact * (1 + 0.05 * rng.choice([-1, 1], 28)), 0.95) for _ in range(2000)]
    assert found == pytest.approx(np.mean(drawn), rel=0.02)


def test_windows_of_any_length_agree_once_they_have_the_same_tokens():
    stages = brought_to(SOME, 15)
    assert stages.sum(axis=1) == pytest.approx(WINDOW_MS + 15 * TOKEN_MS)


def test_time_that_was_waited_for_a_processor_is_taken_off_request_by_request():
    loaded = [by_processor(taken([10, 4], slower=s)) for s in (1.0, 4.0, 7.0)]
    assert [t.wall_seconds for t in loaded] == pytest.approx([taken([10, 4]).wall_seconds] * 3)
    assert brought_to(loaded, 7).sum(axis=1) == pytest.approx(WINDOW_MS + 7 * TOKEN_MS)


def test_rounds_that_lie_apart_are_the_noise_floor():
    alike = [taken([10], round_=k) for k in range(8)]
    assert noise_floor(alike, 10) == pytest.approx(0.0)
    apart = [taken([10], slower=1.0 + 0.1 * (k % 2), round_=k) for k in range(8)]
    assert noise_floor(apart, 10) == pytest.approx(1.1 / 1.05 - 1.0)
    assert noise_floor([taken([10])], 10) is None


def test_drift_over_the_rounds_hits_even_and_odd_alike():
    drifting = [taken([10 + k % 5], slower=1.0 + 0.05 * k, round_=k) for k in range(12)]
    first, last = (np.median(brought_to(half, 12)) for half in (drifting[:6], drifting[6:]))
    assert last / first > 1.2
    assert noise_floor(drifting, 12) < 0.05


def many(rng, n, slower=1.0):
    sizes = [rng.integers(1, 40, rng.integers(1, 5)).tolist() for _ in range(n)]
    return [taken(t, slower=slower, round_=k) for k, t in enumerate(sizes)]


def test_one_request_in_twenty_lies_above_a_p95_of_requests_and_half_above_one_windows():
    some = many(np.random.default_rng(1), 400)
    sizes = np.array([(len(t.n_output_tokens), sum(t.n_output_tokens)) for t in some], dtype=float)
    assert 0.03 <= share_above(some, sizes) <= 0.07
    mean_window = np.median(
        brought_to(some, round(sizes[:, 1].sum() / sizes[:, 0].sum())).sum(axis=1)
    )
    of_windows = sizes[:, 0].mean() * mean_window
    assert np.mean([1e3 * t.wall_seconds > of_windows for t in some]) > 0.3


def test_contention_marks_what_others_slowed_and_then_the_processors_clock_counts():
    some, slow = many(np.random.default_rng(2), 24), many(np.random.default_rng(2), 24, slower=3.0)
    sizes = np.array([(2.0, 30.0), (4.0, 50.0)])
    quiet = measured(some, sizes, 12, STAGES, alone=True, on_cpu=True)
    loaded = measured(slow, sizes, 12, STAGES, alone=True, on_cpu=True)
    assert (quiet["quiet"], loaded["quiet"]) == (True, False)
    assert loaded["contention"] == pytest.approx(3.0)
    for name in ("p50_ms", "request_p95_ms", "processor_ms"):
        assert loaded[name] == pytest.approx(quiet[name])
    assert loaded["method"].endswith("by processor time")


def test_without_a_lease_nobody_knows_whether_a_device_was_quiet():
    some, sizes = many(np.random.default_rng(3), 4), np.array([[1.0, 10.0]])
    assert measured(some, sizes, 12, STAGES, alone=False, on_cpu=True)["quiet"] is None


def test_without_a_clock_contention_is_not_known():
    blind = [dataclasses.replace(t, processor_seconds=None) for t in SOME]
    assert contention(blind) is None
    found = measured(blind, np.array([[1.0, 10.0]]), 12, STAGES, alone=True, on_cpu=True)
    assert (found["quiet"], found["processor_ms"], found["contention"]) == (True, None, None)


def test_an_engine_that_runs_all_at_once_is_parted_by_the_line_over_its_tokens():
    whole = [
        dataclasses.replace(
            t, stages_ms=np.stack([t.stages_ms[:, 0], t.stages_ms[:, 1:].sum(axis=1)], axis=1)
        )
        for t in many(np.random.default_rng(4), 12)
    ]
    parts = stage_medians(whole, brought_to(whole, 15), 15, ("features", "rest"))
    assert parts == pytest.approx({"features": 60.0, "encoder": 40.0, "decode": 15 * TOKEN_MS})


@pytest.mark.parametrize(
    ("n_tokens", "lengths", "shares"),
    [(10, [30, 20], (6, 4)), (1, [9, 1], (1, 1)), (0, [5, 5], (0, 0)), (7, [5], (7,))],
)
def test_output_tokens_are_shared_by_length(n_tokens, lengths, shares):
    assert shared_tokens(n_tokens, lengths) == shares


def test_a_model_without_a_decoder_has_no_tokens():
    assert (whole_tokens(None), whole_tokens(0.2), whole_tokens(17.6)) == (0, 1, 18)
