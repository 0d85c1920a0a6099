"""The sweep file: its keys, their types and every check that needs neither audio nor a model.

    name = "asr"                       # the sweep's name in the database
    task = "asr"                       # or "emotion"
    seeds = [0]

    [data]                             # runner.data.corpus.DataSpec
    name = "asterisk-en"
    n_train = 200

    [axes]                             # the levels; a single level may be written without brackets
    backbone = ["whisper-tiny.en", "whisper-base"]
    audio_seconds = [4, 8, 12]
    reduction = ["none", "stem:2", "stem:4"]
    adaptation = "lora:8"

    [design]                           # which combinations; see runner.sweep
    kind = "star"                      # star, grid, list or isoflop
    corners = true

    [lora]                             # what the short form lora:8 does not say
    [optimisation]
    steps = 30
    batch_audio_seconds = 32           # or batch_size, in examples
    [decoding]
    [resources]                        # how it is executed; never part of a trial's fingerprint

An unknown key is an error that names the nearest known one: a misspelt `leaning_rate` that is
silently ignored would train a whole campaign at the wrong rate.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from planner.catalogue import backbone
from planner.costs.tokens import check_seconds, encoder_tokens
from planner.errors import InputError, SoundscaleError, UnknownNameError
from planner.records import Adaptation, Decoding, Optimisation, Reduction, Resources
from planner.units import parse_bytes, parse_flops
from runner.data.clips import DataSpec
from runner.recipe import OPTIMISERS, PRECISIONS, SCHEDULES, batch_size_for

AXIS_NAMES = ("backbone", "audio_seconds", "reduction", "adaptation")

Item = TypeVar("Item")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _counted_flops(value: Any) -> Any:
    return parse_flops(value) if isinstance(value, str) else value


def _counted_bytes(value: Any) -> Any:
    return int(parse_bytes(value)) if isinstance(value, str) else value


Levels = Annotated[list[Item], BeforeValidator(_listed), Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Flops = Annotated[float, BeforeValidator(_counted_flops), Field(gt=0, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(_counted_bytes), Field(gt=0)]


class Section(BaseModel):
    """A table of the sweep file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Axes(Section):
    """The levels of each axis; a design of kind `list` may leave them to its runs."""

    backbone: Levels[str] = []
    audio_seconds: Levels[Seconds] = []
    reduction: Levels[str] = ["none"]
    adaptation: Levels[str] = ["lora:8"]


class Level(Section):
    """One value for some of the axes: the star's centre, or one run of a list."""

    backbone: str | None = None
    audio_seconds: Seconds | None = None
    reduction: str | None = None
    adaptation: str | None = None


class Design(Section):
    """Which combinations of the levels are trained; `runner.sweep.combinations` says exactly."""

    kind: Literal["star", "grid", "list", "isoflop"] = "star"
    centre: Level = Level()
    corners: bool = False
    runs: list[Level] = []
    flops: Annotated[list[Flops], BeforeValidator(_listed)] = []
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.1
    n_output_tokens: PositiveInt = 20


class Lora(Section):
    """What every LoRA adaptation of the sweep shares beside its rank."""

    alpha: PositiveFloat | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: str = "all-linear"
    rslora: bool = False
    dora: bool = False


class OptimisationSection(Section):
    """The fields of `planner.records.Optimisation`, and the batch by its audio."""

    optimiser: str | None = None
    learning_rate: PositiveFloat | None = None
    head_learning_rate: PositiveFloat | None = None
    top_k_learning_rate: PositiveFloat | None = None
    schedule: str | None = None
    warmup_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    batch_size: PositiveInt | None = None
    batch_audio_seconds: Seconds | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    clip_norm: PositiveFloat | None = None

    def at(self, audio_seconds: float) -> Optimisation:
        """The optimisation of a trial with windows of `audio_seconds`.

        `batch_audio_seconds` keeps the audio of a step near constant along x_T
        (`runner.recipe.batch_size_for`).

        >>> OptimisationSection(batch_audio_seconds=32.0).at(12.0).batch_size
        3
        """
        given = {k: v for k, v in self.model_dump().items() if v is not None}
        seconds = given.pop("batch_audio_seconds", None)
        if seconds is not None:
            given["batch_size"] = batch_size_for(seconds, audio_seconds)
        return Optimisation(**given)


class ResourcesSection(Section):
    """What one trial needs. `gpus` left out: one where the cluster has any, else none."""

    cpus: PositiveFloat = 1.0
    gpus: Annotated[float, Field(ge=0)] | None = None
    memory: Bytes | None = None
    device_label: str | None = None
    micro_batch: PositiveInt | None = None
    max_attempts: PositiveInt = 3

    def on(self, cluster_gpus: float) -> Resources:
        """The resources of a trial on a cluster with that many GPUs."""
        gpus = self.gpus if self.gpus is not None else float(cluster_gpus >= 1)
        return Resources(
            cpus=self.cpus,
            gpus=gpus,
            memory_bytes=self.memory,
            device_label=self.device_label,
            micro_batch=self.micro_batch,
            max_attempts=self.max_attempts,
        )


