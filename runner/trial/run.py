"""One trial from end to end: data, model, training, scoring, latency, and a record of it all.

What goes wrong with a trial (memory, divergence, broken files, weights that cannot be had) is a
record with a status; a mistake in the program or in the request is raised.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from planner.errors import InputError, MissingResourceError
from planner.words.catalogue import BUILT_IN, Backbone, Catalogue
from planner.words.records import Evaluation, Latency, Resources, RunRecord, Trial, to_json
from runner.data.clips import BrokenDataError, Corpus, DataSpec
from runner.models.adapt import Group, adapt, deploy, execute_as, save, trainable
from runner.models.base import BuildRequest, FrameWriter, SpeechModel, VariableLength
from runner.models.builders import builder_for
from runner.models.decode import require_greedy
from runner.models.whisper import ByteTokenizer
from runner.trial.accounts import n_params, run_details, train_flops_of, window_flops_counted
from runner.trial.alignable import alignable
from runner.trial.checkpoint import Saving
from runner.trial.device import PeakMemory, describe, torch_device, use_threads
from runner.trial.evaluate import evaluate
from runner.trial.examples import corpus_of, head_labels, require_some, training_examples
from runner.trial.features import FeatureCache
from runner.trial.probe import FALLBACK, measure_latency
from runner.trial.progress import Report, StageProgress
from runner.trial.quantiles import whole_tokens
from runner.trial.recipe import micro_batch_for, precision_for
from runner.trial.requests import scored_requests
from runner.trial.train import DivergedError, OutOfMemoryError, Training, train
from runner.trial.versions import code_revision, versions
from runner.weights.base_weights import BaseWeights, base_weights, held_bytes

FAILURES: dict[type[Exception], str] = {
    OutOfMemoryError: "out-of-memory",
    torch.OutOfMemoryError: "out-of-memory",
    MemoryError: "out-of-memory",
    DivergedError: "diverged",
    BrokenDataError: "broken-data",
    MissingResourceError: "missing-resource",
}
"""What may happen to a trial, and the failure class it is stored under."""


def run_trial(
    trial: Trial,
    resources: Resources,
    *,
    data_request: DataSpec,
    artifacts: Path,
    weights_folder: Path | None = None,
    progress: Report | None = None,
    checkpoints: Path | None = None,
    every_steps: int = 50,
    on_checkpoint: Callable[[Path], None] | None = None,
    catalogue: Catalogue = BUILT_IN,
    latency: str = "beside",
) -> RunRecord:
    """Train, score and probe one trial on this process's device.

    Args:
        trial: what is trained; its `dataset_digest` must be the corpus's.
        resources: threads, GPU and micro-batch.
        data_request: the request that the trial's corpus came from.
        artifacts: folder that gets `FINGERPRINT/adapter_model.safetensors` and `adapter.json`.
        weights_folder: local folder of weights, before cache, hub and registry.
        progress: called at each step; what it raises stops the trial and is passed on.
        checkpoints: folder that keeps `FINGERPRINT/step-….safetensors`; training goes on from the newest
            one there. They stay when the trial is done, as its result may still have to be stored:
            `runner.trial.checkpoint.discard` removes them. None: nothing is kept.
        every_steps: steps between two checkpoints.
        on_checkpoint: called with each new checkpoint's path.
        catalogue: what the trial's backbone means, where it may be one of the user's own.
        latency: `beside` measures it here, `quiet` shortly as a stage measures it later, `none` not.

    Raises:
        InputError: the trial cannot be asked for (digest, axis or target that does not fit).
    """
    use_threads(resources)
    device = torch_device(resources)
    saving = _saving(trial, checkpoints, every_steps, on_checkpoint)
    backbone = catalogue.backbone(trial.backbone)
    stages = _TrialStages(
        trial, backbone, resources, device, artifacts, weights_folder, progress, saving, latency
    )
    try:
        return stages.run(data_request)
    except tuple(FAILURES) as problem:
        kind = next(name for cls, name in FAILURES.items() if isinstance(problem, cls))
        return stages.record(status="failed", failure_class=kind, failure_text=str(problem))


def _saving(
    trial: Trial,
    checkpoints: Path | None,
    every_steps: int,
    on_checkpoint: Callable[[Path], None] | None,
) -> Saving | None:
    """Where and how often the trial's state is kept; None: nowhere."""
    if checkpoints is None:
        return None
    return Saving(
        folder=checkpoints / trial.fingerprint,
        fingerprint=trial.fingerprint,
        every_steps=every_steps,
        then=on_checkpoint,
    )


