"""All that must be had before a sweep spends anything: its file, data, weights, and its estimate.

Nothing here writes to the database, so that a missing file or a wrong key leaves nothing half-done.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.costs.flops.forward import forward_flops
from planner.errors import InputError, MissingResourceError
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import Resources, Trial
from planner.words.told_apart import full_labels
from planner.words.units import format_flops
from runner.data.nested import within_hours
from runner.sweep.expand import expand
from runner.sweep.file import load_spec
from runner.sweep.keys import SweepSpec
from runner.trial.estimates import n_label_tokens, training_flops

if TYPE_CHECKING:
    from planner.store.sweep_history import Left
    from runner.data.clips import Corpus

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSweep:
    """A sweep that can start: its file, its corpus and its trials, the longest first."""

    spec: SweepSpec
    corpus: Corpus
    trials: list[tuple[Trial, Resources]]
    catalogue: Catalogue = BUILT_IN


def prepare(path: str | Path, db: str, say: Say) -> PreparedSweep:
    """Read a sweep file, find its data and expand it.

    Args:
        path: the sweep file.
        db: a database URL; backbones that the user registered there are known to the file.
        say: where talk goes, one line at a time.

    Raises:
        InputError: the file or a row of the data is wrong.
        MissingResourceError: the data cannot be had.
    """
    catalogue = stored_catalogue(db)
    return prepare_spec(load_spec(path, catalogue), catalogue, say)


def prepare_spec(spec: SweepSpec, catalogue: Catalogue, say: Say) -> PreparedSweep:
    """As `prepare`, of a file that was read and checked."""
    from runner.data.corpus import load_corpus

    corpus = load_corpus(spec.data_request, say=say)
    say(
        f"data {corpus.name}: {len(corpus.train)} clips to train on, {len(corpus.test)} to score, "
        f"{corpus.split_policy} split, from {corpus.source}"
    )
    _say_faults(corpus, say)
    _say_copies(corpus, say)
    _check_language(spec, corpus, say)
    _find_test_sets(spec, corpus, say)
    trials = expand(spec, corpus, catalogue)
    _check_windows([trial for trial, _ in trials], corpus)
    _check_frames([trial for trial, _ in trials], corpus, catalogue)
    return PreparedSweep(spec=spec, corpus=corpus, trials=trials, catalogue=catalogue)


def _find_test_sets(spec: SweepSpec, corpus: Corpus, say: Say) -> None:
    """Find the further test sets before anything is spent, and say what each holds.

    Raises:
        MissingResourceError: a set cannot be had.
        InputError: nothing of it can be scored, or it has classes that the models do not name.
    """
    from runner.data.test_clips import load_test_set

    for one in spec.test_sets:
        found = load_test_set(one, spec.task, corpus.train, say=say)
        sound = [clip for clip in found.clips if clip.fault is None]
        if not sound:
            raise InputError(f"test set {one.name}: none of {len(found.clips)} clips can be read")
        strange = sorted({clip.reference for clip in sound} - set(corpus.labels))
        if spec.task == "emotion" and strange:
            raise InputError(
                f"test set {one.name} has {strange[0]!r}, which is no class of {corpus.name}: "
                f"{', '.join(corpus.labels)}"
            )
        broken = len(found.clips) - len(sound)
        say(
            f"test set {one.name}: {len(sound)} clips of {found.name} to score, "
            f"{sum(c.audio_seconds for c in sound) / 60:.1f} minutes, from {found.source}"
            + (f"; {broken} cannot be read" if broken else "")
        )


def _say_copies(corpus: Corpus, say: Say) -> None:
    """Name copies that are left out, and audio that is under two ids with two texts or in two splits.

    The latter as far as files' names tell; their contents are told by `data check`.
    """
    if corpus.copies:
        few = ", ".join(f"{c.utterance_id} is {c.same_as}" for c in corpus.copies[:3])
        more = f" and {len(corpus.copies) - 3} more" if len(corpus.copies) > 3 else ""
        say(
            f"left out: {len(corpus.copies)} rows whose recording and text another row of their split has "
            f"({few}{more}); "
            'trials of before counted them each time, as data.copies = "counted" does'
        )
    first: dict[object, str] = {}
    copies = []
    for clip in (part for c in corpus.clips for part in (c.parts or (c,))):
        key = clip.path.resolve(), clip.start_seconds, clip.length_seconds
        if first.setdefault(key, clip.utterance_id) != clip.utterance_id:
            copies.append(f"{clip.utterance_id} is {first[key]}")
    if copies:
        more = f" and {len(copies) - 3} more" if len(copies) > 3 else ""
        say(
            f"note: {len(copies)} clips are there twice, in two splits or with two texts "
            f"({', '.join(copies[:3])}{more}): "
            "correct their rows; soundscale data check names all"
        )


def _say_faults(corpus: Corpus, say: Say) -> None:
    """Name what cannot be read before anything is spent on it.

    Raises:
        InputError: no clip to train on, or none to score, can be read.
    """
    for name in ("train", "test"):
        clips = [part for clip in corpus.split(name) for part in (clip.parts or (clip,))]
        broken = Counter(clip.fault for clip in clips if clip.fault)
        if not broken:
            continue
        kinds = ", ".join(f"{n} {fault}" for fault, n in broken.most_common())
        if broken.total() == len(clips):
            raise InputError(
                f"no {name} clip of {corpus.name} can be read ({kinds}); soundscale data check names each file"
            )
        say(f"left out of {name}: {kinds}; soundscale data check names each file")


def _check_language(spec: SweepSpec, corpus: Corpus, say: Say) -> None:
    """Transcripts that are hardly English want a language, or the English normaliser makes them alike.

    Raises:
        InputError: they are mostly of another script, and neither a language nor a normaliser is named.
    """
    from runner.data.languages import FOREIGN_SCRIPT, letters, not_english

    texts = [clip.reference for clip in corpus.clips]
    why = not_english(texts)
    if (
        spec.task != "asr"
        or spec.data.language is not None
        or spec.normaliser is not None
        or not why
    ):
        return
    if letters(texts)[1] > FOREIGN_SCRIPT:
        raise InputError(
            f"of {corpus.name} {why}, and the data's language is not said: Whisper would be asked for English, and "
            "its English normaliser drops vowel signs; set data.language, e.g. hi"
        )
    say(
        f"of {corpus.name} {why}: taken for English, whose normaliser drops accents; if it is not, set data.language"
    )


def _check_windows(trials: Sequence[Trial], corpus: Corpus) -> None:
    """A text cannot be cut with its audio, so that every length must hold some training clips."""
    from runner.data.corpus import pack

    trained = {
        (t.audio_seconds, t.train_hours or math.inf)
        for t in trials
        if t.task == "asr" and t.optimisation.steps
    }
    for seconds, hours in sorted(trained):
        clips = within_hours(corpus.train, None if math.isinf(hours) else hours, corpus.digest)
        if not pack(clips, seconds):
            shortest = min(clip.audio_seconds for clip in clips)
            raise InputError(
                f"axes.audio_seconds: no training clip fits a window of {seconds:g} s, the shortest "
                f"has {shortest:.2f} s; use a longer window or shorter clips"
            )


def _check_frames(trials: Sequence[Trial], corpus: Corpus, catalogue: Catalogue) -> None:
    """CTC writes at most a token a frame, so that a reduction must leave frames enough for the texts.

    Counted in characters, whatever vocabulary a checkpoint brings; each trial counts again in its own tokens. A
    conformer whose front end strides writes pieces of words where it was trained, and is left to that.
    """
    from planner.costs.flops.lengths import encoder_tokens
    from planner.words.catalogue import writes_by_ctc
    from planner.words.families.base import Conformer
    from runner.data.packing import joined_reference, pack
    from runner.models.characters import Characters, needed_frames
    from runner.trial.alignable import require_frames

    seen = set()
    for trial in trials:
        shape = catalogue.backbone(trial.backbone)
        key = shape.family, trial.audio_seconds, trial.reduction
        whole = trial.padding != "bucketed"  # windows of their own length are counted by the trial
        pieces = isinstance(shape, Conformer) and shape.stem_strides
        whole = whole and not (pieces and trial.initialisation == "pretrained")
        if (
            not (trial.optimisation.steps and whole and writes_by_ctc(shape, trial.task))
            or key in seen
        ):
            continue
        seen.add(key)
        texts = [joined_reference(e) for e in pack(corpus.train, trial.audio_seconds)]
        made = Characters.of_texts(texts)
        frames = encoder_tokens(shape, trial.audio_seconds, trial.reduction, trial.padding)
        rooms = [(frames, needed_frames(made.encode(text))) for text in texts]
        require_frames(rooms, f"axes.reduction: {trial.label}")


def stored_catalogue(db: str) -> Catalogue:
    """The backbones that a database knows; one that is not there yet has none of its own."""
    from planner.store.engine import opened
    from planner.store.read import catalogue

    if not database_exists(db):
        return BUILT_IN
    with opened(db, must_exist=True) as engine:
        return catalogue(engine)


def database_exists(db: str) -> bool:
    """False for a SQLite file that is not there; a PostgreSQL URL is taken to exist."""
    from planner.store.engine import exists

    return exists(db)


def find_weights(
    trials: Sequence[Trial], catalogue: Catalogue, folder: Path | None, say: Say
) -> None:
    """Make sure that the weights of every pretrained trial can be had, and say from where.

    Raises:
        MissingResourceError: weights of a backbone cannot be had.
    """
    names = dict.fromkeys(t.backbone for t in trials if t.initialisation == "pretrained")
    for name in names:
        from runner.weights.resolve import resolve_weights

        weights = resolve_weights(catalogue.backbone(name), folder=folder, say=say)
        say(f"weights {name}: from {weights.source}")


def states(db: str, trials: Sequence[Trial]) -> Mapping[str, str]:
    """State of each trial that the database knows, by fingerprint; nothing is written."""
    from planner.store.engine import opened
    from planner.store.read import trial_states

    if not database_exists(db):
        return {}
    with opened(db, must_exist=True) as engine:
        return trial_states(engine, [trial.fingerprint for trial in trials])


def leaving(db: str, prepared: PreparedSweep) -> Left | None:
    """Tried trials that the file would take from the stored sweep of its name; nothing is written."""
    from planner.store.engine import opened
    from planner.store.sweep_history import leaving

    if not database_exists(db):
        return None
    with opened(db, must_exist=True) as engine:
        found = [trial.fingerprint for trial, _ in prepared.trials]
        return leaving(engine, prepared.spec.name, found)


def trial_work(prepared: PreparedSweep) -> Callable[[Trial], float]:
    """A number that grows with a trial's duration: its FLOPs of training and of scoring."""
    corpus, catalogue = prepared.corpus, prepared.catalogue
    resources = {trial.fingerprint: resources for trial, resources in prepared.trials}

    def work(trial: Trial) -> float:
        validate = resources[trial.fingerprint].validate
        scored = scoring_flops(trial, corpus, catalogue, validate=validate)
        return training_flops(trial, corpus, catalogue) + scored

    return work


