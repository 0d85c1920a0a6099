"""Every count equals torch's own, as integers, on the real modules of transformers, eager attention.

Real sizes run on the meta device. Of the random ones nineteen in twenty run on the CPU, whose operations
dispatch several times faster; eager attention is counted there as well, and the counter insists on it.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from planner.costs.flops.forward import forward_flops
from planner.costs.flops.lengths import encoder_positions, encoder_tokens
from planner.costs.flops.training import training_flops
from planner.words.catalogue import Wav2Vec2, Whisper, backbone
from planner.words.records import Adaptation, Reduction

WHISPERS = ("tiny", "base", "small", "medium", "large-v3")
WAV2VEC2S = ("base", "large-robust")
N_RANDOM = 200
# Training runs the same forward over all 200 seeds; the forward alone takes the first 60 by default.
SEEDS = (
    pytest.param(range(60), id="60"),
    pytest.param(range(60, N_RANDOM), id="200", marks=pytest.mark.slow),
)


def device(seed):
    return "meta" if seed % 20 == 0 else "cpu"


def random_whisper(rng):
    heads = rng.randint(1, 6)
    return Whisper(
        name="random", d_model=heads * 8 * rng.randint(1, 6), n_heads=heads,
        encoder_layers=rng.choice((1, 1, 2, 3)), decoder_layers=rng.choice((1, 1, 2)), n_mels=rng.choice((40, 80, 128)),
        vocab_size=rng.randint(60, 999), ffn_dim=rng.randint(9, 300), max_source_positions=rng.choice((500, 1500)),
    )  # fmt: skip


def random_wav2vec2(rng):
    heads, groups = rng.randint(1, 4), rng.choice((1, 2, 4))
    convs = rng.randint(2, 7)
    return Wav2Vec2(
        name="random", d_model=heads * groups * 4 * rng.randint(1, 5), n_heads=heads,
        encoder_layers=rng.choice((1, 1, 2, 3)), ffn_dim=rng.randint(9, 300),
        conv_dim=tuple(rng.randint(3, 40) for _ in range(convs)),
        conv_kernel=tuple(rng.randint(2, 10) for _ in range(convs)),
        conv_stride=(5, *(rng.randint(1, 2) for _ in range(convs - 1))), conv_bias=rng.random() < 0.5,
        layer_norm_each_conv=rng.random() < 0.5, pos_conv_kernel=rng.randint(3, 20), pos_conv_groups=groups,
        projection_size=rng.randint(3, 50),
    )  # fmt: skip


def random_reduction(rng, model, *, stem_operators):
    place = rng.choice(("none", "stem", "layer", "output"))
    if place == "none":
        return Reduction()
    operators = stem_operators if place == "stem" else ("stride", "mean-pool")
    layer = rng.randint(1, model.encoder_layers) if place == "layer" else None
    return Reduction(
        operator=rng.choice(operators), place=place, layer=layer, factor=rng.randint(2, 7)
    )


def random_adaptation(rng, model):
    kind = rng.choice(("lora", "lora", "lora+top-k", "full"))
    if kind == "full":
        return Adaptation(kind="full", lora_rank=None)
    names = ["q_proj", "k_proj", "v_proj", "out_proj"]
    chosen = rng.choice(("all-linear", "q_proj,v_proj", ",".join(rng.sample(names, 2))))
    top = rng.randint(1, model.encoder_layers) if kind == "lora+top-k" else 0
    return Adaptation(kind=kind, lora_rank=rng.randint(1, 9), targets=chosen, top_k_layers=top)


def whisper_case(seed):
    rng = random.Random(seed)
    model = random_whisper(rng)
    seconds = round(
        rng.uniform(0.5, model.max_audio_seconds if seed % 20 == 0 else 3.0), rng.randint(0, 3)
    )
    return rng, model, seconds, random_reduction(rng, model, stem_operators=("stride",))


def wav2vec2_case(seed):
    rng = random.Random(seed)
    model = random_wav2vec2(rng)
    samples = math.prod(model.conv_stride) * rng.randint(20, 200) + 200
    both = ("stride", "mean-pool")
    return rng, model, samples / 16_000, random_reduction(rng, model, stem_operators=both)


def decode(module, features, n_prompt, n_output, kv_cache):
    """Greedy decoding as the runner does it: the vocabulary is projected at the last position alone."""
    hidden = module.model.encoder(features).last_hidden_state
    tokens, past = torch.ones(1, n_prompt, dtype=torch.long, device=hidden.device), None
    for _ in range(n_output):
        given = tokens if past is None else tokens[:, -1:]
        out = module.model.decoder(
            input_ids=given, attention_mask=torch.ones_like(tokens), encoder_hidden_states=hidden,
            past_key_values=past, use_cache=kv_cache,
        )  # fmt: skip
        past = out.past_key_values if kv_cache else None
        module.proj_out(out.last_hidden_state[:, -1])
        tokens = torch.ones(1, tokens.shape[1] + 1, dtype=torch.long, device=hidden.device)
    return hidden


def whisper_step(module, features, n_prompt, n_labels):
    inputs = torch.ones(1, n_prompt + n_labels - 1, dtype=torch.long, device=features.device)
    states = module.model(
        input_features=features, decoder_input_ids=inputs,
        decoder_attention_mask=torch.ones_like(inputs), use_cache=False,
    ).last_hidden_state  # fmt: skip
    return module.proj_out(states[:, n_prompt - 1 :]).float().sum()


def check_whisper(count, real, model, seconds, reduction, n_prompt, n_output, kv_cache):
    module, features = real
    with torch.no_grad():
        counted, hidden = count(decode, module, features, n_prompt, n_output, kv_cache)
    ours = forward_flops(
        model, audio_seconds=seconds, reduction=reduction, n_output_tokens=n_output,
        n_prompt_tokens=n_prompt, kv_cache=kv_cache,
    )  # fmt: skip
    assert hidden.shape[1] == encoder_tokens(model, seconds, reduction)
    assert ours.total == counted == sum(ours.parts.values())


def pooled_loss(module, given):
    return module(given).logits.sum()


def check_training(count, ours, step, *given):
    forward, loss = count(step, *given)
    backward, _ = count(loss.backward)
    assert ours.forward == forward
    assert ours.activation_gradients + ours.weight_gradients == backward


@pytest.mark.parametrize("seeds", SEEDS)
def test_random_whispers_cost_what_torch_counts(count, real_whisper, seeds):
    for seed in seeds:
        rng, model, seconds, reduction = whisper_case(seed)
        sizes = rng.randint(1, 5), rng.choice((1, 2, 2, 3)), rng.random() < 0.7
        real = real_whisper(model, seconds, reduction, device=device(seed))
        check_whisper(count, real, model, seconds, reduction, *sizes)


def test_random_whispers_train_at_what_torch_counts(count, real_whisper):
    for seed in range(N_RANDOM):
        rng, model, seconds, reduction = whisper_case(1000 + seed)
        adaptation, n_prompt, n_labels = (
            random_adaptation(rng, model),
            rng.randint(1, 5),
            rng.randint(1, 20),
        )
        module, features = real_whisper(
            model, seconds, reduction, device=device(seed), adaptation=adaptation
        )
        ours = training_flops(
            model, audio_seconds=seconds, reduction=reduction, adaptation=adaptation,
            n_label_tokens=n_labels, n_prompt_tokens=n_prompt,
        )  # fmt: skip
        check_training(count, ours, whisper_step, module, features, n_prompt, n_labels)


@pytest.mark.parametrize("seeds", SEEDS)
def test_random_wav2vec2s_cost_what_torch_counts(count, real_wav2vec2, seeds):
    for seed in seeds:
        _, model, seconds, reduction = wav2vec2_case(seed)
        module, audio = real_wav2vec2(model, seconds, reduction, device=device(seed))
        with torch.no_grad():
            counted, _ = count(module, audio)
        ours = forward_flops(model, audio_seconds=seconds, reduction=reduction)
        assert ours.total == counted


def grouped_excess(model, seconds, reduction):
    """torch 2.13 leaves the groups out of a convolution's weight gradient: groups times too much."""
    n = encoder_positions(model, seconds, reduction)
    kernel, d, groups = model.pos_conv_kernel, model.d_model, model.pos_conv_groups
    return 2 * (n + 1 - kernel % 2) * kernel * d * d * (groups - 1) // groups


