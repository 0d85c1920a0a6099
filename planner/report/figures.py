"""Charts as Vega-Lite through Altair: error against each axis, and the frontier.

Colours are of Okabe and Ito's palette, which colour-blind readers can tell apart; measured points are
solid, predicted ones hollow. Rendering to PNG or SVG needs no browser (vl-convert).
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from planner.errors import MissingResourceError
from planner.words.axes import axis

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
"""Okabe and Ito (2008), without black and yellow."""


PROFILE_TOP = 1.8
"""Top of a profile chart in units of its cut."""
LOG: dict[str, Any] = {"type": "log", "nice": False, "padding": 12}
"""Log scale that ends at the data."""


def altair() -> Any:
    """The library.

    Raises:
        MissingResourceError: it is not installed; says what brings it.
    """
    try:
        import altair
    except ImportError:
        raise MissingResourceError(
            "charts need Altair, which is not installed; run: pip install 'soundscale[notebooks]'"
        ) from None
    return altair


def titled(chart: Any, title: str, see: str) -> Any:
    """A chart, or several side by side, under its title and one sentence of what to see in it."""
    lines = textwrap.wrap(see, 90)
    return chart.properties(
        title=altair().TitleParams(text=title, subtitle=lines, anchor="start", offset=12)
    )


def error_by_axis(
    runs: pd.DataFrame, name: str, *, error_title: str = "word error rate", width: int = 260
) -> alt.LayerChart:
    """Measured error against one axis, one line for each setting of the other two.

    Args:
        runs: columns of the view `v_results`: backbone, audio_seconds, tokens_per_second, n_params,
            error, std_error.
        name: the axis on the horizontal.
        error_title: title of the vertical axis.
        width: in pixels.
    """
    alt = altair()
    others = {
        "n_params": ["audio_seconds", "tokens_per_second"],
        "audio_seconds": ["backbone", "tokens_per_second"],
        "tokens_per_second": ["backbone", "audio_seconds"],
    }[name]
    shown = runs.dropna(subset=["error"]).copy()
    shown["setting"] = shown[others].astype(str).agg(" · ".join, axis=1)
    # One standard error either way; a run without one gets no bar.
    shown["low"] = shown["error"] - shown["std_error"].fillna(0.0)
    shown["high"] = shown["error"] + shown["std_error"].fillna(0.0)
    base = alt.Chart(shown).encode(
        x=alt.X(f"{name}:Q", title=f"{axis(name).title} ({axis(name).unit})")
        .scale(type="log", nice=False, padding=12)
        .axis(values=sorted(shown[name].unique().tolist()), format=".3~s", grid=False),
        color=alt.Color("backbone:N", scale=alt.Scale(range=PALETTE), title="backbone"),
    )
    y = alt.Y("error:Q", title=error_title).scale(**LOG).axis(format=".0%", gridOpacity=0.4)
    line = base.mark_line(opacity=0.45).encode(y=y, detail="setting:N")
    if name == "n_params":
        # A line joins different backbones here, so it has no backbone's colour.
        line = line.encode(color=alt.value("#999999"))
    bars = base.mark_rule(opacity=0.5).encode(y=alt.Y("low:Q", title=error_title), y2="high:Q")
    points = base.mark_circle(size=60, opacity=1).encode(
        y=y,
        tooltip=["run_id:Q", "backbone:N", "audio_seconds:Q", "tokens_per_second:Q",
                 alt.Tooltip("error:Q", format=".1%")],
    )  # fmt: skip
    return alt.layer(line, bars, points).properties(width=width, height=220)


def frontier(
    points: Sequence[dict[str, Any]],
    runs: Sequence[dict[str, Any]],
    *,
    cost: str = "flops",
    title: str = "FLOPs per utterance",
    error_title: str = "word error rate",
) -> alt.LayerChart:
    """The frontier with its band, all measured runs behind it.

    Args:
        points: rows of `planner.report.answer_text.frontier_rows`.
        runs: measured candidates with the cost, `error` and `label`.
        cost: key of the cost; title: of the horizontal axis.
        title: of the horizontal axis.
        error_title: of the vertical axis.
    """
    alt = altair()
    x = alt.X(f"{cost}:Q", title=title).scale(**LOG).axis(format="~s", grid=False)
    y = alt.Y("error:Q", title=error_title).scale(**LOG).axis(format=".0%", gridOpacity=0.4)
    line = alt.Chart(alt.Data(values=list(points))).encode(x=x)
    band = line.mark_area(opacity=0.18, color=PALETTE[0], interpolate="step-after").encode(
        y=alt.Y("low:Q", title=error_title).scale(**LOG), y2="high:Q"
    )
    step = line.mark_line(color=PALETTE[0], interpolate="step-after").encode(y=y)
    marks = line.mark_point(size=70, color=PALETTE[0], strokeWidth=2).encode(
        y=y,
        fill=alt.condition("datum.kind == 'measured'", alt.value(PALETTE[0]), alt.value("white")),
        tooltip=["backbone:N", "audio_seconds:Q", "reduction:N", "kind:N",
                 alt.Tooltip("error:Q", format=".1%")],
    )  # fmt: skip
    measured = (
        alt.Chart(alt.Data(values=list(runs)))
        .mark_circle(size=30, color="#666666", opacity=0.7)
        .encode(x=x, y=y, tooltip=["label:N", alt.Tooltip("error:Q", format=".1%")])
    )
    return alt.layer(band, measured, step, marks).properties(width=560, height=300)


def predicted_and_measured(
    rows: Sequence[dict[str, Any]], *, error_title: str = "word error rate"
) -> alt.LayerChart:
    """Each run's measured error against what the law says, with the interval of a new run.

    Args:
        rows: of `planner.report.fit_rows.fit_rows`.
        error_title: of both axes.
    """
    alt = altair()
    ends = [
        min(min(r["low"], r["error"]) for r in rows),
        max(max(r["high"], r["error"]) for r in rows),
    ]
    same = [{"predicted": e, "error": e} for e in ends]
    x = (
        alt.X("predicted:Q", title=f"predicted {error_title}")
        .scale(**LOG)
        .axis(format=".0%", grid=False)
    )
    y = (
        alt.Y("error:Q", title=f"measured {error_title}")
        .scale(**LOG)
        .axis(format=".0%", gridOpacity=0.4)
    )
    line = alt.Chart(alt.Data(values=same)).mark_line(color="#999999", strokeDash=[4, 3])
    base = alt.Chart(alt.Data(values=list(rows))).encode(x=x)
    bars = base.mark_rule(opacity=0.35, strokeWidth=5).encode(
        y=alt.Y("low:Q", title=f"measured {error_title}"), y2="high:Q", color=_backbones(alt)
    )
    points = base.mark_circle(size=70, opacity=1).encode(
        y=y,
        color=_backbones(alt),
        tooltip=["run_id:Q", "backbone:N", "audio_seconds:Q", "reduction:N",
                 alt.Tooltip("error:Q", format=".1%"), alt.Tooltip("predicted:Q", format=".1%")],
    )  # fmt: skip
    return alt.layer(line.encode(x=x, y=y), bars, points).properties(width=360, height=320)


def _backbones(alt: Any) -> Any:
    return alt.Color("backbone:N", scale=alt.Scale(range=PALETTE), title="backbone")


def residuals_by_axis(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> alt.HConcatChart:
    """What the law leaves unexplained along each axis: flat and without a shape where it is right.

    Args:
        rows: of `planner.report.fit_rows.fit_rows`.
        names: of the axes.
    """
    alt = altair()
    return alt.hconcat(*(residuals_along(rows, name) for name in names))


def residuals_along(rows: Sequence[dict[str, Any]], name: str) -> alt.LayerChart:
    """What the law leaves unexplained along one axis.

    Args:
        rows: of `planner.report.fit_rows.fit_rows`.
        name: of the axis.
    """
    alt = altair()
    zero = alt.Chart(alt.Data(values=[{"residual": 0.0}])).mark_rule(color="#999999").encode(
        y="residual:Q"
    )  # fmt: skip
    y = alt.Y("residual:Q", title="ln(measured / predicted)").axis(gridOpacity=0.4)
    levels = sorted({r[name] for r in rows})
    x = alt.X(f"{name}:Q", title=f"{axis(name).title} ({axis(name).unit})")
    x = x.scale(**LOG).axis(values=levels, format=".3~s", grid=False)
    points = alt.Chart(alt.Data(values=list(rows))).mark_circle(size=60, opacity=1)
    points = points.encode(x=x, y=y, color=_backbones(alt), tooltip=["run_id:Q", "backbone:N"])
    return alt.layer(zero, points).properties(width=190, height=180)


def normal_quantiles(rows: Sequence[dict[str, Any]], sigma: float) -> alt.LayerChart:
    """Residuals against normal quantiles: on the line where the scatter is normal with that sigma.

    Args:
        rows: of `planner.report.fit_rows.fit_rows`.
        sigma: standard deviation of ln error that the law states.
    """
    alt = altair()
    most = max(abs(r["normal_score"]) for r in rows)
    ends = [{"normal_score": s, "residual": s * sigma} for s in (-most, most)]
    x = alt.X("normal_score:Q", title="standard normal quantile").axis(grid=False)
    y = alt.Y("residual:Q", title="ln(measured / predicted)").axis(gridOpacity=0.4)
    line = alt.Chart(alt.Data(values=ends)).mark_line(color="#999999", strokeDash=[4, 3])
    points = alt.Chart(alt.Data(values=list(rows))).mark_circle(size=60, opacity=1)
    return alt.layer(
        line.encode(x=x, y=y),
        points.encode(x=x, y=y, color=_backbones(alt), tooltip=["run_id:Q", "backbone:N"]),
    ).properties(width=260, height=220)


def slopes(parameters: Sequence[dict[str, Any]]) -> alt.LayerChart:
    """Exponents with their intervals: one that reaches 0 is not resolved.

    Args:
        parameters: of `planner.report.fit_rows.parameter_rows`.
    """
    alt = altair()
    shown = [p for p in parameters if p["scale"] == "slope" and p["low"] is not None]
    base = alt.Chart(alt.Data(values=shown)).encode(y=alt.Y("name:N", title=None, sort=None))
    zero = (
        alt.Chart(alt.Data(values=[{"value": 0.0}])).mark_rule(color="#999999").encode(x="value:Q")
    )
    bars = base.mark_rule(strokeWidth=6, opacity=0.5, color=PALETTE[0]).encode(
        x=alt.X("low:Q", title="exponent, 90 % interval"), x2="high:Q"
    )
    points = base.mark_circle(size=90, color=PALETTE[0], opacity=1).encode(x="value:Q")
    return alt.layer(zero, bars, points).properties(width=420, height=34 * max(len(shown), 1))


def profile(curve: Sequence[dict[str, Any]], parameter: dict[str, Any]) -> alt.LayerChart:
    """One parameter's profile: how the misfit grows as it moves away, all others refitted.

    The dashed parabola is what a Student-t interval assumes; where the curve leaves it, the interval is
    the curve's. Where the curve stays below the cut on one side, the data give no bound there.

    Args:
        curve: rows of `value`, `deviance` and `parabola` (or None), ascending.
        parameter: `title` with the unit, `estimate`, `low`, `high` (or None), `cut` and `level`.
    """
    alt = altair()
    cut, top = parameter["cut"], PROFILE_TOP * parameter["cut"]
    values = [r["value"] for r in curve]
    x = alt.X("value:Q", title=parameter["title"]).axis(format=".3~g", grid=False, tickCount=5)
    x = x.scale(domain=[min(values), max(values)], nice=False)
    title = "rise of misfit (deviance)"
    scale = alt.Scale(domain=[0.0, top], nice=False)
    y = alt.Y("deviance:Q", title=title, scale=scale).axis(gridOpacity=0.4, tickCount=4)
    line = alt.Chart(alt.Data(values=list(curve))).encode(x=x)
    solid = line.mark_line(color=PALETTE[0], clip=True, strokeWidth=2).encode(y=y)
    ends = [{"value": v, "deviance": cut} for v in (parameter["low"], parameter["high"]) if v]
    marked = [*ends, {"value": parameter["estimate"], "deviance": 0.0}]
    points = alt.Chart(alt.Data(values=marked)).mark_circle(
        size=60, color=PALETTE[0], opacity=1, clip=False
    ).encode(x=x, y=y, tooltip=[alt.Tooltip("value:Q", format=".4~g")])  # fmt: skip
    level = [{"deviance": cut, "words": f"{100 * parameter['level']:.0f} % cut"}]
    rule = alt.Chart(alt.Data(values=level)).encode(y=y)
    middle = alt.value(alt.expr("width / 2"))
    layers = [
        rule.mark_rule(color=PALETTE[1], strokeWidth=1.5),
        rule.mark_text(color=PALETTE[1], dy=-8).encode(text="words:N", x=middle),
        solid,
        points,
    ]
    bowl = [r for r in curve if r["parabola"] is not None and r["parabola"] <= top]
    if bowl:
        dashed = alt.Chart(alt.Data(values=bowl)).mark_line(color="#999999", strokeDash=[4, 3])
        layers.insert(2, dashed.encode(x=x, y=alt.Y("parabola:Q", title=title, scale=scale)))
    return alt.layer(*layers).properties(width=240, height=180)


def weights(forms: Sequence[dict[str, Any]]) -> alt.LayerChart:
    """How much each form of the law counts in predictions.

    Args:
        forms: with `law`, `weight` and `cv_error`, heaviest first.
    """
    alt = altair()
    base = alt.Chart(alt.Data(values=list(forms))).encode(y=alt.Y("law:N", title=None, sort=None))
    bars = base.mark_bar(color=PALETTE[0], height=14).encode(
        x=alt.X("weight:Q", title="weight in predictions").axis(format=".0%", gridOpacity=0.4)
    )
    known = [f for f in forms if f["cv_error"] is not None]
    if not known:
        return alt.layer(bars).properties(width=420)
    shown = alt.Chart(alt.Data(values=known)).encode(y=alt.Y("law:N", title=None, sort=None))
    words = shown.mark_text(align="left", dx=5, color="#666666").encode(
        x="weight:Q", text=alt.Text("cv_error:Q", format=".3f")
    )
    return alt.layer(bars, words).properties(width=420)


@functools.cache
def vega_script() -> str:
    """The scripts that draw Vega-Lite in a browser, as one text: a page with it asks no other host.

    Raises:
        MissingResourceError: Altair or vl-convert is not installed.
    """
    alt = altair()
    try:
        import vl_convert
    except ImportError:
        raise MissingResourceError(
            "a page of charts needs vl-convert, which is not installed; "
            "run: pip install 'soundscale[notebooks]'"
        ) from None
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    # Its type stub asks for a snippet, which would replace the whole bundle.
    bundle: Any = vl_convert.javascript_bundle
    return str(bundle(vl_version=version))