def window_flops(trial: Trial, corpus: Corpus, catalogue: Catalogue = BUILT_IN) -> float:
    """Forward FLOPs of one window (convention `exact`), its output tokens estimated from the text."""
    return float(
        forward_flops(
            catalogue.backbone(trial.backbone),
            audio_seconds=trial.audio_seconds,
            reduction=trial.reduction,
            n_output_tokens=n_label_tokens(trial, corpus),
            padding=trial.padding,
            task=trial.task,
        ).total
    )


def n_scored_windows(trial: Trial, corpus: Corpus, *, validate: bool) -> float:
    """Consecutive windows of the test split, and of validation where a search chooses by it."""
    clips = [*corpus.test, *(corpus.validation if validate else ())]
    return sum(max(1.0, clip.audio_seconds / trial.audio_seconds) for clip in clips)


def scoring_flops(
    trial: Trial, corpus: Corpus, catalogue: Catalogue = BUILT_IN, *, validate: bool
) -> float:
    """Forward FLOPs of scoring every window of `n_scored_windows`."""
    n_windows = n_scored_windows(trial, corpus, validate=validate)
    return n_windows * window_flops(trial, corpus, catalogue)


def estimate(prepared: PreparedSweep, stored_states: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row a trial, in the order of execution: what it is, whether it is done, what it costs."""
    labels = full_labels([trial for trial, _ in prepared.trials])
    return [
        {
            "state": stored_states.get(trial.fingerprint, "new"),
            "backbone": trial.backbone,
            "audio_seconds": trial.audio_seconds,
            "reduction": str(trial.reduction),
            "tokens_per_second": trial.reduction.tokens_per_second,
            "adaptation": str(trial.adaptation),
            "seed": trial.seed,
            "window_flops": window_flops(trial, prepared.corpus, prepared.catalogue),
            "train_flops": training_flops(trial, prepared.corpus, prepared.catalogue),
            "score_flops": scoring_flops(
                trial, prepared.corpus, prepared.catalogue, validate=resources.validate
            ),
            "label": label,
            "fingerprint": trial.fingerprint,
        }
        for (trial, resources), label in zip(prepared.trials, labels, strict=True)
    ]


def estimate_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """`24 trials · 3 finished already · 21 to run · training 412 PFLOPs, scoring 20 PFLOPs`."""
    todo = [row for row in rows if row["state"] not in ("finished", "failed")]
    done = sum(row["state"] == "finished" for row in rows)
    failed = sum(row["state"] == "failed" for row in rows)
    parts = [f"{len(rows)} trials", f"{done} finished already"]
    if failed:
        parts.append(f"{failed} failed")
    parts.append(f"{len(todo)} to run")
    if todo:
        train, score = (sum(row[k] for row in todo) for k in ("train_flops", "score_flops"))
        parts.append(f"training {format_flops(train)}, scoring {format_flops(score)}")
    return " · ".join(parts)


def require_runner() -> None:
    """Say how to get the runner's libraries where they are missing.

    Raises:
        MissingResourceError: torch or pydantic is not installed.
    """
    from importlib.util import find_spec

    missing = [
        name for name in ("pydantic", "torch", "transformers", "peft") if not find_spec(name)
    ]
    if missing:
        raise MissingResourceError(
            f"sweeps need {', '.join(missing)}, which is not installed; run: "
            "pip install 'soundscale[runner]'"
        )
