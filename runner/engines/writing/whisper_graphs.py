"""Whisper as two plain graphs: the encoder up to the cross keys and values, and one decoder step.

Written out on the module's own weights (tests compare tokens with the module's) in standard operations. Queries, keys
and values are one product, with the queries' scale in its weights; keys are kept transposed, so that no step
transposes them; the caller writes the cache, so that no step copies it. Layers are inputs of their own: taken out of
one array, an engine copies the whole array in every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from planner.words.records import Reduction
from runner.engines.features import Floats
from runner.engines.writing.build import Graph
from runner.engines.writing.vocabulary import TABLE

LAYERED = ("past_keys", "past_values", "keys", "values")
"""Inputs of the step that each layer has its own of: `keys_0`, `keys_1`, …"""


def array(tensor: Tensor) -> Floats:
    """A tensor's numbers where they lie."""
    return np.asarray(tensor.detach().float().numpy())


class _Writer:
    """The parts that encoder and decoder share, put into a graph."""

    def __init__(self, graph: Graph, n_heads: int, width: int) -> None:
        self.graph, self.n_heads, self.head_width = graph, n_heads, width // n_heads
        graph.hold("by_heads", np.array([0, 0, n_heads, self.head_width]))
        graph.hold("joined", np.array([0, 0, width]))

    def product(self, x: str, weight: Floats, bias: Floats | None, name: str) -> str:
        """The product x @ weight + bias, weight of shape (inputs, outputs)."""
        held = self.graph.hold(f"{name}.weight", weight)
        if bias is None:
            return self.graph.add("MatMul", [x, held], name)
        free = self.graph.add("MatMul", [x, held], f"{name}.free")
        return self.graph.add("Add", [free, self.graph.hold(f"{name}.bias", bias)], name)

    def linear(self, x: str, layer: Any, name: str, scale: float = 1.0) -> str:
        """What a torch linear layer gives, times `scale`."""
        bias = None if layer.bias is None else array(layer.bias) * np.float32(scale)
        return self.product(x, array(layer.weight).T * np.float32(scale), bias, name)

    def norm(self, x: str, layer: Any, name: str) -> str:
        """A layer norm over the last dimension."""
        held = [
            self.graph.hold(f"{name}.{k}", array(getattr(layer, k))) for k in ("weight", "bias")
        ]
        return self.graph.add(
            "LayerNormalization", [x, *held], name, axis=-1, epsilon=float(layer.eps)
        )

    def heads(self, x: str, name: str, *, turned: bool = False) -> str:
        """(B, T, D) to (B, H, T, D / H), or to (B, H, D / H, T)."""
        parts = self.graph.add("Reshape", [x, "by_heads"], f"{name}.parts")
        order = [0, 2, 3, 1] if turned else [0, 2, 1, 3]
        return self.graph.add("Transpose", [parts], name, perm=order)

    def join(self, x: str, name: str) -> str:
        """(B, H, T, D / H) to (B, T, D)."""
        turned = self.graph.add("Transpose", [x], f"{name}.turned", perm=[0, 2, 1, 3])
        return self.graph.add("Reshape", [turned, "joined"], name)

    def own_heads(
        self, x: str, own: Any, name: str, told: tuple[str, str] | None = None
    ) -> list[str]:
        """Scaled queries, keys (turned) and values of normalised states by one product, split into heads.

        `told`: names of keys and values, where they are outputs of the graph.
        """
        linears = (own.q_proj, own.k_proj, own.v_proj)
        scales = (np.float32(own.scaling), np.float32(1.0), np.float32(1.0))
        weights = [array(one.weight).T * scale for one, scale in zip(linears, scales, strict=True)]
        # Keys have no bias in Whisper.
        biases = [
            np.zeros(len(one.weight), np.float32) if one.bias is None else array(one.bias) * scale
            for one, scale in zip(linears, scales, strict=True)
        ]
        whole = self.product(
            x, np.concatenate(weights, axis=1), np.concatenate(biases), f"{name}.all"
        )
        parts = [f"{name}.{part}" for part in ("q", "k", "v")]
        self.graph.add_all("Split", [whole], parts, axis=-1, num_outputs=3)
        keys, values = told or (f"{name}.keys", f"{name}.values")
        return [
            self.heads(parts[0], f"{name}.queries"),
            self.heads(parts[1], keys, turned=True),
            self.heads(parts[2], values),
        ]

    def attend(self, queries: str, keys: str, values: str, name: str) -> str:
        """softmax(q k) v of heads whose keys are turned, joined to (B, T, D)."""
        scores = self.graph.add("MatMul", [queries, keys], f"{name}.scores")
        shares = self.graph.add("Softmax", [scores], f"{name}.shares", axis=-1)
        return self.join(
            self.graph.add("MatMul", [shares, values], f"{name}.heard"), f"{name}.whole"
        )

    def plus(self, x: str, y: str, name: str) -> str:
        """A residual."""
        return self.graph.add("Add", [x, y], name)

    def feed_forward(self, x: str, layer: Any, name: str) -> str:
        """A layer's second half with its residual."""
        wide = self.linear(
            self.norm(x, layer.final_layer_norm, f"{name}.before"), layer.fc1, f"{name}.wide"
        )
        turned = self.graph.add("Gelu", [wide], f"{name}.gelu")
        return self.plus(x, self.linear(turned, layer.fc2, f"{name}.narrow"), name)


