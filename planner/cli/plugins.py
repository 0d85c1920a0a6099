"""Commands of installed plug-ins, found without importing the packaging machinery.

`importlib.metadata` takes longer to import than all of `soundscale --help` else (88 of 138 ms, notebooks/LOG.md
2026-11-24), so the entry points are read from their files; what is installed in another way than as a
folder on the path is asked of it all the same.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator

GROUP = "soundscale.commands"


def registrars() -> Iterator[Callable[..., None]]:
    """What each plug-in registers its commands with; one whose packages are missing is left out."""
    for target in sorted(set(_targets())):
        module, _, name = target.partition(":")
        try:
            yield getattr(importlib.import_module(module), name)
        except ImportError:
            # The runner's extra is not installed: its commands answer with how to get it.
            continue


def _targets() -> Iterator[str]:
    found = False
    for folder in dict.fromkeys(sys.path):
        try:
            names = [e.name for e in os.scandir(folder or ".") if e.name.endswith(".dist-info")]
        except OSError:
            continue
        for name in names:
            found = found or name.startswith("soundscale-")
            yield from _listed(os.path.join(folder or ".", name, "entry_points.txt"))
    if not found:
        from importlib.metadata import entry_points

        yield from (point.value for point in entry_points(group=GROUP))


def _listed(path: str) -> Iterator[str]:
    """Values of our group in an entry_points.txt; nothing where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return
    if GROUP not in text:
        return
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == GROUP and "=" in line:
            yield line.partition("=")[2].split("[")[0].strip()
