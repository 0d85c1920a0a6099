"""Answers about further test sets: their errors, rules that an answer has to keep, and what was forgotten."""

import dataclasses
import json

import pytest

from planner.errors import FitError, InfeasibleError, InputError, NoLawError, UnknownNameError
from planner.evidence.paired.difference import Difference
from planner.evidence.paired.seeds import of_seeds
from planner.report.answer_brief import plan_brief
from planner.report.answer_text import plan_text
from planner.service import asking, fitting, frontier, target, verification, whatif
from planner.service.replay import replay
from planner.store import read
from planner.store.engine import opened
from planner.store.test_sets import save_scored
from planner.words.keep import rules_of
from planner.words.question import PlanQuery
from planner.words.student import t_quantile
from tests.notebooks.conftest import quickstart_db
from tests.service.test_reference import score_untrained
from tests.store.test_test_sets import on_other

__all__ = ["quickstart_db"]

ASKED = PlanQuery(task="asr", latency_ms=60_000.0)


def score_others(db, more, name="other"):
    """Every finished run on a further set, with so many more errors in each utterance than on its own."""
    with opened(db) as engine:
        for row in read.runs(engine, task="asr", status="finished"):
            if row.error is not None and (n := more(row)) is not None:
                save_scored(engine, row.run_id, on_other(engine, row, name=name, more=n))


@pytest.fixture
def forgetful(quickstart_db):
    """Trained runs that err more on the other set, those with fewer tokens most; untrained ones do not."""
    db = str(quickstart_db)
    score_untrained(db, more_errors=1)
    with opened(db) as engine:
        like = read.runs(engine, task="asr", status="finished")[0].trial.backbone
    score_others(db, lambda row: _forgotten(row, like))
    return db


def _forgotten(row, like):
    if row.trial.adaptation.kind == "none":
        return 0
    if row.trial.backbone != like:
        return None if row.trial.reduction.factor > 2 else 4
    return 0 if row.trial.reduction.factor == 1 else 4


def test_a_set_that_no_run_was_scored_on_is_unknown_and_the_answer_says_how_to_score(quickstart_db):
    for asked in ({"test_set": "other"}, {"keep": "other<=9%"}):
        with pytest.raises(UnknownNameError, match=r"\[\[data.test\]\]"):
            asking.plan(str(quickstart_db), dataclasses.replace(ASKED, **asked))


def test_an_answer_for_a_further_set_is_of_its_errors_and_replays(quickstart_db):
    db = str(quickstart_db)
    own = asking.plan(db, ASKED).json
    # The smallest of equal models is spared on the other set alone.
    score_others(db, lambda row: 0 if row.trial.reduction.factor == 1 else 5)
    answer = asking.plan(db, dataclasses.replace(ASKED, test_set="other")).json
    assert answer["study"]["split"] == "other"
    assert answer["fit_id"] != own["fit_id"]
    assert answer["best"]["config"]["reduction"] == "none"
    with opened(db) as engine:
        run = read.run(engine, answer["best"]["prediction"]["run_ids"][0])
        assert (
            answer["best"]["prediction"]["measured_error"]
            == read.run_on(engine, run, "other").error
        )
    assert "test set other" in plan_brief(answer)
    assert replay(db, answer["answer_id"])[0]
    # What was answered before the set was scored is answered again as it was.
    assert replay(db, own["answer_id"])[0]
    booked = verification.verify(db, answer["answer_id"])
    assert booked["answer_id"] == answer["answer_id"]


def test_an_answer_tells_what_its_model_errs_elsewhere_though_nobody_asked(forgetful):
    answer = asking.plan(forgetful, ASKED).json
    (other,) = answer["other_sets"]
    assert other["test_set"] == "other"
    assert other["run_id"] == answer["best"]["prediction"]["run_ids"][0]
    with opened(forgetful) as engine:
        run = read.run_on(engine, read.run(engine, other["run_id"]), "other")
        assert other["error"] == run.error
    assert other["verdict"] in plan_text(answer)
    again = asking.plan(forgetful, ASKED).json
    assert again == answer
    assert replay(forgetful, answer["answer_id"])[0]


