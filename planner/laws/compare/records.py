"""What a comparison of laws says: frozen values that plain JSON holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How laws are compared.

    Attributes:
        by: what the groups are of, for messages.
        law: name of a form, a formula, or `auto`: the form that weighs most over the groups.
        loss: as in `fit_law`; one threshold for all groups.
        level: probability of intervals.
        link: `log` or `odds`.
        along: axis on which the curves may cross; None: the first.
        held: values of the other axes there; of those not named, the geometric middle of all rows.
        beyond: factor by which the search for a crossing may leave the data.
        reference: the group that all others are compared with; None: all pairs.
        seed: of the draws.
    """

    by: str = "group"
    law: str = "additive"
    loss: str = "auto"
    level: float = 0.9
    link: str = "log"
    along: str | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    beyond: float = 1.0
    reference: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFit:
    """One group's own law: its rows, scatter of a run, formula, and parameters by name in natural units."""

    group: str
    n_rows: int
    sigma: float
    formula: str
    parameters: tuple[tuple[str, float, float | None, float | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDifference:
    """One parameter of the second group against the first's.

    Attributes:
        name: of the parameter.
        kind: `difference`, second less first; or `ratio`, second over first, of a positive amount.
        value, low, high: with its interval (Welch's t); None where a group does not tell the parameter.
        p: of no difference; p_holm: adjusted for the pairs that were compared.
        evidence: ratio of the evidence for a value of its own to that for a shared one (Schwarz).
    """

    name: str
    kind: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    evidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JointTest:
    """Several parameters at once: are they the same in both groups.

    `what` is `exponents` or `curves`; `n` how many, `f` the ratio of mean squares on n and `dof` degrees of freedom.
    """

    what: str
    n: int
    f: float
    dof: float
    p: float
    p_holm: float | None
    evidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Where two curves cross along one axis, the others held.

    Attributes:
        axis: that is walked along; held: the other axes' values.
        value: the first crossing of the estimates inside the search; None where there is none.
        n: how often they cross there.
        low, high: its interval; None where that end lies outside the search.
        probability: share of the draws that cross inside the search.
        below, above: the group with the smaller error at the low and the high end of the search.
        search: its ends.
    """

    axis: str
    held: tuple[tuple[str, float], ...]
    value: float | None
    n: int
    low: float | None
    high: float | None
    probability: float
    below: str
    above: str
    search: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two groups: their parameters, exponents and curves, and where the curves cross."""

    first: str
    second: str
    parameters: tuple[ParameterDifference, ...]
    joint: tuple[JointTest, ...]
    crossing: Crossing


@dataclass(frozen=True, slots=True, kw_only=True)
class LawComparison:
    """All pairs of a table's groups under one law."""

    law: str
    metric: str
    by: str
    axes: tuple[str, ...]
    loss: str
    level: float
    groups: tuple[GroupFit, ...]
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()
