"""A trained module without its adapter layers."""

from __future__ import annotations

import copy
from typing import Any


def plain_linears(module: Any) -> Any:
    """A copy whose merged adapter layers are the plain linear layers that they hold."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    out = copy.deepcopy(module)
    for name, part in list(out.named_modules()):
        if isinstance(part, BaseTunerLayer):
            parent, _, last = name.rpartition(".")
            setattr(out.get_submodule(parent), last, part.get_base_layer())
    return out
