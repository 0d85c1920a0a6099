"""How requests are read: methods, types of body, unknown fields, and compressed answers."""

from __future__ import annotations

import dataclasses

import pytest

from tests.http.conftest import client_of

QUESTION = {"task": "asr", "flops": 20e9}


def test_head_is_get_without_a_body(client):
    for path in ("/v1/plan?task=asr&flops=20G", "/v1/runs", "/livez", "/"):
        head, got = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/plan", "GET, HEAD, POST"),
        ("DELETE", "/v1/runs", "GET, HEAD"),
        ("POST", "/v1/runs/1", "GET, HEAD"),
        ("POST", "/runs", "GET, HEAD"),
    ],
)
def test_a_method_that_a_route_has_not_is_answered_with_those_it_has(client, method, path, allowed):
    found = client.request(method, path)
    assert found.status_code == 405
    assert found.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"data": {"task": "asr"}}, 415, "Content-Type: application/json"),
        ({"content": b"hello", "headers": {"content-type": "text/plain"}}, 415, "text/plain"),
        ({"json": ["asr"]}, 422, "body: must be an object"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not JSON"),
        ({"json": {**QUESTION, "query": 1}}, 422, "query: unknown field"),
        ({"json": {**QUESTION, "body": 1}}, 422, "body: unknown field"),
    ],
)
def test_a_body_that_is_no_question_is_told_by_what_stands_in_the_way(client, sent, status, said):
    found = client.post("/v1/plan", **sent)
    assert found.status_code == status
    assert said in found.json()["detail"]
    assert found.json()["detail"].count("/openapi.json") <= 1


@pytest.mark.parametrize(
    "path", ["/v1/runs", "/v1/fits", "/v1/sweeps", "/v1/studies", "/v1/answers"]
)
def test_a_misspelt_filter_of_a_list_is_refused_and_lists_nothing(client, path):
    assert client.get(path, params={"limit": 2}).status_code == 200
    found = client.get(path, params={"limt": 2})
    assert found.status_code == 422
    assert found.json()["errors"] == [{"field": "limt", "message": "unknown field"}]


@pytest.mark.parametrize(
    ("takes", "compressed"),
    [
        ("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("br, gzip; q=0.0, *", False),
        ("identity", False),
    ],
)  # fmt: skip
def test_a_large_answer_is_compressed_for_who_takes_gzip(client, takes, compressed):
    found = client.get("/openapi.json", headers={"accept-encoding": takes})
    assert len(found.content) > 16 * 1024
    assert (found.headers.get("content-encoding") == "gzip") is compressed


def test_an_answer_is_made_anew_once_a_run_was_scored_on_a_further_set(own_bench):
    from planner.store import read
    from planner.store.engine import opened
    from planner.store.test_sets import save_scored
    from planner.words.records import Evaluation

    params = {"task": "asr", "flops": "20G", "measured_only": "true"}
    with client_of(own_bench) as client:
        before = client.get("/v1/plan", params=params).json()
        assert "other_sets" not in before
        with opened(own_bench) as engine:
            (run_id,) = before["best"]["prediction"]["run_ids"][:1]
            run = read.run(engine, run_id)
            scored = Evaluation(split="other", metric=run.metric, error=0.25, std_error=0.01)
            save_scored(engine, run_id, dataclasses.replace(scored, details={"test_set": {}}))
        (other,) = client.get("/v1/plan", params=params).json()["other_sets"]
        assert (other["test_set"], other["error"]) == ("other", 0.25)
        unknown = client.get("/v1/plan", params={**params, "keep": "elsewhere<=9%"})
        assert unknown.status_code == 422
        assert "other" in unknown.json()["detail"]
        # A + that nobody escaped is a space to whoever reads the query.
        plus = client.get("/v1/plan?task=asr&flops=20G&measured_only=true&keep=elsewhere<=+1pt")
        assert plus.status_code == 422
        assert "elsewhere" in plus.json()["detail"]
        assert "cannot be read" not in plus.json()["detail"]
