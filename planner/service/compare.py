"""Runs compared on the utterances that all of them were scored on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.errors import InputError
from planner.evidence.paired import scored, segments, signs
from planner.evidence.paired.difference import (
    LEAST_SPEAKERS,
    Difference,
    Pair,
    bootstrap,
    clusters,
    detectable,
    difference,
    utterances_needed,
)
from planner.evidence.paired.scored import SameSet, ScoredRun
from planner.service.compare_words import ALPHA, verdict
from planner.store import read
from planner.store.engine import opened
from planner.words.records import Utterance, to_json
from planner.words.several import holm

MAX_RUNS = 20
"""Runs in one comparison: a table that can still be read, and work that ends in seconds."""
N_DECIDING = 8
"""Utterances shown of each comparison, largest contribution first."""
MOST_DRAWN = 30_000_000
"""Utterances that a bootstrap draws in all: a second; beyond 3,000 there are fewer draws."""
SEED = 0
"""Of the bootstrap, so that an answer is the same each time."""


def compare(
    db: str | None,
    run_ids: Sequence[int],
    *,
    split: str = "test",
    level: float = 0.9,
    n_deciding: int = N_DECIDING,
) -> dict[str, Any]:
    """Each run against the first: difference with interval, p alone and among all, what decides.

    Args:
        db: the database.
        run_ids: two or more; the first is what the others are compared with.
        split: split that they were scored on.
        level: of the intervals.
        n_deciding: utterances listed of each comparison.

    Raises:
        InputError: a run is not there or has no utterances, or the runs were not scored alike.
    """
    _check(run_ids, level)
    with opened(db, must_exist=True) as engine:
        runs = [
            scored.scored_run(
                read.run(engine, i),
                read.evaluations(engine, i),
                read.utterances(engine, i, split),
                split,
            )
            for i in run_ids
        ]
    return compared(scored.same_set(runs), level, n_deciding)


def _check(run_ids: Sequence[int], level: float) -> None:
    if len(run_ids) > MAX_RUNS:
        raise InputError(f"at most {MAX_RUNS} runs can be compared at once, got {len(run_ids)}")
    if not 0.0 < level < 1.0:
        raise InputError(f"level must lie between 0 and 1, got {level!r}")


def compared(found: SameSet, level: float, n_deciding: int = N_DECIDING) -> dict[str, Any]:
    """The comparison as plain values."""
    first = found.runs[0]
    pairs = [scored.pair_of(found, 0, j) for j in range(1, len(found.runs))]
    differences = [difference(pair, level) for pair in pairs]
    adjusted = holm([d.p for d in differences])
    cluster, name = clusters(pairs[0].speakers)
    return {
        "task": first.row.trial.task,
        "metric": first.row.metric,
        "split": first.evaluation.split,
        "dataset": _dataset(first),
        "normaliser": first.normaliser,
        "n_utterances": len(found.utterances),
        "n_units": int(pairs[0].n_units.sum()),
        "n_broken": found.n_broken,
        "n_speakers": len({s for s in pairs[0].speakers if s is not None}) or None,
        "clustered_by": name,
        "n_clusters": int(cluster.max()) + 1,
        "level": level,
        "scope": _scope(pairs[0], name),
        "runs": [_run(r) for r in found.runs],
        "comparisons": [
            _comparison(found, j, pair, d, p_holm, n_deciding)
            for j, (pair, d, p_holm) in enumerate(
                zip(pairs, differences, adjusted, strict=True), 1
            )
        ],
    }  # fmt: skip


def _dataset(run: ScoredRun) -> str:
    """Where the utterances are from: a further test set's own source, or the trial's."""
    further = (run.evaluation.details or {}).get("test_set") or {}
    return str(further.get("dataset") or run.row.trial.dataset)


def _scope(pair: Pair, clustered_by: str) -> str:
    """What intervals and p are about, in words."""
    known = len({s for s in pair.speakers if s is not None})
    if clustered_by == "speaker":
        return f"new speech like it, from new speakers: {known} speakers are drawn"
    whose = "of unknown speakers" if not known else "of this one speaker"
    if known > 1:
        whose = f"of these {known} speakers (from {LEAST_SPEAKERS} on, speakers are drawn)"
    return f"new utterances {whose}: {len(pair.speakers)} utterances are drawn"


def _run(run: ScoredRun) -> dict[str, Any]:
    """One run on the shared utterances."""
    rows = run.utterances
    counts: dict[str, int | None] = {}
    for key in ("n_substitutions", "n_insertions", "n_deletions"):
        known = [getattr(u, key) for u in rows]
        counts[key] = None if None in known else sum(known)
    return {
        "run_id": run.row.run_id,
        "label": run.row.trial.label,
        "error": _rate(run),
        "n_errors": sum(u.n_errors for u in rows),
        **counts,
        "n_utterances_with_errors": sum(u.n_errors > 0 for u in rows),
    }


def _rate(run: ScoredRun) -> float:
    """The task's error on the utterances that are compared."""
    rows = run.utterances
    if run.row.trial.task == "asr":
        return sum(u.n_errors for u in rows) / sum(u.n_units for u in rows)
    wrong: dict[str, list[int]] = {}
    for u in rows:
        wrong.setdefault(u.reference, []).append(u.n_errors)
    return float(np.mean([np.mean(w) for w in wrong.values()]))


