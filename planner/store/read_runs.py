"""Reading runs and what hangs below them."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from sqlalchemy import Engine, RowMapping, Select, exists, func, select

from planner.errors import InputError
from planner.store import schema
from planner.store.row_types import RunRow
from planner.store.transactions import read
from planner.store.views import results
from planner.words.records import Evaluation, Step, Trial, Utterance, trial_from_json

_SOURCE = results.join(schema.trials, schema.trials.c.trial_id == results.c.trial_id)
_RUNS = select(results, schema.trials.c.trial_json).select_from(_SOURCE).order_by(results.c.run_id)
_SEED = '"seed":'
_OF_EVALUATION = (
    "split", "error", "std_error", "n_units", "n_errors", "n_utterances", "n_broken", "selection",
    "audio_coverage", "speaker_overlap", "mean_output_tokens",
)  # fmt: skip
"""Fields of a `RunRow` that are of its evaluation."""
_SHOWN = {f.name for f in dataclasses.fields(RunRow)} - {"trial", "evaluation_details"}


def runs(
    engine: Engine,
    *,
    task: str | None = None,
    sweep: str | None = None,
    status: str | None = None,
    provenance: str | None = None,
    adaptation: str | None = None,
    limit: int | None = None,
    after: int | None = None,
    newest: int | None = None,
) -> list[RunRow]:
    """Runs in the order of their keys.

    Args:
        engine: the database.
        task: only of this task.
        sweep: only of trials in the sweep of this name.
        status: only with this status (`finished`, `failed`, `running`, `lost`, `cancelled`).
        provenance: only `measured`, `published` or `imported` ones.
        adaptation: only with this one (`none`, `lora:16`).
        limit: at most so many; with `after`, a page.
        after: only those with a larger key: the last one of the page before.
        newest: only so many of the largest keys.
    """
    query = _RUNS.where(*_conditions(task, sweep, status, provenance, adaptation))
    if after is not None:
        query = query.where(results.c.run_id > after)
    if newest is not None:
        query = query.order_by(None).order_by(results.c.run_id.desc()).limit(newest)
        return _run_rows(engine, query)[::-1]
    if limit is not None:
        query = query.limit(limit)
    return _run_rows(engine, query)


def n_runs(
    engine: Engine,
    *,
    task: str | None = None,
    sweep: str | None = None,
    status: str | None = None,
    provenance: str | None = None,
) -> int:
    """How many runs `runs` would list without a limit."""
    query = select(func.count()).select_from(_SOURCE)
    query = query.where(*_conditions(task, sweep, status, provenance, None))
    return int(read(engine, lambda c: c.execute(query).scalar_one()))


def _conditions(
    task: str | None,
    sweep: str | None,
    status: str | None,
    provenance: str | None,
    adaptation: str | None,
) -> list[Any]:
    equal = {
        results.c.task: task, results.c.status: status, results.c.provenance: provenance,
        schema.trials.c.adaptation: adaptation,
    }  # fmt: skip
    found: list[Any] = [column == value for column, value in equal.items() if value is not None]
    return found if sweep is None else [*found, _in_sweep(sweep)]


def latest_on_device(engine: Engine, device: str, limit: int) -> list[RunRow]:
    """The latest finished runs of one's own on a device, newest first."""
    query = (
        _RUNS.where(
            results.c.device == device,
            results.c.status == "finished",
            results.c.provenance == "measured",
        )
        .order_by(None)
        .order_by(results.c.run_id.desc())
        .limit(limit)
    )
    return _run_rows(engine, query)


def run(engine: Engine, run_id: int) -> RunRow:
    """One run.

    Raises:
        InputError: there is none with that key.
    """
    found = _run_rows(engine, _RUNS.where(results.c.run_id == run_id))
    if not found:
        raise InputError(f"there is no run {run_id}; see: soundscale runs list")
    return found[0]


def run_on(engine: Engine, row: RunRow, test_set: str | None) -> RunRow | None:
    """The run with its scores on a named test set (None: its trial's own); None where it has none there."""
    if test_set in (None, row.split):
        return row
    found = [e for e in evaluations(engine, row.run_id) if e.split == test_set]
    mine = [e for e in found if e.metric == row.metric]
    if not mine:
        return None
    scored = {name: getattr(mine[0], name) for name in _OF_EVALUATION}
    return dataclasses.replace(row, **scored, evaluation_details=mine[0].details or {})


def attempts(engine: Engine, trial_id: int) -> list[RunRow]:
    """All runs of one trial, first attempt first."""
    return _run_rows(engine, _RUNS.where(results.c.trial_id == trial_id))


