"""What listings and detail pages show: stored rows as plain values, costs recomputed beside them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence, Set
from functools import cache
from typing import Any

from sqlalchemy import Engine

from planner.costs.flops.forward import forward_flops
from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.errors import SoundscaleError
from planner.evidence.comparable import normaliser_of, older_rule, why_pooled
from planner.evidence.fit_report import StoredFit, warnings_of
from planner.laws.result import LawFit
from planner.service import fitting
from planner.service.sets_beside import set_rows
from planner.store import read
from planner.store.device_sheets import data_sheet
from planner.store.engine import opened
from planner.store.read import FitRow, PlanRow, RunRow
from planner.store.read_evidence import learned_runs
from planner.store.removal import note_of_removed, removed_runs
from planner.store.row_types import StoredLatency
from planner.store.scorings import scorings
from planner.words.catalogue import Catalogue
from planner.words.records import Reduction, canonical_json, to_json
from planner.words.scorers import versioned
from planner.words.told_apart import told_apart
from planner.words.units import format_flops

PAGE = 1000
"""Runs that are read at once where all of a long list are asked for."""


def runs(db: str | None, **filters: Any) -> list[dict[str, Any]]:
    """Runs as plain rows, FLOPs of one window under `exact/1` beside the measured numbers.

    `told_apart` says what a run has otherwise than another one that is listed with the same label. `filters` are
    those of `planner.store.read.runs`.
    """
    with opened(db, must_exist=True) as engine:
        return _listed(engine, read.catalogue(engine), filters)


def all_runs(db: str | None, **filters: Any) -> Iterator[list[dict[str, Any]]]:
    """As `runs`, a page after the other, however many there are: a page alone is held in memory.

    `told_apart` compares the runs of one page, and what changes while it is read may be listed or not.
    """
    with opened(db, must_exist=True) as engine:
        catalogue, after = read.catalogue(engine), 0
        while page := _listed(engine, catalogue, {**filters, "limit": PAGE, "after": after}):
            yield page
            after = page[-1]["run_id"]


def n_runs(db: str | None, **filters: Any) -> int:
    """How many runs there are to list."""
    with opened(db, must_exist=True) as engine:
        return read.n_runs(engine, **filters)


def _listed(engine: Engine, catalogue: Catalogue, filters: dict[str, Any]) -> list[dict[str, Any]]:
    rows = read.runs(engine, **filters)
    apart = told_apart([row.trial for row in rows])
    flops = cache(lambda key: _counted(catalogue, key))
    return [
        {**run_json(row, catalogue, flops), "told_apart": said or None}
        for row, said in zip(rows, apart, strict=True)
    ]


_FLAT = [f.name for f in dataclasses.fields(RunRow) if f.name not in ("trial", "trial_json")]

_Counted = tuple[str, float, Reduction, int, str, str]
"""Backbone, seconds, reduction, output tokens, padding and task: what FLOPs of a window depend on."""


def run_json(
    row: RunRow, catalogue: Catalogue, counted: Callable[[_Counted], int] | None = None
) -> dict[str, Any]:
    """One run as plain values; every key is a column's name. `counted` remembers FLOPs for a whole list."""
    trial = row.trial
    flat = {name: getattr(row, name) for name in _FLAT}
    flat = {k: v for k, v in flat.items() if v is None or isinstance(v, (str, int, float, bool))}
    return {
        "run_id": row.run_id,
        "trial_id": row.trial_id,
        "fingerprint": row.fingerprint or trial.fingerprint,
        "task": trial.task,
        "dataset": trial.dataset,
        "scorer": versioned(normaliser_of(row)) if trial.task == "asr" else None,
        "backbone": trial.backbone,
        "initialisation": trial.initialisation,
        "audio_seconds": trial.audio_seconds,
        "tokens_per_second": trial.reduction.tokens_per_second,
        "reduction": str(trial.reduction),
        "adaptation": str(trial.adaptation),
        "train_hours": trial.train_hours,
        "seed": trial.seed,
        **flat,
        "flops": window_flops(row, catalogue, counted),
        "flops_convention": "exact/1",
    }


