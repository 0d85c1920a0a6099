"""x_T and x_V change the tensors, exactly as planner.costs counts them."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.costs.flops.forward import encoder_positions, encoder_tokens, forward_flops
from planner.errors import InputError
from planner.words.catalogue import backbone
from planner.words.records import Reduction
from runner.models.reduction import merge_adjacent, reduce_tokens
from runner.trial.counting import count, counted_flops, decoding_flops
from tests.models.micro import LABELS, make_model, make_trial, speechlike

REDUCTIONS = ("none", "stem:2", "stem:3", "layer1:2", "layer2:3:mean-pool", "layer1:2:merge", "output:4")  # fmt: skip
FAMILIES = (
    ("asr", "whisper-micro"),
    ("emotion", "whisper-micro"),
    ("emotion", "wav2vec2-micro"),
    ("emotion", "wavlm-micro"),
    ("asr", "wav2vec2-micro"),
)
EACH = [pytest.param(*f, r, id=f"{f[0]}-{f[1]}-{r}") for f, r in product(FAMILIES, REDUCTIONS)]


@pytest.mark.parametrize(("task", "name", "reduction"), EACH)
def test_the_encoder_yields_as_many_tokens_as_are_counted(task, name, reduction):
    trial = make_trial(name, task, reduction, audio_seconds=1.7)
    model = make_model(trial)
    states = model.encode(model.features([speechlike(1.7), speechlike(0.3)]))
    wanted = encoder_tokens(backbone(name), 1.7, trial.reduction)
    assert states.shape == (2, wanted, backbone(name).d_model)


@pytest.mark.parametrize(("task", "name", "reduction"), EACH)
def test_flops_counted_on_the_module_equal_the_closed_form(task, name, reduction):
    trial = make_trial(name, task, reduction, audio_seconds=1.7)
    labels = tuple("abcdef")  # planner.costs counts six classes
    counted = counted_flops(backbone(name), trial, 5, labels)
    n_output = 5 if task == "asr" else 0
    closed = forward_flops(
        backbone(name), audio_seconds=1.7, reduction=trial.reduction, n_output_tokens=n_output, task=task,
    )  # fmt: skip
    assert counted["total"] == closed.total


@pytest.mark.parametrize("n", [1, 2, 3, 4, 11])
def test_steps_that_were_not_counted_cost_what_counting_them_gives(n):
    trial = make_trial(audio_seconds=1.7)
    model = make_model(trial)
    states = torch.zeros(1, 85, 64, device="meta")
    model.module.to("meta")
    model.module.config._attn_implementation = "eager"
    each = decoding_flops(model, states, n)
    counted = counted_flops(backbone(trial.backbone), trial, n)
    assert len(each) == n
    assert counted["decoder"] == sum(each)


def test_an_operation_that_cannot_be_counted_is_an_error():
    with pytest.raises(InputError, match="not known to the FLOP counter"):
        count(lambda: torch.linalg.qr(torch.zeros(3, 3, device="meta")))


def test_the_position_table_is_cut_and_thinned_with_the_stem():
    plain = make_model(make_trial(audio_seconds=30.0)).module.model.encoder.embed_positions.weight
    model = make_model(make_trial(reduction="stem:3", audio_seconds=2.0))
    kept = model.module.model.encoder.embed_positions.weight
    n = encoder_positions(backbone("whisper-micro"), 2.0, Reduction.parse("stem:3"))
    assert torch.equal(kept, plain[::3][:n])


def test_padded30_keeps_the_whole_table_at_any_length():
    model = make_model(make_trial(padding="padded30", audio_seconds=2.0))
    assert model.features([speechlike(2.0)]).shape[-1] == 3000
    assert model.module.config.max_source_positions == 1500


def test_a_layer_that_the_encoder_does_not_have_is_refused():
    with pytest.raises(InputError, match="layer9"):
        make_model(make_trial(reduction="layer9:2"))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_merging_keeps_the_weighted_mean_of_all_tokens(length, wanted, seed):
    n = min(length, wanted)
    hidden = torch.randn(2, length, 5, generator=torch.Generator().manual_seed(seed)).double()
    merged = merge_adjacent(hidden, n)
    assert merged.shape == (2, n, 5)
    if n in (1, length):
        whole = hidden if n == length else hidden.mean(1, keepdim=True)
        torch.testing.assert_close(merged, whole)


def test_merging_joins_equal_neighbours_first():
    a, b, c = torch.eye(3)
    hidden = torch.stack([a, a, b, b, b, c])[None]
    assert torch.equal(merge_adjacent(hidden, 3)[0], torch.stack([a, b, c]))


@pytest.mark.parametrize("operator", ["stride", "mean-pool", "merge"])
def test_gradients_reach_the_tokens_through_every_operator(operator):
    hidden = torch.randn(1, 7, 3, requires_grad=True)
    reduce_tokens(hidden, operator, 3).sum().backward()
    assert hidden.grad.abs().sum() > 0


def test_hubert_has_the_same_axes():
    shape = dataclasses.replace(backbone("wav2vec2-micro"), name="hubert-micro")
    trial = make_trial("hubert-micro", "emotion", "stem:2")
    model = make_model(trial, shape=shape)
    assert type(model.module).__name__ == "HubertForSequenceClassification"
    states = model.encode(model.features([speechlike(2.0)]))
    assert states.shape[1] == encoder_tokens(shape, 2.0, trial.reduction)


def test_wavlms_replaced_attention_gives_the_numbers_of_transformers_own(monkeypatch):
    audio = [speechlike(1.0), speechlike(1.0, seed=1)]
    ours = [
        make_model(make_trial("wavlm-micro", "emotion"), attention=a) for a in ("sdpa", "eager")
    ]
    with monkeypatch.context() as without:
        without.setattr("runner.models.wav2vec2.call_projections", lambda *_: None)
        theirs = make_model(make_trial("wavlm-micro", "emotion"))
    wanted = theirs.encode(theirs.features(audio))
    for model in ours:
        found = model.encode(model.features(audio))
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_labels_of_another_corpus_are_refused():
    model = make_model(make_trial("wav2vec2-micro", "emotion"))
    assert model.targets(list(LABELS)) == [[0], [1], [2]]
    with pytest.raises(InputError, match="boredom"):
        model.targets(["boredom"])
