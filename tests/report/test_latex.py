"""A law as LaTeX says the same law."""

from __future__ import annotations

import re

import numpy as np
import pytest

from planner import laws
from planner.report.latex import equation, latex


@pytest.fixture(scope="module")
def fitted():
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
    loss = 1.7 + 300 * n**-0.35 + 900 * d**-0.35
    return laws.fit(
        {"n_params": n, "d%": d, "loss": loss},
        error="loss",
        axes=["n_params", "d%"],
        law="additive",
    )


def evaluated(text, point):
    """The right side of an equation as a reader computes it."""
    right = text.split(" = ")[1].split("\n")[0]
    right = re.sub(r"(\S+) \\times 10\^\{(-?\d+)\}", r"\1e\2", right)
    for name, value in point.items():
        escaped = re.escape(name.replace("_", r"\_").replace("%", r"\%"))
        right = re.sub(rf"\\left\(\\frac\{{\\mathrm\{{{escaped}\}}\}}\{{([^}}]+)\}}\\right\)",
                       lambda m, v=value: f"*({v}/{m[1]})", right)  # fmt: skip
    return eval(re.sub(r"\^\{([^}]+)\}", r"**(\1)", right))


def test_the_equation_says_the_fitted_law(fitted):
    point = {"n_params": 3e7, "d%": 2e10}
    said = evaluated(equation(fitted.law), point)
    assert said == pytest.approx(
        float(fitted.predict({k: [v] for k, v in point.items()})["mean"][0]), rel=1e-5
    )


def test_braces_close_and_names_are_no_commands(fitted):
    text = latex(fitted.law)
    assert text.count("{") == text.count("}")
    assert r"n\_params" in text
    assert not re.search(r"(?<!\\)%", text.split("% additive")[0].replace(r"\,\%", ""))


def test_every_parameter_has_a_line(fitted):
    lines = [
        line for line in latex(fitted.law).splitlines() if line.endswith("\\\\") and "$" in line
    ]
    assert len(lines) == len(fitted.law.parameters)
