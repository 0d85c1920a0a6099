"""The training loop: the same loss and gradients whatever the micro-batch, and a record of each step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from planner.errors import SoundscaleError, UnknownNameError
from planner.records import Optimisation, Step, to_json
from runner import checkpoint
from runner.models.adapt import Group
from runner.models.base import Audio, SpeechModel
from runner.recipe import OPTIMISERS, batch_indices, learning_rates, schedule_factor

CACHE_BYTES = 2 * 2**30
"""Features kept for later epochs (bytes; assumption: a worker can spare 2 GiB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a trial is: `phase` is `load`, `train`, `score` or `probe`."""

    phase: str
    step: int
    n_steps: int
    loss: float | None = None


Report = Callable[[Progress], None]
"""Called at each step; may raise to stop the work."""


class DivergedError(SoundscaleError):
    """The loss or a gradient is not finite; the trial's failure class is `diverged`."""


class OutOfMemoryError(SoundscaleError):
    """One example at a time does not fit; the trial's failure class is `out-of-memory`.

    There is nothing left to halve, so another attempt would end the same way.
    """


class BrokenDataError(SoundscaleError):
    """No example can be read; the trial's failure class is `broken-data`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training window: how to read it, and its reference."""

    name: str
    read: Callable[[], tuple[Audio, str]]


class FeatureCache:
    """Features and targets of training windows, computed at first use and kept up to a limit.

    An example that cannot be read is left out; its place in a batch is taken by the next one.
    """

    def __init__(
        self, model: SpeechModel, examples: Sequence[Example], limit_bytes: int = CACHE_BYTES
    ) -> None:
        self.model = model
        self.examples = list(examples)
        self.broken: dict[int, str] = {}
        self._limit = limit_bytes
        self._held = 0
        self._kept: dict[int, tuple[Tensor, list[int], float]] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, indices: Sequence[int]) -> list[tuple[Tensor, list[int], float]]:
        """Features, targets and seconds of audio of each example.

        Raises:
            BrokenDataError: no example can be read.
        """
        found = {i: self._kept[i] for i in indices if i in self._kept}
        return [found.get(i) or self._computed(i) for i in indices]

    def _computed(self, index: int) -> tuple[Tensor, list[int], float]:
        for shift in range(len(self.examples)):
            i = (index + shift) % len(self.examples)
            if i in self._kept:
                return self._kept[i]
            if i in self.broken:
                continue
            try:
                audio, reference = self.examples[i].read()
            except SoundscaleError as problem:
                self.broken[i] = str(problem)
                continue
            item = (
                self.model.features([audio])[0],
                self.model.targets([reference])[0],
                len(audio) / 16_000,
            )
            self._keep(i, item)
            return item
        raise BrokenDataError(
            f"none of {len(self.examples)} training examples can be read; the first: "
            f"{next(iter(self.broken.values()), 'there is none')}"
        )

    def _keep(self, index: int, item: tuple[Tensor, list[int], float]) -> None:
        size = item[0].numel() * item[0].element_size()
        if self._held + size <= self._limit:
            self._held += size
            self._kept[index] = item


@dataclass(slots=True, kw_only=True)
class Training:
    """What came of it: one `Step` a step, the micro-batch that fitted, and how much was seen."""

    steps: list[Step] = field(default_factory=list)
    micro_batch: int
    audio_seconds: float = 0.0
    n_examples: int = 0
    n_target_units: int = 0
    seconds: float = 0.0
    resumed_at: list[int] = field(default_factory=list)
    """Steps at which an interrupted run went on."""


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """bfloat16 autocast where the precision asks for it."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def make_optimiser(groups: Sequence[Group], optimisation: Optimisation) -> torch.optim.Optimizer:
    """AdamW with a learning rate for each group.

    Raises:
        UnknownNameError: the optimiser is unknown.
    """
    if optimisation.optimiser not in OPTIMISERS:
        raise UnknownNameError("optimiser", optimisation.optimiser, OPTIMISERS)
    peak = learning_rates(optimisation)
    return torch.optim.AdamW(
        [{"params": list(g.parameters), "lr": peak[g.name], "peak": peak[g.name]} for g in groups],
        weight_decay=optimisation.weight_decay,
        fused=True,
    )


def _sketch(groups: Sequence[Group]) -> list[tuple[str, float]]:
    """A cheap trace of each group's values: equal before and after means that nothing was learnt."""
    with torch.no_grad():
        return [
            (g.name, float(sum(p.double().square().sum() + p.double().sum() for p in g.parameters)))
            for g in groups
        ]


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an error says that the device, or the CPU's allocator, had no memory left."""
    text = str(problem)
    return isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or (
        "DefaultCPUAllocator" in text and "allocate" in text
    )


