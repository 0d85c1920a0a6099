"""Memory formulas against real modules on the CPU: exact where they are counts, within a factor else."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from planner.costs.memory.parameters import held_parameters, trainable_parameters
from planner.costs.memory.peak import inference_memory, kv_cache_elements, training_memory
from planner.costs.windows import windows_of
from planner.errors import InputError
from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Reduction

SHAPE = {"d_model": 96, "n_heads": 3, "ffn_dim": 384, "encoder_layers": 3}
NARROW = replace(backbone("whisper-tiny"), vocab_size=500, decoder_layers=2, **SHAPE)
NARROW_W2V = replace(backbone("wav2vec2-base"), conv_dim=(64,) * 7, **SHAPE)
ADAPTATIONS = [
    Adaptation(lora_rank=8),
    Adaptation(lora_rank=4, targets="q_proj,v_proj"),
    Adaptation(kind="lora+top-k", lora_rank=4, top_k_layers=2),
    Adaptation(lora_rank=4, lora_dropout=0.1),
    Adaptation.parse("full"),
]


def tensors(tree):
    return [x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]


class LiveTensors(TorchDispatchMode):
    """Peak bytes of tensors that were made inside and are alive."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._seen = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {id(x.untyped_storage()) for x in tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for tensor in tensors(out):
            storage = tensor.untyped_storage()
            if storage not in self._seen and id(storage) not in given:
                self._seen[storage] = True
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def _freed(self, n_bytes):
        self.now -= n_bytes