def encoder_graph(module: Any, reduction: Reduction, n_mels: int, n_frames: int) -> Graph:
    """Features (1, mel, frames) to each decoder layer's cross keys (1, H, D / H, T), then values (1, H, T, D / H)."""
    encoder, decoder = module.model.encoder, module.model.decoder
    graph = Graph.empty("encoder")
    n_heads, width = encoder.config.encoder_attention_heads, encoder.config.d_model
    writer = _Writer(graph, n_heads, width)
    x = graph.input("features", [1, n_mels, n_frames])
    for name in ("conv1", "conv2"):
        layer = getattr(encoder, name)
        held = [graph.hold(f"{name}.{k}", array(getattr(layer, k))) for k in ("weight", "bias")]
        found = graph.add(
            "Conv", [x, *held], name, strides=[layer.stride[0]], pads=[1, 1], kernel_shape=[3]
        )
        x = graph.add("Gelu", [found], f"{name}.gelu")
    x = graph.add("Transpose", [x], "frames", perm=[0, 2, 1])
    positions = array(encoder.embed_positions.weight)
    n_tokens = len(positions)
    x = writer.plus(x, graph.hold("positions.table", positions), "placed")
    for number, layer in enumerate(encoder.layers, 1):
        x = _encoder_layer(writer, x, layer, f"layer{number}")
        if reduction.place == "layer" and reduction.layer == number:
            x, n_tokens = fewer(graph, x, reduction, n_tokens)
    x = writer.norm(x, encoder.layer_norm, "encoded")
    if reduction.place == "output":
        x, n_tokens = fewer(graph, x, reduction, n_tokens)
    _cross(writer, x, decoder, n_tokens)
    return graph


def _encoder_layer(writer: _Writer, x: str, layer: Any, name: str) -> str:
    before = writer.norm(x, layer.self_attn_layer_norm, f"{name}.before_own")
    queries, keys, values = writer.own_heads(before, layer.self_attn, f"{name}.own")
    heard = writer.attend(queries, keys, values, f"{name}.own")
    x = writer.plus(
        x, writer.linear(heard, layer.self_attn.out_proj, f"{name}.own.out"), f"{name}.own.added"
    )
    return writer.feed_forward(x, layer, name)


def _cross(writer: _Writer, x: str, decoder: Any, n_tokens: int) -> None:
    """Outputs: cross keys of every layer, then values."""
    n_heads, width = writer.n_heads, writer.head_width
    for i, layer in enumerate(decoder.layers):
        attention = layer.encoder_attn
        for kind, linear, turned in (
            ("keys", attention.k_proj, True), ("values", attention.v_proj, False),
        ):  # fmt: skip
            writer.heads(
                writer.linear(x, linear, f"{kind}_{i}.whole"), f"{kind}_{i}", turned=turned
            )
    for i in range(len(decoder.layers)):
        writer.graph.output(f"keys_{i}", [1, n_heads, width, n_tokens])
    for i in range(len(decoder.layers)):
        writer.graph.output(f"values_{i}", [1, n_heads, n_tokens, width])


