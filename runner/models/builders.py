"""Who builds a backbone of a kind: our builders and those of plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from planner.errors import UnknownNameError
from planner.words.families import families
from runner.models.base import BuildRequest, SpeechModel

if TYPE_CHECKING:
    pass


ENTRY_POINTS = "soundscale.models"


Builder = Callable[[BuildRequest], SpeechModel]


def _own_builders() -> dict[str, Callable[[], Builder]]:
    return {point.name: point.load for point in entry_points(group=ENTRY_POINTS)}


def builder_for(family: str, task: str) -> Builder:
    """The builder of a backbone family: built in, its own module's, or from the entry-point group.

    Raises:
        UnknownNameError: no builder has the name.
    """
    if family == "whisper":
        from runner.models import wav2vec2, whisper

        return whisper.build if task == "asr" else wav2vec2.build_whisper_classifier
    if family == "wav2vec2":
        from runner.models import ctc, wav2vec2

        return wav2vec2.build if task == "emotion" else ctc.build
    if family in families():
        build: Builder = import_module(f"runner.models.{family}").build
        return build
    own = _own_builders()
    if family in own:
        return own[family]()
    raise UnknownNameError(
        f"model family for {task}",
        family,
        ["whisper", "wav2vec2", *families(), *own],
        remedy=f"register a builder of your own in the entry-point group {ENTRY_POINTS}",
    )
