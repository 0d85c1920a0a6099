"""Trials for corpora of any request, and where real emotional speech lies."""

from __future__ import annotations

from pathlib import Path

from planner.records import Adaptation, Optimisation, Reduction, Trial
from runner.data.corpus import load_corpus

EMODB = Path(__file__).parents[2].parent / "shared" / "data" / "emodb"


def trial_of(data, backbone, audio_seconds, reduction="none", adaptation="lora:2", **more):
    """A trial that is registered for a request's corpus, as runner.sweep does."""
    corpus = load_corpus(data)
    optimisation = {"steps": 2, "batch_size": 2} | more.pop("optimisation", {})
    return Trial(
        task=corpus.task, dataset=corpus.name, dataset_digest=corpus.digest,
        split_policy=corpus.split_policy, n_train=len(corpus.train), n_test=len(corpus.test),
        backbone=backbone, audio_seconds=audio_seconds, reduction=Reduction.parse(reduction),
        adaptation=Adaptation.parse(adaptation), optimisation=Optimisation(**optimisation),
        normaliser="whisper-english" if corpus.task == "asr" else "none", **more,
    )  # fmt: skip