def test_what_was_asked_before_a_set_is_scored_is_answered_after_it_under_another_id(
    quickstart_db,
):
    db = str(quickstart_db)
    seen = [asking.plan(db, ASKED).json]
    # Scored run by run, as a sweep does: each score may be told, and each answer is stored.
    with opened(db) as engine:
        rows = [r for r in read.runs(engine, task="asr", status="finished") if r.error is not None]
    best = seen[0]["best"]["prediction"]["run_ids"][0]
    for row in sorted(rows, key=lambda row: row.run_id != best):
        score_others(db, lambda other, row=row: 1 if other.run_id == row.run_id else None)
        seen.append(asking.plan(db, ASKED).json)
    score_others(db, lambda row: 2, name="second")
    seen.append(asking.plan(db, ASKED).json)
    assert len({a["answer_id"] for a in seen}) == 3
    asking.plan(db, dataclasses.replace(ASKED, keep="other<=60%"))
    score_untrained(db, more_errors=1)
    score_others(db, lambda row: 0 if row.trial.adaptation.kind == "none" else None)
    asking.plan(db, dataclasses.replace(ASKED, keep="other<=60%"))
    assert all(replay(db, a["answer_id"])[0] for a in seen)


def test_a_rule_on_a_set_with_too_few_scores_is_refused_and_not_taken_for_too_few_runs(
    quickstart_db,
):
    db = str(quickstart_db)
    with opened(db) as engine:
        first = [r.run_id for r in read.runs(engine, task="asr", status="finished")][:2]
    score_others(db, lambda row: 1 if row.run_id in first else None)
    with pytest.raises(FitError, match="score more runs on it") as refused:
        asking.plan(db, dataclasses.replace(ASKED, keep="other<=60%"))
    assert not isinstance(refused.value, NoLawError)


def test_rules_leave_the_candidates_that_keep_them_and_say_with_what_chance(forgetful):
    free = asking.plan(forgetful, ASKED).json
    kept = asking.plan(forgetful, dataclasses.replace(ASKED, keep="other<=+1pt")).json
    assert kept["n_not_kept"] > 0
    assert kept["n_candidates"] == free["n_candidates"] - kept["n_not_kept"]
    (one,) = kept["kept"]
    assert one["probability"] >= 0.9
    assert one["paired"]
    assert one["change_high"] < 0.03
    assert kept["best"]["config"]["reduction"] == "none"
    assert one["verdict"] in plan_text(kept)
    assert "other_sets" not in kept
    assert replay(forgetful, kept["answer_id"])[0]
    assert "kept" in plan_brief(kept)


def test_the_change_of_what_was_run_is_that_of_a_comparison(forgetful):
    from planner.service.compare import compare

    answer = asking.plan(forgetful, dataclasses.replace(ASKED, keep="other<=+1pt")).json
    (one,) = answer["kept"]
    with opened(forgetful) as engine:
        (base,) = read.runs(engine, task="asr", status="finished", adaptation="none")
    run_id = answer["best"]["prediction"]["run_ids"][0]
    (pair,) = compare(forgetful, [base.run_id, run_id], split="other")["comparisons"]
    assert (one["change"], one["change_low"], one["change_high"]) == pytest.approx(
        (pair["difference"], pair["low"], pair["high"])
    )


def test_the_frontier_and_a_target_obey_the_rules_too(forgetful):
    query = dataclasses.replace(ASKED, keep="other<=+1pt")
    kept, free = (
        [p["reduction"] for p in frontier.frontier(forgetful, q, "flops")["points"]]
        for q in (query, ASKED)
    )
    assert kept
    assert set(kept) == {"none"} != set(free)
    found = target.plan_target(forgetful, query, 0.9, "flops")
    assert "stem" not in found["best"]["label"]


def test_whatif_judges_one_configuration_by_the_rule(forgetful):
    best = asking.plan(forgetful, ASKED).json["best"]["config"]
    found = whatif.whatif(
        forgetful, dataclasses.replace(ASKED, keep="other<=+1pt"), best["backbone"],
        best["audio_seconds"], "stem:4",
    )  # fmt: skip
    (one,) = found["kept"]
    assert one["probability"] < 0.5


def test_a_rule_that_nothing_keeps_is_refused_with_the_nearest_and_its_chance(forgetful):
    with pytest.raises(InfeasibleError, match="no configuration keeps") as refused:
        asking.plan(forgetful, dataclasses.replace(ASKED, keep="other<=-30pt"))
    assert refused.value.details["kept"][0]["probability"] < 0.9
    json.dumps(refused.value.details)
    # What it says would be kept is kept, and no tenth of a point less.
    wider = refused.value.details["keep"]
    assert wider in str(refused.value)
    answer = asking.plan(forgetful, dataclasses.replace(ASKED, keep=wider)).json
    assert answer["kept"][0]["rule"] == wider
    (rule,) = rules_of(wider)
    less = dataclasses.replace(rule, most=rule.most - 0.001)
    with pytest.raises(InfeasibleError, match="no configuration keeps"):
        asking.plan(forgetful, dataclasses.replace(ASKED, keep=str(less)))


