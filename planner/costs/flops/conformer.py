"""A conformer that writes by CTC, operation by operation: Parakeet's FastConformer and w2v-BERT 2.0.

Follows transformers' ParakeetForCTC and Wav2Vec2BertForCTC in eager attention, batch 1. Where positions are
projected, all 2 T - 1 distances pass a projection in every layer and meet every query; where they stand in a table,
a key for each pair of query and key is looked up and met. tests/costs/flops/test_conformers_against_torch.py compares
both, as integers, with torch's own counter.
"""

from __future__ import annotations

from planner.costs.flops.layers import Layer, Treatment, runs_of_layers
from planner.costs.flops.ledger import Ledger
from planner.costs.flops.lengths import after_reduction, conv_lengths_of, positions_of
from planner.costs.windows import Ints, Windows
from planner.words.families.base import Conformer


def conformer_walk(
    ledger: Ledger, windows: Windows, backbone: Conformer, treatment: Treatment
) -> tuple[Ints, bool]:
    """Enter front end and layers.

    Returns:
        Tokens that leave the encoder, shape (m,), and whether they need a gradient.
    """
    n, reduction = positions_of(windows), windows.reduction
    grad = _stem(ledger, backbone, (*conv_lengths_of(windows)[:-1], n), treatment)
    after = after_reduction(windows, n)
    reduced_from = reduction.layer or backbone.encoder_layers
    top_from = 0 if treatment.full else backbone.encoder_layers - treatment.top_k
    for first, last in runs_of_layers(backbone.encoder_layers, 1, reduced_from, top_from):
        tokens = after if reduction.place == "layer" and first >= reduced_from else n
        layer = Layer(ledger, backbone.d_model, treatment, first >= top_from, last - first)
        ledger.begin_layer()
        grad = _layer(layer, backbone, tokens, grad)
        ledger.save(grad)  # of the norm that ends the layer
        ledger.end_layer()
    return after, grad


def _stem(
    ledger: Ledger, backbone: Conformer, lengths: tuple[Ints, ...], treatment: Treatment
) -> bool:
    """Convolutions over frames and bands, and the projection to the width."""
    full = treatment.full
    for i, step in enumerate(backbone.stem):
        ledger.convolution(
            "stem", lengths[step.at] * step.n_outputs, step.products, 1, 1,
            grad=full and i > 0, trained=full,
        )  # fmt: skip
    # Without convolutions a trained norm stands before the projection.
    rank = treatment.rank if "projection" in treatment.adapted else 0
    return ledger.linear(
        "stem", lengths[-1], backbone.projection_width, backbone.d_model,
        grad=full, rank=rank, trained=full,
    )  # fmt: skip


def _layer(layer: Layer, backbone: Conformer, n: Ints, grad: bool) -> bool:
    """Feed-forward, attention, convolution module, feed-forward, each behind a norm and beside a residual."""
    trained = layer.trained
    grad = layer.feed_forward("encoder", n, backbone.ffn_dim, grad or trained) or grad
    grad = _attention(layer, backbone, n, grad or trained) or grad
    grad = _convolutions(layer, backbone, n, grad or trained) or grad
    return layer.feed_forward("encoder", n, backbone.ffn_dim, grad or trained) or grad


def _attention(layer: Layer, backbone: Conformer, n: Ints, grad: bool) -> bool:
    d, ledger, times = layer.width, layer.ledger, layer.times
    query, key, value = (layer.linear("encoder", name, n, d, d, grad) for name in "qkv")
    distances, n_keys = layer.trained, n  # a table's rows are trained or not
    if backbone.projects_positions:
        n_keys = 2 * n - 1
        distances = layer.linear("encoder", "position", n_keys, d, d, False)
    placed = ledger.matmul("encoder", n * n_keys * d, (query, distances), times=times)
    scores = ledger.matmul("encoder", n * n * d, (query, key), times=times)
    mixed = ledger.matmul("encoder", n * n * d, (scores or placed, value), times=times)
    return layer.linear("encoder", "o", n, d, d, mixed)


def _convolutions(layer: Layer, backbone: Conformer, n: Ints, grad: bool) -> bool:
    """Across channels to twice the width and a gate, over time in each channel, across channels."""
    d, trained = layer.width, layer.trained
    for kernel, n_in, n_out, groups in (
        (1, d, 2 * d, 1),
        (backbone.depthwise_kernel, d, d, d),
        (1, d, d, 1),
    ):
        grad = layer.ledger.convolution(
            "encoder", n * layer.times, kernel, n_in, n_out, groups=groups, grad=grad, trained=trained,
        )  # fmt: skip
    return grad


def attention_products(backbone: Conformer, n: Ints) -> Ints:
    """FLOPs of one layer's products of activations, positions among them, shape (m,)."""
    n_keys = 2 * n - 1 if backbone.projects_positions else n
    return 2 * backbone.d_model * n * (2 * n + n_keys)


def layer_weights(backbone: Conformer) -> int:
    """Weights of one layer that are read for a window: projections, feed-forwards, convolutions."""
    d, f = backbone.d_model, backbone.ffn_dim
    projections = 5 if backbone.projects_positions else 4
    return projections * d * d + 4 * d * f + 3 * d * d + backbone.depthwise_kernel * d
