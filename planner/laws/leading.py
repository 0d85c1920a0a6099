"""The leading form of a fit, fitted once more to its table: what a stored fit leaves out of itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.laws.fit_law import ordered
from planner.laws.forms.coverage import DurationHistogram
from planner.laws.forms.link import Link
from planner.laws.observations import Observations
from planner.laws.one_form import Fitted, Setting, fit_form
from planner.laws.result import LawFit
from planner.laws.solver.losses import Loss


def setting_of(fit: LawFit) -> Setting:
    """Loss, link and known floor that the fit was made under."""
    member = fit.members[0]
    return Setting(
        loss=fit.loss,
        shared=Loss(delta=fit.delta, doubt=fit.doubt),
        link=Link(fit.link, fit.offset),
        known=fit.known,
        coverage=None if member.coverage is None else DurationHistogram(*member.coverage),
    )


def leading_form(observations: Observations, fit: LawFit) -> tuple[Fitted, NDArray[np.intp]]:
    """The leading form and the place of each of its rows among the usable ones.

    Args:
        observations: the table that was fitted.
        fit: the law; its leading form is fitted again, which is the same to the last bit.
    """
    setting = setting_of(fit)
    table, order = ordered(observations, setting.link)
    return fit_form(table, fit.law, setting), order
