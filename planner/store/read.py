"""Reading the store: every question that the rest of the program asks of it, under one name."""

from __future__ import annotations

from planner.store.backbones import catalogue
from planner.store.best_run import best_run
from planner.store.read_fits import (
    best_latencies,
    devices,
    find_fit,
    fit,
    fits,
    latencies,
    plan,
    plans,
)
from planner.store.read_runs import (
    attempts,
    evaluations,
    latest_on_device,
    n_runs,
    run,
    run_on,
    runs,
    steps,
    utterance_sizes,
    utterances,
)
from planner.store.read_sweeps import (
    sweep_id_of,
    sweep_specs,
    sweep_status,
    sweeps,
    trial_states,
)
from planner.store.row_types import (
    FitRow,
    PlanRow,
    RunRow,
    StoredLatency,
    SweepRow,
    SweepStatus,
    TrialStatus,
)

__all__ = [
    "FitRow",
    "PlanRow",
    "RunRow",
    "StoredLatency",
    "SweepRow",
    "SweepStatus",
    "TrialStatus",
    "attempts",
    "best_latencies",
    "best_run",
    "catalogue",
    "devices",
    "evaluations",
    "find_fit",
    "fit",
    "fits",
    "latencies",
    "latest_on_device",
    "n_runs",
    "plan",
    "plans",
    "run",
    "run_on",
    "runs",
    "steps",
    "sweep_id_of",
    "sweep_specs",
    "sweep_status",
    "sweeps",
    "trial_states",
    "utterance_sizes",
    "utterances",
]
