"""What code and which libraries produced a run."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("soundscale", "torch", "transformers", "peft", "ray", "numpy", "jiwer", "soxr")
"""Distributions whose versions can change a result."""


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Installed versions of Python and of what computes; a library that is absent is left out."""
    by_library = {name: installed(name) for name in LIBRARIES}
    present = {name: number for name, number in by_library.items() if number is not None}
    return {"python": platform.python_version()} | present


def installed(name: str) -> str | None:
    """The installed version of a distribution; None when it is absent."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def code_revision() -> str | None:
    """Git revision of the checkout that runs, `-dirty` when it has changes; None outside of one."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
