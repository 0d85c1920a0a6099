"""Exported graphs in OpenVINO on the CPU, in float32 arithmetic where the weights are float32."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from runner.engines.base import Engine
from runner.engines.description import Description
from runner.engines.graph_steps import Graph, GraphClassifier, GraphRecogniser, GraphSpeller
from runner.engines.text import reader


def open_graph(path: Path, threads: int) -> Graph:
    """One graph as a function of named numpy arrays."""
    import openvino

    hints = {
        # bfloat16 is its own choice on some processors, which changes texts.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    compiled = openvino.Core().compile_model(path, "CPU", hints)
    request, n_outputs = compiled.create_infer_request(), len(compiled.outputs)

    def run(inputs: dict[str, Any]) -> list[Any]:
        found = request.infer(inputs, share_inputs=True)
        return [found[i] for i in range(n_outputs)]

    return run


def open_engine(folder: Path, about: Description, threads: int) -> Engine:
    """The folder's model, ready to run."""
    version = version_of("openvino")
    if about.task == "emotion" or about.characters:
        kind = GraphClassifier if about.task == "emotion" else GraphSpeller
        return kind(about, open_graph(folder / "model.xml", threads), version)
    return GraphRecogniser(
        about,
        open_graph(folder / "encoder.xml", threads),
        open_graph(folder / "decoder_step.xml", threads),
        reader(folder, about.text, about.steering.end),
        version,
    )