def window_flops(
    row: RunRow, catalogue: Catalogue, counted: Callable[[_Counted], int] | None = None
) -> int | None:
    """Exact FLOPs of one window with the run's own mean output tokens; None without a count."""
    trial = row.trial
    tokens = row.mean_output_tokens
    if trial.task == "asr" and tokens is None:
        return None
    n_tokens = max(round(tokens or 0), 1) if trial.task == "asr" else 0
    key = trial.backbone, trial.audio_seconds, trial.reduction, n_tokens, trial.padding, trial.task
    return counted(key) if counted else _counted(catalogue, key)


def _counted(catalogue: Catalogue, key: _Counted) -> int:
    backbone, seconds, reduction, n_tokens, padding, task = key
    return forward_flops(
        catalogue.backbone(backbone), audio_seconds=seconds, reduction=reduction, n_output_tokens=n_tokens,
        padding=padding, task=task,
    ).total  # fmt: skip


def run_detail(db: str | None, run_id: int, *, utterances: bool = False) -> dict[str, Any]:
    """Everything stored about one run."""
    with opened(db, must_exist=True) as engine:
        row = read.run(engine, run_id)
        heard = heard_json(row) if row.trial.task == "asr" else {}
        detail = {**run_json(row, read.catalogue(engine)), **heard, "trial": to_json(row.trial)}
        detail["latencies"] = [latency_line(s) for s in read.latencies(engine, run_id=run_id)]
        if row.trial.task == "asr":
            detail["scorings"] = [to_json(s) for s in scorings(engine, run_id)]
        if on_sets := set_rows(engine, [row]):
            detail["test_sets"] = on_sets
        if utterances:
            detail["utterances"] = [to_json(u) for u in read.utterances(engine, run_id)]
        detail["steps"] = [to_json(s) for s in read.steps(engine, run_id)]
        return detail


def heard_json(row: RunRow) -> dict[str, Any]:
    """By which scorer a run's error is, and what may have spoilt it: cut, looping and doubtful texts."""
    details = row.evaluation_details
    at_cuts = details.get("n_errors_at_cuts")
    counted = {
        name: details.get(name)
        for name in (
            "cer", "n_windows", "n_windows_at_limit", "n_windows_looped", "n_windows_repeats_cut",
            "n_windows_decoded_again",
        )
    }  # fmt: skip
    return {
        "language": row.trial.language or "en",
        **counted,
        "utterances_at_limit": ", ".join(details.get("utterances_at_limit") or ()) or None,
        "share_of_errors_at_cuts": at_cuts / row.n_errors if at_cuts and row.n_errors else at_cuts,
        "errors_of_number_format_alone": ", ".join(details.get("number_format_only") or ()) or None,
    }


def latency_line(stored: StoredLatency) -> dict[str, Any]:
    """One measurement: of requests and of a window, and how quiet its device was."""
    m = stored.latency
    load = {True: "quiet", False: "under load", None: "not known"}[m.quiet]
    timed = m.request_p95_ms is not None
    return {
        "device": m.device.name,
        "p95_is_of": f"{m.n_requests} timed requests" if timed else "one repeated window",
        "request_p50_ms": m.request_p50_ms,
        "request_p95_ms": m.request_p95_ms,
        "share_above_p95": m.share_above_p95,
        "window_p50_ms": m.p50_ms,
        "window_p95_ms": m.p95_ms,
        "jitter": m.jitter,
        "processor_ms": m.processor_ms,
        "contention": m.contention,
        "load": load,
        "noise_floor": m.noise_floor,
        "n_samples": m.n_samples,
        "method": m.method,
        "measured_utc": stored.measured_utc,
    }


def fits(db: str | None, task: str | None = None) -> list[dict[str, Any]]:
    """Stored fits, latest last."""
    with opened(db, must_exist=True) as engine:
        return [fit_line(f) for f in read.fits(engine, task)]


def fit(db: str | None, fit_id: str) -> StoredFit:
    """One stored fit, reloaded bit for bit, with what is said of it and of its runs."""
    with opened(db, must_exist=True) as engine:
        row = read.fit(engine, fit_id)
        selection = json.loads(row.selection_json)
        fitted = LawFit.from_json(json.loads(row.fit_json))
        pooled = _why_pooled(engine, row, fitted) if older_rule(selection) else None
        used = {run_id for run_id, was_used, _ in row.runs if was_used}
        removed = note_of_removed(removed_runs(engine), used)
        said = _said_of(engine, row, fitted, selection)
    older = None if pooled is None else {"code": "older-rule", "message": pooled}
    notes = tuple(note for note in (*said, older, removed) if note is not None)
    return StoredFit(fit_id=row.fit_id, fit=fitted, selection=selection, notes=notes)


