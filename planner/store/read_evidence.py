"""Reading what a law learns from: thousands of runs, of each only what a fit and a plan look at.

Most runs of a study differ by their seed alone, so each distinct trial is parsed once and its parts are
shared; the view's latencies and devices, which no law looks at, are not joined.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, select

from planner.store import schema
from planner.store.read_runs import without_seed
from planner.store.results_on import results_on
from planner.store.row_types import LearnedRun, ScoredCounts
from planner.store.transactions import read
from planner.words.records import Trial, trial_from_json

_COLUMNS = LearnedRun._fields[4:]


def learned_runs(engine: Engine, task: str, test_set: str | None = None) -> list[LearnedRun]:
    """The finished runs of a task in the order of their keys, with their errors on a named test set.

    None is the test set that their trials name; runs that were not scored on the set are not there.
    """
    of = results_on(test_set)
    query = (
        select(
            of.c.run_id, schema.trials.c.trial_json, of.c.evaluation_details_json,
            *(of.c[name] for name in _COLUMNS),
        )
        .select_from(of.join(schema.trials, schema.trials.c.trial_id == of.c.trial_id))
        .where(of.c.task == task, of.c.status == "finished")
        .order_by(of.c.run_id)
    )  # fmt: skip
    rows = read(engine, lambda c: c.execute(query).all())
    setups: dict[str, Trial] = {}
    details: dict[str | None, dict[str, Any]] = {None: {}}
    out = []
    for run_id, trial_json, details_json, *rest in rows:
        rest_of_trial, seed = without_seed(trial_json)
        setup = setups.get(rest_of_trial)
        if setup is None:
            setup = setups[rest_of_trial] = trial_from_json(json.loads(trial_json)).with_seed(0)
        found = details.get(details_json)
        if found is None:
            found = details[details_json] = json.loads(details_json or "{}")
        out.append(LearnedRun(run_id, setup, seed, found, *rest))
    return out


def fit_json(engine: Engine, fit_id: str) -> str | None:
    """A stored fit to the bit, without the runs that it looked at; None where there is none."""
    table = schema.law_fits
    query = select(table.c.fit_json).where(table.c.fit_id == fit_id)
    return read(engine, lambda c: c.execute(query).scalar())


MOST_COUNTS = 4_000_000
"""Utterances of all runs that are read at most: some 200 MB; beyond, the runs' own figures serve."""


def scored_counts(
    engine: Engine, run_ids: Sequence[int], split: str, metric: str
) -> ScoredCounts | None:
    """Counts of the utterances behind those runs' evaluations; None where no utterance is stored.

    Only of runs up to MOST_COUNTS utterances, by what their evaluations say.
    """
    table, of = schema.utterances, schema.evaluations
    wanted = set(run_ids)

    def work(connection: Connection) -> list[tuple[int, str, str | None, int, int]]:
        if connection.execute(select(table.c.evaluation_id).limit(1)).first() is None:
            return []
        listed = select(of.c.evaluation_id, of.c.run_id, of.c.n_utterances)
        listed = listed.where(of.c.split == split, of.c.metric == metric)
        found = [r for r in connection.execute(listed) if r.run_id in wanted]
        if sum(r.n_utterances or 0 for r in found) > MOST_COUNTS:
            return []
        columns = (table.c.utterance_id, table.c.speaker, table.c.n_errors, table.c.n_units)
        out = []
        for evaluation_id, run_id, _ in found:
            query = select(*columns).where(table.c.evaluation_id == evaluation_id)
            out += [(run_id, *row) for row in connection.execute(query)]
        return out

    rows = read(engine, work)
    if not rows:
        return None
    run, utterance, speaker, errors, words = zip(*rows, strict=True)
    voices = {name: i for i, name in enumerate(sorted({s for s in speaker if s is not None}))}
    return ScoredCounts(
        run_id=np.array(run, dtype=np.int64),
        utterance=np.unique(np.array(utterance), return_inverse=True)[1].astype(np.int64),
        speaker=np.array([-1 if s is None else voices[s] for s in speaker], dtype=np.int64),
        errors=np.array(errors, dtype=np.int64),
        words=np.array(words, dtype=np.int64),
    )
