"""Moonshine against transformers' own, from a checkpoint that transformers saved, and against torch's counter."""

from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from planner.costs.flops.forward import encoder_tokens, forward_flops
from planner.costs.flops.lengths import conv_lengths
from planner.costs.flops.training import training_flops
from planner.costs.memory.parameters import trainable_parameters
from planner.errors import InputError
from planner.words.catalogue import backbone, from_config
from planner.words.families.moonshine import Moonshine
from planner.words.records import Adaptation, Reduction
from planner.words.stored_backbone import read_stored
from runner.models.adapt import adapt
from runner.models.base import BuildRequest
from runner.models.builders import builder_for
from runner.trial.hearing import predict
from runner.weights.base_weights import base_weights
from tests.models.micro import make_model, make_trial, speechlike

CONFIG = {
    "vocab_size": 240, "hidden_size": 32, "intermediate_size": 48, "encoder_num_hidden_layers": 2,
    "decoder_num_hidden_layers": 2, "encoder_num_attention_heads": 2, "decoder_num_attention_heads": 2,
    "max_position_embeddings": 64,
}  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    """A random micro checkpoint as transformers saves one, its tokenizer, and the module itself."""

    def save(**more):
        torch.manual_seed(3)
        config = transformers.MoonshineConfig(**(CONFIG | more))
        module = transformers.MoonshineForConditionalGeneration(config).eval()
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, 0.3)
        module.save_pretrained(tmp_path)
        words = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, 240)}
        text = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
        text.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        text.save(str(tmp_path / "tokenizer.json"))
        return tmp_path, module

    return save


def loaded(folder, trial):
    shape = from_config("mine", json.loads((folder / "config.json").read_text()))
    base = base_weights(shape, folder)
    return builder_for(shape.family, "asr")(
        BuildRequest(
            trial=trial, backbone=shape, device=torch.device("cpu"), state=base.state,
            tokenizer=base.tokenizer, config=base.config,
        )
    )  # fmt: skip


@pytest.mark.parametrize("multiple", [None, 12], ids=["heads", "padded-heads"])
def test_a_saved_checkpoint_writes_what_generate_writes(saved, multiple):
    folder, module = saved(pad_head_dim_to_multiple_of=multiple)
    model = loaded(folder, make_trial("mine", audio_seconds=1.0))
    assert model.backbone.n_params == sum(p.numel() for p in module.parameters())
    audio = np.stack([speechlike(1.0), speechlike(1.0, seed=4)])
    theirs = module.generate(torch.from_numpy(audio), max_new_tokens=12, do_sample=False)
    ours = predict(
        model, list(audio), model_trial := make_trial("mine", audio_seconds=1.0), "float32"
    )
    assert model_trial.decoding.max_tokens_per_second == 8
    for row, prediction in zip(theirs.tolist(), ours, strict=True):
        written = row[1:]
        written = written[: written.index(2)] if 2 in written else written
        # Nine tokens: eight a second, and one more.
        assert list(prediction.token_ids) == written[:9]
        assert prediction.text == " ".join(f"w{i}" for i in written[:9] if i > 2)


def test_lengths_are_those_of_the_convolutions():
    shape = backbone("moonshine-tiny")
    assert [conv_lengths(shape, s)[-1] for s in (1.0, 2.0, 10.0, 30.0)] == [40, 82, 415, 1248]
    with pytest.raises(InputError, match="too short for one frame"):
        conv_lengths(shape, 0.05)
    assert conv_lengths(shape, 895 / 16_000) == (13, 3, 1)


@pytest.mark.parametrize("name", ["moonshine-tiny", "moonshine-base"])
def test_parameters_are_those_of_the_real_module(name):
    from runner.models.moonshine import config_of

    with torch.device("meta"):
        module = transformers.MoonshineForConditionalGeneration(config_of(backbone(name)))
    assert backbone(name).n_params == sum(p.numel() for p in module.parameters())
    encoder = sum(p.numel() for p in module.model.encoder.parameters())
    assert backbone(name).encoder_params == encoder


