"""What the sweep commands do, between parsing and printing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.options import echo_json, echo_rows, talk
from planner.errors import StoreError, TrialsFailedError
from planner.words.told_apart import full_labels
from planner.words.units import format_duration
from runner.campaign import artifacts, display
from runner.campaign.drive import CampaignResult, CampaignSetting, absolute_db, run_campaign
from runner.campaign.executors import Executor, RayExecutor
from runner.campaign.inline import InlineExecutor
from runner.campaign.outages import SteadyExecutor
from runner.exports import in_sweep
from runner.sweep import forecast, prepare
from runner.sweep import report as sweep_report
from runner.sweep.prepare import PreparedSweep

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.audit import Audit
    from planner.store.read import TrialStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """How a sweep is to be run, as the command line says it."""

    ray_address: str
    workers: int | None
    artifacts: str
    weights: Path | None
    quiet: bool
    lenient: bool = False
    """Leave out and tell engines that are not installed, in place of an error."""


def run(spec_path: Path, db: str | None, request: RunRequest, output_format: str) -> None:
    """`sweep run`: train what is missing, print the results.

    Raises:
        TrialsFailedError: trials failed; the table was printed.
    """
    result, rows = execute(spec_path, db, request)
    if output_format == "json":
        echo_json({"result": _result_json(result), "trials": rows})
    else:
        echo_rows(rows, output_format, RESULT_COLUMNS)
    talk(result_line(result, absolute_db(db)))
    raise_if_failed(result)


RESULT_COLUMNS = (("label", "trial"), ("state", "state"), ("now", "result"))


def execute(
    spec_path: Path, db: str | None, request: RunRequest
) -> tuple[CampaignResult, list[dict[str, Any]]]:
    """Prepare and run a campaign; its result and a row for each trial.

    Raises:
        InputError, MissingResourceError: as `prepare` and `run_campaign`.
    """
    from planner.store import forecasts

    prepare.require_runner()
    shown = display.choose(request.quiet)
    url = absolute_db(db)
    prepared = prepare.prepare(spec_path, url, shown.say)
    spec = in_sweep.checked(prepared.spec, shown.say, lenient=request.lenient)
    trials = [trial for trial, _ in prepared.trials]
    stored_states = prepare.states(url, trials)
    todo = [t for t in trials if stored_states.get(t.fingerprint) not in ("finished", "failed")]
    prepare.find_weights(todo, prepared.catalogue, request.weights, shown.say)
    expected = forecast.before(
        prepared,
        todo,
        url,
        here=request.ray_address in ("local", "none"),
        gpus=request.ray_address == "local",
    )
    setting = CampaignSetting(
        db=url, artifacts=artifacts.absolute(request.artifacts), weights=request.weights
    )
    result = run_campaign(
        prepared.spec,
        prepared.trials,
        setting,
        lambda: make_executor(request, prepared, shown.say),
        shown,
        prepare.trial_work(prepared),
        lambda engine, sweep_id: forecasts.save(engine, sweep_id, expected),
    )
    if result.n_finished:
        in_sweep.measure(
            url, spec, setting.artifacts, request.weights, request.ray_address, shown.say
        )
    return result, status_rows(db, prepared.spec.name)[0]


def make_executor(
    request: RunRequest, prepared: PreparedSweep, say: Callable[[str], None]
) -> Executor:
    """The executor that `--ray` names; on Ray one that outlives Ray's own deaths."""
    if request.ray_address == "none":
        return InlineExecutor(request.workers or 1)
    cpus = prepared.spec.resources.cpus
    return SteadyExecutor(
        lambda: RayExecutor(request.ray_address, n_workers=request.workers, cpus=cpus),
        say,
        local=request.ray_address == "local",
    )


