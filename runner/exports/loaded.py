"""What the exports of one run share: its trained model and the clips that it was scored on, loaded once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.store import read
from planner.store.row_types import RunRow
from runner.data.audio import SAMPLE_RATE, Audio

N_WINDOWS = 32
"""Training clips that static int8 takes its ranges from (assumption; onnxruntime's examples take 10 to 100)."""

if TYPE_CHECKING:
    import torch

    from runner.data.clips import Corpus
    from runner.engines.trained import Trained


class Loaded:
    """A stored run's model and corpus, read when they are first asked for; the model is put on `device` (the CPU).

    Tensors that are no longer where the run left them are looked for in `artifacts`, a folder or a URL.
    """

    def __init__(
        self, engine: Any, row: RunRow, weights: Path | None, device: torch.device | None = None,
        artifacts: str | None = None,
    ) -> None:  # fmt: skip
        self.engine, self.row, self._weights, self._device = engine, row, weights, device
        self._artifacts = artifacts
        self._trained: Trained | None = None
        self._corpus: Corpus | None = None

    @property
    def family(self) -> str:
        """Of its backbone."""
        return read.catalogue(self.engine).backbone(self.row.trial.backbone).family

    def trained(self) -> Trained:
        """The model with its adapters merged.

        Raises:
            InputError: its tensors are not stored, or do not fit.
            MissingResourceError: weights or tensors cannot be had.
        """
        from runner.engines.trained import load_trained

        if self._trained is None:
            row = self.row
            with local_artifact(found_artifact(row.artifact, self._artifacts)) as artifact:
                self._trained = load_trained(
                    row.trial,
                    artifact,
                    weights_folder=self._weights,
                    weights_digest=row.weights_digest,
                    device=self._device,
                    catalogue=read.catalogue(self.engine),
                )
        return self._trained

    def corpus(self) -> Corpus:
        """The corpus that the run was scored on, by the sweep that asked for it.

        Raises:
            InputError: no sweep holds the trial, or its data changed.
        """
        from runner.sweep.file import parse_spec
        from runner.trial.examples import corpus_of

        if self._corpus is None:
            row = self.row
            specs = read.sweep_specs(self.engine, row.trial_id)
            if not specs:
                raise InputError(
                    f"run {row.run_id} is of no sweep, so its test clips are not known; use --no-parity"
                )
            known = read.catalogue(self.engine)
            spec = parse_spec(json.loads(specs[-1]), "the stored sweep", known)
            self._corpus = corpus_of(row.trial, spec.data_request)
        return self._corpus

    def windows(self) -> list[Audio]:
        """The first training clips, of at most x_T seconds."""
        from runner.data.packing import load_clip

        longest = round(self.row.trial.audio_seconds * SAMPLE_RATE)
        return [load_clip(clip)[:longest] for clip in self.corpus().train[:N_WINDOWS]]


def found_artifact(artifact: str | None, artifacts: str | None) -> str | None:
    """Where a run's tensors lie: where it left them, else under the same name in `artifacts`, which they moved to."""
    from runner.campaign.artifacts import is_url

    if artifact is None or artifacts is None or is_url(artifact) or Path(artifact).is_dir():
        return artifact
    return f"{artifacts.rstrip('/')}/{Path(artifact).name}"


@contextmanager
def local_artifact(artifact: str | None) -> Iterator[Path | None]:
    """The folder of a run's tensors; one behind a URL is fetched for as long as it is needed."""
    from runner.campaign.artifacts import Remote, is_url

    if artifact is None or not is_url(artifact):
        yield None if artifact is None else Path(artifact)
        return
    place, _, name = artifact.rstrip("/").rpartition("/")
    with tempfile.TemporaryDirectory(prefix="soundscale-artifact-") as scratch:
        Remote(place).fetch(name, Path(scratch) / name)
        yield Path(scratch) / name
