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

    [design]                           # which combinations; see runner.sweep.expand
    kind = "star"                      # star, grid, list or isoflop
    corners = true

    [lora]                             # what the short form lora:8 does not say
    [optimisation]
    steps = 30
    learning_rate = [3e-4, 1e-3]       # several: a search, chosen by validation; one: that one
    batch_audio_seconds = 32           # or batch_size, in examples
    [optimisation.arms."full"]         # rates of one adaptation, where they differ
    learning_rate = 1e-4
    [decoding]                         # guarded (planner.words.records.GUARDED) where it says nothing else
    [resources]                        # how it is executed; never part of a trial's fingerprint

`latency` says when it is measured: `quiet`, in a stage of its own after training, alone on the host;
`beside`, at the end of each trial, whatever runs next to it; `none`. It is no part of a trial either.

`engines = ["onnxruntime", "ctranslate2:int8"]`: after training the finished runs are exported for these, scored in them
and timed beside torch; of `engine_runs`: `all`, or those on the `frontier` of error and FLOPs, up to
twice the fewest errors, and the untrained checkpoints in the first engine alone.
`reference = true` adds what users would take without training, for each backbone: the checkpoint as it is, in windows
of 30 s without fewer tokens, greedy, on the same test set.

`[[data.test]]` tables name further test sets (runner.data.test_set): after training every finished run is scored on
each, from its stored tensors, so that a set may be added later and nothing is trained again.

An unknown key is an error that names the nearest known one: a misspelt `leaning_rate` that is
silently ignored would train a whole campaign at the wrong rate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from planner.words.records import (
    GUARDED,
    TOKENS_PER_SECOND_ABROAD,
    Adaptation,
    Decoding,
    Optimisation,
    Resources,
    to_json,
)
from planner.words.scorers import default_scorer
from planner.words.units import parse_bytes, parse_flops
from runner.data.clips import DataSpec
from runner.data.test_set import TestSet
from runner.trial.recipe import batch_size_for

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
    """The levels of each axis; a design of kind `list` may leave them to its runs.

    `train_hours`: hours of training audio, nested subsets of the training split; none: all of it.
    """

    backbone: Levels[str] = []
    audio_seconds: Levels[Seconds] = []
    reduction: Levels[str] = ["none"]
    adaptation: Levels[str] = ["lora:8"]
    train_hours: Annotated[list[Seconds], BeforeValidator(_listed)] = []


class Level(Section):
    """One value for some of the axes: the star's centre, or one run of a list."""

    backbone: str | None = None
    audio_seconds: Seconds | None = None
    reduction: str | None = None
    adaptation: str | None = None
    train_hours: Seconds | None = None


class DesignSection(Section):
    """Which combinations of the levels are trained; `runner.sweep.expand.combinations` says exactly."""

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


class Arm(Section):
    """Learning rates of one adaptation, where they differ from the sweep's."""

    learning_rate: Levels[PositiveFloat] | None = None
    head_learning_rate: PositiveFloat | None = None
    top_k_learning_rate: PositiveFloat | None = None


class OptimisationSection(Section):
    """The fields of `planner.words.records.Optimisation`, and the batch by its audio.

    Several values of `learning_rate` are a search: each is trained, and the one with the lowest error on
    validation stands for its combination in a law (`planner.evidence.rate_search`). `arms` gives an adaptation its
    own rates, as a rate that is right for LoRA is about ten times too high for full fine-tuning.
    """

    optimiser: str | None = None
    learning_rate: Levels[PositiveFloat] | None = None
    head_learning_rate: PositiveFloat | None = None
    top_k_learning_rate: PositiveFloat | None = None
    schedule: str | None = None
    warmup_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    batch_size: PositiveInt | None = None
    batch_audio_seconds: Seconds | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    clip_norm: PositiveFloat | None = None
    arms: dict[str, Arm] = {}

    @property
    def searches(self) -> bool:
        """Whether some combination is trained at several learning rates."""
        rates = [self.learning_rate, *(arm.learning_rate for arm in self.arms.values())]
        return any(len(given or ()) > 1 for given in rates)

    def at(self, audio_seconds: float, adaptation: str = "") -> Optimisation:
        """The optimisation of a trial with windows of `audio_seconds`, at the first learning rate."""
        return self.each(audio_seconds, adaptation)[0]

    def each(self, audio_seconds: float, adaptation: str = "") -> list[Optimisation]:
        """The optimisations of one combination: one for each learning rate.

        `batch_audio_seconds` keeps the audio of a step near constant along x_T
        (`runner.trial.recipe.batch_size_for`).

        >>> OptimisationSection(batch_audio_seconds=32.0).at(12.0).batch_size
        3
        """
        own = self.arms.get(adaptation, Arm())
        given = {k: v for k, v in self.model_dump(exclude={"arms"}).items() if v is not None}
        given |= {k: v for k, v in own.model_dump().items() if v is not None}
        seconds = given.pop("batch_audio_seconds", None)
        if seconds is not None:
            given["batch_size"] = batch_size_for(seconds, audio_seconds)
        rates = dict.fromkeys(given.pop("learning_rate", [Optimisation().learning_rate]))
        return [Optimisation(**given, learning_rate=rate) for rate in rates]


