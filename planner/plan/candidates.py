"""Every configuration that could be the answer, with its predicted error and its costs.

Joins the law, the costs and the latency model into one `CandidateTable`; knows no SQL.

FLOPs and latency are those of one utterance unless the query says `window`: an utterance of S seconds
takes ceil(S / x_T) consecutive windows, averaged over the utterances that were scored. Its output
tokens are shared out over the windows. A latency is a quantile over utterances, each with its own
windows and tokens.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from planner.costs.flops.lengths import encoder_tokens, tokens_of
from planner.costs.latency.model import LatencyModel
from planner.costs.windows import Placed, windows_of
from planner.errors import InputError, OutsideDataError
from planner.evidence.study import Evidence
from planner.laws.result import LawFit
from planner.plan.belief import belief, measurements
from planner.plan.configurations import Columns, Config, Ints, axis_columns, config_from, config_of
from planner.plan.configurations import axis_values as axis_values
from planner.plan.cost import Floats
from planner.plan.deployment import hidden
from planner.plan.engines import Deployed, crossed
from planner.plan.objectives import costs_of
from planner.plan.situation import Situation
from planner.plan.table import CandidateTable as CandidateTable
from planner.plan.workload import Workload
from planner.words.catalogue import Catalogue
from planner.words.dimensions import dimensions, further_dimensions
from planner.words.question import PlanQuery
from planner.words.records import Adaptation, Device, Reduction

MAX_DISTANCE = math.log(4.0)
"""ln distance outside the data to which a law is trusted: four times, as far as intervals are checked
where no form holds the truth (tests/benchmarks/wrong_forms.py)."""


def configs_of(evidence: Evidence, query: PlanQuery, ran: Sequence[Config]) -> tuple[Config, ...]:
    """The finite set: those listed, the measured ones, or every combination of the levels seen.

    With `grid` there are levels between those of the runs. What lies more than MAX_DISTANCE outside the
    data is left out, unless the query says `extrapolate`.

    Raises:
        InputError: a listed configuration cannot be read, or is not possible.
    """
    measured, catalogue = dict.fromkeys(ran), evidence.catalogue
    padding = evidence.rows[0].trial.padding
    if query.candidates:
        first = with_data_level(ran[0], evidence)
        return tuple(dict.fromkeys(listed(text, first, catalogue) for text in query.candidates))
    if query.measured_only:
        return tuple(measured)
    levels = {}
    for d in dimensions(catalogue):
        seen = d.ordered(c.value(d.name) for c in measured)
        levels[d.name] = d.finer(seen) if query.grid else seen
    lengths, taken = levels["audio_seconds"], {}
    for shape, cut in itertools.product(levels["backbone"], levels["reduction"]):
        taken[shape, cut] = _possible_lengths(catalogue, shape, cut, padding, lengths)
    out = dict(measured)
    for combination in itertools.product(*levels.values()):
        config = config_from(dict(zip(levels, combination, strict=True)), padding)
        if config.audio_seconds in taken[config.backbone, config.reduction]:
            out.setdefault(config)
    return tuple(out)


def with_data_level(config: Config, evidence: Evidence) -> Config:
    """The configuration at the most training audio of any run, where runs are of several amounts.

    What is asked about without saying how much is asked about as trained on all there is.
    """
    hours = [row.setup.train_hours for row in evidence.rows]
    known = [h for h in hours if h is not None]
    if not known:
        return config
    others = tuple((name, level) for name, level in config.extra if name != "train_hours")
    return dataclasses.replace(config, extra=(("train_hours", max(known)), *others))


def listed(text: str, like: Config, catalogue: Catalogue) -> Config:
    """As `parsed`, of a window that is possible.

    Raises:
        InputError: the text cannot be read, or no such window is possible.
    """
    config = parsed(text, like, catalogue)
    encoder_tokens(
        catalogue.backbone(config.backbone), config.audio_seconds, config.reduction, config.padding
    )
    return config


def parsed(text: str, like: Config, catalogue: Catalogue) -> Config:
    """A configuration from `backbone,audio_seconds,reduction[,adaptation][;train_hours=H]`, the rest as in `like`.

    Raises:
        InputError: the text cannot be read.
    """
    named, *levels = (p.strip() for p in text.split(";"))
    # Targets of an adaptation, `lora:8[q_proj,v_proj]`, have commas of their own.
    parts = [p.strip() for p in named.split(",", 3)]
    try:
        backbone, seconds, reduction, *rest = parts
        return dataclasses.replace(
            like,
            backbone=catalogue.backbone(backbone).name,
            audio_seconds=float(seconds),
            reduction=Reduction.parse(reduction),
            adaptation=Adaptation.parse(rest[0]) if rest and rest[0] else like.adaptation,
            extra=tuple((dict(like.extra) | dict(map(_level, levels))).items()),
        )
    except ValueError as problem:
        raise InputError(
            f"candidate {text!r} cannot be read: {problem}; write backbone,audio_seconds,reduction"
        ) from None


def _level(text: str) -> tuple[str, float]:
    """A level of a further dimension, as `train_hours=0.5`."""
    name, _, value = (p.strip() for p in text.partition("="))
    known = [d.name for d in further_dimensions()]
    if name not in known:
        raise InputError(f"{name!r} is no further dimension; there are: {', '.join(known)}")
    level = float(value)
    if not (math.isfinite(level) and level > 0):
        raise InputError(f"{name} must be positive, got {value!r}")
    return name, level


def _possible_lengths(
    catalogue: Catalogue, name: str, reduction: Reduction, padding: str, lengths: Sequence[float]
) -> set[float]:
    """The lengths of window that the backbone takes with that reduction."""
    shape = catalogue.backbone(name)

    def possible(seconds: Sequence[float]) -> bool:
        try:
            tokens_of(windows_of(shape, seconds, reduction, padding=padding))
        except InputError:
            return False
        return True

    return set(lengths) if possible(lengths) else {s for s in lengths if possible([s])}


def build(
    query: PlanQuery,
    evidence: Evidence,
    fit: LawFit,
    workload: Workload,
    latency: LatencyModel | None,
    configs: Sequence[Config] | None = None,
    device: Device | None = None,
    engines: Sequence[Deployed | None] = (None,),
) -> CandidateTable:
    """The table that the planner chooses from; every number is computed here, none is stored twice.

    Raises:
        OutsideDataError: everything that could be chosen lies too far outside the data.
    """
    ran = _ran(evidence)
    chosen = tuple(configs if configs is not None else configs_of(evidence, query, ran))
    columns = Columns.of(chosen)
    x = axis_columns(columns, evidence.axes, evidence.catalogue)
    distance = fit.distance(x).max(axis=1)
    if not query.extrapolate:
        near = distance <= MAX_DISTANCE
        if not near.any():
            raise OutsideDataError(_too_far(chosen, distance))
        chosen = tuple(itertools.compress(chosen, near.tolist()))
        columns, x, distance = columns.kept(near), x[near], distance[near]
    situation = _situation(query, evidence, chosen, columns, workload, latency, device)
    costs, unknown = costs_of(situation)
    measured = measurements(evidence, chosen, situation.ran_at, fit)
    labels = [c.label for c in chosen]
    error = belief(fit, x, labels, measured, query.n_draws, query.seed, query.level)
    table = CandidateTable(
        configs=chosen, distance=distance, n_windows=situation.n_windows, costs=costs, unknown=unknown,
        error=error.error, error_low=error.low, error_high=error.high, own_weight=error.own_weight,
        draws=error.draws, least_draw=error.least_draw, same_low=error.same_low, same_high=error.same_high,
        run_ids=measured.run_ids, measured_error=measured.error,
        hidden=hidden(query, engines=False),
    )  # fmt: skip
    table.kept("columns", lambda _: columns)
    return table if tuple(engines) == (None,) else crossed(table, situation, engines)


def _situation(
    query: PlanQuery,
    evidence: Evidence,
    chosen: Sequence[Config],
    columns: Columns,
    workload: Workload,
    latency: LatencyModel | None,
    device: Device | None,
) -> Situation:
    """What the costs of these configurations follow from."""
    ran_at = columns.places(_ran(evidence))
    tokens = _tokens(query, workload, evidence, columns, ran_at)
    return Situation(
        query=query, evidence=evidence, configs=chosen, ran_at=ran_at,
        n_windows=_windows(query, workload, columns), tokens=tokens, latency=latency,
        groups=_groups(columns, tokens, evidence.catalogue),
        utterance_seconds=_utterance_seconds(query, workload, columns), device=device,
        workload=_asked(query, workload), lengths=columns.levels["audio_seconds"],
    )  # fmt: skip


def measured_situation(
    query: PlanQuery,
    evidence: Evidence,
    workload: Workload,
    latency: LatencyModel | None,
    device: Device | None = None,
) -> Situation:
    """What the costs of the configurations that were run follow from; no law is needed."""
    chosen = tuple(dict.fromkeys(_ran(evidence)))
    return _situation(query, evidence, chosen, Columns.of(chosen), workload, latency, device)


def _ran(evidence: Evidence) -> list[Config]:
    """The configuration of each run; runs that differ by their seed share one object."""
    setups = {id(r.setup): r.setup for r in evidence.rows}
    made = {key: config_of(setup) for key, setup in setups.items()}
    return [made[id(r.setup)] for r in evidence.rows]


def _too_far(configs: Sequence[Config], distance: Floats) -> str:
    j = int(distance.argmin())
    return (
        f"{configs[j].label} lies {math.exp(distance[j]):.3g}x outside the measured range, and laws are "
        f"trusted to {math.exp(MAX_DISTANCE):.3g}x; run something nearer, or ask with --extrapolate"
    )


def _asked(query: PlanQuery, workload: Workload) -> Workload:
    """What an utterance is under the question: its length and output tokens where they are given."""
    if not (query.utterance_seconds or query.output_tokens):
        return workload
    asked = dataclasses.replace(
        workload, output_tokens=query.output_tokens or workload.output_tokens, as_scored=False
    )
    if query.utterance_seconds:
        seconds = (query.utterance_seconds,)
        asked = dataclasses.replace(asked, seconds=seconds, tokens=(), windows_at={})
    return asked


def _windows(query: PlanQuery, workload: Workload, columns: Columns) -> Floats:
    """Windows of one utterance at each candidate, shape (m,)."""
    if query.per == "window":
        return np.ones(len(columns.key))
    return _by_length(_asked(query, workload).windows_of, columns)


def _utterance_seconds(query: PlanQuery, workload: Workload, columns: Columns) -> Floats:
    """Audio of an utterance (or window) of each candidate, shape (m,); one window where it is not known."""
    asked = _asked(query, workload)
    if query.per == "window" or not asked.seconds:
        return columns.audio_seconds
    return np.full(len(columns.key), float(np.mean(asked.seconds)))


def _by_length(of: Callable[[Floats], Floats], columns: Columns) -> Floats:
    """What depends on the length of the window alone, worked out once a length, shape (m,)."""
    own = columns.levels["audio_seconds"]
    return of(np.array(own.values, dtype=np.float64))[own.code]


def _tokens(
    query: PlanQuery,
    workload: Workload,
    evidence: Evidence,
    columns: Columns,
    ran_at: Sequence[int | None],
) -> Ints:
    """Output tokens of one window of each candidate, shape (m,).

    Those given are shared over the utterance's windows; else a run's own mean, else those of a scored
    utterance shared over its windows.
    """
    shared_by = _asked(query, workload) if query.output_tokens else workload
    if not shared_by.output_tokens:
        return np.zeros(len(columns.key), dtype=np.int64)
    tokens = shared_by.output_tokens / _by_length(shared_by.windows_of, columns)
    if not query.output_tokens:
        # Of several runs of one configuration the last tells, whether or not it knows.
        own = {j: r.mean_output_tokens for j, r in zip(ran_at, evidence.rows, strict=True)}
        for j, mean in own.items():
            if j is not None and mean is not None:
                tokens[j] = mean
    return np.maximum(np.rint(tokens), 1.0).astype(np.int64)


def _groups(columns: Columns, tokens: Ints, catalogue: Catalogue) -> tuple[Placed, ...]:
    """The candidates' windows by all that is not seconds and output tokens."""
    names = ("backbone", "reduction", "adaptation", "padding")
    key = np.zeros(len(tokens), dtype=np.int64)
    for name in names:
        key = key * len(columns.levels[name].values) + columns.levels[name].code
    order = np.argsort(key, kind="stable")
    seconds, out = columns.audio_seconds, []
    for at in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        backbone, reduction, _, padding = (
            columns.levels[n].values[columns.levels[n].code[at[0]]] for n in names
        )
        windows = windows_of(
            catalogue.backbone(backbone), seconds[at], reduction, n_output_tokens=tokens[at],
            padding=padding,
        )  # fmt: skip
        out.append((at, windows))
    return tuple(out)
