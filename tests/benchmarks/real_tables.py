"""Intervals of fits against what public tables really went on to show.

Run: python tests/benchmarks/real_tables.py [tune|test]

Three kinds of tables. Curves: one model's error along training; the first 60 % of its rows are fitted, the
rest asked for. Few rows: every group of a small table, the costliest quarter asked for. Many axes: whole
tables with several axes, the official test rows or the costliest fifth asked for.

The split was written down before anything was tuned: `tune` are the Gemstones' curves of the first
hundred billion tokens, every second curve of vocab (even numbers), every second short-form set of the two
families of English recognisers (even places), and slim_chinchilla and vocab as tables of many axes; `test` is
all else here: the curves of the learning-rate ablation and of data_constrained, the odd curves of vocab, LLaVA's
groups, the speech tables of same2026, the odd short-form sets and all long-form ones, and the other tables of
many axes. That are 13 tables of 8 sources, three of them of speech.
"""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from fit_data import DATA, available, chinchilla

from planner.errors import FitError
from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations

SHOWN = 0.6
LEAST_ROWS = 8
MOST_CURVES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A table to fit and the rows that are asked for."""

    table: str
    kind: str
    known: Observations
    x: np.ndarray
    error: np.ndarray


def _csv(name: str) -> list[dict[str, str]]:
    with (DATA / name).open() as lines:
        return list(csv.DictReader(lines))


def _jsonl(name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (DATA / name).open()]


def _asked(
    table: str, kind: str, axes: tuple[str, ...], x: np.ndarray, error: np.ndarray, last: np.ndarray
) -> Asked:
    known = Observations(axes=axes, x=x[~last], error=error[~last])
    return Asked(table=table, kind=kind, known=known, x=x[last], error=error[last])


def _curve(table: str, x: np.ndarray, error: np.ndarray) -> Asked | None:
    order = np.argsort(x, kind="stable")
    x, error = x[order], error[order]
    if len(np.unique(x)) < LEAST_ROWS:
        return None
    last = np.arange(len(x)) >= round(SHOWN * len(x))
    return _asked(table, "curves", ("data",), x[:, None], error, last)


def _gemstones(name: str) -> Iterator[Asked]:
    rows = sorted(
        _jsonl(f"gemstones/wandb_df_for_fitting_{name}.jsonl"), key=lambda r: str(r["run_name"])
    )
    for _, run in itertools.groupby(rows, key=lambda r: str(r["run_name"])):
        one = list(run)
        made = _curve(
            name, np.array([r["tokens"] for r in one]), np.array([r["final_loss"] for r in one])
        )
        if made is not None:
            yield made


def _bench_curves(name: str, held: tuple[str, ...], along: str, error: str) -> list[Asked]:
    rows = _csv(f"scalebench/{name}_scaling_law.train.csv")
    rows.sort(key=lambda r: tuple(float(r[a]) for a in held))
    out = []
    for _, run in itertools.groupby(rows, key=lambda r: tuple(r[a] for a in held)):
        one = list(run)
        made = _curve(name, *(np.array([float(r[c]) for r in one]) for c in (along, error)))
        if made is not None:
            out.append(made)
    return out


def _many(name: str, axes: tuple[str, ...], error: str) -> Asked:
    train, test = (_csv(f"scalebench/{name}_scaling_law.{part}.csv") for part in ("train", "test"))
    x = np.array([[float(r[a]) for a in axes] for r in train + test])
    y = np.array([float(r[error]) for r in train + test])
    return _asked(name, "many axes", axes, x, y, np.arange(len(x)) >= len(train))


def _costliest(table: str, kind: str, known: Observations, share: float) -> Asked:
    cost = np.log(known.x).sum(1)
    last = np.argsort(np.argsort(cost, kind="stable")) >= round((1 - share) * len(cost))
    return _asked(table, kind, known.axes, known.x, known.error, last)


def _few() -> Iterator[Asked]:
    rows = _csv("llava_tokens_n_v/runs.csv")
    for task in sorted({r["task"] for r in rows}):
        one = [r for r in rows if r["task"] == task]
        x = np.array([[float(r["n_params_b"]), float(r["visual_tokens"])] for r in one])
        error = 1 - np.array([float(r["accuracy"]) for r in one])
        yield _costliest("llava", "few rows", Observations(axes=("n", "v"), x=x, error=error), 0.25)
    text = (resources.files("planner.evidence.published") / "same2026.csv").read_text("utf-8")
    speech = [r for r in csv.DictReader(text.splitlines()) if r.get("error") or r.get("wer")]
    for task in sorted({r["task"] for r in speech}):
        one = [r for r in speech if r["task"] == task]
        for name in sorted({r["backbone"] for r in one}):
            own = [r for r in one if r["backbone"] == name]
            x = np.array([float(r["audio_seconds"]) for r in own])
            if len(np.unique(x)) >= 4:
                error = np.array([float(r.get("error") or r["wer"]) for r in own])
                known = Observations(axes=("audio_seconds",), x=x[:, None], error=error)
                yield _costliest("same2026", "few rows", known, 0.25)


def _recognisers(form: str) -> Iterator[Asked]:
    """One family on one set of speech, by size: the largest model is asked for."""
    rows = [r for r in _speech() if r["form"] == form and r["family"] == "olmoasr"]
    for name in dict.fromkeys(r["set"] for r in rows):
        own = [r for r in rows if r["set"] == name]
        x = np.array([[float(r["params_millions"])] for r in own])
        error = np.array([float(r["wer_percent"]) / 100 for r in own])
        known = Observations(axes=("n_params",), x=x, error=error)
        yield _costliest(f"english asr, {form}", "few rows", known, 0.2)


def _speech() -> list[dict[str, str]]:
    table = Path(__file__).parents[1] / "fixtures" / "real_tables" / "english_asr.csv"
    return list(csv.DictReader(table.read_text().splitlines()))


def _gemstones_table(name: str, axes: tuple[str, ...] = ("width", "depth", "tokens")) -> Asked:
    rows = _jsonl(f"gemstones/wandb_df_for_fitting_{name}.jsonl")
    x = np.array([[r[a] for a in axes] for r in rows])
    error = np.array([r["final_loss"] for r in rows])
    return _costliest(name, "many axes", Observations(axes=axes, x=x, error=error), 0.2)


def asked(part: str) -> Iterator[Asked]:
    """The tables of one part of the split."""
    vocab = _bench_curves(
        "vocab",
        ("non_vocab_parameters", "vocab_size"),
        "num_characters",
        "unigram_normalized_loss",
    )
    if part == "tune":
        yield from itertools.islice(_gemstones("hot_100b+"), MOST_CURVES)
        yield from vocab[::2][:MOST_CURVES]
        yield from itertools.islice(_recognisers("short"), 0, None, 2)
        yield _gemstones_table("slim_chinchilla", ("params_active_precise", "tokens"))
        axes = ("non_vocab_parameters", "vocab_size", "num_characters")
        yield _many("vocab", axes, "unigram_normalized_loss")
        return
    yield from itertools.islice(_gemstones("lr_ablation_hot"), MOST_CURVES)
    yield from vocab[1::2][:MOST_CURVES]
    yield from _bench_curves("data_constrained", ("unique_tokens", "params"), "tokens", "loss")
    yield from _few()
    yield from itertools.islice(_recognisers("short"), 1, None, 2)
    yield from _recognisers("long")
    yield _many("data_constrained", ("unique_tokens", "params", "tokens"), "loss")
    yield _costliest("chinchilla", "many axes", chinchilla(), 0.2)
    yield _gemstones_table("cool_end")


def main(part: str = "test") -> None:
    """Share of rows that lie in the 90 % interval of a new run and of the mean, by table and kind."""
    if not available():
        return
    held: dict[str, list[tuple[int, int, int, float]]] = {}
    for one in asked(part):
        try:
            fit = fit_law(one.known, loss="log", link="log")
        except FitError:
            continue
        new, mean = fit.predict(one.x, 0.9, "new-run"), fit.predict(one.x)
        inside = [int(((p.low <= one.error) & (one.error <= p.high)).sum()) for p in (new, mean)]
        gap = float(np.abs(new.mean / one.error - 1).sum())
        for name in (one.kind, f"  {one.kind}: {one.table}"):
            held.setdefault(name, []).append((len(one.x), *inside, gap))
    for name in sorted(held, key=lambda k: (k.strip().split(":")[0], k.startswith(" "))):
        n, new_run, of_mean, gap = np.array(held[name]).sum(0)
        print(
            f"{name:34s} {len(held[name]):3d} fits, {n:5.0f} rows: new-run interval holds {new_run / n:.3f}, "
            f"the mean's {of_mean / n:.3f}, mean error {100 * gap / n:.2f} %"
        )


if __name__ == "__main__":
    main(*sys.argv[1:2])
