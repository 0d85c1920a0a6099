from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.words.records import Adaptation, Reduction
from runner.sweep.expand import Combination, combinations, expand
from runner.sweep.file import load_spec, parse_spec
from runner.sweep.keys import AXIS_NAMES, SweepSpec
from runner.trial.estimates import scoring_flops, training_flops

STAR = 'kind = "star"'
UNTRAINED = Adaptation(kind="none", lora_rank=None)


def levels_of(found: list[Combination]) -> set[tuple[object, ...]]:
    return {(c.backbone, c.audio_seconds, c.reduction) for c in found}


def test_a_star_gives_each_backbone_its_centre_and_each_other_level_once(spec_with):
    arms = [(12, "none"), (4, "none"), (8, "none"), (12, "stem:2"), (12, "stem:4")]
    expected = {(b, t, r) for b in ("whisper-tiny.en", "whisper-base") for t, r in arms}
    found = combinations(spec_with())
    assert levels_of(found) == expected
    assert len(found) == 10


def test_corners_add_the_combination_of_the_extremes(spec_with):
    found = combinations(spec_with((STAR, f"{STAR}\ncorners = true")))
    added = levels_of(found) - levels_of(combinations(spec_with()))
    assert added == {(b, 4, "stem:4") for b in ("whisper-tiny.en", "whisper-base")}


def test_a_star_around_the_middle_has_four_corners_for_each_backbone(spec_with):
    design = f'{STAR}\ncorners = true\ncentre = {{audio_seconds = 8, reduction = "stem:2"}}'
    assert len(combinations(spec_with((STAR, design)))) == 2 * (1 + 2 + 2 + 4)


def test_a_centre_that_names_a_backbone_varies_size_one_at_a_time_too(spec_with):
    found = combinations(spec_with((STAR, f'{STAR}\ncentre = {{backbone = "whisper-base"}}')))
    tiny = [c for c in found if c.backbone == "whisper-tiny.en"]
    assert tiny == [Combination("whisper-tiny.en", 12, "none", "lora:8")]
    assert len(found) == 6


def test_a_grid_is_every_combination(spec_with):
    found = combinations(spec_with((STAR, 'kind = "grid"')))
    sizes = ("whisper-tiny.en", "whisper-base")
    assert levels_of(found) == set(
        itertools.product(sizes, (4, 8, 12), ("none", "stem:2", "stem:4"))
    )


def test_a_list_is_exactly_its_runs(spec_with):
    runs = '{backbone = "whisper-base", audio_seconds = 6, reduction = "stem:2"}'
    found = combinations(spec_with((STAR, f'kind = "list"\nruns = [{runs}, {runs}]')))
    assert found == [Combination("whisper-base", 6, "stem:2", "lora:8")]


def test_a_list_that_leaves_out_an_axis_of_several_levels_says_which(spec_with):
    design = 'kind = "list"\nruns = [{backbone = "whisper-base", audio_seconds = 4}]'
    with pytest.raises(InputError, match=r"design.runs\[0\] leaves out reduction"):
        combinations(spec_with((STAR, design)))


def test_isoflop_keeps_what_costs_the_target_within_the_tolerance(spec_with):
    from planner.costs.flops.forward import forward_flops
    from planner.words.catalogue import backbone

    spec = spec_with((STAR, 'kind = "isoflop"\nflops = "5G"\ntolerance = 0.3'))
    for c in combinations(spec):
        cost = forward_flops(
            backbone(c.backbone),
            audio_seconds=c.audio_seconds,
            reduction=Reduction.parse(c.reduction),
            n_output_tokens=20,
        ).total
        assert 3.5e9 <= cost <= 6.5e9


def test_isoflop_names_the_nearest_where_no_combination_is_near(spec_with):
    with pytest.raises(InputError, match="no combination costs 1 PFLOPs within 10%; the nearest"):
        combinations(spec_with((STAR, 'kind = "isoflop"\nflops = ["1P"]')))


@st.composite
def specs(draw) -> SweepSpec:
    """Any star or grid on small axes; the centre may name any of them."""
    axes = {
        "backbone": draw(subsets(["whisper-tiny", "whisper-base", "whisper-small"])),
        "audio_seconds": draw(subsets([2.0, 5.0, 10.0, 30.0])),
        "reduction": draw(subsets(["none", "stem:2", "layer2:2", "output:4"])),
        "adaptation": draw(subsets(["lora:4", "lora:16", "full"])),
    }
    named = [name for name in AXIS_NAMES if draw(st.booleans())]
    centre = {name: draw(st.sampled_from(axes[name])) for name in named}
    kind = draw(st.sampled_from(["star", "grid"]))
    design = {"kind": kind, "corners": draw(st.booleans()), "centre": centre}
    seeds = draw(subsets([0, 1, 2]))
    table = {"name": "x", "task": "asr", "axes": axes, "design": design, "seeds": seeds}
    return parse_spec(table, "x.toml")


def subsets(values: list) -> st.SearchStrategy[list]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_no_combination_comes_twice_and_every_level_comes(spec):
    found = combinations(spec)
    assert len(set(found)) == len(found)
    for name in AXIS_NAMES:
        assert {getattr(c, name) for c in found} == set(getattr(spec.axes, name))


