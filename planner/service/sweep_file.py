"""The one writer of sweep files: runs to make, told as the sweep that earlier runs came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tomli_w

from planner.errors import InputError
from planner.words.treatments import Adaptation

AXES = ("backbone", "audio_seconds", "reduction", "adaptation", "train_hours")
"""What a run of a list names, where a configuration has it; the rest of a trial is the sweep's."""

Table = Mapping[str, Any]
"""A table of a sweep file: its keys, and tables within it."""


def toml_text(spec: Table) -> str:
    """A sweep as the text of its file; a key that is None is left to its default.

    >>> print(toml_text({"name": "a", "optimisation": {"steps": None, "arms": {"full": {"learning_rate": [1e-5]}}}}))
    name = "a"
    <BLANKLINE>
    [optimisation.arms.full]
    learning_rate = [
        1e-05,
    ]
    <BLANKLINE>
    """
    return tomli_w.dumps(_without_none(spec))


def _without_none(table: Table) -> dict[str, Any]:
    """A table without what TOML has no word for: keys that are None, and tables that hold nothing."""
    kept = {key: _writable(value) for key, value in table.items() if value is not None}
    return {key: value for key, value in kept.items() if value != {}}


def _writable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _without_none(value)
    return [_writable(item) for item in value] if isinstance(value, list | tuple) else value


def sweep_of_runs(spec: Table, configs: Sequence[Table], name: str, seeds: Sequence[int]) -> Table:
    """A sweep of exactly these configurations, everything else as in the sweep that they came from.

    Rates of an adaptation that no configuration has are left out, as a sweep file may name no arm that is
    not a level of its own.

    Args:
        spec: the sweep that tells how a run is made.
        configs: what to run; each has the keys of `AXES`.
        name: the new sweep's name.
        seeds: every configuration is run with each of them.
    """
    levels = {_short(config["adaptation"]) for config in configs}
    optimisation = dict(spec.get("optimisation") or {})
    arms = {_short(text): arm for text, arm in (optimisation.get("arms") or {}).items()}
    optimisation["arms"] = {text: arm for text, arm in arms.items() if text in levels}
    shared = {k: v for k, v in spec.items() if k not in ("name", "seeds", "axes", "design")}
    runs = [
        {axis: config[axis] for axis in AXES if config.get(axis) is not None}
        | {"adaptation": _short(config["adaptation"])}
        for config in configs
    ]
    return {
        "name": name,
        **shared,
        "seeds": list(seeds),
        "optimisation": optimisation,
        "design": {"kind": "list", "runs": runs},
    }


def how_runs_are_made(newest_first: Iterable[str], task: str, configs: Sequence[Table]) -> Table:
    """The newest sweep of the task that has all the adaptations, else of the task, else of any.

    Args:
        newest_first: sweeps as the store keeps them (JSON); no more are taken than are looked at.
        task: `asr` or `emotion`.
        configs: what is to be run.

    Raises:
        InputError: there is no sweep.
    """
    wanted = {_short(config["adaptation"]) for config in configs}
    best: tuple[tuple[bool, bool], dict[str, Any]] | None = None
    for text in newest_first:
        spec: dict[str, Any] = json.loads(text)
        fitness = (spec.get("task") == task, wanted <= _adaptations(spec))
        if fitness == (True, True):
            return spec
        if best is None or fitness > best[0]:
            best = fitness, spec
    if best is None:
        raise InputError("no sweep in this database tells how to run a trial; write a sweep file")
    return best[1]


def _adaptations(spec: Table) -> set[str]:
    """Every adaptation that a sweep trains, in the short form that answers use."""
    axis = (spec.get("axes") or {}).get("adaptation") or ["lora:8"]
    runs = (spec.get("design") or {}).get("runs") or []
    named = [axis] if isinstance(axis, str) else axis
    texts = [*named, *(run["adaptation"] for run in runs if run.get("adaptation"))]
    return {_short(text) for text in texts}


def _short(text: str) -> str:
    """The level of an axis: targets and the like stand in the sweep's `[lora]` table."""
    return Adaptation.parse(text).short
