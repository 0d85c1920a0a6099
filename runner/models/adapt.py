"""What is trained: LoRA, LoRA with the top layers in full, everything, or nothing.

Adapters are injected into the module itself (peft), so that its forward and `generate` stay its own.
Every trainable tensor is saved, heads and top layers included: saving through a peft model keeps
`lora_*` alone and loses the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from planner.errors import InputError, MissingResourceError
from planner.words.records import Adaptation, Resources
from planner.words.treatments import decoder_only
from runner.models.base import SpeechModel, SplitModel

ADAPTER_FILE, PEFT_FILE = "adapter_model.safetensors", "adapter_config.json"
OLD_ADAPTER_FILE = "adapter.safetensors"
META_FILE = "adapter.json"

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Precision of deployed weights, and torch's name of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Parameters that share a learning rate: `lora`, `top_k`, `full` or `head`."""

    name: str
    parameters: tuple[nn.Parameter, ...]


def _is_under(name: str, roots: Sequence[str]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


def target_names(model: SpeechModel, adaptation: Adaptation) -> list[str]:
    """Names of the linear layers that get an adapter.

    `all-linear` means every linear layer but output projections and heads; otherwise `targets` is a
    comma-separated list of last name parts (`q_proj,v_proj`). With `decoder.` before each of them only
    the decoder gets adapters, so that the encoder stays frozen and runs once for each window. Layers
    that are trained in full get none: an adapter could add nothing to them.

    Raises:
        InputError: a named target does not exist in the model.
    """
    in_full = [name for name, _ in top_layers(model, adaptation.top_k_layers)]
    left_out = [*in_full, *model.frozen_linear_names(), *model.head_names()]
    linear = [
        name
        for name, module in model.module.named_modules()
        if isinstance(module, nn.Linear) and not _is_under(name, left_out)
    ]
    targets = adaptation.targets
    if decoder_only(targets):
        linear = [name for name in linear if ".decoder." in name]
        targets = targets.replace("decoder.", "")
    if targets == "all-linear" and linear:
        return linear
    wanted = [part.strip() for part in targets.split(",") if part.strip()]
    last_parts = {name.rsplit(".", 1)[-1] for name in linear}
    absent = [part for part in wanted if part not in last_parts]
    if absent or not wanted:
        raise InputError(
            f"LoRA targets {adaptation.targets!r} name {', '.join(absent) or 'nothing'}, which the model "
            f"does not have; it has {', '.join(sorted(last_parts))}, or write all-linear"
        )
    return [name for name in linear if name.rsplit(".", 1)[-1] in wanted]


def top_layers(model: SpeechModel, k: int) -> list[tuple[str, nn.Module]]:
    """The k highest encoder layers, which lora+top-k trains in full.

    Raises:
        InputError: the encoder has fewer than k layers.
    """
    layers = list(model.encoder_layers())
    if k > len(layers):
        raise InputError(
            f"top_k_layers is {k}, but {model.backbone.name} has {len(layers)} encoder layers; "
            f"use at most {len(layers)}"
        )
    return layers[len(layers) - k :]


def _inject(model: SpeechModel, adaptation: Adaptation, seed: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=adaptation.lora_rank,
        lora_alpha=adaptation.lora_alpha,
        lora_dropout=adaptation.lora_dropout,
        target_modules=target_names(model, adaptation),
        bias="none",
        use_rslora=adaptation.rslora,
        use_dora=adaptation.dora,
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    inject_adapter_in_model(config, model.module)
    torch.random.set_rng_state(state)


def _take(module: nn.Module, names: Sequence[str]) -> tuple[nn.Parameter, ...]:
    chosen = [p for name, p in module.named_parameters() if _is_under(name, names)]
    for parameter in chosen:
        parameter.requires_grad_(True)
    return tuple(chosen)


def adapt(model: SpeechModel, adaptation: Adaptation, seed: int) -> list[Group]:
    """Freeze the module, add what the adaptation asks for, and group what is trained.

    Whisper's sinusoidal positions stay frozen always: they are a constant of the architecture.

    Raises:
        InputError: a LoRA target or a top layer does not exist.
    """
    module, layers = model.module, top_layers(model, adaptation.top_k_layers)
    module.requires_grad_(False)
    groups: list[Group] = []
    if adaptation.kind.startswith("lora"):
        _inject(model, adaptation, seed)
        lora = tuple(p for name, p in module.named_parameters() if "lora_" in name)
        for parameter in lora:
            parameter.requires_grad_(True)
        groups.append(Group(name="lora", parameters=lora))
    if layers:
        names = [name for name, _ in layers]
        groups.append(Group(name="top_k", parameters=_take(module, names)))
    heads = model.head_names()
    if adaptation.kind == "full":
        body = [
            name
            for name, _ in module.named_parameters()
            if not _is_under(name, heads) and not name.endswith("encoder.embed_positions.weight")
        ]
        groups.append(Group(name="full", parameters=_take(module, body)))
    if heads and adaptation.kind != "none":
        groups.append(Group(name="head", parameters=_take(module, heads)))
    return groups


def execute_as(model: SpeechModel, resources: Resources) -> None:
    """Apply what changes time and memory but not the result: checkpointed layers, a compiled encoder.

    Raises:
        InputError: the model's class does not offer it.
    """
    if resources.gradient_checkpointing:
        enable = getattr(model.module, "activation_checkpointing_enable", None)
        # The name in transformers 5.0, which warns in later versions.
        enable = enable or getattr(model.module, "gradient_checkpointing_enable", None)
        if enable is None:
            raise InputError(
                f"{type(model.module).__name__} cannot checkpoint gradients; set gradient_checkpointing = "
                "false in [resources]"
            )
        enable({"use_reentrant": False})
    if resources.compile:
        if not isinstance(model, SplitModel):
            raise InputError(
                f"model family {model.backbone.family} names no encoder to compile; set compile = false "
                "in [resources]"
            )
        model.module.get_submodule(model.encoder_root).compile()


def trainable(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters that training changes, tied ones once."""
    return ((name, p) for name, p in module.named_parameters() if p.requires_grad)


def save(module: nn.Module, folder: Path, meta: dict[str, Any]) -> Path:
    """Write every trainable tensor and what it takes to rebuild the module; atomic per file.

    An adapter is a standard folder of peft's, which `PeftModel.from_pretrained` loads onto the base.
    Returns the folder. `meta` must be plain JSON (trial, labels, weights digest).
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {standard_name(name): p.detach().cpu().contiguous() for name, p in trainable(module)}
    part = folder / (ADAPTER_FILE + ".part")
    save_file(tensors, part, metadata={"format": "pt"})
    part.replace(folder / ADAPTER_FILE)
    config = peft_config(module)
    files = {META_FILE: meta} | ({} if config is None else {PEFT_FILE: config})
    for name, content in files.items():
        part = folder / (name + ".part")
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
        part.replace(folder / name)
    return folder


def standard_name(name: str) -> str:
    """A live parameter's name as peft writes it to a file.

    >>> standard_name("model.encoder.layers.0.fc1.lora_A.default.weight")
    'base_model.model.model.encoder.layers.0.fc1.lora_A.weight'
    """
    short = name.replace(".default.", ".")
    if ".lora_magnitude_vector." in short:
        short = short.removesuffix(".weight")
    return f"base_model.model.{short}"


def peft_config(module: nn.Module) -> dict[str, Any] | None:
    """What adapter_config.json says of the adapters that a module holds; None where it has none."""
    named = [(name, part) for name, part in module.named_modules() if hasattr(part, "lora_A")]
    if not named:
        return None
    from peft import LoraConfig

    layer: Any = named[0][1]
    rank, alpha = layer.r["default"], layer.lora_alpha["default"]
    in_full = {name.rpartition(".")[0] for name, _ in trainable(module) if "lora_" not in name}
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=sorted(name for name, _ in named),
        modules_to_save=sorted(in_full) or None,
        use_rslora=rank > 1 and layer.scaling["default"] != alpha / rank,
        use_dora=bool(layer.use_dora["default"]),
        bias="none",
        inference_mode=True,
    ).to_dict()
    return {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}


def load(module: nn.Module, folder: Path) -> None:
    """Put saved tensors into a module that was built and adapted as the saved one was.

    Raises:
        InputError: the file's tensors are not exactly the module's trainable ones.
        MissingResourceError: the folder holds none.
    """
    from safetensors.torch import load_file

    own = {standard_name(name): parameter for name, parameter in trainable(module)}
    path = folder / ADAPTER_FILE
    if not path.is_file():
        # As versions before peft's names wrote it, under live names.
        path, own = folder / OLD_ADAPTER_FILE, dict(trainable(module))
    if not path.is_file():
        raise MissingResourceError(
            f"trained tensors {folder / ADAPTER_FILE} are not there; train it again, or restore the folder"
        )
    saved = load_file(path)
    different = sorted(set(saved) ^ set(own))
    if different:
        raise InputError(
            f"adapter {folder} does not fit the module: {len(different)} tensors differ, first {different[0]}; "
            "rebuild the module with the adapter's own trial"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(saved[name])


def _lora_layers(module: nn.Module) -> list[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [part for part in module.modules() if isinstance(part, BaseTunerLayer)]


def merge(module: nn.Module) -> None:
    """Add the adapters' products to the frozen weights, for inference without overhead."""
    for layer in _lora_layers(module):
        layer.merge()


def deploy(model: SpeechModel, precision: str) -> None:
    """Make a trained model what is deployed: adapters merged, then all weights cast once.

    Cast once and not by autocast, which casts every frozen weight again for each token: 750 against 253 ms a
    window of tiny.en in bfloat16 on a CPU. Features are then given in `DTYPES[precision]`.
    """
    merge(model.module)
    model.module.to(DTYPES[precision])


def unmerge(module: nn.Module) -> None:
    """Undo `merge`."""
    for layer in _lora_layers(module):
        layer.unmerge()
