"""A further test set: other speech that finished runs are scored on, beside the set that their trial names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from planner.errors import InputError
from planner.words.languages import language_of
from planner.words.test_sets import RESERVED

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSet:
    """One `[[data.test]]` of a sweep file.

    Attributes:
        name: what it is called in answers and in the column `split`: letters, digits, `_`, `-` and `.`.
        dataset: `prompts`, `librispeech`, `manifest`, … or a hub id, as `[data] name` takes; None: `manifest`.
        path: local folder or manifest file; it goes before cache, hub and registry.
        test_split: the part of a corpus to score (of no manifest); None: its own test rows, or all of a source that
            has no splits of its own.
        config, text_column, label_column, language: as in `[data]`.
        normaliser: text normaliser by name; None: that of the language.
        n_test: clips to keep (after joining), drawn by `seed`; None: all.
        join_seconds, join_gap, min_seconds, max_seconds: as in `[data]`.
        seed: of the draw.
    """

    __test__ = False  # no test case, whatever pytest thinks of the name

    name: str
    dataset: str | None = None
    path: str | None = None
    test_split: str | None = None
    config: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    language: str | None = None
    normaliser: str | None = None
    n_test: int | None = None
    join_seconds: float | None = None
    join_gap: str = "silence"
    min_seconds: float = 0.0
    max_seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in RESERVED:
            raise InputError(
                f"name {self.name!r} cannot be a test set's: use letters, digits, _, - and ., and none of "
                f"{', '.join(RESERVED)}"
            )
        if self.dataset is None and self.path is None:
            raise InputError(f"test set {self.name} has neither a dataset nor a path; give one")
        if self.language is not None:
            language_of(self.language)
        if self.n_test is not None and self.n_test < 1:
            raise InputError(f"n_test must be at least 1, got {self.n_test!r}")
        for name in ("join_seconds", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be positive, got {value!r}")
