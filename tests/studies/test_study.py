"""A study on simulated trainers: what it chooses, when it ends, what it says."""

from __future__ import annotations

import dataclasses
import multiprocessing
import random
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError
from planner.report.study_page import study_page
from planner.report.study_text import study_markdown
from planner.service import studies
from planner.service.replay import replay
from planner.store.engine import opened
from planner.store.read import runs, sweep_status
from planner.words.records import RunRecord, Trial
from runner.campaign.worker import JobOutcome, TrialJob
from runner.sweep.study_spend import Spending
from tests.studies.made import Simulated, claimed, drive, record_of, true_error, write_study


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A study that ran to its end, and its report."""
    folder = tmp_path_factory.mktemp("study")
    study = Simulated.of(folder, f"sqlite:///{folder}/runs.db")
    return study, study.run()


def trials_of(db: str) -> list[Trial]:
    with opened(db) as engine:
        return [row.trial for row in sweep_status(engine, "simulated").rows]


def test_it_ends_within_its_hours_near_the_best_candidate_that_fits(ended):
    study, report = ended
    answer, ran = report["answer"], trials_of(study.db)
    assert report["hours"] <= 4.0
    assert sum(run["hours"] for run in report["runs"]) == pytest.approx(report["hours"])
    best = answer["best"]
    assert best["costs"]["flops"]["value"] <= 120e9
    chosen = next(t for t in ran if t.fingerprint == _trained(study.db, best).fingerprint)
    assert true_error(chosen) - least_error(study, 120e9) <= 0.003
    assert best["prediction"]["run_ids"], "the answer was trained"


def _trained(db, best):
    with opened(db) as engine:
        (first, *_) = [r for r in runs(engine) if r.run_id in best["prediction"]["run_ids"]]
    return first.trial


def least_error(study, flops):
    from planner.costs.flops.forward import forward_flops
    from planner.words.catalogue import BUILT_IN
    from planner.words.records import Reduction

    found = []
    for c in study.file.candidates.values():
        trial = dataclasses.replace(
            trials_of(study.db)[0], backbone=c.backbone, audio_seconds=c.audio_seconds,
            reduction=Reduction.parse(c.reduction),
        )  # fmt: skip
        one = forward_flops(
            BUILT_IN.backbone(c.backbone), audio_seconds=c.audio_seconds,
            reduction=trial.reduction, n_output_tokens=20,
        )  # fmt: skip
        if one.total <= flops:
            found.append(true_error(trial))
    return min(found)


def test_the_first_runs_are_cheap_and_the_regret_falls(ended):
    _, report = ended
    first = [run for run in report["runs"] if run["round"] == 0]
    later = [run for run in report["runs"] if run["round"] > 0]
    assert {run["backbone"] for run in first} >= {"whisper-tiny", "whisper-base"}
    assert np.median([r["hours"] for r in first]) < np.median([r["hours"] for r in later])
    bounds = [belief["regret_bound"] for belief in report["regret"]]
    assert bounds[-1] < bounds[0]


def test_every_candidate_is_the_answer_or_is_said_to_be_ruled_out_or_tied(ended):
    study, report = ended
    labels = {one["label"] for one in report["ruled_out"]} | {report["answer"]["best"]["label"]}
    assert len(labels) == len(study.file.candidates) == 27
    limited = [one for one in report["ruled_out"] if one["kind"] == "limit"]
    assert all("whisper-small" in o["label"] or "whisper-base" in o["label"] for o in limited)


def test_the_answer_is_stored_and_replays(ended):
    study, report = ended
    same, _ = replay(study.db, report["answer"]["answer_id"])
    assert same


def test_run_again_it_trains_nothing_and_says_the_same(ended):
    study, report = ended

    def never(job: TrialJob, stopped: object) -> JobOutcome:
        raise AssertionError("nothing must be trained")

    again = dataclasses.replace(study, work=never)
    assert again.run()["answer"]["best"] == report["answer"]["best"]
    assert studies.shown(study.db, "simulated") == report


def test_the_report_has_every_part_on_a_page_and_as_markdown(ended):
    _, report = ended
    page, text = study_page(report), study_markdown(report)
    for part in (
        "The answer", "What it was spent on", "How the regret fell", "What was ruled out, and why",
        "What another hour would buy", "How to use the model",
    ):  # fmt: skip
        assert f"<h2>{part}</h2>" in page
        assert f"## {part}" in text
    for said in (page, text):
        assert "shrunk towards what the law says of it; nothing was scored anew" in said
    assert "<script" not in page
    assert page.count("<circle") == 2 * len(report["regret"])


def test_every_run_is_explained(ended):
    study, report = ended
    found = studies.explained(study.db, "simulated")
    assert len(found["runs"]) == report["n_runs"]
    by_value = [run for run in found["runs"] if run["value"] is not None]
    assert all(run["value"] > 0 for run in by_value)
    (row,) = studies.listed(study.db)
    assert (row["state"], row["answer_id"]) == ("ended", report["answer"]["answer_id"])


def test_more_hours_go_on_from_what_was_trained(tmp_path):
    db = f"sqlite:///{tmp_path}/runs.db"
    short = Simulated.of(tmp_path, db, hours=0.6)
    first = short.run()
    n_before = len(trials_of(db))
    longer = dataclasses.replace(
        short, file=dataclasses.replace(short.file, spending=Spending(hours=4.0))
    )
    second = longer.run()
    assert second["hours"] > first["hours"]
    assert [r["run_id"] for r in second["runs"][:n_before]] == [r["run_id"] for r in first["runs"]]


def test_it_ends_once_the_regret_is_small_enough(tmp_path):
    changes = ("hours = 4.0", 'until = "regret<=1.5pt"')
    report = Simulated.of(tmp_path, f"sqlite:///{tmp_path}/runs.db", changes).run()
    assert report["regret"][-1]["regret_bound"] <= 0.015
    assert "within 1.5 points" in report["verdict"]
    assert all(belief["regret_bound"] > 0.015 for belief in report["regret"][:-2])


def test_a_candidate_whose_run_fails_is_no_answer_and_is_not_run_again(tmp_path):
    def mostly(trial: Trial) -> RunRecord:
        if trial.backbone == "whisper-tiny":
            return RunRecord(status="failed", failure_class="diverged", failure_text="nan")
        return record_of(trial)

    def work(job: TrialJob, stopped: object) -> JobOutcome:
        return claimed(job, mostly)

    study = Simulated.of(tmp_path, f"sqlite:///{tmp_path}/runs.db", work=work)
    report = study.run()
    failed = [run for run in report["runs"] if run["state"] == "failed"]
    assert failed
    assert len({run["candidate"] for run in failed}) <= len(failed)
    assert "whisper-tiny ·" not in report["answer"]["best"]["label"]
    assert any(o["why"] == "its run failed: diverged" for o in report["ruled_out"])


def test_another_file_under_the_name_of_a_study_is_refused(ended, tmp_path):
    study, _ = ended
    other = Simulated.of(tmp_path, study.db, ("[5, 10, 20]", "[5, 10]"))
    with pytest.raises(InputError, match="stored with another file; give this one another name"):
        other.run()


def test_hours_too_few_for_two_runs_say_what_the_least_is(tmp_path):
    with pytest.raises(InputError, match=r"too few for two runs .* give --hours 0\.\d+ or more"):
        Simulated.of(tmp_path, f"sqlite:///{tmp_path}/runs.db", hours=0.01).run()


def test_workers_share_a_round_and_the_study_ends_within_its_hours(tmp_path, db_url):
    report = Simulated.of(tmp_path, db_url, n_workers=3).run()
    later = [run["round"] for run in report["runs"] if run["round"] > 0]
    assert max(later.count(n) for n in later) > 1
    assert report["hours"] <= 4.0


CONTEXT = multiprocessing.get_context("forkserver")


def killed_at_random(folder: Path, db: str, n_kills: int, seed: int) -> int:
    """Kill the driver at random moments, then let it end; how often it was still at work when killed."""
    CONTEXT.set_forkserver_preload(["tests.chaos.preloaded", "tests.studies.made"])
    rng, n = random.Random(seed), 0
    for _ in range(n_kills):
        driver = CONTEXT.Process(target=drive, args=(str(folder), db))
        driver.start()
        driver.join(rng.uniform(0.05, 1.5))
        n += driver.exitcode is None
        driver.kill()
        driver.join()
    last = CONTEXT.Process(target=drive, args=(str(folder), db))
    last.start()
    last.join()
    assert last.exitcode == 0
    return n


@pytest.mark.parametrize("n_kills", [5, pytest.param(20, marks=pytest.mark.slow)], ids=["5", "20"])
def test_a_driver_killed_at_random_comes_to_the_same_answer_and_trains_nothing_twice(
    n_kills, ended, tmp_path
):
    study, undisturbed = ended
    write_study(tmp_path)
    db = f"sqlite:///{tmp_path}/runs.db"
    assert killed_at_random(tmp_path, db, n_kills, seed=n_kills) >= 1
    report = studies.shown(db, "simulated")
    assert report["answer"]["best"]["label"] == undisturbed["answer"]["best"]["label"]
    assert report["verdict"] == undisturbed["verdict"]
    before = [t.with_seed(t.seed).label for t in trials_of(study.db)]
    assert sorted(t.label for t in trials_of(db)) == sorted(before)
    with opened(db) as engine:
        finished = [row.trial_id for row in runs(engine, status="finished")]
    assert len(finished) == len(set(finished)) == report["n_runs"]
