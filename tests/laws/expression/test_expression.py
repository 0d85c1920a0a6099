"""Formulas as people type them: the numbers and derivatives of another engine, and no code is run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.laws.expression.parse import parse
from planner.laws.expression.tree import (
    Binary,
    Call,
    Name,
    Number,
    gradient_of,
    names_of,
    text_of,
    value_of,
)

AT = {"x": 1.7, "y": 0.6, "a": 0.35, "k": 2.5}
atoms = st.one_of(
    st.sampled_from([Name(n) for n in AT]), st.floats(0.1, 9.0, allow_nan=False).map(Number)
)
trees = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(Binary, st.sampled_from("+-*/^"), inner, inner),
        st.builds(Call, st.sampled_from(["exp", "ln", "sqrt", "neg"]), inner),
    ),
    max_leaves=8,
)


@given(trees)
def test_a_tree_written_out_is_read_back_as_itself(tree):
    assert parse(text_of(tree)) == tree


@pytest.mark.parametrize(
    "text",
    ["E + A*n^-a + B*(d/(1+d/k))^-b", "-n^2", "a^b^n", "exp(-n/k)*ln(d)/sqrt(n + d)", "2*n**-a - -b",
     "(A + B*n)^(-a)/log10(d)", "a-b-n/d/k"],
)  # fmt: skip
def test_values_and_derivatives_are_those_of_sympy(text):
    sympy = pytest.importorskip("sympy")
    tree = parse(text)
    names = names_of(tree)
    symbols = {n: sympy.Symbol(n, positive=True) for n in names}
    words = {**symbols, "ln": sympy.log, "log10": lambda x: sympy.log(x, 10)}
    other = sympy.sympify(text.replace("^", "**"), locals=words)
    at = dict(zip(names, np.random.default_rng(1).uniform(0.5, 3.0, len(names)), strict=True))
    put = {symbols[n]: v for n, v in at.items()}
    value, slopes = gradient_of(tree, {n: np.array(v) for n, v in at.items()}, names)
    assert float(value) == pytest.approx(float(other.subs(put)), rel=1e-12)
    for name in names:
        wanted = float(other.diff(symbols[name]).subs(put))
        assert float(slopes[name]) == pytest.approx(wanted, rel=1e-11, abs=1e-14)


@settings(max_examples=60)
@given(trees)
def test_derivatives_are_the_slopes_of_the_values(tree):
    at = {n: np.array(v) for n, v in AT.items()}
    value, slopes = gradient_of(tree, at, tuple(AT))
    for name, slope in slopes.items():
        step = 1e-6 * at[name]
        up, down = (value_of(tree, {**at, name: at[name] + s}) for s in (step, -step))
        with np.errstate(all="ignore"):
            wanted = (up - down) / (2 * step)
        noise = 1e-9 * abs(float(value)) / float(step) if np.isfinite(value) else np.inf
        if np.isfinite([float(wanted), float(slope), noise]).all() and abs(float(value)) < 1e6:
            assert float(slope) == pytest.approx(float(wanted), rel=1e-3, abs=max(noise, 1e-5))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n +", "has its end at character 4"),
        ("n ; d", "holds ';' at character 3"),
        ("__import__('os')", 'holds "\'" at character 12'),
        ("n.real", "holds '.' at character 2"),
        ("n d", "has 'd' at character 3, where an operator must stand"),
        ("(n", "where . must stand"),
        ("exp n", "behind exp"),
        ("f(n)", "where an operator must stand"),
        ("", "has its end at character 1"),
        ("-" * 100 + "n", "nested deeper"),
        ("n" * 3000, "at most 2000 characters"),
    ],
)
def test_what_is_no_formula_is_refused_with_its_place(text, said):
    with pytest.raises(InputError, match=said):
        parse(text)
