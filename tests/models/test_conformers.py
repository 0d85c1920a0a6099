"""Parakeet and w2v-BERT 2.0 against transformers' own, from checkpoints that it saved, and against torch's counter."""

from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from planner.costs.flops.forward import encoder_positions, encoder_tokens, forward_flops
from planner.costs.flops.lengths import conv_lengths
from planner.costs.flops.training import training_flops
from planner.costs.memory.parameters import trainable_parameters
from planner.errors import InputError
from planner.words.catalogue import backbone, from_config
from planner.words.families import families
from planner.words.families.base import Conformer
from planner.words.families.parakeet import Parakeet
from planner.words.families.w2v_bert import W2vBert
from planner.words.records import Adaptation, Reduction, Resources
from planner.words.stored_backbone import read_stored
from runner.models.adapt import adapt, execute_as, load, save
from runner.models.base import BuildRequest
from runner.models.builders import builder_for
from runner.models.characters import ENGLISH
from runner.models.parakeet import config_of as parakeet_config
from runner.models.w2v_bert import config_of as w2v_bert_config
from runner.trial.hearing import predict
from runner.weights.base_weights import base_weights
from tests.models.micro import make_model, make_trial, speechlike

MICROS = ("parakeet-micro", "w2v-bert-micro")
CLASSES = {
    "parakeet": (parakeet_config, transformers.ParakeetForCTC),
    "w2v_bert": (w2v_bert_config, transformers.Wav2Vec2BertForCTC),
}
BUILT_IN = [b.name for family in CLASSES for b in families()[family].built_in]
TOKENS = ("<unk>", *(f"{mark}{c}" for mark in ("\u2581", "") for c in "abcdefghijklmno"))


def real(shape, **more):
    config, cls = CLASSES[shape.family]
    made = config(shape, **more)
    return cls(made)


def state_lively(module):
    """Weights that tell tokens apart, and statistics that are not those of a new batch norm; the same ones always.

    Of 60 other draws 10 read the same text in every clip, which tells nothing of whether clips are kept apart.
    """
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.ndim > 1:
                tensor.normal_(0.0, 0.2, generator=drawn)
            elif "running_mean" in name:
                tensor.normal_(0.0, 0.1, generator=drawn)
            elif "running_var" in name:
                tensor.uniform_(0.5, 2.0, generator=drawn)
    return module


@pytest.fixture
def saved(tmp_path):
    """A random micro checkpoint as transformers saves one, with characters or pieces, and the module."""

    def save_one(name, pieces=False):
        torch.manual_seed(1)
        module = state_lively(real(backbone(name), blank=31 if pieces else 0).eval())
        module.save_pretrained(tmp_path)
        if pieces:
            table = [(t, -1.0 - i / 100) for i, t in enumerate(TOKENS)]
            text = tokenizers.Tokenizer(tokenizers.models.Unigram(table, unk_id=0))
            text.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
            text.decoder = tokenizers.decoders.Metaspace()
            text.add_special_tokens(["<pad>"])
            text.save(str(tmp_path / "tokenizer.json"))
        else:
            (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(ENGLISH)}))
        return tmp_path, module

    return save_one


def loaded(folder, **more):
    """Our model of a folder, by its config.json alone."""
    shape = from_config("mine", json.loads((folder / "config.json").read_text()))
    base = base_weights(shape, folder)
    request = BuildRequest(
        trial=make_trial("mine", "asr", audio_seconds=2.0, **more), backbone=shape, device=torch.device("cpu"),
        state=base.state, labels=base.vocabulary, tokenizer=base.tokenizer, config=base.config,
    )  # fmt: skip
    return builder_for(shape.family, "asr")(request)


def extracted(name, clips):
    bands = backbone(name).n_mels
    if name.startswith("parakeet"):
        extractor = transformers.ParakeetFeatureExtractor(feature_size=bands)
    else:
        extractor = transformers.SeamlessM4TFeatureExtractor(feature_size=bands, num_mel_bins=bands)
    return extractor(list(clips), sampling_rate=16_000, return_tensors="pt", padding=True)


CLIPS = [speechlike(2.0), speechlike(1.1, seed=3), speechlike(0.73, seed=4)]


@pytest.mark.parametrize("name", MICROS)
def test_a_saved_checkpoint_hears_what_transformers_makes_it_hear(name, saved):
    folder, module = saved(name)
    model = loaded(folder)
    given = extracted(name, CLIPS)
    with torch.no_grad():
        theirs = module(**given).logits
        ours = model.logits(states := model.encode(model.features(CLIPS)))
    heard = model.heard(states).tolist()
    assert heard == [model.frames(len(clip)) for clip in CLIPS]
    assert max(heard) == heard[0] <= theirs.shape[1]
    for mine, other, n in zip(ours, theirs, heard, strict=True):
        torch.testing.assert_close(mine[:n], other[:n], atol=2e-4, rtol=1e-3)
    assert len({p.text for p in model.decode(states, make_trial().decoding)}) > 1


