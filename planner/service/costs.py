"""The use cases of `soundscale costs` and `backbones`: costs before any run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from planner.costs.flops.forward import forward_flops
from planner.costs.flops.lengths import check_seconds
from planner.costs.flops.training import training_flops
from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.costs.latency.model import LatencyModel
from planner.costs.latency.transfer import DataSheet
from planner.costs.memory.parameters import trainable_parameters
from planner.costs.memory.peak import inference_memory, training_memory
from planner.costs.windows import Windows, windows_of
from planner.errors import InputError, MissingResourceError, UnknownNameError
from planner.service import devices
from planner.service.circumstances import DEFAULT_OUTPUT_TOKENS_PER_SECOND, require_device
from planner.store import read, write
from planner.store.engine import exists, opened
from planner.words.catalogue import BUILT_IN, Backbone, Catalogue, check_own, from_config
from planner.words.records import Adaptation, Reduction, to_json
from planner.words.units import format_bytes, format_flops, parse_bytes, parse_flops


def cost_of(
    *,
    db: str | None,
    backbone: str,
    audio_seconds: float,
    reduction: str,
    adaptation: str,
    output_tokens: int | None,
    no_cache: bool,
    convention: str,
    device: str | None,
    batch_size: int = 1,
) -> dict[str, Any]:
    """FLOPs by part, memory, training cost and, for a measured device, latency of one window."""
    catalogue, model = _known_there(db, device)
    shape = catalogue.backbone(backbone)
    check_seconds(shape, audio_seconds)
    tokens = output_tokens
    source = "given"
    if tokens is None:
        tokens = round(DEFAULT_OUTPUT_TOKENS_PER_SECOND * audio_seconds)
        source = f"assumption: {DEFAULT_OUTPUT_TOKENS_PER_SECOND:g} tokens a second of speech"
    found = cost_report(
        shape,
        audio_seconds=audio_seconds,
        reduction=Reduction.parse(reduction),
        adaptation=Adaptation.parse(adaptation),
        n_output_tokens=tokens,
        kv_cache=not no_cache,
        convention=convention,
        latency_model=model,
        batch_size=batch_size,
    )
    return {**found, "output_tokens": {"value": tokens, "source": source}}


def cost_report(
    backbone: Backbone,
    *,
    audio_seconds: float,
    reduction: Reduction,
    adaptation: Adaptation,
    n_output_tokens: int,
    kv_cache: bool = True,
    convention: str = "exact",
    latency_model: LatencyModel | None = None,
    task: str | None = None,
    padding: str = "dynamic",
    dtype: str = "float32",
    batch_size: int = 1,
) -> dict[str, Any]:
    """FLOPs of one window by part, peak memory, training cost of one example, latency if known.

    Keys: `flops` {convention, total, parts}; `memory_bytes` {inference, training}, each {total, parts,
    dtype}; `training` {adaptation, per, n_trainable, forward, …, total}, always in convention exact;
    `latency_ms` {device, source, p50, p50_low, …, level} of a batch where a model is given.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    shared: dict[str, Any] = {
        "audio_seconds": audio_seconds, "reduction": reduction, "padding": padding, "task": task,
    }  # fmt: skip
    output = {"n_output_tokens": n_output_tokens, "kv_cache": kv_cache, **shared}
    labels = {"adaptation": adaptation, "n_label_tokens": max(n_output_tokens, 1), **shared}
    report: dict[str, Any] = {
        "flops": to_json(forward_flops(backbone, convention=convention, **output)),
        "memory_bytes": {
            "inference": {**to_json(inference_memory(backbone, dtype=dtype, **output)), "dtype": dtype},
            "training": _training_memory(backbone, labels),
        },
        "training": _training(backbone, labels),
    }  # fmt: skip
    if latency_model is not None:
        window = windows_of(
            backbone, audio_seconds, reduction, n_output_tokens=n_output_tokens, padding=padding,
            batch_size=batch_size,
        )  # fmt: skip
        report["latency_ms"] = _latency(latency_model, window)
    return report


def _training_memory(backbone: Backbone, labels: dict[str, Any]) -> dict[str, Any]:
    peak = to_json(training_memory(backbone, **labels))
    return {**peak, "dtype": "float32", "micro_batch": 1}


def _training(backbone: Backbone, labels: dict[str, Any]) -> dict[str, Any]:
    adaptation = labels["adaptation"]
    return {
        "adaptation": str(adaptation),
        "per": "example",
        "n_trainable": trainable_parameters(backbone, adaptation, labels["task"]),
        **to_json(training_flops(backbone, **labels)),
    }


