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


class StopKeeping(BaseException):
    """Raised by a `Report` to stop a trial that will go on elsewhere: its last step is kept first."""


Report = Callable[[StageProgress], None]
"""Called at each step; may raise to stop the work."""
