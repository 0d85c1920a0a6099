"""The table that a law is fitted to: one row is one run, on named axes, with its error.

ln error of a run is law + own deviation of its configuration + training noise + scoring noise. Scoring
noise has two parts: what this very run met in the utterances, and the level of the test set, hard or easy
for all alike. Every law has a scale of its own, so residuals cannot see the common level: it moves no
difference between runs, and is as unsure as before once they are fitted.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.errors import FitError, InputError

Floats = NDArray[np.float64]

LEVEL_TOLERANCE = 1e-9
"""Two values of an axis are one level when their logarithms differ by less than this."""


def check_level(level: float) -> None:
    """Refuse a level of intervals that is no probability.

    Raises:
        InputError: it does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A row that was left out: its position in the table as given, its run and the reason."""

    row: int
    reason: str
    run_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunNoise:
    """Noise of the rows of a table, in ln error.

    Attributes:
        own: variance that a run shares with no other, shape (n,), >= 0.
        common: variance of the level that all rows share on their test set.
        common_dof: degrees of freedom with which `common` is known.
        source: `speakers`, `utterances`, `counts` or `stated` (a correlation is assumed), `none`.
        pairs: correlation of the rows' own noise, shape (n, n), positive definite; None: independent.
    """

    own: Floats
    common: float = 0.0
    common_dof: float = 1e6
    source: str = "none"
    pairs: Floats | None = None

    def rows(self, keep: NDArray[np.intp] | NDArray[np.bool_]) -> RunNoise:
        """The noise of those rows alone, in that order."""
        pairs = None if self.pairs is None else self.pairs[keep][:, keep]
        return dataclasses.replace(self, own=self.own[keep], pairs=pairs)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """Runs as arrays, in the units of their axes; arrays are copied and made read-only.

    Attributes:
        axes: names of the k axes, in the order of the columns of `x`.
        x: axis values, shape (n, k).
        error: the metric that the law predicts, lower is better, shape (n,).
        std_error: standard error of each error, same unit, shape (n,), or None where unknown.
        group: integer label of runs that are not independent (seeds or checkpoints of one trial).
        weight: relative weight of each row, shape (n,), or None for equal weights.
        cost: what each row cost, any unit: selection holds out the costliest; None: the product of the
            axes.
        run_ids: the store's key of each row, or empty.
        exclusions: rows that were left out before, with reasons.
        metric: name of the error in reports (`wer`).
        noise: what the rows are known to scatter by; None: their residuals alone tell.
        dropped: rows that are to be left out, by the user's rules.
        remarks: what a reader must know of how columns were read, each with its code.

    Raises:
        InputError: the shapes do not agree or an axis name repeats.
    """

    axes: tuple[str, ...]
    x: Floats
    error: Floats
    std_error: Floats | None = None
    group: NDArray[np.int64] | None = None
    weight: Floats | None = None
    cost: Floats | None = None
    run_ids: tuple[int, ...] = ()
    exclusions: tuple[Exclusion, ...] = field(default=())
    metric: str = "error"
    noise: RunNoise | None = None
    dropped: tuple[Exclusion, ...] = ()
    remarks: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        x = _frozen(self.x, "x")
        error = _frozen(self.error, "error")
        if x.ndim != 2 or x.shape[1] != len(self.axes) or error.shape != (len(x),):
            raise InputError(
                f"observations need x of shape (n, {len(self.axes)}) and error of shape (n,), "
                f"got {x.shape} and {error.shape}"
            )
        if len(set(self.axes)) != len(self.axes):
            raise InputError(f"axis names must differ, got {', '.join(self.axes)}")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "error", error)
        for name in ("std_error", "weight", "cost", "group"):
            self._freeze_column(name, len(x))
        if self.run_ids and len(self.run_ids) != len(x):
            raise InputError(f"{len(self.run_ids)} run_ids for {len(x)} rows")

    def _freeze_column(self, name: str, n_rows: int) -> None:
        column = getattr(self, name)
        if column is None:
            return
        frozen = _labels(column) if name == "group" else _frozen(column, name)
        if frozen.shape != (n_rows,):
            raise InputError(f"{name} must have shape ({n_rows},), got {frozen.shape}")
        object.__setattr__(self, name, frozen)

    def __len__(self) -> int:
        return len(self.error)

    def levels(self, axis: str) -> tuple[float, ...]:
        """The distinct values of an axis, ascending."""
        values = np.unique(self.x[:, self.axes.index(axis)])
        kept: list[float] = []
        for value in values.tolist():
            if not kept or abs(np.log(value / kept[-1])) > LEVEL_TOLERANCE:
                kept.append(value)
        return tuple(kept)

    def n_points(self) -> int:
        """Distinct rows of x."""
        ordered = self.x[np.lexsort(self.x.T)]
        return int((np.diff(ordered, axis=0) != 0).any(axis=1).sum()) + min(len(self), 1)

    def domain(self, axis: str) -> tuple[float, float]:
        """Smallest and largest value of an axis."""
        column = self.x[:, self.axes.index(axis)]
        return float(column.min()), float(column.max())

    def undropped(self) -> Observations:
        """The same table without the rows that the user's rules leave out."""
        if not self.dropped:
            return self
        return self.rows(~np.isin(np.arange(len(self)), [d.row for d in self.dropped]))

    def rows(self, keep: NDArray[np.intp] | NDArray[np.bool_]) -> Observations:
        """The same table with only those rows, in that order."""
        index = np.arange(len(self))[keep]
        ids = tuple(self.run_ids[i] for i in index) if self.run_ids else ()
        places = {int(i): new for new, i in enumerate(index)}
        dropped = tuple(
            dataclasses.replace(d, row=places[d.row]) for d in self.dropped if d.row in places
        )
        return dataclasses.replace(
            self,
            x=self.x[index],
            error=self.error[index],
            std_error=None if self.std_error is None else self.std_error[index],
            group=None if self.group is None else self.group[index],
            weight=None if self.weight is None else self.weight[index],
            cost=None if self.cost is None else self.cost[index],
            run_ids=ids,
            dropped=dropped,
            noise=None if self.noise is None else self.noise.rows(index),
        )


