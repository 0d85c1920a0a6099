"""The use case of `answers replay`: a stored answer, made again from what it knew."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sqlalchemy import Engine

from planner.errors import InputError
from planner.laws.result import LawFit
from planner.service.asking import LATENCY_RULE, answer_from
from planner.service.circumstances import AsOf
from planner.service.prepared import Prepared, prepare
from planner.store import read
from planner.store.engine import opened
from planner.store.removal import note_of_removed, removed_runs
from planner.words.question import PlanQuery
from planner.words.records import IMPORTED

ROUNDING = 1e-9
"""Relative difference of numbers that processors' orders of summing may leave (measured: 3e-13 at most
between two, in an elasticity)."""

_AT = re.compile(r"(?<=limit binds: )at .*?(?= the choice would become)")


def replay(db: str | None, answer_id: str) -> tuple[bool, dict[str, Any]]:
    """Make a stored answer again from what it knew; whether it is the same (`alike`), and the answer now."""
    with opened(db, must_exist=True) as engine:
        stored = read.plan(engine, answer_id)
        before = json.loads(stored.answer_json)
        now = answer_from(prepared_then(engine, before, stored.query_json)).json
    return alike(as_stored(now, before), before), now


def alike(now: Any, before: Any) -> bool:
    """Whether two JSON values are the same, numbers to ROUNDING: sums end otherwise on other processors.

    >>> alike({"a": [1.0 + 1e-15]}, {"a": [1.0]}), alike([1.0], [1.001]), alike([1], ["1"])
    (True, False, False)
    """
    if isinstance(now, float) or isinstance(before, float):
        numbers = isinstance(now, int | float) and isinstance(before, int | float)
        return numbers and math.isclose(now, before, rel_tol=ROUNDING, abs_tol=ROUNDING**2)
    if isinstance(now, dict) and isinstance(before, dict):
        return now.keys() == before.keys() and all(alike(now[k], before[k]) for k in now)
    if isinstance(now, list) and isinstance(before, list):
        return len(now) == len(before) and all(map(alike, now, before))
    return bool(now == before)


def prepared_then(engine: Engine, answer: dict[str, Any], query_json: str) -> Prepared:
    """All that a stored answer was made from, as it was then.

    Raises:
        InputError: a run that it rests on was taken out since.
    """
    runs = read.fit(engine, answer["fit_id"]).runs
    if note := note_of_removed(removed_runs(engine), set(answer.get("evidence", ()))):
        raise InputError(
            f"answer {answer['answer_id']} {note['message']}; it cannot be made again: ask the question anew"
        )
    as_of = AsOf(
        fit_id=answer["fit_id"],
        run_ids=frozenset(r[0] for r in runs),
        latency_id=answer["evidence_latency_id"],
        engines=tuple(answer.get("evidence_engines", (0, 0))),
        by_window="latency_rule" not in answer,
        untold_as_none=answer.get("latency_rule") != LATENCY_RULE,
        set_fits=tuple(answer["kept_fit_ids"]) if "kept_fit_ids" in answer else None,
    )
    return prepare(engine, PlanQuery(**json.loads(query_json)), as_of)


def rule_of(db: str | None, fit_id: str) -> str:
    """The rule by which a stored law took the noise of its runs (`LawFit.rule`)."""
    with opened(db, must_exist=True) as engine:
        return LawFit.from_json(json.loads(read.fit(engine, fit_id).fit_json)).rule


def as_stored(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The answer as its version wrote it: its id is of that version, and some keys are newer."""
    now = {**now, "answer_id": before["answer_id"]}
    if before.get("latency_rule") != LATENCY_RULE:
        now = _with_older_latency(now, before.get("latency_rule"))
    for newer in ("utterance_seconds", "almost"):
        if newer not in before:
            now.pop(newer, None)
    if "advice" not in before:
        now.pop("advice", None)
    now["reasons"] = _limits_as_said(now.get("reasons", []), before.get("reasons", []))
    known = {r["run_id"] for r in before.get("reference", ())}
    references = [r for r in now.pop("reference", ()) if r["run_id"] in known]
    now |= {"reference": references} if references else {}
    # Measured beside the answer; newer measurements take their place, and the answer keeps its own.
    for beside in ("borders", "other_sets"):
        now.pop(beside, None)
        now |= {beside: before[beside]} if beside in before else {}
    if isinstance(study := before.get("study"), dict):
        now = {**now, "study": {k: v for k, v in now["study"].items() if k in study}}
        older = [w for w in now["warnings"] if w["code"] != "older-rule"]
        now["warnings"] = now["warnings"] if "normaliser" in study else older
    if all("tie" in entry for entry in before.get("runners_up", ())):
        return now
    bare = [{k: v for k, v in entry.items() if k != "tie"} for entry in now["runners_up"]]
    return {**now, "runners_up": bare}


def _limits_as_said(now: list[str], before: list[str]) -> list[str]:
    """The sentences of now; those of before where they differ in how the limit of the next choice is rounded."""
    if len(now) != len(before):
        return now
    return [b if _AT.sub("", n) == _AT.sub("", b) else n for n, b in zip(now, before, strict=True)]


def _with_older_latency(now: dict[str, Any], rule: str | None) -> dict[str, Any]:
    """The answer in the words of an older rule of latency: what a table told was called measured."""
    called = "measured" if rule is None else "measured window"

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(v) for v in value]
        if not isinstance(value, dict):
            return value
        return {
            k: called if k == "source" and v == IMPORTED and "unit" in value else renamed(v)
            for k, v in value.items()
        }

    renamed_now: dict[str, Any] = renamed({k: v for k, v in now.items() if k != "latency_rule"})
    return renamed_now if rule is None else {**renamed_now, "latency_rule": rule}
