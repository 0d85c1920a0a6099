"""A model of the user's own, found by its entry point: an example of the whole adapter."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from planner.errors import UnknownNameError
from planner.words.catalogue import Catalogue, backbone
from planner.words.records import Resources
from runner.models import builders
from runner.models.base import Prediction
from runner.models.builders import builder_for
from runner.models.logmel import log_mel
from runner.trial.run import run_trial
from tests.trial.made import trial_of


class MeanMel:
    """A linear classifier on the mean log-mel spectrum of each second half: the whole protocol."""

    n_prompt_tokens = 1

    def __init__(self, request):
        self.backbone, self.labels, self.device = request.backbone, request.labels, request.device
        self.n_frames = round(100 * request.trial.audio_seconds)
        torch.manual_seed(request.trial.seed)
        self.module = nn.Sequential(nn.Linear(40, 16), nn.Tanh())
        self.module.add_module("head", nn.Linear(16, len(self.labels)))
        self.module.to(self.device)

    def features(self, windows):
        return log_mel(windows, self.n_frames, 40, self.device).transpose(1, 2)

    def targets(self, references):
        return [[self.labels.index(r)] for r in references]

    def encode(self, features):
        return self.module[1](self.module[0](features))

    def _logits(self, states):
        return self.module.head(states.mean(dim=1))

    def loss(self, features, targets):
        wanted = torch.tensor([t[0] for t in targets])
        logits = self._logits(self.encode(features))
        return nn.functional.cross_entropy(logits, wanted, reduction="sum")

    @torch.inference_mode()
    def decode(self, encoded, decoding, limits=None, exactly=None):
        rows = self._logits(encoded).log_softmax(-1)
        return [
            Prediction(text=self.labels[int(r.argmax())], n_tokens=1, log_probabilities=tuple(r.tolist()))
            for r in rows
        ]  # fmt: skip

    def encoder_layers(self):
        return [("0", self.module[0])]

    def head_names(self):
        return ("head",)

    def frozen_linear_names(self):
        return ()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The catalogue with a backbone of which an installed distribution names the builder."""
    folder = tmp_path / "site" / "mean_mel-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mean-mel\nVersion: 1.0\n")
    target = f"{MeanMel.__module__}:MeanMel"
    (folder / "entry_points.txt").write_text(f"[{builders.ENTRY_POINTS}]\nmean-mel = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    mine = dataclasses.replace(backbone("wav2vec2-micro"), name="mean-mel-1", family="mean-mel")
    return Catalogue((mine,))


MOODS = [(s, m, 0.6) for s in ("train", "test") for m in ("joy", "fear", "joy", "fear")]


def test_it_trains_and_is_scored_like_a_built_in_one(installed, manifest, tmp_path):
    data = manifest(MOODS, column="label")
    trial = trial_of(
        data, "mean-mel-1", 0.5, adaptation="lora:2", initialisation="random",
        optimisation={"steps": 40, "batch_size": 4, "learning_rate": 1e-2, "head_learning_rate": 1e-2},
    )  # fmt: skip
    record = run_trial(
        trial, Resources(), data_request=data, artifacts=tmp_path / "artifacts", catalogue=installed
    )
    assert record.status == "finished"
    assert record.steps[-1].loss < record.steps[0].loss


def test_a_window_that_never_fits_is_out_of_memory_at_a_micro_batch_of_one(
    installed, manifest, tmp_path, monkeypatch
):
    def hungry(self, features, targets):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(MeanMel, "loss", hungry)
    data = manifest(MOODS, column="label")
    trial = trial_of(data, "mean-mel-1", 0.5, adaptation="lora:2", initialisation="random")
    record = run_trial(
        trial, Resources(), data_request=data, artifacts=tmp_path / "artifacts", catalogue=installed
    )
    assert (record.failure_class, record.micro_batch) == ("out-of-memory", 1)
    assert "one example at a time" in record.failure_text


def test_scoring_that_does_not_fit_goes_on_in_halves(installed, manifest, tmp_path, monkeypatch):
    data = manifest(MOODS, column="label")
    trial = trial_of(data, "mean-mel-1", 0.5, adaptation="lora:2", initialisation="random")
    whole = run_trial(
        trial, Resources(), data_request=data, artifacts=tmp_path / "artifacts", catalogue=installed
    )
    encode = MeanMel.encode

    def narrow(self, features):
        if len(features) > 1 and not self.module.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(self, features)

    monkeypatch.setattr(MeanMel, "encode", narrow)
    halved = run_trial(
        trial, Resources(), data_request=data, artifacts=tmp_path / "artifacts", catalogue=installed
    )
    assert halved.evaluations == whole.evaluations


def test_a_family_that_nobody_registered_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"known: whisper, wav2vec2"):
        builder_for("conformer", "emotion")
