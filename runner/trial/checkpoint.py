"""Checkpoints of a training run: one file each, written atomically, named by its own hash.

A file holds every tensor that training changes, the optimiser's moments and torch's generators, and
beside them the counts and the loss curve so far. Schedule and sampler are pure functions of seed and
step, so the step stands for their state. The name ends in the SHA-256 of the content: a file that was
cut off or altered on its way is known as such and passed over for the one before it.

    FOLDER/step-00000050-<sha256>.safetensors
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from planner.errors import InputError

FORMAT = "checkpoint/1"
"""Version of what a file holds; a file of another version is not resumed from."""

KEPT = 2
"""Checkpoints that stay: the newest, and one before it should that one be damaged."""

_NAME = re.compile(r"step-(\d{8})-([0-9a-f]{64})\.safetensors$")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a run after `step` optimiser steps.

    Attributes:
        fingerprint: of the trial.
        step: steps that are done; the next one has this number.
        tensors: `model.NAME`, `buffer.NAME`, `optimiser.NAME.KEY`, `generator.cpu`, and
            `generator.cuda.I` of the one GPU that was used.
        state: plain JSON values: counts, loss curve, what was left out.
    """

    fingerprint: str
    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """Where a run's checkpoints are kept, and how often one is written.

    Attributes:
        folder: of this trial alone; made when it is missing.
        fingerprint: of the trial; a checkpoint of another is refused.
        every_steps: steps between two checkpoints; the last step always has one.
        then: called with each new file, say to copy it to where another machine can read it.
    """

    folder: Path
    fingerprint: str
    every_steps: int = 50
    then: Callable[[Path], None] | None = None

    def __post_init__(self) -> None:
        if self.every_steps < 1:
            raise InputError(f"every_steps must be at least 1, got {self.every_steps!r}")

    def is_due(self, n_done: int, n_steps: int) -> bool:
        """Whether a checkpoint is written after so many of the run's steps."""
        return n_done % self.every_steps == 0 or n_done == n_steps


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint so that it is there whole or not at all; older ones than `KEPT` go.

    Raises:
        OSError: the folder cannot be written to.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".part-{os.getpid()}-{secrets.token_hex(4)}"
    meta = {
        "format": FORMAT,
        "fingerprint": checkpoint.fingerprint,
        "step": checkpoint.step,
        "state": checkpoint.state,
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    try:
        # One key, as safetensors writes several in an order of its own: equal content, equal name.
        save_file(tensors, part, metadata={"checkpoint": json.dumps(meta, sort_keys=True)})
        path = folder / f"step-{checkpoint.step:08d}-{_sha256(part)}.safetensors"
        _flush(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _flush(folder)
    for old in _found(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def latest(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None; damaged ones are passed over.

    Raises:
        InputError: it belongs to another trial.
    """
    for path in _found(folder):
        state = _read(path)
        if state is None:
            continue
        if state.fingerprint != fingerprint:
            raise InputError(
                f"checkpoint {path} belongs to trial {state.fingerprint[:12]}, not to "
                f"{fingerprint[:12]}; give each trial a folder of its own"
            )
        return state
    return None


def discard(folder: Path) -> None:
    """Remove a trial's checkpoints, once its result is stored; a folder that is missing is fine."""
    for path in [*_found(folder), *folder.glob(".part-*")]:
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _found(folder: Path) -> list[Path]:
    """Checkpoints by name, the newest first."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.match(p.name)), reverse=True)


def _read(path: Path) -> Checkpoint | None:
    """A file's checkpoint; None where the content is not what the name says."""
    from safetensors import SafetensorError, safe_open

    named = _NAME.match(path.name)
    try:
        if named is None or _sha256(path) != named.group(2):
            return None
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("checkpoint", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError):
        return None
    if meta.get("format") != FORMAT:
        return None
    return Checkpoint(
        fingerprint=meta["fingerprint"],
        step=meta["step"],
        tensors=tensors,
        state=meta["state"],
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Have the kernel write a file, or a folder's names, to the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def capture(
    module: nn.Module, optimiser: torch.optim.Optimizer, step: int, fingerprint: str, state: Any
) -> Checkpoint:
    """Everything that the steps to come depend on."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for name, parameter in _trained(module):
        tensors[f"model.{name}"] = parameter
        for key, value in optimiser.state[parameter].items():
            place = tensors if isinstance(value, Tensor) else scalars
            place[f"optimiser.{name}.{key}"] = value
    tensors |= {f"buffer.{name}": value for name, value in _kept_buffers(module)}
    tensors |= _generators(_device(module))
    return Checkpoint(
        fingerprint=fingerprint,
        step=step,
        # A copy: tensors that share storage, or change while they are written, must not meet the file.
        tensors={name: t.detach().cpu().clone() for name, t in tensors.items()},
        state={"run": state, "scalars": scalars},
    )


def restore(checkpoint: Checkpoint, module: nn.Module, optimiser: torch.optim.Optimizer) -> Any:
    """Put a captured state back; what `capture` was given as `state` is returned.

    Raises:
        InputError: the module does not train what the checkpoint holds.
    """
    tensors, own = checkpoint.tensors, dict(_trained(module))
    saved = {name.removeprefix("model.") for name in tensors if name.startswith("model.")}
    if different := sorted(saved ^ set(own)):
        raise InputError(
            f"the checkpoint of step {checkpoint.step} does not fit the module: {len(different)} tensors "
            f"differ, first {different[0]}; remove the checkpoint to start again"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[f"model.{name}"])
            optimiser.state[parameter] = _moments(checkpoint, name, parameter)
        for name, buffer in _kept_buffers(module):
            buffer.copy_(tensors[f"buffer.{name}"])
    torch.random.set_rng_state(tensors["generator.cpu"])
    device = _device(module)
    if device.type == "cuda" and (value := cuda_generator(tensors, device.index or 0)) is not None:
        torch.cuda.set_rng_state(value, device)
    return checkpoint.state["run"]


def _moments(checkpoint: Checkpoint, name: str, parameter: nn.Parameter) -> dict[str, Any]:
    """An optimiser's state of one parameter, on the parameter's device."""
    prefix = f"optimiser.{name}."
    state: dict[str, Any] = {
        key.removeprefix(prefix): tensor.to(parameter.device)
        for key, tensor in checkpoint.tensors.items()
        if key.startswith(prefix)
    }
    scalars = checkpoint.state["scalars"]
    return state | {
        key.removeprefix(prefix): value for key, value in scalars.items() if key.startswith(prefix)
    }


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in module.named_parameters() if p.requires_grad)


def _kept_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Buffers that belong to the module's state (running statistics of a norm)."""
    lasting = set(module.state_dict(keep_vars=True))
    return ((name, b) for name, b in module.named_buffers() if name in lasting)


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _generators(used: torch.device) -> dict[str, Tensor]:
    """The generators that steps on a device draw from; asking the other GPUs would take memory there."""
    generators = {"generator.cpu": torch.random.get_rng_state()}
    if used.type == "cuda":
        generators[f"generator.cuda.{used.index or 0}"] = torch.cuda.get_rng_state(used)
    return generators


def cuda_generator(tensors: Mapping[str, Tensor], index: int) -> Tensor | None:
    """The generator to go on with on GPU `index`, whichever it was saved on.

    Earlier versions saved that of every GPU of the host; the one of the same number was used then.
    """
    saved = {name: t for name, t in tensors.items() if name.startswith("generator.cuda.")}
    return saved.get(f"generator.cuda.{index}", next(iter(saved.values()), None))
