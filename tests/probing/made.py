"""A measuring process that answers at once."""

from __future__ import annotations

from runner.probing.stage_process import StageProcess


class Fake(StageProcess):
    """Answers at once, as a process of two stages with 4 timed requests does; counts its turns."""

    turns = 0
    ends_after: int | None = None

    def __init__(self, contestants, data, catalogue) -> None:
        self.contestants = contestants

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def loaded(self):
        device = {"name": "cpu-1t", "kind": "cpu", "model": "x", "n_threads": 1}
        return [
            {
                "contestant": c.key, "device": device, "engine_version": "1", "attention": "sdpa",
                "stages": ["features", "encoder", "decode"], "n_timed": 4, "n_warmup": 1,
                "n_windows": {name: 1 + k % 2 for k, (name, _, _) in enumerate(c.utterances)},
            }
            for c in self.contestants
        ]  # fmt: skip

    def turn(self, contestant: str, round_: int):
        if Fake.turns == Fake.ends_after:
            raise KeyboardInterrupt
        Fake.turns += 1
        ms = 10.0 + round_ % 3
        return {
            "n_output_tokens": [3], "stages_ms": [[1.0, 5.0, ms - 6.0]],
            "wall_seconds": ms / 1e3, "processor_seconds": ms / 1.02e3,
        }  # fmt: skip
