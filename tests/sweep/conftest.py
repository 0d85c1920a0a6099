from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.data.clips import Clip, Corpus
from runner.sweep.file import parse_spec
from runner.sweep.keys import SweepSpec

GOOD = """
name = "asr"
task = "asr"
seeds = [0]

[data]
name = "prompts"
n_train = 20

[axes]
backbone = ["whisper-tiny.en", "whisper-base"]
audio_seconds = [4, 8, 12]
reduction = ["none", "stem:2", "stem:4"]
adaptation = ["lora:8"]

[design]
kind = "star"

[optimisation]
steps = 30
learning_rate = 1e-3

[resources]
cpus = 1
"""


@pytest.fixture
def spec_with() -> Callable[..., SweepSpec]:
    """The good spec with pieces of its text replaced."""

    def build(*changes: tuple[str, str], text: str = GOOD) -> SweepSpec:
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        return parse_spec(tomllib.loads(text), "asr.toml")

    return build


@pytest.fixture
def corpus() -> Corpus:
    """Eight clips of 3 s with six words each, half of them to score."""
    clips = tuple(
        Clip(
            utterance_id=f"u{i}",
            path=Path(f"u{i}.wav"),
            reference="one two three four five six",
            speaker=f"s{i % 4}",
            split="train" if i < 4 else "test",
            audio_seconds=3.0,
        )
        for i in range(8)
    )
    return Corpus(
        name="eight", task="asr", clips=clips, split_policy="official", licence=None, source="test"
    )


@pytest.fixture
def good_text() -> str:
    """The text of a sweep file without a fault."""
    return GOOD
