"""Families of backbones that are one file each: its shapes by name, and how a `config.json` of it is read.

A module here that has a `FAMILY` is registered by being here; nothing else names it. The runner builds its models in
the module of the family's name in `runner.models`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from planner.words.families.base import Family


@cache
def families() -> MappingProxyType[str, Family]:
    """All families of this package by their name."""
    modules = (import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__))
    found = [m.FAMILY for m in modules if hasattr(m, "FAMILY")]
    return MappingProxyType({family.name: family for family in found})
