"""Studies on simulated trainers: the study's whole path but for training, whose error is a law with noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.costs.flops.forward import forward_flops
from planner.store.claims import claim_trial
from planner.store.engine import opened
from planner.words.catalogue import BUILT_IN
from planner.words.records import Evaluation, RunRecord, Trial
from runner import study
from runner.campaign.display import Quiet
from runner.campaign.drive import CampaignSetting
from runner.campaign.inline import InlineExecutor
from runner.campaign.worker import JobOutcome, TrialJob, store_record, this_worker
from runner.sweep import prepare
from runner.sweep.study_file import StudyFile, load_study, with_spending
from runner.sweep.study_spend import Spending
from tests.campaign.made import write_tones

TEXT = """
name = "simulated"
task = "asr"
initialisation = "random"
latency = "none"

[data]
name = "manifest"
path = "{manifest}"

[axes]
backbone = ["whisper-tiny", "whisper-base", "whisper-small"]
audio_seconds = [5, 10, 20]
reduction = ["none", "stem:2", "stem:4"]
adaptation = "lora:8"

[optimisation]
steps = 100

[limits]
flops = "120G"

[spend]
hours = 4.0
"""
NOISE = 0.02
"""Standard deviation of one run's ln error."""
FLOPS_A_SECOND = 1e8
"""By which a simulated run lasts: from two minutes to half an hour."""
WORDS = 2000


def write_study(folder: Path, *changes: tuple[str, str]) -> Path:
    """The simulated study as a file, pieces of its text replaced."""
    text = TEXT.format(manifest=write_tones(folder))
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "study.toml"
    path.write_text(text)
    return path


def true_error(trial: Trial) -> float:
    """The law of the simulated world."""
    shape = BUILT_IN.backbone(trial.backbone)
    rate = trial.reduction.tokens_per_second
    return float(
        0.03
        + 0.04 * (shape.n_params / 1e8) ** -0.5
        + 0.03 * (trial.audio_seconds / 10.0) ** -0.8
        + 0.02 * (rate / 25.0) ** -0.9
    )


def hours_of(trial: Trial) -> float:
    """What a simulated run takes."""
    shape = BUILT_IN.backbone(trial.backbone)
    one = forward_flops(
        shape, audio_seconds=trial.audio_seconds, reduction=trial.reduction, n_output_tokens=20
    )
    return 0.02 + float(one.total) / FLOPS_A_SECOND / 3600.0


def record_of(trial: Trial, error: Callable[[Trial], float] = true_error) -> RunRecord:
    """A finished run: its error is the law's with noise that belongs to the trial alone."""
    noise = np.random.default_rng(int(trial.fingerprint[:12], 16)).standard_normal()
    n_errors = round(WORDS * error(trial) * math.exp(NOISE * float(noise)))
    evaluation = Evaluation(
        split="test", metric="wer", error=n_errors / WORDS, n_units=WORDS, n_errors=n_errors,
        n_utterances=100, std_error=math.sqrt(n_errors) / WORDS, mean_output_tokens=20.0,
    )  # fmt: skip
    seconds = 3600.0 * hours_of(trial)
    return RunRecord(
        status="finished", evaluations=(evaluation,), train_seconds=0.9 * seconds,
        score_seconds=0.1 * seconds,
    )  # fmt: skip


def simulated(job: TrialJob, stopped: Callable[[], bool]) -> JobOutcome:
    """The worker's claims, and a law in place of the training."""
    return claimed(job, record_of)


def claimed(job: TrialJob, record: Callable[[Trial], RunRecord]) -> JobOutcome:
    """Claim, make the record of the trial, store it under the claim."""
    with opened(job.db) as engine:
        claim = claim_trial(engine, job.trial_id, this_worker(), 60.0)
        if claim is None:
            return JobOutcome(trial_id=job.trial_id, kind="not-claimed")
        return store_record(engine, claim, record(claim.trial))


@dataclass
class Simulated:
    """One study on one database, run in this process as often as it is asked."""

    file: StudyFile
    db: str
    folder: Path
    n_workers: int = 1
    work: Callable[..., JobOutcome] = simulated
    after_round: Callable[[str], object] = lambda db: None

    @classmethod
    def of(cls, folder: Path, db: str, *changes: tuple[str, str], **more: Any) -> Simulated:
        """The study of a file that is written now."""
        hours = more.pop("hours", None)
        file = with_spending(load_study(write_study(folder, *changes)), Spending(hours=hours))
        return cls(file=file, db=db, folder=folder, **more)

    def run(self) -> dict[str, Any]:
        """To its end; the report."""
        prepared = prepare.prepare_spec(self.file.spec, BUILT_IN, lambda line: None)
        executor = study.KeptExecutor(lambda: InlineExecutor(self.n_workers, self.work))
        setting = CampaignSetting(
            db=self.db, artifacts=str(self.folder / "artifacts"), poll_seconds=0.005
        )
        course = study.Course(
            file=self.file, prepared=prepared, setting=setting, executor=executor.lent,
            new_display=Quiet, after_round=lambda spec: self.after_round(self.db),
            expected_hours=self.expected(prepared),
        )  # fmt: skip
        said: list[str] = []
        try:
            with opened(self.db) as engine:
                row = study.begin(engine, self.file, self.n_workers)
                return study.go_on(engine, row, course, said.append)
        finally:
            executor.close()

    def expected(self, prepared: prepare.PreparedSweep) -> Mapping[str, float]:
        """Hours of each candidate and reference, as they will be."""
        from runner.sweep.expand import expand_runs

        spec, corpus = prepared.spec, prepared.corpus
        trained = {
            text: hours_of(expand_runs(spec, corpus, [(c, 0)])[0][0])
            for text, c in self.file.candidates.items()
        }
        untrained = {
            text: hours_of(expand_runs(spec, corpus, [], references=[name])[0][0])
            for text, name in self.file.references.items()
        }
        return trained | untrained


def drive(folder: str, db: str) -> None:
    """A driver as a process of its own, for those who kill it."""
    Simulated(file=load_study(Path(folder) / "study.toml"), db=db, folder=Path(folder)).run()
