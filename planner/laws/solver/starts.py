"""Where the parameters begin that a regression of the log error tells: slopes, bends and valleys."""

from __future__ import annotations

import math

import numpy as np

from planner.laws.forms.base import Form
from planner.laws.observations import Floats

REGRESSED = ("slope", "bend", "curvature", "place", "drift", "skew")
"""Kinds of parameters that are not searched on a grid."""
SHALLOW = 0.05
"""Curvature, times the axis's log range squared, of a valley that a regression sees none of (assumption)."""


def regressed(form: Form, z: Floats, y: Floats, weight: Floats) -> dict[int, float]:
    """First values of the form's parameters of those kinds, by place in theta.

    y = a - sum_k b_k z_k + sum_k c_k z_k^2 by weighted least squares gives slopes b and bends c, with a
    bend on those axes that have one; where the form has valleys all products z_k z_l join, and the
    quadratic form is taken apart, one axis after the other.
    """
    found: dict[int, float] = {}
    k = z.shape[1]
    bent = [form.axes.index(str(s.axis)) for s in form.parameters if s.kind == "bend"]
    solution = _solved([np.ones(len(y)), *-z.T, *(z[:, bent] ** 2).T], y, weight)
    slopes, bends = solution[1 : 1 + k], np.zeros(k)
    bends[bent] = solution[1 + k :]
    for i, spec in enumerate(form.parameters):
        if spec.kind in ("slope", "bend"):
            known = slopes if spec.kind == "slope" else bends
            found[i] = float(known[form.axes.index(str(spec.axis))])
    if form.indices("curvature"):
        found |= _valleys(form, z, y, weight)
    return found


def _solved(features: list[Floats], y: Floats, weight: Floats) -> Floats:
    root = np.sqrt(weight)
    design = np.column_stack(features) * root[:, None]
    solution: Floats = np.asarray(
        np.linalg.lstsq(design, y * root, rcond=None)[0], dtype=np.float64
    )
    return solution


def quadratic(z: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Linear part (k,) and symmetric matrix Q (k, k) of y = a + l . z + z . Q z by least squares."""
    k = z.shape[1]
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    solution = _solved([np.ones(len(y)), *z.T, *(z[:, i] * z[:, j] for i, j in pairs)], y, weight)
    matrix = np.zeros((k, k))
    for (i, j), value in zip(pairs, solution[1 + k :], strict=True):
        matrix[i, j] += 0.5 * value
        matrix[j, i] += 0.5 * value
    return solution[1 : 1 + k], matrix


def _valleys(form: Form, z: Floats, y: Floats, weight: Floats) -> dict[int, float]:
    """Curve, place and drifts of each valley: c (z - p - g . z)^2 is taken off the quadratic form in turn."""
    linear, matrix = quadratic(z, y, weight)
    place_of = {(s.kind, s.axis, s.by): i for i, s in enumerate(form.parameters)}
    found: dict[int, float] = {}
    for spec in [s for s in form.parameters if s.kind == "curvature"]:
        axis = form.axes.index(str(spec.axis))
        movers = [s for s in form.parameters if s.kind == "drift" and s.axis == spec.axis]
        columns = [form.axes.index(str(s.by)) for s in movers]
        least = SHALLOW / float(np.ptp(z[:, axis])) ** 2
        curve, place, drifts = float(matrix[axis, axis]), 0.0, np.zeros(len(columns))
        if curve > least:
            drifts = -matrix[axis, columns] / curve
            place = -0.5 * float(linear[axis]) / curve
        curve = max(curve, least)
        direction = np.zeros(len(matrix))
        direction[axis] = 1.0
        direction[columns] = -drifts
        matrix = matrix - curve * np.outer(direction, direction)
        linear = linear + 2.0 * curve * place * direction
        root = math.sqrt(curve)
        found[place_of["curvature", spec.axis, None]] = root
        found[place_of["place", spec.axis, None]] = root * place
        for mover, drift in zip(movers, drifts.tolist(), strict=True):
            found[place_of["drift", spec.axis, mover.by]] = root * drift
        if (skew := place_of.get(("skew", spec.axis, None))) is not None:
            found[skew] = 0.0
    return found
