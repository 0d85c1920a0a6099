"""The training loop: the same loss and gradients whatever the micro-batch, and a record of each step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from planner.errors import SoundscaleError, UnknownNameError
from planner.words.records import Optimisation, Step, to_json
from runner.models.adapt import Group
from runner.models.base import SpeechModel, SplitModel
from runner.trial import checkpoint
from runner.trial.features import (
    FeatureCache,
    Item,
    autocast,
    collate,
    encoder_seconds,
    micro_batches,
)
from runner.trial.progress import Report, StageProgress, StopKeeping
from runner.trial.recipe import (
    OPTIMISERS,
    batch_indices,
    bucketed_indices,
    learning_rates,
    schedule_factor,
)


class DivergedError(SoundscaleError):
    """The loss or a gradient is not finite; the trial's failure class is `diverged`."""


class OutOfMemoryError(SoundscaleError):
    """One example at a time does not fit; the trial's failure class is `out-of-memory`.

    There is nothing left to halve, so another attempt would end the same way.
    """


@dataclass(slots=True, kw_only=True)
class Training:
    """What came of it: one `Step` a step, the micro-batch that fitted, and how much was seen."""

    steps: list[Step] = field(default_factory=list)
    micro_batch: int
    audio_seconds: float = 0.0
    n_examples: int = 0
    n_target_units: int = 0
    seconds: float = 0.0
    encoder_seconds: float | None = None
    resumed_at: list[int] = field(default_factory=list)
    """Steps at which an interrupted run went on."""

    def count(self, model: SpeechModel, items: Sequence[Item], *, from_states: bool) -> None:
        """Add what one step saw; `encoder_seconds` with padding, where the encoder ran and tells."""
        self.audio_seconds += sum(item.seconds for item in items)
        self.n_examples += len(items)
        self.n_target_units += sum(len(item.targets) for item in items)
        parts = [] if from_states else micro_batches(model, items, self.micro_batch)
        run = encoder_seconds(model, parts) if parts else None
        if run is not None:
            self.encoder_seconds = (self.encoder_seconds or 0.0) + run


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
    items: Sequence[Item],
    micro_batch: int,
    precision: str,
    *,
    from_states: bool = False,
) -> float:
    """Add the gradients of an effective batch to the parameters; the mean loss in nats per unit.

    Every part's summed loss is divided by the units of the whole batch, so gradients do not depend on
    how it is cut.
    """
    n_units = sum(len(item.targets) for item in items)
    device = items[0].features.device
    total = 0.0
    for part in micro_batches(model, items, micro_batch, from_states=from_states):
        inputs, targets = (
            collate(model, part, from_states=from_states),
            [i.targets for i in part],
        )
        with autocast(device, precision):
            if from_states and isinstance(model, SplitModel):
                summed = model.loss_from_states(inputs, targets)
            else:
                summed = model.loss(inputs, targets)
            loss = summed / n_units
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def _drawn(cache: FeatureCache, optimisation: Optimisation, seed: int, step: int) -> list[Item]:
    """The effective batch of a step."""
    size = optimisation.batch_size
    if cache.varies:
        chosen = bucketed_indices(cache.seconds, size, seed, step)
    else:
        chosen = batch_indices(len(cache), size, seed, step)
    if next(cache.model.module.parameters()).device.type != "cpu":
        cache.compute_together(chosen)
    return cache.batch(chosen)


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

    With `saving`, a checkpoint is written every so many steps and where `report` raises `StopKeeping`,
    and a run that finds one goes on from there: on a CPU its steps are those of an uninterrupted run
    bit for bit.

    Raises:
        DivergedError: a loss or gradient norm is not finite.
        OutOfMemoryError: a micro-batch of one example does not fit.
        BrokenDataError: no example can be read.
        RuntimeError: a group did not change, which is a mistake in the program.
    """
    out = Training(micro_batch=micro_batch)
    if not groups or optimisation.steps == 0:
        return out
    optimiser = make_optimiser(groups, optimisation)
    before = _sketch(groups)
    if saving:
        _resume(model.module, optimiser, cache, out, saving)
    started = time.monotonic() - out.seconds
    model.module.train()
    for step in range(len(out.steps), optimisation.steps):
        taken = _take_step(optimiser, cache, optimisation, out, precision, seed, step)
        out.seconds = time.monotonic() - started
        out.steps.append(replace(taken, seconds=out.seconds))
        kept = saving is not None and saving.is_due(step + 1, optimisation.steps)
        if saving and kept:
            _save(model.module, optimiser, cache, out, saving)
        try:
            _tell(report, step + 1, optimisation.steps, taken.loss)
        except StopKeeping:
            if saving and not kept:
                _save(model.module, optimiser, cache, out, saving)
            raise
    model.module.eval()
    _require_changed(before, _sketch(groups))
    return out


def _tell(report: Report | None, n_done: int, n_steps: int, loss: float) -> None:
    if report:
        report(StageProgress(phase="train", step=n_done, n_steps=n_steps, loss=loss))


def _take_step(
    optimiser: torch.optim.Optimizer,
    cache: FeatureCache,
    optimisation: Optimisation,
    out: Training,
    precision: str,
    seed: int,
    step: int,
) -> Step:
    """One step on its effective batch, counted in `out`; its seconds are left to the clock's owner."""
    factor = schedule_factor(optimisation, step)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    items = _drawn(cache, optimisation, seed, step)
    loss = _gradients(cache, items, out, precision, seed, step, parameters)
    norm = float(nn.utils.clip_grad_norm_(parameters, optimisation.clip_norm))
    _require_finite(loss, norm, step, optimisation)
    optimiser.step()
    out.count(cache.model, items, from_states=cache.holds_states)
    return Step(
        step=step,
        loss=loss,
        grad_norm=norm,
        learning_rate=float(optimiser.param_groups[0]["lr"]),
        seconds=0.0,
    )


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
    state = checkpoint.latest(saving.folder, saving.fingerprint)
    if state is None:
        return
    run = checkpoint.restore(state, module, optimiser)
    training = run["training"]
    # Memory may have become scarcer since (a retry halves the micro-batch), never the reverse.
    training["micro_batch"] = min(training["micro_batch"], out.micro_batch)
    training["steps"] = [Step(**step) for step in training["steps"]]
    for name, value in training.items():
        setattr(out, name, value)
    out.resumed_at.append(state.step)
    cache.broken |= dict(run["broken"])


def _gradients(
    cache: FeatureCache,
    items: Sequence[Item],
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
            return accumulate(
                cache.model, items, out.micro_batch, precision, from_states=cache.holds_states
            )
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
