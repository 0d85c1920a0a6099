"""Models that are timed: of the right shapes, with any values, deployed in a precision.

How long a model takes does not depend on what its weights say, so they are drawn at random: nothing is
downloaded, and no run's tensors need to be there. Models of one backbone share what they have in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from planner.words.catalogue import Catalogue
from planner.words.records import Adaptation, Reduction, Trial
from runner.models.adapt import deploy
from runner.models.base import BuildRequest, SpeechModel
from runner.models.builders import builder_for
from runner.models.whisper import ByteTokenizer

N_CLASSES = 6
"""Classes of a model that names any (assumption: their number costs nothing)."""


class RandomModels:
    """Builds models; the values of a backbone are drawn once, and held once for each precision."""

    def __init__(self, catalogue: Catalogue, device: torch.device, attention: str = "sdpa") -> None:
        self._catalogue, self._device, self._attention = catalogue, device, attention
        self._drawn: dict[tuple[str, str], Mapping[str, Tensor]] = {}
        self._held: dict[tuple[str, str, str], Tensor] = {}

    def deployed(self, trial: Trial, precision: str) -> SpeechModel:
        """A model of the trial's axes in a precision, its common tensors shared with those before."""
        # Adapters add nothing once they are merged, and merged is how a model is deployed.
        plain = replace(trial, adaptation=Adaptation(kind="none", lora_rank=None))
        shape = self._catalogue.backbone(plain.backbone)
        request = BuildRequest(
            trial=plain,
            backbone=shape,
            device=self._device,
            tokenizer=ByteTokenizer(),
            labels=tuple(f"class {i}" for i in range(N_CLASSES)),
            attention=self._attention,
        )
        builder = builder_for(shape.family, plain.task)
        key = plain.backbone, plain.task
        if key not in self._drawn:
            longest = getattr(shape, "max_audio_seconds", math.inf)
            whole = longest if math.isfinite(longest) else plain.audio_seconds
            full = replace(plain, audio_seconds=whole, reduction=Reduction(), seed=0)
            on_cpu = replace(request, trial=full, device=torch.device("cpu"))
            self._drawn[key] = builder(on_cpu).module.state_dict()
        model = builder(replace(request, state=self._drawn[key]))
        model.module.requires_grad_(False)
        deploy(model, precision)
        self._share(model, key, precision)
        return model

    def _share(self, model: SpeechModel, key: tuple[str, str], precision: str) -> None:
        for name, tensor in model.module.state_dict(keep_vars=True).items():
            place = f"{key} {name}", precision, str(tuple(tensor.shape))
            held = self._held.setdefault(place, tensor.data)
            if name in self._drawn[key] and self._drawn[key][name].shape == tensor.shape:
                tensor.data = held
