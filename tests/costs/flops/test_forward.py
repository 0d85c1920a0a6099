from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.costs.flops.forward import forward_flops, resolve_convention
from planner.costs.flops.lengths import conv_lengths, encoder_positions, encoder_tokens, mel_frames
from planner.costs.flops.training import lora_parameters, training_flops
from planner.errors import InputError
from planner.words.catalogue import BUILT_IN, backbone
from planner.words.records import Adaptation, Reduction

# Published figures of arXiv 2606.22790 in GFLOPs: size, seconds, output stride, output tokens.
PUBLISHED = [
    ("whisper-tiny", 15.0, "none", 19, "29.3"),
    ("whisper-small", 30.0, "none", 20, "722.4"),
    ("whisper-small", 30.0, "output:2", 20, "510.0"),
    ("whisper-medium", 30.0, "none", 20, "2531.5"),
    ("whisper-large-v3", 30.0, "none", 20, "5228.0"),
    ("whisper-large-v3", 15.0, "none", 20, "2573.1"),
    ("wav2vec2-base", 4.0, "none", 0, "37.8"),
    ("wav2vec2-large-robust", 4.0, "none", 0, "126.3"),
    ("wav2vec2-large-robust", 6.0, "none", 0, "189.4"),
    ("wav2vec2-large-robust", 2.0, "none", 0, "63.1"),
]

# Encoder alone in GFLOPs at 30, 15 and 7.5 s, counted independently with torch on real modules.
ENCODERS = [
    ("whisper-tiny", (36.94, 15.0, 6.6)),
    ("whisper-small", (344.16, 151.3, 70.5)),
    ("whisper-large-v3", (2273.77, 1044.7, 499.3)),
]

# Decoder forward of 24 tokens without a cache over 1500 encoder tokens, in GFLOPs, same source.
DECODERS = {"tiny": 5.12, "base": 12.22, "small": 50.48, "medium": 174.05, "large-v3": 358.98}


def gflops(name, seconds, reduction="none", tokens=0, **more):
    counted = forward_flops(
        backbone(name),
        audio_seconds=seconds,
        reduction=Reduction.parse(reduction),
        n_output_tokens=tokens,
        **more,
    )
    return counted.total / 1e9


@pytest.mark.parametrize(("name", "seconds", "reduction", "tokens", "printed"), PUBLISHED)
def test_the_studys_formula_gives_its_published_digits(name, seconds, reduction, tokens, printed):
    assert f"{gflops(name, seconds, reduction, tokens, convention='same2026'):.1f}" == printed


@pytest.mark.parametrize(("name", "values"), ENCODERS)
def test_encoders_cost_what_an_independent_table_says(name, values):
    for seconds, value in zip((30.0, 15.0, 7.5), values, strict=True):
        places = len(str(value).split(".")[1])
        assert gflops(name, seconds) == pytest.approx(value, abs=0.5 * 10**-places)


@pytest.mark.parametrize("size", DECODERS)
def test_decoders_cost_what_an_independent_table_says(size):
    # One uncached pass over a prompt of 24 tokens; the table projects all 24, we the last one.
    model = backbone(f"whisper-{size}")
    counted = forward_flops(
        model, audio_seconds=30.0, n_output_tokens=1, n_prompt_tokens=24, kv_cache=False
    ).parts
    decoder = counted["decoder"] + counted["cross_attention"] + 24 * counted["head"]
    assert decoder / 1e9 == pytest.approx(DECODERS[size], abs=0.005)


def test_wav2vec2_costs_what_an_independent_table_says():
    assert gflops("wav2vec2-base", 4.0) == pytest.approx(57.0, abs=0.05)
    assert gflops("wav2vec2-large-robust", 4.0) == pytest.approx(147.4, abs=0.05)


def test_an_output_stride_saves_what_was_counted_and_not_what_the_study_claims():
    whole, half = (gflops("whisper-small", 30.0, r, 20) for r in ("none", "output:2"))
    assert 1 - half / whole == pytest.approx(0.0555, abs=0.001)


def test_the_studys_convention_is_never_the_default():
    default = forward_flops(backbone("whisper-tiny"), audio_seconds=30.0, n_output_tokens=20)
    assert default.convention == "exact/1" == resolve_convention("exact")


