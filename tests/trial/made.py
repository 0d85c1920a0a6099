"""Trials for corpora of any request, and where real emotional speech lies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from planner.words.records import Adaptation, Optimisation, Reduction, Trial
from runner.data.clips import DataSpec
from runner.data.corpus import load_corpus

EMODB = Path(__file__).parents[2].parent / "shared" / "data" / "emodb"


def trial_of(data, backbone, audio_seconds, reduction="none", adaptation="lora:2", **more):
    """A trial that is registered for a request's corpus, as runner.sweep.expand does."""
    corpus = load_corpus(data)
    optimisation = {"steps": 2, "batch_size": 2} | more.pop("optimisation", {})
    return Trial(
        task=corpus.task, dataset=corpus.name, dataset_digest=corpus.digest,
        split_policy=corpus.split_policy, n_train=len(corpus.train), n_test=len(corpus.test),
        backbone=backbone, audio_seconds=audio_seconds, reduction=Reduction.parse(reduction),
        adaptation=Adaptation.parse(adaptation), optimisation=Optimisation(**optimisation),
        normaliser="whisper-english" if corpus.task == "asr" else "none", **more,
    )  # fmt: skip


def write_manifest(folder, rows, column="text"):
    """A manifest of noisy tones, by rows (split, text or label, seconds); speakers alternate."""
    rng = np.random.default_rng(0)
    lines = []
    for i, (split, said, seconds) in enumerate(rows):
        time = np.arange(round(seconds * 16_000)) / 16_000
        audio = 0.1 * np.sin(2 * np.pi * (200 + 50 * len(said)) * time)
        noisy = audio + 0.01 * rng.standard_normal(len(time))
        soundfile.write(folder / f"{i}.wav", noisy.astype(np.float32), 16_000)
        row = {"path": f"{i}.wav", column: said, "speaker": f"{split}{i % 2}", "split": split}
        lines.append(json.dumps(row))
    path = folder / "made.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return DataSpec(name="manifest", path=str(path))
