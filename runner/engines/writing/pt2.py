"""The model as programs of torch.export (.pt2), for torch without transformers, AOTInductor or ExecuTorch's lowering.

Two programs of an encoder and a decoder, one of an encoder alone, with the shapes of `whisper_graphs`, so that the
same code decodes with them. A step ends with the scores of all ids: who runs it takes the best.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from planner.costs.flops.lengths import encoder_tokens
from runner.engines.trained import Trained
from runner.engines.writing.onnx import WHISPER, Classified, Say, never, quiet_exporter

ENCODER, STEP, WHOLE = "encoder.pt2", "decoder_step.pt2", "model.pt2"


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Put the programs into a folder; `precision` is float32."""
    features = trained.model.features([np.zeros(1600, dtype=np.float32)])
    if trained.trial.task == "emotion" or trained.model.backbone.family != WHISPER:
        _write(Classified(trained.model), (features,), folder / WHOLE, say)
        return
    _write(_Encoder(trained.model), (features,), folder / ENCODER, say)
    step = _Step(trained)
    asked, dynamic = _example(step, trained)
    _write(step, asked, folder / STEP, say, dynamic)


def _write(
    module: nn.Module, asked: tuple[Any, ...], path: Path, say: Say, shapes: Any = None
) -> None:
    say(f"writing {path.name}")
    with quiet_exporter(), torch.no_grad():
        program = torch.export.export(module.eval(), asked, dynamic_shapes=shapes)
        torch.export.save(program, path)


def _split(x: Tensor, n_heads: int) -> Tensor:
    """(B, T, D) to (B, H, T, D / H)."""
    parts: Tensor = x.reshape(*x.shape[:-1], n_heads, -1)
    return parts.transpose(1, 2)


class _Encoder(nn.Module):
    """Features (1, mel, frames) to each decoder layer's cross keys (1, H, D / H, T), then values (1, H, T, D / H)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.module, self._model = model.module, model

    def forward(self, features: Tensor) -> list[Tensor]:
        """Encoder and the decoder's products of its states."""
        states = self._model.encode(features)
        across = [layer.encoder_attn for layer in self.module.model.decoder.layers]
        keys = [_split(one.k_proj(states), one.num_heads).transpose(2, 3) for one in across]
        return keys + [_split(one.v_proj(states), one.num_heads) for one in across]


class _Step(nn.Module):
    """The decoder over some new ids: scores (B, V) of what may follow, then what each layer's cache gains."""

    never: Tensor

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        module: Any = trained.model.module
        self.decoder = module.model.decoder
        self.n_heads = int(module.config.decoder_attention_heads)
        self.register_buffer("never", torch.from_numpy(never(trained)))

    def forward(
        self, tokens: Tensor, positions: Tensor, mask: Tensor, past_keys: list[Tensor],
        past_values: list[Tensor], keys: list[Tensor], values: list[Tensor],
    ) -> list[Tensor]:  # fmt: skip
        """One step of all layers.

        Shapes: tokens (B, n), positions (n,), mask (n, S + n), of each layer past keys (B, H, D / H, S), past values
        (B, H, S, D / H), and cross keys and values as the encoder gives them.
        """
        decoder: Any = self.decoder
        x = decoder.embed_tokens(tokens) + decoder.embed_positions.weight[positions]
        gained: tuple[list[Tensor], list[Tensor]] = ([], [])
        for i, layer in enumerate(decoder.layers):
            own, across = layer.self_attn, layer.encoder_attn
            before = layer.self_attn_layer_norm(x)
            new = [_split(linear(before), self.n_heads) for linear in (own.k_proj, own.v_proj)]
            new[0] = new[0].transpose(2, 3)
            for kind, one in zip(gained, new, strict=True):
                kind.append(one)
            reached = torch.cat([past_keys[i], new[0]], -1), torch.cat([past_values[i], new[1]], -2)
            x = x + self._heard(own, before, *reached, mask)
            before = layer.encoder_attn_layer_norm(x)
            x = x + self._heard(across, before, keys[i], values[i])
            x = x + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x))))
        states = decoder.layer_norm(x[:, -1])
        scores = nn.functional.linear(states, decoder.embed_tokens.weight) + self.never
        return [scores, *gained[0], *gained[1]]

    def _heard(
        self, attention: Any, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | float = 0.0
    ) -> Tensor:
        queries = _split(attention.q_proj(x) * attention.scaling, self.n_heads)
        shares = (queries @ keys + mask).softmax(-1)
        whole: Tensor = attention.out_proj((shares @ values).transpose(1, 2).flatten(2))
        return whole


def _example(step: _Step, trained: Trained) -> tuple[tuple[Any, ...], Any]:
    """Inputs to follow the step with, and which of their lengths may be others."""
    rows, new, past = 2, 3, 5
    trial, decoder = trained.trial, step.decoder
    width, n_layers = decoder.config.d_model // step.n_heads, len(decoder.layers)
    n_states = encoder_tokens(
        trained.model.backbone, trial.audio_seconds, trial.reduction, trial.padding
    )

    def held(length: int) -> tuple[list[Tensor], list[Tensor]]:
        shapes = ((rows, step.n_heads, width, length), (rows, step.n_heads, length, width))
        keys, values = ([torch.zeros(s) for _ in range(n_layers)] for s in shapes)
        return keys, values

    told = torch.zeros(rows, new, dtype=torch.long), torch.arange(new), torch.zeros(new, past + new)
    b, n, s = Dim("rows"), Dim("new"), Dim("past")
    one_of = {
        "tokens": {0: b, 1: n}, "positions": {0: n}, "mask": {0: n, 1: Dim.AUTO},
        "past_keys": [{0: b, 3: s}] * n_layers, "past_values": [{0: b, 2: s}] * n_layers,
        "keys": [{0: b}] * n_layers, "values": [{0: b}] * n_layers,
    }  # fmt: skip
    return (*told, *held(past), *held(n_states)), one_of
