"""An answer says what window borders cost, where that was measured, and replays."""

import dataclasses
import json

import pytest

from planner.report.answer_brief import plan_brief
from planner.report.answer_text import plan_text
from planner.service import asking
from planner.service.borders import borders_json
from planner.service.replay import replay
from planner.store import read
from planner.store.engine import opened
from planner.store.engine_results import save_engine_results
from planner.words.engine_records import BorderLoss, EngineEvaluation
from planner.words.question import PlanQuery
from tests.notebooks.conftest import quickstart_db

__all__ = ["quickstart_db"]

FOUND = {
    "cut": "energy", "n_clips": 28, "n_borders": 40, "n_words": 828, "error_share": 0.02,
    "lost_share": 0.015, "std_error": 0.005,
}  # fmt: skip
ASKED = PlanQuery(task="asr", flops=20e9)


def measured(db, run_id, **changes):
    """Store what borders cost a run, beside a score of its export."""
    with opened(db) as engine:
        row = read.run(engine, run_id)
        (own,) = [
            e
            for e in read.evaluations(engine, run_id)
            if (e.split, e.metric) == (row.split, row.metric)
        ]
        device = read.latencies(engine)[0].latency.device
        details = {**(own.details or {}), "borders": FOUND | changes}
        evaluation = dataclasses.replace(
            own, details=details, utterances=read.utterances(engine, run_id)
        )
        beside = EngineEvaluation(
            engine="ctranslate2", engine_version="1", precision="int8", device=device, n_threads=1,
            evaluation=evaluation,
        )  # fmt: skip
        save_engine_results(engine, run_id, [beside])


def test_an_answer_says_what_borders_cost_its_configuration(quickstart_db):
    db = str(quickstart_db)
    before = asking.plan(db, ASKED).json
    (run_id, *_) = before["best"]["prediction"]["run_ids"]
    measured(db, run_id)
    answer = asking.plan(db, ASKED).json
    assert answer["borders"]["run_id"] == run_id
    assert answer["borders"]["low"] < 0.02 < answer["borders"]["high"]
    assert answer["answer_id"] != before["answer_id"]
    assert {k: v for k, v in answer.items() if k not in ("borders", "answer_id")} == {
        k: v for k, v in before.items() if k != "answer_id"
    }
    assert f"edges {answer['borders']['verdict']}" in plan_text(answer)
    assert "edges   words are lost at 40 borders" in plan_brief(answer)
    assert replay(db, before["answer_id"])[0]
    assert replay(db, answer["answer_id"])[0]


def test_another_configurations_borders_are_not_shown(quickstart_db):
    db = str(quickstart_db)
    best = asking.plan(db, ASKED).json["best"]["prediction"]["run_ids"]
    with opened(db) as engine:
        other = next(r.run_id for r in read.runs(engine) if r.run_id not in best and r.error)
    measured(db, other)
    assert "borders" not in asking.plan(db, ASKED).json


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.02, "words are lost at 40 borders of windows of 4 s"),
        (-0.02, "no word is lost"),
        (0.003, "no loss of words is shown"),
    ],
)
def test_the_verdict_follows_the_interval(share, said):
    loss = BorderLoss(
        run_id=3, engine="onnxruntime", precision="int8", engine_evaluation_id=1,
        found=FOUND | {"error_share": share},
    )  # fmt: skip
    found = borders_json([loss], [3], 4.0, 0.9)
    assert found["verdict"].startswith(said)
    assert json.loads(json.dumps(found))["n_words"] == 828
