"""A trained Whisper as one ggml file of whisper.cpp, as its `convert-h5-to-ggml.py` lays it out.

Eleven numbers (`n_audio_ctx`, the window's positions, among them), mel filters, words, then tensors under OpenAI's
names.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from runner.engines.features import Floats, mel_filters
from runner.engines.text import bytes_of_word
from runner.engines.trained import Trained
from runner.engines.writing.onnx import Say
from runner.engines.writing.plain import plain_linears
from runner.models.whisper import ByteTokenizer

FILE = "ggml-model.bin"
MAGIC = 0x67676D6C
BLOCK = 32
"""Numbers that share a scale in ggml's Q8_0."""
FILE_TYPES = {"float16": 1, "int8": 2007}
"""Of a file: GGML_FTYPE_MOSTLY_F16, and _MOSTLY_Q8_0 (7) of quantisation version 2 (times 1000). There is none of
float32 (0): convolutions on a CPU take kernels in float16 alone (ggml 0.13, `im2col`)."""
TENSOR_TYPES = {"float32": 0, "float16": 1, "int8": 8}
"""GGML_TYPE_F32, _F16 and _Q8_0."""
ALWAYS_WIDE = ("conv1.bias", "conv2.bias", "positional_embedding")
"""Ends of names whose tensors whisper.cpp reads in float32."""
LAYER_NAMES = {
    "self_attn_layer_norm": "attn_ln",
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "encoder_attn.q_proj": "cross_attn.query",
    "encoder_attn.k_proj": "cross_attn.key",
    "encoder_attn.v_proj": "cross_attn.value",
    "encoder_attn.out_proj": "cross_attn.out",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}
"""Of a layer's parts in transformers and in OpenAI's checkpoints."""


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Write ggml-model.bin."""
    module = plain_linears(trained.model.module)
    say(f"writing {FILE}")
    with (folder / FILE).open("wb") as file:
        _write_head(file, module.config, precision)
        _write_words(file, trained)
        for name, tensor in _tensors(module):
            _write_tensor(file, name, np.ascontiguousarray(tensor, dtype=np.float32), precision)


def _write_head(file: BinaryIO, config: Any, precision: str) -> None:
    numbers = (
        MAGIC, config.vocab_size, config.max_source_positions, config.d_model, config.encoder_attention_heads,
        config.encoder_layers, config.max_target_positions, config.d_model, config.decoder_attention_heads,
        config.decoder_layers, config.num_mel_bins, FILE_TYPES[precision],
    )  # fmt: skip
    file.write(struct.pack(f"<{len(numbers)}i", *numbers))
    filters = mel_filters(config.num_mel_bins)
    file.write(struct.pack("<2i", *filters.shape))
    file.write(filters.astype("<f4").tobytes())


def _write_words(file: BinaryIO, trained: Trained) -> None:
    """The words that are text; whisper.cpp names special ids and timestamps itself."""
    tokenizer = trained.base.tokenizer
    if tokenizer is None or isinstance(tokenizer, ByteTokenizer):
        words = [
            bytes([i - ByteTokenizer.FIRST]) if 0 <= i - ByteTokenizer.FIRST < 256 else b""
            for i in range(50_256)
        ]
    else:
        content = json.loads(tokenizer.to_json())["model"]["vocab"]  # type: ignore[attr-defined]
        by_id = {number: word for word, number in content.items()}
        words = [bytes_of_word(by_id[i]) for i in sorted(by_id)]
    file.write(struct.pack("<i", len(words)))
    for word in words:
        file.write(struct.pack("<I", len(word)) + word)


def _tensors(module: Any) -> Iterator[tuple[str, Floats]]:
    """Every tensor under its name in OpenAI's checkpoints; the tied projection is the token embedding."""
    renamed = {
        "embed_positions.weight": "positional_embedding",
        "embed_tokens.weight": "token_embedding.weight",
        "layer_norm.weight": "{}.weight",
        "layer_norm.bias": "{}.bias",
    }
    for name, tensor in module.model.state_dict().items():
        side, _, rest = name.partition(".")
        if rest.startswith("layers."):
            _, number, part = rest.split(".", 2)
            part, _, kind = part.rpartition(".")
            new = f"{side}.blocks.{number}.{LAYER_NAMES[part]}.{kind}"
        else:
            norm = "ln_post" if side == "encoder" else "ln"
            new = f"{side}.{renamed.get(rest, rest).format(norm)}"
        values = tensor.detach().float().numpy()
        # Biases of convolutions are columns in ggml.
        yield new, values[:, None] if new.endswith(ALWAYS_WIDE[:2]) else values


def _write_tensor(file: BinaryIO, name: str, values: Floats, precision: str) -> None:
    kind = precision
    if values.ndim == 1 or name.endswith(ALWAYS_WIDE):
        kind = "float32"
    elif values.ndim == 3 and precision == "int8":
        # Kernels of convolutions are not quantised by whisper.cpp.
        kind = "float16"
    encoded = name.encode()
    file.write(struct.pack("<3i", values.ndim, len(encoded), TENSOR_TYPES[kind]))
    file.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)))
    file.write(encoded)
    file.write(_bytes(values, kind))


def _bytes(values: Floats, kind: str) -> bytes:
    if kind == "float32":
        return values.astype("<f4").tobytes()
    if kind == "float16":
        return values.astype("<f2").tobytes()
    return q8_0(values)


def q8_0(values: Floats) -> bytes:
    """Numbers in ggml's Q8_0: for each 32 numbers a float16 scale and 32 int8, number = scale * int8."""
    blocks = values.reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1) / np.float32(127.0)
    safe = np.where(scale > 0, scale, np.float32(1.0))
    out = np.empty(len(blocks), dtype=[("scale", "<f2"), ("values", "i1", (BLOCK,))])
    out["scale"] = scale
    out["values"] = np.rint(blocks / safe[:, None])
    return out.tobytes()
