"""Exported programs of torch.export in torch, on the CPU, without transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from runner.engines.base import Engine
from runner.engines.description import Description
from runner.engines.graph_steps import Graph, GraphClassifier, GraphRecogniser, GraphSpeller
from runner.engines.text import reader

LAYERED = ("past_keys", "past_values", "keys", "values")


def open_program(path: Path, threads: int) -> Any:
    """One program as a module of torch, on so many threads of the process."""
    import torch

    torch.set_num_threads(threads)
    return torch.export.load(path).module()


def _plain(program: Any) -> Graph:
    """A program of one input as a function of named arrays."""
    import torch

    def run(inputs: dict[str, Any]) -> list[Any]:
        with torch.inference_mode():
            found = program(*(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs.values()))
        return [x.numpy() for x in (found if isinstance(found, (list, tuple)) else [found])]

    return run


def _step(program: Any, n_layers: int) -> Graph:
    """The decoder step, with the best of the scores in their place: ids, scores, ceiling and total."""
    import torch

    def run(inputs: dict[str, Any]) -> list[Any]:
        with torch.inference_mode():
            told = {k: torch.from_numpy(np.ascontiguousarray(x)) for k, x in inputs.items()}
            layers = [[told[f"{kind}_{i}"] for i in range(n_layers)] for kind in LAYERED]
            scores, *gained = program(told["tokens"], told["positions"], told["mask"], *layers)
            best = scores.topk(int(told["n_candidates"]))
            total = scores.logsumexp(-1, keepdim=True)
        found = (best.indices, best.values, best.values[:, -1:], total, *gained)
        return [x.numpy() for x in found]

    return run


def open_engine(folder: Path, about: Description, threads: int) -> Engine:
    """The folder's model, ready to run.

    Raises:
        MissingResourceError: the folder's tokenizer is missing.
    """
    import torch

    version = torch.__version__
    if about.task == "emotion" or about.characters:
        kind = GraphClassifier if about.task == "emotion" else GraphSpeller
        return kind(about, _plain(open_program(folder / "model.pt2", threads)), version)
    return GraphRecogniser(
        about,
        _plain(open_program(folder / "encoder.pt2", threads)),
        _step(open_program(folder / "decoder_step.pt2", threads), about.n_layers),
        reader(folder, about.text, about.steering.end),
        version,
    )