def _comparison(
    found: SameSet, j: int, pair: Pair, d: Difference, p_holm: float, n_deciding: int
) -> dict[str, Any]:
    ids = found.runs[0].row.run_id, found.runs[j].row.run_id
    apart = p_holm < ALPHA
    better = None if not apart else ids[1] if d.difference < 0 else ids[0]
    out: dict[str, Any] = {
        "run_id": ids[1],
        "against_run_id": ids[0],
        "difference": d.difference,
        "low": d.low if math.isfinite(d.low) else None,
        "high": d.high if math.isfinite(d.high) else None,
        "std_error": d.std_error,
        "p": d.p,
        "p_holm": p_holm,
        "test": f"Student's t of the paired difference by {d.clustered_by}",
        "p_improvement": d.p_improvement,
        "told_apart": apart,
        "better_run_id": better,
        "n_differing": pair.n_differing,
        "detectable": detectable(d),
        "utterances_for_one_point": utterances_needed(pair, d, 0.01),
        "tests": _tests(found, j, pair, d.level),
        "deciding": _deciding(found, j, pair, n_deciding),
    }
    if found.labels:
        out["classes"] = _classes(found, j, d.level)
    out["verdict"] = verdict(out, len(found.runs) - 1)
    return out


def _tests(found: SameSet, j: int, pair: Pair, level: float) -> dict[str, Any]:
    """The other tests, each by what it is of."""
    kind, n = clusters(pair.speakers)[1], len(pair.speakers)
    draws = min(10_000, max(MOST_DRAWN // n, 1_000))
    resampled = bootstrap(pair, np.random.default_rng(SEED), level, draws)
    less, more = (pair.second < pair.first), (pair.second > pair.first)
    fixed = (pair.second == 0) & (pair.first > 0)
    broken = (pair.second > 0) & (pair.first == 0)
    units, name = _by_cluster(pair)
    out = {
        "bootstrap": {**to_json(resampled), "of": kind},
        "mcnemar": {
            "n_only_first": int(fixed.sum()), "n_only_second": int(broken.sum()),
            "p": signs.sign_test(int(fixed.sum()), int(broken.sum())), "of": "utterances with errors",
        },
        "sign": {
            "n_less": int(less.sum()), "n_more": int(more.sum()),
            "p": signs.sign_test(int(less.sum()), int(more.sum())), "of": "utterance",
        },
        "wilcoxon": {"p": signs.wilcoxon(units), "of": name},
    }  # fmt: skip
    if not found.labels:
        cut, n_cut = scored.segments_of(found, 0, j)
        out["mapsswe"] = {
            **to_json(segments.mapsswe(cut)), "of": "segment", "n_utterances_cut": n_cut,
            "aligner": segments.ALIGNER,
        }  # fmt: skip
    return out


def _by_cluster(pair: Pair) -> tuple[np.ndarray, str]:
    """Differences of rates by speaker where speakers are drawn (as sc_stats), else by utterance."""
    cluster, name = clusters(pair.speakers)
    errors = np.bincount(cluster, weights=pair.second - pair.first)
    units = np.bincount(cluster, weights=pair.n_units)
    # Rounded, so that equal rates share their rank.
    return np.round(errors[units > 0] / units[units > 0], 12), name


def _deciding(found: SameSet, j: int, pair: Pair, n: int) -> list[dict[str, Any]]:
    """Utterances with the largest contributions, of either sign."""
    order = np.argsort(-np.abs(pair.points), kind="stable")[:n]
    out = []
    for i in order:
        if pair.points[i] == 0.0:
            break
        one, other = found.runs[0].utterances[i], found.runs[j].utterances[i]
        words = not found.labels
        out.append(
            {
                "utterance_id": one.utterance_id, "speaker": one.speaker, "n_units": one.n_units,
                "n_errors_first": one.n_errors, "n_errors": other.n_errors,
                "contribution": float(pair.points[i]), "reference": one.reference,
                "hypothesis_first": one.hypothesis, "hypothesis": other.hypothesis,
                "words_first": _words(one) if words else None,
                "words": _words(other) if words else None,
            }
        )  # fmt: skip
    return out


def _words(utterance: Utterance) -> list[list[str]]:
    """The alignment to show: `=`, `s`, `d` or `i`, the word said, the word heard."""
    ops = segments.align(
        segments.plain_words(utterance.reference), segments.plain_words(utterance.hypothesis)
    )
    return [list(op) for op in ops]


def _classes(found: SameSet, j: int, level: float) -> list[dict[str, Any]]:
    """Recall of each class in both runs with Jeffreys' intervals, and McNemar's p between them."""
    out = []
    for label in found.labels:
        both = [
            (a.n_errors == 0, b.n_errors == 0)
            for a, b in zip(found.runs[0].utterances, found.runs[j].utterances, strict=True)
            if a.reference == label
        ]
        right = sum(a for a, _ in both), sum(b for _, b in both)
        intervals = [signs.jeffreys(k, len(both), level) for k in right]
        only = sum(a and not b for a, b in both), sum(b and not a for a, b in both)
        out.append(
            {
                "label": label, "n": len(both),
                "recall_first": right[0] / len(both), "recall_first_interval": list(intervals[0]),
                "recall": right[1] / len(both), "recall_interval": list(intervals[1]),
                "p": signs.sign_test(*only),
            }
        )  # fmt: skip
    return out


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One flat row a run, for CSV and JSON lines; the first has no difference."""
    keys = ("difference", "low", "high", "p", "p_holm", "p_improvement", "told_apart")
    by_run = {c["run_id"]: c for c in found["comparisons"]}
    out = []
    for run in found["runs"]:
        other = by_run.get(run["run_id"], {})
        tests = {f"p_{name}": t["p"] for name, t in other.get("tests", {}).items()}
        names = found["comparisons"][0]["tests"]
        out.append(
            {
                **run, **{k: other.get(k) for k in keys}, "level": found["level"],
                **{f"p_{name}": tests.get(f"p_{name}") for name in names},
            }
        )  # fmt: skip
    return out
