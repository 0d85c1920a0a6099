"""Several groups under one form, estimated together: some parameters shared, the others each group's own."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import Evaluator, Form, Linearisation
from planner.laws.observations import Floats
from planner.laws.one_form import Fitted
from planner.laws.solver.damped_newton import Problem
from planner.laws.solver.estimate import problem_of
from planner.laws.solver.thresholds import follow

Index = NDArray[np.intp]


class JointRows(Evaluator):
    """The rows of all groups, one after another, each under its own places of one long theta."""

    def __init__(
        self, parts: Sequence[Evaluator], places: Sequence[Index], sizes: Sequence[int]
    ) -> None:
        self.parts, self.places = parts, places
        ends = np.cumsum([0, *sizes])
        self.rows = [slice(a, b) for a, b in itertools.pairwise(ends)]

    def log_terms(self, theta: Floats) -> list[Floats]:
        """Terms side by side; of no use but for their sum."""
        every = [
            part.log_terms(theta[:, at]) for part, at in zip(self.parts, self.places, strict=True)
        ]
        return [np.concatenate(terms, axis=1) for terms in zip(*every, strict=True)]

    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean and derivatives of every row under its group's law."""
        found = [
            part.linearise(theta[:, at]) for part, at in zip(self.parts, self.places, strict=True)
        ]
        log_mean = np.concatenate([one.log_mean for one in found], axis=1)
        jacobian = np.zeros((*theta.shape, log_mean.shape[1]))
        for one, at, rows in zip(found, self.places, self.rows, strict=True):
            jacobian[:, at, rows] = one.jacobian

        def second(psi: Floats) -> Floats:
            total = np.zeros((len(psi), theta.shape[1], theta.shape[1]))
            for one, at, rows in zip(found, self.places, self.rows, strict=True):
                if one.second is not None:
                    total[:, at[:, None], at[None, :]] += one.second(psi[:, rows])
            return total

        exact = all(one.second is not None for one in found)
        return Linearisation(log_mean, jacobian, second if exact else None)


@dataclasses.dataclass(frozen=True)
class _Joint(Form):
    """What the solver asks of a form: which places of the long theta hold logarithms."""

    law: str
    axes: tuple[str, ...]
    parameters: tuple[object, ...]  # type: ignore[assignment]

    def at(self, z: Floats) -> Evaluator:
        """Not asked: the rows are made with their groups."""
        raise NotImplementedError

    def formula(self) -> str:
        """The law's name."""
        return self.law

    @property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Not asked: no grid is laid."""
        return ()


def places_of(p: int, n_groups: int, shared: Sequence[int]) -> tuple[Index, ...]:
    """Where each group's parameters stand in the long theta: those that are shared stand once.

    >>> [at.tolist() for at in places_of(3, 2, [1])]
    [[1, 0, 2], [3, 0, 4]]
    """
    kept = sorted(set(shared))
    own = [i for i in range(p) if i not in kept]
    places = []
    for g in range(n_groups):
        at = np.empty(p, dtype=np.intp)
        at[kept] = np.arange(len(kept))
        at[own] = len(kept) + g * len(own) + np.arange(len(own))
        places.append(at)
    return tuple(places)


def together(fits: Sequence[Fitted], shared: Sequence[int]) -> tuple[float, Floats]:
    """Least objective of all groups with those parameters shared, and the residuals there.

    Started from every group's own values of what is shared, and from their mean.

    Args:
        fits: one form fitted to each group, all over the same scales.
        shared: places in theta of the parameters that all groups share.
    """
    form = fits[0].form
    places = places_of(form.n_parameters, len(fits), shared)
    problem = _problem(fits, places)
    own = np.zeros(problem.lower.shape[1])
    for one, at in zip(fits, places, strict=True):
        own[at] = one.estimate.theta
    starts = []
    common = sorted(set(shared))
    values = [one.estimate.theta[common] for one in fits]
    for value in [*values, np.mean(values, axis=0)]:
        start = own.copy()
        start[: len(common)] = value
        starts.append(start)
    ends = follow(problem, fits[0].estimate.loss, np.array(starts), n_steps=form.most_steps)
    best = int(np.argmin(ends.objective))
    residual = problem.evaluator.log_mean(ends.theta[[best]])[0] - problem.y
    return float(ends.objective[best]), residual * np.sqrt(problem.weight[0])


def _problem(fits: Sequence[Fitted], places: Sequence[Index]) -> Problem:
    alone = [problem_of(one.form, one.rows) for one in fits]
    size = int(max(at.max() for at in places)) + 1
    lower, upper = np.full(size, np.inf), np.full(size, -np.inf)
    specs: list[object] = [None] * size
    for one, at, fitted in zip(alone, places, fits, strict=True):
        # What is shared may be anything that one of the groups allows.
        lower[at] = np.minimum(lower[at], one.lower[0])
        upper[at] = np.maximum(upper[at], one.upper[0])
        for i, place in enumerate(at):
            specs[place] = fitted.form.parameters[i]
    rows = [one.rows for one in fits]
    return Problem(
        form=_Joint(law=fits[0].law, axes=fits[0].form.axes, parameters=tuple(specs)),
        evaluator=JointRows(
            [one.form.at(one.rows.z) for one in fits], places, [len(r) for r in rows]
        ),
        y=np.concatenate([r.y for r in rows]),
        weight=np.concatenate([r.weight for r in rows])[None, :],
        lower=lower[None, :],
        upper=upper[None, :],
    )
