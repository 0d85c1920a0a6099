"""Runs too few for a law are an answer too: what they measured, and the run to make next."""

import csv
import json

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.errors import InfeasibleError, NoLawError
from planner.report.measured_text import measured_text
from planner.service import asking, fitting
from planner.words.question import PlanQuery

COLUMNS = ("task", "backbone", "audio_seconds", "reduction", "error", "std_error", "n_units")
TINY = ("asr", "whisper-tiny", 30, "none", 0.10, 0.005, 2000)
BASE = ("asr", "whisper-base", 30, "none", 0.08, 0.004, 2000)
SHORT = ("asr", "whisper-base", 15, "none", 0.09, 0.004, 2000)


def database(folder, *rows):
    path = folder / "results.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    db = str(folder / "few.db")
    fitting.import_results(db, str(path))
    return db


def run(*arguments):
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_two_runs_answer_with_the_fewest_errors_that_were_measured(tmp_path):
    db = database(tmp_path, TINY, BASE)
    done = run("plan", "--task", "asr", "--flops", "200G", "--db", db, "-f", "json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["message"].startswith("no law from two runs: a law over n_params needs at least 3")
    best = found["best"]
    assert (best["error"], best["std_error"], best["run_ids"]) == (0.08, 0.004, [2])
    assert best["low"] < 0.08 < best["high"]
    assert found["next"]["config"]["backbone"] == "whisper-small"


def test_a_limit_rules_out_what_a_plan_would_rule_out(tmp_path):
    db = database(tmp_path, TINY, BASE)
    done = run("plan", "--task", "asr", "--flops", "60G", "--db", db, "-f", "json")
    assert json.loads(done.stdout)["best"]["run_ids"] == [1]
    with pytest.raises(InfeasibleError) as nothing:
        run("plan", "--task", "asr", "--flops", "1G", "--db", db)
    assert nothing.value.exit_code == 3
    shown = measured_text(nothing.value.details)
    assert shown.startswith("Nothing that was run meets 1 GFLOPs with probability 0.9.")


def test_costs_are_those_that_a_law_of_more_runs_is_planned_with(tmp_path):
    few, more = tmp_path / "few", tmp_path / "more"
    few.mkdir(), more.mkdir()
    query = PlanQuery(task="asr", flops=200e9, measured_only=True)
    with pytest.raises(NoLawError) as told:
        asking.plan(database(few, TINY, BASE), query)
    whole = asking.plan(
        database(more, TINY, BASE, SHORT, (*SHORT[:1], "whisper-tiny", *SHORT[2:])), query
    ).json
    costs = {o["label"]: o["costs"]["flops"]["value"] for o in told.value.details["options"]}
    for option in [whole["best"], *whole["runners_up"]]:
        if option["label"] in costs:
            assert option["costs"]["flops"]["value"] == costs[option["label"]]


@pytest.mark.parametrize(
    ("rows", "axis", "level"),
    [
        ((BASE,), "audio_seconds", 15.0),
        ((BASE, SHORT), "audio_seconds", 7.5),
        ((TINY, BASE), "backbone", "whisper-small"),
        ((TINY, SHORT), "backbone", "whisper-base"),
    ],
    ids=["one run", "two lengths", "two sizes", "both moved together"],
)
def test_the_run_to_make_next_is_one_that_brings_a_law(tmp_path, rows, axis, level):
    db = database(tmp_path, *rows)
    with pytest.raises(NoLawError) as told:
        asking.plan(db, PlanQuery(task="asr", flops=200e9))
    config = told.value.details["next"]["config"]
    assert config[axis] == level
    if len(rows) == 1:
        return
    third = ("asr", config["backbone"], config["audio_seconds"], config["reduction"], *SHORT[4:])
    corner = (
        [("asr", "whisper-tiny", 15, "none", 0.12, 0.004, 2000)] if rows == (TINY, SHORT) else []
    )
    folder = tmp_path / "then"
    folder.mkdir()
    assert asking.plan(
        database(folder, *rows, third, *corner), PlanQuery(task="asr", flops=1e12)
    ).json["best"]


def test_suggest_names_it_too(tmp_path):
    db = database(tmp_path, TINY, BASE)
    done = run("suggest", "--task", "asr", "--flops", "200G", "--hours", "1", "--db", db)
    assert done.exit_code == 0
    assert "no law from two runs" in done.stdout
    assert "whisper-small" in done.stdout


def test_a_question_over_http_has_what_was_measured_beside_the_problem(tmp_path):
    pytest.importorskip("fastapi")
    from planner.http import problems

    with pytest.raises(NoLawError) as told:
        asking.plan(database(tmp_path, TINY, BASE), PlanQuery(task="asr", flops=200e9))
    document = problems.of_error(told.value)
    assert (document["status"], document["exit_code"]) == (409, 4)
    assert document["answer"]["best"]["run_ids"] == [2]
