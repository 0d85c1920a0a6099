"""The study file: a sweep file without a design, and beside it the limits of the decision and what may be spent.

    name = "asr"
    task = "asr"

    [data]                             # as in a sweep file, like all that is not named here
    name = "asterisk-en"

    [axes]                             # the candidates: every combination of these levels
    backbone = ["whisper-tiny.en", "whisper-base"]
    audio_seconds = [4, 8, 12]
    reduction = ["none", "stem:2", "stem:4"]

    [limits]                           # what the answer has to meet, as options of `soundscale plan`
    flops = "20G"
    latency = "2s"
    keep = "general<=+1pt"             # a rule for a further test set, [[data.test]]

    [spend]                            # or on the command line, which goes before
    hours = 1.0                        # of runs, all workers together; or gpu_hours
    until = "regret<=0.2pt"            # enough once a better choice could save no more (95 %)
    worth = "0.01%"                    # least value of a run

A study chooses its runs and their seeds itself: `design` and `seeds` are refused, and so are several values of
`learning_rate` and several adaptations, which one law does not hold together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planner.costs.flops.forward import forward_flops
from planner.errors import InfeasibleError, InputError, SoundscaleError, UnknownNameError
from planner.store.studies import REFERENCE
from planner.words.asked import READERS, Asked
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.keep import rules_of
from planner.words.question import LIMITS, QUESTION, PlanQuery
from planner.words.records import Reduction
from planner.words.test_sets import OWN_SPLIT
from planner.words.units import format_flops
from runner.sweep.expand import Combination, combinations
from runner.sweep.file import parse_spec, read_table, with_own_path
from runner.sweep.keys import SweepSpec
from runner.sweep.study_spend import Spending, checked, spending_of

OWN = ("limits", "spend")
REFUSED = {
    "design": "a study chooses its runs itself",
    "seeds": "a study gives each run its seed",
}
NOT_A_LIMIT = (
    "task", "source", "dataset", "adaptation", "candidates", "grid", "measured_only", "extrapolate",
    "accept_status",
)  # fmt: skip
"""What a question may say and a study does not: it says so by its candidates and its own runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFile:
    """A checked study file.

    Attributes:
        spec: its sweep, whose design is the grid of all candidates.
        candidates: combination by the text that names it in a question.
        references: backbones whose untrained checkpoint is run first, by the text that names that run.
        query: the decision.
        spending: what may be spent.
        worth: least value of a run, in error.
    """

    spec: SweepSpec
    candidates: Mapping[str, Combination]
    references: Mapping[str, str]
    query: PlanQuery
    spending: Spending
    worth: float


def load_study(path: str | Path, catalogue: Catalogue = BUILT_IN) -> StudyFile:
    """Read and check a study file.

    Raises:
        InputError: it cannot be read, or a key or value is wrong; one line that names the key and the file.
        InfeasibleError: no candidate can meet the limit on FLOPs.
    """
    where = Path(path)
    table = read_table(where, "study")
    return parse_study(table, where, catalogue)


def parse_study(
    table: Mapping[str, Any], where: Path, catalogue: Catalogue = BUILT_IN
) -> StudyFile:
    """A study file's table, checked.

    Raises:
        InputError, InfeasibleError: as `load_study`.
    """
    for key, why in REFUSED.items():
        if key in table:
            raise InputError(
                f"{where.name}: {key}: {why}; leave {key} out, or use soundscale sweep run"
            )
    sweep = {key: value for key, value in table.items() if key not in OWN}
    gridded = {**sweep, "design": {"kind": "grid"}}
    spec = with_own_path(parse_spec(gridded, where.name, catalogue), where)
    try:
        _check_one_law(spec)
        candidates = {text_of(spec, c): c for c in combinations(spec, catalogue)}
        query = _query(spec, _section(table, "limits"), tuple(candidates))
        spec = _with_sets(spec, query)
        spending, worth = spending_of(_section(table, "spend"))
        _check_reachable(spec, candidates, query, catalogue)
    except InfeasibleError as problem:
        raise InfeasibleError(f"{where.name}: {problem}") from None
    except SoundscaleError as problem:
        raise InputError(f"{where.name}: {problem}") from None
    named = [catalogue.backbone(c.backbone).name for c in candidates.values()]
    references = {f"{name},{REFERENCE}": name for name in named if spec.reference}
    return StudyFile(
        spec=spec, candidates=candidates, references=references, query=query, spending=spending,
        worth=worth,
    )  # fmt: skip


def text_of(spec: SweepSpec, c: Combination) -> str:
    """A candidate as a question names it: `backbone,audio_seconds,reduction,adaptation`, all of the adaptation.

    With levels of training audio, `;train_hours=H` stands behind.
    """
    reduction, adaptation = Reduction.parse(c.reduction), spec.adaptation(c.adaptation)
    # What is not trained learns from no audio, however much there is.
    trained = c.train_hours is not None and adaptation.kind != "none"
    hours = f";train_hours={c.train_hours!r}" if trained else ""
    return f"{c.backbone},{c.audio_seconds!r},{reduction},{adaptation}{hours}"


def _section(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"{name}: must be a table [{name}], got {found!r}")
    return found


