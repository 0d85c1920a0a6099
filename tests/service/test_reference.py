"""Beside an answer stands what users would take without tuning, and whether tuning bought anything."""

import dataclasses

import pytest

from planner.report.answer_text import plan_text
from planner.service import asking
from planner.service.reference import verdict
from planner.service.replay import replay
from planner.store import read
from planner.store.claims import finish
from planner.store.engine import opened
from planner.store.write import register_sweep
from planner.words.question import PlanQuery
from planner.words.records import Adaptation, Reduction, Resources, RunRecord
from tests.notebooks.conftest import quickstart_db
from tests.store.samples import LEASE, WORKER, claim_any

__all__ = ["quickstart_db"]

ASKED = PlanQuery(task="asr", latency_ms=60_000.0)


def score_untrained(db, more_errors):
    """An untrained run on the quickstart's utterances, with so many more errors than its first run in each."""
    with opened(db) as engine:
        like = read.runs(engine, task="asr", status="finished")[0]
        trial = dataclasses.replace(
            like.trial,
            adaptation=Adaptation.parse("none"),
            audio_seconds=30.0,
            reduction=Reduction(),
        )
        own = [e for e in read.evaluations(engine, like.run_id) if e.split == like.split]
        heard = tuple(
            dataclasses.replace(u, n_errors=u.n_errors + more_errors)
            for u in read.utterances(engine, like.run_id)
        )
        errors, words = sum(u.n_errors for u in heard), sum(u.n_units for u in heard)
        scored = dataclasses.replace(
            own[0], error=errors / words, n_errors=errors, utterances=heard, details=None
        )
        sweep = register_sweep(engine, "plain", "{}", [(trial, Resources())]).sweep_id
        claim = claim_any(engine, sweep, WORKER, LEASE)
        record = RunRecord(status="finished", evaluations=(scored,), n_params=like.n_params)
        finish(engine, claim, record)


def test_without_an_untrained_run_an_answer_says_nothing_of_one(quickstart_db):
    assert "reference" not in asking.plan(str(quickstart_db), ASKED).json


def test_an_untrained_run_on_the_same_utterances_is_paired_with_the_answers(quickstart_db):
    db = str(quickstart_db)
    before = asking.plan(db, ASKED).json
    score_untrained(db, more_errors=2)
    answer = asking.plan(db, ASKED).json
    assert answer["answer_id"] != before["answer_id"]
    (plain,) = answer["reference"]
    assert plain["paired"]["difference"] < 0
    assert plain["paired"]["high"] < 0
    assert plain["latency_ms"] > answer["best"]["costs"]["latency_ms"]["value"]
    assert "buy fewer errors" in plain["verdict"]
    assert plain["verdict"] in plan_text(answer)
    assert replay(db, before["answer_id"])[0]
    assert replay(db, answer["answer_id"])[0]


@pytest.mark.parametrize(
    ("difference", "mine", "said"),
    [
        (-0.02, 50.0, "buy fewer errors and less of it"),
        (-0.02, 100.0, "buy fewer errors"),
        (0.00, 50.0, "buy less latency, errors not told apart"),
        (0.02, 50.0, "buy less latency, at more errors"),
        (0.00, 99.0, "buy nothing: take the untrained checkpoint"),
        (0.02, 120.0, "buy nothing: take the untrained checkpoint"),
    ],
)
def test_a_verdict_says_plainly_what_tuning_buys(difference, mine, said):
    paired = {"difference": difference, "low": difference - 0.01, "high": difference + 0.01}
    found = {"label": "whisper-tiny", "error": 0.05, "paired": paired}
    assert verdict(found, "latency_ms", 100.0, mine).endswith(said)


def test_a_run_without_utterances_is_not_paired_and_says_so():
    found = {"label": "whisper-tiny", "error": 0.05, "paired": None}
    assert "not run on the same utterances" in verdict(found, "latency_ms", 100.0, 50.0)
