"""The latency model against a simulated device."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.costs.flops.forward import forward_flops
from planner.costs.latency.measured import quietest
from planner.costs.latency.model import fit_latency_model
from planner.errors import InputError, MissingResourceError
from planner.words.catalogue import backbone
from planner.words.records import Reduction
from tests.costs.latency.simulated import (
    GRID,
    LAPTOP,
    Asked,
    half_width,
    measured,
    predicted,
    spread_out,
)


@pytest.mark.parametrize("stages", [True, False], ids=["timed-stages", "totals-alone"])
def test_a_device_that_is_a_sum_of_stages_is_recovered(stages):
    model = fit_latency_model([measured(w, stages=stages) for w in spread_out(24)])
    for window in GRID[::7]:
        (one,) = predicted(model, [window])
        assert one.p50_ms == pytest.approx(measured(window).p50_ms, rel=1e-6)
        assert one.p95_ms == pytest.approx(1.1 * one.p50_ms)


def test_intervals_hold_as_often_as_they_say():
    rng, hits, calibration = np.random.default_rng(0), [], spread_out(12)
    for _ in range(40):
        noisy = [measured(w, factor=math.exp(rng.normal(0, 0.06))) for w in calibration]
        model = fit_latency_model(noisy)
        for window in rng.choice(np.array(GRID, dtype=object), 12):
            one = predicted(replace(model, measured={}), [window])[0]
            true = measured(window, factor=math.exp(rng.normal(0, 0.06))).p50_ms
            hits.append(one.p50_low_ms <= true <= one.p50_high_ms)
    assert 0.85 <= np.mean(hits) <= 0.99


def test_the_interval_narrows_with_every_rung_of_measurements():
    target = GRID[40]
    widths = []
    for n in (1, 2, 4, 12):
        model = fit_latency_model([measured(w) for w in spread_out(n)])
        widths.append(half_width(predicted(replace(model, measured={}), [target])[0]))
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > math.log(2) > 5 * widths[-1]


def test_one_measurement_of_the_whole_gives_one_rate_of_flops():
    one = Asked(
        backbone=backbone("whisper-base"),
        audio_seconds=30.0,
        reduction=Reduction(),
        n_output_tokens=1,
    )
    model = fit_latency_model([measured(one, stages=False)])
    other = replace(one, backbone=backbone("whisper-small"))
    flops = [
        forward_flops(w.backbone, audio_seconds=30.0, n_output_tokens=1).total for w in (one, other)
    ]
    ratio = predicted(model, [other])[0].p50_ms / measured(one, stages=False).p50_ms
    assert ratio == pytest.approx(flops[1] / flops[0], rel=0.05)


def test_a_measured_configuration_is_answered_with_its_measurement():
    one = measured(GRID[17], factor=1.7)
    model = fit_latency_model([one, *(measured(w) for w in spread_out(12))])
    w = GRID[17]
    found = predicted(model, [w])[0]
    assert found.source == "measured window"
    assert (found.p50_ms, found.p95_ms) == pytest.approx((one.p50_ms, one.p95_ms))
    nearby = predicted(model, [replace(w, n_output_tokens=w.n_output_tokens + 1)])[0]
    assert nearby.source == "measured window"
    assert nearby.p50_ms >= found.p50_ms


def test_a_configuration_that_was_never_run_is_interpolated_inside_the_range_and_transferred_outside():
    model = fit_latency_model(
        [measured(w) for w in spread_out(16) if w.backbone.name != "whisper-small"]
    )
    inside = predicted(model, [Asked(backbone("whisper-tiny"), 7.0, Reduction(), 20)])[0]
    outside = predicted(model, [Asked(backbone("whisper-large-v3"), 30.0, Reduction(), 40)])[0]
    assert (inside.source, outside.source) == ("interpolated", "transferred")
    assert half_width(outside) > 2 * half_width(inside)


@settings(max_examples=40, deadline=None)
@given(seconds=st.floats(0.5, 20.0), more=st.floats(0.0, 9.0), tokens=st.integers(1, 60))
def test_more_audio_or_more_tokens_are_never_faster(seconds, more, tokens):
    model = fit_latency_model([measured(w) for w in spread_out(12)])
    short, longer, wordier = (
        predicted(model, [Asked(backbone("whisper-base"), s, Reduction(), n)])[0].p50_ms
        for s, n in ((seconds, tokens), (seconds + more, tokens), (seconds, tokens + 3))
    )
    assert short <= longer * (1 + 1e-9)
    assert short <= wordier * (1 + 1e-9)


def test_many_windows_are_answered_as_one_by_one():
    model = fit_latency_model([measured(w) for w in spread_out(9)])
    assert predicted(model, GRID[:20]) == [predicted(model, [w])[0] for w in GRID[:20]]


def test_windows_keep_their_order_and_the_measured_among_them_are_as_measured():
    seen = spread_out(9)
    model = fit_latency_model([measured(w) for w in seen])
    other = replace(seen[0], audio_seconds=7.77)
    mixed = [seen[4], other, seen[0], seen[4], seen[8]]
    found = predicted(model, mixed)
    assert found == [predicted(model, [w])[0] for w in mixed]
    assert [f.source == "measured window" for f in found] == [True, False, True, True, True]


def test_a_batch_costs_less_than_its_windows_one_by_one():
    model = fit_latency_model([measured(w) for w in spread_out(24)])
    shape = backbone("whisper-tiny")
    one, eight = (
        model.predict_each([Asked(shape, 4.0, Reduction(), 20).windows(b)])[0].p50_ms
        for b in (1, 8)
    )
    assert one < eight < 8 * one


def test_a_classifiers_latency_needs_no_decoder():
    windows = [
        Asked(backbone=backbone(f"wav2vec2-{size}"), audio_seconds=s, reduction=Reduction(), n_output_tokens=0)
        for size, s in itertools.product(("micro", "base", "large-robust"), (1.0, 2.0, 4.0, 6.0))
    ]  # fmt: skip
    model = fit_latency_model([measured(w) for w in windows])
    wanted = replace(windows[5], audio_seconds=3.0)
    (one,) = predicted(model, [wanted])
    assert one.p50_ms == pytest.approx(measured(wanted).p50_ms, rel=0.02)


def test_a_noisy_device_never_gets_a_narrow_interval():
    calm, noisy = (
        fit_latency_model([measured(w, noise=floor) for w in spread_out(12)])
        for floor in (0.01, 0.3)
    )
    target = Asked(
        backbone=backbone("whisper-tiny"),
        audio_seconds=5.0,
        reduction=Reduction(),
        n_output_tokens=9,
    )
    assert half_width(predicted(noisy, [target])[0]) > 0.3
    assert half_width(predicted(calm, [target])[0]) < 0.2


def test_the_most_frequent_condition_is_the_one_that_is_fitted():
    half = [replace(measured(w, factor=0.5), dtype="bfloat16") for w in spread_out(12)]
    model = fit_latency_model([*half, *(measured(w) for w in spread_out(3))])
    assert model.condition == ("bfloat16", "sdpa")
    assert model.n_configurations == 12


def test_a_device_without_a_measurement_is_one_line_that_names_the_known_ones():
    known = [measured(w) for w in spread_out(2)]
    with pytest.raises(MissingResourceError, match=r"laptop.*soundscale probe"):
        fit_latency_model(known, device="h100")
    with pytest.raises(InputError, match="soundscale probe"):
        fit_latency_model([])
    with pytest.raises(InputError, match="laptop, server"):
        fit_latency_model([*known, replace(known[0], device=replace(LAPTOP, name="server"))])
    with pytest.raises(InputError, match="key/value cache"):
        fit_latency_model([replace(known[0], kv_cache=False)])


def test_a_quiet_measurement_replaces_those_under_load_of_the_same_configuration():
    one = measured(GRID[0])
    loaded = replace(one, p50_ms=3 * one.p50_ms, quiet=False)
    quiet = replace(one, quiet=True)
    assert quietest([loaded, one, quiet]) == [quiet]
    assert quietest([loaded, one]) == [loaded, one]


def test_requests_that_were_timed_are_told_beside_the_window():
    one = replace(measured(GRID[0]), request_p50_ms=700.0, request_p95_ms=900.0)
    model = fit_latency_model([one, *(measured(w) for w in spread_out(12))])
    timed, other = predicted(model, [GRID[0], GRID[17]])
    assert (timed.source, timed.request_p95_ms) == ("measured", pytest.approx(900.0))
    assert other.request_p95_ms == 0
