"""Beside a sweep's trials: what they came to in engines, and what users would take without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.store import read
from planner.store.engine_results import EngineResult, engine_latencies, engine_results
from planner.words.engine_records import OWN_ENGINE
from planner.words.told_apart import full_labels
from planner.words.units import format_bytes, format_ms
from runner.trial.metrics import rate_std_error

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.row_types import RunRow

LESS = 0.95
"""Share of the untrained checkpoint's latency from which a run is quicker (assumption: they repeat within 5 %)."""

ENGINE_COLUMNS = (
    ("label", "trial"),
    ("engine", "engine"),
    ("precision", "precision"),
    ("error", "error"),
    ("n_equal_texts", "texts as in torch"),
    ("request_p50_ms", "p50 of requests"),
    ("request_p95_ms", "p95"),
    ("size_bytes", "size"),
    ("peak_memory_bytes", "memory"),
)


def engine_rows(engine: Engine, rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """One row a run, engine and precision: errors, texts equal to torch's, latency of requests, size, memory."""
    labels = dict(zip([r.run_id for r in rows], full_labels([r.trial for r in rows]), strict=True))
    timed = {
        (s.run_id, s.measured.engine, s.measured.latency.dtype): s.measured.latency
        for s in engine_latencies(engine)
    }
    found = []
    for one in engine_results(engine):
        if one.run_id in labels:
            latency = timed.get((one.run_id, one.engine, one.precision))
            found.append(_engine_row(one, labels[one.run_id], latency))
    return found


def _engine_row(one: EngineResult, label: str, latency: Any) -> dict[str, Any]:
    return {
        "run_id": one.run_id,
        "label": label,
        "engine": one.engine,
        "precision": one.precision,
        "error": one.error,
        "error_difference": one.error_difference,
        "error_difference_std_error": one.error_difference_std_error,
        "n_equal_texts": one.n_equal_texts,
        "n_utterances": one.n_utterances,
        "request_p50_ms": None if latency is None else latency.request_p50_ms,
        "request_p95_ms": None if latency is None else latency.request_p95_ms,
        "quiet": None if latency is None else latency.quiet,
        "size_bytes": one.size_bytes,
        "peak_memory_bytes": one.peak_memory_bytes,
    }


def shown_engine(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of an engine for people."""
    shown = dict(row)
    shown["error"] = f"{100 * row['error']:.2f} %"
    same = row["n_equal_texts"]
    shown["n_equal_texts"] = None if same is None else f"{same} of {row['n_utterances']}"
    for key, show in (
        ("request_p50_ms", format_ms), ("request_p95_ms", format_ms),
        ("size_bytes", format_bytes), ("peak_memory_bytes", format_bytes),
    ):  # fmt: skip
        shown[key] = None if row[key] is None else show(row[key])
    return shown


def reference_rows(
    engine: Engine, rows: Sequence[RunRow], in_engines: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each untrained checkpoint beside the trained run of fewest errors, on the same utterances.

    The difference is the trained run's error less the untrained one's, with 1.96 standard errors of the pairs; costs
    are each one's least p50 of requests, in whichever engine was timed.
    """
    scored = [r for r in rows if r.error is not None and r.provenance == "measured"]
    trained = [r for r in scored if r.trial.adaptation.kind != "none"]
    untrained = [r for r in scored if r.trial.adaptation.kind == "none"]
    if not (trained and untrained):
        return []
    best = min(trained, key=lambda r: (r.error, r.run_id))
    cost = _least_costs(engine, rows, in_engines)
    found = []
    for row in untrained:
        paired = _paired(engine, row, best)
        found.append(
            {
                "run_id": row.run_id,
                "label": row.trial.label,
                "error": row.error,
                "cost_ms": cost.get(row.run_id, (None, None))[0],
                "engine": cost.get(row.run_id, (None, None))[1],
                "best_run_id": best.run_id,
                "best_label": best.trial.label,
                "best_error": best.error,
                "best_cost_ms": cost.get(best.run_id, (None, None))[0],
                "best_engine": cost.get(best.run_id, (None, None))[1],
                "difference": paired[0],
                "difference_half": paired[1],
            }
        )
    return [row | {"verdict": verdict(row)} for row in found]


def _least_costs(
    engine: Engine, rows: Sequence[RunRow], in_engines: Sequence[Mapping[str, Any]]
) -> dict[int, tuple[float, str]]:
    """Each run's least p50 of requests (ms), and in which engine."""
    own = read.best_latencies(engine)
    found: dict[int, list[tuple[float, str]]] = {}
    for row in rows:
        latency = own[row.run_id].latency if row.run_id in own else None
        if latency is not None and latency.request_p50_ms is not None:
            found.setdefault(row.run_id, []).append((latency.request_p50_ms, OWN_ENGINE))
    for one in in_engines:
        if one["request_p50_ms"] is not None:
            name = f"{one['engine']} {one['precision']}"
            found.setdefault(one["run_id"], []).append((one["request_p50_ms"], name))
    return {run_id: min(costs) for run_id, costs in found.items()}


def _paired(engine: Engine, row: RunRow, best: RunRow) -> tuple[float | None, float | None]:
    """The best run's error less the other's on their common utterances, and half of its 95 % interval."""
    first = {u.utterance_id: u for u in read.utterances(engine, row.run_id) if not u.failure_text}
    second = [u for u in read.utterances(engine, best.run_id) if u.utterance_id in first]
    pairs = [(first[u.utterance_id], u) for u in second if not u.failure_text]
    units = [one.n_units for one, _ in pairs]
    if not sum(units):
        return None, None
    changed = [two.n_errors - one.n_errors for one, two in pairs]
    std_error, _ = rate_std_error(changed, units, [one.speaker for one, _ in pairs])
    half = None if std_error is None else 1.96 * std_error
    return sum(changed) / sum(units), half


def verdict(row: Mapping[str, Any]) -> str:
    """What training and shortening bought, or plainly that they bought nothing."""
    cost, mine, gap, half = (
        row[k] for k in ("cost_ms", "best_cost_ms", "difference", "difference_half")
    )
    cheaper = cost is not None and mine is not None and mine < LESS * cost
    told = gap is not None and half is not None and abs(gap) > half
    spent = ""
    if cost is not None and mine is not None:
        spent = (
            f", {format_ms(mine)} ({row['best_engine']}) in place of {format_ms(cost)} ({row['engine']}) "
            "a request"
        )
    if told and gap < 0:
        bought = "fewer errors" + (" and less time" if cheaper else "")
    elif cheaper:
        bought = "less time, " + ("at more errors" if told else "errors not told apart")
    else:
        bought = "nothing: take the untrained checkpoint"
    interval = "" if gap is None else f" {100 * gap:+.2f} points" + (
        "" if half is None else f" [{100 * (gap - half):+.2f}, {100 * (gap + half):+.2f}] (95 %)"
    )  # fmt: skip
    return (
        f"untrained {row['label']} makes {100 * row['error']:.2f} % errors; {row['best_label']}"
        f"{interval}{spent}: tuning and shortening buy {bought}"
    )
