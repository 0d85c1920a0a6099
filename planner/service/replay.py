"""The use case of `answers replay`: a stored answer, made again from what it knew."""

from __future__ import annotations

import json
from typing import Any

from planner.laws.result import LawFit
from planner.service.asking import answer_from
from planner.service.circumstances import AsOf
from planner.service.prepared import prepare
from planner.store import read
from planner.store.engine import opened
from planner.words.question import PlanQuery
from planner.words.records import canonical_json


def replay(db: str | None, answer_id: str) -> tuple[bool, dict[str, Any]]:
    """Make a stored answer again from what it knew; whether it is the same, and the answer now."""
    with opened(db, must_exist=True) as engine:
        stored = read.plan(engine, answer_id)
        before = json.loads(stored.answer_json)
        runs = read.fit(engine, before["fit_id"]).runs
        as_of = AsOf(
            fit_id=before["fit_id"],
            run_ids=frozenset(r[0] for r in runs),
            latency_id=before["evidence_latency_id"],
            engines=tuple(before.get("evidence_engines", (0, 0))),
            by_window="latency_rule" not in before,
        )
        prepared = prepare(engine, PlanQuery(**json.loads(stored.query_json)), as_of)
        now = answer_from(prepared).json
    return canonical_json(as_stored(now, before)) == stored.answer_json, now


def rule_of(db: str | None, fit_id: str) -> str:
    """The rule by which a stored law took the noise of its runs (`LawFit.rule`)."""
    with opened(db, must_exist=True) as engine:
        return LawFit.from_json(json.loads(read.fit(engine, fit_id).fit_json)).rule


def as_stored(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The answer as its version wrote it: its id is of that version, and some keys are newer."""
    now = {**now, "answer_id": before["answer_id"]}
    if "latency_rule" not in before:
        del now["latency_rule"]
    known = {r["run_id"] for r in before.get("reference", ())}
    references = [r for r in now.pop("reference", ()) if r["run_id"] in known]
    now |= {"reference": references} if references else {}
    if isinstance(study := before.get("study"), dict):
        now = {**now, "study": {k: v for k, v in now["study"].items() if k in study}}
        older = [w for w in now["warnings"] if w["code"] != "older-rule"]
        now["warnings"] = now["warnings"] if "normaliser" in study else older
    if all("tie" in entry for entry in before.get("runners_up", ())):
        return now
    bare = [{k: v for k, v in entry.items() if k != "tie"} for entry in now["runners_up"]]
    return {**now, "runners_up": bare}
