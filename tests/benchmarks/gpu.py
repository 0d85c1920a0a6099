"""One GPU in one command: what is counted against what it does, in at most eight minutes.

    python tests/benchmarks/gpu.py [--out gpu.json] [--seconds 480] [--parts training,latency,…]
    python tests/benchmarks/gpu.py --device cpu --small            # the same path on a CPU, for trying it

Needs no network, no weights, and of packages torch, transformers, peft, numpy and scipy alone. Models have the
shapes of the catalogue and random weights: times, FLOPs and memory do not depend on what weights say.

training    FLOPs counted against FLOP/s achieved (MFU) of LoRA steps, peak memory against the closed form;
            the encoder compiled and not; the micro-batch is the largest that still gains.
latency     a stage model from 12 chosen configurations, judged on 24 others; the data sheet alone on all.
throughput  encoder and decoder in batches, audio seconds a second.
energy      the card's own counter against power times time, over one minute of encoding or less.
agreement   losses, decoded tokens and features in float32 against the CPU's.

Writes one JSON and prints a table in Markdown; `soundscale probe --import FILE` stores the device and its latencies.
What a part could not do stands in its `problem`, and the other parts go on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import gpu_agreement
import gpu_latency
import gpu_throughput
import gpu_training
import torch
from gpu_common import FORMAT, Bench

from planner.words.records import to_json
from runner.trial.device import describe

PARTS: dict[str, tuple[float, Callable[[Bench], dict[str, Any]]]] = {
    "agreement": (0.08, gpu_agreement.measure),
    "training": (0.42, gpu_training.measure),
    "latency": (0.30, gpu_latency.measure),
    "throughput": (0.12, gpu_throughput.measure),
    "energy": (0.08, gpu_throughput.measure_energy),
}
"""Share of the time that each may take, and what it does, in this order."""


def run(
    bench: Bench, parts: list[str], seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """The parts one after the other; what one leaves of its time goes to the next."""
    began, allowed = time.monotonic(), 0.0
    total = sum(PARTS[name][0] for name in parts)
    found: dict[str, Any] = {}
    for name in parts:
        share, work = PARTS[name]
        allowed += seconds * share / total
        bench.ends = began + allowed
        started = time.monotonic()
        try:
            found[name] = work(bench)
        except Exception as problem:
            found[name] = {"problem": f"{type(problem).__name__}: {problem}"}
            traceback.print_exc()
        bench.free()
        found[name]["seconds"] = round(time.monotonic() - started, 1)
        say(f"{name}: {found[name]['seconds']:.0f} s")
    return found


def table(document: dict[str, Any]) -> str:
    """The figures in Markdown, as a log takes them."""
    device, versions = document["device"], document["versions"]
    lines = [
        f"{device['model'] or device['name']}, {', '.join(f'{k} {v}' for k, v in versions.items())}:",
        "",
        "| what | figure |",
        "|---|---|",
    ]
    makers = {
        "training": gpu_training.rows, "latency": gpu_latency.rows, "throughput": gpu_throughput.rows,
        "energy": gpu_throughput.energy_rows, "agreement": gpu_agreement.rows,
    }  # fmt: skip
    for name, part in document["parts"].items():
        problem = part.get("problem")
        rows = [(name, f"not measured: {problem}")] if problem else makers[name](part)
        lines += [f"| {what} | {figure} |" for what, figure in rows]
    return "\n".join(lines)


def main() -> None:
    """Parse, measure, write."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    asked.add_argument("--small", action="store_true", help="Micro models: to try the path.")
    asked.add_argument("--seconds", type=float, default=480.0)
    asked.add_argument("--parts", default=",".join(PARTS))
    asked.add_argument("--out", type=Path, default=Path("gpu.json"))
    given = asked.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here; --device cpu --small tries the path without one")
    unknown = [p for p in given.parts.split(",") if p not in PARTS]
    if unknown:
        asked.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    bench = Bench(device=torch.device(given.device), small=given.small)
    document = {
        "format": FORMAT,
        "device": to_json(describe(bench.device)),
        "versions": bench.versions(),
        "small": given.small,
    }
    document["parts"] = run(
        bench, given.parts.split(","), given.seconds, lambda line: print(line, flush=True)
    )
    given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(table(document))


if __name__ == "__main__":
    main()
