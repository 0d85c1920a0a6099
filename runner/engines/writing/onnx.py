"""The graphs as ONNX files, in float32, and in int8 with every constant product quantised."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from planner.costs.flops.lengths import encoder_tokens
from runner.engines.features import Floats
from runner.engines.greedy import never_written
from runner.engines.trained import Trained
from runner.engines.writing.graphs import Classified, CrossEncoder, Step
from runner.engines.writing.quantise import quantise
from runner.engines.writing.vocabulary import complete
from runner.models.decode import Specials

Say = Callable[[str], None]
"""Takes a line of progress."""

OPSET = 20
"""The first opset with Gelu as one operation."""
ENCODER, STEP, CLASSIFIER = "encoder.onnx", "decoder_step.onnx", "model.onnx"

LAYERED = ("past_keys", "past_values", "keys", "values")
"""Inputs of the step that each layer has its own of: `keys_0`, `keys_1`, …"""


def layered(n_layers: int, *names: str) -> tuple[str, ...]:
    """Names of inputs or outputs that each layer has its own of, in the graph's order.

    >>> layered(2, "keys", "values")
    ('keys_0', 'keys_1', 'values_0', 'values_1')
    """
    return tuple(f"{name}_{layer}" for name in names for layer in range(n_layers))


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
    example: tuple[Any, ...],
    path: Path,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    dynamic: dict[str, Any] | None = None,
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


def step_example(module: Any, n_states: int) -> tuple[Any, ...]:
    """Inputs of a decoder step with dimensions that the exporter does not take for constants."""
    decoder = module.model.decoder
    layers, heads = len(decoder.layers), decoder.config.decoder_attention_heads
    width = decoder.config.d_model // heads
    rows, new, past = 2, 3, 5

    def each(*shape: int) -> list[torch.Tensor]:
        return [torch.zeros(shape) for _ in range(layers)]

    return (
        torch.zeros(rows, new, dtype=torch.long),
        torch.arange(new),
        torch.zeros(new, past + new),
        each(rows, heads, width, past),
        each(rows, heads, past, width),
        each(rows, heads, width, n_states),
        each(rows, heads, n_states, width),
    )


def step_dimensions(n_layers: int) -> dict[str, Any]:
    """Which dimensions of a step's inputs differ at run time: rows, new ids, past ids."""
    from torch.export import Dim

    any_ = Dim.DYNAMIC
    return {
        "tokens": {0: any_, 1: any_},
        "positions": {0: any_},
        "mask": {0: any_, 1: any_},
        "past_keys": [{0: any_, 3: any_}] * n_layers,
        "past_values": [{0: any_, 2: any_}] * n_layers,
        "keys": [{0: any_}] * n_layers,
        "values": [{0: any_}] * n_layers,
    }


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Put the graphs of a trained model into a folder: two for text, one for classes."""
    for name in save_plain(trained, folder, say):
        rewrite(folder / name, trained, precision, say)


def rewrite(path: Path, trained: Trained, precision: str, say: Say) -> None:
    """Quantise a plain graph's products where that is asked for, and give a step its vocabulary."""
    import onnx

    if precision == "float32" and path.name != STEP:
        return
    model = onnx.load(str(path))
    if precision == "int8":
        say(f"quantising {path.name}")
        quantise(model)
    if path.name == STEP:
        complete(model, _never(trained), precision)
    onnx.save(model, str(path))


def complete_whole(path: Path, trained: Trained) -> None:
    """Give a step's plain graph its vocabulary in standard operations alone."""
    import onnx

    model = onnx.load(str(path))
    complete(model, _never(trained), None)
    onnx.save(model, str(path))


def _never(trained: Trained) -> Floats:
    module: Any = trained.model.module
    size = int(module.config.vocab_size)
    special = Specials.of(size)
    return never_written(special.end, special.silent, size)


def save_plain(trained: Trained, folder: Path, say: Say) -> tuple[str, ...]:
    """The graphs in float32, a step's up to the states before the vocabulary; the files' names."""
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
    layers = len(module.model.decoder.layers)
    crossed = layered(layers, "keys", "values")
    save_graph(graph, (features,), folder / ENCODER, ("features",), crossed)
    say(f"writing {STEP}")
    n_states = encoder_tokens(
        trained.model.backbone,
        trained.trial.audio_seconds,
        trained.trial.reduction,
        trained.trial.padding,
    )
    inputs = ("tokens", "positions", "mask", *layered(layers, *LAYERED))
    outputs = ("states", *layered(layers, "new_keys", "new_values"))
    example, dimensions = step_example(module, n_states), step_dimensions(layers)
    save_graph(Step(module), example, folder / STEP, inputs, outputs, dimensions)
    return (ENCODER, STEP)
