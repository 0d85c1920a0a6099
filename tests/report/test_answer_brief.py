"""An answer on one small screen."""

import copy

import pytest

from planner.report.answer_brief import plan_brief
from planner.report.tables import table_within
from planner.service import asking, fitting
from planner.words.question import PlanQuery


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    db = str(tmp_path_factory.mktemp("brief") / "runs.db")
    fitting.import_results(db, "same2026")
    return asking.plan(db, PlanQuery(task="asr", flops=520e9)).json


def test_an_answer_fits_a_screen_of_80_by_24(answer):
    lines = plan_brief(answer, 80).split("\n")
    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_no_word_is_broken_and_no_line_is_too_wide(answer, width):
    text = plan_brief(answer, width)
    assert max(len(line) for line in text.split("\n")) <= width
    words = set(plan_brief(answer, 1000).split())
    shown = {
        w for w in text.split() if w != "…" and not w.isdigit()
    }  # how many are left out differs
    assert shown <= words | {"predicted", "measured", "note", "more"}


def test_the_first_line_says_what_to_take_and_its_errors_with_their_interval(answer):
    sentence = " ".join(plan_brief(answer, 80).split("\n\n")[0].split())
    p = answer["best"]["prediction"]
    assert sentence.startswith(answer["best"]["label"])
    assert f"{100 * p['error']:.2f} %" in sentence
    assert f"{100 * p['low']:.2f} to {100 * p['high']:.2f} %" in sentence


def test_what_was_measured_stands_beside_what_is_predicted(answer):
    run = next(r for r in answer["runners_up"][:3] if r["prediction"]["measured_error"])
    measured = f"{100 * run['prediction']['measured_error']:.2f} %"
    row = next(line for line in plan_brief(answer, 80).split("\n") if line.endswith(measured))
    assert f"{100 * run['prediction']['error']:.2f} %" in row


def test_what_is_left_out_is_counted_and_the_command_for_it_is_named(answer):
    many = copy.deepcopy(answer)
    many["warnings"] = [{"code": str(i), "message": f"caveat {i}"} for i in range(9)]
    lines = plan_brief(many, 80).split("\n")
    assert "note    and 6 more" in lines
    assert lines[-1] == f"all of it: soundscale answers show {answer['answer_id']}"


def test_a_label_that_is_too_wide_goes_on_below_between_words():
    label = "wav2vec2-large-robust · 30 s window · 25 tokens/s (layer12:2) · lora:64+top4 in onnxruntime int8"
    lines = table_within(["", "instead", "predicted"], [["tie", label, "8.26 %"]], 60)
    assert max(len(line) for line in lines) <= 60
    assert " ".join(" ".join(lines).split()) == (
        "instead predicted tie wav2vec2-large-robust · 30 s window · 25 8.26 % tokens/s "
        "(layer12:2) · lora:64+top4 in onnxruntime int8"
    )
