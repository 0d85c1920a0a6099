"""What can be asked, written once: each field's name, kind, range, help, default and example.

`PlanQuery` is a question about one task; its fields carry their own description. Further fields belong
to one kind of question (`TARGET`, `FRONTIER`, `WHATIF`, `SUGGEST`) or describe one configuration
(`CONFIGURATION`). From these descriptions are made the options of commands (planner/cli/asked.py), the checks
below, the models of the HTTP service (planner/http/schemas.py), the fields of the page
(`as_json`) and the documentation's table.

One name for one thing: the JSON key is the column's name, and the option is that name with dashes. Where
an option's value carries a unit of its own (`250ms`, `4GiB`) the suffix that names the base unit
(`_ms`, `_bytes`) is left out: `latency_ms` is `--latency`. Costs are named in the same way.

Imports the standard library only: `--help` is made from it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from planner.errors import InputError, UnknownNameError
from planner.words.asked import UNSAID, Asked, asked, later
from planner.words.asked_beside import CONFIGURATION as CONFIGURATION
from planner.words.asked_beside import FRONTIER as FRONTIER
from planner.words.asked_beside import SUGGEST as SUGGEST
from planner.words.asked_beside import TARGET as TARGET
from planner.words.asked_beside import WHATIF as WHATIF
from planner.words.keep import rules_of

COST_UNITS = {
    "flops": "FLOPs",
    "latency_ms": "ms",
    "memory_bytes": "bytes",
    "train_flops": "FLOPs",
    "real_time_factor": "s/s",
    "cost_per_1000h": "per 1,000 h",
    "energy_j_per_hour": "J/h",
    "size_bytes": "bytes",
    "train_hours": "h",
}
"""The costs that a limit can be put on and their units; planner.plan.objectives adds to it."""

COST_OF_LIMIT = {"rtfx": "real_time_factor"}
"""Limits that are the least of a cost's inverse -> the cost: audio seconds a second, and seconds a second."""

FLOPS_RANGE = (1.0, 1e24)
SECONDS_RANGE = (0.01, 86_400.0)
TOKENS_RANGE = (0.01, 1e5)
PROBABILITY_RANGE = (1e-6, 0.999999)
LEVEL_RANGE = (0.01, 0.9999)
"""Ranges that are the same wherever something is asked: wide enough for any question that has an answer,
and narrow enough that no formula leaves the numbers that a computer has (assumption)."""

