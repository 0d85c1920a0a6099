"""Time and memory before a trial starts: on simulated devices whose rates are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.costs.memory.peak import training_memory
from planner.costs.trial_forecast import (
    UNKNOWN,
    Outcome,
    Work,
    forecast,
    launch_seconds,
    learnt,
    rates_of,
    require_memory,
    total_seconds,
)
from planner.errors import InputError
from planner.words.catalogue import backbone
from planner.words.records import Adaptation

SHEET = DATA_SHEETS["l4"]
RATE, SCORE_RATE, OTHER, RATIO = 2e13, 8e12, 30.0, 1.4


def work(train_flops=1e15, score_flops=1e14):
    return Work(train_flops=train_flops, score_flops=score_flops, closed_bytes=4e9, least_bytes=1e9)


def outcome(rng, scatter=0.1):
    """A trial of the simulated device."""
    train, score = 10 ** rng.uniform(13, 16), 10 ** rng.uniform(12, 15)
    off = np.exp(rng.normal(0, scatter, 4))
    return Outcome(
        train_flops=train, train_seconds=train / RATE * off[0], score_flops=score,
        score_seconds=score / SCORE_RATE * off[1], other_seconds=OTHER * off[2], closed_bytes=2e9,
        peak_bytes=2e9 * RATIO * off[3],
    )  # fmt: skip


def seconds(w):
    return w.train_flops / RATE + w.score_flops / SCORE_RATE + OTHER


def width(estimate):
    return math.log(estimate.high / estimate.low)


def test_earlier_trials_tell_time_and_memory_of_the_next():
    rates = rates_of([outcome(np.random.default_rng(i)) for i in range(12)], SHEET, "l4")
    found = forecast(work(), rates)
    assert (found.source, rates.n_trials) == ("measured", 12)
    assert found.trial_seconds.value == pytest.approx(seconds(work()), rel=0.1)
    assert found.peak_memory_bytes.value == pytest.approx(4e9 * RATIO, rel=0.1)


def test_intervals_hold_for_nine_trials_in_ten():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        rates = rates_of([outcome(rng, 0.2) for _ in range(6)], SHEET, "l4")
        new = outcome(rng, 0.2)
        found = forecast(work(new.train_flops, new.score_flops), rates).trial_seconds
        took = new.train_seconds + new.score_seconds + new.other_seconds
        held.append(found.low <= took <= found.high)
    assert 0.87 <= np.mean(held) <= 0.97


def test_a_data_sheet_alone_gives_a_wide_interval_that_three_trials_narrow():
    wide = forecast(work(), rates_of([], SHEET, "l4")).trial_seconds
    three = [outcome(np.random.default_rng(i)) for i in range(3)]
    narrow = forecast(work(), rates_of(three, SHEET, "l4")).trial_seconds
    assert width(wide) > 2 * width(narrow)
    assert forecast(work(), rates_of([], SHEET, "l4")).source == "datasheet"


def test_a_sum_of_trials_is_known_better_than_one_and_not_better_than_the_rate():
    rates = rates_of([outcome(np.random.default_rng(i)) for i in range(6)], SHEET, "l4")
    one, many = (total_seconds([work()] * n, rates) for n in (1, 50))
    assert width(many) < width(one)
    shared = 2 * 1.645 * rates.train.mean_sd * 50 * 1e15 / RATE / many.value
    assert width(many) > 0.5 * shared


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30), st.floats(1e-3, 1e3))
def test_a_rate_in_other_units_is_the_same_rate(values, factor):
    plain, scaled = learnt(values), learnt([factor * v for v in values])
    assert scaled.log_mean == pytest.approx(plain.log_mean + math.log(factor), abs=1e-9)
    assert scaled.own_sd == pytest.approx(plain.own_sd, rel=1e-6)


def test_launches_count_only_where_no_trial_was_seen():
    slow = Work(
        train_flops=1e12, score_flops=1e12, closed_bytes=1e9, least_bytes=1e9, launch_seconds=500.0
    )
    seen = rates_of([outcome(np.random.default_rng(3))], SHEET, "l4")
    assert total_seconds([slow], rates_of([], SHEET, "l4")).value > 500
    assert total_seconds([slow], seen).value < 100


def test_launches_grow_with_steps_layers_and_tokens():
    def of(name, passes=100.0, batches=0.0, tokens=0):
        return launch_seconds(
            backbone(name), "cuda", n_passes=passes, n_score_batches=batches, n_output_tokens=tokens
        )

    assert of("whisper-tiny", 200.0) == pytest.approx(2 * of("whisper-tiny"))
    assert of("whisper-small") > of("whisper-base") > of("whisper-tiny")
    assert of("whisper-tiny", 0.0, 1.0, 50) > of("whisper-tiny", 0.0, 1.0, 5) > 0
    assert of("wav2vec2-base", 0.0, 1.0, 50) == of("wav2vec2-base", 0.0, 1.0, 5)


def test_what_cannot_fit_is_refused_with_its_parts():
    least = training_memory(
        backbone("whisper-large-v3"), audio_seconds=30.0, adaptation=Adaptation.parse("full"),
        n_label_tokens=100,
    )  # fmt: skip
    require_memory("trial 1", least, "big", least.total)
    require_memory("trial 1", least, "unknown", None)
    with pytest.raises(
        InputError, match=r"trial 1 needs at least .*GiB.*optimiser .*l4 has 24 GiB; use"
    ):
        require_memory("trial 1", least, "l4", SHEET.memory_bytes)


def test_a_device_that_nobody_described_is_foretold_with_the_widest_interval():
    wide = rates_of([], UNKNOWN["cuda"], "new-gpu", assumed=True)
    assert (wide.source, wide.device) == ("assumption", "new-gpu")
    found = [forecast(work(), r).trial_seconds for r in (wide, rates_of([], SHEET, "l4"))]
    assert width(found[0]) > width(found[1])
    seen = rates_of([outcome(np.random.default_rng(0))], UNKNOWN["cuda"], "new-gpu", assumed=True)
    assert seen.source == "measured"