def _check_one_law(spec: SweepSpec) -> None:
    if spec.optimisation.searches:
        raise InputError(
            "optimisation.learning_rate: a study makes one run of a candidate at a time; give one rate, as a "
            "sweep chose it"
        )
    if len(spec.axes.adaptation) > 1:
        raise InputError(
            f"axes.adaptation: one law holds one adaptation, there are {len(spec.axes.adaptation)}; make a study of "
            "each, or compare them in a sweep"
        )
    if len(set(spec.axes.reduction)) > 2:
        treated = {
            (r.place, r.layer, r.operator) for r in map(Reduction.parse, spec.axes.reduction) if r.factor > 1
        }  # fmt: skip
        if len(treated) > 1:
            raise InputError(
                "axes.reduction: one law holds one place and operator of reduction; make a study of each"
            )


def _with_sets(spec: SweepSpec, query: PlanQuery) -> SweepSpec:
    """The sweep with references, where a rule is a change against the untrained checkpoint.

    Raises:
        UnknownNameError: a rule or `test_set` names a set that the file does not have.
        InputError: such a rule is to be judged by checkpoints that are not pretrained.
    """
    rules = rules_of(query.keep)
    sets = [one.name for one in spec.test_sets]
    known = [*sets, OWN_SPLIT] if query.test_set else sets
    for key, name in [*(("keep", rule.test_set) for rule in rules), ("test_set", query.test_set)]:
        if name is not None and not sets:
            raise InputError(
                f"limits.{key} names {name}, and the file has no [[data.test]]; add one of that name"
            )
        if name is not None and name not in known:
            raise UnknownNameError(f"test set of limits.{key}", name, known)
    changes = [rule for rule in rules if rule.over_untrained]
    if not changes:
        return spec
    if spec.initialisation != "pretrained":
        raise InputError(
            f"limits.keep: {changes[0]} is a change against a pretrained checkpoint, and initialisation = "
            f'"{spec.initialisation}" has none; give a rule of errors ({changes[0].test_set}<=9%)'
        )
    return spec.model_copy(update={"reference": True})


def _query(spec: SweepSpec, given: Mapping[str, Any], candidates: tuple[str, ...]) -> PlanQuery:
    """The decision: the limits in the words of `soundscale plan`."""
    if not given:
        raise InputError(
            "limits: no limit is given, and without one the largest candidate is the answer; say at least one, e.g. "
            'flops = "20G"'
        )
    asked = {_key(one): one for one in QUESTION if one.name not in NOT_A_LIMIT}
    values = {}
    for key, value in given.items():
        one = asked.get(key) or next((o for o in asked.values() if o.name == key), None)
        if one is None:
            raise UnknownNameError("key", f"limits.{key}", [f"limits.{k}" for k in asked])
        values[one.name] = _value(one, value)
    query = PlanQuery(
        task=spec.task, source="measured", candidates=candidates, extrapolate=True,
        accept_status=True, **values,
    )  # fmt: skip
    if not query.limits and not query.keep:
        known = ", ".join(_key(one) for one in LIMITS if one.name != "min_prob")
        raise InputError(f"limits: no limit is given; say at least one of {known}")
    if query.latency_ms is not None and spec.latency == "none":
        raise InputError(
            'limits.latency: latency = "none" measures none, so the limit cannot be judged; leave one of the two out'
        )
    return query


def _key(one: Asked) -> str:
    """How a field is called in a file: as its option, with underscores."""
    return one.option.removeprefix("--").replace("-", "_")


def _value(one: Asked, value: Any) -> Any:
    """A value of the file in the field's unit.

    Raises:
        InputError: it cannot be read.
    """
    if one.kind in READERS and isinstance(value, str):
        return READERS[one.kind](value)
    numeric = one.kind in READERS or one.kind == "number"
    good = (
        isinstance(value, int | float)
        if numeric
        else isinstance(value, bool if one.kind == "flag" else str)
    )
    if not good or (numeric and isinstance(value, bool)):
        raise InputError(f"limits.{_key(one)}: cannot be read from {value!r}; e.g. {one.example}")
    return float(value) if numeric else value


def _check_reachable(
    spec: SweepSpec, candidates: Mapping[str, Combination], query: PlanQuery, catalogue: Catalogue
) -> None:
    """Refuse a limit on FLOPs below one window of the leanest candidate, before anything is run.

    An utterance has one window at least; output tokens, of which one is counted, only add to it.
    """
    if query.flops is None or query.convention != "exact":
        return

    def flops(c: Combination) -> float:
        window = forward_flops(
            catalogue.backbone(c.backbone), audio_seconds=c.audio_seconds,
            reduction=Reduction.parse(c.reduction), n_output_tokens=int(spec.task == "asr"),
            padding=spec.padding, task=spec.task,
        )  # fmt: skip
        return float(window.total)

    least, text = min((flops(c), text) for text, c in candidates.items())
    # A bucketed window may be shorter than the longest.
    if spec.padding != "bucketed" and least > query.flops:
        raise InfeasibleError(
            f"limits.flops: no candidate takes at most {format_flops(query.flops)}; the leanest is {text} with "
            f"{format_flops(least)} a window; raise the limit or add smaller candidates"
        )


def with_spending(study: StudyFile, said: Spending) -> StudyFile:
    """The study under what a command line says may be spent.

    Raises:
        InputError: neither it nor the file says when to end.
    """
    found = checked(said).over(study.spending)
    if found == Spending():
        raise InputError(
            f"study {study.spec.name!r} has no end: say what may be spent with --hours H, or when it is enough with "
            "--until 'regret<=0.2pt'; in the file: [spend] hours, until"
        )
    return replace(study, spending=found)
