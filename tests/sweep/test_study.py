"""The study's whole sweep is a file that validates, expands, and foretells its cost on a named GPU."""

from __future__ import annotations

import shutil
from importlib.resources import files

import numpy as np
import pytest
import soundfile

from runner.sweep import forecast
from runner.sweep.prepare import prepare

NAMES = {"study_asr": 60, "study_emotion": 72}
H100_BYTES = 80 * 2**30


def write(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).standard_normal(round(16_000 * seconds))
    soundfile.write(path, (0.1 * noise).astype(np.float32), 16_000)


def librispeech(root):
    """LibriSpeech's layout, with one short chapter in each part."""
    for part, speaker in (("train-clean-100", 19), ("dev-clean", 84), ("test-other", 367)):
        chapter, lines = root / "LibriSpeech" / part / str(speaker) / "198", []
        for i in range(3):
            name = f"{speaker}-198-{i:04d}"
            write(chapter / f"{name}.flac", 6.0)
            lines.append(f"{name} CHAPTER ONE MISSUS RACHEL LYNDE IS SURPRISED BY THIS")
        (chapter / f"{speaker}-198.trans.txt").write_text("\n".join(lines) + "\n")


def cremad(root):
    """CREMA-D's file names, with two clips of each of ten actors."""
    for actor in range(1001, 1011):
        for emotion in ("ANG", "NEU"):
            write(root / "CREMA-D" / f"{actor}_DFA_{emotion}_XX.wav", 2.5)


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """Each of the study's files beside its data, prepared as `sweep run --dry-run` does."""
    root = tmp_path_factory.mktemp("study")
    librispeech(root)
    cremad(root)
    found = {}
    for name in NAMES:
        shutil.copy(str(files("runner") / "specs" / f"{name}.toml"), root)
        database = f"sqlite:///{root / 'none.db'}"
        prepared = prepare(root / f"{name}.toml", database, lambda _: None)
        found[name] = prepared, forecast.dry_run(prepared, {}, database, "h100", 8)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_expands_to_the_trials_of_its_star(name, studied):
    prepared, _ = studied[name]
    assert len(prepared.trials) == NAMES[name]
    centre = {(t.backbone, t.audio_seconds, str(t.reduction)) for t, _ in prepared.trials}
    assert len({backbone for backbone, _, _ in centre}) == (5 if name == "study_asr" else 2)


@pytest.mark.parametrize("name", NAMES)
def test_it_foretells_flops_memory_and_hours_on_a_named_gpu(name, studied):
    _, found = studied[name]
    total = found["total"]
    hours = {key: value / 3600 for key, value in total["trial_seconds"].items()}
    assert total["n_trials"] == NAMES[name]
    assert total["train_flops"] == pytest.approx(sum(r["train_flops"] for r in found["trials"]))
    assert 0 < hours["low"] < hours["value"] < hours["high"]
    assert total["wall_seconds"]["value"] >= total["trial_seconds"]["value"] / 8
    assert all(r["fits"] and r["peak_memory_bytes"]["value"] < H100_BYTES for r in found["trials"])


def test_a_larger_model_and_a_longer_window_cost_more(studied):
    _, found = studied["study_asr"]
    cost = {
        (r["backbone"], r["audio_seconds"]): r["trial_seconds"]["value"]
        for r in found["trials"]
        if (r["reduction"], r["adaptation"].partition("[")[0]) == ("none", "lora:32")
    }
    sizes = [f"whisper-{s}" for s in ("tiny", "base", "small", "medium", "large-v3")]
    assert [cost[name, 15.0] for name in sizes] == sorted(cost[name, 15.0] for name in sizes)
    assert cost["whisper-small", 7.5] < cost["whisper-small", 15.0] < cost["whisper-small", 30.0]


def test_speakers_of_test_are_not_heard_in_training(studied):
    assert all(prepared.corpus.speaker_overlap == 0 for prepared, _ in studied.values())
