"""Dynamic int8 for ONNX graphs: every product with a constant matrix, the tied vocabulary table included.

onnxruntime's own quantiser leaves a tied vocabulary projection in float32, the largest matrix of a
small Whisper (53 % of tiny.en), and its default operations quantise convolutions, which loads the CPU
more than it saves. Here each column of a constant right-hand side becomes int8 with a scale of its own
(symmetric, largest absolute value 127), inputs are quantised at run time by ONNX Runtime's
DynamicQuantizeMatMul, and the look-up reads the same int8 table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DOMAIN = "com.microsoft"
"""ONNX Runtime's own operations: such a file runs in no other engine."""

LARGEST = 127.0


def columns_to_int8(
    weight: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Int8 values and a scale for each column, shape (k, n) to (k, n) and (n,); weight = values * scale.

    A column of zeros has scale 1.
    """
    largest = np.abs(weight).max(axis=0)
    scale = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    values = np.rint(weight / scale).astype(np.int8)
    return values, scale


def quantise(source: Path, target: Path) -> None:
    """Write the int8 form of a float32 graph."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(source))
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
        values, scale = columns_to_int8(numpy_helper.to_array(constants[name]))
        graph.initializer.remove(constants[name])
        graph.initializer.append(numpy_helper.from_array(values, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    nodes = [new for node in graph.node for new in _replaced(node, chosen, helper)]
    del graph.node[:]
    graph.node.extend(_with_bias(nodes, constants))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.save(model, str(target))


def _replaced(node: Any, chosen: set[str], helper: Any) -> list[Any]:
    """The node itself, or what computes the same from the int8 matrix."""
    if node.op_type == "MatMul" and node.input[1] in chosen:
        name = node.input[1]
        inputs = [node.input[0], f"{name}_int8", f"{name}_scale"]
        product = helper.make_node(
            "DynamicQuantizeMatMul", inputs, [node.output[0]], name=node.name, domain=DOMAIN
        )
        return [product]
    if node.op_type == "Gather" and node.input[0] in chosen:
        return _look_up(node, helper)
    return [node]


def _look_up(node: Any, helper: Any) -> list[Any]:
    """Columns of the int8 table, widened and scaled."""
    name, out = node.input[0], node.output[0]
    steps: tuple[tuple[str, list[str], str, dict[str, int]], ...] = (
        ("Gather", [f"{name}_int8", node.input[1]], f"{out}_values", {"axis": 1}),
        ("Gather", [f"{name}_scale", node.input[1]], f"{out}_scales", {"axis": 0}),
        ("Cast", [f"{out}_values"], f"{out}_wide", {"to": 1}),
        ("Mul", [f"{out}_wide", f"{out}_scales"], out, {}),
    )
    return [
        helper.make_node(kind, inputs, [output], name=f"{node.name}_look_up_{place}", **more)
        for place, (kind, inputs, output, more) in enumerate(steps)
    ]


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
