"""Encoders that name a class: wav2vec2, HuBERT and WavLM, and Whisper's encoder with a pooled head.

Both use transformers' own sequence-classification modules: encoder, linear projector, mean over
time, linear classifier. The head is new and always trained in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from planner.costs.flops.lengths import encoder_positions
from planner.errors import InputError
from planner.words.catalogue import Wav2Vec2, Whisper
from planner.words.records import Decoding, Trial
from runner.models.base import SAMPLE_RATE, Audio, BuildRequest, Prediction, own_length
from runner.models.logmel import stack
from runner.models.reduction import attach_to_frames, attach_to_layers
from runner.models.wavlm import call_projections
from runner.models.whisper import MelLengths, config_of, instantiate, shorten

NO_REGULARISATION = {
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
}
"""Assumption: short fine-tunes are regularised by the adaptation alone, and runs stay comparable and
independent of the micro-batch; `lora_dropout` is there for those who want noise."""


class Classifier:
    """A sequence classifier over windows of x_T seconds."""

    def __init__(
        self,
        module: nn.Module,
        backbone: Wav2Vec2 | Whisper,
        labels: Sequence[str],
        device: torch.device,
        lengths: MelLengths | WaveLengths,
        encoder_name: str,
    ) -> None:
        self.module = module.to(device)
        self.backbone = backbone
        self.labels = tuple(labels)
        self.device = device
        self.n_prompt_tokens = 1
        self.features, self.own_features = lengths.features, lengths.own_features
        self.lengthen = lengths.lengthen
        self.varies, self.full_length = lengths.varies, lengths.full_length
        self.features_per_second = lengths.features_per_second
        self._encoder_name = self.encoder_root = encoder_name

    def targets(self, references: Sequence[str]) -> list[list[int]]:
        """Class index of each label.

        Raises:
            InputError: a reference is not among the model's labels.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        unknown = [r for r in references if r not in index]
        if unknown:
            raise InputError(f"label {unknown[0]!r} is not one of {', '.join(self.labels)}")
        return [[index[r]] for r in references]

    def loss(self, features: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Cross-entropy in nats, summed over the windows."""
        return self.loss_from_states(self.encode(features), targets)

    def loss_from_states(self, states: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """The loss, from encoder states."""
        wanted = torch.tensor([t[0] for t in targets], device=self.device)
        logits = self.logits(states)
        return nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")

    def encode(self, features: Tensor) -> Tensor:
        """Encoder states after all reductions, shape (n, tokens, width)."""
        states: Tensor = getattr(self.module, self._encoder_name)(features).last_hidden_state
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Scores of the classes before the softmax, shape (n, labels)."""
        projected = self.module.projector(states)  # type: ignore[operator]
        logits: Tensor = self.module.classifier(projected.mean(dim=1))  # type: ignore[operator]
        return logits

    @torch.inference_mode()
    def decode(
        self,
        encoded: Tensor,
        decoding: Decoding,
        limits: Sequence[int] | None = None,
        exactly: int | None = None,
    ) -> list[Prediction]:
        """The most probable class of each window, with the log-probabilities of all."""
        scores = self.logits(encoded).float().log_softmax(-1).cpu()
        return [
            Prediction(
                text=self.labels[int(row.argmax())],
                n_tokens=1,
                log_probabilities=tuple(row.tolist()),
            )
            for row in scores
        ]

    def encoder_layers(self) -> Sequence[tuple[str, nn.Module]]:
        """The transformer layers, lowest first."""
        name = self._encoder_name + ("" if isinstance(self.backbone, Whisper) else ".encoder")
        layers: Any = self.module.get_submodule(name + ".layers")
        return [(f"{name}.layers.{i}", layer) for i, layer in enumerate(layers)]

    def head_names(self) -> tuple[str, ...]:
        """Projector and classifier: new, so trained in full."""
        return ("projector", "classifier")

    def frozen_linear_names(self) -> tuple[str, ...]:
        """Beside the head, the gates of WavLM's position bias: tables of distances, not projections."""
        gate = "gru_rel_pos_linear"
        return tuple(name for name, _ in self.module.named_modules() if name.endswith(gate))


class WaveLengths:
    """Waveforms at x_T's length or as long as the longest of them."""

    features_per_second = float(SAMPLE_RATE)

    def __init__(self, trial: Trial, device: torch.device) -> None:
        self.varies = trial.padding == "bucketed"
        self.full_length = round(trial.audio_seconds * SAMPLE_RATE)
        self._device = device

    def features(self, windows: Sequence[Audio]) -> Tensor:
        """Waveforms at x_T of zero mean and unit variance, shape (n, samples)."""
        return normalised(windows, self.full_length, self._device)

    def own_features(self, windows: Sequence[Audio]) -> Tensor:
        """Waveforms as long as the longest window, shape (n, samples)."""
        n_samples = own_length(windows, SAMPLE_RATE, 1, self.full_length)
        return normalised(windows, n_samples, self._device)

    def lengthen(self, features: Tensor, length: int) -> Tensor:
        """Zeros after the last sample: the waveform's mean."""
        return nn.functional.pad(features, (0, length - features.shape[-1]))


def normalised(windows: Sequence[Audio], n_samples: int, device: torch.device) -> Tensor:
    """Waveforms of zero mean and unit variance over the window, shape (n, n_samples).

    The definition of transformers' Wav2Vec2FeatureExtractor, with its 1e-7, over the window as the
    encoder sees it.
    """
    audio = stack(windows, n_samples).to(device)
    centred = audio - audio.mean(dim=1, keepdim=True)
    return centred / torch.sqrt(audio.var(dim=1, unbiased=False, keepdim=True) + 1e-7)


def _kind(request: BuildRequest, backbone: Wav2Vec2) -> str:
    """`wav2vec2`, `hubert` or `wavlm`: the name of transformers' class and of its body."""
    if backbone.relative_buckets:
        return "wavlm"
    named = request.config.get("model_type", backbone.name.split("-")[0])
    return "hubert" if named == "hubert" else "wav2vec2"


def _classes(kind: str, purpose: str) -> tuple[Any, Any]:
    """Configuration and module of a kind for a purpose: `SequenceClassification` or `CTC`."""
    import transformers

    name = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM"}[kind]
    return getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}For{purpose}")


