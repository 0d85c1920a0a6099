"""A law as it is typed: the built-in law's numbers where it says the same, exact derivatives, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from planner import laws
from planner.errors import InputError
from planner.laws.fit_law import fit_law
from planner.laws.forms.formula import formula_law
from planner.laws.observations import Observations
from planner.laws.result import LawFit

ROLES = {"n": "power", "d": "power"}


def runs(noise=0.005, saturating=False):
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 3e9, 6), np.geomspace(1e8, 1e11, 7)))
    seen = d / (1 + d / 5e9) if saturating else d
    loss = 1.7 + 300 * n**-0.33 + 900 * seen**-0.36
    error = loss * np.exp(noise * np.random.default_rng(3).standard_normal(len(n)))
    return Observations(axes=("n", "d"), x=np.stack([n, d], axis=1), error=error, metric="loss")


def test_the_additive_law_typed_is_the_additive_law():
    typed, built = fit_law(runs(), law="E + A*n^-a + B*d^-b"), fit_law(runs(), law="additive")
    assert typed.objective == pytest.approx(built.objective, rel=1e-9)
    values = {p.name: p.value for p in typed.parameters}
    named = {p.name: p for p in built.parameters}
    scales = dict(zip(built.axes, built.members[0].scales, strict=True))
    assert values["E"] == pytest.approx(named["E"].value, rel=1e-4)
    assert values["a"] == pytest.approx(named["alpha_n"].value, rel=1e-4)
    natural = named["A_n"].value * scales["n"] ** named["alpha_n"].value
    assert values["A"] == pytest.approx(natural, rel=1e-3)
    x = [[5e9, 1e12]]
    assert typed.predict(x).mean == pytest.approx(built.predict(x).mean, rel=1e-5)
    assert typed.predict(x).low == pytest.approx(built.predict(x).low, rel=1e-3)


def test_a_form_that_no_other_law_has_is_recovered():
    fit = fit_law(runs(noise=1e-4, saturating=True), law="E + A*n^-a + B*(d/(1+d/k))^-b")
    values = {p.name: p.value for p in fit.parameters}
    assert values["k"] == pytest.approx(5e9, rel=0.02)
    assert values["b"] == pytest.approx(0.36, rel=0.02)
    assert next(p.unit for p in fit.parameters if p.name == "k") == "d"
    assert "1 + d/5" in fit.formula().replace("1+", "1 + ")


def test_derivatives_are_central_differences():
    form = formula_law(ROLES, argument="E + A*n^-a + B*exp(-n/k)*(d/(1+d/k))^-b")
    z = np.log(np.array([[1e7, 3e8], [2e8, 4e9], [3e9, 1e10]]))
    kinds = {"floor": 0.5, "natural-amplitude": 3.0, "exponent": 0.4, "scale": 20.0}
    theta = np.array([[kinds[s.kind] for s in form.parameters]])
    exact = form.at(z).linearise(theta).jacobian[0]
    for i in range(form.n_parameters):
        step = 1e-6 * np.eye(form.n_parameters)[[i]]
        up, down = (form.at(z).log_mean(theta + s)[0] for s in (step, -step))
        assert exact[i] == pytest.approx((up - down) / 2e-6, abs=1e-7)


def test_a_stored_fit_of_a_formula_predicts_the_same():
    fit = fit_law(runs(), law="E + A*n^-a + B*d^-b")
    again = LawFit.from_json(fit.to_json())
    assert again.predict([[1e9, 1e12]]).mean == fit.predict([[1e9, 1e12]]).mean


def test_auto_tries_a_law_of_ones_own_and_takes_it_where_it_foretells_best():
    table = runs(noise=1e-3, saturating=True)
    fit = fit_law(table, also=("E + A*n^-a + B*(d/(1+d/k))^-b",))
    assert fit.law == "E + A*n^-a + B*(d/(1+d/k))^-b"
    assert {"additive", fit.law} <= {form.law for form in fit.forms}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("E + n^-a", "has no amplitude of its own"),
        ("A*n^-a + A*d^-b", "has no amplitude of its own"),
        ("E - A*n^-a", "subtracts a term"),
        ("E + A*k^-a", "names none of the axes n, d"),
        ("E + A*n^-a)", "an operator must stand"),
        ("E + F + A*n^-a", "two constant terms"),
        ("E + A*n^-a + B*k^-b", r"'k\^-b' .* depends on no axis"),
        ("E + A*n^-a*2*k", "'k' .* depends on no axis .n, d., and A holds it already"),
    ],
)
def test_what_is_no_law_is_refused(text, said):
    with pytest.raises(InputError, match=said):
        formula_law(ROLES, argument=text)


@pytest.mark.parametrize(
    "text", ["E + A*tokens^-a + B*parms^-b", "E + A*tokens^-a + B*(params+token)^-b"]
)
def test_a_misspelt_axis_is_no_parameter(text):
    """It was fitted as a scale, with a condition number of 1e17."""
    with pytest.raises(InputError, match=r"did you mean (params|tokens)\?"):
        formula_law({"params": "power", "tokens": "power"}, argument=text)


def shares(noise=1e-3):
    n, s = (g.ravel() for g in np.meshgrid(np.geomspace(1e7, 3e9, 6), [0, 0.05, 0.1, 0.3, 0.6, 1]))
    loss = 1.7 + 300 * n**-0.33 + 0.4 * (s + 0.2) ** -0.7
    error = loss * np.exp(noise * np.random.default_rng(5).standard_normal(len(n)))
    return {"n": n.tolist(), "share": s.tolist(), "loss": error.tolist()}


def test_a_column_with_zeros_means_itself_in_a_formula():
    """Its axis is (share+0.025), and `share` was taken for a parameter."""
    found = laws.fit(
        shares(), error="loss", axes=["n", "share"], law="E + A*n^-a + B*(share+k)^-b", loss="log"
    )
    values = {p.name: p.value for p in found.law.parameters}
    assert set(values) == {"E", "A", "a", "B", "k", "b"}
    assert values["k"] == pytest.approx(0.2, rel=0.1)
    assert next(p.unit for p in found.law.parameters if p.name == "k") == "(share+0.025)"
    at = found.predict({"n": [1e9, 1e9], "share": [0.0, 0.5]})["mean"]
    wanted = [1.7 + 300 * 1e9**-0.33 + 0.4 * (s + 0.2) ** -0.7 for s in (0.0, 0.5)]
    assert at.tolist() == pytest.approx(wanted, rel=2e-3)
    again = LawFit.from_json(found.law.to_json())
    assert again.predict([[1e9, 0.025]]).mean == found.law.predict([[1e9, 0.025]]).mean


def test_a_term_without_a_value_at_zeros_is_refused():
    with pytest.raises(
        InputError, match=r"has no value where share is 0 \(in 6 rows\); write \(share\+0.025\)"
    ):
        laws.fit(shares(), error="loss", axes=["n", "share"], law="E + A*n^-a + B*share^-b")


def test_an_axis_that_is_an_expression_is_found_in_the_formula():
    table = shares()
    table["share"] = [s + 0.01 for s in table["share"]]
    one, other = (
        laws.fit(
            table, error="loss", axes=["n", axis], law=f"E + A*n^-a + B*({axis})^-b", loss="log"
        )
        for axis in ("share+0.2", "share + 0.2")
    )
    assert one.law.parameters == other.law.parameters
    assert one.law.axes == ("n", "(share+0.2)")


def test_an_axis_that_the_formula_leaves_out_is_said():
    fit = fit_law(runs(), law="E + A*n^-a")
    said = {w.axis: w.message for w in fit.warnings if w.code == "axis-not-in-law"}
    assert said == {"d": "d is not in the law E + A*n^-a: predictions do not depend on it"}


def test_a_formula_is_told_with_numbers_whatever_the_columns_are_called():
    table = {"my n": [1, 2, 4, 8, 16, 32], "loss": [2 + 3 * n**-0.5 for n in (1, 2, 4, 8, 16, 32)]}
    text = laws.fit(table, error="loss", axes=["my n"], law="additive").formula
    assert text.startswith("2 + ")
    assert text.endswith("(my n/5.65685)^-0.5")


def test_the_signed_links_offset_is_in_no_floor():
    table = {name: values for name, values in shares().items() if name != "share"}
    n = np.array(table["n"])
    table["gain"] = (-3 + 300 * n**-0.33).tolist()
    found = laws.fit(table, error="gain", axes=["n"], law="additive", link="signed")
    floor = next(p.value for p in found.law.parameters if p.name == "E")
    assert found.formula.startswith(f"{floor:.6g} + ")
    assert "$" not in found.latex().split("\\end{equation}")[0]
