from __future__ import annotations

import threading

import numpy as np
import pytest
from fastapi import HTTPException

from planner.http.keeping import Budget, Kept, bytes_of
from planner.http.quotas import Quota
from planner.http.telemetry import Metrics
from tests.http.conftest import client_of


def kinds(most: int) -> tuple[Budget, Kept, Kept]:
    budget, metrics = Budget(most), Metrics()
    return budget, *(Kept(16, name, metrics, bytes_of, budget) for name in ("table", "answer"))


def test_one_budget_holds_for_all_that_is_kept():
    budget, tables, answers = kinds(10_000)
    for i in range(20):
        tables.put(i, np.zeros(500))
        answers.put(i, np.zeros(100))
        assert budget.bytes_now <= 10_000
    assert tables.find(19) is not None
    assert answers.find(19) is not None


def test_what_grows_after_it_was_kept_is_weighed_again():
    budget, tables, answers = kinds(10_000)
    grows: dict[str, np.ndarray] = {}
    tables.put("old", grows)
    tables.put("new", np.zeros(10))
    grows["memo"] = np.zeros(5_000)
    answers.put(1, np.zeros(1))
    assert tables.find("old") is None
    assert budget.bytes_now <= 10_000


def test_what_is_looked_for_is_found_while_everything_is_weighed():
    weighing, go_on = threading.Event(), threading.Event()

    def weigh(_: object) -> int:
        weighing.set()
        assert go_on.wait(10)
        return 1

    kept: Kept[str] = Kept(16, "answer", Metrics(), weigh, Budget(10))
    putting = threading.Thread(target=kept.put, args=("key", "value"))
    putting.start()
    assert weighing.wait(10)
    looking = threading.Thread(target=lambda: (kept.find("key"), kept.note("other", "b")))
    looking.start()
    looking.join(10)
    assert not looking.is_alive()
    go_on.set()
    putting.join(10)
    assert kept.find("other") == "b"


def test_an_answer_is_remembered_by_its_words_without_weighing_anything(own_bench, monkeypatch):
    with client_of(own_bench) as client:
        words = {"task": "asr", "flops": 3e11}
        first = client.get("/v1/plan", params=words)
        threads: list[str] = []
        trim = Budget.trim
        monkeypatch.setattr(
            Budget, "trim", lambda it: (threads.append(threading.current_thread().name), trim(it))
        )
        second = client.get("/v1/plan", params={"flops": 3e11, "task": "asr"})
        third = client.get("/v1/plan", params={"task": "asr", "flops": 4e11})
    assert (first.content, third.status_code) == (second.content, 200)
    assert threads
    assert all(name.startswith("work") for name in threads), "weighed on the service's loop"


def test_a_view_weighs_what_it_holds_and_the_same_array_weighs_once():
    whole = np.zeros(1000)
    assert bytes_of({"a": whole[:2], "b": whole}) == whole.nbytes


def test_a_quota_is_of_each_client_and_comes_back_with_time():
    clock = [0.0]
    quota = Quota(2, "answers", lambda: clock[0])
    for client in ("a", "a", "b"):
        quota.take(client)
    with pytest.raises(HTTPException) as refused:
        quota.take("a")
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "3600"})
    clock[0] = 3601.0
    quota.take("a")


QUESTION = {"task": "asr", "flops": 1e15}


def test_a_client_that_stores_too_many_answers_is_told_when_to_come_back(own_bench):
    with client_of(own_bench, answers_an_hour=1) as client:
        assert client.post("/v1/plan", json=QUESTION).status_code == 200
        refused = client.post("/v1/plan", json=QUESTION)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 3000
        assert client.get("/v1/plan", params=QUESTION).status_code == 200


def test_a_database_takes_no_more_answers_than_it_may_hold(own_bench):
    with client_of(own_bench, answers_stored=0) as client:
        assert client.post("/v1/plan", json=QUESTION).status_code == 429


def test_a_full_queue_of_fits_is_429_with_a_time(own_bench):
    with client_of(own_bench, fits_waiting=0) as client:
        refused = client.post("/v1/fits", json={"task": "asr"})
    assert (refused.status_code, refused.headers["retry-after"].isdigit()) == (429, True)
