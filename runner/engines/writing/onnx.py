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
from torch import Tensor, nn

from planner.costs.flops.lengths import encoder_tokens
from runner.engines.features import Floats
from runner.engines.greedy import never_written
from runner.engines.trained import Trained
from runner.engines.writing.build import OPSET, save_model
from runner.engines.writing.quantise import quantise
from runner.engines.writing.vocabulary import complete
from runner.engines.writing.whisper_graphs import encoder_graph, step_graph
from runner.models.decode import Specials

WHISPER = "whisper"
"""Family of the models that are two graphs; others are one, traced."""

Say = Callable[[str], None]
"""Takes a line of progress."""

ENCODER, STEP, CLASSIFIER = "encoder.onnx", "decoder_step.onnx", "model.onnx"


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Put the graphs of a trained model into a folder: two of an encoder and a decoder, one of an encoder alone."""
    for name, model in plain_graphs(trained, say):
        if precision == "int8":
            say(f"quantising {name}")
            quantise(model)
        if name == STEP:
            complete(model, never(trained), precision)
        save_model(model, folder / name)


def plain_graphs(trained: Trained, say: Say) -> Iterator[tuple[str, Any]]:
    """Names of files and float32 graphs, one after the other; a step's ends with the states before the vocabulary."""
    if trained.trial.task == "emotion" or trained.model.backbone.family != WHISPER:
        say(f"writing {CLASSIFIER}")
        yield CLASSIFIER, _traced(trained)
        return
    module: Any = trained.model.module
    n_mels, n_frames = trained.model.features([np.zeros(1600, dtype=np.float32)]).shape[1:]
    say(f"writing {ENCODER}")
    yield ENCODER, encoder_graph(module, trained.trial.reduction, n_mels, n_frames).model
    say(f"writing {STEP}")
    trial = trained.trial
    cut = (trial.audio_seconds, trial.reduction, trial.padding)
    yield STEP, step_graph(module, encoder_tokens(trained.model.backbone, *cut)).model


def never(trained: Trained) -> Floats:
    """What is added to scores: minus infinity for ids that are never written, shape (V,)."""
    module: Any = trained.model.module
    size = int(module.config.vocab_size)
    special = Specials.of(size)
    return never_written(special.end, special.silent, size)


class _Classified(nn.Module):
    """Encoder input to the scores before the softmax: of classes (B, labels), or of a CTC head's tokens (B, T, V)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.module, self._model = model.module, model

    def forward(self, features: Tensor) -> Tensor:
        """Encoder and head."""
        scores: Tensor = self._model.logits(self._model.encode(features))
        return scores


def _traced(trained: Trained) -> Any:
    """A model of one graph, of any family, as torch's exporter follows it."""
    features = trained.model.features([np.zeros(1600, dtype=np.float32)])
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _Classified(trained.model).eval(), (features,), dynamo=True, verbose=False,
            input_names=["features"], output_names=["scores"], opset_version=OPSET, optimize=True,
        )  # fmt: skip
    return program.model_proto  # type: ignore[union-attr]


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
