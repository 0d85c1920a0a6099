"""Latency of requests: quantiles over utterances, the machine's part apart from them."""

import numpy as np
import pytest

from runner.trial.probe import (
    TimedRequest,
    brought_to,
    by_processor,
    halves_apart,
    request_quantiles,
    whole_tokens,
)
from runner.trial.requests import shared_tokens

WINDOW_MS, TOKEN_MS = 100.0, 5.0


def taken(tokens, slower=1.0):
    """A request of windows that take 60 + 30 + (10 + 5 tokens) ms each, all of it `slower` times."""
    stages = slower * np.array([[60.0, 30.0, 10.0 + TOKEN_MS * n] for n in tokens])
    wall = stages.sum() / 1e3
    return TimedRequest(
        n_output_tokens=tuple(tokens), stages_ms=stages, wall_seconds=wall, thread_seconds=wall / slower,
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


def test_windows_of_any_length_agree_once_they_have_the_same_tokens():
    stages = brought_to(SOME, 15)
    assert stages.sum(axis=1) == pytest.approx(WINDOW_MS + 15 * TOKEN_MS)


def test_time_that_was_waited_for_a_processor_is_taken_off_request_by_request():
    loaded = [by_processor(taken([10, 4], slower=s)) for s in (1.0, 4.0, 7.0)]
    assert [t.wall_seconds for t in loaded] == pytest.approx([taken([10, 4]).wall_seconds] * 3)
    assert brought_to(loaded, 7).sum(axis=1) == pytest.approx(WINDOW_MS + 7 * TOKEN_MS)


def test_halves_that_drift_apart_are_the_noise_floor():
    assert halves_apart(np.array([100.0] * 4 + [110.0] * 4)) == pytest.approx(5 / 105)
    assert halves_apart(np.array([100.0])) == 0.0


@pytest.mark.parametrize(
    ("n_tokens", "lengths", "shares"),
    [(10, [30, 20], (6, 4)), (1, [9, 1], (1, 1)), (0, [5, 5], (0, 0)), (7, [5], (7,))],
)
def test_output_tokens_are_shared_by_length(n_tokens, lengths, shares):
    assert shared_tokens(n_tokens, lengths) == shares


def test_a_model_without_a_decoder_has_no_tokens():
    assert (whole_tokens(None), whole_tokens(0.2), whole_tokens(17.6)) == (0, 1, 18)
