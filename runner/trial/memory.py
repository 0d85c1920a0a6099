"""Memory that a trial needs, against what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.costs.memory.peak import Memory, inference_memory, training_memory
from planner.costs.trial_forecast import (
    require_memory,
)
from planner.errors import InputError
from planner.words.catalogue import Backbone
from planner.words.records import Resources, Trial
from runner.data.clips import Corpus
from runner.trial.estimates import n_label_tokens
from runner.trial.recipe import precision_for

if TYPE_CHECKING:
    pass


def memory_of(
    trial: Trial,
    shape: Backbone,
    n_labels: int,
    micro_batch: int | None,
    kind: str,
    *,
    gradient_checkpointing: bool = False,
) -> Memory | None:
    """The larger of training and scoring by the closed forms; None for what they do not count."""
    from runner.trial.hearing import WINDOWS_AT_ONCE

    precision = precision_for(trial.precision, kind)
    shared: dict[str, Any] = {
        "audio_seconds": trial.audio_seconds, "reduction": trial.reduction, "padding": trial.padding,
        "task": trial.task,
    }  # fmt: skip
    batch = micro_batch or trial.optimisation.batch_size
    try:
        training = training_memory(
            shape, adaptation=trial.adaptation, n_label_tokens=n_labels, micro_batch=batch,
            precision=precision, gradient_checkpointing=gradient_checkpointing, **shared,
        )  # fmt: skip
        scoring = inference_memory(
            shape, n_output_tokens=n_labels if trial.task == "asr" else 0, dtype=precision,
            batch_size=WINDOWS_AT_ONCE if micro_batch != 1 else 1, **shared,
        )  # fmt: skip
    except InputError:
        return None
    return max(training, scoring, key=lambda m: m.total)


def require_room(
    trial: Trial,
    shape: Backbone,
    resources: Resources,
    corpus: Corpus,
    device: str,
    kind: str,
    memory_bytes: int | None,
) -> None:
    """Refuse a trial that cannot fit a device's memory whatever its micro-batch.

    Raises:
        InputError: it cannot fit; the message carries the numbers.
    """
    labels = n_label_tokens(trial, corpus)
    again = resources.gradient_checkpointing
    least = memory_of(trial, shape, labels, 1, kind, gradient_checkpointing=again)
    if least is not None:
        require_memory(trial.label, least, device, memory_bytes)
