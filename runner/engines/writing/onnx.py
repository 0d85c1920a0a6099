"""The graphs as ONNX files, in float32, and in int8 with every constant product quantised."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from planner.costs.flops.lengths import encoder_tokens
from planner.errors import InputError
from runner.data.audio import Audio
from runner.engines.features import Floats
from runner.engines.greedy import never_written
from runner.engines.trained import Trained
from runner.engines.writing.build import OPSET, save_model
from runner.engines.writing.calibrated import Fed, kept_inputs, static_int8
from runner.engines.writing.describe import describe
from runner.engines.writing.half import HALVES, to_half
from runner.engines.writing.quantise import quantise
from runner.engines.writing.vocabulary import complete
from runner.engines.writing.whisper_graphs import encoder_graph, step_graph
from runner.models.decode import Specials

STATIC = "int8-static"
"""Precision whose ranges are taken from clips; `int8` measures them at run time."""
WHISPER = "whisper"
"""Family of the models that are two graphs; others are one, traced."""

Say = Callable[[str], None]
"""Takes a line of progress."""

ENCODER, STEP, CLASSIFIER = "encoder.onnx", "decoder_step.onnx", "model.onnx"


def save(
    trained: Trained, folder: Path, precision: str, say: Say, windows: Sequence[Audio] = ()
) -> None:
    """Put the graphs of a trained model into a folder: two of an encoder and a decoder, one of an encoder alone.

    Raises:
        InputError: static int8 without windows to take ranges from, or of a model of one graph.
    """
    kept = _kept(trained, windows, say) if precision == STATIC else {}
    for name, model in plain_graphs(trained, say):
        if precision in ("int8", STATIC):
            say(f"quantising {name}")
        if precision == "int8":
            quantise(model)
        elif precision == STATIC:
            model = static_int8(model, kept[name], save_model)
        if name == STEP:
            complete(model, never(trained), _rows(precision))
        if precision in HALVES:
            to_half(model, precision)
        save_model(model, folder / name)


def _rows(precision: str) -> str | None:
    """How a step's vocabulary is held; None: all of it is read in standard operations."""
    return None if precision in HALVES else "int8" if precision == STATIC else precision


def _kept(trained: Trained, windows: Sequence[Audio], say: Say) -> dict[str, list[Fed]]:
    """What each graph is given while windows are heard in float32."""
    if not windows:
        raise InputError(f"{STATIC} takes ranges from training clips, and there are none; use int8")
    say(f"hearing {len(windows)} training clips for their ranges")
    with tempfile.TemporaryDirectory(prefix="soundscale-graphs-") as scratch:
        folder = Path(scratch)
        for name, model in plain_graphs(trained, lambda line: None):
            if name == CLASSIFIER:
                raise InputError(f"{STATIC} is of models with a decoder; use int8")
            if name == STEP:
                complete(model, never(trained), None)
            save_model(model, folder / name)
        about = describe(trained, "onnx", "float32")
        found = kept_inputs(folder / ENCODER, folder / STEP, about, windows)
    return dict(zip((ENCODER, STEP), found, strict=True))


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


class Classified(nn.Module):
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
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            Classified(trained.model).eval(), (features,), dynamo=True, verbose=False,
            input_names=["features"], output_names=["scores"], opset_version=OPSET, optimize=True,
        )  # fmt: skip
    return program.model_proto  # type: ignore[union-attr]


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
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