def _said_of(
    engine: Engine, row: FitRow, fitted: LawFit, selection: dict[str, Any]
) -> tuple[dict[str, str], ...]:
    """The warnings that the law's report had, made again from its runs; its own alone where some are gone."""
    split = selection.get("study", {}).get("split")
    try:
        report = fitting.fit(
            engine, row.task, axes=fitted.axes, fit_id=row.fit_id, test_set=split or None,
            run_ids=frozenset(run_id for run_id, _, _ in row.runs),
        )  # fmt: skip
    except SoundscaleError:
        return tuple({"code": w.code, "message": w.message} for w in fitted.warnings)
    return tuple(warnings_of(report))


def _why_pooled(engine: Engine, row: FitRow, fitted: LawFit) -> str | None:
    """What a law of an older rule pooled that is apart now, by the runs it was fitted to."""
    used = {run_id for run_id, was_used, _ in row.runs if was_used}
    study = json.loads(row.selection_json).get("study", {})
    rows = [r for r in learned_runs(engine, row.task, study.get("split")) if r.run_id in used]
    return why_pooled(rows, fitted.axes) if rows else None


def fit_line(row: FitRow) -> dict[str, Any]:
    """A stored fit as one line of a list."""
    keys = ("fit_id", "task", "metric", "law", "status", "n_runs", "objective", "created_utc")
    return {k: getattr(row, k) for k in keys}


def answers(db: str | None) -> list[dict[str, Any]]:
    """Stored answers, latest last, one line each."""
    with opened(db, must_exist=True) as engine:
        return answer_lines(engine, read.plans(engine))


def answer_lines(engine: Engine, rows: Sequence[PlanRow]) -> list[dict[str, Any]]:
    """Stored answers as lines of a list, each with how many of its runs were taken out since."""
    gone = set(removed_runs(engine))
    return [answer_line(row, gone) for row in rows]


def answer_line(row: PlanRow, removed: Set[int]) -> dict[str, Any]:
    """A stored answer as one line of a list."""
    answer = json.loads(row.answer_json)
    best = answer["best"]
    return {
        "answer_id": row.answer_id,
        "task": row.task,
        "limits": canonical_json(answer["query"]["limits"]),
        "best": best["label"] if best else None,
        "error": best["prediction"]["error"] if best else None,
        "fit_id": row.fit_id,
        "created_utc": row.created_utc,
        "rests_on_removed_runs": len(removed & set(answer.get("evidence", ()))),
    }


def answer(db: str | None, answer_id: str) -> dict[str, Any]:
    """One stored answer, as it was given; where it rests on runs that were taken out since, it says so."""
    with opened(db, must_exist=True) as engine:
        stored: dict[str, Any] = json.loads(read.plan(engine, answer_id).answer_json)
        if note := note_of_removed(removed_runs(engine), set(stored.get("evidence", ()))):
            stored["warnings"] = [note, *stored["warnings"]]
        return stored


def devices(db: str | None) -> list[dict[str, Any]]:
    """Devices with measurements."""
    with opened(db, must_exist=True) as engine:
        counts: dict[str, int] = {}
        for stored in read.latencies(engine):
            name = stored.latency.device.name
            counts[name] = counts.get(name, 0) + 1
        return [
            {
                **to_json(d),
                "n_latencies": counts.get(d.name, 0),
                "known_by": known_by(counts.get(d.name, 0), data_sheet(engine, d.name) is not None),
            }
            for d in read.devices(engine)
        ]


def known_by(n_latencies: int, sheet: bool) -> str:
    """What predictions on a device rest on, in words."""
    parts = ["measurements"] if n_latencies else []
    return " and ".join([*parts, *(["data sheet"] if sheet else [])]) or "nothing yet"


def sheet_rows() -> list[dict[str, Any]]:
    """The built-in data sheets, as rows like those of `devices`."""
    return [
        {
            "name": s.name, "kind": s.kind, "model": "built-in data sheet", "n_latencies": 0,
            "memory_bytes": s.memory_bytes, "known_by": "data sheet", "peak_flops": s.peak_flops,
            "bandwidth": s.bandwidth, "dtype": s.dtype,
            "peak": format_flops(s.peak_flops), "reach": f"{s.bandwidth / 1e9:,.0f} GB",
        }
        for s in DATA_SHEETS.values()
    ]  # fmt: skip
