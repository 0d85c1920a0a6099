"""When two runs may stand in one law: what a study is, and what keeps a run out of one.

Runs of one study share everything that changes what an error means (scored set, metric, normaliser,
decoding, reference policy) or how good a model is at the same axes (data, adaptation and its targets, steps
and the rest of the optimisation). Learning rates and batch sizes may follow the configuration, as a search
or `batch_audio_seconds` sets them; within one configuration they have to agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from planner.evidence.rate_search import RATES, rates_of
from planner.store.row_types import Run
from planner.words.asked import UNSAID
from planner.words.records import Adaptation, Decoding, Optimisation, Trial
from planner.words.scorers import versioned

ADDED_LATER = frozenset({"n_train", "n_test", "normaliser", "decoding", "steps", "optimisation"})
"""Fields that a study of laws before 2026-11-30 did not tell apart."""
MOST_SAID = 3
"""Differences named for a run of another study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What the runs of one law share."""

    task: str
    provenance: str
    dataset: str
    dataset_digest: str
    split: str
    metric: str
    normaliser: str
    split_policy: str
    reference_policy: str
    padding: str
    initialisation: str
    adaptation: str
    place: str
    n_train: int
    n_test: int
    steps: int
    optimisation: str
    decoding: str
    language: str | None = field(default=None, metadata={UNSAID: True})
    train_hours: str | None = field(default=None, metadata={UNSAID: True})
    """`several`: runs name how much of the training split they are trained on; None: all of it."""
    test_set: str | None = field(default=None, metadata={UNSAID: True})
    """Digest of the further test set that errors are of; None: the one that the trials name."""

    @property
    def label(self) -> str:
        """`asterisk-en · wer by whisper-english/1 · lora:8 (measured)`, and the language where it is not English."""
        scorer = f" by {versioned(self.normaliser)}" if self.normaliser not in ("", "none") else ""
        spoken = f" in {self.language}" if self.language else ""
        return f"{self.dataset}{spoken} · {self.metric}{scorer} · {self.adaptation} ({self.provenance})"


def study_of(row: Run, axes: Sequence[str]) -> Study:
    """The study that a run belongs to; what is an axis is not part of its identity."""
    trial = row.setup
    trained = trial.adaptation.kind != "none"
    # How long more data is trained on follows from how much there is.
    sized = "n_train" in axes
    hours = trained and trial.train_hours is not None
    return Study(
        task=trial.task,
        provenance=row.provenance,
        dataset=trial.dataset,
        dataset_digest=trial.dataset_digest,
        split=row.split or "",
        metric=row.metric or "",
        normaliser=normaliser_of(row),
        split_policy=trial.split_policy,
        reference_policy=trial.reference_policy,
        padding=trial.padding,
        initialisation=trial.initialisation,
        adaptation=_adaptation(trial.adaptation, axes),
        place="",
        n_train=trial.n_train if trained and not sized and not hours else 0,
        n_test=trial.n_test,
        steps=trial.optimisation.steps if trained and not sized else 0,
        optimisation=_recipe(trial.optimisation) if trained else "",
        decoding=_decoding(trial.decoding) if trial.task == "asr" else "",
        language=trial.language,
        train_hours="several" if hours else None,
        test_set=(row.evaluation_details.get("test_set") or {}).get("digest"),
    )


def normaliser_of(row: Run) -> str:
    """The normaliser behind the run's error: that of its scoring, else the trial's."""
    return str(row.evaluation_details.get("normaliser") or row.setup.normaliser)


def _adaptation(adaptation: Adaptation, axes: Sequence[str]) -> str:
    """What is trained, without the rank or the layers where they are an axis."""
    if "lora_rank" not in axes:
        return str(adaptation)
    return " ".join([adaptation.kind, *adaptation.unusual])


def _recipe(optimisation: Optimisation) -> str:
    """All of an optimisation but steps, batch and rates."""
    free = {"steps", "batch_size", *RATES}
    named = [f for f in fields(optimisation) if f.name not in free]
    return ", ".join(f"{f.name} {getattr(optimisation, f.name)}" for f in named)


def _decoding(decoding: Decoding) -> str:
    """All of a decoding that changes its text; of guards those that it has."""
    given = {f.name: getattr(decoding, f.name) for f in fields(decoding) if f.name != "kv_cache"}
    return ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)


def as_before(study: Study) -> Study:
    """The study by the rule of laws before 2026-11-30, which told fewer apart."""
    kept = study.adaptation.partition("[")[0]
    return replace(
        study, adaptation=kept, n_train=0, n_test=0, steps=0,
        normaliser="", optimisation="", decoding="", language=None,
    )  # fmt: skip


def why_apart(other: Study, study: Study, most: int = MOST_SAID) -> str:
    """`another study: normaliser 'none', not 'whisper-english'`, up to so many differences."""
    pairs = list(differences(other, study))
    said = [f"{name} {one!r}, not {two!r}" for name, one, two in pairs[:most]]
    if len(pairs) > most > 1:
        said.append(f"and {len(pairs) - most} more")
    return "another study: " + "; ".join(said)


def differences(one: Study, other: Study) -> Iterator[tuple[str, object, object]]:
    """Fields that differ with their values; of composed ones only the parts that do."""
    for name in (f.name for f in fields(Study)):
        a, b = getattr(one, name), getattr(other, name)
        if a == b or (name == "dataset_digest" and one.dataset != other.dataset):
            continue
        if name in ("decoding", "optimisation") and a and b:
            yield from _parts(a, b)
        else:
            yield name, a, b


def _parts(one: str, other: str) -> Iterator[tuple[str, object, object]]:
    left, right = (dict(x.split(" ", 1) for x in text.split(", ")) for text in (one, other))
    for name in dict.fromkeys([*left, *right]):
        a, b = left.get(name, "none"), right.get(name, "none")
        if a != b:
            yield name, a, b


def unchosen(rows: Sequence[Run]) -> dict[int, str]:
    """Runs of a configuration that was run in several ways by rate or batch, but for one of them.

    The way that most runs of the study have stands, the latest at a tie. A search with errors on validation
    is judged before, by `rate_search.beaten`.
    """
    ways = Counter(_way(r.setup) for r in rows)
    if len(ways) < 2:
        return {}
    latest = {_way(r.setup): r.run_id for r in rows}
    configurations: dict[object, list[Run]] = defaultdict(list)
    for row in rows:
        setup = row.setup
        key = row.n_params, setup.backbone, setup.audio_seconds, setup.reduction, setup.adaptation
        configurations[key, setup.n_train].append(row)
    out: dict[int, str] = {}
    for runs in configurations.values():
        own = {_way(r.setup) for r in runs}
        if len(own) > 1:
            best = max(own, key=lambda way: (ways[way], latest[way]))
            out |= {r.run_id: _not_that_way(r, best) for r in runs if _way(r.setup) != best}
    return out


_Way = tuple[tuple[float | None, ...], int]


def _way(trial: Trial) -> _Way:
    if trial.adaptation.kind == "none":
        return (), 0
    return rates_of(trial.optimisation), trial.optimisation.batch_size


def _not_that_way(row: Run, best: _Way) -> str:
    rates, batch = _way(row.setup)
    pairs = [*zip((*RATES, "batch_size"), (*rates, batch), (*best[0], best[1]), strict=True)]
    said = "; ".join(f"{name} {a}, not {b}" for name, a, b in pairs if a != b)
    return f"another recipe of this configuration: {said}, as most runs have it"


def recipe_note(rows: Sequence[Run]) -> str | None:
    """Which rates and batch sizes differ between configurations of one law; None where none does."""
    ways = dict.fromkeys(_way(r.setup) for r in rows)
    full = [(*rates, batch) for rates, batch in ways if rates]
    found = []
    for i, name in enumerate((*RATES, "batch_size")):
        levels = sorted({f"{way[i]:g}" for way in full if way[i] is not None}, key=float)
        if len(levels) > 1:
            found.append(f"{name} ({', '.join(levels)})")
    if not found:
        return None
    return f"runs differ in {' and '.join(found)}, which no axis of the law stands for"


def older_rule(selection: Mapping[str, Any]) -> bool:
    """Whether the stored selection of a fit is from before these fields told studies apart."""
    return not set(selection.get("study", {})) >= ADDED_LATER


def why_pooled(rows: Sequence[Run], axes: Sequence[str]) -> str | None:
    """That a law of the older rule pooled what is now apart, and in what it differs; None if it did not."""
    studies = list(dict.fromkeys(study_of(row, axes) for row in rows))
    names = dict.fromkeys(
        name for other in studies[1:] for name, _, _ in differences(other, studies[0])
    )
    if not names:
        return None
    return (
        f"learnt under an older rule: its runs differ in {', '.join(names)}, which are "
        f"{len(studies)} studies now; fit again with soundscale fit run"
    )
