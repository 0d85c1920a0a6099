"""From stored runs to the observations that one law is fitted to, with what was left out and why.

A law describes one study (`planner.evidence.comparable`): runs that differ on the axes alone. Where the
store holds several studies, one is chosen by a stated rule (measured before imported before published;
pretrained before random; then most runs; then the latest), and the runs of the others are listed as
exclusions with the reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from planner.errors import FitError, InputError
from planner.evidence.comparable import (
    MOST_SAID,
    Study,
    as_before,
    normaliser_of,
    study_of,
    unchosen,
    why_apart,
)
from planner.evidence.copies import copies
from planner.evidence.noise_of_runs import noise_of, zero_as_rate
from planner.evidence.rate_search import beaten
from planner.laws.observations import Exclusion, Observations
from planner.store.row_types import Run, ScoredCounts
from planner.words.axes import COMPUTE_AXES, axis
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.dimensions import further_dimensions
from planner.words.records import canonical_json

_PROVENANCE_ORDER = {"measured": 0, "imported": 1, "published": 2}
DATA_AXIS = "train_hours"
DIVERGED_ABOVE = 1.0
"""Error above which a run counts as diverged and is left out: more errors than units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Observations of one study, the rows behind them, and the runs that were left out."""

    study: Study
    axes: tuple[str, ...]
    rows: tuple[Run, ...]
    observations: Observations
    exclusions: tuple[tuple[int, str], ...]
    catalogue: Catalogue = BUILT_IN
    """What the names of backbones mean where the runs are from."""

    @property
    def digest(self) -> str:
        """SHA-256 over the runs and their errors: the same evidence gives the same digest."""
        rows = [
            [r.run_id, r.fingerprint or r.trial.fingerprint, r.error, r.std_error]
            for r in self.rows
        ]
        text = canonical_json([list(self.axes), rows, [list(e) for e in self.exclusions]])
        return hashlib.sha256(text.encode()).hexdigest()


def axis_value(row: Run, name: str) -> float | None:
    """The value of a run on an axis or covariate; None where it has none (rank without LoRA)."""
    coordinate = axis(name).name
    if coordinate in _VALUES:
        return _VALUES[coordinate](row)
    giver = next((d for d in further_dimensions() if coordinate in d.coordinates), None)
    return None if giver is None else giver.coordinate(giver.of_trial(row.setup), coordinate)


_VALUES: dict[str, Callable[[Run], float | None]] = {
    "n_params": lambda r: float(r.n_params),
    "audio_seconds": lambda r: r.setup.audio_seconds,
    "tokens_per_second": lambda r: r.setup.reduction.tokens_per_second,
    "train_hours": lambda r: r.setup.train_hours,
    "n_train": lambda r: float(r.setup.n_train) or None,
    "lora_rank": lambda r: float(r.setup.adaptation.lora_rank or 0) or None,
    "top_k_layers": lambda r: float(r.setup.adaptation.top_k_layers),
}
"""Of the built-in axes; those of a registered dimension come from it."""


def _wanted(row: Run, source: str | None, dataset: str | None, adaptation: str | None) -> bool:
    if source is not None and source not in (row.provenance, row.source, row.data_source):
        return False
    if dataset is not None and row.setup.dataset != dataset:
        return False
    named = row.setup.adaptation
    return adaptation is None or adaptation in (str(named), named.short)


Kind = tuple[int, tuple[str, str | None, str, int], str]

_SETUP = attrgetter("setup")
_SHARED = attrgetter("provenance", "split", "metric", "n_params")


def _scored_as(row: Run) -> str:
    """By which scorer, and on which further test set."""
    further = row.evaluation_details.get("test_set")
    return normaliser_of(row) + (f" {further.get('digest')}" if further else "")


def _kinds_of(rows: Sequence[Run]) -> list[Kind]:
    """What runs share that differ by seed and outcome alone; the identity stands for the setup."""
    # Without a call of ours for each run: of ten thousand, a tenth of a cold answer's time was here.
    scorers = map(_scored_as, rows)
    return list(zip(map(id, map(_SETUP, rows)), map(_SHARED, rows), scorers, strict=True))


class _Kinds:
    """What is worked out once for each kind of run: thousands of runs are of few kinds."""

    def __init__(self, rows: Sequence[Run], axes: Sequence[str], older: bool) -> None:
        self.older = older
        self.of = _kinds_of(rows)
        first = dict(zip(reversed(self.of), reversed(rows), strict=True))
        self.first = {kind: first[kind] for kind in dict.fromkeys(self.of)}
        distinct: dict[Study, Study] = {}
        studies = {k: study_of(r, axes) for k, r in self.first.items()}
        if older:
            studies = {k: as_before(s) for k, s in studies.items()}
        # One object for equal studies, so that they are told apart by identity.
        self.study = {k: distinct.setdefault(s, s) for k, s in studies.items()}

    def reasons(
        self, study: Study, axes: Sequence[str], place: str
    ) -> tuple[dict[Kind, str | None], dict[Kind, str | None]]:
        """Why runs of each kind are left out whatever their error: by the study, and by the axes."""
        most = 1 if self.older else MOST_SAID
        early = {
            k: _reason_of_kind(r, self.study[k], study, place, most) for k, r in self.first.items()
        }
        late = {k: _reason_of_axes(r, axes) for k, r in self.first.items()}
        return early, late


def gather(
    rows: Sequence[Run],
    task: str,
    *,
    axes: Sequence[str] = COMPUTE_AXES,
    source: str | None = None,
    dataset: str | None = None,
    adaptation: str | None = None,
    catalogue: Catalogue = BUILT_IN,
    older: bool = False,
) -> Evidence:
    """The evidence for one law.

    Args:
        rows: finished runs of the task.
        task: `asr` or `emotion`, for messages.
        axes: names of the axes and covariates of the law.
        source: provenance, or the file or table that the runs were imported from.
        dataset: only runs on it.
        adaptation: only runs with it (`lora:16`).
        catalogue: what the names of backbones mean where the runs are from.
        older: by the rule of laws before 2026-11-30, which told fewer studies apart.

    Raises:
        FitError: no run remains.
        InputError: the filters match nothing although there are runs.
    """
    if not rows:
        raise FitError(
            f"no finished run of task {task}: run a sweep (soundscale quickstart) or import results "
            "(soundscale runs import same2026)"
        )
    asked = [r for r in rows if _wanted(r, source, dataset, adaptation)]
    if not asked:
        raise InputError(_nothing_matches(rows, source, dataset, adaptation))
    kinds = _Kinds(asked, axes, older)
    study = _choose(asked, studies := [kinds.study[k] for k in kinds.of])
    place = _place([r for r, s in zip(asked, studies, strict=True) if s is study])
    axes = with_data_axis(axes, [r for r, s in zip(asked, studies, strict=True) if s is study])
    kept, exclusions = _parted(asked, kinds, study, axes, place)
    if not kept:
        raise FitError(f"every run of {study.label} was left out: {exclusions[0][1]}")
    kept.sort(key=lambda r: r.run_id)
    return Evidence(
        study=dataclasses.replace(study, place=place),
        axes=tuple(axes),
        rows=tuple(kept),
        observations=_observations(kept, axes, exclusions),
        exclusions=tuple(exclusions),
        catalogue=catalogue,
    )


def with_data_axis(axes: Sequence[str], rows: Sequence[Run]) -> tuple[str, ...]:
    """The axes, and hours of training audio where runs of one study have several."""
    levels = {r.setup.train_hours for r in rows} - {None}
    if len(levels) < 2 or DATA_AXIS in axes:
        return tuple(axes)
    return (*axes, DATA_AXIS)


def _parted(
    asked: Sequence[Run], kinds: _Kinds, study: Study, axes: Sequence[str], place: str
) -> tuple[list[Run], list[tuple[int, str]]]:
    """The runs that the law is fitted to, and the others' ids with the first reason against each."""
    kept, exclusions = [], []
    worse_rates, copied = beaten(asked), copies(asked)
    early, late = kinds.reasons(study, axes, place)
    for row, kind in zip(asked, kinds.of, strict=True):
        reason = early[kind] or _reason_of_error(row) or late[kind]
        reason = reason or worse_rates.get(row.run_id) or copied.get(row.run_id)
        if reason:
            exclusions.append((row.run_id, reason))
        else:
            kept.append(row)
    apart = {} if kinds.older else unchosen(kept)
    exclusions += apart.items()
    return [row for row in kept if row.run_id not in apart], exclusions


