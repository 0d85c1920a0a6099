"""Answers booked against runs made since."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from sqlalchemy import Engine

from planner.plan.belief import measurements, run_variance
from planner.plan.new_runs import NewRuns, new_runs
from planner.service.replay import prepared_then
from planner.store import read
from planner.store.engine import opened
from planner.store.read import PlanRow, RunRow
from planner.store.removal import removed_runs

Z_90 = 1.6448536269514722
"""Standard normal's quantile of a central 90 %."""


def verify(db: str | None, answer_id: str) -> dict[str, Any]:
    """Book a stored answer against the runs of its recommended configuration, and all answers.

    A run counts when it was not among the evidence of the answer. What it should show is told by the
    joint draws of the answer, made again as they were (`planner.plan.new_runs`): own runs of the
    configuration, training noise and the noise of scoring are in them, the test set's level is not, as
    the same set is scored. The calibration is the share of such runs inside their 90 % interval; drift is
    alarmed when the standard scores of the answers, one for all runs of a configuration together, have a
    mean further than 3 standard errors from 0, or leave their 90 % too often (binomial tail below 1 %).
    """
    with opened(db, must_exist=True) as engine:
        rows = {r.run_id: r for r in read.runs(engine, status="finished")}
        wanted = read.plan(engine, answer_id)
        gone = set(removed_runs(engine))
        bookings = [
            _book(engine, stored, rows)
            for stored in read.plans(engine)
            if stored.fit_id and read.find_fit(engine, stored.fit_id) is not None
            # What rests on runs that were taken out is no witness of how well answers do.
            if stored.answer_id == answer_id or not gone & _evidence(stored)
        ]
    mine = next(b for b in bookings if b["answer_id"] == wanted.answer_id)
    outcomes = [o for b in bookings for o in b["outcomes"]]
    # Two answers may wait for the very same runs: those count once.
    scores = {tuple(o["run_id"] for o in b["outcomes"]): b["z"] for b in bookings if b["outcomes"]}
    return {**mine, "calibration": calibration(outcomes, list(scores.values()))}


def _evidence(stored: PlanRow) -> set[int]:
    return set(json.loads(stored.answer_json).get("evidence", ()))


def _book(engine: Engine, stored: PlanRow, rows: dict[int, RunRow]) -> dict[str, Any]:
    """Predicted against actual for the runs of the recommended configuration made since."""
    answer = json.loads(stored.answer_json)
    evidence = set(answer["evidence"])
    config, study = answer["best"]["config"], answer["study"]
    # An answer for a further test set waits for errors on that set.
    found = (
        read.run_on(engine, row, study.get("split") or None)
        for row in rows.values()
        if row.run_id not in evidence and _same(row, config, study)
    )
    made = [row for row in found if row is not None and row.error]
    booked = {
        "answer_id": answer["answer_id"],
        "label": answer["best"]["label"],
        "prediction": answer["best"]["prediction"],
    }
    if not made:
        return {**booked, "outcomes": [], "z": None}
    told = _foretold(engine, answer, stored.query_json, len(made))
    middle, low, high = told.interval(0.9)
    outcomes = [
        {
            "run_id": row.run_id, "actual": row.error, "predicted": middle, "low": low, "high": high,
            "inside": bool(low <= (row.error or 0.0) <= high),
            "z": told.z(np.array([row.error])),
        }
        for row in made
    ]  # fmt: skip
    return {**booked, "outcomes": outcomes, "z": told.z(np.array([row.error for row in made]))}


def _foretold(engine: Engine, answer: dict[str, Any], query_json: str, n_runs: int) -> NewRuns:
    """What so many runs of the recommended configuration should show, by what the answer knew."""
    then = prepared_then(engine, answer, query_json)
    fit, table = then.report.fit, then.table
    known = [c.to_json() for c in table.configs]
    draws = table.draws[:, known.index(answer["best"]["config"])]
    typical = measurements(then.report.evidence, ()).typical
    return new_runs(fit, draws, run_variance(fit, typical), n_runs, then.query.seed)


def _same(row: RunRow, config: dict[str, Any], study: dict[str, Any]) -> bool:
    trial = row.trial
    same = (
        trial.backbone == config["backbone"]
        and trial.audio_seconds == config["audio_seconds"]
        and str(trial.reduction) == config["reduction"]
        and config["adaptation"] in (str(trial.adaptation), trial.adaptation.short)
        and trial.padding == config["padding"]
        and trial.train_hours == config.get("train_hours")
        and trial.dataset_digest == study["dataset_digest"]
        and row.metric == study["metric"]
    )
    return bool(same)


def calibration(
    outcomes: list[dict[str, Any]], scores: list[float] | None = None
) -> dict[str, Any]:
    """Share of outcomes inside their 90 % intervals, and whether predictions have drifted.

    Args:
        outcomes: runs with `inside` and their own score `z`.
        scores: of the runs of each configuration together; None: every run stands for itself.
    """
    unique = list({o["run_id"]: o for o in outcomes}.values())
    n = len(unique)
    if n == 0:
        return {"n": 0, "inside": None, "mean_z": None, "drift": False}
    z = [o["z"] for o in unique] if scores is None else scores
    kept, m = sum(abs(value) <= Z_90 for value in z), len(z)
    tail = sum(math.comb(m, k) * 0.9**k * 0.1 ** (m - k) for k in range(kept + 1))
    mean_z = sum(z) / m
    drift = tail < 0.01 or abs(mean_z) * math.sqrt(m) > 3.0
    inside = sum(o["inside"] for o in unique) / n
    return {"n": n, "inside": inside, "mean_z": mean_z, "drift": bool(drift)}
