"""What a configuration varies in: the dimensions of the candidate set, as a registry.

A dimension says how a run's level is read from its trial, in which order levels stand, which levels lie
between (for a finer grid), and which coordinates of a law a level gives. The built-in ones are fields of
`Config`; a further one (weight precision, sparsity, …) is a class with those methods, registered once:
its levels then ride in `Config.extra`, are crossed with all others, and may be an axis of a law.

Many configurations are held field by field (`Columns`): each field has few distinct values; a column
holds those and, for every configuration, which one it has. What depends on one field is worked out
once a value, and configurations are compared as integers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.plan.cost import Floats
from planner.words.catalogue import Catalogue
from planner.words.dimensions import BUILT_IN, Dimension, dimensions, further_dimensions
from planner.words.records import Adaptation, Reduction, Trial


def config_of(trial: Trial) -> Config:
    """The configuration that a trial was of."""
    levels = ((d.name, d.of_trial(trial)) for d in further_dimensions())
    extra = tuple((name, level) for name, level in levels if level is not None)
    return Config(
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        adaptation=trial.adaptation,
        padding=trial.padding,
        extra=extra,
    )


def config_from(levels: dict[str, Any], padding: str) -> Config:
    """The configuration with those levels, by dimension."""
    extra = tuple((k, v) for k, v in levels.items() if k not in BUILT_IN and v is not None)
    return Config(**{k: levels[k] for k in BUILT_IN}, padding=padding, extra=extra)


def axis_values(config: Config, axes: Sequence[str], catalogue: Catalogue) -> list[float]:
    """A configuration's coordinates on the axes of a law.

    Raises:
        InputError: an axis is not a property of a configuration (training examples, say).
    """
    return [d.coordinate(config.value(d.name), axis) for axis, d in _givers(axes, catalogue)]


def axis_columns(columns: Columns, axes: Sequence[str], catalogue: Catalogue) -> Floats:
    """The coordinates of many configurations on the axes of a law, shape (m, k).

    Raises:
        InputError: an axis is not a property of a configuration.
    """
    x = np.empty((len(columns.key), len(axes)))
    for i, (axis, dimension) in enumerate(_givers(axes, catalogue)):
        name = dimension.name
        own = columns.levels[name if name in BUILT_IN else "extra"]
        levels = own.values if name in BUILT_IN else [dict(v)[name] for v in own.values]
        x[:, i] = np.array([dimension.coordinate(v, axis) for v in levels])[own.code]
    return x


def _givers(axes: Sequence[str], catalogue: Catalogue) -> list[tuple[str, Dimension]]:
    giver = {axis: d for d in dimensions(catalogue) for axis in d.coordinates}
    unknown = [a for a in axes if a not in giver]
    if unknown:
        raise InputError(
            f"axis {unknown[0]} is not a property of a configuration, so no plan can be made on it; "
            "fit on the compute axes"
        )
    return [(axis, giver[axis]) for axis in axes]


@dataclass(frozen=True, slots=True, kw_only=True, order=False)
class Config:
    """One configuration that could be deployed: a point on the three axes, and its adaptation."""

    backbone: str
    audio_seconds: float
    reduction: Reduction
    adaptation: Adaptation
    padding: str = "dynamic"
    extra: tuple[tuple[str, Any], ...] = ()

    def value(self, name: str) -> Any:
        """The level on one dimension of the candidate set; None where it has none."""
        for key, level in self.extra:
            if key == name:
                return level
        return getattr(self, name, None)

    @property
    def trained(self) -> Config:
        """What is trained of it: the same for all engines and precisions that run it."""
        extra = tuple((k, v) for k, v in self.extra if k not in ("engine", "precision"))
        return replace(self, extra=extra) if dict(self.extra).get("engine") else self

    @property
    def label(self) -> str:
        """`whisper-small · 30 s window · 25 tokens/s (stem:2) · lora:16`."""
        rate = f"{self.reduction.tokens_per_second:g} tokens/s"
        if self.reduction.factor > 1:
            rate += f" ({self.reduction})"
        parts = [self.backbone, f"{self.audio_seconds:g} s window", rate, str(self.adaptation)]
        extra = dict(self.extra)
        if "train_hours" in extra:
            parts.append(f"trained on {extra.pop('train_hours'):g} h")
        if "engine" in extra:
            # `ctranslate2 int8`: the two go without their names.
            parts.append(f"{extra.pop('engine')} {extra.pop('precision')}")
        return " · ".join([*parts, *(f"{k} {v}" for k, v in extra.items())])

    def to_json(self) -> dict[str, Any]:
        """Plain values; `reduction` and `adaptation` in the short form that commands take."""
        return {
            "backbone": self.backbone,
            "audio_seconds": self.audio_seconds,
            "reduction": str(self.reduction),
            "tokens_per_second": self.reduction.tokens_per_second,
            "adaptation": str(self.adaptation),
            "padding": self.padding,
            **{k: v if isinstance(v, (int, float, str, bool)) else str(v) for k, v in self.extra},
        }


Ints = NDArray[np.int64]
FIELDS = ("backbone", "audio_seconds", "reduction", "adaptation", "padding", "extra")


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """One field of m configurations: its distinct values, and the index of each one's, shape (m,)."""

    values: tuple[Any, ...]
    code: Ints

    @classmethod
    def of(cls, values: Iterable[Hashable]) -> Levels:
        """Values in the order that they first come in."""
        by_value: dict[Hashable, int] = {}
        # Most values are the very same few objects: their own hashes are slow to work out.
        by_object: dict[int, int] = {}
        kept, code = list(values), []
        for value in kept:
            found = by_object.get(id(value))
            if found is None:
                found = by_object[id(value)] = by_value.setdefault(value, len(by_value))
            code.append(found)
        return cls(tuple(by_value), np.array(code, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Configurations as columns.

    Attributes:
        levels: of each of `FIELDS`.
        key: one integer for each configuration, equal where they are, shape (m,).
    """

    levels: dict[str, Levels]
    key: Ints

    @classmethod
    def of(cls, configs: Sequence[Config]) -> Columns:
        """The columns of those configurations."""
        levels = {name: Levels.of([getattr(c, name) for c in configs]) for name in FIELDS}
        return cls(levels, _keys(levels))

    def kept(self, chosen: NDArray[np.bool_]) -> Columns:
        """The chosen ones alone, shape (m,)."""
        levels = {n: Levels(v.values, v.code[chosen]) for n, v in self.levels.items()}
        return Columns(levels, self.key[chosen])

    def places(self, configs: Sequence[Config]) -> list[int | None]:
        """Where each of the configurations is among these; None where it is not."""
        index = {n: {v: i for i, v in enumerate(own.values)} for n, own in self.levels.items()}
        at = {key: j for j, key in enumerate(self.key.tolist())}
        distinct = {id(config): config for config in configs}
        found: dict[int, int | None] = {}
        for same, config in distinct.items():
            codes = [index[name].get(getattr(config, name)) for name in FIELDS]
            key = 0
            for name, code in zip(FIELDS, codes, strict=True):
                key = key * len(index[name]) + (0 if code is None else code)
            found[same] = None if None in codes else at.get(key)
        return [found[id(config)] for config in configs]

    def equal(self, name: str, value: Any) -> NDArray[np.bool_]:
        """Which ones have the value in a field, or in a dimension of `extra`, shape (m,)."""
        if name in FIELDS:
            own, has = self.levels[name], [v == value for v in self.levels[name].values]
        else:
            own = self.levels["extra"]
            has = [dict(v).get(name) == value for v in own.values]
        return np.array(has, dtype=np.bool_)[own.code]

    @property
    def audio_seconds(self) -> Floats:
        """Length of each window, shape (m,)."""
        own = self.levels["audio_seconds"]
        return np.array(own.values, dtype=np.float64)[own.code]


def _keys(levels: dict[str, Levels]) -> Ints:
    key = np.zeros(len(levels[FIELDS[0]].code), dtype=np.int64)
    for name in FIELDS:
        key = key * len(levels[name].values) + levels[name].code
    return key
