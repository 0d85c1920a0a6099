"""CTC models against transformers' own, from checkpoints that transformers saved."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from planner.errors import InputError
from planner.words.catalogue import backbone, from_config
from planner.words.records import Adaptation
from runner.models.base import BuildRequest
from runner.models.builders import builder_for
from runner.models.characters import ENGLISH
from runner.trial.hearing import predict
from runner.weights.base_weights import base_weights
from tests.models.micro import make_model, make_trial, speechlike

KINDS = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}
MICRO = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": [16] * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    """A random micro checkpoint as transformers saves one, and the module itself."""

    def save(kind, vocabulary=ENGLISH, **more):
        config = getattr(transformers, f"{KINDS[kind]}Config")(**MICRO, vocab_size=32, **more)
        torch.manual_seed(1)
        module = getattr(transformers, f"{KINDS[kind]}ForCTC")(config).eval()
        nn.init.normal_(module.lm_head.weight, 0.0, 1.0)
        module.save_pretrained(tmp_path)
        if vocabulary:
            table = {t: i for i, t in enumerate(vocabulary)}
            (tmp_path / "vocab.json").write_text(json.dumps(table))
        return tmp_path, module

    return save


def loaded(folder, trial=None, **more):
    """Our model of a folder, by its config.json alone."""
    shape = from_config("mine", json.loads((folder / "config.json").read_text()))
    base = base_weights(shape, folder)
    trial = trial or make_trial("mine", "asr", audio_seconds=1.5)
    request = BuildRequest(
        trial=trial, backbone=shape, device=torch.device("cpu"), state=base.state,
        labels=more.pop("labels", base.vocabulary), config=base.config,
    )  # fmt: skip
    return builder_for(shape.family, trial.task)(request)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_saved_checkpoint_writes_what_transformers_makes_it_write(kind, norm, saved):
    folder, module = saved(kind, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer")
    model = loaded(folder)
    features = model.features([speechlike(1.5), speechlike(1.5, seed=3)])
    extractor = transformers.Wav2Vec2FeatureExtractor()
    given = extractor([w.numpy() for w in features], sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        theirs = module(given.input_values).logits
        ours = model.logits(model.encode(features))
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-3)
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    texts = tokenizer.batch_decode(theirs.argmax(-1))
    predicted = model.decode(model.encode(features), make_trial().decoding)
    specials = {1, 2, 3}
    for mine, text, ids in zip(predicted, texts, theirs.argmax(-1).tolist(), strict=True):
        assert specials & set(ids) or mine.text == " ".join(text.split())
        assert len(mine.token_log_probabilities) == len(mine.token_ids)


def test_a_checkpoint_with_a_ctc_head_is_one_of_speech_recognition(saved):
    folder, module = saved("hubert")
    shape = from_config("mine", json.loads((folder / "config.json").read_text()))
    assert shape.task == "asr"
    assert shape.n_params == sum(p.numel() for p in module.parameters())


def test_a_checkpoint_without_a_vocabulary_gets_a_new_head(saved):
    folder, module = saved("wav2vec2", vocabulary=())
    model = loaded(folder, labels=("<pad>", "<unk>", "|", "a"))
    assert not torch.equal(model.module.lm_head.weight, module.lm_head.weight)
    torch.testing.assert_close(
        model.module.wav2vec2.encoder.layers[0].attention.q_proj.weight,
        module.wav2vec2.encoder.layers[0].attention.q_proj.weight,
    )


def test_a_head_of_another_size_than_the_vocabulary_is_refused(saved):
    folder, _ = saved("wav2vec2", vocabulary=(*ENGLISH, "Ä", "Ö"))
    with pytest.raises(InputError, match="has 32 rows and its vocabulary 34 tokens"):
        loaded(folder)


@pytest.mark.parametrize("name", ["wav2vec2-micro", "wavlm-micro"])
def test_sixteen_windows_together_read_as_one_by_one(name):
    trial = make_trial(name, "asr", audio_seconds=1.2)
    model = make_model(trial, labels=())
    nn.init.normal_(model.module.lm_head.weight, 0.0, 1.0)
    windows = [speechlike(0.4 + 0.05 * i, seed=i) for i in range(16)]
    together = predict(model, windows, trial, "float32")
    alone = [predict(model, [w], trial, "float32")[0] for w in windows]
    assert len({p.text for p in alone}) > 1
    assert [p.token_ids for p in together] == [p.token_ids for p in alone]


def test_the_loss_is_transformers_own_per_window(saved):
    folder, module = saved("wav2vec2", ctc_loss_reduction="sum", pad_token_id=0, layerdrop=0.0)
    model = loaded(folder)
    features = model.features([speechlike(1.5)])
    ids = model.targets(["HELLO ALL"])
    theirs = module(features, labels=torch.tensor(ids)).loss
    torch.testing.assert_close(model.loss(features, ids), theirs, atol=1e-3, rtol=1e-4)


def test_a_text_without_room_spoils_no_gradient():
    model = make_model(make_trial("wav2vec2-micro", "asr", audio_seconds=0.3), labels=())
    targets = model.targets(["no room for all of this in so few frames", "a"])
    model.loss(model.features([speechlike(0.3), speechlike(0.3, seed=1)]), targets).backward()
    gradients = [p.grad for p in model.module.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(g).all()) for g in gradients)


def test_a_vocabulary_beyond_the_catalogues_widens_the_head_and_the_dimensions():
    tokens = ("<pad>", "<unk>", "|", *map(chr, range(0x4E00, 0x4E00 + 60)))
    model = make_model(make_trial("wav2vec2-micro", "asr"), labels=tokens)
    assert model.module.lm_head.out_features == 63 == model.backbone.vocab_size
    assert make_model(make_trial("wav2vec2-micro", "asr"), labels=()).backbone == backbone(
        "wav2vec2-micro"
    )


def test_lora_reaches_every_projection_and_leaves_the_head_in_full():
    from runner.models.adapt import adapt

    trial = make_trial("wavlm-micro", "asr", adaptation=Adaptation(lora_rank=2))
    model = make_model(trial, labels=())
    groups = {g.name: g for g in adapt(model, trial.adaptation, 0)}
    assert set(groups) == {"lora", "head"}
    model.loss(model.features([speechlike(1.0)]), model.targets(["HELLO"])).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in groups["head"].parameters)
    # B begins at zero, so that gradients reach it and not yet A.
    reached = [
        p for p in groups["lora"].parameters if p.grad is not None and p.grad.abs().sum() > 0
    ]
    assert len(reached) == len(groups["lora"].parameters) // 2


def test_frames_follow_a_windows_own_length_where_training_is_bucketed():
    fixed = make_model(make_trial("wav2vec2-micro", "asr", "stem:2", audio_seconds=2.0), labels=())
    own = make_model(
        dataclasses.replace(make_trial("wav2vec2-micro", "asr", "stem:2", audio_seconds=2.0), padding="bucketed"),
        labels=(),
    )  # fmt: skip
    assert fixed.frames(8_000) == 50
    states = own.encode(own.own_features([np.zeros(8_000, np.float32)]))
    assert own.frames(8_000) == states.shape[1] == 12
