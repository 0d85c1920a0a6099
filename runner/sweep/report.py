"""What trials are expected to take and what they took, as rows, columns and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from planner.words.told_apart import full_labels
from planner.words.units import format_bytes, format_duration, format_flops

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.forecasts import ForecastRow
    from planner.store.latency_stages import StageRow

FORECAST_COLUMNS = (
    ("label", "trial"),
    ("state", "state"),
    ("window_flops", "a window"),
    ("train_flops", "training"),
    ("score_flops", "scoring"),
    ("trial_seconds", "time, 90 %"),
    ("peak_memory_bytes", "memory, 90 %"),
)
REPORT_COLUMNS = (
    ("label", "trial"),
    ("state", "state"),
    ("planned_trial_seconds", "time planned, 90 %"),
    ("trial_seconds", "took"),
    ("planned_peak_memory_bytes", "memory planned, 90 %"),
    ("peak_memory_bytes", "peak"),
    ("planned_train_flops", "FLOPs planned"),
    ("train_flops", "counted"),
)


def shown_forecast(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a dry run for people."""
    shown = dict(row)
    for key in ("window_flops", "train_flops", "score_flops"):
        shown[key] = format_flops(row[key])
    shown["trial_seconds"] = _interval(row["trial_seconds"], format_duration)
    memory = _interval(row["peak_memory_bytes"], format_bytes)
    shown["peak_memory_bytes"] = memory if row["fits"] else "does not fit"
    return shown


def total_line(total: Mapping[str, Any]) -> str:
    """`21 trials on h100 (datasheet): 34 h [9 h, 130 h] of device time, …`."""
    if not total["n_trials"]:
        return "nothing is left to run"
    device = f"{total['n_trials']} trials on {total['device']}"
    why = {
        "measured": f"from the latest {total['n_earlier_trials']} trials there",
        "datasheet": "from peak FLOP/s and assumptions alone; a first trial narrows it",
        "assumption": "from assumptions alone; a first trial narrows it, or: soundscale devices add",
    }[total["source"]]
    together = _interval(total["trial_seconds"], format_duration)
    clock = _interval(total["wall_seconds"], format_duration)
    return f"{device}: {together} of device time, {clock} by the clock with {total['workers']} at once ({why})"


def report(engine: Engine, name: str) -> dict[str, Any]:
    """Every trial of a sweep, planned against actual, and how many intervals held.

    Raises:
        UnknownNameError: no sweep has the name.
    """
    from planner.store.forecasts import of_sweep
    from planner.store.latency_stages import stages
    from planner.store.read import runs, sweep_id_of
    from runner.sweep import beside

    sweep_id = sweep_id_of(engine, name)
    forecasts = of_sweep(engine, sweep_id)
    labels = full_labels([row.trial for row in forecasts])
    rows = [_row(row) | {"label": said} for row, said in zip(forecasts, labels, strict=True)]
    measured = [stage_row(stage) for stage in stages(engine, sweep_id)]
    finished = runs(engine, sweep=name, status="finished")
    in_engines = beside.engine_rows(engine, finished)
    return {
        "name": name, "trials": rows, "latency_stages": measured, "engines": in_engines,
        "references": beside.reference_rows(engine, finished, in_engines),
        "summary": _summary(rows),
    }  # fmt: skip


def stage_row(stage: StageRow) -> dict[str, Any]:
    """A stage of latency as plain values: what it took, how noisy it was, what it left out."""
    row = asdict(stage)
    details = row.pop("details")
    return row | {
        "n_contestants": len(details.get("contestants", ())),
        "left_out": details.get("left_out", []),
    }


def stage_line(stage: Mapping[str, Any]) -> str:
    """`latency on node-a: 12 configurations in 6 rounds, 44 s (9 % of training) · A against A 1.2 % …`."""
    share = stage["seconds"] / stage["sweep_seconds"] if stage["sweep_seconds"] else 0.0
    state = "" if stage["state"] == "finished" else " so far, cut off"
    parts = [
        f"latency on {stage['host']}: {stage['n_contestants']} configurations in {stage['n_rounds']} "
        f"rounds{state}, {format_duration(stage['seconds'])}, {100 * share:.0f} % of the training"
    ]
    if stage["noise_floor"] is not None:
        parts.append(
            f"A against A {100 * stage['noise_floor']:.1f} %, at most "
            f"{100 * stage['noise_floor_largest']:.1f} %"
        )
    if stage["share_above_p95"] is not None:
        parts.append(f"{100 * stage['share_above_p95']:.0f} % of requests above the stated p95")
    if stage["left_out"]:
        parts.append("left out: " + "; ".join(stage["left_out"]))
    return " · ".join(parts)


def _row(row: ForecastRow) -> dict[str, Any]:
    planned = row.forecast
    return {
        "trial_id": row.trial_id,
        "label": row.trial.label,
        "state": row.state,
        "run_id": row.run_id,
        "planned_device": planned.device if planned else None,
        "planned_source": planned.source if planned else None,
        "planned_train_flops": planned.train_flops if planned else None,
        "planned_trial_seconds": asdict(planned.trial_seconds) if planned else None,
        "planned_peak_memory_bytes": asdict(planned.peak_memory_bytes) if planned else None,
        "device": row.device,
        "train_flops": row.train_flops,
        "train_seconds": row.train_seconds,
        "trial_seconds": row.trial_seconds,
        "peak_memory_bytes": row.peak_memory_bytes,
    }


def _summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {"n_trials": len(rows)}
    for key in ("trial_seconds", "peak_memory_bytes"):
        pairs = [(r[f"planned_{key}"], r[key]) for r in rows if r[f"planned_{key}"] and r[key]]
        held = [p["low"] <= value <= p["high"] for p, value in pairs]
        planned, actual = sum(p["value"] for p, _ in pairs), sum(v for _, v in pairs)
        out[key] = {
            "n_compared": len(pairs),
            "n_inside": sum(held),
            "actual_over_planned": actual / planned if planned else None,
        }
    return out


def summary_line(summary: Mapping[str, Any]) -> str:
    """How many of the intervals held, and by what the totals differ."""
    parts = []
    for key, word in (("trial_seconds", "time"), ("peak_memory_bytes", "memory")):
        compared = summary[key]
        if compared["n_compared"]:
            ratio = compared["actual_over_planned"]
            parts.append(
                f"{word}: {compared['n_inside']} of {compared['n_compared']} inside the 90 % interval, "
                f"in all {ratio:.2f}x the plan"
            )
    return " · ".join(parts) or "no finished trial has a forecast to compare with"


def shown_outcome(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a report for people."""
    shown = dict(row)
    for key, show in (
        ("trial_seconds", format_duration),
        ("peak_memory_bytes", format_bytes),
        ("train_flops", format_flops),
    ):
        planned = row[f"planned_{key}"]
        shown[key] = None if row[key] is None else show(row[key])
        if planned is not None:
            shown[f"planned_{key}"] = (
                _interval(planned, show) if isinstance(planned, dict) else show(planned)
            )
    return shown


def _interval(interval: Mapping[str, float], show: Any) -> str:
    return f"{show(interval['value'])} [{show(interval['low'])}, {show(interval['high'])}]"
