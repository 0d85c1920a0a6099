"""FLOPs as a smooth function of size, seconds and token rate, against the counts that it goes through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.costs.flops.forward import forward_flops
from planner.costs.flops.ladder import LADDERS, flops_of, ladder_of, roles_of
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import backbone
from planner.words.records import Reduction

AXES = ("n", "t", "v")


def counted(name, seconds, factor, tokens=20):
    shape = backbone(name)
    reduction = Reduction.parse(f"stem:{factor}" if factor > 1 else "none")
    n_output = tokens if shape.task == "asr" else 0
    return forward_flops(
        shape, audio_seconds=seconds, reduction=reduction, n_output_tokens=n_output
    ).total


@pytest.mark.parametrize("name", LADDERS["whisper"])
@settings(max_examples=20)
@given(seconds=st.integers(1, 300).map(lambda n: n / 10), factor=st.sampled_from([1, 2, 4, 5]))
def test_every_shape_of_whisper_costs_what_is_counted_for_it(name, seconds, factor):
    of = flops_of("whisper@35", AXES)
    # Lengths that make whole tokens: others are padded up to them.
    seconds = max(round(seconds * 50 / factor), 1) * factor / 50
    values = [float(backbone(name).n_params), seconds, 50 / factor]
    found = of(dict(zip(AXES, map(np.array, values), strict=True)))[0]
    assert found == pytest.approx(counted(name, seconds, factor, 35), rel=1e-9)


@pytest.mark.parametrize("family", ["wav2vec2", "moonshine"])
def test_encoders_on_samples_are_within_a_percent_of_their_counts(family):
    for name in LADDERS[family]:
        for seconds, factor in ((4.0, 1), (7.3, 2), (20.0, 1)):
            values = [float(backbone(name).n_params), seconds, 50 / factor]
            found = flops_of(family, AXES)(dict(zip(AXES, map(np.array, values), strict=True)))[0]
            assert found == pytest.approx(counted(name, seconds, factor), rel=0.01)


@given(
    st.floats(7, 10).map(lambda e: 10**e), st.floats(1, 60), st.floats(2, 60), st.sampled_from(AXES)
)
def test_derivatives_are_central_differences_and_the_cost_grows_with_every_axis(n, t, v, axis):
    of, values = flops_of("whisper", AXES), dict(zip(AXES, map(np.array, (n, t, v)), strict=True))
    step = 1e-5
    up, down = (of({**values, axis: values[axis] * np.exp(s)})[0] for s in (step, -step))
    slope = (up - down) / (2 * step * values[axis])
    assert of(values)[1][axis] == pytest.approx(slope, rel=2e-4)
    assert slope > 0


def test_one_backbone_costs_its_own_counts_and_no_other_size():
    of = flops_of("whisper-small", ("audio_seconds", "tokens_per_second"))
    found = of({"audio_seconds": np.array(8.0), "tokens_per_second": np.array(25.0)})[0]
    assert found == pytest.approx(counted("whisper-small", 8.0, 2), rel=1e-9)
    with pytest.raises(InputError, match="one size"):
        flops_of("whisper-small", ("n_params", "audio_seconds"))


def test_what_is_no_family_no_axis_or_no_number_of_tokens_is_said():
    with pytest.raises(UnknownNameError, match="wisper"):
        ladder_of("wisper")
    with pytest.raises(InputError, match="whisper@40"):
        ladder_of("whisper@-3")
    with pytest.raises(InputError, match="epochs"):
        roles_of(("n", "epochs"))
    with pytest.raises(InputError, match="same axis"):
        roles_of(("n", "n_params"))
