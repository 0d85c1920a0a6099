"""What a trial takes beside training, scoring and probing once its worker is warm.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/overhead.py [TRIALS [STEPS]]

Trials of the quickstart (whisper-tiny.en with its own weights, recorded prompts) run one after the other in
one process, as a reused worker runs them: reading the corpus, building, adapting, saving and all else is
overhead. Claiming and storing are measured in claims_speed.py and storing_speed.py (milliseconds). The
first trial pays for imports and base weights; it is printed and not counted.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import runner.trial.run as trial_room
from runner.sweep.file import load_spec
from runner.sweep.prepare import prepare

SHARE = 0.02
"""Target: at most this share of a trial of a minute."""


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The function, adding the seconds of each call to a list."""

    def run(*given: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*given, **named)
        finally:
            spent.append(time.perf_counter() - start)

    return run


def main() -> None:
    """Run the trials and print the overhead of each."""
    n, steps = (int(a) for a in (*sys.argv[1:3], *("4", "10")[len(sys.argv) - 1 :]))
    path = Path(trial_room.__file__).with_name("specs") / "quickstart.toml"
    data = load_spec(path).data_request
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(path, f"sqlite:///{folder}/none.db", print)
        first, resources = next(
            (t, r) for t, r in prepared.trials if t.backbone == "whisper-tiny.en" and t.audio_seconds == 12
        )  # fmt: skip
        short = dataclasses.replace(first.optimisation, steps=steps)
        probes: list[float] = []
        trial_room.measure_latency = timed(trial_room.measure_latency, probes)  # type: ignore[attr-defined]
        found = []
        for seed in range(n):
            one = dataclasses.replace(first, seed=seed, optimisation=short)
            start = time.perf_counter()
            record = trial_room.run_trial(one, resources, data_request=data, artifacts=Path(folder))
            whole = time.perf_counter() - start
            assert record.status == "finished", record.failure_text
            work = (record.train_seconds or 0.0) + (record.score_seconds or 0.0) + probes[-1]
            found.append(whole - work)
            print(
                f"trial {seed}: {whole:.2f} s, of which train {record.train_seconds:.2f}, "
                f"score {record.score_seconds:.2f}, probe {probes[-1]:.2f}, the rest {found[-1]:.2f}",
                flush=True,
            )
    warm = sorted(found[1:])
    median = warm[len(warm) // 2]
    verdict = "met" if median <= SHARE * 60 else "MISSED"
    print(
        f"overhead once warm: median {median:.2f} s ({warm[0]:.2f} to {warm[-1]:.2f}), "
        f"{100 * median / 60:.1f} % of a trial of a minute; target {100 * SHARE:.0f} %: {verdict}"
    )


if __name__ == "__main__":
    main()
