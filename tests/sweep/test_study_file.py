"""The study file: every fault is one line that names the key."""

from __future__ import annotations

import pytest

from planner.errors import InfeasibleError, InputError
from runner.sweep.study_file import load_study, with_spending
from runner.sweep.study_spend import Spending, in_hours, parse_until

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
    assert found.query.min_prob == 0.95
    assert found.spending == Spending(hours=2.0, until_regret=0.002)
    assert found.references == {}


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
        with_spending(found, Spending())
    for said in (Spending(hours=3.0), Spending(until_regret=0.001), Spending(gpu_hours=3.0)):
        assert with_spending(found, said).spending == said


def test_the_command_line_goes_before_the_file_and_hours_of_either_kind_are_one_thing(tmp_path):
    found = load(tmp_path)
    both = with_spending(found, Spending(gpu_hours=8.0)).spending
    assert both == Spending(gpu_hours=8.0, until_regret=0.002)
    assert in_hours(both, 4.0) == Spending(hours=2.0, until_regret=0.002)
    with pytest.raises(InputError, match="8 GPU-hours cannot be spent: runs use no GPU here"):
        in_hours(both, 0.0)
    with pytest.raises(InputError, match="hours and gpu_hours are both given"):
        with_spending(found, Spending(hours=1.0, gpu_hours=1.0))


SETS = """
[[data.test]]
name = "general"
path = "general.csv"
[lora]
"""


def with_rule(rule):
    return (
        ("[lora]", SETS),
        ("[axes]", '[data]\nname = "manifest"\npath = "a.csv"\n[axes]'),
        ("min_prob", f'keep = "{rule}"\nmin_prob'),
    )


RANDOM = ('task = "asr"', 'task = "asr"\ninitialisation = "random"')


def test_a_rule_of_change_brings_the_untrained_checkpoints_and_one_of_errors_does_not(tmp_path):
    found = load(tmp_path, *with_rule("general<=+1pt"))
    assert found.query.keep == "general<=+1pt"
    assert found.spec.reference
    assert found.references == {
        "whisper-tiny,30.0,none,none": "whisper-tiny",
        "whisper-base,30.0,none,none": "whisper-base",
    }
    assert load(tmp_path, *with_rule("general<=9%")).references == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (with_rule("genral<=+1pt"), "unknown test set of limits.keep 'genral'"),
        ((('flops = "50G"', 'keep = "general<=+1pt"'),), "names general, and the file has no"),
        ((*with_rule("general<=+1pt"), RANDOM), "has none; give a rule of errors"),
        (with_rule("general<9"), "keep: 'general<9' cannot be read"),
    ],
    ids=["misspelt", "no-set", "random", "unreadable"],
)  # fmt: skip
def test_a_rule_that_cannot_be_judged_is_one_line(changes, said, tmp_path):
    with pytest.raises(InputError, match=said) as problem:
        load(tmp_path, *changes)
    assert "\n" not in str(problem.value)


def test_levels_of_training_audio_are_candidates(tmp_path):
    from planner.service.study_state import config_named
    from planner.words.catalogue import BUILT_IN

    found = load(
        tmp_path, ('adaptation = "lora:8"', 'adaptation = "lora:8"\ntrain_hours = [0.5, 2]')
    )
    assert len(found.candidates) == 16
    text = "whisper-tiny,5.0,stem:2,lora:8[q_proj,v_proj];train_hours=0.5"
    assert found.candidates[text].train_hours == 0.5
    assert config_named(text, BUILT_IN).value("train_hours") == 0.5


@pytest.mark.parametrize(
    "text", ["regret<=0pt", "regret<=200pt", "regret<=-1pt", "regret<=1e9%", ""]
)
def test_a_regret_that_no_choice_could_have_is_refused(text):
    with pytest.raises(InputError, match=r"write regret<=0\.2pt"):
        parse_until(text)
