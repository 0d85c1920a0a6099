"""Planning for the engine and precision that will run the model."""

import json
import tomllib

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.errors import InputError, UnknownNameError
from planner.plan.engine_words import engine_name
from planner.service import asking, frontier, next_runs, whatif
from planner.service.prepared import prepared_of
from planner.service.replay import replay
from planner.words.question import PlanQuery
from tests.notebooks.conftest import quickstart_db
from tests.service.exported import export_some

__all__ = ["quickstart_db"]

LOOSE = {"task": "asr", "latency_ms": 60_000.0}


@pytest.fixture
def exported(quickstart_db):
    export_some(str(quickstart_db))
    return str(quickstart_db)


def table(db, **question):
    return prepared_of(db, PlanQuery(task="asr", **question)).table


def test_a_question_that_names_no_engine_is_answered_as_before_any_was_measured(quickstart_db):
    db = str(quickstart_db)
    before = asking.plan(db, PlanQuery(**LOOSE)).json
    export_some(db)
    assert json.dumps(asking.plan(db, PlanQuery(**LOOSE)).json) == json.dumps(before)
    assert replay(db, before["answer_id"])[0]


def test_with_torch_alone_any_engine_is_torch(quickstart_db):
    plain = asking.plan(str(quickstart_db), PlanQuery(**LOOSE)).json
    any_engine = asking.plan(str(quickstart_db), PlanQuery(**LOOSE, engine="any")).json
    assert any_engine["best"]["config"] == plain["best"]["config"]
    assert any_engine["best"]["prediction"] == plain["best"]["prediction"]


def test_every_configuration_is_a_candidate_in_every_engine_that_was_measured(exported):
    own, crossed = table(exported), table(exported, engine="any")
    assert len(crossed) == 3 * len(own)
    names = {engine_name(c) for c in crossed.configs}
    assert names == {"torch float32", "onnxruntime float32", "ctranslate2 int8"}


def test_a_tight_latency_is_met_by_a_quick_engine_and_the_answer_names_it(exported):
    own = table(exported).costs["latency_ms"]
    limit = 0.5 * float(own.value.min())
    asked = PlanQuery(task="asr", latency_ms=limit, engine="any", min_prob=0.5)
    answer = asking.plan(exported, asked).json
    best = answer["best"]
    assert best["config"]["engine"] == "ctranslate2"
    assert best["config"]["precision"] == "int8"
    assert best["label"].endswith("ctranslate2 int8")
    assert any("torch float32" in reason for reason in answer["reasons"])
    known = {(e["engine"], e["precision"]): e for e in answer["engines"]}
    assert known["ctranslate2", "int8"]["n_runs"] == 3
    assert {"size_bytes", "real_time_factor"} <= set(best["costs"])


def test_the_error_in_an_engine_is_the_configurations_own_times_a_shrunk_offset(exported):
    own, quick = table(exported), table(exported, engine="ctranslate2")
    ratio = quick.error / own.error
    assert (ratio > 1.0).all()
    assert ratio.max() < 1.2
    exact = table(exported, engine="onnxruntime").error / own.error
    assert abs(exact - 1.0).max() < 0.02


def test_its_own_score_and_runs_stand_beside_a_candidate_that_was_exported(exported):
    own, quick = table(exported), table(exported, engine="ctranslate2")
    scored = [j for j, ids in enumerate(quick.run_ids) if ids]
    assert len(scored) == 3
    for j in scored:
        assert quick.measured_error[j] > own.measured_error[j]
        assert quick.costs["size_bytes"].source[j] == "measured"


def test_few_measurements_scale_torchs_model_and_are_less_sure(exported):
    own = table(exported).costs["latency_ms"]
    quick = table(exported, engine="ctranslate2").costs["latency_ms"]
    far = [j for j, s in enumerate(quick.source) if s == "transferred"]
    assert far
    assert all(quick.log_sd[j] > own.log_sd[j] for j in far if own.source[j] == "measured")
    assert all(0.15 < quick.value[j] / own.value[j] < 0.6 for j in range(len(own.value)))


def test_an_answer_with_engines_replays_after_more_exports(exported):
    answer = asking.plan(exported, PlanQuery(**LOOSE, engine="any")).json
    assert replay(exported, answer["answer_id"])[0]


def test_an_engine_that_was_not_measured_is_refused_with_those_that_were(exported):
    with pytest.raises(UnknownNameError, match=r"unknown engine 'tensorrt'.*export"):
        table(exported, engine="tensorrt")
    with pytest.raises(InputError, match="no run was scored in onnxruntime at int8"):
        table(exported, engine="onnxruntime", precision="int8")


def test_short_names_and_lists_of_precisions_are_understood(exported):
    found = table(exported, engine="onnxruntime,ctranslate2", precision="int8,fp32")
    assert {engine_name(c) for c in found.configs} == {"onnxruntime float32", "ctranslate2 int8"}


def test_one_configuration_is_asked_about_in_one_engine(exported):
    asked = ("whisper-base", 12.0, "none")
    found = whatif.whatif(exported, PlanQuery(task="asr", engine="ctranslate2"), *asked)
    assert found["config"]["engine"] == "ctranslate2"
    with pytest.raises(InputError, match="name one of each"):
        whatif.whatif(exported, PlanQuery(task="asr", engine="any"), *asked)


def test_the_frontier_of_energy_runs_through_the_engines(exported):
    found = frontier.frontier(exported, PlanQuery(task="asr", engine="any"), "energy")
    assert found["points"][0]["engine"] == "ctranslate2"


def test_a_run_is_suggested_once_whatever_engines_it_is_for(exported):
    found = next_runs.suggest_runs(exported, PlanQuery(**LOOSE, engine="any"), 1.0)
    assert found["suggestions"]
    assert all("engine" not in s["config"] for s in found["suggestions"])
    runs = tomllib.loads(next_runs.sweep_text(exported, found, "next"))["design"]["runs"]
    assert len({tuple(run.values()) for run in runs}) == len(runs)


def test_a_configuration_that_was_not_exported_is_sized_by_those_that_were(exported):
    asked = PlanQuery(task="asr", engine="ctranslate2")
    found = whatif.whatif(exported, asked, "whisper-base", 10.0, "none")["costs"]
    assert found["size_bytes"]["source"] == "by 3 measured files"
    assert found["memory_bytes"]["source"] == "by 3 measured processes"


def test_http_gives_the_json_of_the_command(exported):
    testing = pytest.importorskip("tests.http.conftest")
    words = ["plan", "--task", "asr", "--latency", "60s", "--engine", "any", "-f", "json"]
    printed = CliRunner().invoke(cli, [*words, "--db", exported])
    with testing.client_of(exported) as client:
        answered = client.get("/v1/plan?task=asr&latency_ms=60s&engine=any")
    assert answered.json() == json.loads(printed.stdout)


def test_a_run_that_ties_with_itself_in_another_engine_is_not_compared_with_itself(exported):
    found = asking.plan(exported, PlanQuery(**LOOSE, engine="any", measured_only=True)).json
    own = found["best"]["prediction"]["run_ids"]
    assert any(tie["prediction"]["run_ids"] == own for tie in found["ties"])
    for text in found["advice"]:
        ids = text.partition("soundscale compare ")[2].split()
        assert len(set(ids)) == len(ids)
