"""Studies on simulated trainers with a further test set or several amounts of training audio."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.report.study_text import study_markdown
from planner.service import studies
from planner.service.replay import replay
from planner.store import read
from planner.store.engine import opened
from planner.store.test_sets import save_scored
from planner.words.records import Evaluation, Trial, Utterance
from runner.campaign.worker import JobOutcome, TrialJob
from tests.campaign.made import write_tones
from tests.studies.made import Simulated, claimed, record_of, true_error

SET = '[[data.test]]\nname = "general"\npath = "general.jsonl"\n\n[axes]'
N, WORDS = 200, 20
FORGOTTEN = {1: 0.001, 2: 0.03, 4: 0.06}
"""Points of error that tuning costs on the set, by the factor of the reduction."""


def general_error(trial: Trial) -> float:
    """On the set: a tenth and what was forgotten, whatever the backbone."""
    lost = 0.0 if trial.adaptation.kind == "none" else FORGOTTEN[trial.reduction.factor]
    return 0.1 + lost


def score_general(db: str) -> None:
    """What comes after a round: each finished run on the set, on the same utterances."""
    hard = np.random.default_rng(1).lognormal(-0.125, 0.5, N)
    with opened(db) as engine:
        for row in read.runs(engine, sweep="simulated", status="finished"):
            rng = np.random.default_rng(int(row.trial.fingerprint[:12], 16))
            n = np.minimum(rng.poisson(general_error(row.trial) * WORDS * hard), WORDS).tolist()
            heard = tuple(
                Utterance(
                    utterance_id=str(i), speaker=None, reference="a", hypothesis="b", n_units=WORDS,
                    n_errors=e, audio_seconds=5.0,
                )
                for i, e in enumerate(n)
            )  # fmt: skip
            score = Evaluation(
                split="general", metric="wer", error=sum(n) / (N * WORDS), n_units=N * WORDS, n_errors=sum(n),
                n_utterances=N, std_error=0.005, mean_output_tokens=20.0, utterances=heard,
                details={"test_set": {"digest": "d" * 64}},
            )  # fmt: skip
            save_scored(engine, row.run_id, score)


def with_set(folder: Path, rule: str, **more) -> Simulated:
    """The simulated study with a rule for the set."""
    (folder / "general.jsonl").write_text(write_tones(folder).read_text())
    changes = [
        ("[axes]", SET), ('flops = "120G"', f'flops = "120G"\nkeep = "{rule}"'),
        ('initialisation = "random"\n', ""),
    ]  # fmt: skip
    return Simulated.of(
        folder, f"sqlite:///{folder}/runs.db", *changes, after_round=score_general, **more
    )


@pytest.fixture(scope="module")
def ruled(tmp_path_factory):
    """A study under a rule of change, and its report."""
    study = with_set(tmp_path_factory.mktemp("ruled"), "general<=+2pt")
    return study, study.run()


def test_the_untrained_checkpoints_are_run_first(ruled):
    _, report = ruled
    first = [run for run in report["runs"] if run["why"].startswith("reference")]
    assert {run["candidate"] for run in first} == {
        f"whisper-{size},30.0,none,none" for size in ("tiny", "base", "small")
    }
    assert {run["round"] for run in first} == {0}
    assert all(run["state"] == "finished" and run["hours"] > 0 for run in first)
    assert any(row["purpose"] == "reference" for row in report["spent"])


def test_the_answer_keeps_the_rule_and_what_forgets_is_ruled_out_by_it(ruled):
    study, report = ruled
    answer = report["answer"]
    assert answer["best"]["config"]["reduction"] == "none"
    (kept,) = answer["kept"]
    assert (kept["test_set"], kept["paired"]) == ("general", True)
    assert kept["probability"] >= 0.9
    assert report["hours"] <= 4.0
    by_rule = [one for one in report["ruled_out"] if one["kind"] == "rule"]
    assert by_rule
    assert all("stem" in one["label"] for one in by_rule)
    text = study_markdown(report)
    assert "by a rule on a further test set" in text
    assert f"On {kept['verdict']}." in text
    for one in answer["reference"]:
        assert f"Beside it {one['verdict']}." in text
    assert {"whisper-small"} <= {one["label"].split(" · ")[0] for one in answer["reference"]}
    assert replay(study.db, answer["answer_id"])[0]


def test_every_candidate_is_the_answer_ruled_out_or_tied(ruled):
    study, report = ruled
    labels = [one["label"] for one in report["ruled_out"]] + [report["answer"]["best"]["label"]]
    assert len(labels) == len(set(labels)) == len(study.file.candidates)


def test_a_rule_that_nothing_keeps_ends_the_study_with_the_nearest_and_no_answer(tmp_path):
    report = with_set(tmp_path, "general<=-8pt").run()
    assert report["answer"] is None
    assert report["outcome"] == "infeasible"
    assert "no configuration keeps general<=-8pt" in report["verdict"]
    assert {one["kind"] for one in report["ruled_out"]} == {"rule"}
    assert "no answer: nothing meets the limits" in study_markdown(report)
    # Beyond the first runs nothing was spent on what surely keeps no such rule.
    assert report["hours"] < 2.0


def test_a_driver_that_died_before_its_runs_were_scored_on_the_set_is_followed_by_one_that_scores(
    tmp_path,
):
    def dies(db: str) -> None:
        raise KeyboardInterrupt

    study = dataclasses.replace(with_set(tmp_path, "general<=+2pt"), after_round=dies)
    with pytest.raises(KeyboardInterrupt):
        study.run()
    report = dataclasses.replace(study, after_round=score_general).run()
    assert report["answer"]["kept"][0]["probability"] >= 0.9


HOURS = (0.001, 0.002, 0.003)


def learnt(trial: Trial) -> float:
    """More audio, fewer errors: a tenth fewer for twice as much."""
    assert trial.train_hours is not None
    return true_error(trial) * (trial.train_hours / HOURS[-1]) ** -0.15


def learning(job: TrialJob, stopped: object) -> JobOutcome:
    return claimed(job, partial(record_of, error=learnt))


def of_hours(folder: Path, *changes: tuple[str, str]) -> Simulated:
    levels = f'adaptation = "lora:8"\ntrain_hours = {list(HOURS)}'
    db = f"sqlite:///{folder}/runs.db"
    more = [('adaptation = "lora:8"', levels), ("[5, 10, 20]", "[5, 10]"), *changes]
    return Simulated.of(folder, db, *more, work=learning)


def test_hours_of_training_audio_are_candidates_of_a_study(tmp_path):
    study = of_hours(tmp_path)
    report = study.run()
    best = report["answer"]["best"]
    assert best["config"]["train_hours"] == HOURS[-1]
    assert "train_hours" in report["answer"]["study"]["place"] or best["label"].endswith("0.003 h")
    ran = {run["candidate"].partition("train_hours=")[2] for run in report["runs"]}
    assert ran >= {"0.001", "0.003"}
    assert all(run["state"] == "finished" for run in report["runs"])
    labels = [one["label"] for one in report["ruled_out"]] + [best["label"]]
    assert len(labels) == len(set(labels)) == len(study.file.candidates) == 54
    assert studies.shown(study.db, "simulated") == report


def test_a_limit_on_training_audio_is_one_on_the_answer(tmp_path):
    report = of_hours(tmp_path, ('flops = "120G"', 'flops = "120G"\ntrain_hours = 0.002')).run()
    assert report["answer"]["best"]["config"]["train_hours"] <= 0.002


def test_more_audio_than_there_is_is_one_line(tmp_path):
    with pytest.raises(InputError, match="train_hours") as problem:
        of_hours(tmp_path, ("train_hours = [0.001", "train_hours = [9.0, 0.001")).run()
    assert "\n" not in str(problem.value)


def test_a_record_without_a_score_on_the_set_is_no_evidence_of_it(tmp_path):
    """Where nothing is scored on the set, no law tells of it: the study ends and says what is missing."""
    study = dataclasses.replace(
        with_set(tmp_path, "general<=50%", hours=1.0), after_round=lambda db: None
    )
    with pytest.raises(InputError, match="general"):
        study.run()
