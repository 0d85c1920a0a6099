"""A Whisper of a few thousand parameters, and a writer of the file format that is read."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from planner.words import catalogue


class Writer:
    """Writes variables as CTranslate2 does; an oracle that shares no code with the reader."""

    codes: ClassVar = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4, "bfloat16": 5}

    def __init__(self, version: int = 6, specification: str = "WhisperSpec") -> None:
        self.head = struct.pack("<I", version) + self.string(specification) + struct.pack("<I", 3)

    @staticmethod
    def string(text: str) -> bytes:
        encoded = text.encode() + b"\0"
        return struct.pack("<H", len(encoded)) + encoded

    def variable(self, name: str, array: np.ndarray[Any, Any], kind: str) -> bytes:
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        if kind == "bfloat16":
            stored = (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        else:
            stored = array.astype(kind).tobytes()
        head = self.string(name) + shape + struct.pack("<BI", self.codes[kind], len(stored))
        return head + stored

    def file(
        self,
        variables: Mapping[str, tuple[np.ndarray[Any, Any], str]],
        aliases: Mapping[str, str] | None = None,
    ) -> bytes:
        body = b"".join(self.variable(n, a, k) for n, (a, k) in variables.items())
        named = aliases or {}
        tail = b"".join(self.string(a) + self.string(n) for a, n in named.items())
        counts = struct.pack("<I", len(variables)), struct.pack("<I", len(named))
        return self.head + counts[0] + body + counts[1] + tail


def micro_config() -> dict[str, Any]:
    """Arguments of transformers' WhisperConfig for the catalogue's whisper-micro."""
    b = catalogue.backbone("whisper-micro")
    assert isinstance(b, catalogue.Whisper)
    return {
        "d_model": b.d_model, "encoder_layers": b.encoder_layers,
        "decoder_layers": b.decoder_layers, "encoder_attention_heads": b.n_heads,
        "decoder_attention_heads": b.n_heads, "encoder_ffn_dim": b.ffn_dim,
        "decoder_ffn_dim": b.ffn_dim, "num_mel_bins": b.n_mels, "vocab_size": b.vocab_size,
    }  # fmt: skip


@pytest.fixture(scope="session")
def micro() -> Any:
    """A random Whisper of the shape of whisper-micro, as transformers builds it."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(WhisperConfig(**micro_config()))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.normal_(0.0, 0.1)
    return model.eval()


def ct2_variables(model: Any, kind: str = "float32") -> dict[str, tuple[Any, str]]:
    """The variables that a converter would store for a model: matrices stacked, keys' bias zero."""
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    out: dict[str, tuple[Any, str]] = {}

    def put(target: str, weights: list[str]) -> None:
        out[f"{target}/weight"] = (np.concatenate([state[f"{w}.weight"] for w in weights]), kind)
        biases = [state.get(f"{w}.bias", np.zeros(len(state[f"{w}.weight"]))) for w in weights]
        out[f"{target}/bias"] = (np.concatenate(biases), kind)

    def norm(target: str, source: str) -> None:
        out[f"{target}/gamma"] = (state[f"{source}.weight"], kind)
        out[f"{target}/beta"] = (state[f"{source}.bias"], kind)

    for conv in ("conv1", "conv2"):
        put(f"encoder/{conv}", [f"model.encoder.{conv}"])
    out["decoder/embeddings/weight"] = (state["model.decoder.embed_tokens.weight"], kind)
    for side in ("encoder", "decoder"):
        positions = state[f"model.{side}.embed_positions.weight"]
        out[f"{side}/position_encodings/encodings"] = (positions, kind)
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        for i in range(2):
            ours, theirs = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            own = f"{theirs}.self_attn"
            norm(f"{ours}/self_attention/layer_norm", f"{theirs}.self_attn_layer_norm")
            put(f"{ours}/self_attention/linear_0", [f"{own}.{x}_proj" for x in "qkv"])
            put(f"{ours}/self_attention/linear_1", [f"{own}.out_proj"])
            if side == "decoder":
                cross = f"{theirs}.encoder_attn"
                norm(f"{ours}/attention/layer_norm", f"{theirs}.encoder_attn_layer_norm")
                put(f"{ours}/attention/linear_0", [f"{cross}.q_proj"])
                put(f"{ours}/attention/linear_1", [f"{cross}.{x}_proj" for x in "kv"])
                put(f"{ours}/attention/linear_2", [f"{cross}.out_proj"])
            norm(f"{ours}/ffn/layer_norm", f"{theirs}.final_layer_norm")
            put(f"{ours}/ffn/linear_0", [f"{theirs}.fc1"])
            put(f"{ours}/ffn/linear_1", [f"{theirs}.fc2"])
        out[f"{side}/num_heads"] = (np.array(2), "int16")
    return out


@pytest.fixture(scope="session")
def micro_bytes(micro: Any) -> bytes:
    """`model.bin` of the micro Whisper in float32."""
    aliases = {"decoder/projection/weight": "decoder/embeddings/weight"}
    return Writer().file(ct2_variables(micro), aliases)


@pytest.fixture
def micro_folder(micro: Any, tmp_path: Path) -> Path:
    """A transformers folder of the micro Whisper."""
    folder = tmp_path / "whisper-micro"
    micro.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def writer() -> type[Writer]:
    """The writer of the format, to be given a version and a specification."""
    return Writer


@pytest.fixture(scope="session")
def variables_of() -> Any:
    """The function from a model to the variables that a converter would store."""
    return ct2_variables
