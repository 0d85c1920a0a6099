"""The study file: every fault is one line that names the key."""

from __future__ import annotations

import pytest

from planner.errors import InfeasibleError, InputError
from runner.sweep.study_file import load_study, parse_until, with_spending

GOOD = """
name = "s"
task = "asr"
[axes]
backbone = ["whisper-tiny", "whisper-base"]
audio_seconds = [5, 10]
reduction = ["none", "stem:2"]
adaptation = "lora:8"
[lora]
targets = "q_proj,v_proj"
[limits]
flops = "50G"
latency = "2s"
min_prob = 0.95
[spend]
hours = 2
until = "regret<=0.2pt"
"""


def load(tmp_path, *changes):
    text = GOOD
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = tmp_path / "s.toml"
    path.write_text(text)
    return load_study(path)


def test_a_file_gives_candidates_a_question_and_what_may_be_spent(tmp_path):
    found = load(tmp_path)
    assert len(found.candidates) == 8
    assert "whisper-tiny,5.0,stem:2,lora:8[q_proj,v_proj]" in found.candidates
    assert found.query.limits == {"flops": 50e9, "latency_ms": 2000.0}
    assert (found.query.min_prob, found.hours, found.until_regret) == (0.95, 2.0, 0.002)


def test_a_candidate_is_the_configuration_of_its_trial(tmp_path):
    from planner.plan.candidates import listed
    from planner.plan.configurations import Config
    from planner.words.catalogue import BUILT_IN
    from planner.words.records import Adaptation, Reduction

    found = load(tmp_path)
    like = Config(
        backbone="", audio_seconds=1.0, reduction=Reduction(), adaptation=Adaptation.parse("none")
    )
    config = listed("whisper-tiny,5.0,stem:2,lora:8[q_proj,v_proj]", like, BUILT_IN)
    assert config.adaptation == found.spec.adaptation("lora:8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("[limits]\nflops = \"50G\"\nlatency = \"2s\"\nmin_prob = 0.95\n", "")], "limits: no limit is given"),
        ([('flops = "50G"\nlatency = "2s"\n', "")], "limits: no limit is given; say at least one of flops"),
        ([('flops = "50G"', 'flopps = "50G"')], "limits.flopps.*did you mean limits.flops"),
        ([('flops = "50G"', "flops = true")], "limits.flops: cannot be read from True; e.g. 20G"),
        ([('flops = "50G"', 'flops = "50 apples"')], "unknown FLOP unit"),
        ([("hours = 2", "hours = 0")], "hours must be a positive number, got 0"),
        ([("hours = 2", "hour = 2")], "spend.hour.*did you mean spend.hours"),
        ([("regret<=0.2pt", "soon")], "until 'soon' cannot be read; write regret<=0.2pt"),
        ([('task = "asr"', 'task = "asr"\nseeds = [0, 1]')], "seeds: a study gives each run its seed"),
        ([("[lora]", '[design]\nkind = "star"\n[lora]')], "design: a study chooses its runs itself"),
        ([("[lora]", "[optimisation]\nlearning_rate = [1e-4, 1e-3]\n[lora]")], "give one rate"),
        ([('"lora:8"', '["lora:8", "lora:16"]')], "one law holds one adaptation, there are 2"),
        ([('["none", "stem:2"]', '["none", "stem:2", "output:2"]')], "one place and operator of reduction"),
        ([('task = "asr"', 'task = "asr"\nlatency = "none"')], 'latency = "none" measures none'),
        ([('"whisper-base"', '"whisper-bass"')], "did you mean whisper-base"),
        ([('[spend]', '[spends]')], "unknown key 'spends'"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_that_names_the_key_and_the_file(changes, said, tmp_path):
    with pytest.raises(InputError, match=said) as problem:
        load(tmp_path, *changes)
    assert "\n" not in str(problem.value)
    assert "s.toml" in str(problem.value)


def test_a_limit_below_the_leanest_window_is_infeasible_before_anything_is_run(tmp_path):
    with pytest.raises(
        InfeasibleError, match=r"limits\.flops: no candidate takes at most 1 GFLOPs"
    ):
        load(tmp_path, ('"50G"', '"1G"'))


def test_a_study_without_an_end_is_refused_and_the_command_line_gives_one(tmp_path):
    found = load(tmp_path, ('hours = 2\nuntil = "regret<=0.2pt"', ""))
    with pytest.raises(InputError, match="has no end: say what may be spent with --hours"):
        with_spending(found, None, None)
    assert with_spending(found, 3.0, None).hours == 3.0
    assert with_spending(found, None, 0.001).until_regret == 0.001


@pytest.mark.parametrize(
    "text", ["regret<=0pt", "regret<=200pt", "regret<=-1pt", "regret<=1e9%", ""]
)
def test_a_regret_that_no_choice_could_have_is_refused(text):
    with pytest.raises(InputError, match=r"write regret<=0\.2pt"):
        parse_until(text)
