"""`transcribe` of ten minutes of speech against faster-whisper: int8, greedy, batched, one thread, interleaved.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/transcribe_speed.py --model FOLDER [--model FOLDER …] --base FOLDER
     --db sqlite:///soundscale.db --run 5 [--minutes 10] [--rounds 3] [--cut consecutive]

`--base` is the untrained checkpoint at 30 s exported to CTranslate2 in int8, which faster-whisper and `transcribe`
both take as it is; `--model` are folders to compare beside it (the planner's choice). The speech is the run's test
clips, once in order and then again until it is as long as asked. Each way hears all of it in a round, and the ways
take turns; the time is that of the processor, whose least of all rounds is shown, beside the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from planner.store import read
from planner.store.engine import open_store
from runner.data.audio import SAMPLE_RATE
from runner.data.packing import load_clip
from runner.engines.runtime import open_folder
from runner.sweep.file import parse_spec
from runner.trial.examples import corpus_of
from runner.trial.metrics import normaliser, word_counts

BATCH = 8
"""Windows decoded together: what both take by default."""
GAP_SECONDS = 0.5


def speech(db: str, run_id: int, minutes: float) -> tuple[np.ndarray, str]:
    """Test clips of a run one after another, and their text."""
    store = open_store(db)
    row = read.run(store, run_id)
    spec = parse_spec(json.loads(read.sweep_specs(store, row.trial_id)[-1]), "stored")
    clips = corpus_of(row.trial, spec.data_request).test
    out, texts, seconds, place = [], [], 0.0, 0
    while seconds < 60 * minutes:
        clip = clips[place % len(clips)]
        out += [load_clip(clip), np.zeros(round(GAP_SECONDS * SAMPLE_RATE), dtype=np.float32)]
        texts.append(clip.reference)
        seconds += clip.audio_seconds + GAP_SECONDS
        place += 1
    return np.concatenate(out), " ".join(texts)


def faster_whisper(folder: Path) -> Callable[[np.ndarray], str]:
    """faster-whisper's batched pipeline, greedy, with its own cutting by Silero."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    pipeline = BatchedInferencePipeline(model)

    def hear(samples: np.ndarray) -> str:
        found, _ = pipeline.transcribe(
            samples, language="en", beam_size=1, without_timestamps=True, batch_size=BATCH,
            temperature=0.0,
        )  # fmt: skip
        return " ".join(one.text.strip() for one in found)

    return hear


def main() -> None:
    """One line a way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--db", required=True)
    parser.add_argument("--run", type=int, required=True)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--cut", action="append", default=[])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    samples, reference = speech(asked.db, asked.run, asked.minutes)
    ways: dict[str, Callable[[np.ndarray], str]] = {
        "faster-whisper, batched": faster_whisper(asked.base)
    }
    for folder in (asked.base, *asked.model):
        model = open_folder(folder)
        about = model.about
        name = f"{about.backbone} {about.audio_seconds:g} s {about.reduction} {about.engine} {about.precision}"
        for cut in asked.cut or ["consecutive"]:
            ways[f"{name}, {cut}"] = lambda s, m=model, c=cut: (
                m.transcribe(s, cut=c, at_once=BATCH).text
            )
    _measure(ways, samples, reference, asked.rounds)


def _measure(
    ways: dict[str, Callable[[np.ndarray], str]], samples: np.ndarray, reference: str, rounds: int
) -> None:
    norm = normaliser("whisper-english")
    cpu, wall = ({name: [] for name in ways} for _ in range(2))
    errors: dict[str, float] = {}
    for hear in ways.values():
        hear(samples[: 40 * SAMPLE_RATE])
    for _ in range(rounds):
        for name, hear in ways.items():
            began, busy = time.perf_counter(), time.process_time()
            text = hear(samples)
            cpu[name].append(time.process_time() - busy)
            wall[name].append(time.perf_counter() - began)
            counts = word_counts(norm(reference), norm(text))
            errors[name] = counts.n_errors / counts.n_units
    seconds = len(samples) / SAMPLE_RATE
    first = next(iter(ways))
    print(f"{seconds:.0f} s of speech, {rounds} rounds, batch {BATCH}, one thread")
    for name in ways:
        ratio = min(cpu[name]) / min(cpu[first])
        print(
            f"{name:60s} {min(cpu[name]):6.1f} CPU s ({ratio:.2f}x) {min(wall[name]):6.1f} s by the clock, "
            f"RTFx {seconds / min(cpu[name]):5.1f}, WER {100 * errors[name]:5.2f} %"
        )


if __name__ == "__main__":
    main()
