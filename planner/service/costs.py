"""The use cases of `soundscale costs` and `backbones`: costs before any run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from planner.words import catalogue
from planner.service import devices
from planner.service.circumstances import DEFAULT_OUTPUT_TOKENS_PER_SECOND, require_device
from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.costs.latency.model import LatencyModel
from planner.costs.report import cost_report
from planner.costs.flops.lengths import check_seconds
from planner.costs.latency.transfer import DataSheet
from planner.errors import InputError, MissingResourceError, UnknownNameError
from planner.plan.explain import amount
from planner.words.records import Adaptation, Reduction
from planner.store import read, write
from planner.store.engine import exists, open_store
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
    model = _known_latency(db, device)
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


def _known_latency(db: str | None, device: str | None) -> LatencyModel | None:
    """The model of a device; the user's own backbones are known from here on.

    Raises:
        UnknownNameError: the device has neither measurements nor a data sheet.
    """
    if not exists(db):
        if device is not None and device not in DATA_SHEETS:
            raise UnknownNameError(
                "device", device, sorted(DATA_SHEETS), remedy="there is no database yet"
            )
        return devices.model_of(None, device, []) if device else None
    engine = open_store(db)
    try:
        read.load_backbones(engine)
        if device is None:
            return None
        require_device(engine, device, devices.measured_names(engine))
        stored = read.latencies(engine, device=device)
        return devices.model_of(engine, device, [s.latency for s in stored])
    finally:
        engine.dispose()


def cost_text(found: dict[str, Any], asked: dict[str, Any]) -> str:
    """Costs on one screen."""
    flops = found["flops"]
    tokens = found["output_tokens"]
    lines = [
        f"{asked['backbone']} · {asked['audio_seconds']:g} s · {asked['reduction']} · "
        f"{asked['adaptation']} · {tokens['value']} output tokens ({tokens['source']})",
        "",
        f"  FLOPs        {format_flops(flops['total']):<16}{flops['convention']}, one window",
    ]
    for part, value in flops["parts"].items():
        share = 100 * value / flops["total"] if flops["total"] else 0.0
        lines.append(f"    {part:<17}{format_flops(value):<14}{share:5.1f} %")
    for name, value in found["memory_bytes"].items():
        if isinstance(value, dict) and "total" in value:
            lines.append(f"  memory       {format_bytes(value['total']):<16}{name}")
    lines += [f"  training     {line}" for line in _training_lines(found["training"])]
    lines += _latency_lines(found.get("latency_ms"))
    return "\n".join(lines)


def _training_lines(training: dict[str, Any]) -> list[str]:
    keys = ("forward", "activation_gradients", "weight_gradients", "recomputed", "total")
    out = [f"{training['n_trainable']:<16,}trainable parameters, {training['adaptation']}"]
    return out + [
        f"{format_flops(training[k]):<16}{k.replace('_', ' ')}, one {training['per']}"
        for k in keys
        if training.get(k)
    ]


def _latency_lines(latency: dict[str, Any] | None) -> list[str]:
    if latency is None:
        return []
    shown = []
    for q in ("p50", "p95"):
        value, low, high = (amount("latency_ms", latency[k]) for k in (q, f"{q}_low", f"{q}_high"))
        where = f"{q} on {latency['device']}, {latency['source']}, 90 % [{low}, {high}]"
        shown.append(f"  latency      {value:<16}{where}")
    rate = latency["audio_seconds_per_second"]
    return [
        *shown,
        f"  real time    {latency['real_time_factor']:<16.3g}p50 / {latency['audio_seconds']:g} s of audio",
        f"  throughput   {rate:<16.3g}seconds of audio a second at batch {latency['batch_size']}",
    ]


def backbone_rows(db: str | None) -> list[dict[str, Any]]:
    """The catalogue as rows, the user's own backbones included."""
    if exists(db):
        engine = open_store(db)
        try:
            read.load_backbones(engine)
        finally:
            engine.dispose()
    keys = (
        "name", "family", "task", "n_params", "encoder_params", "d_model", "encoder_layers",
        "n_heads", "ffn_dim", "max_audio_seconds", "hub_id",
    )  # fmt: skip
    return [
        {k: getattr(catalogue.backbone(n), k) for k in keys} for n in catalogue.backbone_names()
    ]


def add_backbone(db: str | None, path_or_id: str, name: str | None) -> catalogue.Backbone:
    """Describe a backbone by its config.json and store it.

    Raises:
        InputError: the file is not a config, or its model type is not supported.
        MissingResourceError: it is neither a file nor reachable on the model hub.
    """
    config, source = _config(path_or_id)
    default = Path(source).parent.name if source.endswith("config.json") else source.split("/")[-1]
    hub_id = path_or_id if not Path(path_or_id).exists() else None
    added = catalogue.from_config(name or default or "custom", config, hub_id)
    catalogue.register(added)
    engine = open_store(db)
    try:
        write.add_backbone(engine, added)
    finally:
        engine.dispose()
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
    engine = open_store(db)
    try:
        devices.add_sheet(engine, sheet)
    finally:
        engine.dispose()
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
