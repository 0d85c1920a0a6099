"""After training: the sweep's finished runs on the further test sets that its file names.

This happens where the driver is, on its GPU where it has one, else several runs at once on its cores. Each run is
loaded from its stored tensors and scored as it was trained: its window, its tokens, its decoding. A score that is
stored is not made again, so that a set may be added to the file later and costs its scoring alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import SoundscaleError
from planner.store import read
from planner.store.engine import opened
from planner.store.test_sets import ScoredAs, save_scored, scored_sets
from planner.words.records import Evaluation, Resources, Trial
from planner.words.scorers import default_scorer
from runner.data.test_set import TestSet
from runner.exports.loaded import Loaded
from runner.exports.together import each_at_once, processes

if TYPE_CHECKING:
    import torch
    from sqlalchemy import Engine

    from runner.data.clips import Corpus
    from runner.sweep.keys import SweepSpec

Say = Callable[[str], None]
Scored = list[Evaluation | SoundscaleError]
"""What came of each set: its score without utterances, or why there is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run and the sets that it was not scored on yet."""

    run_id: int
    sets: tuple[TestSet, ...]


def score_finished(
    db: str, spec: SweepSpec, artifacts: str, weights: Path | None, say: Say
) -> None:
    """Score the sweep's finished runs on its further test sets, those that are not stored.

    Args:
        db: the database.
        spec: of the sweep, whose trials are finished.
        artifacts: folder or URL where tensors are looked for that are not where their run left them.
        weights: local folder of base weights.
        say: takes lines of progress.
    """
    with opened(db, must_exist=True) as engine:
        rows = [
            row
            for row in read.runs(engine, sweep=spec.name, status="finished")
            if row.provenance == "measured"
        ]
        known = scored_sets(engine, [row.run_id for row in rows])
        catalogue = read.catalogue(engine)
        changed = _changed(engine, spec, rows[0].trial, say) if rows else set()
    asked = [
        Asked(run_id=row.run_id, sets=left)
        for row in sorted(rows, key=lambda row: -(row.score_seconds or 0.0))
        if (left := _left(spec, row.run_id, known.keys(), changed))
    ]
    if not asked:
        return
    labels = {row.run_id: row.trial.label for row in rows}
    done: list[int] = []

    def tell(place: int, came: Scored) -> None:
        done.append(place)
        run = asked[place]
        told = "; ".join(_line(one, found) for one, found in zip(run.sets, came, strict=True))
        say(f"test sets: {len(done)} of {len(asked)} runs · {labels[run.run_id]}: {told}")

    largest = max(catalogue.backbone(row.trial.backbone).n_params for row in rows)
    work = partial(score_run, db, artifacts, weights, spec.data.language)

    def of_lost(run: Asked, lost: SoundscaleError) -> Scored:
        return [lost] * len(run.sets)

    at_once = 1 if _device().type == "cuda" else processes(largest)
    each_at_once(work, asked, tell, at_once, of_lost)


def _left(
    spec: SweepSpec, run_id: int, known: Set[tuple[int, str]], changed: Set[str]
) -> tuple[TestSet, ...]:
    """The sets that a run is still to be scored on."""
    open_sets = (one for one in spec.test_sets if one.name not in changed)
    return tuple(one for one in open_sets if (run_id, one.name) not in known)


def _changed(engine: Engine, spec: SweepSpec, like: Trial, say: Say) -> set[str]:
    """Sets whose name stands for other clips, another scorer or another language in the database; each is told.

    Scores of two sets would meet under one name, so that nothing more is scored under it.
    """
    from runner.data.corpus import load_corpus
    from runner.data.test_clips import load_test_set

    used: dict[str, set[ScoredAs]] = {}
    for (_, name), known in scored_sets(engine).items():
        used.setdefault(name, set()).add(known)
    again = [one for one in spec.test_sets if one.name in used]
    train = load_corpus(spec.data_request, say=lambda line: None).train if again else ()
    changed = set()
    for one in again:
        try:
            clips = load_test_set(one, spec.task, train, say=lambda line: None)
        except SoundscaleError as gone:  # its files went while the trials ran
            changed.add(one.name)
            say(f"test sets: {_line(one, gone)}")
            continue
        trial = trial_on(like, one, spec.data.language)
        now = about_set(clips, trial)
        if used[one.name] != {now}:
            changed.add(one.name)
            say(
                f"test sets: {one.name} is left out: runs were scored under that name on other clips, by another "
                "scorer or in another language, and keep their scores; give the set another name"
            )
    return changed


def about_set(clips: Corpus, trial: Trial) -> ScoredAs:
    """What a set's name stands for, scored as the trial says."""
    scorer = trial.normaliser if trial.task == "asr" else None
    return ScoredAs(clips.digest, scorer, trial.language)


