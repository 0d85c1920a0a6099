"""The trained model of a stored run: base weights and adapters, merged, as scoring ran it.

The one way from a run's tensors back to a module: scoring elsewhere, export and parity use it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from planner.errors import InputError, MissingResourceError
from planner.words.catalogue import BUILT_IN, Backbone, Catalogue
from planner.words.records import Trial
from runner.models.adapt import META_FILE, adapt, load, merge
from runner.models.base import BuildRequest, SpeechModel
from runner.models.builders import builder_for
from runner.models.whisper import ByteTokenizer
from runner.weights.base_weights import BaseWeights, base_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model with its adapters merged, the trial that made it, and the weights it stands on."""

    model: SpeechModel
    trial: Trial
    base: BaseWeights
    labels: tuple[str, ...] = ()


def load_trained(
    trial: Trial,
    artifact: Path | None,
    *,
    weights_folder: Path | None = None,
    weights_digest: str | None = None,
    device: torch.device | None = None,
    catalogue: Catalogue = BUILT_IN,
    labels: tuple[str, ...] = (),
) -> Trained:
    """Build the trial's model and put its stored tensors in; adapters are merged.

    Args:
        trial: what was trained.
        artifact: folder of its tensors; None where nothing was trained (the base as it is).
        weights_folder: local folder of base weights, before cache, hub and registry.
        weights_digest: that of the base weights it was trained on, where it is known.
        device: where the module is put; the CPU by default.
        catalogue: what the trial's backbone means, where it may be one of the user's own.
        labels: of a model that names classes and was not trained.

    Raises:
        InputError: tensors were trained but are not stored, or do not fit.
        MissingResourceError: base weights or tensors cannot be had.
    """
    if artifact is None and trial.adaptation.kind != "none":
        raise InputError(
            f"{trial.label} was trained, but no tensors of it are stored; train it here "
            "(soundscale sweep run), or name a run that has an artifact"
        )
    backbone = catalogue.backbone(trial.backbone)
    base = _base(trial, backbone, weights_folder, weights_digest)
    if artifact is None:
        # Of a checkpoint that writes by CTC, its own characters.
        return _built(trial, backbone, base, labels or base.vocabulary, None, device)
    labels = tuple(_meta(artifact).get("labels", ()))
    return _built(trial, backbone, base, labels, artifact, device)


def _built(
    trial: Trial,
    backbone: Backbone,
    base: BaseWeights,
    labels: tuple[str, ...],
    folder: Path | None,
    device: torch.device | None,
) -> Trained:
    request = BuildRequest(
        trial=trial,
        backbone=backbone,
        device=device or torch.device("cpu"),
        state=base.state,
        tokenizer=base.tokenizer,
        labels=labels,
        config=base.config,
    )
    model = builder_for(backbone.family, trial.task)(request)
    if folder is not None:
        adapt(model, trial.adaptation, trial.seed)
        load(model.module, folder)
        merge(model.module)
    model.module.requires_grad_(False).eval()
    return Trained(model=model, trial=trial, base=base, labels=labels)


def _base(trial: Trial, backbone: Backbone, folder: Path | None, digest: str | None) -> BaseWeights:
    if trial.initialisation == "random":
        return BaseWeights(state=None, tokenizer=ByteTokenizer(), source="random initialisation")
    base = base_weights(backbone, folder)
    if digest is not None and base.digest is not None and base.digest != digest:
        raise InputError(
            f"{trial.label} was trained on base weights {digest[:12]}, and {base.source} has "
            f"{base.digest[:12]}; give those weights with --weights FOLDER"
        )
    return base


def _meta(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / META_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise MissingResourceError(
            f"trained tensors in {folder} cannot be read: {problem}; give --artifacts, or train it again"
        ) from problem
