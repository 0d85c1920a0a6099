"""Dynamic int8 for ONNX graphs: every product with a constant matrix.

onnxruntime's own quantiser also takes convolutions, which loads the CPU more than it saves. Here each
column of a constant right-hand side becomes int8 with a scale of its own, symmetric, and inputs are quantised at run
time by ONNX Runtime's DynamicQuantizeMatMul. The vocabulary table is `vocabulary`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from runner.engines.writing.build import DOMAIN, Graph

LARGEST = 127.0
"""Of a number in a byte."""
LARGEST_IN_PRODUCTS = 64.0
"""Of a weight in a product: two of them times 255 stay below 2^15, where AVX2's sum of bytes saturates
(onnxruntime's documentation of quantisation, "reduce_range"). Of a product of 384 normal numbers 3 % are lost with
127 on AVX2, 1 % with 64; where nothing saturates .6 and 1 %."""


def columns_to_int8(
    weight: npt.NDArray[np.float32], largest_value: float = LARGEST
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Int8 values and a scale for each column, shape (k, n) to (k, n) and (n,); weight = values * scale.

    A column of zeros has scale 1.
    """
    largest = np.abs(weight).max(axis=0)
    scale = np.where(largest > 0, largest / largest_value, 1.0).astype(np.float32)
    values = np.rint(weight / scale).astype(np.int8)
    return values, scale


def quantise(model: Any) -> None:
    """Put int8 matrices in the place of a graph's float32 ones (an onnx.ModelProto, changed in place)."""
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {one.name: one for one in graph.initializer}
    chosen = {
        node.input[1]
        for node in graph.node
        if node.op_type == "MatMul"
        and node.input[1] in constants
        and len(constants[node.input[1]].dims) == 2
    }
    for name in chosen:
        weight = numpy_helper.to_array(constants[name])
        values, scale = columns_to_int8(weight, LARGEST_IN_PRODUCTS)
        graph.initializer.remove(constants[name])
        graph.initializer.append(numpy_helper.from_array(values, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    nodes = [_replaced(node, chosen, helper) for node in graph.node]
    del graph.node[:]
    graph.node.extend(_with_bias(nodes, constants))
    Graph(model).need(DOMAIN)


def _replaced(node: Any, chosen: set[str], helper: Any) -> Any:
    """The node itself, or what computes the same from the int8 matrix."""
    if node.op_type != "MatMul" or node.input[1] not in chosen:
        return node
    name = node.input[1]
    inputs = [node.input[0], f"{name}_int8", f"{name}_scale"]
    return helper.make_node(
        "DynamicQuantizeMatMul", inputs, [node.output[0]], name=node.name, domain=DOMAIN
    )


def _with_bias(nodes: list[Any], constants: dict[str, Any]) -> list[Any]:
    """A constant vector that is added to a quantised product becomes its bias."""
    users: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    dropped: set[int] = set()
    for node in nodes:
        if node.op_type != "DynamicQuantizeMatMul":
            continue
        after = users.get(node.output[0], [])
        if len(after) != 1 or after[0].op_type != "Add":
            continue
        added = [n for n in after[0].input if n != node.output[0]]
        if len(added) == 1 and added[0] in constants and len(constants[added[0]].dims) == 1:
            node.input.extend(["", added[0]])
            node.output[0] = after[0].output[0]
            dropped.add(id(after[0]))
    return [node for node in nodes if id(node) not in dropped]