@dataclass(slots=True)
class _TrialStages:
    """The stages of one trial, and what is known so far: a failed record keeps it too."""

    trial: Trial
    backbone: Backbone
    resources: Resources
    device: torch.device
    artifacts: Path
    weights_folder: Path | None
    report: Report | None
    saving: Saving | None
    latency: str = "beside"
    facts: dict[str, Any] = field(default_factory=dict)

    def record(self, **more: Any) -> RunRecord:
        """What is known now, as a record."""
        always: dict[str, Any] = {
            "device": describe(self.device, self.resources.device_label),
            "host": socket.gethostname(),
            "versions": versions(),
            "code_revision": code_revision(),
        }
        return RunRecord(**(always | self.facts | more))

    def run(self, data_request: DataSpec) -> RunRecord:
        """All stages in order."""
        trial, facts = self.trial, self.facts
        require_greedy(trial.decoding)
        facts["precision"] = precision = precision_for(trial.precision, self.device.type)
        self._say("load", 0, 2)
        corpus = corpus_of(trial, data_request)
        facts["data_source"] = corpus.source
        self._say("load", 1, 2)
        self._require_room(corpus)
        model, memory = self._build(corpus)
        groups = adapt(model, trial.adaptation, trial.seed)
        execute_as(model, self.resources)
        facts["n_params"] = n_params(model)
        facts["n_trainable"] = sum(p.numel() for _, p in trainable(model.module))
        examples = require_some(training_examples(corpus, trial), corpus)
        examples, n_unalignable = alignable(model, examples, trial.label)
        cache = FeatureCache(model, examples, precision=precision)
        training = self._train(model, groups, cache, precision)
        # The deployed form: adapters add nothing to FLOPs or latency once they are merged.
        deploy(model, precision)
        evaluations = self._score_all(model, corpus, precision)
        n_tokens = whole_tokens(evaluations[0].mean_output_tokens)
        return self.record(
            status="finished",
            evaluations=evaluations,
            latencies=self._probe(model, corpus, evaluations[0], n_tokens, precision),
            peak_memory_bytes=memory.peak_bytes(),
            details=run_details(cache, training, corpus)
            | {"counted_flops": window_flops_counted(model.backbone, trial, n_tokens, corpus)}
            | ({"n_unalignable": n_unalignable} if isinstance(model, FrameWriter) else {}),
        )

    def _say(self, phase: str, step: int, n_steps: int) -> None:
        if self.report:
            self.report(StageProgress(phase=phase, step=step, n_steps=n_steps))

    def _require_room(self, corpus: Corpus) -> None:
        """Fail before anything is built where one window at a time cannot fit this device.

        Raises:
            OutOfMemoryError: it cannot fit; no smaller micro-batch would help.
        """
        from runner.trial.memory import require_room

        here = describe(self.device, self.resources.device_label)
        try:
            require_room(
                self.trial,
                self.backbone,
                self.resources,
                corpus,
                here.name,
                here.kind,
                here.memory_bytes,
            )
        except InputError as problem:
            self.facts["micro_batch"] = 1
            raise OutOfMemoryError(str(problem)) from None

    def _build(self, corpus: Corpus) -> tuple[SpeechModel, PeakMemory]:
        trial, backbone = self.trial, self.backbone
        if trial.initialisation == "random":
            memory = PeakMemory(self.device)
            base = BaseWeights(state=None, tokenizer=ByteTokenizer())
            self.facts["weights_source"] = "random initialisation"
        else:
            memory = PeakMemory(self.device, held_bytes(backbone, self.weights_folder))
            base = base_weights(backbone, self.weights_folder)
            self.facts["weights_source"] = base.source
            self.facts["weights_digest"] = base.digest
        request = BuildRequest(
            trial=trial,
            backbone=backbone,
            device=self.device,
            state=base.state,
            tokenizer=base.tokenizer,
            labels=head_labels(trial, backbone, corpus, base.vocabulary),
            config=base.config,
        )
        model = builder_for(backbone.family, trial.task)(request)
        if trial.padding == "bucketed" and not isinstance(model, VariableLength):
            raise InputError(
                f"model family {backbone.family} has no windows of their own length (VariableLength in "
                'runner.models.base); use padding = "dynamic"'
            )
        return model, memory

    def _train(
        self, model: SpeechModel, groups: list[Group], cache: FeatureCache, precision: str
    ) -> Training:
        trial, facts = self.trial, self.facts
        try:
            training = train(
                model,
                groups,
                cache,
                trial.optimisation,
                seed=trial.seed,
                micro_batch=micro_batch_for(trial, self.resources),
                precision=precision,
                report=self.report,
                saving=self.saving,
            )
        except OutOfMemoryError:
            facts["micro_batch"] = 1
            raise
        facts["steps"] = tuple(training.steps)
        facts["micro_batch"] = training.micro_batch
        facts["train_seconds"] = training.seconds
        facts["train_audio_seconds"] = training.audio_seconds
        facts["train_flops"] = train_flops_of(trial, model, training, self.resources)
        if groups:
            meta = {
                "trial": to_json(trial),
                "weights_source": facts.get("weights_source"),
                "weights_digest": facts.get("weights_digest"),
                "labels": list(getattr(model, "labels", ())),
                "versions": versions(),
            }
            facts["artifact"] = str(save(model.module, self.artifacts / trial.fingerprint, meta))
        return training

    def _score_all(
        self, model: SpeechModel, corpus: Corpus, precision: str
    ) -> tuple[Evaluation, ...]:
        """Test first; and validation, where a search chooses by it and the test's details name it."""
        started = time.monotonic()
        scored = [self._score(model, corpus, precision, "test")]
        if self.resources.validate and corpus.validation:
            chosen_by = self._score(model, corpus, precision, "validation")
            details = (scored[0].details or {}) | {"validation_error": chosen_by.error}
            scored = [replace(scored[0], details=details), replace(chosen_by, selection="search")]
        self.facts["score_seconds"] = time.monotonic() - started
        return tuple(scored)

    def _score(self, model: SpeechModel, corpus: Corpus, precision: str, split: str) -> Evaluation:
        return evaluate(
            model,
            corpus.split(split),
            self.trial,
            precision=precision,
            split=split,
            speaker_overlap=corpus.speaker_overlap if split == "test" else None,
            labels=corpus.labels,
            report=self.report,
        )

    def _probe(
        self,
        model: SpeechModel,
        corpus: Corpus,
        evaluation: Evaluation,
        n_output_tokens: int,
        precision: str,
    ) -> tuple[Latency, ...]:
        if self.latency == "none":
            return ()
        latency = measure_latency(
            model,
            scored_requests(corpus.test, evaluation.utterances, self.trial),
            self.trial,
            n_output_tokens=n_output_tokens,
            device_record=describe(self.device, self.resources.device_label),
            device=self.device,
            precision=precision,
            plan=FALLBACK if self.latency == "quiet" else None,
            report=self.report,
        )
        return (latency,)
