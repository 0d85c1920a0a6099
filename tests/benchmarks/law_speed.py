"""A first law on many runs of few configurations, this build against another one in one run.

    python tests/benchmarks/law_speed.py --against CHECKOUT [--runs 1000,10000,100000] [--times 3]

500 configurations of three axes, each run many times, noise told: `fit_law` with every form tried, in a fresh
process a time, the two builds in turns. Processor seconds and the peak of memory; the noise floor is the
ratio of the slowest to the fastest time of one build.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations, RunNoise

N_CONFIGURATIONS = 500


def table(n: int, seed: int = 0) -> Observations:
    """n runs of 500 configurations with seeds that differ by 3 % and standard errors of 2 %."""
    rng = np.random.default_rng(seed)
    sizes, seconds = np.geomspace(4e7, 1.5e9, 5), np.linspace(2.0, 30.0, 20)
    rates = np.array([50.0, 25.0, 50 / 3, 12.5, 10.0])
    points = np.stack([a.ravel() for a in np.meshgrid(sizes, seconds, rates)], axis=1)
    law = 0.03 + 0.05 * (points[:, 0] / 1.5e8) ** -0.4
    law += 0.03 * (points[:, 1] / 12) ** -0.8 + 0.02 * (points[:, 2] / 25) ** -0.6
    own = law * np.exp(0.03 * rng.standard_normal(N_CONFIGURATIONS))
    place = np.arange(n) % N_CONFIGURATIONS
    error = own[place] * np.exp(0.03 * rng.standard_normal(n))
    std_error = 0.02 * error * (1 + 0.2 * rng.random(n))
    return Observations(
        axes=("n_params", "audio_seconds", "tokens_per_second"), x=points[place], error=error,
        std_error=std_error, group=place, run_ids=tuple(range(1, n + 1)), metric="wer",
        noise=RunNoise(own=0.5 * (std_error / error) ** 2, common=2e-4, source="stated"),
    )  # fmt: skip


def alone(n: int) -> None:
    """One fit in this process, told as JSON."""
    made = table(n)
    start = time.process_time()
    fit = fit_law(made)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {"seconds": seconds, "peak_mb": peak / 1024}
    print(json.dumps(told | {"law": fit.law, "objective": fit.objective}))


def once(checkout: Path, n: int) -> dict:
    """`alone` in a fresh process of that checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--alone", str(n)]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


def main() -> None:
    """The table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--against", type=Path, help="another checkout")
    asked.add_argument("--runs", default="1000,10000,100000")
    asked.add_argument("--times", type=int, default=3)
    asked.add_argument("--alone", type=int)
    given = asked.parse_args()
    if given.alone:
        alone(given.alone)
        return
    if given.against is None:
        asked.error("--against CHECKOUT is needed: a figure alone says nothing of the change")
    here = Path(__file__).resolve().parents[2]
    for n in map(int, given.runs.split(",")):
        found: dict[Path, list[dict]] = {here: [], given.against.resolve(): []}
        for _ in range(given.times):
            for checkout, told in found.items():
                told.append(once(checkout, n))
        ours, theirs = (sorted(t["seconds"] for t in told) for told in found.values())
        mine, other = (told[0] for told in found.values())
        print(
            f"{n:9,} runs: {ours[len(ours) // 2]:6.2f} s against {theirs[len(theirs) // 2]:6.2f} "
            f"({theirs[len(theirs) // 2] / ours[len(ours) // 2]:.1f}x, noise floor "
            f"{max(ours[-1] / ours[0], theirs[-1] / theirs[0]):.2f}x), peak {mine['peak_mb']:.0f} against "
            f"{other['peak_mb']:.0f} MB, {mine['law']}, objective apart "
            f"{abs(mine['objective'] / other['objective'] - 1):.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
