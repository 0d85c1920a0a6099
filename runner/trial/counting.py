"""FLOPs counted by torch on the trial's own module, as a check on the closed forms.

The module is built on the meta device, which computes shapes alone, with eager attention: torch's
counter silently drops fused attention on a CPU. An operation that the counter does not know, and
that is not known to be free of multiply-adds, is an error and never 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from planner.errors import InputError
from planner.words.catalogue import Backbone
from planner.words.records import Trial
from runner.models.base import SAMPLE_RATE, Audio, BuildRequest, SpeechModel
from runner.models.builders import builder_for
from runner.models.ctc import CtcRecogniser
from runner.models.wav2vec2 import Classifier
from runner.models.whisper import ByteTokenizer, WhisperRecogniser

WITHOUT_PRODUCTS = frozenset(
    """
    _native_batch_norm_legit_no_training
    _assert_tensor_metadata abs _log_softmax _softmax _to_copy _unsafe_view _weight_norm_interface
    add add_ alias all amax amin any arange argmax as_strided avg_pool2d bitwise_and cos silu
    bitwise_not cat clamp clamp_min clone constant_pad_nd copy_ cumsum detach div div_ embedding
    empty empty_like eq expand fill_ floor_divide full full_like gather ge gelu glu gt index index_put_ isinf
    isnan le lift_fresh linalg_vector_norm log lt masked_fill masked_fill_ max maximum mean min
    minimum mul mul_ native_batch_norm native_dropout native_group_norm native_layer_norm ne
    neg new_zeros ones ones_like permute pow relu repeat reshape rsqrt rsub scalar_tensor
    scatter scatter_ scatter_add scatter_add_ select sigmoid sin slice slice_scatter split
    split_with_sizes sqrt squeeze stack sub sub_ sum t tanh to topk transpose tril triu unbind
    unsafe_split unsqueeze view view_as where zero_ zeros zeros_like
    """.split()  # noqa: SIM905 - eighty lines of one name each read worse
)
"""ATen operations without multiply-adds, or with few for each element (norms, activations, pooling):
what convention `exact` leaves out."""


class _Strict(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations that the FLOP counter would pass over in silence."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        packet = func.overloadpacket
        if packet not in flop_registry and packet.__name__ not in WITHOUT_PRODUCTS:
            raise InputError(
                f"operation {packet} is not known to the FLOP counter; add its formula to torch's "
                "flop_registry, or its name to WITHOUT_PRODUCTS if it has no multiply-adds"
            )
        return func(*args, **(kwargs or {}))


def count(run: Callable[[], object]) -> int:
    """FLOPs of everything that `run` does (2 for each multiply-add).

    Raises:
        InputError: it does something that cannot be counted.
    """
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(False), torch.no_grad(), counter, _Strict():  # type: ignore[no-untyped-call]
        run()
    return int(counter.get_total_flops())


def counted_flops(
    backbone: Backbone, trial: Trial, n_output_tokens: int, labels: tuple[str, ...] = ()
) -> dict[str, int]:
    """FLOPs of one window on the trial's module: `encoder`, `decoder` (or head) and `total`.

    Decoding is a prefill of the prompt and n_output_tokens - 1 steps with a key-value cache, as
    `planner.costs.flops.forward.forward_flops` counts it. The prefill and the first two steps are counted; each
    further step reads one more key and value, and so costs as much more as the second did (seconds a trial
    would be spent on counting each, notebooks/LOG.md; a test counts them all).

    Raises:
        InputError: the configuration cannot be built, or does something that cannot be counted.
    """
    plain = dataclasses.replace(trial, initialisation="random")
    request = BuildRequest(
        trial=plain,
        backbone=backbone,
        device=torch.device("meta"),
        tokenizer=ByteTokenizer(),
        labels=labels,
        attention="eager",
    )
    model = builder_for(backbone.family, trial.task)(request)
    silence: Audio = torch.zeros(round(trial.audio_seconds * SAMPLE_RATE)).numpy()
    features = model.features([silence])
    states: list[torch.Tensor] = []
    encoder = count(lambda: states.append(model.encode(features)))
    rest = _finish(model, backbone, states[0], n_output_tokens)
    return {"encoder": encoder, "decoder": rest, "total": encoder + rest}


def _finish(model: SpeechModel, backbone: Backbone, states: torch.Tensor, n: int) -> int:
    """FLOPs of the decoder's prefill and steps, or of the head on an encoder, on shapes alone."""
    if isinstance(model, Classifier | CtcRecogniser):
        return count(lambda: model.logits(states))
    if not isinstance(model, WhisperRecogniser):
        raise InputError(
            f"FLOPs of model family {backbone.family} cannot be counted beyond its encoder; "
            "count it with runner.trial.counting.count"
        )
    counted = decoding_flops(model, states, min(n, COUNTED_STEPS))
    if n <= COUNTED_STEPS:
        return sum(counted)
    prefill, first, second = counted
    steps = n - 1
    return prefill + steps * first + steps * (steps - 1) // 2 * (second - first)


COUNTED_STEPS = 3
"""The prefill, and two steps whose difference is that of all further ones."""


def decoding_flops(model: WhisperRecogniser, states: torch.Tensor, n: int) -> list[int]:
    """FLOPs of the prefill of the prompt and of n - 1 steps, each counted."""
    module: Any = model.module
    cache: Any = None

    def step(width: int) -> None:
        nonlocal cache
        ids = torch.zeros(1, width, dtype=torch.long, device=states.device)
        out = module.model.decoder(
            input_ids=ids,
            encoder_hidden_states=states,
            past_key_values=cache,
            use_cache=True,
        )
        cache = out.past_key_values
        module.proj_out(out.last_hidden_state[:, -1:])

    widths = [model.n_prompt_tokens if k == 0 else 1 for k in range(n)]
    return [count(partial(step, width)) for width in widths]
