"""What may be asked over HTTP: the fields of `PlanQuery`, strictly.

Numbers are numbers (no strings, no NaN, no infinities) and unknown keys are refused. The same models
read JSON bodies and, through `query_string.py`, query strings with units.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from planner.plan.question import PlanQuery

PLAIN_TEXT = r"^[^\x00-\x1f\x7f]+$"
"""Names: anything but control characters (PostgreSQL takes no NUL)."""

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN_TEXT)]


def _number(low: float, high: float, **more: Any) -> Any:
    return Field(ge=low, le=high, strict=True, allow_inf_nan=False, **more)


FLOPS_RANGE, MS_RANGE, BYTES_RANGE = (1.0, 1e21), (1e-3, 1e9), (1.0, 1e15)
SECONDS_RANGE, TOKENS_RANGE, ERROR_RANGE = (0.1, 3600.0), (1.0, 10_000.0), (1e-6, 0.999999)
PROBABILITY_RANGE, LEVEL_RANGE = (0.001, 0.9999), (0.5, 0.999)

Flops = Annotated[float, _number(*FLOPS_RANGE, description="FLOPs", examples=[520e9])]
Milliseconds = Annotated[float, _number(*MS_RANGE, description="milliseconds", examples=[250])]
Bytes = Annotated[float, _number(*BYTES_RANGE, description="bytes", examples=[8 * 2**30])]
Seconds = Annotated[float, _number(*SECONDS_RANGE, description="seconds")]
Tokens = Annotated[float, _number(*TOKENS_RANGE, description="output tokens of an utterance")]
ErrorRate = Annotated[float, _number(*ERROR_RANGE, description="a fraction: 0.08 is 8 %")]
Demand = Annotated[float, _number(1.0, 1e18)]
Probability = Annotated[float, _number(*PROBABILITY_RANGE)]
Level = Annotated[float, _number(*LEVEL_RANGE, description="probability of the intervals")]


class Question(BaseModel):
    """A question about one task, as JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: Name = Field(examples=["asr"], description="asr or emotion")
    device: Name | None = Field(None, description="device that latency is meant on")
    quantile: Literal["p50", "p95"] = "p95"
    convention: Name = Field("exact", description="how FLOPs are counted")
    per: Literal["utterance", "window"] = "utterance"
    utterance_seconds: Seconds | None = None
    output_tokens: Tokens | None = None
    measured_only: bool = False
    grid: bool = Field(False, description="choose among levels between those that were run, too")
    extrapolate: bool = Field(False, description="answer further than 4x outside the data")
    demand: Demand | None = Field(None, description="utterances that training is spread over")
    source: Name | None = Field(None, description="measured, imported, published or a table")
    dataset: Name | None = None
    adaptation: Name | None = None
    accept_status: bool = False
    level: Level = 0.9

    def to_query(self) -> PlanQuery:
        """The planner's record of the question."""
        known = PlanQuery.__dataclass_fields__
        return PlanQuery(**{k: v for k, v in self.model_dump().items() if k in known})


class LimitedQuestion(Question):
    """A question with limits."""

    flops: Flops | None = Field(None, description="most FLOPs", examples=[20e9])
    latency_ms: Milliseconds | None = Field(None, description="most milliseconds at the quantile")
    memory_bytes: Bytes | None = Field(None, description="most bytes")
    train_flops: Flops | None = Field(None, description="most training FLOPs")
    min_prob: Probability = Field(0.9, description="of meeting all limits together")


class TargetQuestion(LimitedQuestion):
    """The least of one resource for a quality."""

    error: ErrorRate = Field(examples=[0.12])
    minimise: Literal["flops", "latency", "memory", "train-flops"] = "flops"


class FrontierQuestion(Question):
    """The frontier over one cost."""

    x: Literal["flops", "latency", "memory", "train-flops"] = "flops"


class WhatIfQuestion(LimitedQuestion):
    """One configuration."""

    backbone: Name = Field(examples=["whisper-base"])
    audio_seconds: Seconds = Field(examples=[10])
    reduction: Name = Field("none", examples=["stem:2"])


class SuggestQuestion(LimitedQuestion):
    """Which runs to do next."""

    hours: Annotated[float, _number(1e-3, 1e6)] = Field(8.0, description="hours of compute")
    worth: Annotated[float, _number(1e-9, 1.0)] = Field(1e-4, description="least value, in error")


class CurvesQuestion(WhatIfQuestion):
    """The law along each axis through one configuration."""


class FitQuestion(BaseModel):
    """Which law to fit to which runs, as JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: Name = Field(examples=["asr"])
    source: Name | None = None
    dataset: Name | None = None
    adaptation: Name | None = None
    axes: list[Name] | None = Field(None, max_length=6, description="default: the compute axes")
    law: Name = "auto"
    loss: Name = "log"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class SqlQuestion(BaseModel):
    """One SELECT."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sql: Annotated[str, Field(min_length=1, max_length=20_000)] = Field(
        examples=["SELECT backbone, error FROM v_results ORDER BY error LIMIT 10"]
    )
    format: Literal["json", "csv"] = "json"


COSTS = {
    "flops": "flops", "latency": "latency_ms", "memory": "memory_bytes", "train-flops": "train_flops",
}  # fmt: skip
"""Short name of a cost in a question -> its key."""
