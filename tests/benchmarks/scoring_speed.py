"""Batched scoring against transformers' pipeline, one window at a time, with identical text.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/scoring_speed.py

Both run the same module at x_T = 8 s, float32, greedy, with the same suppressed ids and at most 32 tokens.
"""

from __future__ import annotations

import speech_bench
import torch
from transformers import (
    AutomaticSpeechRecognitionPipeline,
    WhisperFeatureExtractor,
    WhisperTokenizerFast,
)
from transformers.utils import logging

from planner.words.catalogue import backbone
from planner.words.records import Decoding
from runner.data.packing import windows
from runner.models.adapt import merge
from runner.trial.hearing import predict
from runner.weights.resolve import resolve_weights

N, SECONDS, TOKENS = 32, 8.0, 32


def main() -> None:
    """Print ours, the reference's, the ratio, the noise floor, the target and the verdict."""
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    model, _, trial = speech_bench.made("whisper-tiny.en", SECONDS)
    object.__setattr__(
        trial, "decoding", Decoding(max_new_tokens=TOKENS, max_tokens_per_second=1e3)
    )
    audio = [windows(a, SECONDS)[0] for a, _ in speech_bench.utterances(N)]
    merge(model.module)  # as a trial does before it is scored
    special = model.special  # type: ignore[attr-defined]
    tokenizer = WhisperTokenizerFast(
        tokenizer_file=str(resolve_weights(backbone("whisper-tiny.en")).folder / "tokenizer.json")
    )
    config = model.module.generation_config
    config.suppress_tokens = [*special.silent, *range(special.end + 1, 51864)]
    config.begin_suppress_tokens = [220, special.end]
    config.is_multilingual, config.no_timestamps_token_id = False, special.prompt[1]
    config.max_new_tokens, config.max_length = TOKENS, None
    one_by_one = AutomaticSpeechRecognitionPipeline(
        model=model.module, tokenizer=tokenizer, device="cpu",
        feature_extractor=WhisperFeatureExtractor(chunk_length=int(SECONDS)),
    )  # fmt: skip

    def ours() -> list[str]:
        found = []
        for start in range(0, N, 16):
            found += predict(model, audio[start : start + 16], trial, "float32")
        return [p.text.strip() for p in found]

    def theirs() -> list[str]:
        # The pipeline's own default is 5 beams.
        greedy = {"num_beams": 1}
        return [
            one_by_one(a.copy(), batch_size=1, generate_kwargs=greedy)["text"].strip()
            for a in audio
        ]

    mine, wanted = ours(), theirs()
    equal = sum(a == b for a, b in zip(mine, wanted, strict=True))
    print(f"identical texts: {equal} of {N}")
    for a, b in zip(mine, wanted, strict=True):
        if a != b:
            print("  ours:", a, "\n  pipe:", b)
    found = speech_bench.compared(ours, theirs, 2, warm=False)
    heard = sum(map(len, audio)) / 16_000
    speech_bench.line("batched scoring", found, 3.0, f"{heard / found.ours:.0f}x real time")


if __name__ == "__main__":
    main()
