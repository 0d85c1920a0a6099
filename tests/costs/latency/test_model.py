"""The stage model on simulated devices whose true costs are known."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.costs.flops.forward import forward_flops
from planner.costs.latency.model import fit_latency_model
from planner.costs.latency.probe_points import CORE, calibration_points
from planner.costs.latency.stages import COLUMNS, GROUPS, columns_of, regressors
from planner.costs.latency.transfer import (
    DataSheet,
    datasheet_costs,
    datasheet_model,
    transfer_model,
)
from planner.costs.windows import windows_of
from planner.errors import InputError, MissingResourceError, UnknownNameError
from planner.words.catalogue import Backbone, backbone
from planner.words.records import Device, Latency, Reduction


@dataclass(frozen=True)
class Asked:
    """One window by its numbers."""

    backbone: Backbone
    audio_seconds: float
    reduction: Reduction
    n_output_tokens: int

    def windows(self, batch_size=1):
        return windows_of(
            self.backbone, self.audio_seconds, self.reduction, n_output_tokens=self.n_output_tokens,
            batch_size=batch_size,
        )  # fmt: skip


def predicted(model, asked):
    return model.predict_each([w.windows() for w in asked])


LAPTOP = Device(name="laptop", kind="cpu", model="made up", n_threads=1)
SHEET = DataSheet(name="laptop", kind="cpu", peak_flops=1.5e11, bandwidth=2e10)
TRUTH = datasheet_costs(SHEET)
GRID = [
    Asked(
        backbone=backbone(f"whisper-{size}"),
        audio_seconds=seconds,
        reduction=Reduction.parse(x_v),
        n_output_tokens=n,
    )
    for size, seconds, x_v, n in itertools.product(
        ("micro", "tiny", "base", "small"),
        (2.0, 10.0, 30.0),
        ("none", "stem:2", "layer2:2", "output:4"),
        (2, 12, 40),
    )
]
WINDOWS = [w.windows() for w in GRID]


def measured(window, *, factor=1.0, stages=True, device=LAPTOP, costs=TRUTH, noise=None):
    """A measurement of the simulated device, times a factor, its stages told apart or not."""
    x = regressors([window.windows()])[0] * costs
    parts = {g: factor * float(x[columns_of(g)].sum()) for g in GROUPS}
    p50 = sum(parts.values())
    return Latency(
        device=device, backbone=window.backbone.name, audio_seconds=window.audio_seconds,
        reduction=window.reduction, n_output_tokens=window.n_output_tokens, p50_ms=p50, p90_ms=1.08 * p50,
        p95_ms=1.1 * p50, p99_ms=1.2 * p50, n_samples=20, n_warmup=3, stages_ms=parts if stages else None,
        noise_floor=noise,
    )  # fmt: skip


def spread_out(n):
    """n windows across the grid; the corners come first."""
    rng = np.random.default_rng(3)
    z = np.log(regressors(WINDOWS) + 1.0)
    z = (z - z.mean(0)) / (z.std(0) + 1e-9)
    chosen = [int(rng.integers(len(GRID)))]
    while len(chosen) < n:
        far = np.min([((z - z[i]) ** 2).sum(1) for i in chosen], axis=0)
        chosen.append(int(np.argmax(far)))
    return [GRID[i] for i in chosen]


def half_width(prediction):
    return math.log(prediction.p50_high_ms / prediction.p50_low_ms) / 2


@pytest.mark.parametrize("stages", [True, False], ids=["timed-stages", "totals-alone"])
def test_a_device_that_is_a_sum_of_stages_is_recovered(stages):
    model = fit_latency_model([measured(w, stages=stages) for w in spread_out(24)])
    for window in GRID[::7]:
        (one,) = predicted(model, [window])
        assert one.p50_ms == pytest.approx(measured(window).p50_ms, rel=1e-6)
        assert one.p95_ms == pytest.approx(1.1 * one.p50_ms)


def test_the_encoders_products_are_the_counted_flops():
    for window in GRID[::5]:
        x = dict(zip(COLUMNS, regressors([window.windows()])[0], strict=True))
        parts = forward_flops(
            window.backbone, audio_seconds=window.audio_seconds, reduction=window.reduction
        ).parts
        assert x["encoder.flops"] + x["encoder.attention"] == parts["stem"] + parts["encoder"]


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
    assert found.source == "measured"
    assert (found.p50_ms, found.p95_ms) == pytest.approx((one.p50_ms, one.p95_ms))
    nearby = predicted(model, [replace(w, n_output_tokens=w.n_output_tokens + 1)])[0]
    assert nearby.source == "measured"
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
    assert [f.source == "measured" for f in found] == [True, False, True, True, True]


def test_stage_times_add_up_to_the_prediction():
    model = fit_latency_model([measured(w) for w in spread_out(12)])
    for window in (GRID[3], GRID[77]):
        one = predicted(replace(model, measured={}), [window])[0]
        assert sum(model.stage_ms(window.windows()).values()) == pytest.approx(one.p50_ms)


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


def test_a_data_sheet_alone_is_tagged_and_wide():
    one = predicted(
        datasheet_model(SHEET), [Asked(backbone("whisper-base"), 10.0, Reduction(), 20)]
    )[0]
    assert one.source == "datasheet"
    assert one.p50_high_ms > 3 * one.p50_ms


def test_anchors_narrow_a_data_sheet_and_move_it_to_the_device():
    costs = TRUTH.copy()
    costs[columns_of("encoder")] *= 2.5
    costs[columns_of("decode")] *= 1.4
    target = Asked(
        backbone=backbone("whisper-base"),
        audio_seconds=20.0,
        reduction=Reduction(),
        n_output_tokens=24,
    )
    true = measured(target, costs=costs).p50_ms
    base, widths, errors = datasheet_model(SHEET), [], []
    for n in (0, 1, 3, 5):
        anchors = [measured(w, costs=costs) for w in spread_out(n)] if n else []
        (one,) = predicted((transfer_model(base, anchors) if n else base), [target])
        widths.append(half_width(one))
        errors.append(abs(math.log(one.p50_ms / true)))
        assert one.p50_low_ms <= true <= one.p50_high_ms
    assert widths == sorted(widths, reverse=True)
    assert errors[-1] < 0.1 < errors[0]


def test_another_devices_fit_is_transferred_by_totals_alone():
    base = fit_latency_model([measured(w) for w in spread_out(16)])
    server = replace(LAPTOP, name="server")
    anchors = [measured(w, factor=0.4, stages=False, device=server) for w in spread_out(4)]
    model = transfer_model(base, anchors)
    one = predicted(model, [Asked(backbone("whisper-tiny"), 9.0, Reduction(), 20)])[0]
    true = 0.4 * predicted(base, [Asked(backbone("whisper-tiny"), 9.0, Reduction(), 20)])[0].p50_ms
    assert (model.device, one.source) == ("server", "transferred")
    assert one.p50_low_ms <= true <= one.p50_high_ms
    assert one.p50_ms == pytest.approx(true, rel=0.15)


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


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"kind": "tpu"}, UnknownNameError),
        ({"peak_flops": 0.0}, InputError),
        ({"bandwidth": math.nan}, InputError),
        ({"dtype": "int3"}, UnknownNameError),
    ],
)
def test_a_data_sheet_that_cannot_be_is_refused(changed, error):
    with pytest.raises(error):
        replace(SHEET, **changed)


def test_calibration_points_differ_and_start_the_same_whatever_their_number():
    points = calibration_points(WINDOWS, 12)
    assert len(set(points)) == 12
    assert calibration_points(WINDOWS, 5) == points[:5]


def test_calibration_points_stay_within_the_time_that_is_allowed():
    costs = datasheet_costs(CORE)
    points = calibration_points(WINDOWS, 12, seconds=90.0, samples=10)
    spent = sum(float(regressors([WINDOWS[i]])[0] @ costs) for i in points)
    assert 10 * spent / 1e3 <= 90.0
    assert len(points) == 12


def test_calibration_points_determine_the_device_better_than_any_others():
    chosen = fit_latency_model([measured(GRID[i]) for i in calibration_points(WINDOWS, 12)])
    first = fit_latency_model([measured(w) for w in GRID[:12]])
    targets = GRID[::7]
    widths = [
        np.mean([half_width(p) for p in predicted(replace(m, measured={}), targets)])
        for m in (chosen, first)
    ]
    assert widths[0] < widths[1] / 2


@pytest.mark.parametrize(("n", "seconds"), [(0, None), (3, 1e-6)])
def test_a_calibration_without_points_or_time_is_refused(n, seconds):
    with pytest.raises(InputError, match=r"at least 1 point|more time"):
        calibration_points(WINDOWS, n, seconds=seconds)
