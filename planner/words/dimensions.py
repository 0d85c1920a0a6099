"""The dimensions of a configuration: what may differ between candidates."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from planner.words.catalogue import BUILT_IN as BUILT_IN_BACKBONES
from planner.words.catalogue import Catalogue
from planner.words.records import Reduction, Trial

BUILT_IN = ("backbone", "audio_seconds", "reduction", "adaptation")


FINER_STEPS = 3
"""Levels put between two neighbours by a finer grid."""


class Dimension(Protocol):
    """One dimension of the candidate set.

    Attributes:
        name: field of `Config`, or key in `Config.extra`.
        title: words for sentences.
        coordinates: names of the law's axes that a level gives a value on.
    """

    name: str
    title: str
    coordinates: tuple[str, ...]

    def of_trial(self, trial: Trial) -> Any:
        """The level of a run."""
        ...

    def ordered(self, levels: Iterable[Any]) -> list[Any]:
        """Distinct levels in order."""
        ...

    def finer(self, levels: Sequence[Any]) -> list[Any]:
        """The levels and those between them; the levels alone where nothing lies between."""
        ...

    def coordinate(self, level: Any, axis: str) -> float:
        """The level's value on one of `coordinates`."""
        ...


@dataclass
class _Backbone:
    catalogue: Catalogue = BUILT_IN_BACKBONES
    name: str = "backbone"
    title: str = "model"
    coordinates: tuple[str, ...] = ("n_params",)

    def of_trial(self, trial: Trial) -> str:
        return trial.backbone

    def ordered(self, levels: Iterable[str]) -> list[str]:
        return sorted(set(levels))

    def finer(self, levels: Sequence[str]) -> list[str]:
        """Backbones of the catalogue of the same kind whose size lies between those that were run."""
        ran = [self.catalogue.backbone(name) for name in levels]
        low, high = min(b.n_params for b in ran), max(b.n_params for b in ran)
        kinds = {(b.family, b.name.endswith(".en")) for b in ran}
        between = [
            b.name
            for b in self.catalogue.backbones
            if (b.family, b.name.endswith(".en")) in kinds and low <= b.n_params <= high
        ]
        return self.ordered([*levels, *between])

    def coordinate(self, level: str, axis: str) -> float:
        return float(self.catalogue.backbone(level).n_params)


class _Window:
    name, title = "audio_seconds", "window"
    coordinates: tuple[str, ...] = ("audio_seconds",)

    def of_trial(self, trial: Trial) -> float:
        return trial.audio_seconds

    def ordered(self, levels: Iterable[float]) -> list[float]:
        return sorted(set(levels))

    def finer(self, levels: Sequence[float]) -> list[float]:
        """Geometric steps between neighbours, on the grid of 0.02 s that encoders can take."""
        out = list(levels)
        for a, b in itertools.pairwise(levels):
            between = np.geomspace(a, b, FINER_STEPS + 2)[1:-1]
            out += [round(round(s / 0.02) * 0.02, 2) for s in between.tolist()]
        return self.ordered(out)

    def coordinate(self, level: float, axis: str) -> float:
        return level


class _TokenRate:
    name, title = "reduction", "token reduction"
    coordinates: tuple[str, ...] = ("tokens_per_second",)

    def of_trial(self, trial: Trial) -> Reduction:
        return trial.reduction

    def ordered(self, levels: Iterable[Reduction]) -> list[Reduction]:
        return sorted(set(levels), key=lambda v: (v.factor, str(v)))

    def finer(self, levels: Sequence[Reduction]) -> list[Reduction]:
        """All whole factors up to the largest, by the treatment of the reduced levels."""
        out = list(levels)
        for level in levels:
            head, _, tail = str(level).partition(":")
            operator = ":".join(["", *tail.split(":")[1:]])
            out += [Reduction.parse(f"{head}:{k}{operator}") for k in range(2, level.factor)]
        return self.ordered(out)

    def coordinate(self, level: Reduction, axis: str) -> float:
        return level.tokens_per_second


class _Adaptation:
    name, title = "adaptation", "adaptation"
    coordinates: tuple[str, ...] = ("lora_rank", "top_k_layers")

    def of_trial(self, trial: Trial) -> Any:
        return trial.adaptation

    def ordered(self, levels: Iterable[Any]) -> list[Any]:
        return list(dict.fromkeys(levels))

    def finer(self, levels: Sequence[Any]) -> list[Any]:
        return list(levels)

    def coordinate(self, level: Any, axis: str) -> float:
        value = level.lora_rank if axis == "lora_rank" else level.top_k_layers
        return float(value or 0)


class _TrainHours:
    """Hours of training audio; None, and no level at all, where trials name none."""

    name, title = "train_hours", "training audio"
    coordinates: tuple[str, ...] = ("train_hours",)

    def of_trial(self, trial: Trial) -> float | None:
        return trial.train_hours

    def ordered(self, levels: Iterable[float | None]) -> list[float | None]:
        known = sorted({level for level in levels if level is not None})
        return [*known] or [None]

    def finer(self, levels: Sequence[float | None]) -> list[float | None]:
        """Geometric steps between neighbours, to three digits."""
        known = [level for level in levels if level is not None]
        out: list[float | None] = [*known]
        for a, b in itertools.pairwise(known):
            between = np.geomspace(a, b, FINER_STEPS + 2)[1:-1]
            out += [float(f"{hours:.3g}") for hours in between.tolist()]
        return self.ordered(out)

    def coordinate(self, level: float, axis: str) -> float:
        return level


_FIRST: tuple[Dimension, ...] = (
    _Backbone(), _Window(), _TokenRate(), _Adaptation(), _TrainHours(),
)  # fmt: skip


_DIMENSIONS: dict[str, Dimension] = {d.name: d for d in _FIRST}


def register_dimension(new: Dimension) -> None:
    """Add a dimension; an existing name is replaced."""
    _DIMENSIONS[new.name] = new


def forget_dimension(name: str) -> None:
    """Take an added dimension away; the built-in ones stay."""
    if name not in {d.name for d in _FIRST}:
        _DIMENSIONS.pop(name, None)


def dimensions(catalogue: Catalogue) -> tuple[Dimension, ...]:
    """All dimensions, the built-in ones first; the sizes of backbones are the catalogue's."""
    return tuple(
        _Backbone(catalogue) if isinstance(d, _Backbone) else d for d in _DIMENSIONS.values()
    )


def further_dimensions() -> tuple[Dimension, ...]:
    """Those beside the fields of a configuration: hours of training audio, and what was added."""
    return tuple(d for name, d in _DIMENSIONS.items() if name not in BUILT_IN)
