"""ONNX graphs that hold and compute in 16 bits, for CUDA: what goes in and comes out stays float32.

Every score of the vocabulary is read (standard operations alone: a GPU reads the table faster than it would choose),
and the best are taken in float32. bfloat16 has no kernels on ONNX Runtime's CPU; float16 is computed there in float32,
between casts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

HALVES = {"float16": "FLOAT16", "bfloat16": "BFLOAT16"}
"""Precisions of 16 bits, and ONNX's names of them."""


WIDE = ("every", "candidates", "ceiling", "total")
"""Nodes of a completed step that stay in float32, as the choice of the best scores has no kernel in bfloat16."""
WIDE_INPUT, WIDE_CONSTANT = "free", "never"
"""What those take: the scores, cast, and what is added to them."""


def to_half(model: Any, precision: str) -> None:
    """Hold float32 constants of a graph in 16 bits, compute in them, and cast what goes in and comes out.

    Args:
        model: an onnx.ModelProto, changed in place.
        precision: one of `HALVES`.
    """
    from onnx import TensorProto, helper

    kind, graph = getattr(TensorProto, HALVES[precision]), model.graph
    wide = [node for node in graph.node if node.name in WIDE]
    _hold(graph, precision, _left(graph, precision))
    made_wide = {name for node in wide for name in node.output}
    given = [one.name for one in graph.input if _is_float(one)]
    told = [one.name for one in graph.output if _is_float(one) and one.name not in made_wide]
    told += [WIDE_INPUT] if wide else []
    inside = {name: f"{name}.half" for name in (*given, *told)}
    narrow = [node for node in graph.node if node.name not in WIDE]
    for node in narrow:
        for names in (node.input, node.output):
            names[:] = [inside.get(name, name) for name in names]
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT:
            node.attribute[0].i = kind
    first = [helper.make_node("Cast", [name], [inside[name]], to=kind) for name in given]
    last = [helper.make_node("Cast", [inside[name]], [name], to=TensorProto.FLOAT) for name in told]
    del graph.node[:]
    nodes = [one for node in narrow for one in _widened(node, precision, kind)]
    graph.node.extend([*first, *nodes, *last, *wide])


def _left(graph: Any, precision: str) -> set[str]:
    """Constants that stay in float32."""
    kernels = {name for node in graph.node if _is_wide(node, precision) for name in node.input[1:]}
    return kernels | ({WIDE_CONSTANT} if any(node.name in WIDE for node in graph.node) else set())


def _is_wide(node: Any, precision: str) -> bool:
    """Whether a node has no bfloat16 in ONNX (convolutions gained it with opset 22)."""
    return precision == "bfloat16" and node.op_type == "Conv"


def _widened(node: Any, precision: str, kind: int) -> list[Any]:
    """The node, between casts where it computes in float32."""
    from onnx import TensorProto, helper

    if not _is_wide(node, precision):
        return [node]
    given, told = node.input[0], node.output[0]
    node.input[0], node.output[0] = f"{node.name}.given", f"{node.name}.told"
    return [
        helper.make_node("Cast", [given], [node.input[0]], to=TensorProto.FLOAT),
        node,
        helper.make_node("Cast", [node.output[0]], [told], to=kind),
    ]


def _is_float(told: Any) -> bool:
    from onnx import TensorProto

    return bool(told.type.tensor_type.elem_type == TensorProto.FLOAT)


def _hold(graph: Any, precision: str, left: set[str]) -> None:
    """Constants in 16 bits, those inside of nodes too, but for some."""
    from onnx import TensorProto

    inside = (a.t for node in graph.node for a in node.attribute if a.HasField("t"))
    for constant in (*graph.initializer, *inside):
        if constant.data_type == TensorProto.FLOAT and constant.name not in left:
            constant.CopyFrom(_held(constant, precision))
    # Of a traced graph: kinds of values inside, which no longer hold.
    del graph.value_info[:]


def _held(constant: Any, precision: str) -> Any:
    """A constant in 16 bits; what is out of their range becomes infinite."""
    from onnx import numpy_helper

    values = numpy_helper.to_array(constant)
    if precision == "float16":
        with np.errstate(over="ignore"):
            return numpy_helper.from_array(values.astype(np.float16), constant.name)
    import ml_dtypes

    return numpy_helper.from_array(values.astype(ml_dtypes.bfloat16), constant.name)
