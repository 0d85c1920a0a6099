"""The three compute axes and the covariates, as a registry that is open to more.

An axis has a name (the same in the file, the column and the JSON key), a unit, a symbol for
formulas, and a direction that says whether more of it is expected to lower the error.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.errors import UnknownNameError

ENCODER_TOKENS_PER_SECOND = 50.0
"""Token rate of an unreduced Whisper or wav2vec2 encoder: one token each 20 ms (tokens/s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a scaling law.

    Attributes:
        name: column and key (`audio_seconds`).
        symbol: letter in printed formulas.
        unit: unit of the values.
        title: words for tables and charts.
    """

    name: str
    symbol: str
    unit: str
    title: str


_AXES = {
    a.name: a
    for a in (
        Axis(name="n_params", symbol="N", unit="parameters", title="model size"),
        Axis(name="audio_seconds", symbol="T", unit="s", title="audio length"),
        Axis(name="tokens_per_second", symbol="V", unit="tokens/s", title="token rate"),
        Axis(name="train_hours", symbol="D", unit="h", title="training audio"),
        Axis(name="n_train", symbol="n", unit="examples", title="training examples"),
        Axis(name="lora_rank", symbol="r", unit="rank", title="LoRA rank"),
        Axis(name="top_k_layers", symbol="k", unit="layers", title="layers trained in full"),
    )
}

COMPUTE_AXES = ("n_params", "audio_seconds", "tokens_per_second")


def axis(name: str) -> Axis:
    """The axis of that name.

    Raises:
        UnknownNameError: no axis has the name.
    """
    if name not in _AXES:
        raise UnknownNameError("axis", name, _AXES)
    return _AXES[name]


def axis_names() -> tuple[str, ...]:
    """All registered axes, compute axes first."""
    return tuple(_AXES)


def register_axis(new: Axis) -> None:
    """Add an axis of the caller's own, e.g. weight precision; an existing name is replaced."""
    _AXES[new.name] = new
