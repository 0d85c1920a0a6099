"""The graphs as ONNX files, in float32, and in int8 with every constant product quantised."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from planner.costs.flops.lengths import encoder_tokens
from runner.engines.trained import Trained
from runner.engines.writing.graphs import Classified, CrossEncoder, Step
from runner.engines.writing.quantise import quantise

Say = Callable[[str], None]
"""Takes a line of progress."""

OPSET = 20
"""The first opset with Gelu as one operation."""
ENCODER, STEP, CLASSIFIER = "encoder.onnx", "decoder_step.onnx", "model.onnx"

STEP_INPUTS = ("tokens", "positions", "mask", "past_keys", "past_values", "keys", "values")
STEP_OUTPUTS = ("logits", "new_keys", "new_values")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its steps and warns about what is no concern of a caller's."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)


def save_graph(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    dynamic: dict[str, dict[int, Any]] | None = None,
) -> None:
    """One graph as one file.

    Args:
        module: takes `example` by position.
        example: one input of each, dynamic dimensions of 2 or more.
        path: of the file.
        inputs: names of the graph's inputs.
        outputs: names of its outputs.
        dynamic: dimensions that may differ at run time, by the forward's parameter.
    """
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            module.eval(), example, str(path), dynamo=True, external_data=False, verbose=False,
            input_names=list(inputs), output_names=list(outputs), opset_version=OPSET,
            dynamic_shapes=dynamic, optimize=True,
        )  # fmt: skip


def step_example(module: Any, n_states: int) -> tuple[torch.Tensor, ...]:
    """Inputs of a decoder step with dimensions that the exporter does not take for constants."""
    decoder = module.model.decoder
    layers, width = len(decoder.layers), decoder.config.d_model
    heads = decoder.config.decoder_attention_heads
    rows, new, past = 2, 3, 5
    return (
        torch.zeros(rows, new, dtype=torch.long),
        torch.arange(new),
        torch.zeros(new, past + new),
        torch.zeros(layers, rows, heads, width // heads, past),
        torch.zeros(layers, rows, heads, past, width // heads),
        torch.zeros(layers, rows, heads, width // heads, n_states),
        torch.zeros(layers, rows, heads, n_states, width // heads),
    )


def step_dimensions() -> dict[str, dict[int, Any]]:
    """Which dimensions of a step's inputs differ at run time: rows, new ids, past ids."""
    from torch.export import Dim

    any_ = Dim.DYNAMIC
    return {
        "tokens": {0: any_, 1: any_},
        "positions": {0: any_},
        "mask": {0: any_, 1: any_},
        "past_keys": {1: any_, 4: any_},
        "past_values": {1: any_, 3: any_},
        "keys": {1: any_},
        "values": {1: any_},
    }


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Put the graphs of a trained model into a folder: two for text, one for classes."""
    with tempfile.TemporaryDirectory(prefix="soundscale-graphs-") as scratch:
        plain = folder if precision == "float32" else Path(scratch)
        names = save_plain(trained, plain, say)
        if precision == "int8":
            for name in names:
                say(f"quantising {name}")
                quantise(plain / name, folder / name)


def save_plain(trained: Trained, folder: Path, say: Say) -> tuple[str, ...]:
    """The graphs in float32; the files' names."""
    module: Any = trained.model.module
    window = np.zeros(1600, dtype=np.float32)
    features = trained.model.features([window])
    if trained.trial.task == "emotion":
        say(f"writing {CLASSIFIER}")
        graph: nn.Module = Classified(trained.model)
        save_graph(graph, (features,), folder / CLASSIFIER, ("features",), ("scores",))
        return (CLASSIFIER,)
    say(f"writing {ENCODER}")
    graph = CrossEncoder(module, trained.trial.reduction).eval()
    save_graph(graph, (features,), folder / ENCODER, ("features",), ("keys", "values"))
    say(f"writing {STEP}")
    n_states = encoder_tokens(
        trained.model.backbone,
        trained.trial.audio_seconds,
        trained.trial.reduction,
        trained.trial.padding,
    )
    save_graph(
        Step(module), step_example(module, n_states), folder / STEP, STEP_INPUTS, STEP_OUTPUTS,
        step_dimensions(),
    )  # fmt: skip
    return (ENCODER, STEP)
