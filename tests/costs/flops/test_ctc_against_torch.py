"""CTC on wav2vec2's encoder costs what torch counts on transformers' module, forward and backward."""

from __future__ import annotations

from dataclasses import replace

import pytest

from planner.costs.flops.forward import forward_flops
from planner.costs.flops.training import training_flops
from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Reduction
from tests.costs.flops.test_flops_against_torch import (
    check_training,
    device,
    grouped_excess,
    pooled_loss,
    random_adaptation,
    shallow,
    wav2vec2_case,
)

SEEDS = (
    pytest.param(range(20), id="20"),
    pytest.param(range(20, 200), id="200", marks=pytest.mark.slow),
)


@pytest.mark.parametrize("seeds", SEEDS)
def test_random_ctc_models_train_at_what_torch_counts(count, real_wav2vec2, seeds):
    for seed in seeds:
        rng, model, seconds, reduction = wav2vec2_case(7000 + seed)
        model = replace(model, vocab_size=rng.randint(2, 400))
        adaptation = random_adaptation(rng, model)
        module, audio = real_wav2vec2(
            model, seconds, reduction, task="asr", device=device(seed), adaptation=adaptation
        )
        asked = {"audio_seconds": seconds, "reduction": reduction, "task": "asr"}
        ours = training_flops(model, adaptation=adaptation, n_label_tokens=3, **asked)
        extra = grouped_excess(model, seconds, reduction) if adaptation.kind == "full" else 0
        counted = replace(ours, weight_gradients=ours.weight_gradients + extra)
        check_training(count, counted, pooled_loss, module, audio)
        # Adapters are merged at inference: what is left of the forward is the plain model's.
        plain = forward_flops(model, n_output_tokens=4, **asked).total
        full = training_flops(model, adaptation=Adaptation.parse("full"), **asked)
        assert plain == full.forward


@pytest.mark.parametrize("place", ["none", "stem:2", "layer2:3", "output:4"])
def test_a_real_width_with_its_head_costs_what_torch_counts(count, real_wav2vec2, place):
    model, reduction = shallow("hubert-large-ls960-ft"), Reduction.parse(place)
    adaptation = Adaptation(lora_rank=8)
    asked = {"reduction": reduction, "task": "asr", "adaptation": adaptation}
    module, audio = real_wav2vec2(model, 4.0, **asked)
    check_training(
        count, training_flops(model, audio_seconds=4.0, **asked), pooled_loss, module, audio
    )


def test_the_task_decides_which_head_is_counted():
    model = backbone("wav2vec2-base")
    as_text, as_class = (
        forward_flops(model, audio_seconds=4.0, task=task).parts for task in ("asr", "emotion")
    )
    assert as_text["head"] == 2 * 199 * 768 * 32
    assert as_text["encoder"] == as_class["encoder"]
