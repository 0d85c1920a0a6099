"""Training speed: steps, epochs, the frozen encoder's cache and the stem's strides.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/training_speed.py [step] [epoch] [frozen] [stem] [pads]

`step`: the runner's loop against a minimal torch + peft loop on the same model and windows.
`epoch`: windows of their own length against transformers' Seq2SeqTrainer on the same batches with its
padding to 30 s (features computed beforehand for the trainer alone), both from the same weights.
`frozen`: LoRA on the decoder alone, an epoch with kept encoder states against one without.
`stem`: a LoRA step of the encoder at stride 2 and 4 against stride 1.
`pads`: padding of batches as a share of encoder positions, by counting.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import speech_bench
import torch
from torch import nn

from planner.words.records import Adaptation, Optimisation
from runner.data.packing import windows
from runner.models.base import SpeechModel
from runner.trial.features import FeatureCache
from runner.trial.recipe import batch_indices, bucketed_indices, length_runs
from runner.trial.train import train

PLAIN = {"schedule": "linear", "warmup_fraction": 0.0, "learning_rate": 1e-3}


def ours(made: Any, cache: FeatureCache, optimisation: Optimisation) -> list[float]:
    """Losses of the runner's loop."""
    model, groups, _ = made
    done = train(
        model, groups, cache, optimisation, seed=0, micro_batch=optimisation.batch_size, precision="float32"
    )  # fmt: skip
    return [step.loss for step in done.steps]


def restored(made: Any) -> Any:
    """Adapters back at their start, so that every repetition is the same work."""
    for group in made[1]:
        for parameter, start in zip(group.parameters, made[3][group.name], strict=True):
            parameter.data.copy_(start)
            parameter.grad = None
    return made[:3]


def remembered(made: Any) -> Any:
    """A model with a copy of its trainable tensors."""
    return (*made, {g.name: [p.detach().clone() for p in g.parameters] for g in made[1]})


