"""One law describes one study; what is left out is listed with its reason."""

import pytest

from planner.errors import FitError, InputError
from planner.evidence.limits import limits_of_evidence
from planner.evidence.study import axis_value, gather
from tests.evidence.rows import run

RATE = ("tokens_per_second",)
TWO = (run(1), run(2, factor=2))


def reasons(evidence):
    return dict(evidence.exclusions)


@pytest.mark.parametrize(
    ("preferred", "other"),
    [
        ({}, {"provenance": "published"}),
        ({"provenance": "imported"}, {"provenance": "published"}),
        ({}, {"initialisation": "random"}),
    ],
    ids=["measured before published", "imported before published", "pretrained before random"],
)
def test_the_study_is_chosen_by_where_its_runs_are_from_before_their_number(preferred, other):
    few = [run(1, **preferred), run(2, factor=2, **preferred)]
    many = [run(10 + i, seed=i, factor=1 + i % 2, **other) for i in range(6)]
    evidence = gather([*many, *few], "asr", axes=RATE)
    assert [r.run_id for r in evidence.rows] == [1, 2]
    assert all("another study" in reason for reason in reasons(evidence).values())


def test_of_equal_studies_the_larger_one_is_chosen():
    rows = [*TWO, *(run(10 + i, seed=i, factor=1 + i % 2, dataset="larger") for i in range(3))]
    assert gather(rows, "asr", axes=RATE).study.dataset == "larger"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (run(3, test=None), "no error stored"),
        (run(3, test=1.5), "diverged"),
        (run(3, test=0.0), "error 0"),
    ],
    ids=["no error", "diverged", "no errors at all"],
)
def test_a_run_that_a_law_cannot_take_is_left_out_with_the_reason(row, reason):
    evidence = gather([*TWO, row], "asr", axes=RATE)
    assert reason in reasons(evidence)[3]
    assert evidence.observations.run_ids == (1, 2)


def test_the_same_runs_in_another_order_give_the_same_digest_and_another_error_another():
    there, back = gather(TWO, "asr", axes=RATE), gather(TWO[::-1], "asr", axes=RATE)
    other = gather([run(1, test=0.3), TWO[1]], "asr", axes=RATE)
    assert there.digest == back.digest != other.digest


def test_filters_that_match_nothing_say_what_there_is():
    with pytest.raises(InputError, match="matches dataset 'else'; there are: measured/made"):
        gather(TWO, "asr", axes=RATE, dataset="else")


def test_without_any_run_it_says_how_to_get_some():
    with pytest.raises(FitError, match="run a sweep"):
        gather([], "asr")


def test_a_rank_without_lora_has_no_value_on_its_axis():
    from planner.words.records import Adaptation

    assert axis_value(run(1, adaptation=Adaptation.parse("none")), "lora_rank") is None
    assert axis_value(run(1, adaptation=Adaptation.parse("lora:8")), "lora_rank") == 8.0


def test_one_speaker_and_unlike_kinds_of_model_are_said():
    rows = [run(1, backbone="whisper-tiny"), run(2, factor=2, backbone="whisper-base.en")]
    codes = [limit["code"] for limit in limits_of_evidence(gather(rows, "asr", axes=RATE), 1)]
    assert codes == ["one-speaker", "mixed-kinds"]
    assert limits_of_evidence(gather(TWO, "asr", axes=RATE), None) == ()


def test_families_whose_sizes_one_law_takes_together_are_said():
    rows = [run(1), run(2, factor=2, backbone="moonshine-tiny"), run(3, backbone="wavlm-large")]
    (limit,) = limits_of_evidence(gather(rows, "asr", axes=RATE), None)
    assert limit["code"] == "mixed-families"
    assert (
        "moonshine: moonshine-tiny; wav2vec2: wavlm-large; whisper: whisper-tiny"
        in limit["message"]
    )