def _latency(model: LatencyModel, window: Windows) -> dict[str, Any]:
    """Latency of one window or batch.

    `real_time_factor` is p50 over the seconds of one window, `audio_seconds_per_second` the seconds of all
    windows of the batch over p50.
    """
    (one,) = model.predict_each([window])
    audio_seconds = float(window.audio_seconds[0])
    return {
        "device": model.device, "source": one.source, "level": 0.9,
        "p50": one.p50_ms, "p50_low": one.p50_low_ms, "p50_high": one.p50_high_ms,
        "p95": one.p95_ms, "p95_low": one.p95_low_ms, "p95_high": one.p95_high_ms,
        "batch_size": window.batch_size, "audio_seconds": audio_seconds,
        "real_time_factor": one.p50_ms / 1e3 / audio_seconds,
        "audio_seconds_per_second": window.batch_size * audio_seconds / (one.p50_ms / 1e3),
    }  # fmt: skip


def _known_there(db: str | None, device: str | None) -> tuple[Catalogue, LatencyModel | None]:
    """The backbones that a database knows, if it exists, and its model of a device.

    Raises:
        UnknownNameError: the device has neither measurements nor a data sheet.
    """
    if not exists(db):
        if device is not None and device not in DATA_SHEETS:
            raise UnknownNameError(
                "device", device, sorted(DATA_SHEETS), remedy="there is no database yet"
            )
        return BUILT_IN, devices.model_of(None, device, []) if device else None
    with opened(db) as engine:
        backbones = read.catalogue(engine)
        if device is None:
            return backbones, None
        require_device(engine, device, devices.measured_names(engine))
        stored = read.latencies(engine, device=device)
        return backbones, devices.model_of(engine, device, [s.latency for s in stored])


def backbone_rows(db: str | None) -> list[dict[str, Any]]:
    """The catalogue as rows, the user's own included; `problem` says why a stored one cannot be used."""
    catalogue, _ = _known_there(db, None)
    keys = (
        "name", "family", "task", "n_params", "encoder_params", "d_model", "encoder_layers",
        "n_heads", "ffn_dim", "max_audio_seconds", "hub_id",
    )  # fmt: skip
    rows = [
        {k: getattr(backbone, k) for k in keys} | {"problem": None}
        for backbone in catalogue.backbones
    ]
    empty = dict.fromkeys(keys)
    return rows + [empty | {"name": name, "problem": why} for name, why in catalogue.unusable]


def add_backbone(db: str | None, path_or_id: str, name: str | None) -> Backbone:
    """Describe a backbone by its config.json and store it.

    Raises:
        InputError: the file is not a config, its model type is not supported, or the name is built in.
        MissingResourceError: it is neither a file nor reachable on the model hub.
    """
    config, source = _config(path_or_id)
    default = Path(source).parent.name if source.endswith("config.json") else source.split("/")[-1]
    hub_id = path_or_id if not Path(path_or_id).exists() else None
    added = from_config(name or default or "custom", config, hub_id)
    check_own(added)
    with opened(db) as engine:
        write.add_backbone(engine, added)
    return added


def add_device(
    db: str | None,
    name: str,
    *,
    peak_flops: str,
    bandwidth: str,
    memory: str | None,
    kind: str,
    dtype: str,
) -> str:
    """Store a device's data sheet; a line that says what was understood.

    Raises:
        InputError: a number cannot be read, or the device has another data sheet.
    """
    sheet = DataSheet(
        name=name, kind=kind, peak_flops=parse_flops(peak_flops), bandwidth=parse_bytes(bandwidth),
        dtype=dtype, memory_bytes=round(parse_bytes(memory)) if memory else None,
    )  # fmt: skip
    with opened(db) as engine:
        devices.add_sheet(engine, sheet)
    return (
        f"added {name}: {format_flops(sheet.peak_flops)} a second in {dtype}, "
        f"{format_bytes(sheet.bandwidth)} a second; predictions are tagged datasheet until it is measured"
    )


def _config(path_or_id: str) -> tuple[dict[str, Any], str]:
    path = Path(path_or_id)
    if path.is_dir():
        path = path / "config.json"
    if path.is_file():
        try:
            config: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except ValueError as problem:
            raise InputError(f"{path} is not JSON: {problem}") from None
        return config, str(path)
    try:
        from huggingface_hub import hf_hub_download

        found = hf_hub_download(path_or_id, "config.json", etag_timeout=5)
        config = json.loads(Path(found).read_text("utf-8"))
        return config, path_or_id
    except ImportError:
        remedy = "give a config.json, or pip install 'soundscale[runner]' to ask the model hub"
    except Exception as problem:
        remedy = f"the model hub gave {type(problem).__name__}; give the path of its config.json"
    raise MissingResourceError(f"no config of {path_or_id!r}: there is no such file; {remedy}")
