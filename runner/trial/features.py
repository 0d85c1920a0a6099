"""Features of training windows, computed once: what the training loop draws its batches from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from planner.errors import SoundscaleError
from runner.data.clips import BrokenDataError
from runner.models.adapt import trainable
from runner.models.base import SAMPLE_RATE, Audio, SpeechModel, SplitModel, VariableLength
from runner.trial.recipe import length_runs

CACHE_BYTES = 2 * 2**30
"""Features kept for later epochs (bytes; assumption: a worker can spare 2 GiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training window: how to read it, its duration by the header (s), and its reference."""

    name: str
    read: Callable[[], tuple[Audio, str]]
    seconds: float = 0.0
    reference: str = ""


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 autocast where the precision asks for it."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


class Item(NamedTuple):
    """One window as the loss takes it: encoder input (or states), what is learnt, seconds of audio."""

    features: Tensor
    targets: list[int]
    seconds: float


def encoder_is_frozen(model: SpeechModel) -> bool:
    """Whether training changes nothing in the encoder, so that its states can be kept."""
    if not isinstance(model, SplitModel):
        return False
    names = [name for name, _ in trainable(model.module)]
    return bool(names) and not any(name.startswith(model.encoder_root + ".") for name in names)


class FeatureCache:
    """Features and targets of training windows, computed at first use and kept up to a limit.

    Where the encoder is frozen, its states are kept in place of its input: it then runs once for each
    window and not once for each epoch. A window is always computed alone on a CPU, so that its numbers
    do not depend on its batch; on other devices those that are missing are computed together.

    An example that cannot be read is left out; its place in a batch is taken by the next one.

    Attributes:
        holds_states: whether the items hold encoder states.
        broken: why examples were left out, by index.
    """

    def __init__(
        self,
        model: SpeechModel,
        examples: Sequence[Example],
        *,
        precision: str = "float32",
        limit_bytes: int = CACHE_BYTES,
    ) -> None:
        self.model = model
        self.examples = list(examples)
        self.holds_states = encoder_is_frozen(model)
        self.broken: dict[int, str] = {}
        self._precision = precision
        self._limit = limit_bytes
        self._held = 0
        self._kept: dict[int, Item] = {}

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def seconds(self) -> list[float]:
        """Durations of the examples by their headers (s)."""
        return [example.seconds for example in self.examples]

    def batch(self, indices: Sequence[int]) -> list[Item]:
        """The items of some examples.

        Raises:
            BrokenDataError: no example can be read.
        """
        kept = {i: self._kept[i] for i in indices if i in self._kept}
        return [kept.get(i) or self._computed(i) for i in indices]

    def compute_together(self, indices: Sequence[int]) -> None:
        """Compute what is missing of a batch in one pass: faster wherever a launch costs more than a window.

        Windows of different lengths are left to be computed alone, as are broken ones.
        """
        missing = [
            i for i in dict.fromkeys(indices) if i not in self._kept and i not in self.broken
        ]
        read = [(i, got) for i in missing if (got := self._read(i)) is not None]
        if not read or self.varies:
            return
        rows = self._encoded(self.model.features([audio for _, (audio, _) in read]))
        for (i, (audio, reference)), row in zip(read, rows, strict=True):
            self._keep(i, self._item(row, audio, reference))

    @property
    def varies(self) -> bool:
        """Whether windows have their own length."""
        return isinstance(self.model, VariableLength) and self.model.varies

    def _features(self, audio: Audio) -> Tensor:
        model = self.model
        if isinstance(model, VariableLength) and model.varies:
            return model.own_features([audio])
        return model.features([audio])

    def _read(self, index: int) -> tuple[Audio, str] | None:
        try:
            return self.examples[index].read()
        except SoundscaleError as problem:
            self.broken[index] = str(problem)
            return None

    def _computed(self, index: int) -> Item:
        for shift in range(len(self.examples)):
            i = (index + shift) % len(self.examples)
            if i in self._kept:
                return self._kept[i]
            if i in self.broken or (read := self._read(i)) is None:
                continue
            audio, reference = read
            item = self._item(self._encoded(self._features(audio))[0], audio, reference)
            self._keep(i, item)
            return item
        raise BrokenDataError(
            f"none of {len(self.examples)} training examples can be read; the first: "
            f"{next(iter(self.broken.values()), 'there is none')}"
        )

    def _item(self, row: Tensor, audio: Audio, reference: str) -> Item:
        return Item(row, self.model.targets([reference])[0], len(audio) / SAMPLE_RATE)

    def _encoded(self, features: Tensor) -> Tensor:
        if not self.holds_states:
            return features
        with torch.no_grad(), autocast(features.device, self._precision):
            return self.model.encode(features)

    def _keep(self, index: int, item: Item) -> None:
        size = item.features.numel() * item.features.element_size()
        if self._held + size <= self._limit:
            self._held += size
            # A row of a batch would keep the whole batch alive.
            self._kept[index] = item._replace(features=item.features.clone())


def micro_batches(
    model: SpeechModel, items: Sequence[Item], micro_batch: int, *, from_states: bool = False
) -> list[list[Item]]:
    """An effective batch in the parts that are computed at once, alike in length.

    A part holds at most as many encoder positions as `micro_batch` windows of full length. Encoder states
    cannot be padded (the decoder would attend to the padding), so those of one part are of equal length.
    Windows of similar target length are neighbours, which spares the decoder's padding.
    """

    def length(item: Item) -> int:
        return int(item.features.shape[0 if from_states else -1])

    ordered = sorted(items, key=lambda item: (length(item), len(item.targets)))
    lengths = [length(item) for item in ordered]
    full = lengths[-1]
    if isinstance(model, VariableLength) and not from_states:
        full = max(full, model.full_length)
    runs = length_runs(lengths, micro_batch * full, most=micro_batch if from_states else None)
    return [ordered[first:last] for first, last in runs]


def collate(model: SpeechModel, items: Sequence[Item], *, from_states: bool = False) -> Tensor:
    """Features of a part in one tensor; shorter ones are lengthened with silence."""
    rows = [item.features for item in items]
    longest = max(row.shape[-1] for row in rows)
    if not from_states and isinstance(model, VariableLength):
        rows = [row if row.shape[-1] == longest else model.lengthen(row, longest) for row in rows]
    return torch.stack(rows)


def encoder_seconds(model: SpeechModel, parts: Sequence[Sequence[Item]]) -> float | None:
    """Seconds of audio that the encoder runs over, padding included; None where that is not known."""
    if not isinstance(model, VariableLength):
        return None
    positions = sum(len(part) * max(i.features.shape[-1] for i in part) for part in parts)
    return float(positions / model.features_per_second)
