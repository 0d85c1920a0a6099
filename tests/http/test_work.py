"""A question is worked out once: one table of candidates for each study, one decision for each answer."""

import json

import pytest

from planner.plan import candidates, choice
from tests.counting import calls_of
from tests.http.conftest import client_of
from tests.http.test_questions import tables_made

STUDY = {"task": "asr", "per": "window"}
"""A study whose table is not made when the service starts."""


@pytest.fixture
def warm(own_bench):
    with client_of(own_bench) as client:
        tables_made(client)
        yield client


@pytest.mark.parametrize(
    ("path", "asked", "tables"),
    [
        ("plan", {"flops": 20e9}, 1),
        ("plan/target", {"error": 0.11}, 1),
        ("frontier", {"x": "latency"}, 1),
        # The one configuration of a what-if is a table of its own, of one row.
        ("whatif", {"backbone": "whisper-base", "audio_seconds": 10.0}, 2),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_question_builds_its_table_once(warm, monkeypatch, path, asked, tables):
    built = calls_of(monkeypatch, candidates.build)
    for _ in range(2):
        assert warm.post(f"/v1/{path}", json={**STUDY, **asked}).status_code == 200
    assert len(built) == tables


def test_suggestions_are_made_from_the_table_that_is_there(warm, monkeypatch):
    built = calls_of(monkeypatch, candidates.build)
    asked = {"task": "asr", "flops": 20e9, "hours": 2.0}
    refused = warm.post("/v1/suggest", json=asked)
    # Imported runs have no duration: nothing is suggested, after the table was looked at.
    assert "has a duration" in refused.json()["detail"]
    assert len(built) == 0


def test_an_answer_that_is_stored_was_decided_once(warm, monkeypatch):
    decided = calls_of(monkeypatch, choice.decide)
    answer = warm.post("/v1/plan", json={"task": "asr", "flops": 16.5e9})
    assert (answer.status_code, len(decided)) == (200, 1)
    again = warm.post("/v1/plan", json={"task": "asr", "flops": 16.5e9})
    assert (again.content, len(decided)) == (answer.content, 1)
    kept = warm.get(f"/v1/answers/{answer.json()['answer_id']}")
    assert kept.json() == answer.json()


def test_an_answer_by_get_and_then_by_post_is_decided_once_and_stored(warm, monkeypatch):
    decided = calls_of(monkeypatch, choice.decide)
    shown = warm.get("/v1/plan?task=asr&flops=16.25G")
    stored = warm.post("/v1/plan", json={"task": "asr", "flops": 16.25e9})
    assert (stored.content, len(decided)) == (shown.content, 1)
    assert warm.get(f"/v1/answers/{shown.json()['answer_id']}").status_code == 200


def test_the_header_names_the_id_that_the_answer_has(warm):
    for flops in (16e9, 15e9):
        answer = warm.get(f"/v1/plan?task=asr&flops={flops}")
        assert answer.headers["X-Answer-Id"] == json.loads(answer.content)["answer_id"]
    assert "X-Answer-Id" not in warm.get("/v1/frontier?task=asr").headers