def dry_run(
    spec_path: Path, db: str | None, output_format: str, *, device: str | None, workers: int | None
) -> None:
    """`sweep run --dry-run`: the trials and what they will take; nothing is written."""
    prepare.require_runner()
    url = absolute_db(db)
    prepared = prepare.prepare(spec_path, url, talk)
    stored_states = prepare.states(url, [trial for trial, _ in prepared.trials])
    forecasts = forecast.dry_run(prepared, stored_states, url, device, workers)
    if output_format == "json":
        echo_json(forecasts)
        return
    if left := prepare.leaving(url, prepared):
        talk(f"sweep {prepared.spec.name!r}: {left}")
    talk(prepare.estimate_line(forecasts["trials"]))
    if output_format == "table":
        forecasts["trials"] = [sweep_report.shown_forecast(row) for row in forecasts["trials"]]
    echo_rows(forecasts["trials"], output_format, sweep_report.FORECAST_COLUMNS)
    talk(sweep_report.total_line(forecasts["total"]))
    if prepared.spec.latency == "quiet" and forecasts["total"]["n_trials"]:
        talk(
            "latency is measured afterwards, alone on each host: a tenth of the clock time more, at most"
        )


def result_line(result: CampaignResult, db: str) -> str:
    """What a campaign came to, in one line."""
    from planner.store.engine import redacted

    elsewhere = result.n_finished - result.n_finished_before - result.n_trained
    parts = [f"{result.n_trained} trained now"]
    if elsewhere > 0:
        parts.append(f"{elsewhere} by other drivers")
    parts.append(f"{result.n_finished} of {result.n_trials} finished")
    if not result.n_trained and elsewhere <= 0 and result.n_finished == result.n_trials:
        parts = [f"all {result.n_trials} trials are finished, nothing was trained"]
    if result.n_failed:
        parts.append(f"{result.n_failed} failed")
    if result.n_cancelled:
        parts.append(f"{result.n_cancelled} cancelled")
    parts += [str(result.left)] if result.left is not None else []
    parts += [format_duration(result.seconds), redacted(db)]
    return f"sweep {result.name!r}: " + " · ".join(parts)


def raise_if_failed(result: CampaignResult) -> None:
    """Exit code 7 where trials failed.

    Raises:
        TrialsFailedError: trials failed.
    """
    if result.n_failed:
        raise TrialsFailedError(
            f"{result.n_failed} of {result.n_trials} trials of sweep {result.name!r} failed; why: "
            f"soundscale sweep status {result.name}; again: soundscale sweep retry {result.name} "
            f"--failed, then the same sweep run"
        )


def _result_json(result: CampaignResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "n_trials": result.n_trials,
        "n_trained": result.n_trained,
        "n_finished": result.n_finished,
        "n_failed": result.n_failed,
        "n_cancelled": result.n_cancelled,
        "seconds": round(result.seconds, 3),
        "kept_as": None if result.left is None else result.left.kept_as,
    }


@contextmanager
def existing_store(db: str | None) -> Iterator[Engine]:
    """The database of a command that only makes sense on one that is there."""
    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine:
        yield engine


def sweep_rows(db: str | None) -> list[dict[str, Any]]:
    """One row a sweep: its name and its trials by state."""
    from planner.store import read

    with existing_store(db) as engine:
        return [
            {
                "name": s.name,
                "created_utc": s.created_utc,
                "trials": s.n_trials,
                "finished": s.n_finished,
                "running": s.n_running,
                "queued": s.n_queued,
                "failed": s.n_failed,
                "cancelled": s.n_cancelled,
            }
            for s in read.sweeps(engine)
        ]


def status_rows(db: str | None, name: str) -> tuple[list[dict[str, Any]], str]:
    """One row a trial of a sweep, and the totals as a line."""
    from planner.store.read import sweep_status

    with existing_store(db) as engine:
        status = sweep_status(engine, name)
        labels = full_labels([row.trial for row in status.rows])
        rows = [trial_row(row, said) for row, said in zip(status.rows, labels, strict=True)]
        return rows, display.totals(status, None)


