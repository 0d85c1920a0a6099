"""What a trial says while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """Where a trial is: `phase` is `load`, `train`, `score` or `probe`."""

    phase: str
    step: int
    n_steps: int
    loss: float | None = None


Report = Callable[[StageProgress], None]
"""Called at each step; may raise to stop the work."""
