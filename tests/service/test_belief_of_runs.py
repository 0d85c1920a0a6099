"""What is believed of the quickstart's runs: own measurements, both levels, answers of the rule before."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from planner.service import asking, next_runs
from planner.service.compare import compare
from planner.service.fitting import import_results
from planner.service.replay import replay, rule_of
from planner.store import write
from planner.store.engine import opened
from planner.words.question import PlanQuery
from tests.notebooks.conftest import quickstart_db

__all__ = ["quickstart_db"]

FIXTURES = Path(__file__).parents[1] / "fixtures"
"""Laws and answers that earlier builds stored from the quickstart's runs."""
MEASURED = 0.0496


@pytest.fixture
def answer(quickstart_db):
    return asking.plan(str(quickstart_db), PlanQuery(task="asr", flops=20e9)).json


def test_a_configuration_that_was_run_is_answered_near_its_own_measurement(answer):
    told = answer["best"]["prediction"]
    assert told["measured_error"] == pytest.approx(MEASURED, abs=1e-4)
    assert MEASURED < told["error"] < 0.0625
    assert told["low"] < MEASURED < told["high"]


def test_the_test_set_itself_is_known_better_than_new_speech(answer):
    told = answer["best"]["prediction"]
    same = told["same_set"]
    assert same["high"] / same["low"] < told["high"] / told["low"]
    assert same["low"] < MEASURED < same["high"]


def test_an_assumed_scatter_of_seeds_is_said_and_three_seeds_are_asked_for(answer):
    said = {w["code"]: w["message"] for w in answer["warnings"]}
    assert "assumption" in said["seeds-assumed"]
    assert "three seeds" in said["seeds-assumed"]


@pytest.mark.parametrize(
    ("stored", "rule"),
    [("quickstart_before", "independent-noise/1"), ("quickstart_shared2", "shared-noise/2")],
)
def test_an_answer_of_a_rule_before_replays_and_names_its_rule(quickstart_db, stored, rule):
    stored = json.loads((FIXTURES / f"{stored}.json").read_text())
    fit, plan = stored["fit"], stored["plan"]
    runs = tuple((run, bool(used), why) for run, used, why in fit.pop("runs"))
    with opened(str(quickstart_db)) as engine:
        write.save_fit(engine, write.FitRow(**fit, runs=runs))
        write.save_plan(engine, write.PlanRow(**plan))
    same, now = replay(str(quickstart_db), plan["answer_id"])
    assert same
    assert ("same_set" in now["best"]["prediction"]) == (rule != "independent-noise/1")
    assert rule_of(str(quickstart_db), fit["fit_id"]) == rule


def test_an_answer_of_today_replays(quickstart_db, answer):
    same, _ = replay(str(quickstart_db), answer["answer_id"])
    assert same


ROW = "asr,whisper-{},{},stem:{},lora:16,0,{},900,20000,{}"
HEADER = (
    "task,backbone,audio_seconds,reduction,adaptation,seed,error,train_seconds,n_units,n_errors"
)


@pytest.fixture
def mistyped(tmp_path):
    """Eighteen runs of about 20 % error, of which the sixth was typed .002."""
    lines = [HEADER]
    for size, share in (("tiny", 1.0), ("base", 0.85)):
        for seconds in (5, 10, 30):
            for factor in (2, 3, 4):
                error = share * (0.1 + 0.03 * factor) * (seconds / 10) ** -0.2
                wrong = (size, seconds, factor) == ("tiny", 10, 4)
                told = 0.002 if wrong else error
                lines.append(ROW.format(size, seconds, factor, told, round(20000 * told)))
    table, db = tmp_path / "typo.csv", str(tmp_path / "t.db")
    table.write_text("\n".join(lines))
    import_results(db, str(table))
    return db


QUESTION = PlanQuery(task="asr", flops=1e12, utterance_seconds=10.0, output_tokens=30.0)


def test_one_mistyped_row_is_named_and_does_not_own_the_answer(mistyped):
    answer = asking.plan(mistyped, QUESTION).json
    assert "suspect-run" in {w["code"] for w in answer["warnings"]}
    assert answer["best"]["prediction"]["error"] > 0.05
    assert 6 not in answer["best"]["prediction"]["run_ids"]


def test_the_repetition_of_a_suspected_run_is_suggested_first(mistyped):
    first, *_ = next_runs.suggest_runs(mistyped, QUESTION, 8.0)["suggestions"]
    assert "run 6 lies far" in first["why"]
    assert first["config"]["audio_seconds"] == 10


def test_three_seeds_of_one_configuration_are_asked_for_until_they_are_there(mistyped):
    second = next_runs.suggest_runs(mistyped, QUESTION, 8.0)["suggestions"][1]
    assert second["why"].startswith("seed 2 of 3")


def test_more_test_audio_is_weighed_against_more_runs(quickstart_db):
    found = next_runs.suggest_runs(str(quickstart_db), PlanQuery(task="asr", flops=20e9), 1.0)
    assert "trains nothing" in found["more_speech"]
    scoring = found["scoring"]
    assert 0 < scoring["value_per_hour"] == scoring["value"] / scoring["hours"]
    runs = [s["value_per_hour"] for s in found["suggestions"] if s["value_per_hour"]]
    assert scoring["first"] == (scoring["value_per_hour"] > max(runs, default=0.0))


def test_ties_that_were_run_come_with_the_command_that_compares_them(quickstart_db):
    query = PlanQuery(task="asr", flops=1e12, measured_only=True)
    found = asking.plan(str(quickstart_db), query).json
    (command,) = [text for text in found["advice"] if "soundscale compare" in text]
    ids = [int(i) for i in command.split("soundscale compare ")[1].split()]
    assert ids[0] in found["best"]["prediction"]["run_ids"]
    tied = [t["prediction"]["run_ids"] for t in found["ties"]]
    assert [[i] for i in ids[1:]] == tied[: len(ids) - 1]
    compared = compare(str(quickstart_db), tuple(ids))
    assert compared["comparisons"][0]["against_run_id"] == ids[0]


LUCKY_RUN = 6


@pytest.fixture
def lucky(tmp_path):
    """Eighteen runs of about 20 % error on 2,000 words, of which the sixth measured two thirds of its law."""
    lines = [HEADER]
    for size, share in (("tiny", 1.0), ("base", 0.85)):
        for seconds in (5, 10, 30):
            for factor in (2, 3, 4):
                error = share * (0.1 + 0.03 * factor) * (seconds / 10) ** -0.2
                if (size, seconds, factor) == ("tiny", 10, 4):
                    error *= 0.66
                row = ROW.format(size, seconds, factor, error, round(2000 * error))
                lines.append(row.replace(",20000,", ",2000,"))
    table, db = tmp_path / "lucky.csv", str(tmp_path / "l.db")
    table.write_text("\n".join(lines))
    import_results(db, str(table))
    return db


def test_an_expectation_outside_the_interval_of_its_own_run_says_why(lucky):
    query = replace(QUESTION, candidates=("whisper-tiny,10,stem:4",))
    found = asking.plan(lucky, query).json
    told = found["best"]["prediction"]
    assert told["run_ids"] == [LUCKY_RUN]
    (said,) = [text for text in found["advice"] if text.startswith("its own run says")]
    numbers = [float(x) for x in re.findall(r"[\d.]+(?=[ ,\]]|%)", said)]
    assert numbers[0] == pytest.approx(100 * told["measured_error"], abs=0.01)
    assert numbers[2] < 100 * told["error"]
    assert said.endswith("a further seed would tell")
