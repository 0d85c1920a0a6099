"""The study's table: imported with sources, and its wrong count costs its believers 0.3 points."""

import pytest

from planner.errors import FitError, InfeasibleError, InputError, UnknownNameError
from planner.service import asking, fitting, lists, replay
from planner.words.question import PlanQuery


def ask(db, **question):
    return asking.plan(db, PlanQuery(task="asr", measured_only=True, **question)).json


def test_each_published_row_carries_its_source_and_whether_it_was_read(published):
    rows = lists.runs(published)
    assert len(rows) == 17
    assert {r["provenance"] for r in rows} == {"published"}
    assert all(r["source"] for r in rows)
    kinds = {(r["backbone"], r["audio_seconds"]): r["source_kind"] for r in rows}
    assert kinds[("whisper-tiny", 30.0)] == "inferred"
    assert kinds[("whisper-tiny", 15.0)] == "read"


def test_a_row_without_a_readable_error_is_left_out_and_said(tmp_path):
    report = fitting.import_results(str(tmp_path / "a.db"), "same2026")
    assert len(report.left_out) == 1
    assert "less than 3 %" in report.left_out[0]


def test_importing_twice_stores_nothing_twice(published):
    again = fitting.import_results(published, "same2026")
    assert (again.n_new, again.n_known) == (0, 17)
    assert len(lists.runs(published)) == 17


def test_the_studys_count_recommends_small_at_stride_2(published):
    best = ask(published, flops=520e9, convention="same2026")["best"]
    assert best["config"]["backbone"] == "whisper-small"
    assert best["config"]["audio_seconds"] == 30.0
    assert best["config"]["reduction"] == "output:2"
    assert f"{best['costs']['flops']['value'] / 1e9:.1f}" == "510.0"


def test_the_exact_count_recommends_small_at_full_resolution(published):
    best = ask(published, flops=520e9, convention="exact")["best"]
    assert best["config"]["backbone"] == "whisper-small"
    assert best["config"]["audio_seconds"] == 30.0
    assert best["config"]["reduction"] == "none"
    assert round(best["costs"]["flops"]["value"] / 1e9) == 394


def test_the_wrong_count_costs_its_believers_three_tenths_of_a_point(published):
    wrong = ask(published, flops=520e9, convention="same2026")["best"]["prediction"]
    right = ask(published, flops=520e9, convention="exact")["best"]["prediction"]
    assert 100 * (wrong["measured_error"] - right["measured_error"]) == pytest.approx(0.30)


def test_the_answer_has_the_keys_that_programs_rely_on(published):
    answer = ask(published, flops=520e9)
    for key in ("answer_id", "query", "best", "runners_up", "reasons", "warnings"):
        assert key in answer
    assert set(answer["best"]) >= {"config", "prediction", "costs"}
    assert answer["reasons"]


def test_the_same_question_gives_the_same_answer_and_replays(published):
    first, second = ask(published, flops=520e9), ask(published, flops=520e9)
    assert first == second
    same, now = replay.replay(published, first["answer_id"])
    assert same
    assert now["best"] == first["best"]


def test_an_answer_replays_from_its_own_law_when_a_newer_version_would_fit_another(
    published, monkeypatch
):
    first = ask(published, flops=520e9)
    monkeypatch.setattr("planner.service.fitting.VERSION", "newer")
    same, now = replay.replay(published, first["answer_id"])
    assert (same, now["fit_id"]) == (True, first["fit_id"])
    assert ask(published, flops=520e9)["fit_id"] != first["fit_id"]


def test_axes_with_two_levels_are_named_as_not_resolved(published):
    answer = ask(published, flops=520e9)
    said = " ".join(w["message"] for w in answer["warnings"])
    assert "2 levels" in said


def test_an_impossible_budget_says_what_the_cheapest_needs(published):
    with pytest.raises(InfeasibleError) as caught:
        ask(published, flops=1e9)
    assert caught.value.exit_code == 3
    assert "relax" in str(caught.value)
    assert caught.value.details["relaxations"][0]["limit"] == "flops"


def test_a_latency_limit_without_any_measurement_says_how_to_get_one(published):
    with pytest.raises(InputError, match="soundscale probe"):
        ask(published, latency_ms=100.0)


def test_a_task_without_runs_says_how_to_get_some(tmp_path):
    db = str(tmp_path / "one.db")
    table = tmp_path / "t.csv"
    table.write_text("task,backbone,audio_seconds,error\nasr,whisper-tiny,30,0.1\n")
    fitting.import_results(db, str(table))
    with pytest.raises(FitError, match="soundscale quickstart"):
        asking.plan(db, PlanQuery(task="emotion", flops=1e12))


def test_one_level_on_every_axis_is_no_fit(tmp_path):
    db = str(tmp_path / "one.db")
    table = tmp_path / "t.csv"
    table.write_text("task,backbone,audio_seconds,error\nasr,whisper-tiny,30,0.1\n")
    fitting.import_results(db, str(table))
    with pytest.raises(FitError):
        asking.plan(db, PlanQuery(task="asr", flops=1e12))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task,backbone,audio_seconds,error\nasr,whisper-tiny,30,x\n", "row 1 of t.csv"),
        ("task,backbone,audio_seconds,error\nasr,whisper-tiny,30,8.1\n", "fraction"),
        ("task,backbone,audio_seconds,error\nasr,whisper-tiny,-3,0.1\n", "row 1 of t.csv"),
        ("task,backbone,audio_seconds\nasr,whisper-tiny,30\n", "no column error"),
        ("task,backbone,audio_seconds,eror\nasr,whisper-tiny,30,0.1\n", "no column error"),
        ("task,backbone,audio_seconds,error,wat\nasr,whisper-tiny,30,0.1,1\n", "wat"),
        ("task,backbone,audio_seconds,error\nasr,whisper-huge,30,0.1\n", "whisper-huge"),
    ],
)
def test_a_bad_table_names_the_row_and_stores_nothing(tmp_path, text, said):
    table = tmp_path / "t.csv"
    table.write_text(text)
    db = tmp_path / "bad.db"
    with pytest.raises(InputError, match=said):
        fitting.import_results(str(db), str(table))
    assert not db.exists()


def test_an_unknown_table_names_the_known_one(tmp_path):
    with pytest.raises(UnknownNameError, match="same2026"):
        fitting.import_results(str(tmp_path / "x.db"), "same2025")
