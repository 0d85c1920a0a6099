"""Whisper on all three axes, without touching its forward or its generate.

x_T: the sinusoidal position table is cut to the window's tokens, `max_source_positions` follows on
the model and its encoder, and the features have two frames a token. x_V: `stem` widens the second
convolution's stride and keeps every k-th position; `layer` and `output` reduce by forward hooks.
x_N: any Whisper dimensions of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from planner.costs.flops.lengths import encoder_positions, mel_frames
from planner.errors import InputError
from planner.words.catalogue import Whisper
from planner.words.records import Decoding, Trial
from runner.models.base import (
    SAMPLE_RATE,
    Audio,
    BuildRequest,
    Prediction,
    Tokenizer,
    own_length,
)
from runner.models.decode import Specials, greedy, guarded
from runner.models.logmel import HOP, log_mel
from runner.models.reduction import attach_to_layers

NEW_TENSORS = (
    "projector.",
    "classifier.",
    "proj_out.",
    "lm_head.",
    "ctc_head.",
    "wav2vec2_bert.masked_spec",
    "wav2vec2.masked_spec",
    "hubert.masked_spec",
    "wavlm.masked_spec",
)
"""Names that a checkpoint may lack: new heads, the tied projection, and wav2vec2's mask embedding."""


def config_of(backbone: Whisper, **overrides: Any) -> Any:
    """Transformers' WhisperConfig with the catalogue's dimensions."""
    from transformers import WhisperConfig

    special = Specials.of(backbone.vocab_size)
    return WhisperConfig(
        vocab_size=backbone.vocab_size,
        num_mel_bins=backbone.n_mels,
        d_model=backbone.d_model,
        encoder_layers=backbone.encoder_layers,
        decoder_layers=backbone.decoder_layers,
        encoder_attention_heads=backbone.n_heads,
        decoder_attention_heads=backbone.n_heads,
        encoder_ffn_dim=backbone.ffn_dim,
        decoder_ffn_dim=backbone.ffn_dim,
        max_source_positions=backbone.max_source_positions,
        max_target_positions=backbone.max_target_positions,
        pad_token_id=special.end,
        bos_token_id=special.end,
        eos_token_id=special.end,
        decoder_start_token_id=special.prompt[0],
        **overrides,
    )


def instantiate(
    cls: Any,
    config: Any,
    state: Mapping[str, Tensor] | None,
    seed: int,
    attention: str,
    device: torch.device,
) -> nn.Module:
    """A module with copies of the given tensors, or randomly initialised from the seed.

    It is built on the CPU, so that a seed means the same everywhere; for the meta device (shapes
    alone) it has no values.

    Tensors that the module has no place for are ignored (a decoder's, under a classifier); only a
    new head may be missing, and is initialised from the seed as transformers does.

    Raises:
        InputError: the checkpoint lacks tensors of the backbone.
    """
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if state is None:
            with torch.device("meta" if device.type == "meta" else "cpu"):
                fresh: nn.Module = cls(config)
            return fresh.eval()
        # Built without storage: initialising what is overwritten at once takes longer than reading it.
        with torch.device("meta"):
            module: Any = cls(config)
        module.to_empty(device="cpu")
        held = module.state_dict()
        computed = [name for name, _ in module.named_buffers() if name not in held]
        if computed:  # what no file holds, such as the frequencies of rotary positions
            whole: Any = cls(config)
            for name in computed:
                module.get_buffer(name).copy_(whole.get_buffer(name))
        _fill(module, state, config)
    return cast("nn.Module", module.eval())


def _fill(module: Any, state: Mapping[str, Tensor], config: Any) -> None:
    own = module.state_dict(keep_vars=True)
    missing = [name for name in own if name not in state]
    lost = [name for name in missing if not name.startswith(NEW_TENSORS)]
    if lost:
        raise InputError(
            f"weights lack {len(lost)} tensors of the backbone, first {lost[0]}; "
            "give the checkpoint of this very backbone"
        )
    spread = getattr(config, "init_std", None) or getattr(config, "initializer_range", 0.02)
    with torch.no_grad():
        for name, tensor in own.items():
            if name in state:
                tensor.copy_(state[name])
            elif name.endswith(".bias"):
                tensor.zero_()
            else:
                tensor.normal_(0.0, spread)


