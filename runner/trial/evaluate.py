"""Scoring: error counts for every utterance, from what `runner.trial.hearing` makes of its audio.

The test split is scored once, after training (`selection` is `final`). A file that cannot be read
is a row with its failure and counts in `n_broken`; it is neither an error nor a correct answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from planner.errors import InputError
from planner.words.records import TASKS, Evaluation, Trial, Utterance
from runner.data.clips import BrokenDataError, Clip, corpus_digest
from runner.data.packing import coverage, scored
from runner.models.base import SpeechModel
from runner.models.guard import at_limit, loops
from runner.trial.hearing import Heard, hear
from runner.trial.metrics import class_scores, quantiles, rate_std_error, recall_std_error
from runner.trial.progress import Report
from runner.trial.scoring import Counted, counted, part_ends

MOST_NAMED = 50
"""Utterances that a run's details name of one kind."""


def evaluate(
    model: SpeechModel,
    clips: Sequence[Clip],
    trial: Trial,
    *,
    precision: str,
    split: str,
    speaker_overlap: int | None = None,
    labels: Sequence[str] = (),
    report: Report | None = None,
) -> Evaluation:
    """Score a split at the trial's x_T, reference policy, decoding and normaliser.

    Raises:
        BrokenDataError: no utterance of the split can be read.
        InputError: the split has no utterance that the reference policy scores.
    """
    chosen = _to_score(clips, trial, split)
    heard = list(hear(model, chosen, trial, precision, report))
    sound = _readable(heard, split)
    shared: dict[str, Any] = {
        "split": split,
        "metric": TASKS[trial.task],
        "n_utterances": len(sound),
        "n_broken": len(heard) - len(sound),
        "selection": "final",
        "audio_coverage": _covered(sound, len(clips) - len(chosen), clips, trial),
        "speaker_overlap": speaker_overlap,
    }
    # Which utterances these were, whatever else the corpus holds.
    more: dict[str, Any] = {"split_digest": corpus_digest(chosen)}
    if trial.task == "emotion":
        evaluation = _emotion(heard, sound, trial, labels, shared)
    else:
        evaluation = _recognition(heard, sound, trial, shared)
        more["n_prompt_tokens"] = model.n_prompt_tokens
    return replace(evaluation, details=(evaluation.details or {}) | more)


def _to_score(clips: Sequence[Clip], trial: Trial, split: str) -> Sequence[Clip]:
    """The utterances of a split that the trial's reference policy scores; one at least."""
    chosen = scored(clips, trial.audio_seconds, trial.reference_policy)
    if not chosen:
        raise InputError(
            f"the {split} split has no utterance to score with policy {trial.reference_policy} at "
            f"{trial.audio_seconds:g} s; use reference_policy = window or a longer audio_seconds"
        )
    return chosen


def _readable(heard: Sequence[Heard], split: str) -> list[Heard]:
    """The utterances whose files could be read; one at least."""
    sound = [h for h in heard if h.failure_text is None]
    if not sound:
        raise BrokenDataError(
            f"none of {len(heard)} {split} utterances can be read; the first: {heard[0].failure_text}"
        )
    return sound


def _covered(sound: Sequence[Heard], n_left_out: int, clips: Sequence[Clip], trial: Trial) -> float:
    """Share of the split's audio that the encoder heard, utterances that a filter dropped included."""
    heard = sum(
        h.seconds * coverage(h.seconds, trial.audio_seconds, trial.reference_policy) for h in sound
    )
    dropped = 0.0
    if n_left_out:
        kept = {h.clip.utterance_id for h in sound}
        dropped = sum(c.audio_seconds for c in clips if c.utterance_id not in kept and not c.fault)
    return heard / (sum(h.seconds for h in sound) + dropped)


def _broken_row(heard: Heard) -> Utterance:
    return Utterance(
        utterance_id=heard.clip.utterance_id,
        speaker=heard.clip.speaker,
        reference=heard.clip.reference,
        hypothesis="",
        n_units=0,
        n_errors=0,
        audio_seconds=heard.seconds,
        audio_coverage=0.0,
        failure_text=heard.failure_text,
    )


def _text_row(heard: Heard, trial: Trial) -> tuple[Utterance, Counted]:
    """One recognised utterance, and what else is counted of it."""
    text = " ".join(p.text for p in heard.predictions if p.text)
    parts = [part.reference for part in heard.clip.parts] or [heard.clip.reference]
    found = counted(trial.normaliser, parts, [p.text for p in heard.predictions if p.text] or [""])
    words = found.words
    row = Utterance(
        utterance_id=heard.clip.utterance_id,
        speaker=heard.clip.speaker,
        reference=heard.clip.reference,
        hypothesis=text,
        n_units=words.n_units,
        n_errors=words.n_errors,
        n_substitutions=words.n_substitutions,
        n_insertions=words.n_insertions,
        n_deletions=words.n_deletions,
        audio_seconds=heard.seconds,
        audio_coverage=coverage(heard.seconds, trial.audio_seconds, trial.reference_policy),
        n_output_tokens=sum(p.n_tokens for p in heard.predictions),
        part_ends=part_ends(parts),
    )
    return row, found