def evaluations(engine: Engine, run_id: int) -> list[Evaluation]:
    """The evaluations of a run without their utterances."""
    table = schema.evaluations
    query = select(table).where(table.c.run_id == run_id).order_by(table.c.evaluation_id)
    return [_evaluation(row) for row in _all(engine, query)]


def utterances(engine: Engine, run_id: int, split: str | None = None) -> list[Utterance]:
    """The scored utterances of a run's main metric, in the order of their names.

    Args:
        engine: the database.
        run_id: the run.
        split: another split than the one that `RunRow.error` is of.
    """
    table = schema.utterances
    names = [f.name for f in dataclasses.fields(Utterance)]
    query = (
        select(*(table.c[name] for name in names))
        .where(table.c.evaluation_id == _main_evaluation(run_id, split))
        .order_by(table.c.utterance_id)
    )
    return [Utterance(**row) for row in _all(engine, query)]


def utterance_sizes(
    engine: Engine, run_id: int, split: str | None = None
) -> list[tuple[float, int | None]]:
    """Seconds and output tokens of the utterances that a run was scored on, in the order of names."""
    table = schema.utterances
    query = (
        select(table.c.audio_seconds, table.c.n_output_tokens)
        .where(table.c.evaluation_id == _main_evaluation(run_id, split))
        .order_by(table.c.utterance_id)
    )
    return [(row["audio_seconds"], row["n_output_tokens"]) for row in _all(engine, query)]


def steps(engine: Engine, run_id: int) -> list[Step]:
    """The optimiser steps of a run; a loss or norm that was not finite is NaN."""
    table = schema.run_steps
    query = select(table).where(table.c.run_id == run_id).order_by(table.c.step)
    return [
        Step(
            step=row["step"],
            loss=_or_nan(row["loss"]),
            grad_norm=_or_nan(row["grad_norm"]),
            learning_rate=row["learning_rate"],
            seconds=row["seconds"],
        )
        for row in _all(engine, query)
    ]


def trial_of(trial_json: str) -> Trial:
    """The trial of a `trial_json` column."""
    return trial_from_json(json.loads(trial_json))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _all(engine: Engine, query: Select[Any]) -> list[RowMapping]:
    return read(engine, lambda c: list(c.execute(query).mappings().all()))


def _in_sweep(name: str) -> Any:
    member = schema.sweep_trials
    return exists().where(
        schema.sweeps.c.name == name,
        member.c.sweep_id == schema.sweeps.c.sweep_id,
        member.c.trial_id == results.c.trial_id,
    )


def _main_evaluation(run_id: int, split: str | None) -> Any:
    """Key of the evaluation with the task's main metric, on `split` or the one the view chooses."""
    table = schema.evaluations
    chosen = results.c.split if split is None else split
    return (
        select(table.c.evaluation_id)
        .join(results, results.c.run_id == table.c.run_id)
        .where(results.c.run_id == run_id, table.c.run_id == run_id)
        .where(table.c.metric == results.c.metric, table.c.split == chosen)
        .scalar_subquery()
    )


def _run_rows(engine: Engine, query: Select[Any]) -> list[RunRow]:
    # Runs of one configuration differ by their seed: the rest of their trial is read once.
    setups: dict[str, Trial] = {}
    return [
        RunRow(
            trial=_trial(row["trial_json"], setups),
            evaluation_details=json.loads(row["evaluation_details_json"] or "{}"),
            **{name: row[name] for name in _SHOWN},
        )
        for row in _all(engine, query)
    ]


def _trial(trial_json: str, setups: dict[str, Trial]) -> Trial:
    rest, seed = without_seed(trial_json)
    setup = setups.get(rest)
    if setup is None:
        setup = setups[rest] = trial_of(trial_json)
    return setup if setup.seed == seed else setup.with_seed(seed)


def without_seed(trial_json: str) -> tuple[str, int]:
    """The text of a trial without its seed, and the seed.

    A quotation mark inside a string is written with a backslash, so the key stands for itself alone.
    """
    head, found, tail = trial_json.partition(_SEED)
    if not found or _SEED in tail:
        return trial_json, int(json.loads(trial_json).get("seed", 0))
    end = 0
    while tail[end] in "-0123456789":
        end += 1
    return head + tail[end:], int(tail[:end])


def _evaluation(row: RowMapping) -> Evaluation:
    names = {f.name for f in dataclasses.fields(Evaluation)}
    names -= {"output_tokens", "details", "utterances"}
    tokens, details = row["output_tokens_json"], row["details_json"]
    return Evaluation(
        output_tokens=None if tokens is None else json.loads(tokens),
        details=None if details is None else json.loads(details),
        **{name: row[name] for name in names},
    )