@pytest.mark.parametrize("name", MICROS)
def test_the_loss_is_transformers_own_with_a_clips_own_length(name, saved):
    folder, module = saved(name)
    model = loaded(folder)
    ids = model.targets(["HELLO ALL", "AY", "NO"])
    module.config.ctc_loss_reduction = "sum"
    labels = nn.utils.rnn.pad_sequence([torch.tensor(i) for i in ids], True, -100)
    theirs = module(**extracted(name, CLIPS), labels=labels).loss
    torch.testing.assert_close(model.loss(model.features(CLIPS), ids), theirs, atol=2e-2, rtol=1e-4)


def test_a_checkpoint_of_pieces_writes_with_its_own_tokenizer(saved):
    folder, module = saved("parakeet-micro", pieces=True)
    model = loaded(folder)
    assert model.backbone.n_params == sum(p.numel() for p in module.parameters())
    own = transformers.ParakeetTokenizer(tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>")  # fmt: skip
    states = model.encode(model.features(CLIPS))
    ids = model.logits(states).argmax(-1)
    for prediction, row, n in zip(
        model.decode(states, make_trial().decoding), ids.tolist(), model.heard(states), strict=True
    ):
        assert prediction.text == " ".join(own.decode(row[:n], skip_special_tokens=True).split())
    (written,) = model.targets(["abe face"])
    assert [TOKENS[i] for i in written[:2]] == ["\u2581a", "b"]
    assert model.vocabulary.decode(written) == "abe face"


@pytest.mark.parametrize("name", BUILT_IN)
def test_parameters_are_those_of_the_real_module(name):
    with torch.device("meta"):
        module = real(backbone(name))
    assert backbone(name).n_params == sum(p.numel() for p in module.parameters())


def test_lengths_are_those_of_transformers():
    parakeet, w2v_bert = backbone("parakeet-ctc-0.6b"), backbone("w2v-bert-2.0")
    assert [conv_lengths(parakeet, s)[-1] for s in (1.0, 10.0)] == [13, 126]
    assert [conv_lengths(w2v_bert, s)[-1] for s in (1.0, 10.0)] == [49, 499]
    for shape, least in ((parakeet, 320), (w2v_bert, 560)):
        with pytest.raises(InputError, match="too short for one frame"):
            conv_lengths(shape, (least - 1) / 16_000)
        assert conv_lengths(shape, least / 16_000)[-1] == 1


def random_shape(rng, family):
    heads = rng.randint(1, 4)
    common = {
        "name": "random", "d_model": heads * 2 * rng.randint(2, 12), "n_heads": heads,
        "encoder_layers": rng.randint(1, 3), "ffn_dim": rng.randint(5, 120), "vocab_size": rng.randint(32, 400),
        "depthwise_kernel": rng.choice((1, 3, 5, 9, 31)),
    }  # fmt: skip
    if family == "w2v_bert":
        bands = rng.randint(8, 40)
        return W2vBert(**common, n_mels=bands, left=rng.randint(1, 70), right=rng.randint(1, 9))
    factor = rng.choice((2, 4, 8, 8, 16))
    return Parakeet(
        **common, n_mels=factor * rng.randint(1, 4), subsampling=factor, subsampling_channels=rng.randint(1, 24),
        attention_bias=rng.random() < 0.6, convolution_bias=rng.random() < 0.6,
    )  # fmt: skip


def random_case(family, seed):
    rng = random.Random(f"{family} {seed}")
    shape = random_shape(rng, family)
    seconds = round(rng.uniform(0.6, 2.5), 3)
    place = rng.choice(("none", "stem", "layer", "output"))
    layer = rng.randint(1, shape.encoder_layers) if place == "layer" else None
    plain = place == "none" or (place == "stem" and shape.stem_strides)
    operator = "stride" if plain else rng.choice(("stride", "mean-pool"))
    most = min(5, conv_lengths(shape, seconds)[-1])
    factor = 1 if place == "none" or most < 2 else rng.randint(2, most)
    place, layer = ("none", None) if factor == 1 else (place, layer)
    operator = operator if factor > 1 else "stride"
    reduction = Reduction(operator=operator, place=place, layer=layer, factor=factor)
    return rng, shape, seconds, reduction, random_adaptation(rng, shape)


def random_adaptation(rng, shape):
    kind = rng.choice(("lora", "lora", "lora+top-k", "full"))
    if kind == "full":
        return Adaptation(kind="full", lora_rank=None)
    names = (
        ["linear_q", "linear_k", "linear_v", "linear_out", "intermediate_dense", "output_dense", "projection"]
        if isinstance(shape, W2vBert)
        else ["q_proj", "k_proj", "v_proj", "o_proj", "linear1", "linear2", "linear", "relative_k_proj"]
    )  # fmt: skip
    # What lies in layers that are trained in full gets no adapter, and a name that is nowhere else is refused.
    top = rng.randint(1, shape.encoder_layers) if kind == "lora+top-k" else 0
    chosen = ",".join(rng.sample(names, 2)) if top < shape.encoder_layers else "all-linear"
    targets = rng.choice(("all-linear", chosen))
    return Adaptation(kind=kind, lora_rank=rng.randint(1, 6), targets=targets, top_k_layers=top)


def overcounted(shape, seconds, reduction, adaptation):
    """torch 2.13 counts a grouped convolution's weight gradient as if it had one group."""
    trained = shape.encoder_layers if adaptation.kind == "full" else adaptation.top_k_layers
    n, after = encoder_positions(shape, seconds, reduction), encoder_tokens(shape, seconds, reduction)  # fmt: skip
    d, excess = shape.d_model, 0
    for layer in range(shape.encoder_layers - trained, shape.encoder_layers):
        tokens = after if reduction.place == "layer" and layer >= reduction.layer else n
        excess += 2 * tokens * shape.depthwise_kernel * d * (d - 1)
    if adaptation.kind == "full" and isinstance(shape, Parakeet):
        c, lengths = shape.subsampling_channels, (*conv_lengths(shape, seconds)[:-1], n)
        excess += sum(
            2 * lengths[s.at] * s.n_outputs * s.products * (c - 1) for s in shape.stem[1::2]
        )
    return excess


def step_flops(model, features, targets):
    with FlopCounterMode(display=False) as counter, torch.enable_grad():
        model.module.train()
        model.loss(features, targets).backward()
    return counter.get_total_flops()


def check_costs(family, seed):
    rng, shape, seconds, reduction, adaptation = random_case(family, seed)
    trial = dataclasses.replace(
        make_trial("parakeet-micro", audio_seconds=seconds), reduction=reduction, adaptation=adaptation,
    )  # fmt: skip
    model = make_model(trial, attention="eager", shape=shape, labels=())
    features = model.features([speechlike(seconds)])
    asked = {"audio_seconds": seconds, "reduction": reduction}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        states = model.encode(features)
        model.decode(states, trial.decoding)
    assert states.shape[1] == encoder_tokens(shape, seconds, reduction)
    assert counter.get_total_flops() == forward_flops(shape, n_output_tokens=1, **asked).total, seed
    adapt(model, adaptation, 0)
    trained = sum(p.numel() for p in model.module.parameters() if p.requires_grad)
    if adaptation.kind == "full":
        trained += sum(p.numel() for n, p in model.module.named_parameters() if not p.requires_grad)
    assert trained == trainable_parameters(shape, adaptation), seed
    checkpointing = rng.random() < 0.5
    execute_as(model, Resources(gradient_checkpointing=checkpointing))
    ours = training_flops(
        shape,
        adaptation=adaptation,
        n_label_tokens=1,
        gradient_checkpointing=checkpointing,
        **asked,
    )
    excess = overcounted(shape, seconds, reduction, adaptation)
    assert step_flops(model, features, [[5]]) - excess == ours.total, seed


@pytest.mark.parametrize("family", CLASSES)
@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(6), id="6"),
        pytest.param(range(6, 200), id="200", marks=pytest.mark.slow),
    ],
)
def test_random_shapes_train_and_write_at_what_torch_counts(family, seeds):
    for seed in seeds:
        check_costs(family, seed)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["parakeet-ctc-0.6b", "w2v-bert-2.0"])
