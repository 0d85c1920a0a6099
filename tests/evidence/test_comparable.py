"""What keeps two runs out of one law, and that it is said."""

from __future__ import annotations

import dataclasses

import pytest

from planner.evidence.comparable import older_rule, recipe_note, unchosen, why_pooled
from planner.evidence.published.tables import load_table
from planner.evidence.study import gather
from planner.store.read import RunRow
from planner.words.records import Adaptation, Decoding, Optimisation, Reduction, Trial, to_json

TRIAL = Trial(
    task="asr", dataset="made", dataset_digest="0", split_policy="official", n_train=9, n_test=5,
    backbone="whisper-tiny", audio_seconds=8.0,
)  # fmt: skip
LONGER = Optimisation(steps=400)
FEW = Adaptation(targets="q_proj,v_proj")


def run(run_id, error=0.1, factor=1, details=None, **changed):
    reduction = Reduction.parse(f"stem:{factor}")
    trial = dataclasses.replace(TRIAL, reduction=reduction, **changed)
    return RunRow(
        run_id=run_id, trial_id=run_id, trial=trial, state="finished", attempt=1, status="finished",
        provenance="measured", n_params=1, tokens_per_second=50.0 / factor, metric="wer", split="test",
        error=error, started_utc="2026-11-24T00:00:00.000Z", evaluation_details=details or {},
    )  # fmt: skip


def gathered(*rows):
    return gather(rows, "asr", axes=("tokens_per_second",))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"normaliser": "none"}, "normaliser 'none', not 'whisper-english'"),
        ({"decoding": Decoding(beams=5)}, "beams '5', not '1'"),
        ({"decoding": Decoding(max_new_tokens=400)}, "max_new_tokens '400', not '128'"),
        ({"optimisation": LONGER}, "steps 400, not 40"),
        ({"optimisation": Optimisation(schedule="cosine")}, "schedule 'cosine', not 'linear'"),
        ({"adaptation": FEW}, "adaptation 'lora:8[q_proj,v_proj]', not 'lora:8'"),
        ({"adaptation": Adaptation(lora_alpha=8.0)}, "'lora:8[alpha 8]', not 'lora:8'"),
        ({"reference_policy": "truncate"}, "reference_policy 'truncate', not 'window'"),
        ({"n_train": 900}, "n_train 900, not 9"),
        ({"n_test": 50}, "n_test 50, not 5"),
        ({"dataset_digest": "1"}, "dataset_digest '1', not '0'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_run_that_is_not_comparable_is_left_out_and_said_to_be(changed, said):
    found = gathered(run(1), run(2, factor=2), run(3, 0.01, **changed))
    assert [row.run_id for row in found.rows] == [1, 2]
    assert found.exclusions[0][1].startswith("another study: ")
    assert said in found.exclusions[0][1]


def test_the_study_of_most_runs_is_answered():
    raw = [run(i, normaliser="none", factor=i) for i in (2, 3, 4)]
    found = gathered(run(1), *raw)
    assert found.study.normaliser == "none"
    assert [row.run_id for row in found.rows] == [2, 3, 4]


def test_a_normaliser_of_the_scoring_stands_before_that_of_the_trial():
    found = gathered(run(1), run(2, factor=2), run(3, details={"normaliser": "raw"}))
    assert [row.run_id for row in found.rows] == [1, 2]


def test_what_was_not_trained_has_no_steps_to_differ_in():
    none = Adaptation.parse("none")
    rows = [run(1, adaptation=none), run(2, factor=2, adaptation=none, optimisation=LONGER)]
    assert len(gathered(*rows).rows) == 2


def test_two_rates_of_one_configuration_are_not_repeats_of_one_another():
    other = Optimisation(learning_rate=1e-5)
    rows = [run(1), run(2, factor=2), run(3, 0.5, optimisation=other), run(4, seed=1)]
    assert list(unchosen(rows)) == [3]
    assert "learning_rate 1e-05, not 0.001" in gathered(*rows).exclusions[0][1]


def test_a_batch_that_follows_the_configuration_stays_with_a_note():
    rows = [run(1), run(2, factor=2, optimisation=Optimisation(batch_size=8))]
    assert unchosen(rows) == {}
    assert "batch_size (4, 8)" in recipe_note(rows)
    assert recipe_note(rows[:1]) is None


def test_a_law_of_the_older_rule_says_what_it_pooled():
    rows = [run(1), run(2, normaliser="none", optimisation=LONGER)]
    before = gather(rows, "asr", axes=("tokens_per_second",), older=True)
    assert len(before.rows) == 2
    assert "differ in normaliser, steps" in why_pooled(before.rows, before.axes)
    assert older_rule({"study": {"task": "asr"}})
    assert not older_rule({"study": to_json(before.study)})


@pytest.mark.parametrize(
    "text", ["lora:8", "lora:8+top2", "lora:8[q_proj,v_proj; alpha 3; rslora]"]
)
def test_an_adaptation_is_read_back_as_it_is_printed(text):
    assert str(Adaptation.parse(text)) == text


def test_files_of_one_name_in_two_folders_are_two_sources(tmp_path):
    digests = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "runs.csv"
        path.write_text("task,backbone,audio_seconds,error\nasr,whisper-tiny,8,0.1\n")
        digests.add(load_table(str(path)).rows[0].trial.dataset_digest)
    assert len(digests) == 2