def _frozen(values: ArrayLike, name: str) -> Floats:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise InputError(f"{name} must be numbers, got {values!r:.80}") from problem
    array.setflags(write=False)
    return array


def _labels(values: ArrayLike) -> NDArray[np.int64]:
    _, codes = np.unique(np.asarray(values), return_inverse=True)
    labels = codes.astype(np.int64).reshape(-1)
    labels.setflags(write=False)
    return labels


def usable(observations: Observations, *, signed: bool = False) -> Observations:
    """The rows that a law can use, errors of either sign if `signed`; each other row is named with its reason.

    Raises:
        FitError: no row is left.
    """
    rules = {rule.row: rule.reason for rule in observations.dropped}
    reasons: dict[int, str] = {}
    for row in np.flatnonzero(~usable_rows(observations, signed=signed)).tolist():
        reasons[row] = rules.get(row) or _unusable(observations, row, signed)
    if len(reasons) == len(observations):
        first = reasons.get(0, "the table is empty")
        raise FitError(f"no row can be fitted: {first}; {len(observations)} rows were given")
    if not reasons:
        return observations
    keep = np.array([row not in reasons for row in range(len(observations))])
    named = tuple(
        Exclusion(
            row=row,
            reason=reason,
            run_id=observations.run_ids[row] if observations.run_ids else None,
        )
        for row, reason in reasons.items()
    )
    kept = observations.rows(keep)
    return dataclasses.replace(kept, exclusions=observations.exclusions + named)


SPECIFIC_DIGITS = 5
"""An error of this many digits that repeats is a copy, or at another configuration a typing error (assumption)."""


def is_specific(error: float) -> bool:
    """Whether a number has so many digits that it hardly occurs twice.

    >>> is_specific(0.12), is_specific(2.34567)
    (False, True)
    """
    return len(f"{abs(error):.12g}".replace(".", "").lstrip("0").rstrip("0")) >= SPECIFIC_DIGITS


def usable_rows(observations: Observations, *, signed: bool = False) -> NDArray[np.bool_]:
    """Which rows `usable` keeps, shape (n,)."""
    table = observations
    x, error = table.x, table.error
    with np.errstate(invalid="ignore"):
        good = (np.isfinite(x) & (x > 0)).all(axis=1) & np.isfinite(error)
        if not signed:
            good &= error > 0
        if table.weight is not None:
            good &= table.weight > 0
        if table.std_error is not None:
            good &= ~(table.std_error < 0)  # not known is no reason
    good[[rule.row for rule in table.dropped]] = False
    return good


def _unusable(observations: Observations, row: int, signed: bool) -> str:
    """Why `usable_rows` leaves a row out that no rule leaves out."""
    for name, value in zip(observations.axes, observations.x[row].tolist(), strict=True):
        if not np.isfinite(value):
            return f"{name} is {value}"
        if value <= 0:
            return f"{name} is {value:g}, a power law needs positive values"
    error = float(observations.error[row])
    if not np.isfinite(error):
        return f"{observations.metric} is {error}"
    if error <= 0 and not signed:
        return f"{observations.metric} is {error:g}, its logarithm does not exist"
    if observations.weight is not None and not observations.weight[row] > 0:
        return f"weight is {observations.weight[row]:g}"
    assert observations.std_error is not None
    return f"std_error is {observations.std_error[row]:g}"
