"""x_V on tensors: which tokens leave a stem, a layer or the encoder.

Every operator maps T tokens to ceil(T / factor), so that a configuration's shapes, FLOPs and
memory depend on the reduction's place and factor alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from planner.errors import InputError
from planner.words.records import Reduction


def reduce_tokens(hidden: Tensor, operator: str, factor: int) -> Tensor:
    """Fewer tokens: (batch, T, width) to (batch, ceil(T / factor), width).

    `stride` keeps each factor-th token, `mean-pool` averages runs of `factor` (the last may be
    shorter), `merge` averages runs of adjacent similar tokens (`merge_adjacent`).

    Raises:
        InputError: the operator is unknown.
    """
    if operator == "stride":
        return hidden[:, ::factor]
    if operator == "mean-pool":
        pooled = nn.functional.avg_pool1d(hidden.transpose(1, 2), factor, ceil_mode=True)
        return pooled.transpose(1, 2)
    if operator == "merge":
        return merge_adjacent(hidden, -(-hidden.shape[1] // factor))
    raise InputError(f"reduction operator {operator!r} has no implementation on tensors")


def merge_adjacent(hidden: Tensor, n_tokens: int) -> Tensor:
    """Average runs of adjacent tokens, cut where neighbours are least alike.

    The n_tokens - 1 neighbour pairs of lowest cosine similarity become the borders of n_tokens
    runs; each run is replaced by its mean. No attention scores and no parameters are needed, and
    the output's shape does not depend on the values. Adjacent merging for speech encoders follows
    A-ToMe (arXiv 2306.16009), with one global cut in place of its repeated pairwise merging.

    Shapes: (batch, T, width) to (batch, n_tokens, width), 1 <= n_tokens <= T.
    """
    batch, length, width = hidden.shape
    with torch.no_grad():
        unit = nn.functional.normalize(hidden.detach().float(), dim=-1)
        similarity = (unit[:, 1:] * unit[:, :-1]).sum(-1)
        cut = torch.zeros(batch, length, dtype=torch.long, device=hidden.device)
        lowest = similarity.topk(n_tokens - 1, dim=1, largest=False).indices
        cut.scatter_(1, lowest + 1, 1)
        run = cut.cumsum(1)
        sizes = torch.zeros(batch, n_tokens, dtype=hidden.dtype, device=hidden.device)
        sizes.scatter_add_(1, run, torch.ones_like(run, dtype=hidden.dtype))
    index = run.unsqueeze(-1).expand(-1, -1, width)
    summed = hidden.new_zeros(batch, n_tokens, width).scatter_add(1, index, hidden)
    return summed / sizes.unsqueeze(-1)


def attach(module: nn.Module, reduction: Reduction) -> None:
    """Reduce what `module` returns: a tensor (batch, T, width), or a tuple or output that leads with one.

    A forward hook leaves parameter names, `generate` and the module's own forward untouched.
    """

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return reduce_tokens(output, reduction.operator, reduction.factor)
        if isinstance(output, tuple):
            return (reduce_tokens(output[0], reduction.operator, reduction.factor), *output[1:])
        states = output.last_hidden_state
        output["last_hidden_state"] = reduce_tokens(states, reduction.operator, reduction.factor)
        return output

    module.register_forward_hook(hook)


def attach_to_frames(convolution: nn.Module, reduction: Reduction) -> None:
    """Reduce a front end's output (batch, channels, T) over time."""

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        frames = reduce_tokens(output.transpose(1, 2), reduction.operator, reduction.factor)
        return frames.transpose(1, 2)

    convolution.register_forward_hook(hook)


def attach_to_layers(
    encoder: nn.Module, layers: nn.ModuleList, reduction: Reduction, backbone: str
) -> None:
    """Apply a `layer` or `output` reduction to an encoder; `none` and `stem` do nothing here.

    Raises:
        InputError: the encoder has fewer layers than the reduction names.
    """
    if reduction.place == "output":
        attach(encoder, reduction)
    if reduction.place == "layer":
        layer = reduction.layer or 0
        if layer > len(layers):
            raise InputError(
                f"reduction {reduction} acts after encoder layer {layer}, but {backbone} has {len(layers)}; "
                f"use layer1 to layer{len(layers)}"
            )
        attach(layers[layer - 1], reduction)