def _recognition(
    heard: Sequence[Heard], sound: Sequence[Heard], trial: Trial, shared: dict[str, Any]
) -> Evaluation:
    """WER, CER and the output tokens that FLOPs and latency depend on."""
    scored_rows = [_text_row(h, trial) for h in sound]
    rows = [row for row, _ in scored_rows]
    n_units = sum(r.n_units for r in rows)
    if n_units == 0:
        raise InputError(
            f"the {shared['split']} split has no reference words; give transcripts that are not empty"
        )
    n_errors = sum(r.n_errors for r in rows)
    std_error, cluster = rate_std_error(
        [r.n_errors for r in rows],
        [r.n_units for r in rows],
        [r.speaker for r in rows],
        sentences=[r.reference for r in rows],
    )
    per_window = [float(p.n_tokens) for h in sound for p in h.predictions]
    wrong, characters = (
        sum(getattr(found.characters, name) for _, found in scored_rows)
        for name in ("n_errors", "n_units")
    )
    details: dict[str, Any] = {
        "cer": wrong / characters if characters else None,
        "n_character_errors": wrong,
        "n_characters": characters,
        "n_windows": len(per_window),
        "windows_per_utterance": len(per_window) / len(sound),
        "tokens_per_window": sum(per_window) / len(per_window),
        "tokens_per_utterance": sum(per_window) / len(sound),
        **_guard_counts(sound),
        "n_errors_at_cuts": sum(found.n_errors_at_cuts for _, found in scored_rows),
        "number_format_only": _by_number_format(scored_rows),
        "std_error_by": cluster,
        "normaliser": trial.normaliser,
    }  # fmt: skip
    return Evaluation(
        **shared,
        error=n_errors / n_units,
        n_units=n_units,
        n_errors=n_errors,
        n_substitutions=sum(r.n_substitutions or 0 for r in rows),
        n_insertions=sum(r.n_insertions or 0 for r in rows),
        n_deletions=sum(r.n_deletions or 0 for r in rows),
        std_error=std_error,
        mean_output_tokens=details["tokens_per_window"],
        output_tokens=dict(quantiles(per_window)),
        details=details,
        utterances=tuple(_in_order(heard, rows)),
    )


def _guard_counts(sound: Sequence[Heard]) -> dict[str, Any]:
    """Windows that are cut by the limit in force, loop, lost repeats or were decoded again; utterances that are cut."""
    heard = [(h, p, limit) for h in sound for p, limit in zip(h.predictions, h.limits, strict=True)]
    cut = [h.clip.utterance_id for h, p, limit in heard if at_limit(p.token_ids, limit)]
    return {
        "n_windows_at_limit": len(cut),
        "utterances_at_limit": list(dict.fromkeys(cut))[:MOST_NAMED],
        "n_windows_looped": sum(loops(p.token_ids) for _, p, _ in heard),
        "n_windows_repeats_cut": sum(p.repeats_cut for _, p, _ in heard),
        "n_windows_decoded_again": sum(p.fell_back for _, p, _ in heard),
    }


def _by_number_format(rows: Sequence[tuple[Utterance, Counted]]) -> list[str]:
    """Utterances whose errors are all of how numbers are written, the first few."""
    return [row.utterance_id for row, found in rows if found.number_format_only][:MOST_NAMED]


def _in_order(heard: Sequence[Heard], rows: Sequence[Utterance]) -> Iterator[Utterance]:
    """Rows of all utterances in the split's order, broken ones among them."""
    scored_rows = iter(rows)
    for one in heard:
        yield next(scored_rows) if one.failure_text is None else _broken_row(one)


def _label_of(heard: Heard, labels: Sequence[str]) -> str:
    """The class of highest mean log-probability over the utterance's windows."""
    table = torch.tensor([p.log_probabilities for p in heard.predictions])
    return labels[int(table.mean(dim=0).argmax())]


def _emotion(
    heard: Sequence[Heard],
    sound: Sequence[Heard],
    trial: Trial,
    labels: Sequence[str],
    shared: dict[str, Any],
) -> Evaluation:
    """1 - unweighted accuracy, with weighted accuracy, macro-F1 and confusion counts."""
    references = [h.clip.reference for h in sound]
    hypotheses = [_label_of(h, labels) for h in sound]
    scores = class_scores(references, hypotheses, labels)
    speakers = [h.clip.speaker for h in sound]
    std_error, cluster = recall_std_error(
        references, hypotheses, labels, speakers, sentences=[h.clip.sentence for h in sound]
    )
    rows = [
        Utterance(
            utterance_id=h.clip.utterance_id,
            speaker=h.clip.speaker,
            reference=reference,
            hypothesis=hypothesis,
            n_units=1,
            n_errors=int(reference != hypothesis),
            audio_seconds=h.seconds,
            audio_coverage=coverage(h.seconds, trial.audio_seconds, trial.reference_policy),
        )
        for h, reference, hypothesis in zip(sound, references, hypotheses, strict=True)
    ]
    n_windows = sum(h.n_windows for h in sound)
    return Evaluation(
        **shared,
        error=1.0 - scores.unweighted_accuracy,
        n_units=len(rows),
        n_errors=sum(r.n_errors for r in rows),
        std_error=std_error,
        details={
            "unweighted_accuracy": scores.unweighted_accuracy,
            "weighted_accuracy": scores.weighted_accuracy,
            "macro_f1": scores.macro_f1,
            "confusion": scores.confusion,
            "recalls": scores.recalls,
            "n_windows": n_windows,
            "windows_per_utterance": n_windows / len(sound),
            "std_error_by": cluster,
        },
        utterances=tuple(_in_order(heard, rows)),
    )
