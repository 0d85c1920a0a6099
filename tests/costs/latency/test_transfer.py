"""Predictions of a device that was hardly measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from planner.costs.latency.model import fit_latency_model
from planner.costs.latency.stages import columns_of
from planner.costs.latency.transfer import (
    datasheet_model,
    transfer_model,
)
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import backbone
from planner.words.records import Reduction
from tests.costs.latency.simulated import (
    LAPTOP,
    SHEET,
    TRUTH,
    Asked,
    half_width,
    measured,
    predicted,
    spread_out,
)


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