class ResourcesSection(Section):
    """What one trial needs. `gpus` left out: one where the cluster has any, else none."""

    cpus: PositiveFloat = 1.0
    gpus: Annotated[float, Field(ge=0)] | None = None
    memory: Bytes | None = None
    device_label: str | None = None
    micro_batch: PositiveInt | None = None
    max_attempts: PositiveInt = 3
    gradient_checkpointing: bool = False
    compile: bool = False

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
            gradient_checkpointing=self.gradient_checkpointing,
            compile=self.compile,
        )


GUARDS = ("fallback_ngram", "max_compression_ratio", "min_log_probability", "cut_repeats")
"""Keys of `[decoding]` that came with the guards; `fallback_ngram = 0` switches them off."""


def _decoding_of(given: dict[str, Any], language: str | None) -> dict[str, Any]:
    """The whole of a `[decoding]` table, with defaults for what it leaves out.

    A table that names everything but guards is one that was stored before there were any, or before the last of
    them: it has those that it names.
    """
    whole = {k for k in to_json(Decoding()) if k not in GUARDS}
    if whole <= given.keys() and given.get("fallback_ngram") != 0:
        return given
    rate = {} if language in (None, "en") else {"max_tokens_per_second": TOKENS_PER_SECOND_ABROAD}
    merged = to_json(GUARDED) | rate | given
    off = merged.get("fallback_ngram") == 0
    return {k: v for k, v in merged.items() if not (off and k in GUARDS)}


class SweepSpec(Section):
    """A whole sweep file, checked."""

    name: Annotated[str, Field(min_length=1)]
    task: Literal["asr", "emotion"]
    data: DataSpec = DataSpec()
    axes: Axes = Axes()
    design: DesignSection = DesignSection()
    seeds: Levels[int] = [0]
    lora: Lora = Lora()
    optimisation: OptimisationSection = OptimisationSection()
    decoding: Decoding = GUARDED
    resources: ResourcesSection = ResourcesSection()
    initialisation: Literal["pretrained", "random"] = "pretrained"
    reference_policy: Literal["window", "filter", "truncate"] = "window"
    padding: Literal["dynamic", "bucketed", "padded30"] = "dynamic"
    normaliser: str | None = None
    precision: str = "auto"
    latency: Literal["quiet", "beside", "none"] = "quiet"
    engines: list[str] = []
    engine_runs: Literal["all", "frontier"] = "all"
    reference: bool = False
    # `[[data.test]]` of the file: of the trials' data it is no part, and their fingerprints do not know it.
    test_sets: list[TestSet] = []

    @model_validator(mode="before")
    @classmethod
    def _guard(cls, table: Any) -> Any:
        """Fill in what `[decoding]` leaves out, which depends on the language of the data."""
        if not isinstance(table, dict):
            return table
        given, data = table.get("decoding", {}), table.get("data", {})
        if not isinstance(given, dict) or not isinstance(data, dict):
            return table
        return table | {"decoding": _decoding_of(given, data.get("language"))}

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the keys that came later where they say nothing: files that were stored before stay equal."""
        out: dict[str, Any] = write(self)
        design = out.get("design", {})
        for table, key in (
            (out, "test_sets"),
            *((level, "train_hours") for level in (out.get("axes"), design.get("centre"))),
            *((run, "train_hours") for run in design.get("runs", ())),
        ):
            if table and not table.get(key):
                table.pop(key, None)
        return out

    @property
    def scorer(self) -> str:
        """The normaliser by name: the file's, else that of the task and the language."""
        default = default_scorer(self.data.language) if self.task == "asr" else "none"
        return self.normaliser or default

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
