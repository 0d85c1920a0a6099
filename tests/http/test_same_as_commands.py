"""HTTP gives what the command gives: the same JSON for the same question."""

import json
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.words.asked import named
from planner.words.question import KINDS

QUESTIONS = [
    ("plan", ["plan"], {"flops": "20G", "latency_ms": "60ms"}),
    ("plan", ["plan"], {"flops": "3e10", "min_prob": "0.95", "per": "window"}),
    ("plan", ["plan"], {"memory_bytes": "1GiB", "measured_only": "true"}),
    ("plan", ["plan"], {"flops": "520G", "source": "published", "convention": "same2026"}),
    ("plan/target", ["plan", "target"], {"error": "10%", "minimise": "latency"}),
    ("whatif", ["whatif"], {"backbone": "whisper-base", "audio_seconds": "10", "flops": "9G"}),
    (
        "whatif",
        ["whatif"],
        {"backbone": "whisper-tiny", "audio_seconds": "20", "reduction": "stem:2"},
    ),
]


def printed_by(bench, *words):
    """Exit code and JSON of a command, run in this process."""
    done = CliRunner().invoke(cli, [*words, "--db", bench, "-f", "json"])
    return getattr(done.exception, "exit_code", done.exit_code), json.loads(done.stdout)


def command(bench, words, fields):
    options = []
    for name, value in fields.items():
        flag = named(KINDS[" ".join(words)], name).option
        options += [flag] if value == "true" else [flag, value]
    return printed_by(bench, *words, "--task", "asr", *options)


@pytest.mark.parametrize(
    ("route", "words", "fields"), QUESTIONS, ids=lambda v: str(v)[:40] if v else ""
)
def test_a_question_by_get_gives_the_json_of_the_command(client, bench, route, words, fields):
    code, printed = command(bench, words, fields)
    answered = client.get(f"/v1/{route}?{urlencode({'task': 'asr', **fields})}")
    assert (code, answered.status_code) == (0, 200)
    assert answered.json() == printed


@pytest.mark.parametrize("cost", ["flops", "latency", "memory"])
def test_the_frontier_has_the_points_of_the_command(client, bench, cost):
    _, printed = command(bench, ["frontier"], {"x": cost})
    assert client.get(f"/v1/frontier?task=asr&x={cost}").json()["points"] == printed


def test_a_plan_by_post_is_the_plan_by_get_and_is_stored(client):
    asked = {"task": "asr", "flops": 17e9}
    answer = client.get("/v1/plan?task=asr&flops=17G").json()
    unknown = client.get(f"/v1/answers/{answer['answer_id']}")
    assert unknown.status_code == 404
    assert client.post("/v1/plan", json=asked).json() == answer
    assert client.get(f"/v1/answers/{answer['answer_id']}").json() == answer


def test_when_nothing_fits_the_problem_carries_what_the_command_prints(client, bench):
    code, printed = command(bench, ["plan"], {"flops": "1G"})
    answered = client.get("/v1/plan?task=asr&flops=1G")
    assert (code, answered.status_code) == (3, 409)
    problem = answered.json()
    assert problem["exit_code"] == 3
    assert problem["answer"] == printed
    assert problem["detail"] == printed["message"]


@pytest.mark.parametrize(
    ("path", "words"),
    [("runs", ["runs"]), ("fits", ["fit"]), ("answers", ["answers"]), ("devices", ["devices"])],
)
def test_a_list_has_the_items_of_the_command(client, bench, path, words):
    _, printed = printed_by(bench, *words, "list")
    # Devices are listed whole.
    limit = {} if path == "devices" else {"limit": 500}
    assert client.get(f"/v1/{path}", params=limit).json()["items"] == printed


def test_a_run_and_a_fit_are_what_the_commands_show(client, bench):
    fit_id = client.get("/v1/fits").json()["items"][0]["fit_id"]
    for path, words in (
        ("runs/20", ("runs", "show", "20")),
        (f"fits/{fit_id}", ("fit", "show", fit_id)),
    ):
        assert client.get(f"/v1/{path}").json() == printed_by(bench, *words)[1]
