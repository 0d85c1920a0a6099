"""Many configurations field by field: what a hundred thousand candidates are counted from.

Each field has few distinct values; a column holds those and, for every configuration, which one it
has. What depends on one field is worked out once a value, and configurations are compared as integers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.plan.question import Config, Floats

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
