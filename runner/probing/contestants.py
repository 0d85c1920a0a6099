"""Who is timed in a stage, and how an engine joins.

A `Contestant` is data: a run's configuration in an engine at a precision, with the utterances that its
requests come from. It travels to the process that measures, and `prepare` there turns it into something
to be timed. An engine joins in three steps:

1.  what is stored in `exports` and lies here joins by `StageRequest(engines=("onnxruntime", …))`
    (`sweep latency --engine`, `runner.probing.finished.of_exports`); anything else as contestants of its own,
    `Contestant(engine="onnxruntime", precision="int8", folder="/…/exported", …)`, one a run, engine and
    precision, in `StageRequest(more=…)` (`of_runs` has what a run says of itself: trial, utterances, threads);
2.  where the folder is one of `soundscale export`, nothing else: `runner.engines.timed` opens any of them;
    else name a function in `PREPARERS` that returns a `Prepared`, whose `ready.time_window(audio, n)` runs
    one window to exactly n output tokens and returns the seconds of each stage, and whose
    `ready.processor_seconds` is the clock of the threads that compute (`runner.trial.timing.Ready`);
3.  read the result: a contestant of another engine than torch ends as a row of `engine_latencies` of its
    run (`request_p50_ms`, `request_p95_ms`, `quiet`, `noise_floor`, … as of `latencies`), in the same
    transaction as the others.

All contestants are timed by the same rule, in turns, in one process, so that ratios of engines mean what
they say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.words.catalogue import Catalogue
from planner.words.engine_records import OWN_ENGINE
from planner.words.records import Device, Resources, Trial, Utterance, to_json, trial_from_json

if TYPE_CHECKING:
    import torch

    from runner.probing.random_models import RandomModels
    from runner.trial.timing import Ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A configuration in an engine at a precision.

    Attributes:
        run_id: the run that it is timed for.
        also: runs of the same configuration, which differ in nothing that takes time but their tokens.
        engine: `torch`, or the name of an engine of `runner.engines`.
        precision: of the weights.
        trial: of the run.
        resources: threads, GPU and device label that the run was executed with.
        utterances: as the run was scored: name, seconds, output tokens.
        mean_output_tokens: of one window, by the run's evaluation; None where there is no decoder.
        folder: of an exported model.
    """

    run_id: int
    also: tuple[int, ...] = ()
    engine: str = OWN_ENGINE
    precision: str
    trial: Trial
    resources: Resources
    utterances: tuple[tuple[str, float, int | None], ...]
    mean_output_tokens: float | None
    folder: str | None = None

    @property
    def key(self) -> str:
        """Its name in the store and in a process's messages."""
        return f"{self.run_id}/{self.engine}/{self.precision}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        values: dict[str, Any] = to_json(self)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Contestant:
        """What `to_json` wrote."""
        made = dict(values) | {
            "trial": trial_from_json(values["trial"]),
            "resources": Resources(**values["resources"]),
            "utterances": tuple(tuple(u) for u in values["utterances"]),
            "also": tuple(values["also"]),
        }
        return cls(**made)

    def scored(self) -> list[Utterance]:
        """Its utterances, as `runner.trial.requests` takes them."""
        return [
            Utterance(
                utterance_id=name, speaker=None, reference="", hypothesis="", n_units=1, n_errors=0,
                audio_seconds=seconds, n_output_tokens=n,
            )
            for name, seconds, n in self.utterances
        ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A contestant that is loaded.

    Attributes:
        ready: what is timed.
        device: where it runs.
        engine_version: of its library.
        attention: as a latency names it: torch's kind, or the engine.
    """

    ready: Ready
    device: Device
    engine_version: str
    attention: str


@dataclass(slots=True, kw_only=True)
class Place:
    """Where contestants are prepared: one process, on one device, with what they share."""

    catalogue: Catalogue
    device: torch.device
    models: RandomModels = field(init=False)

    def __post_init__(self) -> None:
        from runner.probing.random_models import RandomModels

        self.models = RandomModels(self.catalogue, self.device)


def _prepare_torch(contestant: Contestant, place: Place) -> Prepared:
    import torch

    from runner.trial.device import describe
    from runner.trial.probe import torch_ready

    trial, precision = contestant.trial, contestant.precision
    model = place.models.deployed(trial, precision)
    return Prepared(
        ready=torch_ready(model, trial, precision, place.device),
        device=describe(place.device, contestant.resources.device_label),
        engine_version=torch.__version__,
        attention="sdpa",
    )


def _prepare_export(contestant: Contestant, place: Place) -> Prepared:
    import torch

    from planner.errors import InputError
    from runner.engines.runtime import open_folder
    from runner.engines.timed import engine_ready
    from runner.trial.device import describe

    if contestant.folder is None:
        raise InputError(f"contestant {contestant.key} names no exported folder")
    threads = max(1, int(contestant.resources.cpus))
    model = open_folder(Path(contestant.folder), threads)
    return Prepared(
        ready=engine_ready(model, threads),
        device=describe(torch.device("cpu"), contestant.resources.device_label),
        engine_version=model.engine.version,
        attention=contestant.engine,
    )


Preparer = Callable[[Contestant, Place], Prepared]

PREPARERS: dict[str, Preparer] = {OWN_ENGINE: _prepare_torch}
"""How a contestant of an engine is loaded; one that is not named here is an exported folder."""


def prepare(contestant: Contestant, place: Place) -> Prepared:
    """Load a contestant in this process.

    Raises:
        SoundscaleError: it cannot be loaded here.
    """
    return PREPARERS.get(contestant.engine, _prepare_export)(contestant, place)


def configuration(contestant: Contestant) -> tuple[Any, ...]:
    """What decides how long it takes: runs that agree in all of it are timed once."""
    trial = contestant.trial
    return (
        contestant.engine, contestant.precision, trial.task, trial.dataset_digest, trial.backbone,
        trial.audio_seconds, str(trial.reduction), trial.padding, trial.reference_policy,
        dataclasses.astuple(trial.decoding), contestant.resources.cpus, contestant.resources.gpus,
        contestant.resources.device_label,
    )  # fmt: skip


def distinct(contestants: Sequence[Contestant]) -> list[Contestant]:
    """One contestant for each configuration in torch, the other runs of it in its `also`.

    Exported models are their own: their bytes may differ.
    """
    groups: dict[Any, list[Contestant]] = {}
    for one in contestants:
        groups.setdefault(one.key if one.folder else configuration(one), []).append(one)
    return [
        dataclasses.replace(same[0], also=tuple(other.run_id for other in same[1:]))
        for same in groups.values()
    ]