def saved_bytes(module, run):
    """Bytes that autograd keeps beside the parameters, each storage once."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = run()
    assert loss.requires_grad
    return sum(n for n, _ in kept.values())


def whisper_loss(module, features, n_labels):
    inputs = torch.ones(1, n_labels + 3, dtype=torch.long)
    states = module.model(
        input_features=features, decoder_input_ids=inputs, use_cache=False
    ).last_hidden_state
    logits = module.proj_out(states[:, 3:]).flatten(0, 1).float()
    labels = torch.ones(n_labels, dtype=torch.long)
    return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")


def n_trainable(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize("adaptation", ADAPTATIONS, ids=str)
@pytest.mark.parametrize("reduction", ["none", "stem:2", "layer1:2"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_activations_are_those_that_autograd_saves(real_whisper, adaptation, reduction, attention):
    x_v = Reduction.parse(reduction)
    module, features = real_whisper(NARROW, 4.0, x_v, device="cpu", adaptation=adaptation)
    module.config._attn_implementation = attention
    measured = saved_bytes(module, lambda: whisper_loss(module, features, 20))
    ours = training_memory(
        NARROW, audio_seconds=4.0, reduction=x_v, adaptation=adaptation, n_label_tokens=20, attention=attention,
    )  # fmt: skip
    assert n_trainable(module) == trainable_parameters(NARROW, adaptation)
    assert ours.parts["activations"] == pytest.approx(measured, rel=0.08)


@pytest.mark.parametrize("adaptation", ADAPTATIONS, ids=str)
@pytest.mark.parametrize("stable", [False, True], ids=["group-norm", "layer-norm"])
def test_wav2vec2_activations_are_those_that_autograd_saves(real_wav2vec2, adaptation, stable):
    model = replace(NARROW_W2V, layer_norm_each_conv=stable)
    module, audio = real_wav2vec2(model, 4.0, Reduction(), device="cpu", adaptation=adaptation)
    module.config._attn_implementation = "sdpa"
    measured = saved_bytes(module, lambda: module(audio).logits.sum())
    ours = training_memory(model, audio_seconds=4.0, adaptation=adaptation)
    assert n_trainable(module) == trainable_parameters(model, adaptation)
    assert ours.parts["activations"] == pytest.approx(measured, rel=0.12)


def ctc_loss(module, audio, labels):
    scores = module(audio).logits.float().log_softmax(-1).transpose(0, 1)
    lengths = [len(scores)], [len(labels)]
    return torch.nn.functional.ctc_loss(scores, torch.tensor(labels), *lengths, reduction="sum")


@pytest.mark.parametrize("adaptation", [ADAPTATIONS[0], ADAPTATIONS[2], ADAPTATIONS[4]], ids=str)
def test_activations_of_ctc_are_those_that_autograd_saves(real_wav2vec2, adaptation):
    """A wide vocabulary and many labels, so that the head and the loss are seen."""
    model = replace(NARROW_W2V, vocab_size=900)
    module, audio = real_wav2vec2(
        model, 4.0, Reduction(), device="cpu", task="asr", adaptation=adaptation
    )
    module.config._attn_implementation = "sdpa"
    measured = saved_bytes(module, lambda: ctc_loss(module, audio, list(range(1, 91))))
    asked = {"audio_seconds": 4.0, "adaptation": adaptation, "task": "asr", "n_label_tokens": 90}
    ours = training_memory(model, **asked)
    assert n_trainable(module) == trainable_parameters(model, adaptation, "asr")
    assert ours.parts["weights"] == 4 * sum(
        p.numel() for n, p in module.named_parameters() if "lora_" not in n
    )
    assert ours.parts["activations"] == pytest.approx(measured, rel=0.12)


@pytest.mark.parametrize("reduction", ["none", "stem:2", "layer1:2"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_peak_of_inference_is_the_live_tensors_at_the_widest_moment(
    real_whisper, reduction, attention
):
    x_v, model = Reduction.parse(reduction), backbone("whisper-tiny")
    module, features = real_whisper(model, 8.0, x_v, device="cpu")
    module.config._attn_implementation = attention
    with torch.no_grad(), LiveTensors() as live:
        module.model.encoder(features.clone())
    ours = inference_memory(model, audio_seconds=8.0, reduction=x_v, attention=attention)
    assert ours.parts["encoder"] == pytest.approx(live.peak, rel=0.02)
    assert ours.parts["weights"] == 4 * sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("adaptation", [ADAPTATIONS[0], ADAPTATIONS[1], ADAPTATIONS[4]], ids=str)
def test_peak_of_training_is_that_of_a_real_step(real_whisper, adaptation):
    model = backbone("whisper-tiny")
    module, features = real_whisper(model, 4.0, Reduction(), device="cpu", adaptation=adaptation)
    module.config._attn_implementation = "sdpa"
    chosen = [p for p in module.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(chosen, fused=True)
    with LiveTensors() as live:
        for _ in range(2):
            whisper_loss(module, features, 20).backward()
            optimiser.step()
            optimiser.zero_grad()
    ours = training_memory(model, audio_seconds=4.0, adaptation=adaptation, n_label_tokens=20)
    made_before = ours.parts["weights"] + ours.parts["adapters"]
    assert ours.total - made_before == pytest.approx(live.peak, rel=0.1)


def test_the_cache_holds_exactly_what_transformers_keeps(real_whisper):
    model = backbone("whisper-micro")
    module, features = real_whisper(model, 2.0, Reduction.parse("output:4"), device="cpu")
    with torch.no_grad():
        hidden = module.model.encoder(features).last_hidden_state
        past, given = None, torch.ones(1, 4, dtype=torch.long)
        for _ in range(6):
            out = module.model.decoder(
                input_ids=given, encoder_hidden_states=hidden, past_key_values=past, use_cache=True
            )
            past, given = out.past_key_values, torch.ones(1, 1, dtype=torch.long)
    layers = [*past.self_attention_cache.layers, *past.cross_attention_cache.layers]
    held = sum(layer.keys.numel() + layer.values.numel() for layer in layers)
    assert held == kv_cache_elements(model, hidden.shape[1], 4, 6)


@pytest.mark.parametrize(
    "name", ["whisper-tiny", "whisper-large-v3", "wav2vec2-base", "wav2vec2-large-robust"]
)
def test_parameters_are_those_of_the_real_module(real_whisper, real_wav2vec2, name):
    model = backbone(name)
    if name.startswith("whisper"):
        module, _ = real_whisper(model, 10.0, Reduction.parse("stem:2"))
        ours = held_parameters(windows_of(model, 10.0, Reduction.parse("stem:2")))[0]
    else:
        module, _ = real_wav2vec2(model, 4.0, Reduction())
        ours = held_parameters(windows_of(model, 4.0))[0]
    assert ours == sum(p.numel() for p in module.parameters())


def test_whisper_with_a_pooled_head_has_the_real_modules_parameters(real_whisper):
    model = backbone("whisper-base")
    module, _ = real_whisper(model, 2.0, Reduction(), task="emotion")
    ours = held_parameters(windows_of(model, 2.0), "emotion")[0]
    assert ours == sum(p.numel() for p in module.parameters())


def test_checkpointing_trades_activations_for_a_second_forward():
    asked = {"audio_seconds": 30.0, "adaptation": Adaptation(lora_rank=8), "n_label_tokens": 60}
    model = backbone("whisper-small")
    kept, again = (training_memory(model, gradient_checkpointing=g, **asked) for g in (False, True))
    assert again.parts["activations"] < kept.parts["activations"] / 4
    assert again.parts["optimiser"] == kept.parts["optimiser"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dtype": "float8"}, "bfloat16"),
        ({"batch_size": 0}, "at least 1"),
        ({"attention": "flash"}, "sdpa"),
    ],
)
def test_bad_input_says_what_is_allowed(changed, said):
    with pytest.raises(InputError, match=said):
        inference_memory(backbone("whisper-tiny"), audio_seconds=5.0, **changed)