def teacher(model: SpeechModel, targets: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """Decoder inputs and labels as transformers' own forward takes them."""
    prompt = list(model.special.prompt)  # type: ignore[attr-defined]
    rows = [([*prompt, *t[:-1]], [-100] * (len(prompt) - 1) + list(t)) for t in targets]
    longest = max(len(ids) for ids, _ in rows)
    return {
        "decoder_input_ids": torch.tensor([i + [prompt[0]] * (longest - len(i)) for i, _ in rows]),
        "labels": torch.tensor([o + [-100] * (longest - len(o)) for _, o in rows]),
    }


def minimal(made: Any, cache: FeatureCache, optimisation: Optimisation) -> list[float]:
    """What one would write by hand: a batch, the model's own loss, AdamW, a clipped norm."""
    model, groups, _ = made
    module = model.module.train()
    parameters = [p for g in groups for p in g.parameters]
    optimiser = torch.optim.AdamW(
        parameters, lr=optimisation.learning_rate, weight_decay=0.0, fused=True
    )
    losses = []
    for step in range(optimisation.steps):
        for group in optimiser.param_groups:
            group["lr"] = optimisation.learning_rate * (1 - step / optimisation.steps)
        items = cache.batch(batch_indices(len(cache), optimisation.batch_size, 0, step))
        given = teacher(model, [i.targets for i in items])
        optimiser.zero_grad()
        out = module(
            input_features=torch.stack([i.features for i in items]), use_cache=False, **given
        )
        out.loss.backward()
        nn.utils.clip_grad_norm_(parameters, optimisation.clip_norm)
        optimiser.step()
        losses.append(float(out.loss.detach()))
    return losses


def step_speed() -> None:
    """The loop's overhead, and its losses."""
    made = remembered(speech_bench.made("whisper-tiny.en", 8.0))
    spoken = [(w, t) for a, t in speech_bench.utterances(12) for w in windows(a, 8.0)[:1]]
    optimisation = Optimisation(steps=4, batch_size=4, **PLAIN)
    cache = FeatureCache(made[0], speech_bench.examples_of(spoken))
    curves = [f(restored(made), cache, optimisation) for f in (ours, minimal)]
    difference = max(abs(a - b) for a, b in zip(*curves, strict=True))
    print(f"losses of 4 steps: largest difference {difference:.1e} (target 1e-5)")
    found = speech_bench.compared(
        lambda: ours(restored(made), cache, optimisation),
        lambda: minimal(restored(made), cache, optimisation),
        2,
        warm=False,
    )
    speech_bench.line("4 steps against a minimal loop", found, 1 / 1.05)


class _InOrder:
    """Mixed into the trainer: batches in the order that they are given."""

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[attr-defined]


def trainer_epoch(made: Any, batches: list[list[tuple[Any, str]]], rate: float) -> list[float]:
    """One epoch of Seq2SeqTrainer on windows of 30 s; the logged losses."""
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    model, _, _ = made
    rows = [pair for batch in batches for pair in batch]
    table = [(model.features([a])[0], model.targets([t])[0]) for a, t in rows]

    def collated(part: Any) -> dict[str, torch.Tensor]:
        features = torch.stack([f for f, _ in part])
        return {"input_features": features, **teacher(model, [t for _, t in part])}

    kind = type("InOrder", (_InOrder, Seq2SeqTrainer), {})
    with tempfile.TemporaryDirectory() as folder:
        arguments = Seq2SeqTrainingArguments(
            output_dir=folder, per_device_train_batch_size=len(batches[0]), num_train_epochs=1,
            learning_rate=rate, warmup_steps=0, weight_decay=0.0, max_grad_norm=1.0, logging_steps=1,
            save_strategy="no", report_to=[], use_cpu=True, remove_unused_columns=False,
            dataloader_pin_memory=False, disable_tqdm=True, label_smoothing_factor=0.0,
        )  # fmt: skip
        trainer = kind(
            model=model.module, args=arguments, train_dataset=table, data_collator=collated
        )
        trainer_epoch.seconds = speech_bench.seconds_of(trainer.train)  # type: ignore[attr-defined]
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def epoch_speed() -> None:
    """One epoch over utterances of LibriSpeech-like lengths."""
    n, batch = 24, 4
    spoken = speech_bench.utterances(n)
    optimisation = Optimisation(steps=n // batch, batch_size=batch, **PLAIN)
    short = remembered(speech_bench.made("whisper-tiny.en", 30.0, padding="bucketed"))
    long = remembered(speech_bench.made("whisper-tiny.en", 30.0))
    examples = speech_bench.examples_of(spoken)
    seconds = [e.seconds for e in examples]
    batches = [
        [spoken[i] for i in bucketed_indices(seconds, batch, 0, step)]
        for step in range(optimisation.steps)
    ]
    times, curves = [], []
    for _ in range(2):
        cache = FeatureCache(short[0], examples)
        curves.append([])
        own = speech_bench.seconds_of(
            lambda cache=cache: curves[-1].extend(ours(restored(short), cache, optimisation))
        )
        theirs = trainer_epoch(restored(long), batches, optimisation.learning_rate)
        times.append((own, trainer_epoch.seconds))  # type: ignore[attr-defined]
    print("ours  ", " ".join(f"{x:.3f}" for x in curves[-1]))
    print("theirs", " ".join(f"{x:.3f}" for x in theirs))
    table = np.array(times)
    found = speech_bench.Ratio(
        ours=float(table[:, 0].mean()), reference=float(table[:, 1].mean()),
        ratio=float(np.median(table[:, 1] / table[:, 0])),
        noise=float(abs(table[0, 0] / table[1, 0] - 1)),
    )  # fmt: skip
    speech_bench.line("epoch against Seq2SeqTrainer", found, 4.0, f"{n} utterances")


def frozen_speed() -> None:
    """An epoch with kept encoder states, and one that runs the encoder."""
    decoder = Adaptation(lora_rank=8, targets="decoder.all-linear")
    spoken = speech_bench.utterances(8, seed=1)
    optimisation = Optimisation(steps=2, batch_size=4, **PLAIN)
    for name, pretrained in (("whisper-tiny.en", True), ("whisper-base", False)):
        made = remembered(speech_bench.made(name, 30.0, adaptation=decoder, pretrained=pretrained))
        kept, fresh = (FeatureCache(made[0], speech_bench.examples_of(spoken)) for _ in range(2))
        fresh.holds_states = False
        curves = [ours(restored(made), c, optimisation) for c in (kept, fresh)]
        found = speech_bench.compared(
            lambda made=made, kept=kept: ours(restored(made), kept, optimisation),
            lambda made=made, fresh=fresh: ours(restored(made), fresh, optimisation),
            1,
            warm=False,
        )
        gap = max(abs(a - b) for a, b in zip(*curves, strict=True))
        speech_bench.line(f"frozen encoder kept, {name}", found, 3.0, f"losses differ by {gap:.0e}")


def stem_speed() -> None:
    """A LoRA step of the encoder, forward and backward, at each stride."""
    audio = [a for a, _ in speech_bench.utterances(2, seed=2)]

    def step(model: SpeechModel) -> None:
        states = model.encode(model.features(audio))
        states.square().mean().backward()

    models = {
        k: speech_bench.made("whisper-base", 30.0, reduction=r, pretrained=False)[0]
        for k, r in ((1, "none"), (2, "stem:2"), (4, "stem:4"))
    }
    for model in models.values():
        model.module.train()
    for factor, target in ((2, 1.8), (4, 3.2)):
        found = speech_bench.compared(lambda f=factor: step(models[f]), lambda: step(models[1]), 2)
        speech_bench.line(f"encoder step, stem:{factor}", found, target)


def padding() -> None:
    """Padding by counting, on lognormal lengths of mean 8 s and spread 6 s, cut at 30 s."""
    sigma = float(np.sqrt(np.log(1 + (6 / 8) ** 2)))
    rng = np.random.default_rng(0)
    seconds = rng.lognormal(np.log(8) - sigma**2 / 2, sigma, 4000).clip(0.5, 30.0)
    positions = 5 * np.ceil(10 * seconds).astype(int)
    used, ran, drawn = 0.0, 0, []
    for step in range(250):
        chosen = bucketed_indices(list(seconds), 16, 0, step)
        lengths = sorted(int(positions[i]) for i in chosen)
        ran += sum((b - a) * lengths[b - 1] for a, b in length_runs(lengths, 16 * 1500))
        used += 50 * float(seconds[chosen].sum())
        mixed = positions[batch_indices(4000, 16, 0, step)]
        drawn.append(1 - mixed.sum() / (16 * mixed.max()))
    print(
        f"padding: ours {1 - used / ran:.1%} (target 3 %), random batches of 16 {np.mean(drawn):.0%}, "
        f"fixed 30 s {1 - seconds.mean() / 30:.0%}"
    )


PARTS = {
    "step": step_speed, "epoch": epoch_speed, "frozen": frozen_speed, "stem": stem_speed, "pads": padding,
}  # fmt: skip


def main() -> None:
    """Run the parts that are named, or all."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