def test_the_real_width_costs_what_torch_counts_on_the_meta_device(name, attention):
    shape = dataclasses.replace(backbone(name), encoder_layers=2)
    with torch.device("meta"):
        module = real(shape).eval()
        width = shape.n_mels if isinstance(shape, Parakeet) else shape.projection_width
        features = torch.zeros(1, conv_lengths(shape, 10.0)[isinstance(shape, W2vBert)], width)
    module.set_attn_implementation(attention)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = module(features).logits
    assert logits.shape[1] == encoder_tokens(shape, 10.0)
    assert counter.get_total_flops() == forward_flops(shape, audio_seconds=10.0, n_output_tokens=1).total  # fmt: skip


@pytest.mark.parametrize("name", MICROS)
@pytest.mark.parametrize("reduction", ["none", "stem:2", "layer1:2:mean-pool", "output:3"])
def test_windows_are_read_alike_alone_in_company_and_at_their_own_length(name, reduction):
    trial = make_trial(name, "asr", reduction, audio_seconds=1.6)
    model = make_model(trial, labels=())
    state_lively(model.module)
    windows = [speechlike(0.6 + 0.06 * i, seed=i) for i in range(16)]
    together = predict(model, windows, trial, "float32")
    alone = [predict(model, [w], trial, "float32")[0] for w in windows]
    assert len({p.text for p in alone}) > 1
    assert [p.token_ids for p in together] == [p.token_ids for p in alone]
    if not reduction.startswith("layer"):  # whose last token of a clip averages what lies behind it
        with torch.no_grad():
            own = model.decode(model.encode(model.own_features(windows[:1])), trial.decoding)
        assert own[0].token_ids == alone[0].token_ids


