"""`sweep latency`, and the end of `sweep run`: the stage that measures, on this host or on each of a cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from planner.errors import SoundscaleError
from planner.store import read
from planner.store.engine import opened
from planner.words.told_apart import full_labels
from runner.campaign.each_host import on_each_host
from runner.campaign.notice import sigterm_interrupts
from runner.probing.stage import StageOutcome, StageRequest, measure
from runner.sweep.report import stage_line, stage_row

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRequest:
    """What `sweep latency` is asked for; see `runner.probing.stage.StageRequest`."""

    sweep: str
    ray_address: str = "none"
    only_here: bool = False
    seconds: float | None = None
    again: bool = False
    engines: tuple[str, ...] = ()


def after_training(
    db: str, sweep: str, ray_address: str, say: Say, engines: tuple[str, ...] = ()
) -> None:
    """Measure what a campaign trained; where it cannot be, say so and leave what was taken beside training."""
    joined = "none" if ray_address == "local" else ray_address
    request = LatencyRequest(sweep=sweep, ray_address=joined, only_here=True, engines=engines)
    try:
        run(db, request, say)
    except SoundscaleError as problem:
        say(f"latency: {problem}")


def run(db: str, request: LatencyRequest, say: Say) -> list[StageOutcome]:
    """The stage on this host, or one after the other on each host of a cluster.

    Raises:
        SoundscaleError: as `runner.probing.stage.measure`.
        KeyboardInterrupt: Ctrl-C or SIGTERM; finished turns are stored.
    """
    try:
        with sigterm_interrupts():
            if request.ray_address in ("local", "none"):
                outcomes = [_here(db, request, say)]
            else:
                outcomes = on_each_host(request.ray_address, _there, db, request)
    except KeyboardInterrupt:
        say(
            "latency: stopped; finished turns are stored. To go on: the same command again, or "
            f"soundscale sweep latency {request.sweep}"
        )
        raise
    for outcome in outcomes:
        if outcome.stage is not None:
            say(stage_line(stage_row(outcome.stage)))
    return outcomes


def _here(db: str, request: LatencyRequest, say: Say) -> StageOutcome:
    asked = StageRequest(
        sweep=request.sweep,
        host=socket.gethostname(),
        only_here=request.only_here,
        seconds=request.seconds,
        again=request.again,
        engines=request.engines,
    )
    with opened(db, must_exist=True) as engine:
        return measure(engine, asked, say)


def _there(db: str, request: LatencyRequest) -> StageOutcome:
    """On a node of a cluster: only what was trained on it, as its device is another one."""
    return _here(db, replace(request, only_here=True), lambda line: None)


def rows(db: str, sweep: str) -> list[dict[str, Any]]:
    """What counts of each finished run's latency (`planner.store.read.best_latencies`)."""
    names = (
        "request_p50_ms", "request_p95_ms", "share_above_p95", "p50_ms", "p95_ms", "noise_floor",
        "contention", "quiet", "n_requests", "n_samples", "method",
    )  # fmt: skip
    with opened(db, must_exist=True) as engine:
        best = read.best_latencies(engine)
        found = [r for r in read.runs(engine, sweep=sweep, status="finished") if r.run_id in best]
    labels = full_labels([run.trial for run in found])
    return [
        {"run_id": run.run_id, "label": label}
        | {name: getattr(best[run.run_id].latency, name) for name in names}
        for run, label in zip(found, labels, strict=True)
    ]