def test_a_cache_changes_the_decoder_and_never_the_first_token():
    one = [gflops("whisper-base", 9.0, tokens=1, kv_cache=cache) for cache in (True, False)]
    two = [gflops("whisper-base", 9.0, tokens=2, kv_cache=cache) for cache in (True, False)]
    assert one[0] == one[1]
    assert two[0] < two[1]


@pytest.mark.parametrize(("seconds", "frames"), [(2.0, 99), (4.0, 199), (6.0, 299)])
def test_wav2vec2_frames_follow_the_convolutions(seconds, frames):
    for name in ("wav2vec2-base", "wav2vec2-large-robust"):
        assert conv_lengths(backbone(name), seconds)[-1] == frames


@pytest.mark.parametrize(
    ("seconds", "reduction", "frames", "positions", "tokens"),
    [
        pytest.param(30.0, "none", 3000, 1500, 1500, id="whole"),
        pytest.param(30.0, "stem:2", 3000, 750, 750, id="stem"),
        pytest.param(30.0, "stem:7", 3010, 215, 215, id="stem-odd"),
        pytest.param(30.0, "layer4:7", 3000, 1500, 215, id="table-ends"),
        pytest.param(1.5, "output:4", 152, 76, 19, id="rounded-up"),
        pytest.param(0.01, "none", 2, 1, 1, id="one-position"),
        pytest.param(2.344, "none", 234, 117, 117, id="rounded"),
    ],
)
def test_lengths_are_whole_before_and_after_a_reduction(
    seconds, reduction, frames, positions, tokens
):
    model, x_v = backbone("whisper-base"), Reduction.parse(reduction)
    assert mel_frames(model, seconds, x_v) == frames
    assert encoder_positions(model, seconds, x_v) == positions
    assert encoder_tokens(model, seconds, x_v) == tokens


@given(seconds=st.floats(0.2, 30.0), factor=st.integers(2, 10), place=st.sampled_from(["stem", "output"]))  # fmt: skip
def test_the_position_table_covers_every_length(seconds, factor, place):
    model, x_v = backbone("whisper-tiny"), Reduction(place=place, factor=factor)
    rows = math.ceil(model.max_source_positions / (factor if place == "stem" else 1))
    assert 1 <= encoder_positions(model, seconds, x_v) <= rows


@settings(max_examples=60)
@given(
    name=st.sampled_from(BUILT_IN.names),
    seconds=st.floats(0.5, 14.0),
    factor=st.integers(2, 8),
    layer=st.integers(1, 2),
)
def test_reducing_earlier_never_costs_more(name, seconds, factor, layer):
    model = backbone(name)
    places = ({"place": "stem"}, {"place": "layer", "layer": layer}, {"place": "output"})
    reductions = [Reduction(factor=factor, **place) for place in places]
    asked = {"audio_seconds": seconds, "n_output_tokens": 5}
    costs = [forward_flops(model, reduction=r, **asked).total for r in reductions]
    assert costs == sorted(costs)


@settings(max_examples=60)
@given(name=st.sampled_from(BUILT_IN.names), seconds=st.floats(0.5, 14.0), more=st.floats(0.0, 15.0))  # fmt: skip
def test_more_audio_never_costs_less(name, seconds, more):
    model = backbone(name)
    short, long = (
        forward_flops(model, audio_seconds=s, n_output_tokens=9) for s in (seconds, seconds + more)
    )
    assert all(long.parts[part] >= short.parts[part] for part in short.parts)


def test_lora_costs_about_twice_a_forward_and_full_about_three_times():
    for size, published in (("tiny", 2.22), ("small", 2.18), ("large-v3", 2.13)):
        model = backbone(f"whisper-{size}")
        lora = Adaptation(lora_rank=8, targets="q_proj,v_proj")
        cost = training_flops(
            model, audio_seconds=30.0, adaptation=lora, n_label_tokens=20, n_prompt_tokens=1
        )
        assert cost.total / cost.forward == pytest.approx(published, abs=0.06)
        full = training_flops(
            model, audio_seconds=30.0, adaptation=Adaptation.parse("full"), n_label_tokens=20
        )
        assert full.total / full.forward == pytest.approx(2.995, abs=0.01)


