"""From a sweep file to trials: star, grid, list or isoFLOP, duplicates removed, longest first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from planner.costs.flops.forward import forward_flops
from planner.errors import InputError
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import Optimisation, Reduction, Resources, Trial
from planner.words.units import format_flops
from runner.data.clips import Corpus
from runner.data.nested import within_hours
from runner.sweep.file import load_spec
from runner.sweep.keys import SweepSpec
from runner.trial.estimates import scoring_flops, training_flops

__all__ = ["Combination", "SweepSpec", "combinations", "expand", "load_spec"]


UNTRAINED_SECONDS = 30.0
"""Windows of a checkpoint as it is published."""


@dataclass(frozen=True, slots=True)
class Combination:
    """One level of each axis, as the sweep file writes it."""

    backbone: str
    audio_seconds: float
    reduction: str
    adaptation: str
    train_hours: float | None = None


def combinations(spec: SweepSpec, catalogue: Catalogue = BUILT_IN) -> list[Combination]:
    """The combinations of levels that a design asks for, in a fixed order, none twice.

    `grid`: every combination of the axes' levels.

    `star`: a centre, and from it each axis's other levels one at a time. An axis that
    `design.centre` does not name has its centre at its level of most compute (the longest audio,
    the least reduction, the most training audio) or, for `adaptation`, at its first level. `backbone`
    left out of the centre is crossed instead: every backbone gets its own whole star, so that size is
    seen at each length and rate. The centre should not be the bottleneck of an arm, hence most compute.

    `corners = true` adds to a star the combinations of the two extreme levels of each of its
    compute axes (length, rate, and size where the centre names a backbone), which tell an
    interaction from a sum. With 2 crossed backbones, 3 lengths and 3 rates, the star is
    2 * (1 + 2 + 2) = 10 combinations, and the corners add 2 * 1 (shortest and most reduced); with
    the centre at the middle levels they add 2 * 4.

    `list`: exactly `design.runs`; a key that a run leaves out takes the axis's only level.

    `isoflop`: those of the grid whose forward FLOPs for one window and `design.n_output_tokens`
    lie within `design.tolerance` of one of `design.flops` (convention `exact`).

    Raises:
        InputError: a run of a list leaves out an axis of several levels, or no combination of the
            grid is near one of the FLOP targets.
    """
    chosen = {
        "grid": lambda: _grid(spec),
        "star": lambda: _star(spec, catalogue),
        "list": lambda: _list(spec),
        "isoflop": lambda: _isoflop(spec, catalogue),
    }[spec.design.kind]()
    return list(dict.fromkeys(chosen))


def _grid(spec: SweepSpec) -> list[Combination]:
    axes = spec.axes
    hours: list[float | None] = [*axes.train_hours] or [None]
    return [
        Combination(*levels)
        for levels in itertools.product(
            axes.backbone, axes.audio_seconds, axes.reduction, axes.adaptation, hours
        )
    ]


def _star(spec: SweepSpec, catalogue: Catalogue) -> list[Combination]:
    axes, named = spec.axes, spec.design.centre
    seconds = named.audio_seconds or max(axes.audio_seconds)
    reduction = named.reduction or _by_factor(axes.reduction)[0]
    adaptation = named.adaptation or axes.adaptation[0]
    hours = named.train_hours or max(axes.train_hours, default=None)
    hubs = [named.backbone] if named.backbone else axes.backbone
    star: list[Combination] = []
    for hub in hubs:
        centre = Combination(hub, seconds, reduction, adaptation, hours)
        star.append(centre)
        if named.backbone:
            star += [replace(centre, backbone=b) for b in axes.backbone]
        star += [replace(centre, audio_seconds=t) for t in axes.audio_seconds]
        star += [replace(centre, reduction=r) for r in axes.reduction]
        star += [replace(centre, adaptation=a) for a in axes.adaptation]
        star += [replace(centre, train_hours=h) for h in axes.train_hours]
        if spec.design.corners:
            star += _corners(spec, centre, catalogue, with_size=named.backbone is not None)
    return star


def _corners(
    spec: SweepSpec, centre: Combination, catalogue: Catalogue, *, with_size: bool
) -> list[Combination]:
    axes = spec.axes
    lengths = (min(axes.audio_seconds), max(axes.audio_seconds))
    rates = _by_factor(axes.reduction)
    sizes = sorted(axes.backbone, key=lambda name: catalogue.backbone(name).n_params)
    ends = (sizes[0], sizes[-1]) if with_size else (centre.backbone,)
    return [
        Combination(size, seconds, reduction, centre.adaptation)
        for size, seconds, reduction in itertools.product(ends, lengths, (rates[0], rates[-1]))
    ]


def _by_factor(reductions: Sequence[str]) -> list[str]:
    return sorted(reductions, key=lambda text: Reduction.parse(text).factor)


def _list(spec: SweepSpec) -> list[Combination]:
    runs = []
    for i, run in enumerate(spec.design.runs):
        levels: list[Any] = []
        for name, given in run.model_dump().items():
            choices = getattr(spec.axes, name)
            if given is None and name == "train_hours" and not choices:
                levels.append(None)
                continue
            if given is None and len(choices) != 1:
                raise InputError(
                    f"design.runs[{i}] leaves out {name}, which has {len(choices) or 'no'} levels "
                    f"in [axes]; name one"
                )
            levels.append(choices[0] if given is None else given)
        runs.append(Combination(*levels))
    return runs


def _isoflop(spec: SweepSpec, catalogue: Catalogue) -> list[Combination]:
    design = spec.design
    grid = [
        (
            float(
                forward_flops(
                    catalogue.backbone(c.backbone),
                    audio_seconds=c.audio_seconds,
                    reduction=Reduction.parse(c.reduction),
                    n_output_tokens=design.n_output_tokens,
                    padding=spec.padding,
                    task=spec.task,
                ).total
            ),
            c,
        )
        for c in _grid(spec)
    ]
    near_targets = []
    for target in design.flops:
        near = [c for flops, c in grid if abs(flops - target) <= design.tolerance * target]
        if not near:
            flops, c = min(grid, key=lambda pair: abs(pair[0] - target))
            raise InputError(
                f"design.flops: no combination costs {format_flops(target)} within "
                f"{design.tolerance:.0%}; the nearest is {c.backbone}, {c.audio_seconds:g} s, "
                f"{c.reduction} with {format_flops(flops)}; add levels or widen design.tolerance"
            )
        near_targets += near
    return near_targets


def expand(
    spec: SweepSpec, corpus: Corpus, catalogue: Catalogue = BUILT_IN
) -> list[tuple[Trial, Resources]]:
    """The trials of a sweep on a corpus, each with what it needs; the longest first.

    Longest first (by FLOPs of training and scoring), because it packs better: a long trial that starts last
    leaves the other workers idle behind it (Graham 1969: at most 4/3 of the best makespan against
    2 in any order), and the trial that is most likely to exceed the memory fails before hours are
    spent on the others.

    Args:
        spec: the checked sweep file.
        corpus: gives the data's name, digest, split policy and the sizes of its splits.
        catalogue: what the names of backbones mean.

    Raises:
        InputError: learning rates are searched, and the corpus has no validation split to choose by.
    """
    trials = [
        _trial(spec, corpus, catalogue, combination, optimisation, seed)
        for combination in combinations(spec, catalogue)
        for optimisation in spec.optimisation.each(
            combination.audio_seconds, combination.adaptation
        )
        for seed in dict.fromkeys(spec.seeds)
    ]
    names = [c.backbone for c in combinations(spec, catalogue)] if spec.reference else []
    return _ordered(spec, corpus, catalogue, trials, names)


def expand_runs(
    spec: SweepSpec,
    corpus: Corpus,
    runs: Sequence[tuple[Combination, int]],
    catalogue: Catalogue = BUILT_IN,
    references: Sequence[str] = (),
) -> list[tuple[Trial, Resources]]:
    """As `expand`, of exactly these combinations, each with its seed, and the untrained `references` (backbones)."""
    trials = [
        _trial(
            spec, corpus, catalogue, c, spec.optimisation.at(c.audio_seconds, c.adaptation), seed
        )
        for c, seed in runs
    ]
    return _ordered(spec, corpus, catalogue, trials, references)


def _ordered(
    spec: SweepSpec, corpus: Corpus, catalogue: Catalogue, made: Sequence[Trial],
    references: Sequence[str],
) -> list[tuple[Trial, Resources]]:  # fmt: skip
    """The trials and the untrained references, none twice, the longest first, with what each needs."""
    resources = spec.resources.on(cluster_gpus=0.0)
    if spec.optimisation.searches:
        if not corpus.validation:
            raise InputError(
                "optimisation.learning_rate: a search chooses by the validation split, and the data has "
                "none; set data.validation_fraction or data.validation_split, or give one rate"
            )
        resources = replace(resources, validate=True)
    trials = [*_untrained(spec, corpus, catalogue, references), *made]
    unique = {trial.fingerprint: trial for trial in trials}

    def flops(trial: Trial) -> float:
        return training_flops(trial, corpus, catalogue) + scoring_flops(trial, corpus, catalogue)

    ordered = sorted(unique.values(), key=flops, reverse=True)
    return [(trial, resources) for trial in ordered]


def _untrained(
    spec: SweepSpec, corpus: Corpus, catalogue: Catalogue, names: Sequence[str]
) -> list[Trial]:
    """What users would take without training, for each of these backbones."""
    greedy = spec.model_copy(update={"decoding": replace(spec.decoding, beams=1)})
    return [
        _trial(
            greedy, corpus, catalogue, Combination(name, UNTRAINED_SECONDS, "none", "none"),
            Optimisation(), spec.seeds[0],
        )
        for name in dict.fromkeys(names)
    ]  # fmt: skip


def _trial(
    spec: SweepSpec,
    corpus: Corpus,
    catalogue: Catalogue,
    levels: Combination,
    optimisation: Optimisation,
    seed: int,
) -> Trial:
    adaptation = spec.adaptation(levels.adaptation)
    # What is not trained learns from no audio, however much there is.
    hours = None if adaptation.kind == "none" else levels.train_hours
    return Trial(
        task=spec.task,
        dataset=corpus.name,
        dataset_digest=corpus.digest,
        split_policy=corpus.split_policy,
        n_train=len(within_hours(corpus.train, hours, corpus.digest)),
        n_test=len(corpus.test),
        # A hub id and a catalogue name of one backbone are one trial.
        backbone=catalogue.backbone(levels.backbone).name,
        audio_seconds=levels.audio_seconds,
        reduction=Reduction.parse(levels.reduction),
        adaptation=adaptation,
        optimisation=optimisation,
        decoding=spec.decoding,
        reference_policy=spec.reference_policy,
        initialisation=spec.initialisation,
        padding=spec.padding,
        normaliser=spec.scorer,
        language=None if spec.data.language == "en" else spec.data.language,
        precision=spec.precision,
        seed=seed,
        train_hours=hours,
    )
