"""What the costs of candidates follow from, and what a cost is asked by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from planner.costs.latency.model import Latencies, LatencyModel
from planner.costs.windows import Placed
from planner.evidence.study import Evidence
from planner.plan.configurations import Config, Ints, Levels
from planner.plan.cost import Cost, Floats
from planner.plan.workload import Workload
from planner.words.question import PlanQuery
from planner.words.records import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the costs of candidates follow from.

    Attributes:
        ran_at: for each row of the evidence, which candidate it was of; None where of none.
        n_windows: windows of one utterance, shape (m,).
        tokens: output tokens of one window, shape (m,).
        latency: the device's model, None without one.
        groups: the candidates' windows by all that is not seconds and output tokens.
        utterance_seconds: audio that the windows hold together, shape (m,); empty where nobody asks.
        device: that latency is meant on, where its description is stored.
        workload: the utterances that are asked about; None: one mean utterance.
        lengths: of the candidates' windows; needed where a workload is.
        memo: what several costs follow from, worked out once.
    """

    query: PlanQuery
    evidence: Evidence
    configs: Sequence[Config]
    ran_at: Sequence[int | None]
    n_windows: Floats
    tokens: Ints
    latency: LatencyModel | None
    groups: Sequence[Placed]
    utterance_seconds: Floats = field(default_factory=lambda: np.empty(0))
    device: Device | None = None
    workload: Workload | None = None
    lengths: Levels | None = None
    memo: dict[str, Latencies] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def latencies(self) -> Latencies | None:
        """Latency of one window of each candidate; None without a model."""
        if self.latency is None:
            return None
        if "latencies" not in self.memo:
            # A device is measured with windows at their own length, however a study padded them.
            self.memo["latencies"] = self.latency.predict_placed(
                [(at, dataclasses.replace(w, padding="dynamic")) for at, w in self.groups]
            )
        return self.memo["latencies"]


class Objective(Protocol):
    """One cost of a configuration, in `unit`."""

    name: str
    unit: str

    def of(self, situation: Situation) -> Cost | str:
        """The cost of every candidate, or why it is not known."""
        ...
