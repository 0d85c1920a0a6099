"""A law as LaTeX: its formula with numbers, and its parameters with their intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from planner.laws.parts import Parameter
from planner.laws.result import LawFit

DIGITS = 4
"""Significant digits of the table; the formula has six, as fewer change a law's objective fourfold (Hoffmann's
published constants, Besiroglu et al. 2024)."""
_GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
_POWER = re.compile(r"\^(-?[\d.]+(?:e[+-]?\d+)?)")
_NUMBER = re.compile(r"(?<![\w{.])(\d+\.?\d*)e([+-]?\d+)")


def latex(fit: LawFit) -> str:
    """An equation and a table, ready for `\\input`: plain LaTeX, no package but amsmath.

    What a parameter is scaled by stands in the formula: `A_n` is the term's size where `n` is at its scale.
    """
    return f"{equation(fit)}\n\n{parameter_table(fit)}\n"


def equation(fit: LawFit) -> str:
    """The law with its numbers.

    >>> _math("1.5 + 0.25 (n_params/3e+08)^-0.5", ("n_params",))
    '1.5 + 0.25 \\\\left(\\\\frac{\\\\mathrm{n\\\\_params}}{3 \\\\times 10^{8}}\\\\right)^{-0.5}'
    """
    left = f"\\mathrm{{{_text(fit.metric)}}}"
    if fit.link == "odds":
        left = f"\\frac{{{left}}}{{1 - {left}}}"
    return f"\\begin{{equation}}\n  {left} = {_math(fit.formula(), fit.axes)}\n\\end{{equation}}"


def _math(formula: str, axes: Sequence[str]) -> str:
    names = "|".join(re.escape(axis) for axis in sorted(axes, key=len, reverse=True))
    text = re.sub(
        rf"\(({names})/([\d.e+-]+)\)",
        lambda m: f"\\left(\\frac{{\\mathrm{{{_text(m[1])}}}}}{{{m[2]}}}\\right)",
        formula,
    )
    text = re.sub(rf"(?<= )({names})(?= / )", lambda m: f"\\mathrm{{{_text(m[1])}}}", text)
    text = _POWER.sub(r"^{\1}", text)
    text = _NUMBER.sub(lambda m: f"{m[1]} \\times 10^{{{int(m[2])}}}", text)
    text = re.sub(
        r"(?<=\{)(\d+\.?\d*)e([+-]?\d+)", lambda m: f"{m[1]} \\times 10^{{{int(m[2])}}}", text
    )
    return (
        text.replace("exp(", "\\exp(").replace("ln\\left", "\\ln\\left").replace("ln( ", "\\ln( ")
    )


def parameter_table(fit: LawFit) -> str:
    """One line for each parameter: estimate, interval, unit; what is not identified says so."""
    rows = [
        f"  {_symbol(p)} & {_figure(p.value)} & {_interval(p)} & {_text(p.unit)} \\\\"
        for p in fit.parameters
    ]
    level = f"{100 * fit.level:g}\\,\\% interval"
    head = f"  parameter & estimate & {level} & unit \\\\"
    note = f"  % {fit.law}, {fit.n_runs} rows, {fit.loss} loss, objective {fit.objective:.10g}, status {fit.status}"
    lines = [
        "\\begin{tabular}{lrll}",
        "  \\hline",
        head,
        "  \\hline",
        *rows,
        "  \\hline",
        note,
        "\\end{tabular}",
    ]
    return "\n".join(lines)


def _symbol(parameter: Parameter) -> str:
    name, _, index = parameter.name.partition("_")
    letter = (
        f"\\{name}" if name in _GREEK else name if len(name) == 1 else f"\\mathrm{{{_text(name)}}}"
    )
    return f"${letter}_{{\\mathrm{{{_text(index)}}}}}$" if index else f"${letter}$"


def _interval(parameter: Parameter) -> str:
    low = "no bound" if parameter.low is None else _figure(parameter.low)
    high = "no bound" if parameter.high is None else _figure(parameter.high)
    said = f" ({', '.join(parameter.flags)})" if parameter.flags else ""
    return f"{low} to {high}{said}"


def _figure(value: float) -> str:
    text = f"{value:.{DIGITS}g}"
    if "e" not in text:
        return f"${text}$"
    digits, power = text.split("e")
    return f"${digits} \\times 10^{{{int(power)}}}$" if math.isfinite(value) else f"${text}$"


def _text(name: str) -> str:
    """A name in which nothing is a command."""
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "_&%$#{}" else c) for c in name)
