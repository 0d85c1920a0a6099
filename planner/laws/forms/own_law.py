"""A law of the user's own as one class: names of its parameters and its terms, nothing else.

    class Logistic(OwnLaw):
        law = "logistic"

        def __init__(self, roles, *, floor=True, argument=""):
            self.axes = tuple(roles)
            self.parameters = (
                ParameterSpec(name="A", kind="amplitude"),
                ParameterSpec(name="alpha", kind="exponent", axis=self.axes[0]),
            )

        def log_terms_at(self, theta, z):
            return [theta[:, :1] - np.logaddexp(0, theta[:, 1:2] * z[:, 0])]

Registered by an entry point in group `soundscale.laws` whose name is the law's. Derivatives are
central differences, so a fit takes p times as long as a built-in one.
"""

from __future__ import annotations

import abc

import numpy as np

from planner.laws.forms.base import Evaluator, Form, Linearisation
from planner.laws.observations import Floats

STEP = 6e-6
"""Step of the central differences: the cube root of the rounding unit, for parameters of order 1."""


class OwnLaw(Form):
    """Base of users' laws: sum of positive terms, one amplitude (or floor) parameter for each term.

    A subclass sets `law`, `axes` and `parameters`, amplitudes in the order of the terms, and gives
    `log_terms_at`. Amplitudes enter a term as an added logarithm.
    """

    @abc.abstractmethod
    def log_terms_at(self, theta: Floats, z: Floats) -> list[Floats]:
        """Logarithms of the terms for theta (b, p) at rows z (n, k): one array (b, n) each."""

    @property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Each term may depend on every parameter that is no amplitude."""
        rest = [i for i in range(self.n_parameters) if i not in self.log_parameters]
        return tuple((int(i), *rest) for i in self.log_parameters)

    def formula(self) -> str:
        """The law's name and parameters."""
        return f"{self.law}({', '.join(spec.name for spec in self.parameters)})"

    def at(self, z: Floats) -> OwnRows:
        """The form at rows z of shape (n, k)."""
        return OwnRows(self, np.asarray(z, dtype=np.float64))


class OwnRows(Evaluator):
    """A user's law at fixed rows, with numeric derivatives."""

    def __init__(self, form: OwnLaw, z: Floats) -> None:
        self.form = form
        self.z = z

    def log_terms(self, theta: Floats) -> list[Floats]:
        """The user's terms."""
        return self.form.log_terms_at(theta, self.z)

    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean and its central differences; Gauss-Newton is used, as there is no Hessian."""
        columns = []
        for p in range(theta.shape[1]):
            step = np.zeros(theta.shape[1])
            step[p] = STEP
            difference = self.log_mean(theta + step) - self.log_mean(theta - step)
            columns.append(difference / (2.0 * STEP))
        return Linearisation(self.log_mean(theta), np.stack(columns, axis=1), None)
