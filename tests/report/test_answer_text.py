"""The text of an answer, from its JSON alone: also from one that an earlier version stored."""

import copy
import json

import pytest

from planner.report.answer_text import plan_text
from planner.service import asking, fitting, replay
from planner.store import write
from planner.store.engine import open_store
from planner.words.question import PlanQuery
from planner.words.records import canonical_json


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A database and an answer with ties, next ones and ones that are over a limit."""
    db = str(tmp_path_factory.mktemp("answers") / "runs.db")
    fitting.import_results(db, "same2026")
    return db, asking.plan(db, PlanQuery(task="asr", flops=520e9, measured_only=True)).json


def marks(text):
    lines = [line.split() for line in text.splitlines()]
    return [words[0] for words in lines if words and words[0] in ("tie", "next", "over")]


def as_stored_before(answer):
    """What an answer was before its entries said whether they are a tie."""
    old = copy.deepcopy(answer)
    for entry in old["runners_up"]:
        del entry["tie"]
    return old


def test_runners_up_say_whether_they_are_a_tie(answered):
    _, answer = answered
    ties = [t["label"] for t in answer["ties"]]
    assert [r["label"] for r in answer["runners_up"] if r["tie"]] == ties != []


def test_a_tie_is_told_by_the_entry_and_not_by_its_prose(answered):
    answer = copy.deepcopy(answered[1])
    shown = marks(plan_text(answer))
    assert {"tie", "next", "over"} == set(shown)
    for entry in answer["runners_up"]:
        entry["rejected_because"] = "the quantities and properties of entities"
    assert marks(plan_text(answer)) == shown


def test_an_answer_of_an_earlier_version_is_shown_as_it_was(answered):
    _, answer = answered
    assert plan_text(as_stored_before(answer)) == plan_text(answer)


def test_an_answer_of_an_earlier_version_replays_bit_for_bit(answered, tmp_path):
    db, answer = answered
    engine = open_store(db)
    old = {**as_stored_before(answer), "answer_id": "0123456789ab"}
    stored = {k: v for k, v in answer["query"].items() if k != "limits"}
    row = write.PlanRow(
        answer_id=old["answer_id"], fit_id=old["fit_id"], task="asr", version="0.1.0",
        query_json=canonical_json(stored), answer_json=canonical_json(old),
    )  # fmt: skip
    write.save_plan(engine, row)
    engine.dispose()
    _, now = replay.replay(db, "0123456789ab")
    # The id was made up so that both could be stored; all else is as it was.
    same = {**as_stored_before(now), "answer_id": old["answer_id"]}
    assert json.dumps(same, sort_keys=True) == json.dumps(old, sort_keys=True)


def test_the_interval_on_the_test_set_stands_beside_that_on_new_speech(answered):
    answer = answered[1]
    low, high = answer["best"]["prediction"]["same_set"].values()
    assert f"on this set    [{100 * low:.2f}, {100 * high:.2f}]" in plan_text(answer)
    before = copy.deepcopy(answer)
    del before["best"]["prediction"]["same_set"]
    assert "on this set" not in plan_text(before)
