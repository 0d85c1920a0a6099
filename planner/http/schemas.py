"""What may be asked over HTTP: models made from the one description of a question, strictly.

Numbers are numbers (no strings, no NaN, no infinities) and unknown keys are refused. The same models
read JSON bodies and, through `query_string.py`, query strings with units.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from planner.words.asked import READERS, Asked
from planner.words.question import FRONTIER, LIMITS, STUDY, SUGGEST, TARGET, WHATIF, PlanQuery

PLAIN_TEXT = r"^[^\x00-\x1f\x7f]+$"
"""Names: anything but control characters (PostgreSQL takes no NUL)."""

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=PLAIN_TEXT)]


class Question(BaseModel):
    """A question about one task, as JSON; its fields are made by `_model`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    def to_query(self) -> PlanQuery:
        """The planner's record of the question."""
        known = PlanQuery.__dataclass_fields__
        return PlanQuery(**{k: v for k, v in self.model_dump().items() if k in known})

    def beside_query(self) -> dict[str, Any]:
        """What this kind of question asks beside its `PlanQuery`, by name."""
        known = PlanQuery.__dataclass_fields__
        return {k: v for k, v in self.model_dump().items() if k not in known}


def _type(one: Asked) -> Any:
    if one.kind == "choice":
        return Literal[tuple(one.choices)]
    if one.kind == "flag":
        return bool
    if one.kind == "name":
        return Name
    return Annotated[float, Field(ge=one.low, le=one.high, strict=True, allow_inf_nan=False)]


def _field(one: Asked) -> tuple[Any, Any]:
    kind = _type(one)
    optional = not one.needed and one.default is None
    numbers = one.kind == "number" or one.kind in READERS
    shown = READERS[one.kind](one.example) if one.kind in READERS else one.example
    described = Field(
        ... if one.needed else one.default,
        description=one.help,
        examples=[float(shown) if numbers else shown] if one.example else None,
    )
    return (kind | None if optional else kind, described)


def _model(name: str, doc: str, *fields: Asked) -> type[Question]:
    """The model of one kind of question; a list in a file is a command's alone."""
    asked: dict[str, Any] = {one.name: _field(one) for one in fields if one.kind != "lines"}
    return create_model(name, __base__=Question, __doc__=doc, **asked)


StudyQuestion = _model("StudyQuestion", "A question about one task, as JSON.", *STUDY)
LimitedQuestion = _model("LimitedQuestion", "A question with limits.", *STUDY, *LIMITS)
TargetQuestion = _model(
    "TargetQuestion", "The least of one resource for a quality.", *STUDY, *LIMITS, *TARGET
)
FrontierQuestion = _model("FrontierQuestion", "The frontier over one cost.", *STUDY, *FRONTIER)
WhatIfQuestion = _model("WhatIfQuestion", "One configuration.", *STUDY, *LIMITS, *WHATIF)
SuggestQuestion = _model("SuggestQuestion", "Which runs to do next.", *STUDY, *LIMITS, *SUGGEST)
CurvesQuestion = _model(
    "CurvesQuestion", "The law along each axis through one configuration.",
    *STUDY, *LIMITS, *WHATIF,
)  # fmt: skip


class FitQuestion(BaseModel):
    """Which law to fit to which runs, as JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: Name = Field(examples=["asr"])
    source: Name | None = None
    dataset: Name | None = None
    adaptation: Name | None = None
    test_set: Name | None = Field(None, description="errors on this further test set")
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
