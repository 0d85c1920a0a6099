"""The graphs as OpenVINO models, converted from their ONNX form; int8 by compressed weights."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

from runner.engines.trained import Trained
from runner.engines.writing.build import save_model
from runner.engines.writing.onnx import STEP, Say, never, plain_graphs
from runner.engines.writing.vocabulary import complete


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Write an .xml and a .bin for each graph."""
    import openvino

    for name, graph in plain_graphs(trained, say):
        if name == STEP:
            complete(graph, never(trained), None)
        say(f"converting {name}")
        with tempfile.TemporaryDirectory(prefix="soundscale-graphs-") as scratch:
            save_model(graph, Path(scratch) / name)
            model = openvino.convert_model(Path(scratch) / name)
            if precision == "int8":
                model = _compressed(model)
            place = folder / Path(name).with_suffix(".xml")
            openvino.save_model(model, place, compress_to_fp16=False)


def _compressed(model: object) -> object:
    """Every constant matrix in int8, look-up table and vocabulary projection too."""
    # It draws bars and logs to stdout, where an answer is printed.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        import nncf

        logging.getLogger("nncf").setLevel(logging.ERROR)
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
