"""Exported graphs in ONNX Runtime: on the CPU, or on CUDA where its package can use it."""

from __future__ import annotations

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from planner.errors import MissingResourceError
from runner.engines.base import Engine
from runner.engines.description import Description
from runner.engines.graph_steps import Graph, GraphClassifier, GraphRecogniser, GraphSpeller
from runner.engines.text import reader


def open_graph(path: Path, threads: int, precision: str = "float32") -> Graph:
    """One graph as a function of named numpy arrays.

    Raises:
        MissingResourceError: nothing here computes in the precision.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in ort.get_available_providers()]
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except ort.capi.onnxruntime_pybind11_state.NotImplemented as problem:
        raise MissingResourceError(
            f"{path.name} in {precision} has no kernels on {providers[0]} here; export it with --no-parity, "
            "and run it where ONNX Runtime has CUDA"
        ) from problem

    def run(inputs: dict[str, Any]) -> list[Any]:
        return list(session.run(None, inputs))

    return run


def open_engine(folder: Path, about: Description, threads: int) -> Engine:
    """The folder's model, ready to run.

    Raises:
        MissingResourceError: the folder's tokenizer is missing.
    """
    version = version_of("onnxruntime")
    if about.task == "emotion" or about.characters:
        kind = GraphClassifier if about.task == "emotion" else GraphSpeller
        return kind(about, open_graph(folder / "model.onnx", threads, about.precision), version)
    return GraphRecogniser(
        about,
        open_graph(folder / "encoder.onnx", threads, about.precision),
        open_graph(folder / "decoder_step.onnx", threads, about.precision),
        reader(folder, about.text, about.steering.end),
        version,
    )