def _nothing_matches(
    rows: Sequence[Run], source: str | None, dataset: str | None, adaptation: str | None
) -> str:
    filters = {"source": source, "dataset": dataset, "adaptation": adaptation}
    filtered = ", ".join(f"{k} {v!r}" for k, v in filters.items() if v is not None)
    have = sorted({f"{r.provenance}/{r.setup.dataset}/{r.setup.adaptation}" for r in rows})
    return f"no finished run matches {filtered}; there are: {', '.join(have[:8])}"


def _choose(rows: Sequence[Run], studies: Sequence[Study]) -> Study:
    """The study by the stated rule; equal studies are one object."""
    runs: dict[int, list[int]] = {}
    for row, study in zip(rows, studies, strict=True):
        runs.setdefault(id(study), []).append(row.run_id)
    return min(
        {id(s): s for s in studies}.values(),
        key=lambda s: (
            _PROVENANCE_ORDER.get(s.provenance, 9),
            s.initialisation != "pretrained",
            -len(runs[id(s)]),
            -max(runs[id(s)]),
        ),
    )


def _place(rows: Sequence[Run]) -> str:
    """The place of reduction that most reduced runs share; `none` where no run is reduced."""
    setups = {id(r.setup): r for r in rows if r.setup.reduction.factor > 1}
    places: Counter[str] = Counter()
    for setup, n in Counter(id(r.setup) for r in rows).items():
        if setup in setups:
            places[_treatment(setups[setup])] += n
    return max(places, key=lambda p: (places[p], p)) if places else "none"


