"""What it gains to cut recordings at silence: word errors, windows and time of each way to cut.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/cutting_gain.py --db sqlite:///soundscale.db --run 5 [--run 10]
     [--to ctranslate2] [--precision int8] [--gain 0.01]

The test clips of a run, each prompt once, in recordings of about a minute with pauses as in talk (lognormal,
median 0.6 s, at most 5 s, over a hiss at -66 dB). Every way hears every recording before the next one (interleaved,
one thread); differences are paired by recording, and lost words are deletions.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from planner.store import read
from planner.store.engine import open_store
from runner.data.audio import SAMPLE_RATE
from runner.data.packing import load_clip
from runner.engines.cutting import CUTS
from runner.engines.formats import FORMATS, precision_of
from runner.engines.runtime import open_folder
from runner.engines.trained import load_trained
from runner.engines.writing.export import write_export
from runner.sweep.file import parse_spec
from runner.trial.examples import corpus_of
from runner.trial.metrics import normaliser, rate_std_error, word_counts

RECORDING_SECONDS = 60.0
HISS = 5e-4


def recordings(clips: Sequence[object], gain: float, seed: int = 0) -> list[tuple[np.ndarray, str]]:
    """Recordings of the clips' prompts with random pauses, and their texts."""
    rng = np.random.default_rng(seed)
    prompts = [part for clip in clips for part in (clip.parts or (clip,))]
    out, held, texts, seconds = [], [], [], 0.0
    for place, prompt in enumerate(prompts):
        pause = min(5.0, rng.lognormal(np.log(0.6), 0.8))
        held += [load_clip(prompt), np.zeros(round(pause * SAMPLE_RATE), dtype=np.float32)]
        texts.append(prompt.reference)
        seconds += len(held[-2]) / SAMPLE_RATE + pause
        if seconds >= RECORDING_SECONDS or place == len(prompts) - 1:
            samples = np.concatenate(held)
            samples = samples + HISS * rng.standard_normal(len(samples))
            samples = np.round(gain * samples * 32768) / 32768
            out.append((samples.astype(np.float32), " ".join(texts)))
            held, texts, seconds = [], [], 0.0
    return out


def main() -> None:
    """One table for each run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--db", required=True)
    parser.add_argument("--run", type=int, action="append", required=True)
    parser.add_argument("--to", default="ctranslate2")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--gain", type=float, default=1.0)
    asked = parser.parse_args()
    store = open_store(asked.db)
    for run_id in asked.run:
        _one(store, run_id, asked)


def _one(store: object, run_id: int, asked: argparse.Namespace) -> None:
    row = read.run(store, run_id)
    spec = parse_spec(json.loads(read.sweep_specs(store, row.trial_id)[-1]), "stored")
    clips = corpus_of(row.trial, spec.data_request).test
    heard = recordings(clips, asked.gain)
    with tempfile.TemporaryDirectory() as scratch:
        form = FORMATS[asked.to]
        folder = Path(scratch) / "model"
        trained = load_trained(row.trial, Path(row.artifact))
        write_export(trained, form, precision_of(form, asked.precision), folder, lambda line: None)
        model = open_folder(folder)
        norm = normaliser(row.trial.normaliser)
        errors = {how: [] for how in CUTS}
        lost, windows, spent = (dict.fromkeys(CUTS, 0) for _ in range(3))
        units = []
        for place, (samples, reference) in enumerate(heard):
            said = norm(reference)
            units.append(len(said.split()))
            for how in CUTS:
                if not place:
                    model.transcribe(samples[: 5 * SAMPLE_RATE], cut=how)
                began = time.process_time()
                found = model.transcribe(samples, cut=how)
                spent[how] += time.process_time() - began
                counts = word_counts(said, norm(found.text))
                errors[how].append(counts.n_errors)
                lost[how] += counts.n_deletions
                windows[how] += len(found.windows)
    seconds = sum(len(samples) for samples, _ in heard) / SAMPLE_RATE
    print(
        f"\n{row.trial.label}, {asked.to} {asked.precision}, gain {asked.gain:g}: {len(heard)} recordings, "
        f"{seconds:.0f} s, {sum(units)} words"
    )
    for how in CUTS:
        difference = [a - b for a, b in zip(errors[how], errors["consecutive"], strict=True)]
        spread, _ = rate_std_error(difference, units, [None] * len(units))
        n = sum(units)
        print(
            f"{how:12s} WER {100 * sum(errors[how]) / n:5.2f} % ({100 * sum(difference) / n:+.2f} ± "
            f"{196 * (spread or 0):.2f}) lost {100 * lost[how] / n:5.2f} % {windows[how]:4d} windows "
            f"{spent[how]:6.1f} CPU s, RTFx {seconds / spent[how]:.1f}"
        )


if __name__ == "__main__":
    main()