def accumulate(
    model: SpeechModel,
    items: Sequence[tuple[Tensor, list[int], float]],
    micro_batch: int,
    precision: str,
) -> float:
    """Add the gradients of an effective batch to the parameters; the mean loss in nats per unit.

    Every micro-batch's summed loss is divided by the units of the whole batch, so gradients do not
    depend on how it is cut. Windows of similar target length are computed together, which spares
    padding.
    """
    ordered = sorted(items, key=lambda item: len(item[1]))
    n_units = sum(len(targets) for _, targets, _ in ordered)
    device = ordered[0][0].device
    total = 0.0
    for start in range(0, len(ordered), micro_batch):
        part = ordered[start : start + micro_batch]
        features = torch.stack([f for f, _, _ in part])
        with autocast(device, precision):
            loss = model.loss(features, [t for _, t, _ in part]) / n_units
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def train(
    model: SpeechModel,
    groups: Sequence[Group],
    cache: FeatureCache,
    optimisation: Optimisation,
    *,
    seed: int,
    micro_batch: int,
    precision: str,
    report: Report | None = None,
    saving: checkpoint.Saving | None = None,
) -> Training:
    """Run the optimiser for `optimisation.steps` steps of its effective batch.

    With `saving`, a checkpoint is written every so many steps, and a run that finds one goes on from
    there: on a CPU its steps are those of an uninterrupted run bit for bit.

    Raises:
        DivergedError: a loss or gradient norm is not finite.
        OutOfMemoryError: a micro-batch of one example does not fit.
        BrokenDataError: no example can be read.
        RuntimeError: a group did not change, which is a mistake in the program.
    """
    out = Training(micro_batch=micro_batch)
    if not groups or optimisation.steps == 0:
        return out
    parameters = [p for group in groups for p in group.parameters]
    optimiser = make_optimiser(groups, optimisation)
    before = _sketch(groups)
    if saving:
        _resume(model.module, optimiser, cache, out, saving)
    started = time.monotonic() - out.seconds
    model.module.train()
    for step in range(len(out.steps), optimisation.steps):
        factor = schedule_factor(optimisation, step)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        items = cache.batch(batch_indices(len(cache), optimisation.batch_size, seed, step))
        loss = _gradients(model, items, out, precision, seed, step, parameters)
        norm = float(nn.utils.clip_grad_norm_(parameters, optimisation.clip_norm))
        _require_finite(loss, norm, step, optimisation)
        optimiser.step()
        out.audio_seconds += sum(seconds for _, _, seconds in items)
        out.n_examples += len(items)
        out.n_target_units += sum(len(targets) for _, targets, _ in items)
        out.steps.append(
            Step(
                step=step,
                loss=loss,
                grad_norm=norm,
                learning_rate=float(optimiser.param_groups[0]["lr"]),
                seconds=time.monotonic() - started,
            )
        )
        out.seconds = time.monotonic() - started
        if saving and saving.is_due(step + 1, optimisation.steps):
            _save(model.module, optimiser, cache, out, saving)
        if report:
            report(Progress(phase="train", step=step + 1, n_steps=optimisation.steps, loss=loss))
    model.module.eval()
    _require_changed(before, _sketch(groups))
    return out


def _save(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    cache: FeatureCache,
    out: Training,
    saving: checkpoint.Saving,
) -> None:
    """Write what was trained so far; `out` and the broken files travel with it."""
    run = {"training": to_json(out), "broken": sorted(cache.broken.items())}
    state = checkpoint.capture(module, optimiser, len(out.steps), saving.fingerprint, run)
    path = checkpoint.save(saving.folder, state)
    if saving.then:
        saving.then(path)


def _resume(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    cache: FeatureCache,
    out: Training,
    saving: checkpoint.Saving,
) -> None:
    """Go on from the newest whole checkpoint, if there is one."""
    found = checkpoint.latest(saving.folder, saving.fingerprint)
    if found is None:
        return
    run = checkpoint.restore(found, module, optimiser)
    known = run["training"]
    # Memory may have become scarcer since (a retry halves the micro-batch), never the reverse.
    known["micro_batch"] = min(known["micro_batch"], out.micro_batch)
    known["steps"] = [Step(**step) for step in known["steps"]]
    for name, value in known.items():
        setattr(out, name, value)
    out.resumed_at.append(found.step)
    cache.broken |= dict(run["broken"])


def _gradients(
    model: SpeechModel,
    items: Sequence[tuple[Tensor, list[int], float]],
    out: Training,
    precision: str,
    seed: int,
    step: int,
    parameters: Sequence[nn.Parameter],
) -> float:
    """Gradients of one step, with half the micro-batch whenever memory runs out."""
    while True:
        # Dropout must not depend on what ran before, or a resumed run would differ.
        torch.manual_seed((abs(seed) << 32) + step)
        for parameter in parameters:
            parameter.grad = None
        try:
            return accumulate(model, items, out.micro_batch, precision)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            text = str(problem).splitlines()[0]
        # Outside of the handler: the traceback would keep the failed batch's tensors alive.
        if out.micro_batch == 1:
            raise OutOfMemoryError(
                f"step {step} with one example at a time does not fit in memory ({text}); "
                "use a smaller backbone, a shorter audio_seconds or a larger device"
            )
        out.micro_batch = max(1, out.micro_batch // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _require_finite(loss: float, norm: float, step: int, optimisation: Optimisation) -> None:
    for name, value in (("loss", loss), ("gradient norm", norm)):
        if not abs(value) < float("inf"):
            raise DivergedError(
                f"{name} is {value} at step {step} with learning rate {optimisation.learning_rate:g}; "
                "lower the learning rate or lengthen the warm-up"
            )


def _require_changed(
    before: Sequence[tuple[str, float]], after: Sequence[tuple[str, float]]
) -> None:
    same = [name for (name, old), (_, new) in zip(before, after, strict=True) if old == new]
    if same:
        raise RuntimeError(f"training did not change the parameters of {', '.join(same)}")