_PER = {"utterance": "a whole utterance", "window": "one encoder window"}
_SOURCES = {
    "measured": "runs measured here",
    "imported": "imported results",
    "published": "published results",
}
_CONVENTIONS = {"exact": "exact", "same2026": "as the study counts (same2026)"}
_QUANTILES = {"p95": "p95", "p50": "p50 (median)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuery:
    """A question: limits, what they are limits of, and how sure the answer has to be.

    Attributes:
        flops: most FLOPs per `per` under `convention`.
        latency_ms: most milliseconds at `quantile` on `device`.
        memory_bytes, train_flops: most peak inference memory; most training FLOPs in all.
        train_hours: most hours of training audio, where runs are of several.
        min_prob: least probability of meeting all limits together.
        per: `utterance` (all windows of one utterance) or `window`.
        utterance_seconds: length of an utterance; None takes those that were scored.
        output_tokens: output tokens of an utterance; None takes the measured mean.
        demand: utterances over the life of the model: training FLOPs are spread over them.
        measured_only: choose among configurations that were run.
        grid: choose among levels between those that were run, too.
        candidates: choose among these, each as `backbone,audio_seconds,reduction[,adaptation]`.
        extrapolate: also choose what lies further outside the data than laws are trusted.
        source: provenance of the runs to learn from (`measured`, `published`, `imported`) or a file.
        more_limits: limits on costs that were registered, by name.
        rtfx: least audio seconds a second, at batch 1; cost_per_1000h: most money for so many hours of audio,
            at the `price` of an hour of the device, `idle` for a share of it.
        energy_j_per_hour: most energy of an hour of audio; size_bytes: largest model on disk.
        engine, precision: names with commas, or `any`; None is what scored the trials.
        test_set: a further test set (`[[data.test]]`) whose errors are minimised; None: the trials' own.
        keep: rules for other test sets (planner.words.keep), each met with `min_prob` by itself; None: none.
    """

    flops: float | None = field(
        default=None,
        metadata=asked("flops", "Most FLOPs, e.g. 400G.", FLOPS_RANGE, example="20G", limit=True),
    )
    latency_ms: float | None = field(
        default=None,
        metadata=asked(
            "latency",
            "Most time at the quantile, e.g. 250ms.",
            (1e-3, 1e9),
            example="250ms",
            limit=True,
        ),
    )
    memory_bytes: float | None = field(
        default=None,
        metadata=asked(
            "bytes", "Most peak memory, e.g. 4GiB.", (1.0, 1e18), example="4GiB", limit=True
        ),
    )
    train_flops: float | None = field(
        default=None,
        metadata=asked(
            "flops", "Most training FLOPs, e.g. 5P.", FLOPS_RANGE, example="5P", limit=True
        ),
    )
    rtfx: float | None = field(
        default=None,
        metadata=later(
            "number", "Least audio seconds a second.", (1e-4, 1e7), example="30", limit=True
        ),
    )
    cost_per_1000h: float | None = field(
        default=None,
        metadata=later(
            "number", "Most money for 1,000 hours of audio; needs --price.", (1e-6, 1e9), example="2",
            limit=True,
        ),
    )  # fmt: skip
    energy_j_per_hour: float | None = field(
        default=None,
        metadata=later(
            "energy", "Most energy of an hour of audio, e.g. 20kJ.", (1e-3, 1e12), example="20kJ",
            limit=True,
        ),
    )  # fmt: skip
    size_bytes: float | None = field(
        default=None,
        metadata=later(
            "bytes", "Largest model, e.g. 100MB.", (1.0, 1e18), example="100MB", limit=True
        ),
    )
    train_hours: float | None = field(
        default=None,
        metadata=later(
            "number", "Most hours of training audio.", (1e-6, 1e7), example="20", limit=True,
        ),
    )  # fmt: skip
    min_prob: float = field(
        default=0.9,
        metadata=asked(
            "number", "Least probability of meeting all limits together.", PROBABILITY_RANGE,
            title="Sure of meeting them", example="0.95", limit=True,
        ),
    )  # fmt: skip
    task: str = field(
        metadata=asked("name", "asr or emotion.", needed=True, title="Task", example="asr")
    )
    convention: str = field(
        default="exact",
        metadata=asked(
            "name", "How FLOPs are counted: exact or same2026.", choices=_CONVENTIONS,
            title="FLOP count", example="exact",
        ),
    )  # fmt: skip
    device: str | None = field(
        default=None,
        metadata=asked("name", "Device that latency is meant on.", title="Device", example="h100"),
    )
    quantile: str = field(
        default="p95",
        metadata=asked(
            "choice", "Latency quantile.", choices=_QUANTILES, title="Latency quantile", example="p50"
        ),
    )  # fmt: skip
    per: str = field(
        default="utterance",
        metadata=asked(
            "choice", "FLOPs and latency of a whole utterance, or of one encoder window.",
            choices=_PER, title="Costs of", example="window",
        ),
    )  # fmt: skip
    utterance_seconds: float | None = field(
        default=None,
        metadata=asked(
            "number", "Length of an utterance.", SECONDS_RANGE, title="Utterance (s)", example="25"
        ),
    )
    output_tokens: float | None = field(
        default=None,
        metadata=asked("number", "Output tokens an utterance.", TOKENS_RANGE, example="40"),
    )
    demand: float | None = field(
        default=None,
        metadata=asked("number", "Utterances to spread training over.", (1.0, 1e18), example="1e9"),
    )
    measured_only: bool = field(
        default=False,
        metadata=asked(
            "flag", "Choose among configurations that were run.", title="Only configurations that were run"
        ),
    )  # fmt: skip
    grid: bool = field(
        default=False, metadata=asked("flag", "Also choose between the levels that were run.")
    )
    candidates: tuple[str, ...] = field(
        default=(),
        metadata=asked(
            "lines",
            "Choose among the lines of this CSV file: backbone, audio_seconds, reduction, adaptation if it differs.",
            example="mine.csv",
        ),
    )
    extrapolate: bool = field(
        default=False, metadata=asked("flag", "Answer further than 4x outside the data.")
    )
    source: str | None = field(
        default=None,
        metadata=asked(
            "name", "measured, published, imported, or a table's name.", choices=_SOURCES,
            title="Learn from", example="published",
        ),
    )  # fmt: skip
    dataset: str | None = field(
        default=None,
        metadata=asked("name", "Only learn from runs on this dataset.", example="librispeech"),
    )
    adaptation: str | None = field(
        default=None,
        metadata=asked("name", "Only this adaptation, e.g. lora:16.", example="lora:16"),
    )
    level: float = field(
        default=0.9,
        metadata=asked("number", "Probability of the intervals.", LEVEL_RANGE, example="0.95"),
    )
    accept_status: bool = field(
        default=False, metadata=asked("flag", "Plan from a law that did not converge.")
    )
    price: float | None = field(
        default=None,
        metadata=later(
            "price", "Price of the device.", (1e-9, 1e9), example="2.5/h", title="Price"
        ),
    )
    idle: float | None = field(
        default=None,
        metadata=later("number", "Share of paid time without work.", (1e-6, 0.999), example="0.4"),
    )
    power_watts: float | None = field(
        default=None,
        metadata=later(
            "power",
            "Power while it works, e.g. 45W; else assumed.",
            (1e-3, 1e7),
            title="Power",
            example="45W",
        ),
    )
    engine: str | None = field(
        default=None,
        metadata=later(
            "name", "Engines, with commas, or any that was measured; else torch, which scored the runs.",
            title="Engine", example="onnxruntime,ctranslate2",
        ),
    )  # fmt: skip
    precision: str | None = field(
        default=None,
        metadata=later(
            "name", "Precisions of the weights, with commas, e.g. int8,fp32; else all of those engines.",
            title="Precision", example="int8,fp32",
        ),
    )  # fmt: skip
    test_set: str | None = field(
        default=None,
        metadata=later(
            "name", "Errors on this further test set; else on the one that the runs' trials name.",
            title="Errors on test set", example="general",
        ),
    )  # fmt: skip
    keep: str | None = field(
        default=None,
        metadata=later(
            "name", "Most errors on further test sets, e.g. general<=9%, or points above the untrained checkpoint.",
            title="Keep on other test sets", example="general<=+1pt",
        ),
    )  # fmt: skip
    more_limits: tuple[tuple[str, float], ...] = ()
    n_draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        # A stored question is JSON, which has lists alone.
        object.__setattr__(self, "candidates", tuple(self.candidates))
        more = tuple((str(k), float(v)) for k, v in self.more_limits)
        object.__setattr__(self, "more_limits", more)
        unknown = [k for k, _ in more if k not in COST_UNITS]
        if unknown:
            raise UnknownNameError("cost", unknown[0], COST_UNITS)
        for name, value in more:
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value!r}")
        for one in QUESTION:
            one.check(getattr(self, one.name))
        rules_of(self.keep)
        if self.measured_only and (self.grid or self.candidates):
            raise InputError(
                "measured_only contradicts a finer grid and a list of candidates; drop one of them"
            )

    @property
    def limits(self) -> dict[str, float]:
        """The limits that were set, by cost name."""
        more = dict(self.more_limits)
        set_ = {name: getattr(self, name, more.get(name)) for name in COST_UNITS}
        if self.rtfx is not None:
            set_["real_time_factor"] = 1.0 / self.rtfx
        return {name: float(value) for name, value in set_.items() if value is not None}

    @property
    def without_limits(self) -> PlanQuery:
        """What candidates and their costs depend on: the same question with no limit."""
        return dataclasses.replace(self, **{one.name: one.default for one in LIMITS})

    def limited_as(self, other: PlanQuery) -> PlanQuery:
        """This question with the limits of another."""
        return dataclasses.replace(self, **{one.name: getattr(other, one.name) for one in LIMITS})