def shorten(encoder: Any, config: Any, backbone: Whisper, trial: Trial) -> int:
    """Apply x_T, and x_V at the stem, to a Whisper encoder in place; the mel frames it then takes.

    `max_source_positions` follows, so that Whisper's own check of the input's length holds.

    Raises:
        InputError: x_T, padding or reduction are not possible on this backbone.
    """
    cut = (backbone, trial.audio_seconds, trial.reduction, trial.padding)
    n_frames, n_positions = mel_frames(*cut), encoder_positions(*cut)
    factor = trial.reduction.factor if trial.reduction.place == "stem" else 1
    encoder.conv2.stride = (2 * factor,)
    table = encoder.embed_positions.weight.data
    positions = nn.Embedding(n_positions, backbone.d_model, device=table.device)
    positions.weight.data.copy_(table[::factor][:n_positions])
    positions.weight.requires_grad_(False)
    encoder.embed_positions = positions
    config.max_source_positions = encoder.max_source_positions = n_positions
    if trial.padding == "bucketed":
        encoder.register_forward_pre_hook(_follow_length, with_kwargs=True)
    return n_frames


def _follow_length(encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Let the position table end with the input, up to the rows that x_T left of it."""
    features = args[0] if args else kwargs["input_features"]
    n_positions = features.shape[-1] // (encoder.conv1.stride[0] * encoder.conv2.stride[0])
    encoder.config.max_source_positions = encoder.max_source_positions = n_positions
    encoder.embed_positions.num_embeddings = n_positions


class MelLengths:
    """Log-mel features of windows, at x_T's length or as long as the longest of them."""

    features_per_second = float(SAMPLE_RATE // HOP)

    def __init__(
        self, backbone: Whisper, trial: Trial, n_frames: int, device: torch.device
    ) -> None:
        self.varies = trial.padding == "bucketed"
        self.full_length = n_frames
        self._unit = 2 * trial.reduction.factor
        self._n_mels = backbone.n_mels
        self._device = device

    def features(self, windows: Sequence[Audio]) -> Tensor:
        """Log-mel features at x_T, shape (n, n_mels, frames)."""
        return log_mel(windows, self.full_length, self._n_mels, self._device)

    def own_features(self, windows: Sequence[Audio]) -> Tensor:
        """Log-mel features as long as the longest window, shape (n, n_mels, frames)."""
        frames = own_length(windows, SAMPLE_RATE // HOP, self._unit, self.full_length)
        return log_mel(windows, frames, self._n_mels, self._device)

    def lengthen(self, features: Tensor, length: int) -> Tensor:
        """Frames of digital silence after the last one: 8 decades below the window's loudest."""
        silence = float(features.max()) - 2.0
        return nn.functional.pad(features, (0, length - features.shape[-1]), value=silence)


class ByteTokenizer:
    """UTF-8 bytes as ids, for randomly initialised models, which have no vocabulary to be true to.

    The ids start where neither Whisper vocabulary has special or suppressed ones.
    """

    FIRST = 24_000

    def encode(self, text: str) -> list[int]:
        """An id for each byte."""
        return [self.FIRST + byte for byte in text.encode()]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids that stand for bytes; others are left out."""
        text_bytes = bytes(i - self.FIRST for i in ids if 0 <= i - self.FIRST < 256)
        return text_bytes.decode(errors="replace")


class WhisperRecogniser:
    """Whisper that writes text: features, loss and greedy decoding at the trial's x_T and x_V."""

    encoder_root = "model.encoder"

    def __init__(
        self,
        module: nn.Module,
        backbone: Whisper,
        lengths: MelLengths,
        tokenizer: Tokenizer,
        device: torch.device,
        language: str | None = None,
    ) -> None:
        self.module = module.to(device)
        self.backbone = backbone
        self.features, self.own_features = lengths.features, lengths.own_features
        self.lengthen = lengths.lengthen
        self.varies, self.full_length = lengths.varies, lengths.full_length
        self.features_per_second = lengths.features_per_second
        self.tokenizer = tokenizer
        self.device = device
        self.special = Specials.of(backbone.vocab_size, language)
        self.n_prompt_tokens = len(self.special.prompt)

    def targets(self, references: Sequence[str]) -> list[list[int]]:
        """Token ids of each text with the end token, cut to the decoder's length."""
        room = self.backbone.max_target_positions - len(self.special.prompt)
        ids = [self.tokenizer.encode(text) for text in references]
        return [[*one[: room - 1], self.special.end] for one in ids]

    def loss(self, features: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Summed cross-entropy of the text tokens; the prompt is given and not learnt."""
        return self.loss_from_states(self.encode(features), targets)

    def loss_from_states(self, states: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """The loss, from encoder states."""
        prompt = list(self.special.prompt)
        longest = len(prompt) - 1 + max(len(t) for t in targets)
        inputs = torch.full((len(targets), longest), self.special.end)
        labels = torch.full((len(targets), longest), -100)
        for row, target in enumerate(targets):
            n = len(prompt) - 1 + len(target)
            inputs[row, :n] = torch.tensor([*prompt, *target[:-1]])
            labels[row, len(prompt) - 1 : n] = torch.tensor(list(target))
        inputs, labels = inputs.to(self.device), labels.to(self.device)
        hidden = self.module.model.decoder(  # type: ignore[operator, union-attr]
            input_ids=inputs, encoder_hidden_states=states, use_cache=False
        ).last_hidden_state
        # The vocabulary projection is the widest product of a small Whisper: only where it is scored.
        real = labels != -100
        logits: Tensor = self.module.proj_out(hidden[real])  # type: ignore[operator]
        return nn.functional.cross_entropy(logits.float(), labels[real], reduction="sum")

    def encode(self, features: Tensor) -> Tensor:
        """Encoder states after all reductions, shape (n, tokens, d_model)."""
        states: Tensor = self.module.model.encoder(features).last_hidden_state  # type: ignore[operator, union-attr]
        return states

    def decode(
        self,
        encoded: Tensor,
        decoding: Decoding,
        limits: Sequence[int] | None = None,
        exactly: int | None = None,
    ) -> list[Prediction]:
        """Greedy transcripts of a batch of windows."""
        if exactly:
            rows = greedy(self.module, encoded, self.special, decoding, exactly=exactly)
        else:
            text_of = self.tokenizer.decode
            rows = guarded(self.module, encoded, self.special, decoding, text_of, limits=limits)
        return [
            Prediction(
                text=self.tokenizer.decode(row.ids).strip(),
                n_tokens=row.n_tokens,
                token_ids=tuple(row.ids),
                fell_back=row.fell_back,
                repeats_cut=row.repeats_cut,
            )
            for row in rows
        ]

    def encoder_layers(self) -> Sequence[tuple[str, nn.Module]]:
        """The encoder's layers, lowest first."""
        layers = self.module.model.encoder.layers  # type: ignore[union-attr]
        return [(f"model.encoder.layers.{i}", layer) for i, layer in enumerate(layers)]  # type: ignore[arg-type]

    def head_names(self) -> tuple[str, ...]:
        """None: the decoder is pretrained."""
        return ()

    def frozen_linear_names(self) -> tuple[str, ...]:
        """The output projection, which is tied to the embedding."""
        return ("proj_out",)


def build(request: BuildRequest) -> WhisperRecogniser:
    """Whisper for the trial's axes, with pretrained or random weights.

    Raises:
        InputError: the backbone is no Whisper, x_T is too long, or the reduction is impossible.
    """
    from transformers import WhisperForConditionalGeneration

    trial, backbone = request.trial, request.backbone
    if not isinstance(backbone, Whisper):
        raise InputError(
            f"backbone {backbone.name!r} is no Whisper; name one for speech recognition"
        )
    if request.tokenizer is None:
        raise InputError(f"backbone {backbone.name!r} needs a tokenizer to write text")
    module: Any = instantiate(
        WhisperForConditionalGeneration,
        config_of(backbone),
        request.state,
        trial.seed,
        request.attention,
        request.device,
    )
    module.tie_weights()
    encoder = module.model.encoder
    n_frames = shorten(encoder, module.config, backbone, trial)
    attach_to_layers(encoder, encoder.layers, trial.reduction, backbone.name)
    lengths = MelLengths(backbone, trial, n_frames, request.device)
    return WhisperRecogniser(
        module, backbone, lengths, request.tokenizer, request.device, trial.language
    )