def trial_row(row: TrialStatus, label: str) -> dict[str, Any]:
    """A trial of a sweep as plain values, under a label that tells it from the sweep's others."""
    return {
        "trial_id": row.trial_id,
        "label": label,
        "state": row.state,
        "attempts": row.n_attempts,
        "run_id": row.run_id,
        "phase": row.phase,
        "step": row.step,
        "n_steps": row.n_steps,
        "loss": row.loss,
        "metric": row.metric,
        "error": row.error,
        "std_error": row.std_error,
        "failure_class": row.failure_class,
        "failure_text": row.failure_text,
        "host": row.host,
        "now": display.summary(row),
    }


def watch(db: str | None, name: str, seconds: float) -> None:
    """Show a sweep from the database until nothing of it is waiting or running."""
    from planner.store.read import sweep_status

    shown = display.choose(quiet=False)
    try:
        with existing_store(db) as engine:
            while True:
                status = sweep_status(engine, name)
                shown.show(status, None)
                if not any(row.state in display.OPEN_STATES for row in status.rows):
                    break
                time.sleep(seconds)
    finally:
        shown.close()
    talk(f"sweep {name!r}: {display.totals(status, None)}")


def retry(db: str | None, name: str, *, failed: bool, cancelled: bool) -> int:
    """Queue the failed, the cancelled or both kinds of a sweep's trials again; how many."""
    from planner.store.claims import retry_cancelled, retry_failed

    n = _on_sweep(db, name, retry_failed) if failed else 0
    return n + (_on_sweep(db, name, retry_cancelled) if cancelled else 0)


def audit(db: str | None, name: str, output_format: str) -> None:
    """`sweep audit`: print every invariant of a sweep's history.

    Raises:
        StoreError: one was broken.
    """
    found = _audited(db, name)
    rows = [
        {"invariant": one.invariant, "holds": "no" if one.trial_ids else "yes",
         "trials": ", ".join(map(str, one.trial_ids)) or None}
        for one in found.invariants
    ]  # fmt: skip
    if output_format == "json":
        attempts = found.attempts_by_status
        echo_json({"name": name, "clean": found.clean, "attempts": attempts, "invariants": rows})
    else:
        columns = (("invariant",) * 2, ("holds",) * 2, ("trials", "broken by trials"))
        echo_rows(rows, output_format, columns)
    talk(_audit_line(found))
    _raise_if_broken(found)


def audit_in_a_line(db: str | None, name: str) -> None:
    """Say in one line whether a sweep's history kept every promise.

    Raises:
        StoreError: it did not.
    """
    found = _audited(db, name)
    kept = [not one.trial_ids for one in found.invariants]
    talk(f"audit: {sum(kept)} of {len(kept)} promises kept; {_audit_line(found)}")
    _raise_if_broken(found)


def _audited(db: str | None, name: str) -> Audit:
    from planner.store.audit import audit

    with existing_store(db) as engine:
        return audit(engine, name)


def _raise_if_broken(found: Audit) -> None:
    if not found.clean:
        broken = [one.invariant for one in found.invariants if one.trial_ids]
        raise StoreError(
            f"the history of sweep {found.name!r} breaks {len(broken)} of {len(found.invariants)} promises, "
            f"first: {broken[0]}; keep the database as it is (soundscale db export FOLDER) and report it"
        )


def _audit_line(found: Audit) -> str:
    """A sweep's attempts, in one line."""
    counted = [f"{n} {status}" for status, n in found.attempts_by_status.items()]
    return f"sweep {found.name!r}: {', '.join(counted) or 'no attempt yet'}"


def cancel(db: str | None, name: str) -> int:
    """Cancel the waiting and running trials of a sweep; how many."""
    from planner.store.claims import cancel

    return _on_sweep(db, name, cancel)


def _on_sweep(db: str | None, name: str, act: Callable[[Engine, int], int]) -> int:
    from planner.store.read import sweep_id_of

    with existing_store(db) as engine:
        return act(engine, sweep_id_of(engine, name))
