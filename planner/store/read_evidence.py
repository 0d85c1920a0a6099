"""Reading what a law learns from: thousands of runs, of each only what a fit and a plan look at.

Most runs of a study differ by their seed alone, so each distinct trial is parsed once and its parts are
shared; the view's latencies and devices, which no law looks at, are not joined.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Engine, select

from planner.store import schema
from planner.store.row_types import LearnedRun
from planner.store.transactions import read
from planner.store.views import results
from planner.words.records import Trial, trial_from_json

_SEED = '"seed":'


_COLUMNS = LearnedRun._fields[4:]
_QUERY = (
    select(
        results.c.run_id, schema.trials.c.trial_json, results.c.evaluation_details_json,
        *(results.c[name] for name in _COLUMNS),
    )
    .select_from(results.join(schema.trials, schema.trials.c.trial_id == results.c.trial_id))
    .order_by(results.c.run_id)
)  # fmt: skip


def learned_runs(engine: Engine, task: str) -> list[LearnedRun]:
    """The finished runs of a task in the order of their keys."""
    query = _QUERY.where(results.c.task == task, results.c.status == "finished")
    rows = read(engine, lambda c: c.execute(query).all())
    setups: dict[str, Trial] = {}
    details: dict[str | None, dict[str, Any]] = {None: {}}
    out = []
    for run_id, trial_json, details_json, *rest in rows:
        rest_of_trial, seed = _split(trial_json)
        setup = setups.get(rest_of_trial)
        if setup is None:
            setup = setups[rest_of_trial] = trial_from_json(json.loads(trial_json)).with_seed(0)
        found = details.get(details_json)
        if found is None:
            found = details[details_json] = json.loads(details_json or "{}")
        out.append(LearnedRun(run_id, setup, seed, found, *rest))
    return out


def _split(trial_json: str) -> tuple[str, int]:
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


def fit_json(engine: Engine, fit_id: str) -> str | None:
    """A stored fit to the bit, without the runs that it looked at; None where there is none."""
    table = schema.law_fits
    query = select(table.c.fit_json).where(table.c.fit_id == fit_id)
    return read(engine, lambda c: c.execute(query).scalar())