def test_no_adaptation_trains_nothing():
    model = backbone("whisper-tiny")
    cost = training_flops(
        model, audio_seconds=5.0, adaptation=Adaptation.parse("none"), n_label_tokens=9
    )
    assert cost.total == cost.forward == 0


@pytest.mark.parametrize(
    ("size", "count"),
    [("tiny", 589_824), ("small", 3_538_944), ("medium", 9_437_184), ("large-v3", 15_728_640)],
)
def test_adapters_have_the_studys_number_of_parameters(size, count):
    lora = Adaptation(lora_rank=32, targets="q_proj,v_proj")
    assert lora_parameters(backbone(f"whisper-{size}"), lora) == count


BAD = [
    pytest.param({"audio_seconds": 0.0}, "positive", id="zero"),
    pytest.param({"audio_seconds": -1.0}, "positive", id="negative"),
    pytest.param({"audio_seconds": math.nan}, "positive", id="nan"),
    pytest.param({"audio_seconds": 30.1}, "at most 30 s", id="too-long"),
    pytest.param({"audio_seconds": 0.001}, "at least 0.01 s", id="no-frame"),
    pytest.param({"reduction": Reduction.parse("stem:900")}, "leaves no token", id="no-token"),
    pytest.param({"reduction": Reduction.parse("layer9:2")}, "layer 1 to 4", id="layer"),
    pytest.param({"reduction": Reduction.parse("stem:2:mean-pool")}, "stem:2", id="stem-pool"),
    pytest.param({"convention": "macs"}, "exact/1", id="convention"),
    pytest.param({"padding": "left"}, "dynamic", id="padding"),
    pytest.param({"n_output_tokens": 446}, "448", id="too-many-tokens"),
    pytest.param({"n_output_tokens": -1}, "n_output_tokens", id="negative-tokens"),
    pytest.param({"n_output_tokens": 2.5}, "integer", id="fraction-of-a-token"),
    pytest.param({"task": "translation"}, "asr", id="task"),
    pytest.param(
        {"convention": "same2026", "reduction": Reduction.parse("stem:2")}, "exact", id="study"
    ),
]


@pytest.mark.parametrize(("changed", "said"), BAD)
def test_bad_input_is_one_line_that_says_what_is_allowed(changed, said):
    asked = {"audio_seconds": 10.0, "n_output_tokens": 5} | changed
    with pytest.raises(InputError, match=said) as caught:
        forward_flops(backbone("whisper-tiny"), **asked)
    assert "\n" not in str(caught.value)


def test_a_task_needs_a_head_that_is_known():
    """An encoder writes by CTC; what comes with a decoder of its own names no classes."""
    assert forward_flops(backbone("wav2vec2-base"), audio_seconds=2.0, task="asr").parts["head"]
    with pytest.raises(InputError, match="writes text alone"):
        forward_flops(backbone("moonshine-tiny"), audio_seconds=2.0, task="emotion")


def test_audio_too_short_for_one_frame_says_the_least():
    with pytest.raises(InputError, match=r"0\.025 s"):
        forward_flops(backbone("wav2vec2-base"), audio_seconds=0.02)


def test_what_is_not_counted_is_an_error_and_not_zero():
    for adaptation in (Adaptation(dora=True), Adaptation(targets="q_proj,conv1")):
        with pytest.raises(InputError):
            training_flops(
                backbone("whisper-tiny"), audio_seconds=5.0, adaptation=adaptation, n_label_tokens=3
            )


def test_a_count_that_was_handed_out_can_be_changed_without_harm():
    asked = {"audio_seconds": 3.0, "n_output_tokens": 2}
    forward_flops(backbone("whisper-tiny"), **asked).parts["stem"] = 0
    assert forward_flops(backbone("whisper-tiny"), **asked).parts["stem"] > 0


def test_checkpointing_adds_one_forward_of_the_layers():
    plain, again = (
        training_flops(
            backbone("whisper-base"), audio_seconds=8.0, adaptation=Adaptation(lora_rank=8),
            n_label_tokens=25, gradient_checkpointing=checkpointing,
        )
        for checkpointing in (False, True)
    )  # fmt: skip
    assert 0 < again.recomputed < again.forward
    assert again.total - plain.total == again.recomputed
