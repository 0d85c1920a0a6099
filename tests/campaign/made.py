"""A corpus of tones and a sweep of random micro models on it, as files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

SPEC = """
name = "micro"
task = "{task}"
initialisation = "random"
latency = "beside"

[data]
name = "manifest"
path = "{manifest}"

[axes]
backbone = "{backbone}"
audio_seconds = [2, 3]
reduction = ["none", "stem:2"]
adaptation = "lora:2"

[design]
kind = "star"

[optimisation]
steps = 2
batch_size = 2

[decoding]
max_new_tokens = 4
"""
WORDS = ("one", "two", "three")
NO_LATENCY = ('latency = "beside"', 'latency = "none"')
"""For tests that ask nothing of latency: measured at the end of each trial it takes longer than the rest."""


def write_tones(folder: Path) -> Path:
    """Twelve clips of 1.5 s, four speakers, one of them to score; text and label in every row."""
    rows = []
    for i in range(12):
        time = np.arange(24_000) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * i) * time)
        soundfile.write(folder / f"{i}.wav", tone.astype(np.float32), 16_000)
        speaker = f"s{i % 4}"
        split = "test" if i % 4 == 3 else "train"
        word = WORDS[i // 4]
        row = {"path": f"{i}.wav", "text": word, "label": word, "speaker": speaker, "split": split}
        rows.append(json.dumps(row))
    path = folder / "tones.jsonl"
    path.write_text("\n".join(rows))
    return path


def write_sweep(folder: Path, manifest: Path, *changes: tuple[str, str], task: str = "asr") -> Path:
    """The micro sweep on a manifest, pieces of its text replaced; three trials in all."""
    backbone = "whisper-micro" if task == "asr" else "wav2vec2-micro"
    text = SPEC.format(task=task, backbone=backbone, manifest=manifest)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / f"{task}.toml"
    path.write_text(text)
    return path