def test_a_change_needs_an_untrained_checkpoint_and_an_error_does_not(quickstart_db):
    db = str(quickstart_db)
    score_others(db, lambda row: 0)
    with pytest.raises(InputError, match="reference = true"):
        asking.plan(db, dataclasses.replace(ASKED, keep="other<=+1pt"))
    assert asking.plan(db, dataclasses.replace(ASKED, keep="other<=60%")).json["kept"]


def test_the_set_that_errors_are_minimised_on_has_no_rule(quickstart_db):
    db = str(quickstart_db)
    score_others(db, lambda row: 0)
    for asked in ({"keep": "test<=9%"}, {"keep": "other<=9%", "test_set": "other"}):
        with pytest.raises(InputError, match="name a further test set"):
            asking.plan(db, dataclasses.replace(ASKED, **asked))


def test_the_trials_own_set_can_be_ruled_where_another_is_minimised(forgetful):
    asked = dataclasses.replace(ASKED, test_set="other", keep="test<=+2pt")
    answer = asking.plan(forgetful, asked).json
    (one,) = answer["kept"]
    assert (one["test_set"], one["rule"]) == ("test", "test<=+2pt")
    assert replay(forgetful, answer["answer_id"])[0]


def test_a_law_of_a_further_set_is_fitted_and_kept_under_an_id_of_its_own(quickstart_db):
    db = str(quickstart_db)
    score_others(db, lambda row: 1)
    with opened(db) as engine:
        own = fitting.fit(engine, "asr")
        other = fitting.fit(engine, "asr", test_set="other")
        again = fitting.fit(engine, "asr", test_set="other")
    assert own.fit_id != other.fit_id == again.fit_id
    assert other.evidence.study.split == "other"
    assert (other.evidence.observations.error > own.evidence.observations.error).all()


def test_a_configuration_of_several_seeds_changes_by_their_mean_and_no_seed_stands_for_it():
    def one(value, error=0.01, dof=40.0):
        half = t_quantile(0.95, dof) * error
        return Difference(
            difference=value, std_error=error, low=value - half, high=value + half, level=0.9, p=0.5,
            clustered_by="utterance", n_clusters=41, dof=dof,
        )  # fmt: skip

    lone = one(-0.02)
    assert of_seeds([lone]) is lone
    several = of_seeds([one(-0.02), one(0.10), one(0.10)])
    assert several.difference == pytest.approx(0.06)
    assert several.std_error == pytest.approx((0.01**2 + 0.0048 / 3) ** 0.5)
    assert several.dof == 2.0
    assert several.low < 0.0 < several.high
    alike = of_seeds([one(0.03), one(0.03), one(0.03)])
    # One set's noise stays however many seeds are scored on it.
    assert (alike.difference, alike.std_error, alike.dof) == (
        pytest.approx(0.03),
        pytest.approx(0.01),
        40.0,
    )


def test_sets_of_other_clips_under_one_name_are_apart_in_a_law(quickstart_db):
    db = str(quickstart_db)
    with opened(db) as engine:
        rows = [r for r in read.runs(engine, task="asr", status="finished") if r.error is not None]
        for row in rows:
            digest = "d" * 64 if row.trial.reduction.factor < 4 else "e" * 64
            save_scored(engine, row.run_id, on_other(engine, row, digest=digest))
        report = fitting.fit(engine, "asr", test_set="other")
    assert report.evidence.study.test_set == "d" * 64
    assert all(row.setup.reduction.factor < 4 for row in report.evidence.rows)
    assert any("test_set" in reason for _, reason in report.evidence.exclusions)


def test_what_cannot_be_judged_is_not_called_broken_and_what_a_rule_drops_is_counted(forgetful):
    answer = asking.plan(forgetful, dataclasses.replace(ASKED, keep="other<=+1pt")).json
    every = answer["n_candidates"] + answer["n_not_kept"]
    counted = f"{answer['n_not_kept']} of {every} configurations do not keep other<=+1pt"
    assert counted in plan_text(answer)
    found = whatif.whatif(
        forgetful, dataclasses.replace(ASKED, keep="other<=+1pt", extrapolate=True), "whisper-small",
        8.0, "none",
    )  # fmt: skip
    (one,) = found["kept"]
    assert one["probability"] is None
    assert "cannot be judged" in one["verdict"]
    with pytest.raises(InfeasibleError, match=r"of the [0-9]+ that keep"):
        target.plan_target(
            forgetful, dataclasses.replace(ASKED, keep="other<=+1pt"), 0.001, "flops"
        )
    with pytest.raises(InfeasibleError, match="nothing meets the limits either"):
        asking.plan(forgetful, PlanQuery(task="asr", flops=1e9, keep="other<=-30pt"))
