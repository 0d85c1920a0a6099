"""Moonshine on all three axes, in transformers' own class.

x_T is native: positions are rotary, and the encoder's length follows the samples. x_V: `stem` widens the last
convolution's stride, and positions keep their distance in time; `layer k` reduces the states, and the positions
with them; `output` reduces what the decoder attends to.

The group norm behind the first convolution takes its statistics over the whole window, so that silence added to a
clip changes it: every window is of x_T seconds, in training and in scoring, whatever else is in its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from planner.costs.flops.lengths import encoder_positions
from planner.errors import InputError
from planner.words.families.moonshine import Moonshine
from planner.words.records import Decoding, Reduction
from runner.models.base import SAMPLE_RATE, Audio, BuildRequest, Prediction, Tokenizer
from runner.models.decode import Specials, greedy
from runner.models.logmel import stack
from runner.models.reduction import attach_to_layers
from runner.models.whisper import WhisperRecogniser, instantiate

START, END = 1, 2
"""Ids of `<s>` and `</s>` in Moonshine's vocabulary."""


def config_of(backbone: Moonshine) -> Any:
    """Transformers' MoonshineConfig with the catalogue's dimensions."""
    from transformers import MoonshineConfig

    config = MoonshineConfig(
        vocab_size=backbone.vocab_size,
        hidden_size=backbone.d_model,
        intermediate_size=backbone.ffn_dim,
        encoder_num_hidden_layers=backbone.encoder_layers,
        decoder_num_hidden_layers=backbone.decoder_layers,
        encoder_num_attention_heads=backbone.n_heads,
        decoder_num_attention_heads=backbone.n_heads,
        pad_head_dim_to_multiple_of=backbone.head_multiple,
        max_position_embeddings=backbone.max_target_positions,
        decoder_start_token_id=START,
        bos_token_id=START,
        eos_token_id=END,
    )
    # The one name that the greedy decoder asks of a configuration.
    config.max_target_positions = backbone.max_target_positions
    return config


class MoonshineRecogniser(WhisperRecogniser):
    """Moonshine that writes text. The trial's tokens a second bound its output: it has no rule of its own."""

    def __init__(
        self, module: nn.Module, backbone: Moonshine, request: BuildRequest, tokenizer: Tokenizer
    ) -> None:
        self.module = module.to(request.device)
        self.backbone = backbone  # type: ignore[assignment]
        self.tokenizer = tokenizer
        self.device = request.device
        self.varies = False
        self.full_length = round(request.trial.audio_seconds * SAMPLE_RATE)
        self.features_per_second = float(SAMPLE_RATE)
        self.special = Specials(prompt=(START,), end=END, silent=())
        self.n_prompt_tokens = 1
        self.features = self.own_features = self._samples

    def _samples(self, windows: Sequence[Audio]) -> Tensor:
        """Samples at x_T as they are, shape (n, samples)."""
        return stack(windows, self.full_length).to(self.device)

    def decode(
        self,
        encoded: Tensor,
        decoding: Decoding,
        limits: Sequence[int] | None = None,
        exactly: int | None = None,
    ) -> list[Prediction]:
        """Greedy transcripts of a batch of windows; Whisper's second decoding is not Moonshine's."""
        rows = greedy(
            self.module, encoded, self.special, decoding.unguarded,
            limits=limits, exactly=exactly, suppress=False,
        )  # fmt: skip
        return [
            Prediction(
                text=self.tokenizer.decode(row.ids).strip(),
                n_tokens=row.n_tokens,
                token_ids=tuple(row.ids),
            )
            for row in rows
        ]


def build(request: BuildRequest) -> MoonshineRecogniser:
    """Moonshine for the trial's axes, with pretrained or random weights.

    Raises:
        InputError: the backbone is none, the task is not recognition, x_T is too short or too long, the reduction
            is impossible, or windows of their own length are asked for.
    """
    from transformers import MoonshineForConditionalGeneration

    trial, backbone = request.trial, request.backbone
    if not isinstance(backbone, Moonshine):
        raise InputError(f"backbone {backbone.name!r} is no Moonshine")
    if trial.task != "asr" or request.tokenizer is None:
        raise InputError(f"{backbone.name} writes text: it needs task = asr and a tokenizer")
    if trial.padding == "bucketed":
        raise InputError(
            f"{backbone.name} hears a clip by the length of its window (a group norm over time), so that windows of "
            'their own length are not those that are scored; use padding = "dynamic"'
        )
    encoder_positions(backbone, trial.audio_seconds, trial.reduction, trial.padding)
    module: Any = instantiate(
        MoonshineForConditionalGeneration, config_of(backbone), request.state, trial.seed,
        request.attention, request.device,
    )  # fmt: skip
    module.tie_weights()
    encoder = module.model.encoder
    if trial.reduction.place == "stem":
        encoder.conv3.stride = (STEM_STRIDE * trial.reduction.factor,)
    if trial.reduction.place == "layer":
        _thin_positions(encoder, trial.reduction)
    elif trial.reduction.place == "stem":
        _keep_distances(encoder.rotary_emb, trial.reduction.factor)
    attach_to_layers(encoder, encoder.layers, trial.reduction, backbone.name)
    return MoonshineRecogniser(module, backbone, request, request.tokenizer)


STEM_STRIDE = 2
"""Stride of the last convolution."""


def _keep_distances(rotary: nn.Module, factor: int) -> None:
    """Positions as far apart as their tokens are in time."""

    def hook(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, kwargs | {"position_ids": kwargs["position_ids"] * factor}

    rotary.register_forward_pre_hook(hook, with_kwargs=True)


def _thin_positions(encoder: Any, reduction: Reduction) -> None:
    """Give the layers behind a reduction the positions of the tokens that are left, evenly spaced."""

    def hook(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        cos, sin = kwargs["position_embeddings"]
        step = -(-cos.shape[1] // args[0].shape[1])
        return args, kwargs | {"position_embeddings": (cos[:, ::step], sin[:, ::step])}

    for layer in encoder.layers[reduction.layer or 0 :]:
        layer.register_forward_pre_hook(hook, with_kwargs=True)
