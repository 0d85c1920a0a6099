"""The feature path against WhisperFeatureExtractor, first and second epoch.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/features_speed.py

Utterances of LibriSpeech-like lengths in windows of 30 s, the same output on both sides; the runner
computes each window alone, as its cache does, and the extractor gets them in batches of 8, its faster way.
"""

from __future__ import annotations

import speech_bench
import torch
from transformers import WhisperFeatureExtractor

from runner.models.logmel import log_mel
from runner.trial.features import FeatureCache

N = 48


def main() -> None:
    """Print ours, the reference's, the ratio, the noise floor, the target and the verdict."""
    torch.set_num_threads(1)
    spoken = speech_bench.utterances(N)
    audio = [a for a, _ in spoken]
    extractor = WhisperFeatureExtractor()

    def theirs() -> torch.Tensor:
        parts = [
            extractor(audio[i : i + 8], sampling_rate=16_000, return_tensors="pt").input_features
            for i in range(0, N, 8)
        ]
        return torch.cat(parts)

    def ours() -> torch.Tensor:
        return torch.cat([log_mel([one], 3000, 80) for one in audio])

    difference = float((ours() - theirs()).abs().max())
    mean = sum(map(len, audio)) / N / 16_000
    print(f"{N} utterances, mean {mean:.1f} s; largest difference {difference:.1e} (target 1e-4)")
    found = speech_bench.compared(ours, theirs, 8)
    speech_bench.line("features, windows of 30 s", found, 4.0, f"{N / found.ours:.0f} windows/s")
    model, _, _ = speech_bench.made("whisper-micro", 30.0, pretrained=False)
    cache = FeatureCache(model, speech_bench.examples_of(spoken))
    again = speech_bench.compared(
        lambda: [cache.batch(range(N)) for _ in range(100)][:1],
        lambda: FeatureCache(model, cache.examples).batch(range(N)),
        3,
    )
    speech_bench.line("100 epochs from the cache against the first", again, 0.2)


if __name__ == "__main__":
    main()