def _config(backbone: Wav2Vec2, kind: Any, **head: Any) -> Any:
    relative = {"num_buckets": backbone.relative_buckets} if backbone.relative_buckets else {}
    return kind(
        hidden_size=backbone.d_model,
        num_hidden_layers=backbone.encoder_layers,
        num_attention_heads=backbone.n_heads,
        intermediate_size=backbone.ffn_dim,
        conv_dim=list(backbone.conv_dim),
        conv_kernel=list(backbone.conv_kernel),
        conv_stride=list(backbone.conv_stride),
        conv_bias=backbone.conv_bias,
        feat_extract_norm="layer" if backbone.layer_norm_each_conv else "group",
        do_stable_layer_norm=backbone.layer_norm_each_conv,
        num_conv_pos_embeddings=backbone.pos_conv_kernel,
        num_conv_pos_embedding_groups=backbone.pos_conv_groups,
        classifier_proj_size=backbone.projection_size,
        **relative,
        **head,
        **NO_REGULARISATION,
    )


def build(request: BuildRequest) -> Classifier:
    """A wav2vec2, HuBERT or WavLM classifier for the trial's axes.

    Raises:
        InputError: the backbone is of another family, x_T too long, or there are too few labels.
    """
    _require_labels(request)
    module, backbone, kind = module_of(
        request, "SequenceClassification", num_labels=len(request.labels)
    )
    lengths = WaveLengths(request.trial, request.device)
    return Classifier(module, backbone, request.labels, request.device, lengths, kind)


def module_of(request: BuildRequest, purpose: str, **head: Any) -> tuple[nn.Module, Wav2Vec2, str]:
    """The trial's module for a purpose (`SequenceClassification`, `CTC`), its axes applied.

    Args:
        request: what is built.
        purpose: the end of transformers' class name.
        head: what its configuration says of the head.

    Returns:
        The module, its dimensions, and the name of its encoder inside it.

    Raises:
        InputError: the backbone is of another family, x_T too long, or the reduction impossible.
    """
    trial, backbone = request.trial, request.backbone
    if not isinstance(backbone, Wav2Vec2):
        raise InputError(f"backbone {backbone.name!r} is not of the wav2vec2 family")
    encoder_positions(backbone, trial.audio_seconds, trial.reduction, trial.padding)
    kind = _kind(request, backbone)
    config_class, module_class = _classes(kind, purpose)
    state = request.state
    if state is not None and not any(k.startswith(f"{kind}.") for k in state):
        # A bare pretraining checkpoint names its tensors without the model's prefix.
        state = {f"{kind}.{name}": tensor for name, tensor in state.items()}
    module: Any = instantiate(
        module_class,
        _config(backbone, config_class, **head),
        state,
        trial.seed,
        # transformers has one attention for WavLM, which is replaced below.
        "eager" if kind == "wavlm" else request.attention,
        request.device,
    )
    body = getattr(module, kind)
    if kind == "wavlm":
        call_projections(body.encoder.layers, request.attention)
    if trial.adaptation.kind != "full":
        # transformers asks for the waveform's own gradient unless the front end is marked as frozen: a
        # backward pass through all convolutions that serves nobody.
        body.feature_extractor._requires_grad = False
    if trial.reduction.place == "stem":
        attach_to_frames(body.feature_extractor, trial.reduction)
    attach_to_layers(body.encoder, body.encoder.layers, trial.reduction, backbone.name)
    return module, backbone, kind


def build_whisper_classifier(request: BuildRequest) -> Classifier:
    """Whisper's encoder with a pooled head: emotion with weights that can be had.

    Raises:
        InputError: the backbone is no Whisper, or there are too few labels.
    """
    from transformers import WhisperForAudioClassification

    trial, backbone = request.trial, request.backbone
    if not isinstance(backbone, Whisper):
        raise InputError(f"backbone {backbone.name!r} is no Whisper")
    _require_labels(request)
    state = request.state
    if state is not None:
        state = {k.removeprefix("model."): v for k, v in state.items()}
    module: Any = instantiate(
        WhisperForAudioClassification,
        config_of(backbone, num_labels=len(request.labels)),
        state,
        trial.seed,
        request.attention,
        request.device,
    )
    n_frames = shorten(module.encoder, module.config, backbone, trial)
    attach_to_layers(module.encoder, module.encoder.layers, trial.reduction, backbone.name)
    lengths = MelLengths(backbone, trial, n_frames, request.device)
    return Classifier(module, backbone, request.labels, request.device, lengths, "encoder")


def _require_labels(request: BuildRequest) -> None:
    if len(request.labels) < 2:
        raise InputError(
            f"a classifier needs at least 2 labels, got {len(request.labels)}; "
            "give a data set whose training split names them"
        )