class SweepSpec(Section):
    """A whole sweep file, checked."""

    name: Annotated[str, Field(min_length=1)]
    task: Literal["asr", "emotion"]
    data: DataSpec = DataSpec()
    axes: Axes = Axes()
    design: Design = Design()
    seeds: Levels[int] = [0]
    lora: Lora = Lora()
    optimisation: OptimisationSection = OptimisationSection()
    decoding: Decoding = Decoding()
    resources: ResourcesSection = ResourcesSection()
    initialisation: Literal["pretrained", "random"] = "pretrained"
    reference_policy: Literal["window", "filter", "truncate"] = "window"
    padding: Literal["dynamic", "padded30"] = "dynamic"
    normaliser: str | None = None
    precision: str = "auto"

    @property
    def data_request(self) -> DataSpec:
        """The corpus to load: `[data]` with the sweep's task."""
        return replace(self.data, task=self.task)

    def adaptation(self, text: str) -> Adaptation:
        """The adaptation that the short form names, with the `[lora]` table's settings."""
        short = Adaptation.parse(text)
        if not short.kind.startswith("lora"):
            return short
        return replace(
            short,
            lora_alpha=self.lora.alpha if self.lora.alpha is not None else short.lora_alpha,
            lora_dropout=self.lora.dropout,
            targets=self.lora.targets,
            rslora=self.lora.rslora,
            dora=self.lora.dora,
        )


def load_spec(path: str | Path) -> SweepSpec:
    """Read and check a sweep file; a relative `data.path` starts at the file's folder.

    Raises:
        InputError: it cannot be read, is not TOML, or a key or value is wrong; one line that names
            the key and the file.
    """
    where = Path(path)
    try:
        table = tomllib.loads(where.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(
            f"cannot read sweep file {where}: {problem.strerror or problem}; give a TOML file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"sweep file {where} is not TOML: {problem}") from None
    spec = parse_spec(table, where.name)
    if spec.data.path is None:
        return spec
    there = where.parent / Path(spec.data.path).expanduser()
    return spec.model_copy(update={"data": replace(spec.data, path=str(there.resolve()))})


def parse_spec(table: dict[str, Any], where: str) -> SweepSpec:
    """A sweep file's table, checked against its keys and against the catalogue of backbones.

    Args:
        table: what the TOML file holds.
        where: the file's name, for messages.

    Raises:
        InputError: a key or a value is wrong.
    """
    _refuse_unknown_keys(SweepSpec, table, "", where)
    try:
        spec = SweepSpec.model_validate(table)
    except ValidationError as problem:
        raise _one_line(problem, where) from None
    try:
        _check_names(spec)
        _check_against_catalogue(spec)
        _check_design(spec)
    except SoundscaleError as problem:
        raise InputError(f"{where}: {problem}") from None
    return spec


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
    if not prefix and remedy == f"in {where}" and key in (_keys(SweepSpec) or {}):
        remedy += f", where {key} belongs at the top"
    known = [f"{prefix}{k}" for k in keys]
    return UnknownNameError("key", f"{prefix}{key}", known, remedy=remedy)


def _one_line(problem: ValidationError, where: str) -> InputError:
    first, *others = problem.errors(include_url=False)
    key = ""
    for part in first["loc"]:
        key += f"[{part}]" if isinstance(part, int) else (f".{part}" if key else str(part))
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
    for key, name, known in (
        ("optimisation.optimiser", chosen.optimiser, OPTIMISERS),
        ("optimisation.schedule", chosen.schedule, SCHEDULES),
        ("precision", spec.precision, PRECISIONS),
    ):
        if name is not None and name not in known:
            raise UnknownNameError(key, name, known)
    if chosen.batch_size is not None and chosen.batch_audio_seconds is not None:
        raise InputError(
            "optimisation: batch_size and batch_audio_seconds both say how large a batch is; give one"
        )
    if spec.data.task not in (None, spec.task):
        raise InputError(
            f"data.task: {spec.data.task} is not the sweep's task {spec.task}; leave data.task out"
        )


def _check_against_catalogue(spec: SweepSpec) -> None:
    """Every combination that the file could ask for must be one that a model can run."""
    axes = {name: _levels(spec, name) for name in AXIS_NAMES}
    for text in axes["adaptation"]:
        with _under("axes.adaptation"):
            spec.adaptation(text)
    for name in axes["backbone"]:
        with _under("axes.backbone"):
            shape = backbone(name)
            if spec.task == "asr" and shape.family != "whisper":
                raise InputError(
                    f"{name} has no decoder and writes no text; choose a whisper backbone or set "
                    f'task = "emotion"'
                )
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
        level, levels = getattr(design.centre, name), getattr(spec.axes, name)
        if level is not None and level not in levels:
            raise InputError(
                f"design.centre.{name}: {level!r} is no level of axes.{name}; use one of "
                f"{', '.join(str(v) for v in levels)}"
            )
