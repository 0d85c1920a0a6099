"""What a latency is made of."""

from __future__ import annotations

from planner.costs.flops.forward import forward_flops
from planner.costs.latency.stages import COLUMNS, regressors
from tests.costs.latency.simulated import GRID


def test_the_encoders_products_are_the_counted_flops():
    for window in GRID[::5]:
        x = dict(zip(COLUMNS, regressors([window.windows()])[0], strict=True))
        parts = forward_flops(
            window.backbone, audio_seconds=window.audio_seconds, reduction=window.reduction
        ).parts
        assert x["encoder.flops"] + x["encoder.attention"] == parts["stem"] + parts["encoder"]
