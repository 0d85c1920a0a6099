"""An ONNX graph that is written node by node: constants under names, operations of one output.

Tracing a module by torch.onnx took 7 s for tiny.en's encoder and 22 s for its decoder step; a Whisper is a few dozen
kinds of nodes, repeated, and is written in a fraction of a second from the weights where they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from runner.engines.features import Floats

OPSET = 20
"""The first opset with Gelu as one operation."""
IR_VERSION = 10
"""Of files, which ONNX Runtime reads from 1.18 on."""
DOMAIN = "com.microsoft"
"""ONNX Runtime's own operations: a file with them runs in no other engine."""
MOST_IN_ONE_FILE = 1_500_000_000
"""Bytes from which weights lie beside the graph: protobuf's messages end at 2^31 (its documentation, "Size limit")."""

Shape = Sequence[int | str | None]
"""Of inputs and outputs; a word names a dimension that differs at run time."""


class Graph:
    """A graph that nodes and constants are added to."""

    def __init__(self, model: Any) -> None:
        from onnx import helper, numpy_helper

        self.model, self.graph = model, model.graph
        self.helper, self._arrays = helper, numpy_helper
        self._held = {one.name for one in self.graph.initializer}

    @classmethod
    def empty(cls, name: str) -> Self:
        """A graph of nothing yet."""
        from onnx import helper

        graph = helper.make_graph([], name, [], [])
        opset = [helper.make_opsetid("", OPSET)]
        return cls(
            helper.make_model(
                graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="soundscale"
            )
        )

    def input(self, name: str, shape: Shape, kind: str = "FLOAT") -> str:
        """An input of the graph."""
        self.graph.input.append(self._told(name, shape, kind))
        return name

    def output(self, name: str, shape: Shape, kind: str = "FLOAT") -> str:
        """An output of the graph, which a node writes under this name."""
        self.graph.output.append(self._told(name, shape, kind))
        return name

    def _told(self, name: str, shape: Shape, kind: str) -> Any:
        from onnx import TensorProto

        return self.helper.make_tensor_value_info(name, getattr(TensorProto, kind), list(shape))

    def take(self, name: str) -> Floats:
        """A constant of the graph, which then holds it no longer."""
        array = self.array(name)
        (found,) = [one for one in self.graph.initializer if one.name == name]
        self.graph.initializer.remove(found)
        self._held.remove(name)
        return array

    def array(self, name: str) -> Floats:
        """A constant of the graph."""
        (found,) = [one for one in self.graph.initializer if one.name == name]
        return np.asarray(self._arrays.to_array(found), dtype=np.float32)

    def hold(self, name: str, array: Any) -> str:
        """A constant under a name; one that is held already is left as it is."""
        if name not in self._held:
            held = np.ascontiguousarray(array).reshape(np.shape(array))
            self.graph.initializer.append(self._arrays.from_array(held, name))
            self._held.add(name)
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str, **more: Any) -> str:
        """A node of one output."""
        self.add_all(kind, inputs, [output], **more)
        return output

    def add_all(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **more: Any
    ) -> list[str]:
        """A node of several outputs."""
        named = list(outputs)
        self.graph.node.append(
            self.helper.make_node(kind, list(inputs), named, name=named[-1], **more)
        )
        return named

    def top(self, scores: str, best: str, at: str) -> None:
        """The k best scores, falling, and their places."""
        self.add_all("TopK", [scores, "n_candidates"], [best, at], axis=-1)

    def need(self, domain: str) -> None:
        """Say that operations of a domain are used."""
        if all(one.domain != domain for one in self.model.opset_import):
            self.model.opset_import.append(self.helper.make_opsetid(domain, 1))


def save_model(model: Any, path: Path) -> None:
    """A graph as one file, or with its weights in one beside it where they are too large for that."""
    import onnx

    size = sum(len(one.raw_data) for one in model.graph.initializer)
    large = size > MOST_IN_ONE_FILE
    onnx.save_model(
        model,
        str(path),
        save_as_external_data=large,
        location=f"{path.name}.data" if large else None,
    )
