"""The whole path on real speech: sweep -> store -> fit -> plan, from one command.

The only room of the runner that also calls the planner's use cases, to end with an answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from planner.cli.options import echo, echo_rows, talk, terminal_columns
from planner.errors import InfeasibleError
from planner.report import answer_brief, answer_text
from planner.service import asking, fitting
from planner.store.engine import opened
from planner.words.question import PlanQuery
from planner.words.units import format_duration, format_flops, format_ms
from runner import sweep_commands
from runner.campaign.drive import CampaignResult, absolute_db
from runner.commands.sweep_report import echo_beside
from runner.sweep_commands import RunRequest

QUESTION_FLOPS = 20e9
"""The budget that the quickstart asks about: FLOPs per utterance (that of `soundscale plan --flops 20G`)."""

QUESTION_LATENCY_MS = 2000.0
"""And the time: an answer within two seconds on this machine's CPU (ms per utterance)."""

COLUMNS = (
    ("label", "trial"),
    ("now", "result"),
    ("flops", "training"),
    ("latency", "latency p95"),
    ("minutes", "took"),
)


def run(db: str | None, request: RunRequest, spec: Path | None) -> None:
    """Train the sweep, then print what was trained, what was learnt and the answer.

    Raises:
        TrialsFailedError: trials failed; what was learnt from the others was printed.
        StoreError: the history of the sweep breaks a promise.
    """
    began = time.monotonic()
    request = replace(request, lenient=True)
    with _sweep_file(spec) as path:
        result, rows = sweep_commands.execute(path, db, request)
    _print_trained(db, rows)
    answer_id = None
    if result.n_finished:
        _print_learnt(db)
        _print_engines(db, result.name)
        answer_id = _print_answer(db)
    _print_where(db, result, time.monotonic() - began, answer_id)
    sweep_commands.audit_in_a_line(db, result.name)
    sweep_commands.raise_if_failed(result)


@contextmanager
def _sweep_file(spec: Path | None) -> Iterator[Path]:
    if spec is not None:
        yield spec
        return
    with as_file(files("runner") / "specs" / "quickstart.toml") as packaged:
        yield packaged


def _heading(text: str) -> None:
    echo(f"\n{text}\n{'-' * len(text)}")


def _print_trained(db: str | None, rows: list[dict[str, Any]]) -> None:
    from planner.store import read

    _heading("What was trained")
    with sweep_commands.existing_store(db) as engine:
        stored = {run.trial_id: run for run in read.runs(engine, status="finished")}
        p95_ms = {
            run_id: one.latency.request_p95_ms
            for run_id, one in read.best_latencies(engine).items()
        }
    for row in rows:
        run = stored.get(row["trial_id"])
        if run is None:
            continue
        row["flops"] = None if run.train_flops is None else format_flops(run.train_flops)
        slow = p95_ms.get(run.run_id)
        row["latency"] = None if slow is None else format_ms(slow)
        seconds = (run.train_seconds or 0.0) + (run.score_seconds or 0.0)
        row["minutes"] = format_duration(seconds)
    echo_rows(rows, "table", COLUMNS)


def _print_learnt(db: str | None) -> None:
    _heading("What was learnt")
    with opened(db, must_exist=True) as engine:
        learnt = fitting.fit(engine, "asr", source="measured")
    echo(answer_text.fit_text(learnt))


def _print_engines(db: str | None, sweep: str) -> None:
    """What the runs came to in other engines, and what users would take without training."""
    from runner.sweep import report

    with opened(db, must_exist=True) as engine:
        outcomes = report.report(engine, sweep)
    if outcomes["engines"] or outcomes["references"]:
        _heading("In other engines, and without training")
        echo_beside(outcomes, "table")


def _in_engines(db: str | None) -> str | None:
    """`any` where some run was scored in another engine than torch."""
    from planner.store.engine_results import engine_results

    with opened(db, must_exist=True) as engine:
        return "any" if engine_results(engine) else None


def _print_answer(db: str | None) -> str:
    """The answer on a screen; its id."""
    asked = f"{format_flops(QUESTION_FLOPS)} and {format_ms(QUESTION_LATENCY_MS)} per utterance"
    _heading(f"The answer for {asked}")
    query = PlanQuery(
        task="asr", flops=QUESTION_FLOPS, latency_ms=QUESTION_LATENCY_MS, source="measured",
        engine=_in_engines(db),
    )  # fmt: skip
    try:
        answer = asking.plan(db, query).json
    except InfeasibleError as problem:
        # A slow machine: what would do is the answer then, and FLOPs alone still have one.
        echo(str(problem))
        alone = PlanQuery(task="asr", flops=QUESTION_FLOPS, source="measured")
        answer = asking.plan(db, alone).json
    echo(answer_brief.plan_brief(answer, terminal_columns()))
    return str(answer["answer_id"])


def _print_where(
    db: str | None, result: CampaignResult, seconds: float, answer_id: str | None
) -> None:
    url = absolute_db(db)
    talk("")
    talk(sweep_commands.result_line(result, url))
    talk(f"all of it in {format_duration(seconds)}; the database is {url}")
    talk("more questions:  soundscale plan --task asr --flops 10G --latency 1s")
    talk("                 soundscale runs list   soundscale frontier --task asr")
    if answer_id is not None:
        talk(f"use the answer:  soundscale transcribe FILE.wav --answer {answer_id}")