def step_graph(module: Any, n_states: int) -> Graph:
    """The decoder over some new ids: the last one's states, and what each layer's cache gains.

    Shapes: tokens (B, n), positions (n,), mask (n, S + n) added to the attention scores; of each layer past keys
    (B, H, D / H, S), past values (B, H, S, D / H), and cross keys and values as `encoder_graph` gives them. Returns
    the last id's states (B, D), which the vocabulary is projected from (`vocabulary.complete` adds that), then each
    layer's new keys (B, H, D / H, n), then its new values.
    """
    decoder = module.model.decoder
    graph = Graph.empty("decoder_step")
    n_heads, width = decoder.config.decoder_attention_heads, decoder.config.d_model
    writer = _Writer(graph, n_heads, width)
    _step_inputs(graph, len(decoder.layers), n_heads, width // n_heads, n_states)
    # One matrix (V, D) for look-up and projection, as it is tied in Whisper.
    graph.hold(TABLE, array(decoder.embed_tokens.weight))
    graph.hold("positions.table", array(decoder.embed_positions.weight))
    looked_up = graph.add("Gather", [TABLE, "tokens"], "looked_up", axis=0)
    x = writer.plus(
        looked_up, graph.add("Gather", ["positions.table", "positions"], "places", axis=0), "placed"
    )
    graph.add("Shape", ["past_keys_0"], "n_past", start=3, end=4)
    for i, layer in enumerate(decoder.layers):
        x = _decoder_layer(writer, x, layer, i)
    last = graph.add("Gather", [x, graph.hold("last", np.array(-1))], "newest", axis=1)
    writer.norm(last, decoder.layer_norm, "states")
    graph.output("states", ["rows", width])
    for i in range(len(decoder.layers)):
        graph.output(f"new_keys_{i}", ["rows", n_heads, width // n_heads, "new"])
    for i in range(len(decoder.layers)):
        graph.output(f"new_values_{i}", ["rows", n_heads, "new", width // n_heads])
    return graph


def _step_inputs(graph: Graph, n_layers: int, n_heads: int, head_width: int, n_states: int) -> None:
    graph.input("tokens", ["rows", "new"], "INT64")
    graph.input("positions", ["new"], "INT64")
    graph.input("mask", ["new", "reached"])
    for name, keys, length in (
        ("past_", True, "past"),
        ("past_", False, "past"),
        ("", True, n_states),
        ("", False, n_states),
    ):
        kind, shape = ("keys", [head_width, length]) if keys else ("values", [length, head_width])
        for i in range(n_layers):
            graph.input(f"{name}{kind}_{i}", ["rows", n_heads, *shape])


def _decoder_layer(writer: _Writer, x: str, layer: Any, i: int) -> str:
    graph, name, cross = writer.graph, f"layer{i}", layer.encoder_attn
    before = writer.norm(x, layer.self_attn_layer_norm, f"{name}.before_own")
    heard = _with_past(writer, before, layer.self_attn, i, f"{name}.own")
    x = writer.plus(
        x, writer.linear(heard, layer.self_attn.out_proj, f"{name}.own.out"), f"{name}.own.added"
    )
    before = writer.norm(x, layer.encoder_attn_layer_norm, f"{name}.before_cross")
    asked = writer.linear(before, cross.q_proj, f"{name}.cross.q", float(cross.scaling))
    queries = writer.heads(asked, f"{name}.cross.queries")
    heard = writer.attend(queries, f"keys_{i}", f"values_{i}", f"{name}.cross")
    x = graph.add(
        "Add", [x, writer.linear(heard, cross.out_proj, f"{name}.cross.out")], f"{name}.cross.added"
    )
    return writer.feed_forward(x, layer, name)


def _with_past(writer: _Writer, x: str, own: Any, i: int, name: str) -> str:
    """Self-attention over what the cache holds and the new ids; neither is copied together."""
    graph = writer.graph
    told = (f"new_keys_{i}", f"new_values_{i}")
    queries, keys, values = writer.own_heads(x, own, name, told)
    scores = [
        graph.add("MatMul", [queries, k], f"{name}.{part}_scores")
        for part, k in (("past", f"past_keys_{i}"), ("new", keys))
    ]
    every = graph.add(
        "Add", [graph.add("Concat", scores, f"{name}.free", axis=-1), "mask"], f"{name}.scores"
    )
    shares = graph.add("Softmax", [every], f"{name}.shares", axis=-1)
    zero, end, axis = (
        graph.hold(k, np.array([v]))
        for k, v in (("start", 0), ("end", np.iinfo(np.int64).max), ("last_axis", -1))
    )
    old = graph.add("Slice", [shares, zero, "n_past", axis], f"{name}.past_shares")
    new = graph.add("Slice", [shares, "n_past", end, axis], f"{name}.new_shares")
    heard = graph.add(
        "Add",
        [
            graph.add("MatMul", [old, f"past_values_{i}"], f"{name}.past_heard"),
            graph.add("MatMul", [new, values], f"{name}.new_heard"),
        ],
        f"{name}.heard",
    )
    return writer.join(heard, f"{name}.whole")


def fewer(graph: Graph, x: str, reduction: Reduction, n_tokens: int) -> tuple[str, int]:
    """Fewer tokens, as `runner.models.reduction.reduce_tokens`: the name of (1, ceil(T / factor), D), and its T."""
    factor = reduction.factor
    left = -(-n_tokens // factor)
    if reduction.operator == "stride":
        bounds = [("first", 0), ("behind", n_tokens), ("tokens_axis", 1), ("factor", factor)]
        held = [graph.hold(f"fewer.{k}", np.array([v])) for k, v in bounds]
        return graph.add("Slice", [x, *held], "fewer"), left
    if reduction.operator == "mean-pool":
        starts = np.arange(n_tokens) // factor
        return _averaged(graph, x, graph.hold("fewer.runs", starts[None]), left), left
    return _merged(graph, x, n_tokens, left), left


def _averaged(graph: Graph, x: str, runs: str, n_runs: int) -> str:
    """The mean of each run of tokens; `runs` (1, T) names the run of each."""
    graph.hold("fewer.numbers", np.arange(n_runs)[None, :, None])
    lain = graph.add("Unsqueeze", [runs, graph.hold("fewer.second", np.array([1]))], "fewer.lain")
    belongs = graph.add("Equal", [lain, "fewer.numbers"], "fewer.belongs")
    members = graph.add("Cast", [belongs], "fewer.members", to=1)
    sizes = graph.add(
        "ReduceSum", [members, graph.hold("last_axis", np.array([-1]))], "fewer.sizes", keepdims=1
    )
    return graph.add("Div", [graph.add("MatMul", [members, x], "fewer.sums"), sizes], "fewer")


def _merged(graph: Graph, x: str, n_tokens: int, left: int) -> str:
    """`runner.models.reduction.merge_adjacent`: runs cut where neighbours are least alike."""
    axis = graph.hold("last_axis", np.array([-1]))
    one, zero, tokens = (
        graph.hold(f"fewer.{k}", np.array([v])) for k, v in (("one", 1), ("zero", 0), ("axis", 1))
    )
    length = graph.add("ReduceL2", [x, axis], "fewer.length", keepdims=1)
    # As torch.nn.functional.normalize bounds it.
    safe = graph.add(
        "Max", [length, graph.hold("fewer.least", np.array(1e-12, np.float32))], "fewer.safe"
    )
    unit = graph.add("Div", [x, safe], "fewer.unit")
    later = graph.add(
        "Slice", [unit, one, graph.hold("fewer.end", np.array([n_tokens])), tokens], "fewer.later"
    )
    sooner = graph.add(
        "Slice",
        [unit, zero, graph.hold("fewer.but_one", np.array([n_tokens - 1])), tokens],
        "fewer.sooner",
    )
    alike = graph.add(
        "ReduceSum",
        [graph.add("Mul", [later, sooner], "fewer.both"), axis],
        "fewer.alike",
        keepdims=0,
    )
    borders = graph.hold("fewer.n_borders", np.array([left - 1]))
    graph.add_all("TopK", [alike, borders], ["fewer.least_alike", "fewer.pairs"], axis=1, largest=0)
    firsts = graph.add("Add", ["fewer.pairs", one], "fewer.firsts")
    marks = graph.hold("fewer.marks", np.ones((1, left - 1), np.int64))
    cut = graph.add(
        "ScatterElements",
        [graph.hold("fewer.none", np.zeros((1, n_tokens), np.int64)), firsts, marks],
        "fewer.cut",
        axis=1,
    )
    runs = graph.add("CumSum", [cut, graph.hold("fewer.over", np.array(1))], "fewer.runs")
    return _averaged(graph, x, runs, left)
