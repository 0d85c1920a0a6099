"""FLOPs of one window as a smooth function of size, audio seconds and token rate, through our own counts.

A transformer on t seconds of audio at v encoder tokens a second takes, at one shape,

    F(t, v) = c_0 + c_1 t + c_2 t v + c_3 (t v)^2,    c_i >= 0:

what is paid once, what each second costs before tokens are made, what each token costs, and attention. The four
are solved from exact counts of that shape. Between the shapes of a ladder ln c_i is a monotone cubic of ln n
(Fritsch and Carlson 1980), beyond its ends a straight line: at every shape the count is exact, and F grows with
each axis, so that a budget can be solved for any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from planner.costs.flops.forward import forward_flops
from planner.costs.windows import Floats
from planner.errors import InputError, UnknownNameError
from planner.words.axes import COMPUTE_AXES, ENCODER_TOKENS_PER_SECOND
from planner.words.catalogue import BUILT_IN, WHISPER_WINDOW_SECONDS, backbone
from planner.words.records import Reduction

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

LADDERS = {
    "whisper": (
        "whisper-tiny", "whisper-base", "whisper-small", "whisper-medium", "whisper-large-v3",
    ),
    "wav2vec2": ("wav2vec2-base", "wav2vec2-large-robust"),
    "moonshine": ("moonshine-tiny", "moonshine-base"),
}  # fmt: skip
"""Families whose sizes are one another's larger shapes; a backbone's name alone is a ladder of one."""
OUTPUT_TOKENS = 20
"""Tokens that a window's text takes, where none are said: a sentence of some 14 words (assumption)."""
ABSENT = 1e-9
"""FLOPs that stand for a part that a shape does not have, so that it has a logarithm."""
SECONDS = (2.0, 6.0, 12.0, 20.0)
FACTORS = (1, 2, 4)
"""Windows and reductions at the stem, of whole tokens, whose counts the four parts are solved from."""
ROLES = {
    "n": "n_params", "params": "n_params", "size": "n_params",
    "t": "audio_seconds", "seconds": "audio_seconds",
    "v": "tokens_per_second", "token_rate": "tokens_per_second",
}  # fmt: skip
"""Short names of columns that the axes go by."""