def _described(part: bool) -> tuple[Asked, ...]:
    """Fields of `PlanQuery` that can be asked: its limits, or the others."""
    out = []
    for own in dataclasses.fields(PlanQuery):
        if own.metadata and own.metadata.get("limit", False) is part:
            described = {k: v for k, v in own.metadata.items() if k not in ("limit", UNSAID)}
            default = None if own.default is dataclasses.MISSING else own.default
            out.append(Asked(name=own.name, default=default, **described))
    return tuple(out)


LIMITS = _described(True)
"""Limits, and how surely they have to be met."""
STUDY = _described(False)
"""Which runs are learned from, what costs are counted of, and which candidates there are."""
QUESTION = (*LIMITS, *STUDY)

COSTS = {
    one.option.removeprefix("--"): COST_OF_LIMIT.get(one.name, one.name)
    for one in LIMITS
    if one.name in COST_UNITS or one.name in COST_OF_LIMIT
}
"""Name of a cost in a question, as in its limit's option -> its key."""

KINDS: dict[str, tuple[Asked, ...]] = {
    "plan": QUESTION,
    "plan target": (*TARGET, *QUESTION),
    "frontier": (*FRONTIER, *STUDY),
    "whatif": (*WHATIF, *QUESTION),
    "suggest": (*SUGGEST, *QUESTION),
}
"""Command -> all that it can be asked with."""


def as_json() -> list[dict[str, Any]]:
    """The fields of a question as plain values, for a form."""
    return [
        {
            "name": one.name,
            "kind": one.kind,
            "title": one.title,
            "help": one.help,
            "default": one.default,
            "low": one.low,
            "high": one.high,
            "example": one.example,
            "choices": dict(one.choices),
            "limit": one in LIMITS,
        }
        for one in QUESTION
        if one.kind != "lines"
    ]
