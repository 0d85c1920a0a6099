"""Hours of training audio as an axis: of the law, of the candidates, and as what is limited or spent least of."""

import dataclasses
import itertools
import json
import tomllib

import numpy as np
import pytest

from planner.errors import InfeasibleError, InputError
from planner.report.answer_text import plan_text
from planner.service import asking, fitting, frontier, next_runs, target, verification, whatif
from planner.service.replay import replay
from planner.store.claims import finish
from planner.store.engine import opened
from planner.store.write import register_sweep
from planner.words.question import PlanQuery
from planner.words.records import (
    Adaptation,
    Evaluation,
    Optimisation,
    Reduction,
    Resources,
    RunRecord,
)
from tests.store.samples import LEASE, WORKER, claim_any, trial

SIZES = {"whisper-tiny": 1.0, "whisper-base": 0.8, "whisper-small": 0.62}
SPEC = json.dumps({"name": "hours", "task": "asr", "axes": {"adaptation": ["lora:8"]}})


def error_of(backbone, seconds, hours):
    """A law with a power of each axis: E + A s (10/T)^.6 + B h^-.5."""
    return 0.03 + 0.05 * SIZES[backbone] * (10 / seconds) ** 0.6 + 0.04 * hours**-0.5


def trials(hours, **changes):
    base = {
        "adaptation": Adaptation.parse("lora:8"), "optimisation": Optimisation(steps=100),
        "reduction": Reduction(), "n_train": 100,
    }  # fmt: skip
    return [
        trial(backbone=b, audio_seconds=s, train_hours=h, **{**base, **changes})
        for b, s, h in itertools.product(SIZES, (5.0, 10.0, 30.0), hours)
    ]


def fill(db, made, error=error_of):
    rng = np.random.default_rng(3)
    with opened(db) as engine:
        sweep = register_sweep(engine, "hours", SPEC, [(t, Resources()) for t in made]).sweep_id
        for _ in made:
            claim = claim_any(engine, sweep, WORKER, LEASE)
            t = claim.trial
            value = error(t.backbone, t.audio_seconds, t.train_hours) * np.exp(rng.normal(0, 0.01))
            scored = Evaluation(
                split="test", metric="wer", error=value, std_error=0.01 * value, n_units=10_000,
                n_errors=round(10_000 * value), n_utterances=500, mean_output_tokens=20.0,
                details={"windows_per_utterance": 1.0},
            )  # fmt: skip
            finish(
                engine,
                claim,
                RunRecord(
                    status="finished", evaluations=(scored,), train_seconds=60.0, score_seconds=9.0
                ),
            )


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("hours") / "runs.db")
    fill(path, trials([1.0, 4.0, 16.0]))
    return path


ASKED = PlanQuery(task="asr", flops=1e12)


def test_the_law_has_an_axis_of_hours_whose_effect_is_found(db):
    with opened(db) as engine:
        report = fitting.fit(engine, "asr")
    assert report.fit.axes == ("n_params", "audio_seconds", "tokens_per_second", "train_hours")
    assert dict(report.fit.roles)["train_hours"] == "power"
    x = np.array([[71_825_920.0, 10.0, 50.0, hours] for hours in (1.0, 4.0, 16.0)])
    # As nearly as the runs scatter, whichever form holds them.
    expected = [error_of("whisper-base", 10.0, hours) for hours in (1.0, 4.0, 16.0)]
    assert report.fit.predict(x).mean == pytest.approx(expected, rel=0.05)


def test_an_answer_names_the_hours_and_a_limit_on_them_is_kept(db):
    free = asking.plan(db, ASKED).json
    assert free["best"]["config"]["train_hours"] == 16.0
    assert "trained on 16 h" in free["best"]["label"]
    limited = asking.plan(db, dataclasses.replace(ASKED, train_hours=5.0)).json
    assert limited["best"]["config"]["train_hours"] == 4.0
    assert limited["best"]["costs"]["train_hours"]["limit"] == 5.0
    assert "16 h" in " ".join(limited["reasons"])
    assert "training audio" in plan_text(limited)
    for answer in (free, limited):
        assert replay(db, answer["answer_id"])[0]
        assert verification.verify(db, answer["answer_id"])["outcomes"] == []


def test_the_least_hours_for_an_error_are_a_target_and_an_axis_of_the_frontier(db):
    found = target.plan_target(db, ASKED, 0.085, "train_hours")
    assert found["best"]["config"]["train_hours"] < 16.0
    with pytest.raises(InfeasibleError, match="training audio"):
        target.plan_target(db, dataclasses.replace(ASKED, train_hours=1.0), 0.062, "flops")
    points = frontier.frontier(db, ASKED, "train-hours")["points"]
    assert [p["train_hours"] for p in points] == sorted(p["train_hours"] for p in points)
    assert [p["error"] for p in points] == sorted((p["error"] for p in points), reverse=True)


def test_a_finer_grid_has_hours_between_those_that_were_run(db):
    answer = asking.plan(db, dataclasses.replace(ASKED, grid=True, train_hours=9.0)).json
    assert 4.0 < answer["best"]["config"]["train_hours"] <= 9.0


def test_whatif_is_of_the_most_hours_and_suggested_runs_say_theirs(db):
    found = whatif.whatif(db, ASKED, "whisper-base", 10.0, "none")
    assert found["config"]["train_hours"] == 16.0
    suggested = next_runs.suggest_runs(db, dataclasses.replace(ASKED, train_hours=5.0), 5.0, 1e-6)
    if suggested["suggestions"]:
        runs = tomllib.loads(next_runs.sweep_text(db, suggested, "next"))["design"]["runs"]
        assert all(run["train_hours"] in (1.0, 4.0, 16.0) for run in runs)


def test_an_untrained_checkpoint_stands_beside_an_answer_and_has_no_hours(tmp_path):
    path = str(tmp_path / "runs.db")
    fill(path, trials([1.0, 4.0]))
    untrained = trial(
        backbone="whisper-base", audio_seconds=30.0, reduction=Reduction(), n_train=0,
        adaptation=Adaptation.parse("none"),
    )  # fmt: skip
    fill(path, [untrained], error=lambda b, s, h: 0.12)
    answer = asking.plan(path, ASKED).json
    (plain,) = answer["reference"]
    assert "trained on" not in plain["label"]
    assert "12." in plain["verdict"] or "11.9" in plain["verdict"]
    assert (
        asking.plan(path, dataclasses.replace(ASKED, candidates=("whisper-base,10,none",))).json[
            "best"
        ]["config"]["train_hours"]
        == 4.0
    )


def test_runs_on_all_of_the_data_are_another_study_and_know_no_hours(tmp_path):
    path = str(tmp_path / "runs.db")
    fill(path, trials([None]), error=lambda b, s, h: error_of(b, s, 50.0))
    answer = asking.plan(path, ASKED).json
    assert "train_hours" not in answer["best"]["config"]
    assert "train_hours" not in answer["best"]["costs"]
    assert "train_hours" not in answer["study"]
    with pytest.raises(InputError, match=r"axes\.train_hours"):
        asking.plan(path, dataclasses.replace(ASKED, train_hours=5.0))
    fill(path, trials([1.0, 4.0]))
    with opened(path) as engine:
        report = fitting.fit(engine, "asr")
    assert report.evidence.study.train_hours == "several"
    assert len(report.evidence.rows) == 18
    assert any("another study" in reason for _, reason in report.evidence.exclusions)
