"""Trained trials in every engine and precision, and untrained checkpoints in faster-whisper, in one run.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/engines_speed.py --db sqlite:///soundscale.db --run 5 [--run 10]

Each utterance of the test split is heard by every engine before the next one is (interleaved, one thread, batch
1), so that load falls on all alike; times are of the processor. faster-whisper takes whole utterances at 30 s.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from planner.store import read
from planner.store.engine import open_store
from runner.data.packing import load_clip
from runner.engines.formats import FORMATS
from runner.engines.parity import cold_start
from runner.engines.runtime import open_folder
from runner.engines.trained import load_trained
from runner.engines.writing.export import write_export
from runner.engines.writing.folder import size_bytes
from runner.sweep.file import parse_spec
from runner.trial.examples import corpus_of
from runner.trial.hearing import predict
from runner.trial.metrics import normaliser, rate_std_error, word_counts
from runner.trial.segment import segments

WAYS = (
    ("onnx", "float32"), ("onnx", "int8"), ("openvino", "float32"), ("openvino", "int8"),
    ("ctranslate2", "float32"), ("ctranslate2", "int8"),
)  # fmt: skip

Hear = Callable[[Sequence[np.ndarray]], str]


def main() -> None:
    """One table for each run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--db", required=True)
    parser.add_argument("--run", type=int, action="append", required=True)
    parser.add_argument("--clips", type=int, default=None)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    store = open_store(asked.db)
    for run_id in asked.run:
        _one(store, run_id, asked.clips)


def _one(store: object, run_id: int, n_clips: int | None) -> None:
    row = read.run(store, run_id)
    trained = load_trained(row.trial, Path(row.artifact))
    spec = parse_spec(json.loads(read.sweep_specs(store, row.trial_id)[-1]), "stored")
    clips = corpus_of(row.trial, spec.data_request).test[:n_clips]
    own = {u.utterance_id: u.hypothesis for u in read.utterances(store, run_id)}
    with tempfile.TemporaryDirectory() as scratch:
        ways: dict[str, Hear] = {"torch float32": _torch(trained)}
        folders: dict[str, Path] = {}
        for form, precision in WAYS:
            name, folder = (
                f"{FORMATS[form].engine} {precision}",
                Path(scratch) / f"{form}-{precision}",
            )
            began = time.process_time()
            write_export(trained, FORMATS[form], precision, folder, lambda line: None)
            print(f"wrote {name} in {time.process_time() - began:.1f} CPU s")
            engine = open_folder(folder, 1).engine
            ways[name] = lambda cut, e=engine: " ".join(
                o.text for w in cut for o in e.run([w]) if o.text
            )
            folders[name] = folder
        untrained = _faster_whisper(trained, Path(scratch) / "untrained")
        _table(row, clips, ways, folders, untrained, own)


def _torch(trained: object) -> Hear:
    def hear(cut: Sequence[np.ndarray]) -> str:
        rows = [predict(trained.model, [w], trained.trial, "float32")[0] for w in cut]
        return " ".join(r.text for r in rows if r.text)

    return hear


def _faster_whisper(trained: object, folder: Path) -> Hear:
    """The untrained checkpoint in int8, whole utterances padded to 30 s, greedy."""
    from dataclasses import replace

    from faster_whisper import WhisperModel

    from planner.words.records import Adaptation, Reduction

    base = replace(
        trained.trial,
        audio_seconds=30.0,
        reduction=Reduction(),
        adaptation=Adaptation.parse("none"),
    )
    write_export(
        load_trained(base, None), FORMATS["ctranslate2"], "int8", folder, lambda line: None
    )
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def hear(cut: Sequence[np.ndarray]) -> str:
        found, _ = model.transcribe(
            np.concatenate(cut), language="en", beam_size=1, without_timestamps=True,
            condition_on_previous_text=False,
        )  # fmt: skip
        return " ".join(one.text.strip() for one in found)

    return hear


def _table(row, clips, ways, folders, untrained, own) -> None:  # type: ignore[no-untyped-def]
    every = ways | {"faster-whisper int8, untrained, 30 s": untrained}
    norm = normaliser(row.trial.normaliser)
    spent = dict.fromkeys(every, 0.0)
    errors: dict[str, list[int]] = {name: [] for name in every}
    equal, units, n_windows = dict.fromkeys(every, 0), [], 0
    for place, clip in enumerate(clips):
        cut = segments(
            load_clip(clip), row.trial.audio_seconds, "window", row.trial.decoding.window_cut
        )
        n_windows += len(cut)
        reference = norm(clip.reference)
        units.append(len(reference.split()))
        for name, hear in every.items():
            if not place:
                hear(cut[:1])
            began = time.process_time()
            text = hear(cut)
            spent[name] += time.process_time() - began
            errors[name].append(word_counts(reference, norm(text)).n_errors)
            equal[name] += text == own[clip.utterance_id]
    print(f"\n{row.trial.label}: {len(clips)} clips, {n_windows} windows, {sum(units)} words")
    base = errors["torch float32"]
    for name in every:
        difference = [a - b for a, b in zip(errors[name], base, strict=True)]
        spread, _ = rate_std_error(difference, units, [None] * len(units))
        ms = 1e3 * spent[name] / n_windows
        folder = folders.get(name)
        size = f"{size_bytes(folder) / 1e6:6.1f} MB" if folder else ""
        peak = f"{cold_start(folder, 1).get('peak_bytes', 0) / 1e6:6.0f} MB" if folder else ""
        print(
            f"{name:40s} {ms:6.0f} ms a window ({ms * n_windows / 1e3 / spent['torch float32']:.2f}x) "
            f"WER {100 * sum(errors[name]) / sum(units):5.2f} % ({100 * sum(difference) / sum(units):+.2f} "
            f"± {196 * (spread or 0):.2f}) equal {equal[name]:2d}/{len(clips)} {size} {peak}"
        )


if __name__ == "__main__":
    main()