def random_case(seed):
    rng = random.Random(seed)
    heads = rng.randint(1, 4)
    shape = Moonshine(
        name="random", d_model=heads * 2 * rng.randint(2, 12), n_heads=heads, encoder_layers=rng.randint(1, 3),
        decoder_layers=rng.randint(1, 3), ffn_dim=rng.randint(5, 120), vocab_size=rng.randint(240, 400),
        max_target_positions=80, head_multiple=rng.choice((1, 4, 8, 12)),
    )  # fmt: skip
    place = rng.choice(("none", "stem", "layer", "output"))
    layer = rng.randint(1, shape.encoder_layers) if place == "layer" else None
    operator = "stride" if place in ("none", "stem") else rng.choice(("stride", "mean-pool"))
    factor = 1 if place == "none" else rng.randint(2, 5)
    reduction = Reduction(operator=operator, place=place, layer=layer, factor=factor)
    kind = rng.choice(("lora", "lora", "lora+top-k", "full"))
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]
    targets = rng.choice(
        ("all-linear", ",".join(rng.sample(names, 2)), "decoder.q_proj,decoder.fc1")
    )
    top = rng.randint(1, shape.encoder_layers) if kind == "lora+top-k" else 0
    adaptation = (
        Adaptation(kind="full", lora_rank=None) if kind == "full"
        else Adaptation(kind=kind, lora_rank=rng.randint(1, 6), targets=targets, top_k_layers=top)
    )  # fmt: skip
    return rng, shape, round(rng.uniform(0.3, 1.5), 2), reduction, adaptation


@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(16), id="16"),
        pytest.param(range(16, 200), id="200", marks=pytest.mark.slow),
    ],
)
def test_random_shapes_train_and_decode_at_what_torch_counts(seeds):
    for seed in seeds:
        rng, shape, seconds, reduction, adaptation = random_case(seed)
        trial = dataclasses.replace(
            make_trial("moonshine-micro", audio_seconds=seconds), reduction=reduction, adaptation=adaptation,
        )  # fmt: skip
        model = make_model(trial, attention="eager", shape=shape)
        features = model.features([speechlike(seconds)])
        n_output = rng.randint(1, 4)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            states = model.encode(features)
            model.decode(states, trial.decoding, exactly=n_output)
        asked = {"audio_seconds": seconds, "reduction": reduction}
        assert states.shape[1] == encoder_tokens(shape, seconds, reduction)
        plain = forward_flops(shape, n_output_tokens=n_output, **asked)
        assert counter.get_total_flops() == plain.total, seed
        adapt(model, adaptation, 0)
        trained = sum(p.numel() for p in model.module.parameters() if p.requires_grad)
        assert trained == trainable_parameters(shape, adaptation), seed
        targets = [[5] * rng.randint(1, 9)]
        with FlopCounterMode(display=False) as counter:
            model.module.train()
            model.loss(features, targets).backward()
        ours = training_flops(shape, adaptation=adaptation, n_label_tokens=len(targets[0]), **asked)
        assert counter.get_total_flops() == ours.total, seed


def test_positions_keep_their_distance_in_time_where_the_stem_is_reduced():
    seen = []
    for reduction in ("none", "stem:3"):
        model = make_model(make_trial("moonshine-micro", reduction=reduction))
        rotary = model.module.model.encoder.rotary_emb
        rotary.register_forward_hook(lambda _m, _i, out: seen.append(out[0]))
        model.encode(model.features([speechlike(2.0)]))
    torch.testing.assert_close(seen[1], seen[0][:, ::3])


def test_windows_are_read_alike_alone_and_in_company():
    trial = make_trial("moonshine-micro")
    model = make_model(trial)
    windows = [speechlike(0.5 + 0.3 * i, seed=i) for i in range(4)]
    together = predict(model, windows, trial, "float32")
    assert [predict(model, [w], trial, "float32")[0] for w in windows] == together


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"decoder_num_key_value_heads": 1}, "only equal ones are counted"),
        ({"hidden_size": 33}, "no multiple of its 2 heads"),
        ({"attention_bias": True}, "not counted"),
        ({"vocab_size": "many"}, "positive whole number"),
    ],
)
def test_a_configuration_that_is_not_counted_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        from_config("mine", CONFIG | {"model_type": "moonshine"} | changed)


def test_windows_of_their_own_length_and_classes_are_refused():
    with pytest.raises(InputError, match="length of its window"):
        make_model(dataclasses.replace(make_trial("moonshine-micro"), padding="bucketed"))
    with pytest.raises(InputError, match="writes text"):
        make_model(make_trial("moonshine-micro", "emotion"))
    with pytest.raises(InputError, match="writes text alone"):
        forward_flops(backbone("moonshine-tiny"), audio_seconds=2.0, task="emotion")


def test_a_database_keeps_one_of_the_users_own():
    mine = dataclasses.replace(backbone("moonshine-micro"), name="mine")
    assert read_stored("mine", json.dumps(dataclasses.asdict(mine))) == mine
