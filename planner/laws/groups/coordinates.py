"""Coordinates of a form in which groups differ by independent amounts.

A law of m terms is held by the logarithm of its level at the scales, ln sum_j exp(theta_j), the log ratios of its terms
to the first, and the logarithms of its exponents. A hard test set raises floor and amplitudes alike: that is its level
alone, where in amplitudes it would be m correlated differences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import Form
from planner.laws.observations import Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coordinates:
    """The map from coordinates phi to working parameters theta of one form, both of length p."""

    form: Form

    @property
    def logs(self) -> NDArray[np.intp]:
        """Places of floor and amplitudes; level and ratios stand in the same places of phi."""
        return self.form.log_parameters

    @property
    def exponents(self) -> list[int]:
        """Places of positive exponents, held as logarithms."""
        return self.form.indices("exponent")

    def names(self) -> tuple[str, ...]:
        """What each coordinate is called: `ln level`, `ln A_n/E`, `ln alpha_n`."""
        specs = self.form.parameters
        names = [spec.name for spec in specs]
        first = specs[self.logs[0]].name
        for place in self.logs[1:]:
            names[place] = f"ln {specs[place].name}/{first}"
        names[self.logs[0]] = "ln level"
        for place in self.exponents:
            names[place] = f"ln {specs[place].name}"
        return tuple(names)

    def theta(self, phi: Floats) -> Floats:
        """Working parameters of coordinates (b, p)."""
        theta = phi.copy()
        first, rest = int(self.logs[0]), self.logs[1:]
        ratios = phi[:, rest]
        top = np.maximum(ratios.max(axis=1, initial=0.0), 0.0)
        total = top + np.log(np.exp(-top) + np.exp(ratios - top[:, None]).sum(1))
        theta[:, first] = phi[:, first] - total
        theta[:, rest] = theta[:, [first]] + ratios
        theta[:, self.exponents] = np.exp(phi[:, self.exponents])
        return theta

    def phi(self, theta: Floats) -> Floats:
        """Coordinates of working parameters (b, p)."""
        phi = theta.copy()
        first, rest = int(self.logs[0]), self.logs[1:]
        phi[:, first] = np.logaddexp.reduce(theta[:, self.logs], axis=1)
        phi[:, rest] = theta[:, rest] - theta[:, [first]]
        phi[:, self.exponents] = np.log(theta[:, self.exponents])
        return phi

    def pulled(self, phi: Floats, jacobian: Floats) -> Floats:
        """D ln f / d phi from d ln f / d theta, both (b, p, n)."""
        out = jacobian.copy()
        first, rest = int(self.logs[0]), self.logs[1:]
        theta = self.theta(phi)
        share = np.exp(theta[:, self.logs] - phi[:, [first]])
        level = jacobian[:, self.logs].sum(axis=1)
        out[:, first] = level
        for j, place in enumerate(rest, start=1):
            out[:, place] = jacobian[:, place] - share[:, j, None] * level
        for place in self.exponents:
            out[:, place] = jacobian[:, place] * theta[:, place, None]
        return out
