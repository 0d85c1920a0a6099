"""Reading runs and what hangs below them."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from sqlalchemy import Engine, RowMapping, Select, exists, select

from planner.errors import InputError
from planner.store import schema
from planner.store.row_types import RunRow
from planner.store.transactions import read
from planner.store.views import results
from planner.words.records import Evaluation, Step, Trial, Utterance, trial_from_json

_SOURCE = results.join(schema.trials, schema.trials.c.trial_id == results.c.trial_id)
_RUNS = select(results, schema.trials.c.trial_json).select_from(_SOURCE).order_by(results.c.run_id)
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
    """
    query = _RUNS
    if task is not None:
        query = query.where(results.c.task == task)
    if status is not None:
        query = query.where(results.c.status == status)
    if provenance is not None:
        query = query.where(results.c.provenance == provenance)
    if adaptation is not None:
        query = query.where(schema.trials.c.adaptation == adaptation)
    if sweep is not None:
        query = query.where(_in_sweep(sweep))
    if after is not None:
        query = query.where(results.c.run_id > after)
    if limit is not None:
        query = query.limit(limit)
    return _run_rows(engine, query)


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


def utterance_sizes(engine: Engine, run_id: int) -> list[tuple[float, int | None]]:
    """Seconds and output tokens of the utterances that a run was scored on, in the order of names."""
    table = schema.utterances
    query = (
        select(table.c.audio_seconds, table.c.n_output_tokens)
        .where(table.c.evaluation_id == _main_evaluation(run_id, None))
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
    return [
        RunRow(
            trial=trial_of(row["trial_json"]),
            evaluation_details=json.loads(row["evaluation_details_json"] or "{}"),
            **{name: row[name] for name in _SHOWN},
        )
        for row in _all(engine, query)
    ]


def _evaluation(row: RowMapping) -> Evaluation:
    names = {f.name for f in dataclasses.fields(Evaluation)}
    names -= {"output_tokens", "details", "utterances"}
    tokens, details = row["output_tokens_json"], row["details_json"]
    return Evaluation(
        output_tokens=None if tokens is None else json.loads(tokens),
        details=None if details is None else json.loads(details),
        **{name: row[name] for name in names},
    )