def test_random_wav2vec2s_train_at_what_torch_counts(count, real_wav2vec2):
    for seed in range(N_RANDOM):
        rng, model, seconds, reduction = wav2vec2_case(1000 + seed)
        adaptation = random_adaptation(rng, model)
        module, audio = real_wav2vec2(
            model, seconds, reduction, device=device(seed), adaptation=adaptation
        )
        ours = training_flops(
            model, audio_seconds=seconds, reduction=reduction, adaptation=adaptation
        )
        extra = grouped_excess(model, seconds, reduction) if adaptation.kind == "full" else 0
        ours = replace(ours, weight_gradients=ours.weight_gradients + extra)
        check_training(count, ours, pooled_loss, module, audio)


PLACES = ("none", "stem:2", "layer1:2:mean-pool", "layer3:3", "output:4")


def shallow(name):
    """A real size with its widths, cut to 3 and 2 layers: the whole depth has a test of its own."""
    model = backbone(name)
    less = {"decoder_layers": 2} if isinstance(model, Whisper) else {}
    return replace(model, encoder_layers=3, **less)


def check_whisper_lora(count, real_whisper, model, reduction):
    adaptation = Adaptation(lora_rank=8)
    module, features = real_whisper(model, 12.0, reduction, adaptation=adaptation)
    ours = training_flops(
        model, audio_seconds=12.0, reduction=reduction, adaptation=adaptation, n_label_tokens=24
    )
    check_training(count, ours, whisper_step, module, features, 4, 24)


