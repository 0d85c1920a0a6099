"""A form of which something is known beforehand: a narrower box, parameters held, normal priors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from planner.laws.forms.base import Evaluator, Form, ParameterSpec
from planner.laws.observations import Floats


@dataclass(frozen=True)
class Controlled(Form):
    """A form whose working parameters are bounded or believed to lie somewhere; it predicts as its base does.

    Attributes:
        base: the form.
        box: place, lower and upper bound; an infinite one is the usual bound. Equal bounds hold a parameter.
        priors: place, mean and standard deviation of normal priors.
        fixed: places that are held.
        noise: variance of a row at weight 1: what a prior weighs beside the rows.
    """

    base: Form
    box: tuple[tuple[int, float, float], ...] = ()
    priors: tuple[tuple[int, float, float], ...] = ()
    fixed: frozenset[int] = frozenset()
    noise: float = 0.0

    @property
    def law(self) -> str:  # type: ignore[override]
        """Name of the law that is fitted."""
        return self.base.law

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Axes in the law."""
        return self.base.axes

    @property
    def parameters(self) -> tuple[ParameterSpec, ...]:  # type: ignore[override]
        """Parameters of the law, those that are held among them."""
        return self.base.parameters

    @property
    def unscaled(self) -> bool:  # type: ignore[override]
        """Whether axes are in their own units."""
        return self.base.unscaled

    @property
    def most_steps(self) -> int:  # type: ignore[override]
        """Newton steps after which a start is given up."""
        return self.base.most_steps

    @property
    def derived(self) -> bool:  # type: ignore[override]
        """Whether some parameters are reported otherwise than they are estimated."""
        return self.base.derived

    def natural(self, theta: Floats) -> Floats:
        """Working parameters (b, p) as they are reported."""
        return self.base.natural(theta)

    def natural_slopes(self, theta: Floats) -> Floats:
        """D natural / d theta at theta (p,)."""
        return self.base.natural_slopes(theta)

    @property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Positions in theta of the parameters of each term."""
        return self.base.term_parameters

    def formula(self) -> str:
        """The law in letters."""
        return self.base.formula()

    def at(self, z: Floats) -> Evaluator:
        """The form at rows z of shape (n, k)."""
        return self.base.at(z)

    def beside(self, noise: float) -> Controlled:
        """The same with priors that weigh against rows of that variance."""
        return dataclasses.replace(self, noise=noise)