Gradient = tuple[Floats, dict[str, Floats]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ladder:
    """F of one or more shapes.

    Attributes:
        name: what was asked for.
        n_output_tokens: of every window.
        log_n: ln parameters of each shape, shape (s,), ascending.
        log_parts: ln c_i, shape (s, 4).
        curve: ln c_i through them as a function of ln n; None for one shape.
    """

    name: str
    n_output_tokens: int
    log_n: Floats
    log_parts: Floats
    curve: PchipInterpolator | None

    def of(self, roles: Mapping[str, str], values: Mapping[str, Floats]) -> Gradient:
        """F (FLOPs of a window) and its derivatives by each axis.

        Args:
            roles: the compute axis that each of the caller's axes is.
            values: of the caller's axes, arrays of one shape; an axis that is none of them has its whole value.
        """
        by_role = {
            roles[axis]: np.asarray(value, dtype=np.float64) for axis, value in values.items()
        }
        n = by_role.get("n_params", np.array(np.exp(self.log_n[0])))
        t = by_role.get("audio_seconds", np.array(WHISPER_WINDOW_SECONDS))
        v = by_role.get("tokens_per_second", np.array(ENCODER_TOKENS_PER_SECOND))
        log_n, t, v = np.broadcast_arrays(np.log(n), t, v)
        parts, slopes = self._parts(log_n)
        features = np.stack([np.ones_like(t), t, t * v, (t * v) ** 2], axis=-1)
        by_t = np.stack([np.zeros_like(t), np.ones_like(t), v, 2 * t * v * v], axis=-1)
        by_v = np.stack([np.zeros_like(t), np.zeros_like(t), t, 2 * t * t * v], axis=-1)
        found = {
            "n_params": (parts * slopes * features).sum(-1) / np.exp(log_n),
            "audio_seconds": (parts * by_t).sum(-1),
            "tokens_per_second": (parts * by_v).sum(-1),
        }
        return (parts * features).sum(-1), {axis: found[role] for axis, role in roles.items()}

    def _parts(self, log_n: Floats) -> tuple[Floats, Floats]:
        """c_i and d ln c_i / d ln n at those sizes, the last axis of length 4."""
        if self.curve is None:
            shape = (*log_n.shape, 4)
            return np.broadcast_to(np.exp(self.log_parts[0]), shape), np.zeros(shape)
        inside = np.clip(log_n, self.log_n[0], self.log_n[-1])
        slopes = self.curve(inside, nu=1)
        return np.exp(self.curve(inside) + slopes * (log_n - inside)[..., None]), slopes


def ladder_of(text: str) -> Ladder:
    """The ladder of a family, or of one backbone alone: `whisper`, `whisper-small`, with `@40` output tokens.

    >>> ladder = ladder_of("whisper")
    >>> counted = ladder.of({"n": "n_params"}, {"n": np.array([37_760_640.0])})[0]
    >>> forward_flops(backbone("whisper-tiny"), audio_seconds=30.0, n_output_tokens=20).total / counted.round()
    array([1.])

    Raises:
        InputError: the tokens are no positive number.
        UnknownNameError: no family and no backbone has the name.
    """
    name, _, tokens = text.partition("@")
    if tokens and not (tokens.isascii() and tokens.isdigit() and int(tokens) > 0):
        raise InputError(
            f"{text!r}: after @ stands how many tokens a window's text takes, e.g. {name}@40"
        )
    if name not in LADDERS and name not in BUILT_IN.names:
        raise UnknownNameError("family or backbone", name, [*LADDERS, *BUILT_IN.names])
    shapes = [backbone(one) for one in LADDERS.get(name, (name,))]
    from scipy.interpolate import PchipInterpolator

    n_tokens = int(tokens) if tokens else OUTPUT_TOKENS
    log_n = np.log([float(shape.n_params) for shape in shapes])
    parts = np.array([_log_parts(shape.name, n_tokens) for shape in shapes])
    curve = PchipInterpolator(log_n, parts, axis=0) if len(shapes) > 1 else None
    return Ladder(name=name, n_output_tokens=n_tokens, log_n=log_n, log_parts=parts, curve=curve)


def _log_parts(name: str, n_tokens: int) -> Floats:
    """Ln of the four parts of one shape, by non-negative least squares of relative errors."""
    from scipy.optimize import nnls

    shape = backbone(name)
    rows, counts = [], []
    for seconds in SECONDS:
        for factor in FACTORS:
            counted = forward_flops(
                shape,
                audio_seconds=seconds,
                reduction=Reduction.parse(f"stem:{factor}" if factor > 1 else "none"),
                n_output_tokens=n_tokens if shape.task == "asr" else 0,
            )
            length = seconds * ENCODER_TOKENS_PER_SECOND / factor
            rows.append([1.0, seconds, length, length**2])
            counts.append(float(counted.total))
    solved = nnls(np.array(rows) / np.array(counts)[:, None], np.ones(len(counts)))[0]
    parts: Floats = np.log(np.maximum(solved, ABSENT))
    return parts


def roles_of(axes: tuple[str, ...]) -> dict[str, str]:
    """The compute axis that each column is, by its name or a short one: n, t, v.

    Raises:
        InputError: a column is none of them, or two are the same.
    """
    roles = {axis: ROLES.get(axis.lower(), axis) for axis in axes}
    for axis, role in roles.items():
        if role not in COMPUTE_AXES:
            raise InputError(
                f"our own FLOPs depend on {', '.join(COMPUTE_AXES)} (or n, t, v), and {axis} is none of them; rename "
                "the column, or say the cost as a formula"
            )
    if len(set(roles.values())) < len(axes):
        raise InputError(f"two of {', '.join(axes)} are the same axis")
    return roles


def flops_of(text: str, axes: tuple[str, ...]) -> Callable[[Mapping[str, Floats]], Gradient]:
    """The cost, and its derivatives, of the axes' values: `flops_of("whisper", ("n", "t"))`.

    Raises:
        InputError: an axis is no compute axis, or a single backbone is to have another size.
        UnknownNameError: no family and no backbone has the name.
    """
    ladder, roles = ladder_of(text), roles_of(axes)
    if len(ladder.log_n) == 1 and "n_params" in roles.values():
        raise InputError(
            f"{ladder.name} has one size, so its FLOPs say nothing of others; name a family: "
            f"{', '.join(LADDERS)}"
        )
    return partial(ladder.of, roles)
