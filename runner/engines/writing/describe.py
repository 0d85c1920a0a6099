"""What is said of a trained model in its folder."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from planner.costs.flops.lengths import mel_frames
from planner.words.catalogue import Whisper
from runner.engines.description import Description, Specials
from runner.engines.trained import Trained
from runner.models.decode import SPACE
from runner.models.decode import Specials as Steering
from runner.models.whisper import ByteTokenizer
from runner.trial.versions import versions


def describe(trained: Trained, form: str, precision: str, **known: Any) -> Description:
    """The description of an export; `known` are fields that the run or the format adds."""
    trial, backbone = trained.trial, trained.model.backbone
    about = Description(
        format=form,
        precision=precision,
        task=trial.task,
        family=backbone.family,
        backbone=backbone.name,
        label=trial.label,
        audio_seconds=trial.audio_seconds,
        reduction=str(trial.reduction),
        tokens_per_second=trial.reduction.tokens_per_second,
        labels=trained.labels,
        decoding=trial.decoding,
        policy=trial.reference_policy,
        normaliser=trial.normaliser,
        metric="wer" if trial.task == "asr" else "unweighted_error",
        fingerprint=trial.fingerprint,
        weights_source=trained.base.source,
        weights_digest=trained.base.digest,
        versions=versions(),
        created_utc=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    if isinstance(backbone, Whisper):
        cut = (backbone, trial.audio_seconds, trial.reduction, trial.padding)
        about = replace(about, n_mels=backbone.n_mels, n_frames=mel_frames(*cut))
        if trial.task == "asr":
            about = _with_decoder(about, backbone, trained)
    elif trial.task == "asr":
        text: Any = trained.model
        characters = text.vocabulary
        about = replace(
            about,
            text="characters",
            characters=characters.tokens,
            blank=characters.blank,
            labels=(),
        )
    return replace(about, **known)


def _with_decoder(about: Description, backbone: Whisper, trained: Trained) -> Description:
    steering = Steering.of(backbone.vocab_size, trained.trial.language)
    return replace(
        about,
        d_model=backbone.d_model,
        n_layers=backbone.decoder_layers,
        n_heads=backbone.n_heads,
        vocab_size=backbone.vocab_size,
        max_positions=backbone.max_target_positions,
        text="bytes" if isinstance(trained.base.tokenizer, ByteTokenizer) else "tokenizer",
        specials=Specials(
            prompt=steering.prompt,
            end=steering.end,
            silent=steering.silent,
            begin=(SPACE, steering.end),
        ),
    )


def save_tokenizer(trained: Trained, folder: Path) -> None:
    """Put tokenizer.json into the folder; randomly initialised models have none."""
    tokenizer = trained.base.tokenizer
    if tokenizer is not None and hasattr(tokenizer, "to_json"):
        (folder / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
