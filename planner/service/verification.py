"""Answers booked against runs made since."""

from __future__ import annotations

import json
import math
from typing import Any

from planner.evidence.study import axis_value
from planner.laws.result import LawFit
from planner.store import read
from planner.store.engine import opened
from planner.store.read import RunRow


def verify(db: str | None, answer_id: str) -> dict[str, Any]:
    """Book a stored answer against the runs of its recommended configuration, and all answers.

    A run counts when it was not among the evidence of the answer. The calibration is the share of
    such runs inside the 90 % interval of a new run; drift is alarmed when their standardised
    residuals' mean is further than 3 standard errors from 0, or the share is too low by chance
    (binomial tail below 1 %).
    """
    with opened(db, must_exist=True) as engine:
        rows = {r.run_id: r for r in read.runs(engine, status="finished")}
        bookings = []
        for stored in read.plans(engine):
            fit_row = read.find_fit(engine, stored.fit_id) if stored.fit_id else None
            if fit_row is None:
                continue
            fit = LawFit.from_json(json.loads(fit_row.fit_json))
            bookings.append(_book(json.loads(stored.answer_json), fit, rows))
        wanted = read.plan(engine, answer_id)
    mine = next(b for b in bookings if b["answer_id"] == wanted.answer_id)
    return {**mine, "calibration": calibration([o for b in bookings for o in b["outcomes"]])}


def _book(answer: dict[str, Any], fit: LawFit, rows: dict[int, RunRow]) -> dict[str, Any]:
    """Predicted against actual for the runs of the recommended configuration made since."""
    evidence = set(answer["evidence"])
    config, study = answer["best"]["config"], answer["study"]
    outcomes = []
    for row in rows.values():
        if row.run_id in evidence or not _same(row, config, study) or row.error is None:
            continue
        point = [[_axis(row, name) for name in fit.axes]]
        band = fit.predict(point, level=0.9, kind="new-run")
        spread = math.log(float(band.high[0]) / float(band.low[0])) / (2 * 1.6448536269514722)
        residual = math.log(row.error / float(band.mean[0]))
        outcomes.append(
            {
                "run_id": row.run_id, "actual": row.error, "predicted": float(band.mean[0]),
                "low": float(band.low[0]), "high": float(band.high[0]),
                "inside": bool(band.low[0] <= row.error <= band.high[0]),
                "z": residual / spread if spread > 0 else None,
            }
        )  # fmt: skip
    return {
        "answer_id": answer["answer_id"],
        "label": answer["best"]["label"],
        "prediction": answer["best"]["prediction"],
        "outcomes": outcomes,
    }


def _axis(row: RunRow, name: str) -> float:
    value = axis_value(row, name)
    return float(value) if value is not None else math.nan


def _same(row: RunRow, config: dict[str, Any], study: dict[str, Any]) -> bool:
    trial = row.trial
    same = (
        trial.backbone == config["backbone"]
        and trial.audio_seconds == config["audio_seconds"]
        and str(trial.reduction) == config["reduction"]
        and config["adaptation"] in (str(trial.adaptation), trial.adaptation.short)
        and trial.padding == config["padding"]
        and trial.dataset_digest == study["dataset_digest"]
        and row.metric == study["metric"]
    )
    return bool(same)


def calibration(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Share of outcomes inside their 90 % intervals, and whether predictions have drifted."""
    unique = {o["run_id"]: o for o in outcomes}.values()
    z = [o["z"] for o in unique if o["z"] is not None]
    n = len(unique)
    if n == 0:
        return {"n": 0, "inside": None, "mean_z": None, "drift": False}
    inside = sum(o["inside"] for o in unique)
    tail = sum(math.comb(n, k) * 0.9**k * 0.1 ** (n - k) for k in range(inside + 1))
    mean_z = sum(z) / len(z) if z else 0.0
    drift = tail < 0.01 or (len(z) > 0 and abs(mean_z) * math.sqrt(len(z)) > 3.0)
    return {"n": n, "inside": inside / n, "mean_z": mean_z, "drift": bool(drift)}
