"""A study as it is now, whether it has ended or not: what `study watch` and the page follow."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import Engine

from planner.service.studies import line_of, regret_fall, runs_of, spent_on
from planner.service.study_ruled import first_of
from planner.store import studies
from planner.words.question import PlanQuery

OPEN = ("waiting", "queued", "running")
"""States of runs that are still to end."""


def progress(engine: Engine, name: str) -> dict[str, Any]:
    """As its report, with `state`, the runs that are `next`, and what was believed last; nothing is fitted.

    Of those ruled out, the first by `planner.service.study_ruled.first_of` are listed and all are counted in
    `n_ruled_out`.

    Raises:
        UnknownNameError: there is no such study.
    """
    study = studies.study_named(engine, name)
    rounds = studies.rounds_of(engine, study.study_id)
    query = PlanQuery(**json.loads(study.question_json))
    runs = runs_of(engine, study, rounds)
    line = line_of(engine, study)
    if study.state == "ended" and study.report_json is not None:
        report: dict[str, Any] = json.loads(study.report_json)
        out, report["ruled_out"] = report["ruled_out"], first_of(report["ruled_out"])
        counts = dict(Counter(one["kind"] for one in out))
        return {**line, **report, "runs": runs, "next": [], "belief": None, "n_ruled_out": counts}
    belief = next((r.belief for r in reversed(rounds) if r.belief is not None), None) or {}
    ruled = belief.get("ruled_out", {"n": {}, "first": []})
    return {
        **line,
        "answer": None,
        "until_regret": study.spend.until_regret,
        "n_workers": study.spend.n_workers,
        "n_candidates": len(query.candidates),
        "n_runs": sum(run["state"] == "finished" for run in runs),
        "runs": runs,
        "next": [run for run in runs if run["state"] in OPEN],
        "spent": spent_on([run for run in runs if run["state"] not in OPEN]),
        "regret": regret_fall([r.belief for r in rounds]),
        "belief": {key: value for key, value in belief.items() if key != "ruled_out"} or None,
        "ruled_out": ruled["first"],
        "n_ruled_out": ruled["n"],
        "another_hour": None,
        "use": [],
    }
