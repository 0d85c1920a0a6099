"""A trained Whisper as a CTranslate2 folder.

CTranslate2's stem has a stride of 2 that is a literal of its code. Where the trial's stem is wider, it
runs outside (`stem.npz`, `runner.engines.ctranslate2`) and the file holds an identity stem: kernels that
copy each channel with 10 added, which GELU leaves as they are (gelu(x + 10) = x + 10 in float32, as a
stem's output is above -0.17), and positions less 10.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from runner.engines.trained import Trained
from runner.engines.writing.onnx import Say
from runner.engines.writing.plain import plain_linears
from runner.models.decode import SPACE, Specials
from runner.models.whisper import ByteTokenizer

SHIFT = 10.0
"""Added inside the identity stem: above it GELU is the identity in float32."""

STEM = "stem.npz"
OWN_STRIDE = 2


def save(trained: Trained, folder: Path, precision: str, say: Say) -> dict[str, Any]:
    """Write model.bin, vocabulary.json and config.json; what the description adds."""
    from ctranslate2.converters.transformers import WhisperLoader

    module: Any = trained.model.module
    stride = int(module.model.encoder.conv2.stride[0])
    extra: dict[str, Any] = {}
    if stride != OWN_STRIDE:
        say("keeping the widened stem outside")
        extra["stem_stride"] = stride
        _save_stem(module.model.encoder, folder / STEM)
        module = _with_identity_stem(module)
    if trained.trial.reduction.place == "output":
        extra["output_stride"] = trained.trial.reduction.factor
    say("writing model.bin")
    with torch.no_grad():
        spec = WhisperLoader().get_model_spec(plain_linears(module))
    config, special = spec.config, Specials.of(module.config.vocab_size)
    config.suppress_ids = list(special.silent)
    config.suppress_ids_begin = [SPACE, special.end]
    config.lang_ids = _languages(special, module.config.vocab_size)
    config.alignment_heads = _upper_half(module.config)
    spec.register_vocabulary(_vocabulary(trained, module.config.vocab_size))
    spec.validate()
    spec.optimize(quantization=None if precision == "float32" else precision)
    spec.save(str(folder))
    _save_preprocessor(trained, folder)
    return extra


def _save_stem(encoder: Any, path: Path) -> None:
    """Both convolutions as matrices (3 * inputs, outputs), for a product with unfolded frames."""
    arrays = {}
    for name in ("conv1", "conv2"):
        layer = getattr(encoder, name)
        weight = layer.weight.detach().float().numpy()
        arrays[f"{name}_weight"] = weight.transpose(2, 1, 0).reshape(-1, weight.shape[0])
        arrays[f"{name}_bias"] = layer.bias.detach().float().numpy()
    np.savez(path, **arrays)


def _with_identity_stem(module: Any) -> Any:
    """A copy of the module whose stem gives back every second frame of its input, which has D channels."""
    out = copy.deepcopy(module)
    encoder, width = out.model.encoder, out.config.d_model
    for name, stride in (("conv1", 1), ("conv2", 2)):
        convolution = nn.Conv1d(width, width, 3, stride=stride, padding=1)
        nn.init.zeros_(convolution.weight)
        convolution.weight.data[range(width), range(width), 1] = 1.0
        shift = torch.full((width,), SHIFT if name == "conv1" else 0.0)
        convolution.bias = nn.Parameter(shift)
        setattr(encoder, name, convolution)
    encoder.embed_positions.weight.data -= SHIFT
    return out


def _vocabulary(trained: Trained, size: int) -> list[str]:
    """A word for each id; ids that the tokenizer does not name are timestamps, as in the converter."""
    tokenizer = trained.base.tokenizer
    if tokenizer is None or isinstance(tokenizer, ByteTokenizer):
        special = Specials.of(size)
        named = {special.end: "<|endoftext|>"}
        frames = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
        own = frames if len(special.prompt) == len(frames) else (frames[0], frames[-1])
        named |= dict(zip(special.prompt, own, strict=True))
        return [named.get(i, f"<|id{i}|>") for i in range(size)]
    words = json.loads(tokenizer.to_json())  # type: ignore[attr-defined]
    by_id = {number: word for word, number in words["model"]["vocab"].items()}
    by_id |= {one["id"]: one["content"] for one in words["added_tokens"]}
    first = max(by_id) + 1
    return [by_id.get(i, f"<|{(i - first) * 0.02:.2f}|>") for i in range(size)]


def _languages(special: Specials, size: int) -> list[int]:
    """Ids of the languages; none in the English-only vocabulary."""
    if len(special.prompt) == 2:
        return []
    # They lie between the start of a transcript and the tasks: <|translate|> comes first of those.
    return list(range(special.prompt[1], special.prompt[2] - 1))


def _upper_half(config: Any) -> list[tuple[int, int]]:
    """The heads that CTranslate2 aligns by where none are named."""
    layers, heads = config.decoder_layers, config.decoder_attention_heads
    return [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]


def _save_preprocessor(trained: Trained, folder: Path) -> None:
    """What faster-whisper reads beside the model."""
    module: Any = trained.model.module
    content = {
        "feature_size": module.config.num_mel_bins,
        "chunk_length": round(trained.trial.audio_seconds),
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content, indent=1) + "\n")
