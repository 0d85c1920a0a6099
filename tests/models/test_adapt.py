"""Everything that is trained is saved, comes back bit for bit, and merges."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from planner.costs.flops.training import lora_parameters
from planner.errors import InputError
from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Resources
from runner.models.adapt import adapt, deploy, execute_as, load, merge, save, trainable, unmerge
from runner.trial.hearing import predict
from tests.models.micro import make_model, make_trial, speechlike

ADAPTATIONS = {
    "lora": Adaptation(lora_rank=2),
    "rslora": Adaptation(lora_rank=2, rslora=True, targets="q_proj,v_proj"),
    "dora": Adaptation(lora_rank=2, dora=True),
    "top1": Adaptation.parse("lora:2+top1"),
    "full": Adaptation.parse("full"),
}
FAMILIES = (
    ("asr", "whisper-micro"),
    ("emotion", "whisper-micro"),
    ("emotion", "wav2vec2-micro"),
    ("emotion", "wavlm-micro"),
    ("asr", "wav2vec2-micro"),
)
CASES = [
    pytest.param(task, name, a, id=f"{task}-{name}-{key}")
    for task, name in FAMILIES
    for key, a in ADAPTATIONS.items()
]  # fmt: skip


def disturbed(trial, seed=7):
    """An adapted model whose trainable tensors have all moved, as after training."""
    model = make_model(trial)
    adapt(model, trial.adaptation, trial.seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in trainable(model.module):
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def outputs(model):
    model.module.eval()
    with torch.no_grad():
        states = model.encode(model.features([speechlike(2.0), speechlike(1.1, seed=1)]))
        if hasattr(model, "logits"):
            return model.logits(states)
        ids = torch.tensor([[50258, 11, 12], [50258, 13, 14]])
        return model.module(encoder_outputs=(states,), decoder_input_ids=ids).logits


@pytest.mark.parametrize(("task", "name", "adaptation"), CASES)
def test_a_saved_model_comes_back_with_the_same_logits(task, name, adaptation, tmp_path):
    trial = make_trial(name, task, "stem:2", adaptation)
    model = disturbed(trial)
    save(model.module, tmp_path, {"labels": []})
    again = make_model(trial)
    adapt(again, trial.adaptation, trial.seed)
    assert not torch.equal(outputs(again), outputs(model))
    load(again.module, tmp_path)
    assert torch.equal(outputs(again), outputs(model))


@pytest.mark.parametrize(("task", "name", "adaptation"), CASES)
def test_merged_and_unmerged_agree(task, name, adaptation):
    model = disturbed(make_trial(name, task, "none", adaptation))
    apart = outputs(model)
    merge(model.module)
    torch.testing.assert_close(outputs(model), apart, atol=2e-4, rtol=1e-3)
    unmerge(model.module)
    torch.testing.assert_close(outputs(model), apart, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(("task", "name"), FAMILIES)
@pytest.mark.parametrize("targets", ["all-linear", "q_proj,v_proj", "decoder.all-linear"])
def test_adapters_have_as_many_parameters_as_are_counted(task, name, targets):
    if task == "emotion" or not name.startswith("whisper"):
        targets = targets.replace("decoder.", "")
    adaptation = Adaptation(lora_rank=3, targets=targets)
    model = make_model(make_trial(name, task))
    groups = {g.name: g.parameters for g in adapt(model, adaptation, 0)}
    counted = lora_parameters(backbone(name), adaptation, task)
    assert sum(p.numel() for p in groups["lora"]) == counted


@pytest.mark.parametrize(("task", "name"), FAMILIES)
def test_every_adapter_has_a_gradient(task, name):
    model = make_model(make_trial(name, task))
    adapt(model, Adaptation(lora_rank=2), 0)
    targets = model.targets(["hi" if task == "asr" else "joy"])
    model.loss(model.features([speechlike(2.0)]), targets).backward()
    second = {n: p.grad for n, p in trainable(model.module) if "lora_B" in n}
    assert second
    assert all(g is not None and g.abs().sum() > 0 for g in second.values())


def test_fresh_adapters_change_nothing():
    plain = make_model(make_trial())
    adapted = make_model(make_trial())
    adapt(adapted, Adaptation(lora_rank=4), 0)
    assert torch.equal(outputs(plain), outputs(adapted))


def test_none_trains_nothing_and_full_trains_all_but_the_sinusoids():
    model = make_model(make_trial())
    assert adapt(model, Adaptation.parse("none"), 0) == []
    adapt(model, Adaptation.parse("full"), 0)
    frozen = [n for n, p in model.module.named_parameters() if not p.requires_grad]
    assert frozen == ["model.encoder.embed_positions.weight"]


def test_top_layers_are_the_encoders_last_and_have_their_own_group():
    model = make_model(make_trial())
    groups = {g.name: g.parameters for g in adapt(model, Adaptation.parse("lora:2+top1"), 0)}
    last = model.module.model.encoder.layers[-1]
    own = [p for n, p in last.named_parameters() if "lora_" not in n]
    assert {id(p) for p in groups["top_k"]} == {id(p) for p in own}


@pytest.mark.parametrize(
    ("adaptation", "said"),
    [
        (Adaptation(targets="q_prj"), "q_prj"),
        (Adaptation.parse("lora:2+top9"), "top_k_layers is 9"),
    ],
    ids=["target", "top-k"],
)
def test_what_the_model_does_not_have_is_refused(adaptation, said):
    with pytest.raises(InputError, match=said):
        adapt(make_model(make_trial()), adaptation, 0)


def test_a_decoders_targets_leave_the_encoder_frozen():
    model = make_model(make_trial())
    adapt(model, Adaptation(lora_rank=2, targets="decoder.q_proj"), 0)
    names = [name for name, _ in trainable(model.module)]
    assert names
    assert all(name.startswith("model.decoder.") for name in names)


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ("decoder.q_proj,v_proj", "mix the decoder's layers"),
        ("decoder.all-linear", "decoder.all-linear"),
    ],
    ids=["mixed", "no decoder"],
)
def test_decoder_targets_that_make_no_sense_are_refused(targets, said):
    model = make_model(make_trial("wav2vec2-micro", "emotion"))
    with pytest.raises(InputError, match=said):
        adapt(model, Adaptation(targets=targets), 0)


def test_checkpointed_layers_give_the_same_gradients():
    found = []
    for checkpointed in (False, True):
        model = make_model(make_trial())
        adapt(model, Adaptation(lora_rank=2), 0)
        execute_as(model, Resources(gradient_checkpointing=checkpointed))
        model.module.train()
        model.loss(model.features([speechlike(2.0)]), [[24_000, 24_001]]).backward()
        found.append({n: p.grad for n, p in trainable(model.module)})
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.slow
def test_a_compiled_encoder_gives_the_same_states():
    model = make_model(make_trial())
    features = model.features([speechlike(2.0)])
    plain = model.encode(features)
    execute_as(model, Resources(compile=True))
    torch.testing.assert_close(model.encode(features), plain, atol=1e-5, rtol=1e-4)


def test_an_adapter_of_another_shape_is_refused(tmp_path):
    save(disturbed(make_trial(adaptation="lora:2")).module, tmp_path, {})
    other = make_model(make_trial())
    adapt(other, Adaptation.parse("lora:2+top1"), 0)
    with pytest.raises(InputError, match="does not fit"):
        load(other.module, tmp_path)


@pytest.mark.parametrize(
    ("name", "task"),
    [("whisper-micro", "asr"), ("whisper-micro", "emotion"), ("wav2vec2-micro", "emotion"),
     ("wavlm-micro", "emotion")],
)  # fmt: skip
def test_a_deployed_model_holds_and_computes_in_bfloat16_alone(name, task):
    trial = make_trial(name, task=task, adaptation="lora:2")
    model = make_model(trial)
    adapt(model, trial.adaptation, 0)
    plain = predict(model, [speechlike(2.0)], trial, "float32")
    deploy(model, "bfloat16")
    assert {p.dtype for p in model.module.parameters()} == {torch.bfloat16}
    (found,) = predict(model, [speechlike(2.0)], trial, "bfloat16")
    if task == "emotion":
        expected = pytest.approx(plain[0].log_probabilities, abs=0.05)
        assert found.log_probabilities == expected
    else:
        assert found.n_tokens == plain[0].n_tokens


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["lora", "rslora", "dora", "top1"])
def test_peft_loads_a_stored_adapter_onto_a_stock_base(tmp_path, name):
    from peft import PeftModel

    trial = make_trial(adaptation=ADAPTATIONS[name])
    model = trained_a_little(trial)
    save(model.module, tmp_path, {})
    base = make_model(replace(trial, adaptation=Adaptation.parse("none"))).module
    theirs = PeftModel.from_pretrained(base, tmp_path).eval()
    features = model.features([speechlike(2.0)])
    tokens = torch.tensor([[50258, 50259, 50359, 50363]])
    with torch.no_grad():
        ours = model.module(input_features=features, decoder_input_ids=tokens).logits
        loaded = theirs(input_features=features, decoder_input_ids=tokens).logits
    assert torch.allclose(ours, loaded, atol=1e-5)


def test_tensors_under_the_live_names_of_earlier_versions_still_load(tmp_path):
    from safetensors.torch import save_file

    trial = make_trial(adaptation="lora:2")
    model = trained_a_little(trial)
    save_file(
        {name: p.detach().clone() for name, p in trainable(model.module)},
        tmp_path / "adapter.safetensors",
    )
    other = make_model(trial)
    adapt(other, trial.adaptation, 5)
    load(other.module, tmp_path)
    pairs = zip(trainable(model.module), trainable(other.module), strict=True)
    assert all(torch.equal(a, b) for (_, a), (_, b) in pairs)


def trained_a_little(trial):
    """A model whose trainable tensors are no longer what they were initialised to."""
    model = make_model(trial)
    adapt(model, trial.adaptation, 0)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, parameter in trainable(model.module):
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model
