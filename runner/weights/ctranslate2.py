"""Whisper weights out of CTranslate2's `model.bin`, without CTranslate2.

The layout, little-endian: u32 file version; a string naming the specification; u32 revision; u32
number of variables; for each a string, u8 rank, u32 per dimension, u8 type, u32 byte count, data;
then u32 number of aliases, two strings each. A string is a u16 length, zero byte included, and
bytes. (CTranslate2's documentation on its model format, checked on the files that
`runner.weights.resolve` pins.)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.errors import MissingResourceError
from planner.words.languages import ENGLISH_VOCABULARY

Variables = Mapping[str, npt.NDArray[Any]]
State = dict[str, npt.NDArray[np.float32]]

SPECIFICATION = "WhisperSpec"
FILE_VERSION = 6
"""Newest file version whose layout is the one above."""

_BFLOAT16 = 5
_TYPES: dict[int, npt.DTypeLike] = {
    0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2", _BFLOAT16: "<u2",
}  # fmt: skip

_HEAD_DIM = 64
"""Width of an attention head in every Whisper; for files that do not store the number of heads."""


class _Reader:
    """A position in the file's bytes; running past the end is an error, never a short read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = np.memmap(path, dtype=np.uint8, mode="r") if path.stat().st_size else b""
        self.at = 0

    def take(self, n: int) -> Any:
        if self.at + n > len(self.bytes):
            raise MissingResourceError(
                f"weights {self.path} are truncated: {len(self.bytes)} bytes, "
                f"at least {self.at + n} needed; fetch them again"
            )
        self.at += n
        return self.bytes[self.at - n : self.at]

    def number(self, code: str) -> int:
        return int(struct.unpack("<" + code, bytes(self.take(struct.calcsize(code))))[0])

    def string(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode("utf-8")

    def array(self) -> npt.NDArray[Any]:
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, n_bytes = self.number("B"), self.number("I")
        if kind not in _TYPES:
            raise MissingResourceError(
                f"weights {self.path} hold a variable of unknown type {kind}; convert them to float16"
            )
        raw = np.frombuffer(self.take(n_bytes), dtype=_TYPES[kind])
        if kind == _BFLOAT16:
            # bfloat16 is the upper half of a float32.
            raw = (raw.astype("<u4") << 16).view("<f4")
        return raw.reshape(shape)


def read_variables(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All variables of a `model.bin` by name, aliases included, as they are stored.

    Raises:
        MissingResourceError: the file is no Whisper in this format, or is truncated.
    """
    reader = _Reader(path)
    version = reader.number("I")
    if not 1 <= version <= FILE_VERSION:
        raise MissingResourceError(
            f"weights {path} are not CTranslate2 of version 1 to {FILE_VERSION}: version {version}; "
            "give a transformers folder"
        )
    specification, _revision = reader.string(), reader.number("I")
    if specification != SPECIFICATION:
        raise MissingResourceError(
            f"weights {path} are a {specification!r}, not a {SPECIFICATION}; give those of a Whisper"
        )
    out: dict[str, npt.NDArray[Any]] = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        out[name] = reader.array()
    for _ in range(reader.number("I")):
        alias = reader.string()
        out[alias] = out[reader.string()]
    return out


def _weight(variables: Variables, name: str) -> npt.NDArray[np.float32]:
    """A matrix or kernel in float32: int8 is divided by a scale for each output, int16 by one for all."""
    stored = variables[f"{name}/weight"].astype(np.float32)
    scale = variables.get(f"{name}/weight_scale")
    if scale is None:
        return stored
    outputs = (-1, *(1,) * (stored.ndim - 1))
    by = scale.astype(np.float32).reshape(outputs if scale.size > 1 else ())
    return np.asarray(stored / by, dtype=np.float32)


_BLOCKS: dict[str, dict[str, tuple[str, ...]]] = {
    "self_attention": {
        "linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "linear_1": ("self_attn.out_proj",),
    },
    "attention": {
        "linear_0": ("encoder_attn.q_proj",),
        "linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
        "linear_2": ("encoder_attn.out_proj",),
    },
    "ffn": {"linear_0": ("fc1",), "linear_1": ("fc2",)},
}
"""Blocks of a layer: what each stored matrix holds, stacked along its rows, in transformers' names."""

_NORMS = {
    "self_attention": "self_attn_layer_norm",
    "attention": "encoder_attn_layer_norm",
    "ffn": "final_layer_norm",
}


def _layer(variables: Variables, source: str, target: str) -> State:
    out: State = {}
    for block, matrices in _BLOCKS.items():
        if f"{source}/{block}/linear_0/weight" not in variables:
            continue
        out |= _norm(variables, f"{source}/{block}/layer_norm", f"{target}.{_NORMS[block]}")
        for matrix, names in matrices.items():
            stored = f"{source}/{block}/{matrix}"
            weights = np.split(_weight(variables, stored), len(names))
            biases = np.split(variables[f"{stored}/bias"].astype(np.float32), len(names))
            for name, weight, bias in zip(names, weights, biases, strict=True):
                out[f"{target}.{name}.weight"] = weight
                if not name.endswith("k_proj"):  # Whisper's keys have no bias; zeros are stored.
                    out[f"{target}.{name}.bias"] = bias
    return out


def _norm(variables: Variables, source: str, target: str) -> State:
    return {
        f"{target}.weight": variables[f"{source}/gamma"].astype(np.float32),
        f"{target}.bias": variables[f"{source}/beta"].astype(np.float32),
    }


def _n_layers(variables: Variables, side: str) -> int:
    prefix = f"{side}/layer_"
    numbers = {n[len(prefix) :].split("/")[0] for n in variables if n.startswith(prefix)}
    return 1 + max(int(n) for n in numbers if n.isdigit())


def to_transformers(variables: Variables, path: Path) -> tuple[State, dict[str, Any]]:
    """State dict in transformers' naming (float32) and the arguments of its `WhisperConfig`.

    Raises:
        MissingResourceError: a variable is missing; `path` is named.
    """
    try:
        state: State = {}
        for conv in ("conv1", "conv2"):
            source, target = f"encoder/{conv}", f"model.encoder.{conv}"
            state[f"{target}.weight"] = _weight(variables, source)
            state[f"{target}.bias"] = variables[f"{source}/bias"].astype(np.float32)
        for side in ("encoder", "decoder"):
            positions = variables[f"{side}/position_encodings/encodings"].astype(np.float32)
            state[f"model.{side}.embed_positions.weight"] = positions
            state |= _norm(variables, f"{side}/layer_norm", f"model.{side}.layer_norm")
            for i in range(_n_layers(variables, side)):
                state |= _layer(variables, f"{side}/layer_{i}", f"model.{side}.layers.{i}")
        embedding = _weight(variables, "decoder/embeddings")
        state["model.decoder.embed_tokens.weight"] = embedding
        state["proj_out.weight"] = embedding
        return state, _config(variables, state)
    except KeyError as missing:
        raise MissingResourceError(
            f"weights {path} lack the variable {missing}; give those of a Whisper"
        ) from None


def _config(variables: Variables, state: State) -> dict[str, Any]:
    vocabulary, width = state["model.decoder.embed_tokens.weight"].shape
    end = 50_256 if vocabulary == ENGLISH_VOCABULARY else 50_257
    sides: dict[str, Any] = {}
    for side in ("encoder", "decoder"):
        sides |= {
            f"{side}_layers": _n_layers(variables, side),
            f"{side}_attention_heads": int(variables.get(f"{side}/num_heads", width // _HEAD_DIM)),
            f"{side}_ffn_dim": state[f"model.{side}.layers.0.fc1.weight"].shape[0],
        }
    return sides | {
        "vocab_size": vocabulary,
        "d_model": width,
        "num_mel_bins": state["model.encoder.conv1.weight"].shape[1],
        "max_source_positions": state["model.encoder.embed_positions.weight"].shape[0],
        "max_target_positions": state["model.decoder.embed_positions.weight"].shape[0],
        "pad_token_id": end,
        "bos_token_id": end,
        "eos_token_id": end,
        "decoder_start_token_id": end + 1,
    }
