"""Reads a sweep file and checks it: every fault is one line that names the key and the file.

Pydantic checks types and bounds (runner.sweep.keys); here are the unknown keys with the nearest known one,
and what only the catalogue and the recipe can tell.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from planner.costs.flops.lengths import check_seconds, encoder_tokens
from planner.errors import InputError, SoundscaleError, UnknownNameError
from planner.words.catalogue import BUILT_IN, Catalogue, writes_by_ctc
from planner.words.languages import check_language
from planner.words.records import Reduction
from planner.words.scorers import SCORERS
from runner.data.test_set import TestSet
from runner.sweep.keys import AXIS_NAMES, Level, SweepSpec
from runner.trial.recipe import OPTIMISERS, PRECISIONS, SCHEDULES


def load_spec(path: str | Path, catalogue: Catalogue = BUILT_IN) -> SweepSpec:
    """Read and check a sweep file; a relative `data.path` starts at the file's folder.

    Args:
        path: the file.
        catalogue: the backbones that it may name.

    Raises:
        InputError: it cannot be read, is not TOML, or a key or value is wrong; one line that names
            the key and the file.
    """
    where = Path(path)
    return with_own_path(parse_spec(read_table(where), where.name, catalogue), where)


def read_table(where: Path, kind: str = "sweep") -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        InputError: it cannot be read, or is not TOML; one line that names it.
    """
    try:
        return tomllib.loads(where.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise InputError(
            f"cannot read {kind} file {where}: {problem.strerror or problem}; give a TOML file"
        ) from None
    except UnicodeDecodeError as problem:
        raise InputError(
            f"{kind} file {where} is not UTF-8 (byte {problem.start}); save it as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"{kind} file {where} is not TOML: {problem}") from None


def with_own_path(spec: SweepSpec, where: Path) -> SweepSpec:
    """The spec with relative paths of its data and its test sets from its file's folder."""

    def there(path: str | None) -> str | None:
        return None if path is None else str((where.parent / Path(path).expanduser()).resolve())

    sets = [replace(one, path=there(one.path)) for one in spec.test_sets]
    data = replace(spec.data, path=there(spec.data.path))
    return spec.model_copy(update={"data": data, "test_sets": sets})


def parse_spec(table: dict[str, Any], where: str, catalogue: Catalogue = BUILT_IN) -> SweepSpec:
    """A sweep file's table, checked against its keys and against the catalogue of backbones.

    Args:
        table: what the TOML file holds.
        where: the file's name, for messages.
        catalogue: the backbones that it may name.

    Raises:
        InputError: a key or a value is wrong.
    """
    table = _with_test_sets(table, where)
    _refuse_unknown_keys(SweepSpec, table, "", where)
    try:
        spec = SweepSpec.model_validate(table)
    except ValidationError as problem:
        raise _one_line(problem, where) from None
    try:
        _check_names(spec)
        _check_test_sets(spec, catalogue)
        _check_against_catalogue(spec, catalogue)
        _check_decoding(table, spec, catalogue)
        _check_design(spec)
    except SoundscaleError as problem:
        raise InputError(f"{where}: {problem}") from None
    return spec


def _with_test_sets(table: dict[str, Any], where: str) -> dict[str, Any]:
    """The table with `[[data.test]]` as `test_sets`, which is how a stored sweep has it.

    Raises:
        InputError: `data.test` is no list of tables, or a key of one is unknown.
    """
    data = table.get("data")
    given = data.get("test", []) if isinstance(data, dict) else []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InputError(f"{where}: data.test: must be tables, each under [[data.test]]")
    known = {f.name: None for f in dataclasses.fields(TestSet)}
    for i, one in enumerate(given):
        for key in one:
            if key not in known:
                names = [f"data.test[{i}].{k}" for k in known]
                raise UnknownNameError("key", f"data.test[{i}].{key}", names, remedy=f"in {where}")
    if not given:
        return table
    rest = {k: v for k, v in table["data"].items() if k != "test"}
    return table | {"data": rest, "test_sets": given}


def _keys(kind: Any) -> dict[str, Any] | None:
    """Keys of a table and the type of each one; None for what is not a table."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return {f.name: None for f in dataclasses.fields(kind)}
    return None


def _refuse_unknown_keys(kind: Any, table: dict[str, Any], prefix: str, where: str) -> None:
    keys = _keys(kind)
    if keys is None:
        return
    for key, value in table.items():
        if key not in keys:
            raise _unknown_key(prefix, key, keys, where)
        if isinstance(value, dict):
            _refuse_unknown_keys(keys[key], value, f"{prefix}{key}.", where)
        elif key == "runs" and isinstance(value, list):
            for i, item in enumerate(v for v in value if isinstance(v, dict)):
                _refuse_unknown_keys(Level, item, f"{prefix}{key}[{i}].", where)


def _unknown_key(prefix: str, key: str, keys: dict[str, Any], where: str) -> InputError:
    remedy = f"in {where}"
    for section, kind in (_keys(SweepSpec) or {}).items():
        if f"{section}." != prefix and key in (_keys(kind) or {}):
            remedy += f", where {key} belongs under [{section}]"
            break
    if prefix and remedy == f"in {where}" and key in (_keys(SweepSpec) or {}):
        remedy += f", where {key} belongs at the top"
    keys_there = [f"{prefix}{k}" for k in keys]
    return UnknownNameError("key", f"{prefix}{key}", keys_there, remedy=remedy)


def _one_line(problem: ValidationError, where: str) -> InputError:
    first, *others = problem.errors(include_url=False)
    key = ""
    for part in first["loc"]:
        key += f"[{part}]" if isinstance(part, int) else (f".{part}" if key else str(part))
    key = key.replace("test_sets", "data.test", 1) if key.startswith("test_sets") else key
    text = first["msg"].removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    if first["type"] == "missing":
        text = "is missing; the file must give it"
    elif first["type"] == "too_short":
        text = "has no level; list at least one value"
    elif first["type"] != "value_error":
        text = text.replace("input should", "must") + f", got {first['input']!r}"
    more = f" (and {len(others)} more)" if others else ""
    return InputError(f"{where}: {key}: {text}{more}")


def _check_names(spec: SweepSpec) -> None:
    """Words that the recipe knows, and one task."""
    chosen = spec.optimisation
    for key, name, words in (
        ("optimisation.optimiser", chosen.optimiser, OPTIMISERS),
        ("optimisation.schedule", chosen.schedule, SCHEDULES),
        ("precision", spec.precision, PRECISIONS),
    ):
        if name is not None and name not in words:
            raise UnknownNameError(key, name, words)
    if spec.reference and spec.task != "asr":
        raise InputError(
            "reference: an untrained checkpoint names no emotions; reference belongs to task asr"
        )
    if spec.normaliser is not None and spec.normaliser not in SCORERS:
        raise UnknownNameError("normaliser", spec.normaliser, list(SCORERS))
    levels = _levels(spec, "adaptation")
    for arm in chosen.arms:
        if arm not in levels:
            raise UnknownNameError("optimisation.arms", arm, levels)
    if chosen.batch_size is not None and chosen.batch_audio_seconds is not None:
        raise InputError(
            "optimisation: batch_size and batch_audio_seconds both say how large a batch is; give one"
        )
    if spec.data.task not in (None, spec.task):
        raise InputError(
            f"data.task: {spec.data.task} is not the sweep's task {spec.task}; leave data.task out"
        )


def _check_test_sets(spec: SweepSpec, catalogue: Catalogue) -> None:
    """Names that are told apart, scorers that there are, and languages that every backbone hears."""
    names = [one.name for one in spec.test_sets]
    for i, one in enumerate(spec.test_sets):
        with _under(f"data.test[{i}]"):
            if one.name in names[:i]:
                raise InputError(f"name {one.name!r} is given twice; a set has one name")
            if one.normaliser is not None and one.normaliser not in SCORERS:
                raise UnknownNameError("normaliser", one.normaliser, list(SCORERS))
            if spec.task == "asr":
                for name in _levels(spec, "backbone"):
                    check_language(catalogue.backbone(name), one.language)
            elif one.language is not None or one.normaliser is not None:
                raise InputError("an emotion has no language and no normaliser; leave them out")


DECODERS_OWN = (
    "beams",
    "no_repeat_ngram",
    "fallback_ngram",
    "max_new_tokens",
    "max_tokens_per_second",
)
"""Keys of `[decoding]` that steer a decoder, and mean nothing to a model that writes by CTC."""


def _check_decoding(given: dict[str, Any], spec: SweepSpec, catalogue: Catalogue) -> None:
    """Refuse a decoder's settings in a sweep without any decoder.

    Raises:
        InputError: one is given, and no backbone has a decoder.
    """
    names = _levels(spec, "backbone")
    named = [key for key in DECODERS_OWN if key in given.get("decoding", {})]
    if not (names and named):
        return
    if all(writes_by_ctc(catalogue.backbone(name), spec.task) for name in names):
        raise InputError(
            f"decoding.{named[0]}: it steers a decoder, and {names[0]} writes by CTC, a token a frame; leave it out"
        )


def _check_against_catalogue(spec: SweepSpec, catalogue: Catalogue) -> None:
    """Every combination that the file could ask for must be one that a model can run."""
    axes = {name: _levels(spec, name) for name in AXIS_NAMES}
    for text in axes["adaptation"]:
        with _under("axes.adaptation"):
            spec.adaptation(text)
    for name in axes["backbone"]:
        with _under("axes.backbone"):
            shape = catalogue.backbone(name)
            if spec.task == "asr":
                check_language(shape, spec.data.language)
        for seconds in axes["audio_seconds"]:
            with _under("axes.audio_seconds"):
                check_seconds(shape, seconds)
            with _under("padding"):
                encoder_tokens(shape, seconds, Reduction(), spec.padding)
            for text in axes["reduction"]:
                with _under("axes.reduction"):
                    encoder_tokens(shape, seconds, Reduction.parse(text), spec.padding)


@contextmanager
def _under(key: str) -> Iterator[None]:
    """Errors raised inside name the key."""
    try:
        yield
    except SoundscaleError as problem:
        raise InputError(f"{key}: {problem}") from None


def _levels(spec: SweepSpec, axis: str) -> list[Any]:
    """All values of an axis: of [axes], of the centre and of the runs of a list."""
    others = (getattr(level, axis) for level in (spec.design.centre, *spec.design.runs))
    return list(dict.fromkeys([*getattr(spec.axes, axis), *(v for v in others if v is not None)]))


def _check_design(spec: SweepSpec) -> None:
    design = spec.design
    for key, kind in (("runs", "list"), ("flops", "isoflop")):
        if (design.kind == kind) != bool(getattr(design, key)):
            needs = "needs" if design.kind == kind else "takes no"
            raise InputError(
                f"design.{key}: kind {design.kind} {needs} {key}; it belongs to {kind}"
            )
    for name in AXIS_NAMES:
        if design.kind != "list" and not getattr(spec.axes, name):
            raise InputError(
                f"axes.{name}: is missing; a design of kind {design.kind} needs its levels"
            )
    for name in (*AXIS_NAMES, "train_hours"):
        level, levels = getattr(design.centre, name), getattr(spec.axes, name)
        if level is not None and level not in levels:
            raise InputError(
                f"design.centre.{name}: {level!r} is no level of axes.{name}; use one of "
                f"{', '.join(str(v) for v in levels)}"
            )