def _treatment(row: Run) -> str:
    """Place and operator of a reduction: what has to agree for x_V to be one axis."""
    reduction = row.setup.reduction
    layer = f"{reduction.layer}" if reduction.layer else ""
    return f"{reduction.place}{layer}:{reduction.operator}"


def _reason_of_kind(row: Run, other: Study, study: Study, place: str, most: int) -> str | None:
    if other != study:
        return why_apart(other, study, most)
    if row.setup.reduction.factor > 1 and _treatment(row) != place:
        return f"tokens reduced at {_treatment(row)}, not {place}"
    return None


def _reason_of_error(row: Run) -> str | None:
    error = row.error
    if error is None:
        return "no error stored"
    if error > DIVERGED_ABOVE:
        return f"diverged: error {error:.3g} is above {DIVERGED_ABOVE:g}"
    if error <= 0 and not row.n_units:
        return "error 0 of an unknown number of words: give n_units, and it counts as what it is"
    return None


def _reason_of_axes(row: Run, axes: Sequence[str]) -> str | None:
    for name in axes:
        value = axis_value(row, name)
        if value is None or value <= 0:
            return f"no positive value on axis {name}"
    return None


def _observations(
    rows: Sequence[Run], axes: Sequence[str], exclusions: Sequence[tuple[int, str]]
) -> Observations:
    kinds = _kinds_of(rows)
    first = dict(zip(kinds, rows, strict=True))
    at = {k: [axis_value(r, name) for name in axes] for k, r in first.items()}
    x = np.array([at[k] for k in kinds], dtype=np.float64)
    errors = np.array([r.error or zero_as_rate(r.n_units or 1) for r in rows], dtype=np.float64)
    # A weight needs every run's own standard error: some with and some without is not comparable.
    weighted = all(r.std_error is not None and r.std_error > 0 for r in rows)
    std = np.array([r.std_error for r in rows], dtype=np.float64) if weighted else None
    return Observations(
        axes=tuple(axes),
        x=x,
        error=errors,
        std_error=std,
        group=_groups(rows, x[:, [name not in COMPUTE_AXES for name in axes]]),
        run_ids=tuple(r.run_id for r in rows),
        exclusions=tuple(
            Exclusion(row=i, run_id=run_id, reason=reason)
            for i, (run_id, reason) in enumerate(exclusions)
        ),
        metric=rows[0].metric or "error",
        noise=noise_of(rows),
    )


def with_counts(evidence: Evidence, counts: ScoredCounts | None) -> Evidence:
    """The evidence with the scoring noise that the utterances' counts tell of."""
    if counts is None:
        return evidence
    known = noise_of(evidence.rows, counts)
    return dataclasses.replace(
        evidence, observations=dataclasses.replace(evidence.observations, noise=known)
    )


def _groups(rows: Sequence[Run], further: np.ndarray) -> np.ndarray | None:
    """Runs of one configuration that differ by seed alone share a group; None without any.

    `further`, shape (n, j), are their coordinates on axes beside the compute axes.
    """
    kinds = _kinds_of(rows)
    of_kind = {k: _configuration(r) for k, r in dict(zip(kinds, rows, strict=True)).items()}
    keys = [of_kind[k] for k in kinds]
    if further.shape[1]:
        keys = [(*key, *x) for key, x in zip(keys, further.tolist(), strict=True)]
    if len(set(keys)) == len(keys):
        return None
    index = {k: i for i, k in enumerate(dict.fromkeys(keys))}
    return np.array([index[k] for k in keys], dtype=np.int64)


def _configuration(row: Run) -> tuple[object, ...]:
    trial = row.setup
    treated = str(trial.reduction), str(trial.adaptation)
    return row.n_params, trial.backbone, trial.audio_seconds, *treated
