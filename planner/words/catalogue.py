"""Backbones by their dimensions alone: enough to count parameters, FLOPs and memory without torch.

Dimensions are those of the checkpoints' `config.json` on the Hugging Face hub; `n_params` is counted
from them and agrees with transformers (tests/costs compare).

A user's own backbones are kept in a database, and hold for what is read from it alone: a `Catalogue` is
the built-in ones and those, and travels with what names them. Nothing in this module changes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from planner.errors import InputError, UnknownNameError
from planner.words.config_checks import check_config
from planner.words.families import families
from planner.words.families.base import Conformer, SampleListener

WHISPER_WINDOW_SECONDS = 30.0
"""Longest window of a Whisper encoder: 1500 positions of 20 ms (s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """Dimensions of a Whisper-style encoder-decoder."""

    name: str
    d_model: int
    encoder_layers: int
    decoder_layers: int
    n_heads: int
    n_mels: int
    vocab_size: int
    ffn_dim: int
    max_source_positions: int = 1500
    max_target_positions: int = 448
    hub_id: str | None = None
    family: str = "whisper"
    task: str = "asr"

    @property
    def encoder_params(self) -> int:
        """Trainable and position parameters of the encoder, the sinusoidal table included."""
        d, f = self.d_model, self.ffn_dim
        stem = 3 * self.n_mels * d + d + 3 * d * d + d
        layer = _attention(d) + 2 * d + (d * f + f + f * d + d) + 2 * d
        return stem + self.max_source_positions * d + self.encoder_layers * layer + 2 * d

    @property
    def decoder_params(self) -> int:
        """Parameters of the decoder; the output projection is tied to the embedding."""
        d, f = self.d_model, self.ffn_dim
        layer = 2 * (_attention(d) + 2 * d) + (d * f + f + f * d + d) + 2 * d
        tables = self.vocab_size * d + self.max_target_positions * d
        return tables + self.decoder_layers * layer + 2 * d

    @property
    def n_params(self) -> int:
        """All parameters, as transformers counts them (x_N)."""
        return self.encoder_params + self.decoder_params

    @property
    def max_audio_seconds(self) -> float:
        """Longest x_T in seconds: 20 ms for each position."""
        return self.max_source_positions / 50.0


def _attention(d: int) -> int:
    """Parameters of one attention block: four projections, no bias on the key."""
    return 4 * d * d + 3 * d


GATE_WIDTH = 8
"""Outputs of the linear layer that gates WavLM's position bias, for each head (arXiv 2110.13900)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wav2Vec2:
    """Dimensions of a wav2vec2-style encoder.

    With a head on its mean state it names a class, with one on each state it writes text by CTC. HuBERT
    has wav2vec2's dimensions. WavLM adds a position bias by distance, in `relative_buckets`, that each
    layer gates by its input; 0 means that there is none.
    """

    name: str
    d_model: int
    encoder_layers: int
    n_heads: int
    ffn_dim: int
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    layer_norm_each_conv: bool = False
    pos_conv_kernel: int = 128
    pos_conv_groups: int = 16
    relative_buckets: int = 0
    projection_size: int = 256
    n_labels: int = 6
    vocab_size: int = 32
    hub_id: str | None = None
    family: str = "wav2vec2"
    task: str = "emotion"

    @property
    def encoder_params(self) -> int:
        """Parameters of the encoder as transformers counts them, mask embedding included."""
        d, f, c = self.d_model, self.ffn_dim, self.conv_dim
        front, previous = 0, 1
        for i, (width, kernel) in enumerate(zip(c, self.conv_kernel, strict=True)):
            front += previous * width * kernel + (width if self.conv_bias else 0)
            front += 2 * width if self.layer_norm_each_conv or i == 0 else 0
            previous = width
        projection = 2 * c[-1] + c[-1] * d + d
        positions = d * d // self.pos_conv_groups * self.pos_conv_kernel + self.pos_conv_kernel + d
        layer = 4 * (d * d + d) + 2 * d + (d * f + f + f * d + d) + 2 * d
        if self.relative_buckets:
            layer += GATE_WIDTH * (d // self.n_heads + 1) + self.n_heads
            positions += self.relative_buckets * self.n_heads
        return front + projection + d + positions + self.encoder_layers * layer + 2 * d

    def head_params(self, task: str) -> int:
        """Parameters of a task's head: one projection to the vocabulary, or two to the classes."""
        if task == "asr":
            return self.d_model * self.vocab_size + self.vocab_size
        p = self.projection_size
        return self.d_model * p + p + p * self.n_labels + self.n_labels

    @property
    def n_params(self) -> int:
        """Encoder and the head of the checkpoint's own task (x_N)."""
        return self.encoder_params + self.head_params(self.task)

    @property
    def max_audio_seconds(self) -> float:
        """Longest x_T accepted here: 60 s (assumption: attention memory, not the model, is the bound)."""
        return 60.0


Backbone = Whisper | Wav2Vec2 | SampleListener | Conformer


def writes_by_ctc(backbone: Backbone, task: str) -> bool:
    """Whether text is read off the encoder's own states, without a decoder."""
    return task == "asr" and isinstance(backbone, Wav2Vec2 | Conformer)


def _whisper(name: str, d: int, layers: int, heads: int, **kw: Any) -> Whisper:
    english = name.endswith(".en")
    values: dict[str, Any] = {
        "n_mels": 80,
        "vocab_size": 51864 if english else 51865,
        "ffn_dim": 4 * d,
    }
    values |= {"decoder_layers": layers, "hub_id": f"openai/{name}"} | kw
    return Whisper(name=name, d_model=d, encoder_layers=layers, n_heads=heads, **values)


_BUILT_IN: tuple[Backbone, ...] = (
    _whisper("whisper-tiny", 384, 4, 6),
    _whisper("whisper-tiny.en", 384, 4, 6),
    _whisper("whisper-base", 512, 6, 8),
    _whisper("whisper-base.en", 512, 6, 8),
    _whisper("whisper-small", 768, 12, 12),
    _whisper("whisper-small.en", 768, 12, 12),
    _whisper("whisper-medium", 1024, 24, 16),
    _whisper("whisper-medium.en", 1024, 24, 16),
    _whisper("whisper-large-v3", 1280, 32, 20, n_mels=128, vocab_size=51866),
    _whisper("whisper-large-v3-turbo", 1280, 32, 20, n_mels=128, vocab_size=51866, decoder_layers=4),
    # Distilled from Whisper: its encoder, and few of its decoder's layers (arXiv 2311.00430).
    _whisper("distil-small.en", 768, 12, 12, decoder_layers=4, hub_id="distil-whisper/distil-small.en"),
    _whisper("distil-medium.en", 1024, 24, 16, decoder_layers=2, hub_id="distil-whisper/distil-medium.en"),
    _whisper("distil-large-v2", 1280, 32, 20, decoder_layers=2, hub_id="distil-whisper/distil-large-v2"),
    _whisper(
        "distil-large-v3", 1280, 32, 20, n_mels=128, vocab_size=51866, decoder_layers=2,
        hub_id="distil-whisper/distil-large-v3",
    ),
    Wav2Vec2(
        name="wav2vec2-base", d_model=768, encoder_layers=12, n_heads=12, ffn_dim=3072,
        hub_id="facebook/wav2vec2-base",
    ),
    Wav2Vec2(
        name="wav2vec2-large-robust", d_model=1024, encoder_layers=24, n_heads=16, ffn_dim=4096,
        conv_bias=True, layer_norm_each_conv=True, hub_id="facebook/wav2vec2-large-robust",
    ),
    Wav2Vec2(
        name="hubert-base", d_model=768, encoder_layers=12, n_heads=12, ffn_dim=3072,
        hub_id="facebook/hubert-base-ls960",
    ),
    Wav2Vec2(
        name="wav2vec2-base-960h", d_model=768, encoder_layers=12, n_heads=12, ffn_dim=3072,
        hub_id="facebook/wav2vec2-base-960h", task="asr",
    ),
    Wav2Vec2(
        name="hubert-large-ls960-ft", d_model=1024, encoder_layers=24, n_heads=16, ffn_dim=4096,
        conv_bias=True, layer_norm_each_conv=True, hub_id="facebook/hubert-large-ls960-ft", task="asr",
    ),
    Wav2Vec2(
        name="wavlm-base-plus", d_model=768, encoder_layers=12, n_heads=12, ffn_dim=3072,
        relative_buckets=320, hub_id="microsoft/wavlm-base-plus",
    ),
    Wav2Vec2(
        name="wavlm-large", d_model=1024, encoder_layers=24, n_heads=16, ffn_dim=4096,
        layer_norm_each_conv=True, relative_buckets=320, hub_id="microsoft/wavlm-large",
    ),
    # Test-sized shapes of each family. No weights exist for them anywhere: initialisation = "random".
    _whisper("whisper-micro", 64, 2, 2, hub_id=None),
    Wav2Vec2(
        name="wav2vec2-micro", d_model=64, encoder_layers=2, n_heads=2, ffn_dim=128,
        conv_dim=(32,) * 7, pos_conv_kernel=16, pos_conv_groups=4, projection_size=32,
    ),
    Wav2Vec2(
        name="wavlm-micro", d_model=64, encoder_layers=2, n_heads=2, ffn_dim=128,
        conv_dim=(32,) * 7, pos_conv_kernel=16, pos_conv_groups=4, relative_buckets=32, projection_size=32,
    ),
)  # fmt: skip

_ALL = (*_BUILT_IN, *(b for family in families().values() for b in family.built_in))
_BUILT_IN_NAMES = MappingProxyType({b.name: b for b in _ALL})
_BUILT_IN_HUB_IDS = MappingProxyType({b.hub_id: b for b in _ALL if b.hub_id})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The built-in backbones and those of one database; an own one never takes a built-in name's place."""

    own: tuple[Backbone, ...] = ()
    unusable: tuple[tuple[str, str], ...] = ()
    """Names that are stored with something that is no backbone, and what is wrong."""

    @property
    def names(self) -> tuple[str, ...]:
        """All known names, built-in first."""
        return tuple(dict.fromkeys([*_BUILT_IN_NAMES, *(b.name for b in self.own)]))

    @property
    def backbones(self) -> tuple[Backbone, ...]:
        """All backbones, in the order of `names`."""
        return tuple(map(self.backbone, self.names))

    def backbone(self, name: str) -> Backbone:
        """The backbone of that name; a hub id such as `openai/whisper-tiny` finds the same one.

        Raises:
            UnknownNameError: the name is not in the catalogue.
            InputError: what is stored under it is no backbone.

        >>> Catalogue().backbone("openai/whisper-tiny").name
        'whisper-tiny'
        """
        built_in = _BUILT_IN_NAMES.get(name) or _BUILT_IN_HUB_IDS.get(name)
        if built_in is not None:
            return built_in
        for key in ("name", "hub_id"):
            for candidate in self.own:
                if getattr(candidate, key) == name:
                    return candidate
        if (wrong := dict(self.unusable).get(name)) is not None:
            raise InputError(wrong)
        raise UnknownNameError(
            "backbone",
            name,
            self.names,
            remedy="add one of your own with: soundscale backbones add PATH",
        )


BUILT_IN = Catalogue()
"""Without anybody's own: what holds where no database is read."""


def backbone(name: str) -> Backbone:
    """The built-in backbone of that name or hub id; a database's own are found in its `Catalogue`.

    Raises:
        UnknownNameError: no built-in one has it.
    """
    return BUILT_IN.backbone(name)


def check_own(backbone: Backbone) -> None:
    """Refuse an own backbone under a built-in name or hub id: stored runs mean the built-in one by it.

    Raises:
        InputError: the name is built in, with other dimensions.
    """
    built_in = _BUILT_IN_NAMES.get(backbone.name) or _BUILT_IN_HUB_IDS.get(backbone.name)
    if built_in is not None and built_in != backbone:
        raise InputError(
            f"backbone {backbone.name!r} is built in, and stored runs mean that one by it; "
            "give yours another name with --name"
        )


def from_config(name: str, config: dict[str, Any], hub_id: str | None = None) -> Backbone:
    """A backbone described by its Hugging Face `config.json`.

    Raises:
        InputError: the model type is not supported or a key is missing.
    """
    check_config(name, config)
    kind = config.get("model_type")
    try:
        if kind == "whisper":
            return Whisper(
                name=name, d_model=config["d_model"], encoder_layers=config["encoder_layers"],
                decoder_layers=config["decoder_layers"], n_heads=config["encoder_attention_heads"],
                n_mels=config["num_mel_bins"], vocab_size=config["vocab_size"], ffn_dim=config["encoder_ffn_dim"],
                max_source_positions=config["max_source_positions"],
                max_target_positions=config["max_target_positions"], hub_id=hub_id,
            )  # fmt: skip
        if kind in ("wav2vec2", "hubert", "wavlm"):
            return Wav2Vec2(
                name=name, d_model=config["hidden_size"], encoder_layers=config["num_hidden_layers"],
                n_heads=config["num_attention_heads"], ffn_dim=config["intermediate_size"],
                conv_dim=tuple(config["conv_dim"]), conv_kernel=tuple(config["conv_kernel"]),
                conv_stride=tuple(config["conv_stride"]), conv_bias=config["conv_bias"],
                layer_norm_each_conv=config["feat_extract_norm"] == "layer",
                pos_conv_kernel=config["num_conv_pos_embeddings"],
                pos_conv_groups=config["num_conv_pos_embedding_groups"],
                relative_buckets=config["num_buckets"] if kind == "wavlm" else 0,
                projection_size=config.get("classifier_proj_size", 256),
                vocab_size=config.get("vocab_size", 32), hub_id=hub_id,
                task="asr" if _writes(config) else "emotion",
            )  # fmt: skip
        for family in families().values():
            if kind in family.model_types:
                return family.shape(name=name, hub_id=hub_id, **family.read(name, config))
    except KeyError as missing:
        raise InputError(
            f"config of {name!r} has no key {missing}; give the model's own config.json"
        ) from None
    types = ["whisper", "wav2vec2", "hubert", "wavlm"]
    types += [kind for family in families().values() for kind in family.model_types]
    raise InputError(
        f"model type {kind!r} of {name!r} is not supported; supported: {', '.join(types)}"
    )


def _writes(config: dict[str, Any]) -> bool:
    """Whether the checkpoint says that it was tuned to write by CTC."""
    return any(str(name).endswith("ForCTC") for name in config.get("architectures") or ())


def to_config(value: Backbone) -> dict[str, Any]:
    """All dimensions as plain JSON values, for the store."""
    return dataclasses.asdict(value)


def from_stored(value: dict[str, Any]) -> Backbone:
    """The backbone that `to_config` wrote, trusted; see `planner.words.stored_backbone` for a database's."""
    tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    return shape_of(value["family"])(**tuples)


def shape_of(family: object) -> type[Backbone]:
    """The class of a family's backbones; a family of somebody's own has wav2vec2's dimensions."""
    if family == "whisper":
        return Whisper
    known = families().get(str(family))  # what is stored may be of any kind
    return Wav2Vec2 if known is None else known.shape