@settings(max_examples=30, deadline=None)
@given(spec=specs())
def test_a_star_lies_inside_the_grid_of_its_axes(spec):
    grid = spec.model_copy(update={"design": spec.design.model_copy(update={"kind": "grid"})})
    assert set(combinations(spec)) <= set(combinations(grid))


def test_expansion_multiplies_by_the_seeds_and_hashes_each_once(spec_with, corpus):
    trials = [t for t, _ in expand(spec_with(("seeds = [0]", "seeds = [0, 1, 1]")), corpus)]
    assert len(trials) == 20
    assert len({t.fingerprint for t in trials}) == 20


def test_expansion_takes_the_data_from_the_corpus(spec_with, corpus):
    trial = expand(spec_with(), corpus)[0][0]
    assert (trial.dataset, trial.n_train, trial.n_test) == ("eight", 4, 4)
    assert (trial.dataset_digest, trial.split_policy) == (corpus.digest, "official")


def test_the_longest_trial_comes_first(spec_with, corpus):
    trials = [trial for trial, _ in expand(spec_with(), corpus)]
    costs = [training_flops(trial, corpus) + scoring_flops(trial, corpus) for trial in trials]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_scoring_costs_a_window_for_each_part_of_a_clip(spec_with, corpus):
    trial = expand(spec_with(), corpus)[0][0]
    halved = replace(trial, audio_seconds=trial.audio_seconds / 2)
    seconds = [clip.audio_seconds for clip in corpus.test]
    windows = [sum(-(-s // t.audio_seconds) for s in seconds) for t in (trial, halved)]
    each = [scoring_flops(t, corpus) / n for t, n in zip((trial, halved), windows, strict=True)]
    assert each[1] < each[0]
    assert scoring_flops(replace(trial, adaptation=UNTRAINED), corpus) == scoring_flops(
        trial, corpus
    )
    assert training_flops(replace(trial, adaptation=UNTRAINED), corpus) == 0


def test_a_hub_id_and_a_catalogue_name_are_one_trial(spec_with, corpus):
    by_name = expand(spec_with(), corpus)
    by_hub_id = expand(spec_with(('"whisper-base"', '"openai/whisper-base"')), corpus)
    assert {t.fingerprint for t, _ in by_name} == {t.fingerprint for t, _ in by_hub_id}


def test_the_quickstarts_sweep_has_three_lengths_and_rates_for_two_sizes(corpus):
    from importlib.resources import files

    spec = load_spec(str(files("runner") / "specs" / "quickstart.toml"))
    every = [trial for trial, _ in expand(spec, corpus)]
    untrained = [t for t in every if t.adaptation.kind == "none"]
    assert {(t.backbone, t.audio_seconds, t.reduction.factor) for t in untrained} == {
        ("whisper-tiny.en", 30.0, 1), ("whisper-base", 30.0, 1),
    }  # fmt: skip
    trials = [t for t in every if t not in untrained]
    assert len(trials) == 9
    assert len({t.backbone for t in trials}) == 2
    assert {t.audio_seconds for t in trials} == {4.0, 8.0, 12.0}
    assert {t.reduction.factor for t in trials} == {1, 2, 4}
    assert {t.optimisation.batch_size * t.audio_seconds for t in trials} == {24.0}


HOURS = 'adaptation = ["lora:8"]\ntrain_hours = [0.001, 0.002]'


def test_levels_of_training_audio_are_crossed_in_a_grid_and_an_arm_of_a_star(spec_with):
    grid = combinations(spec_with((STAR, 'kind = "grid"'), ('adaptation = ["lora:8"]', HOURS)))
    assert len(grid) == 2 * 2 * 3 * 3
    star = combinations(spec_with(('adaptation = ["lora:8"]', HOURS)))
    assert len(star) == 2 * (1 + 2 + 2 + 1)
    # The centre has the most audio.
    assert sum(c.train_hours == 0.001 for c in star) == 2
    listed = (
        'kind = "list"\nruns = [{audio_seconds = 4, backbone = "whisper-base", reduction = "none"}]'
    )
    (alone,) = combinations(spec_with((STAR, listed)))
    assert alone.train_hours is None


def test_a_trial_of_a_level_says_its_hours_and_clips_and_one_that_trains_nothing_does_not(
    spec_with, corpus
):
    both = 'adaptation = ["lora:8", "none"]\ntrain_hours = [0.001, 0.002]'
    spec = spec_with((STAR, 'kind = "grid"'), ('adaptation = ["lora:8"]', both))
    found = [trial for trial, _ in expand(spec, corpus)]
    trained = [t for t in found if t.adaptation.kind != "none"]
    assert {t.train_hours for t in trained} == {0.001, 0.002}
    assert len({t.dataset_digest for t in trained}) == 1
    by_hours = {t.train_hours: t.n_train for t in trained}
    assert 0 < by_hours[0.001] < by_hours[0.002] < len(corpus.train)
    assert all("0.00" in t.label for t in trained)
    assert {t.train_hours for t in found if t.adaptation.kind == "none"} == {None}
    assert len(found) == len(trained) + 2 * 3 * 3


def test_more_training_audio_than_there_is_is_refused(spec_with, corpus):
    spec = spec_with(('adaptation = ["lora:8"]', 'adaptation = ["lora:8"]\ntrain_hours = 5'))
    with pytest.raises(InputError, match="5 h was asked"):
        expand(spec, corpus)