def check_wav2vec2_lora(count, real_wav2vec2, model, reduction):
    adaptation = Adaptation(kind="lora+top-k", lora_rank=16, top_k_layers=1)
    module, audio = real_wav2vec2(model, 4.0, reduction, adaptation=adaptation)
    ours = training_flops(model, audio_seconds=4.0, reduction=reduction, adaptation=adaptation)
    check_training(count, ours, pooled_loss, module, audio)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", WHISPERS)
def test_real_whisper_widths_cost_what_torch_counts(count, real_whisper, size, place):
    model, reduction = shallow(f"whisper-{size}"), Reduction.parse(place)
    real = real_whisper(model, 30.0, reduction)
    check_whisper(count, real, model, 30.0, reduction, 4, 2, True)


@pytest.mark.parametrize("place", PLACES[1:4])
@pytest.mark.parametrize("size", WHISPERS)
def test_real_whisper_widths_train_at_what_torch_counts(count, real_whisper, size, place):
    check_whisper_lora(count, real_whisper, shallow(f"whisper-{size}"), Reduction.parse(place))


@pytest.mark.parametrize("size", WHISPERS)
def test_real_whispers_at_full_depth_cost_what_torch_counts(count, real_whisper, size):
    model = backbone(f"whisper-{size}")
    real = real_whisper(model, 30.0, Reduction())
    check_whisper(count, real, model, 30.0, Reduction(), 4, 1, True)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", WAV2VEC2S)
def test_real_wav2vec2_widths_train_at_what_torch_counts(count, real_wav2vec2, size, place):
    check_wav2vec2_lora(count, real_wav2vec2, shallow(f"wav2vec2-{size}"), Reduction.parse(place))


@pytest.mark.parametrize("size", WAV2VEC2S)
def test_real_wav2vec2s_at_full_depth_cost_what_torch_counts(count, real_wav2vec2, size):
    model, reduction = backbone(f"wav2vec2-{size}"), Reduction.parse("stem:2")
    real, audio = real_wav2vec2(model, 4.0, reduction)
    with torch.no_grad():
        counted, _ = count(real, audio)
    assert forward_flops(model, audio_seconds=4.0, reduction=reduction).total == counted


@pytest.mark.slow
@pytest.mark.parametrize("size", WHISPERS)
def test_real_whispers_at_full_depth_train_at_what_torch_counts(count, real_whisper, size):
    check_whisper_lora(count, real_whisper, backbone(f"whisper-{size}"), Reduction())


@pytest.mark.slow
@pytest.mark.parametrize("size", WAV2VEC2S)
def test_real_wav2vec2s_at_full_depth_train_at_what_torch_counts(count, real_wav2vec2, size):
    check_wav2vec2_lora(count, real_wav2vec2, backbone(f"wav2vec2-{size}"), Reduction())


def test_whisper_with_a_pooled_head_costs_and_trains_at_what_torch_counts(count, real_whisper):
    for seed in range(20):
        rng, model, seconds, reduction = whisper_case(5000 + seed)
        adaptation = random_adaptation(rng, model)
        module, features = real_whisper(
            model, seconds, reduction, task="emotion", adaptation=adaptation
        )
        ours = training_flops(
            model, audio_seconds=seconds, reduction=reduction, adaptation=adaptation, task="emotion"
        )
        check_training(count, ours, pooled_loss, module, features)


def test_the_studys_padding_runs_every_position(count, real_whisper):
    model, reduction = backbone("whisper-tiny"), Reduction.parse("output:2")
    module, features = real_whisper(model, 5.0, reduction, "padded30")
    with torch.no_grad():
        counted, _ = count(decode, module, features, 4, 2, True)
    ours = forward_flops(
        model, audio_seconds=5.0, reduction=reduction, n_output_tokens=2, padding="padded30"
    )
    assert ours.total == counted


def test_generate_runs_the_same_steps_and_projects_the_whole_prefill(real_whisper):
    model = backbone("whisper-micro")
    module, features = real_whisper(model, 2.0, Reduction(), device="cpu")
    module.generation_config.update(
        pad_token_id=0, bos_token_id=1, eos_token_id=2, suppress_tokens=None, begin_suppress_tokens=None
    )  # fmt: skip
    prompt = torch.ones(1, 4, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        out = module.generate(
            features, decoder_input_ids=prompt, max_new_tokens=7, min_new_tokens=7
        )
    assert out.shape[1] == 7
    ours = forward_flops(model, audio_seconds=2.0, n_output_tokens=7).total
    assert counter.get_total_flops() - ours == 3 * 2 * model.d_model * model.vocab_size