@pytest.mark.parametrize("adaptation", ["lora:4", "lora:2+top1", "full"])
def test_an_adapter_of_parakeet_is_the_same_model_once_it_is_read_again(adaptation, tmp_path):
    trial = make_trial("parakeet-micro", adaptation=adaptation)
    model, again = (make_model(trial, labels=()) for _ in range(2))
    for one in (model, again):
        adapt(one, trial.adaptation, 0)
    groups = [p for p in model.module.parameters() if p.requires_grad]
    optimiser, features = torch.optim.AdamW(groups, 1e-2), model.features(CLIPS)
    targets = model.targets(["hello", "a", "no"])
    model.module.train()
    before = model.loss(features, targets).detach()
    for _ in range(8):
        optimiser.zero_grad()
        model.loss(features, targets).backward()
        optimiser.step()
    assert model.loss(features, targets).detach() < 0.9 * before
    save(model.module, tmp_path, {})
    load(again.module, tmp_path)
    for one in (model, again):
        one.module.eval()
    with torch.no_grad():
        ours, theirs = (one.logits(one.encode(features)) for one in (model, again))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("parakeet-micro", {"subsampling_factor": 6}, "power of 2"),
        ("parakeet-micro", {"conv_kernel_size": 4}, "must be odd"),
        ("parakeet-micro", {"subsampling_conv_stride": 3}, "not counted"),
        ("parakeet-micro", {"hidden_size": 63}, "no multiple of its 2 heads"),
        ("w2v-bert-micro", {"position_embeddings_type": "rotary"}, "not counted"),
        ("w2v-bert-micro", {"add_adapter": True}, "not counted"),
        ("w2v-bert-micro", {"conv_depthwise_kernel_size": 8}, "conv_depthwise_kernel_size odd"),
        ("w2v-bert-micro", {"num_hidden_layers": "many"}, "positive whole number"),
    ],
)
def test_a_configuration_that_is_not_counted_is_refused(name, changed, said):
    config, _ = CLASSES[backbone(name).family]
    values = config(backbone(name)).to_dict()
    assert dataclasses.replace(backbone(name), name="mine") == from_config("mine", values)
    inner = values["encoder_config"] if name.startswith("parakeet") else values
    inner |= changed
    with pytest.raises(InputError, match=said):
        from_config("mine", values)


@pytest.mark.parametrize("name", MICROS)
def test_what_a_conformer_cannot_do_is_refused_in_one_line(name):
    with pytest.raises(InputError, match="writes text"):
        make_model(make_trial(name, "emotion"))
    with pytest.raises(InputError, match="writes text alone"):
        forward_flops(backbone(name), audio_seconds=2.0, task="emotion")
    with pytest.raises(InputError, match="use stride or mean-pool"):
        make_model(make_trial(name, "asr", "layer1:2:merge"))
    with pytest.raises(InputError, match="does not define"):
        forward_flops(backbone(name), audio_seconds=2.0, convention="same2026")


@pytest.mark.parametrize("name", MICROS)
def test_a_database_keeps_one_of_the_users_own(name):
    mine = dataclasses.replace(backbone(name), name="mine")
    assert isinstance(mine, Conformer)
    assert read_stored("mine", json.dumps(dataclasses.asdict(mine))) == mine


def test_a_clip_below_two_frames_is_lengthened_and_its_features_are_numbers():
    for name in MICROS:
        model = make_model(make_trial(name, "asr"), labels=())
        features = model.features([np.zeros(100, np.float32), speechlike(0.01)])
        assert bool(torch.isfinite(features).all())
        assert bool(torch.isfinite(model.logits(model.encode(features))).all())
