"""Trials whose labels are printed alike and that are not alike: what tells them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from planner.words.records import Trial, to_json

_NAMED_ALREADY = frozenset(
    {"task", "backbone", "audio_seconds", "reduction", "adaptation", "seed", "train_hours"}
)
"""Fields that a label or the columns beside it name."""
_WITHOUT_THEIR_NAME = frozenset({"dataset", "padding", "initialisation", "split_policy"})
"""Fields whose values say by themselves what they are of."""


def told_apart(trials: Sequence[Trial]) -> list[str]:
    """For each trial, what of it its label does not say and another one of that label has otherwise.

    Empty for a label that only equal trials (seeds aside) have.

    >>> from dataclasses import replace
    >>> from planner.words.records import Optimisation
    >>> one = Trial(task="asr", dataset="d", dataset_digest="", split_policy="official", n_train=9, n_test=9,
    ...             backbone="whisper-base", audio_seconds=8, optimisation=Optimisation(steps=4))
    >>> told_apart([one, replace(one, optimisation=Optimisation(steps=12)), replace(one, backbone="whisper-tiny")])
    ['steps 4', 'steps 12', '']
    """
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    unseeded = [trial if trial.seed == 0 else trial.with_seed(0) for trial in trials]
    for i, trial in enumerate(unseeded):
        alike[trial.task, trial.label].append(i)
    out = [""] * len(trials)
    for group in alike.values():
        distinct = {unseeded[i] for i in group}
        if len(distinct) > 1:
            differing = _differing(list(distinct))
            for i in group:
                out[i] = ", ".join(_said(trials[i], differing))
    return out


def full_labels(trials: Sequence[Trial]) -> list[str]:
    """Labels none of which two unlike trials share: `whisper-base · 8 s · 50 tokens/s · lora:8 · steps 12`."""
    pairs = zip(trials, told_apart(trials), strict=True)
    return [" · ".join(filter(None, (trial.label, apart))) for trial, apart in pairs]


def _flat(trial: Trial) -> dict[str, object]:
    """Fields by name, those of the optimisation and the decoding beside the trial's own."""
    nested = to_json(trial)
    inner = {**nested.pop("optimisation"), **nested.pop("decoding")}
    return {k: v for k, v in {**nested, **inner}.items() if k not in _NAMED_ALREADY}


def _differing(trials: Sequence[Trial]) -> list[str]:
    flat = [_flat(trial) for trial in trials]
    return [name for name in flat[0] if len({str(f.get(name)) for f in flat}) > 1]


def _said(trial: Trial, names: Sequence[str]) -> Iterator[str]:
    values = _flat(trial)
    for name in names:
        value = values[name]
        if name == "dataset_digest":
            yield f"data {str(value)[-12:] or 'not known'}"
        elif name in _WITHOUT_THEIR_NAME:
            yield str(value)
        else:
            yield f"{name.replace('_', ' ')} {value}"
