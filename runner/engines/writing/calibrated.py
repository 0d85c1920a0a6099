"""Static int8 for ONNX graphs: ranges of activations are taken from clips, so that none is measured at run time.

onnxruntime's own quantiser writes it, of products with constant matrices alone, as the dynamic one here
(`quantise`). What a decoder step is given is kept from float32 decoding of the same clips.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner.data.audio import Audio
from runner.engines.description import Description
from runner.engines.graph_steps import Graph, GraphRecogniser
from runner.engines.onnxruntime import open_graph

EVERY = 5
"""Of decoder steps one in so many is kept (assumption: neighbouring steps are alike)."""
MOST_STEPS = 64
"""Steps that are kept (assumption; each holds the window's cross keys and values, 5 MB of tiny.en at 12 s)."""

Fed = dict[str, Any]


class _Kept:
    """Inputs one after the other, as onnxruntime's calibration asks for them."""

    def __init__(self, kept: Sequence[Fed]) -> None:
        self._left = iter(kept)

    def get_next(self) -> Fed | None:
        """The next inputs; None after the last."""
        return next(self._left, None)


def kept_inputs(
    encoder: Path, step: Path, about: Description, windows: Sequence[Audio]
) -> tuple[list[Fed], list[Fed]]:
    """What encoder and step are given while a float32 recogniser hears windows of at most x_T seconds."""
    encoded: list[Fed] = []
    steps: list[Fed] = []
    model = GraphRecogniser(
        about,
        _recorded(open_graph(encoder, 1), encoded, 1, len(windows)),
        _recorded(open_graph(step, 1), steps, EVERY, MOST_STEPS),
        lambda ids: "",
        "",
    )
    for window in windows:
        model.run([window])
    return encoded, steps


def _recorded(graph: Graph, kept: list[Fed], every: int, most: int) -> Graph:
    """A graph that also keeps one in `every` of what it is given, up to so many."""
    n_runs = 0

    def run(inputs: Fed) -> list[Any]:
        nonlocal n_runs
        if n_runs % every == 0 and len(kept) < most:
            # What steers the choice of ids is added to the graph later.
            kept.append({k: v.copy() for k, v in inputs.items() if k != "n_candidates"})
        n_runs += 1
        return graph(inputs)

    return run


def static_int8(model: Any, kept: Sequence[Fed], save: Callable[[Any, Path], None]) -> Any:
    """The graph with its constant products in int8, and the ranges of what it was given.

    Args:
        model: an onnx.ModelProto in float32.
        kept: inputs of its runs.
        save: writes a graph into a file.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory(prefix="soundscale-graphs-") as scratch:
        before, after = Path(scratch) / "before.onnx", Path(scratch) / "after.onnx"
        save(model, before)
        quantize_static(
            str(before), str(after), _Kept(kept), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax, extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip
        return onnx.load(str(after))