def _device() -> torch.device:
    """The GPU of this machine, where it has one."""
    from runner.trial.device import torch_device

    return torch_device(Resources(gpus=1.0))


def _line(one: TestSet, found: Evaluation | SoundscaleError) -> str:
    if isinstance(found, SoundscaleError):
        return f"{one.name} left out: {str(found).removeprefix(f'test set {one.name}: ')}"
    spread = "" if found.std_error is None else f" ± {100 * found.std_error:.2f} (se)"
    return f"{one.name} {found.metric} {100 * found.error:.2f} %{spread}"


def score_run(
    db: str, artifacts: str, weights: Path | None, language: str | None, asked: Asked
) -> Scored:
    """Score one run on sets and store what each gave; what went wrong with one is told in its place.

    Args:
        db: the database.
        artifacts: as for `score_finished`.
        weights: local folder of base weights.
        language: of the sweep's own data, for sets that name none.
        asked: the run and the sets.
    """
    with opened(db, must_exist=True) as engine:
        try:
            row = read.run(engine, asked.run_id)
            corpus = Loaded(engine, row, weights).corpus()
        except SoundscaleError as problem:
            return [problem] * len(asked.sets)
        out: Scored = []
        spoken: dict[str | None, Loaded] = {}
        for one in asked.sets:
            trial = trial_on(row.trial, one, language)
            # A decoder is prompted with its language, so that each has a model of its own.
            known = spoken.setdefault(
                trial.language,
                Loaded(
                    engine, dataclasses.replace(row, trial=trial), weights, _device(), artifacts
                ),
            )
            try:
                found = _score(known, trial, one, corpus)
                save_scored(engine, row.run_id, found)
            except SoundscaleError as problem:
                out.append(problem)
            else:
                out.append(dataclasses.replace(found, utterances=()))
        return out


def trial_on(trial: Trial, one: TestSet, language: str | None) -> Trial:
    """The trial as it is scored on a further set: in the set's language and by its scorer."""
    spoken = one.language or language
    spoken = None if spoken == "en" else spoken
    if trial.task != "asr":
        return trial
    if one.normaliser is None and spoken == trial.language:
        return trial
    scorer = one.normaliser or default_scorer(spoken)
    return dataclasses.replace(trial, language=spoken, normaliser=scorer)


def _score(loaded: Loaded, trial: Trial, one: TestSet, corpus: Corpus) -> Evaluation:
    """The run's score on a set, with what the set's name stands for in its details."""
    from runner.data.test_clips import load_test_set
    from runner.models.adapt import DTYPES
    from runner.trial.evaluate import evaluate
    from runner.trial.recipe import precision_for

    there = load_test_set(one, trial.task, corpus.train, say=lambda line: None)
    trained = loaded.trained()
    precision = loaded.row.precision or precision_for(trial.precision, _device().type)
    # Merged when it was loaded; cast once, as it was scored after training.
    trained.model.module.to(DTYPES[precision])
    found = evaluate(
        trained.model, there.clips, trial, precision=precision, split=one.name,
        speaker_overlap=_overlap(corpus, there), labels=trained.labels,
    )  # fmt: skip
    about = {
        "dataset": there.name, "digest": there.digest, "n_clips": len(there.clips),
        "language": trial.language, "source": there.source,
    }  # fmt: skip
    return dataclasses.replace(found, details=(found.details or {}) | {"test_set": about})


def _overlap(corpus: Corpus, there: Corpus) -> int | None:
    """Speakers that are heard in training and on the set; None where a clip names no speaker."""
    train, test = ({c.speaker for c in clips} for clips in (corpus.train, there.clips))
    return None if None in train | test else len(train & test)
