"""What the best fit sends to zero leaves the law: a term that is nowhere, an axis that would rather hurt."""

from __future__ import annotations

import numpy as np

from planner.laws.control import Constraint, named
from planner.laws.forms.base import SLOPE
from planner.laws.identify import Design, short
from planner.laws.parts import FitWarning
from planner.laws.solver.estimate import Estimate, Rows

NEGLIGIBLE = 1e-6
"""A term below this share of the law at every run is not there."""


def reduced(
    design: Design, fitted: Estimate, rows: Rows, known: tuple[Constraint, ...]
) -> Design | None:
    """The design without what the best fit sends to zero, or None; what something is known of stays."""
    form = fitted.form
    spoken = {form.parameters[i].axis for one in known for i in named(form, one.name)}
    terms = form.at(rows.z).log_terms(fitted.theta[None])
    log_mean = fitted.residual + rows.y
    for i, term in zip(form.log_parameters, terms, strict=True):
        spec = form.parameters[i]
        if float((term[0] - log_mean).max()) > np.log(NEGLIGIBLE):
            continue
        if spec.axis is not None and design.roles[spec.axis] != SLOPE and spec.axis not in spoken:
            return design.with_role(spec.axis, SLOPE, _not_lowering(spec.axis))
    if len(terms) - len(form.indices("floor")) == 1:
        # One product: an axis whose exponent is pressed to its lower bound would rather hurt.
        for spec, value in zip(form.parameters, fitted.theta, strict=True):
            pressed = spec.kind == "exponent" and spec.name in fitted.at_bound and value < 1
            if pressed and spec.axis is not None and spec.axis not in spoken:
                return design.with_role(spec.axis, SLOPE, _not_lowering(spec.axis))
    return None


def _not_lowering(axis: str) -> FitWarning:
    return FitWarning(
        code="axis-not-lowering",
        message=f"{short(axis)} does not lower the error as a power law would: "
        "a slope of either sign is fitted for it",
        axis=axis,
    )
