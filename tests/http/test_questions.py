"""What may be asked and what is refused: strict numbers, known names, problems with a remedy."""

import json
import os
import threading

import pytest

from planner.service import fitting
from tests.http import worlds
from tests.http.conftest import client_of

PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "-Infinity", "-1", "0", "1e400", '"20G"', "true", "[2e10]", "{}", "1e-400"],
)
def test_a_body_with_something_else_than_a_positive_number_is_refused(client, text):
    body = f'{{"task": "asr", "flops": {text}}}'
    answer = client.post("/v1/plan", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["errors"][0]["field"] == "flops"


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-1", "0", "1e400", "20Q", "", "２e10", "0x10", "1_0"]
)
def test_a_query_string_with_something_else_is_refused(client, text):
    answer = client.get("/v1/plan", params={"task": "asr", "flops": text})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "flops"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("task=asr&flop=20G", "flop"),
        ("task=asr&flops=1G&flops=2G", "given twice"),
        ("flops=20G", "task"),
        ("task=asr", "no limit is given"),
        ("task=translation&flops=1G", "unknown task"),
        ("task=asr&latency_ms=60&device=h900", "unknown device"),
        ("task=asr&flops=1G&convention=exat", "convention"),
        ("task=asr&flops=1G&quantile=p42", "quantile"),
        ("task=a%00b&flops=1G", "task"),
        ("task=%ff&flops=1G", "UTF-8"),
        ("task=asr&flops=1G&measured_only=maybe", "true or false"),
        ("task=asr&flops=1G&min_prob=1", "min_prob"),
        ("&".join(f"a{i}=1" for i in range(60)), "parameters"),
    ],
)
def test_a_wrong_question_is_422_and_names_what_is_wrong(client, query, said):
    answer = client.get(f"/v1/plan?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert said in answer.text
    assert set(answer.json()) >= {"type", "title", "status", "detail"}


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[" * 30_000, b'{"task":' + b"9" * 5000 + b"}", b"\xff\xfe", b"null"]
)
def test_a_body_that_is_not_an_object_is_refused(client, body):
    answer = client.post("/v1/plan", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == PROBLEM


def test_a_body_without_a_json_content_type_is_not_read_as_json(client):
    body = json.dumps({"task": "asr", "flops": 20e9})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert (
            client.post("/v1/plan", content=body, headers={"Content-Type": kind}).status_code == 415
        )


@pytest.mark.parametrize(
    "path",
    ["/v1/runs/99999", "/v1/fits/aaaaaaaaaaaa", "/v1/answers/aaaaaaaaaaaa", "/v1/sweeps/no", "/v1/studies/no",
     "/v1/jobs/aaaaaaaa", "/nothing", "/static/../app.py", "/static/%2e%2e/app.py", "/v1/runs/../x"],
)  # fmt: skip
def test_what_is_not_there_is_404(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


def test_pages_by_key_together_are_the_whole_list(client):
    everything = client.get("/v1/runs?limit=500").json()["items"]
    url, seen = "/v1/runs?limit=4", []
    while url:
        answer = client.get(url)
        seen += answer.json()["items"]
        url = answer.links.get("next", {}).get("url")
    assert seen == everything
    assert len(seen) == 35


def test_answers_page_by_key_too(client):
    for flops in (11e9, 12e9, 13e9):
        client.post("/v1/plan", json={"task": "asr", "flops": flops})
    first = client.get("/v1/answers?limit=2")
    assert len(first.json()["items"]) == 2
    rest = client.get(first.links["next"]["url"]).json()["items"]
    both = [a["answer_id"] for a in (*first.json()["items"], *rest)]
    assert len(both) == len(set(both)) >= 3
    assert client.get("/v1/answers?after=AAAA").status_code == 422


def test_a_fit_is_a_job_that_ends_with_the_stored_fit(client, bench):
    started = client.post("/v1/fits", json={"task": "asr", "source": "published"})
    assert started.status_code == 202
    url, state = started.headers["location"], ""
    while state not in ("finished", "failed"):
        job = client.get(url).json()
        state = job["state"]
        threading.Event().wait(0.05)
    assert client.get(f"/v1/fits/{job['result']['fit_id']}").json()["law"] == job["result"]["law"]


def test_a_fit_that_cannot_be_made_is_a_failed_job_with_its_problem(client):
    url = client.post("/v1/fits", json={"task": "emotion", "dataset": "nope"}).headers["location"]
    state = ""
    while state not in ("finished", "failed"):
        job = client.get(url).json()
        state = job["state"]
        threading.Event().wait(0.05)
    assert job["problem"]["status"] == 422
    assert "nope" in job["problem"]["detail"]


def test_a_get_stores_no_answer(client, bench):
    from planner.service import lists

    before = len(lists.answers(bench))
    assert client.get("/v1/plan?task=asr&flops=19.5G").status_code == 200
    assert len(lists.answers(bench)) == before


def test_new_runs_change_the_answer_at_once(own_bench, tmp_path):
    with client_of(own_bench) as client:
        before = client.get("/v1/plan?task=asr&flops=20G").json()
        again = client.get("/v1/plan?task=asr&flops=20G").json()
        more = [{**r, "seed": 1, "error": r["error"] * 1.03} for r in worlds.rows()]
        fitting.import_results(own_bench, str(worlds.write_table(tmp_path / "bench.csv", more)))
        after = client.get("/v1/plan?task=asr&flops=20G").json()
    assert before == again
    assert after["n_runs"] == 2 * before["n_runs"]


def test_the_same_words_are_answered_as_the_first_time_and_count_as_a_request(client):
    url = "/v1/plan?task=asr&flops=18.25G"
    first, second = client.get(url), client.get(url)
    ours = ("content-type", "content-length", "x-answer-id", "content-security-policy")
    assert (second.status_code, second.content) == (200, first.content)
    assert [second.headers[h] for h in ours] == [first.headers[h] for h in ours]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    counted = 'soundscale_cache_total{outcome="made",what="answer"}'
    before = [line for line in client.get("/metrics").text.splitlines() if counted in line]
    client.get(url)
    text = client.get("/metrics").text
    assert [line for line in text.splitlines() if counted in line] == before
    assert 'soundscale_requests_total{method="GET",route="/v1/plan",status="200"}' in text


def test_a_limit_on_what_is_not_known_is_refused_whatever_was_asked_before(client):
    query = "task=asr&source=published&flops=520G"
    assert client.get(f"/v1/plan?{query}").status_code == 200
    answer = client.get(f"/v1/plan?{query}&train_flops=1e15")
    assert (answer.status_code, "cannot be judged" in answer.text) == (422, True)


def tables_made(client):
    """How many tables of candidates were worked out, once the first ones are."""
    for _ in range(600):
        answer = client.get("/readyz")
        if answer.status_code == 200:
            break
        assert answer.json()["warm"] is False
        threading.Event().wait(0.05)
    assert answer.json() == {
        "status": "ok", "database": "migrated", "usable_fit": True, "warm": True,
    }  # fmt: skip
    lines = client.get("/metrics").text.splitlines()
    return [x for x in lines if x.startswith('soundscale_cache_total{outcome="made",what="table"}')]


def test_the_plainest_question_is_ready_at_the_start_and_limits_need_no_other_table(own_bench):
    with client_of(own_bench) as client:
        before = tables_made(client)
        for limits in ("flops=20G", "latency_ms=60", "flops=19G&latency_ms=70&min_prob=0.8"):
            assert client.get(f"/v1/plan?task=asr&{limits}").status_code == 200
        assert tables_made(client) == before
        assert len(before) == 1


def test_an_empty_database_says_how_to_get_runs(tmp_path):
    from planner.store.engine import upgrade

    upgrade(str(tmp_path / "empty.db"))
    with client_of(str(tmp_path / "empty.db")) as client:
        answer = client.get("/v1/plan?task=asr&flops=1G")
        assert (answer.status_code, client.get("/readyz").status_code) == (409, 200)
        assert "soundscale quickstart" in answer.json()["detail"]
        assert client.get("/v1/overview").json()["tasks"] == []


def test_a_database_that_is_gone_is_an_outage_until_it_is_back(own_bench):
    url = "/v1/plan?task=asr&flops=20G"
    with client_of(own_bench) as client:
        tables_made(client)
        before = client.get(url)
        os.rename(own_bench, own_bench + ".away")
        for path in (url, "/readyz"):
            answer = client.get(path)
            assert (answer.status_code, "put the file back" in answer.text) == (503, True)
        assert client.get("/livez").status_code == 200
        os.rename(own_bench + ".away", own_bench)
        after = client.get(url)
    assert (after.status_code, after.content) == (before.status_code, before.content)


def test_the_openapi_document_describes_every_route_with_examples(client):
    document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert {"/v1/plan", "/v1/plan/target", "/v1/frontier", "/v1/whatif", "/v1/suggest"} <= set(
        paths
    )
    plan = paths["/v1/plan"]["get"]
    assert {p["name"] for p in plan["parameters"]} >= {"task", "flops", "latency_ms", "min_prob"}
    assert "answer_id" in plan["responses"]["200"]["content"]["application/json"]["example"]


def test_curves_pass_through_the_configuration_and_mark_what_is_outside(client):
    query = "task=asr&backbone=whisper-base&audio_seconds=10&reduction=stem:2"
    shown = client.get(f"/v1/curves?{query}").json()
    point = client.get(f"/v1/whatif?{query}").json()["prediction"]
    seconds = next(a for a in shown["axes"] if a["axis"] == "audio_seconds")
    inside = [p for p in seconds["points"] if not p["outside"]]
    assert seconds["at"] == 10.0
    assert 5 <= min(p["x"] for p in inside) < max(p["x"] for p in inside) <= 20
    near = min(seconds["points"], key=lambda p: abs(p["x"] - 10.0))
    assert near["low"] < point["error"] < near["high"]
    assert len(seconds["measured"]) == 3
    assert {p["flops"] for p in shown["iso_flops"]["points"]} <= set(shown["iso_flops"]["budgets"])


def test_a_large_answer_is_sent_compressed_to_who_takes_that_and_says_the_same(client):
    query = "/v1/curves?task=asr&backbone=whisper-base&audio_seconds=10&reduction=stem:2"
    plain = client.get(query, headers={"Accept-Encoding": "identity"})
    small = client.get(query, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in small.headers["vary"]
    assert small.content == plain.content
    assert int(small.headers["content-length"]) < len(plain.content) / 2
    assert "content-encoding" not in client.get("/livez").headers
