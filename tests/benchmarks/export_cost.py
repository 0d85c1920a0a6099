"""What an export takes: seconds, processor seconds and peak memory, in a fresh process each.

Run: python tests/benchmarks/export_cost.py [BACKBONE …] [--to onnx:int8 --to ctranslate2:int8 …]

Random weights of the shape (the cost does not depend on what they say), 12 s windows. `imports` is what a process
that imports the same and loads no model peaks at, `loaded` what it holds with the model ready, so that the rest is the
export's own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BACKBONES = ("whisper-tiny.en", "whisper-base", "whisper-small")
WAYS = (
    "onnx:float32",
    "onnx:int8",
    "openvino:float32",
    "ctranslate2:int8",
    "ggml:float16",
    "pt2:float32",
    "hf:float32",
)


def peak_mib() -> float:
    """Peak resident memory of this process so far (MiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def once(backbone: str, way: str) -> dict[str, float]:
    """Export in this process."""
    import transformers.models.whisper.modeling_whisper  # noqa: F401

    import runner.models.whisper  # noqa: F401
    from planner.words.records import Adaptation, Reduction, Trial
    from runner.engines.formats import format_of
    from runner.engines.trained import load_trained
    from runner.engines.writing.export import write_export
    from runner.engines.writing.folder import size_bytes

    told = {"imports_mib": peak_mib()}
    trial = Trial(
        task="asr", dataset="none", dataset_digest="0" * 64, split_policy="official", n_train=0, n_test=1,
        backbone=backbone, audio_seconds=12.0, reduction=Reduction.parse("stem:2" if "ggml" not in way else "none"),
        adaptation=Adaptation(kind="none", lora_rank=None), initialisation="random",
    )  # fmt: skip
    trained = load_trained(trial, None)
    told |= {
        "loaded_mib": peak_mib(),
        "model_mib": sum(p.numel() * p.element_size() for p in trained.model.module.parameters())
        / 2**20,
    }
    name, precision = way.split(":")
    began, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        write_export(trained, format_of(name), precision, out, lambda line: None)
        told |= {
            "seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - cpu,
            "size_mib": size_bytes(out) / 2**20,
        }  # fmt: skip
    return told | {"peak_mib": peak_mib()}


def main() -> None:
    """A line for each backbone and way."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("backbones", nargs="*", default=list(BACKBONES))
    asked.add_argument("--to", action="append")
    asked.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    given = asked.parse_args()
    ways = given.to or WAYS
    if given.once:
        print(json.dumps(once(given.backbones[0], ways[0])))
        return
    for backbone in given.backbones:
        for way in ways:
            command = [sys.executable, __file__, backbone, "--to", way, "--once"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{backbone:16} {way:18} {done.stderr.strip().splitlines()[-1]}", flush=True)
                continue
            told = json.loads(done.stdout.splitlines()[-1])
            print(line(backbone, way, told), flush=True)


def line(backbone: str, way: str, told: dict[str, float]) -> str:
    """One row of the table."""
    peak, model = told["peak_mib"], told["model_mib"]
    return (
        f"{backbone:16} {way:18} {told['seconds']:6.1f} s, {told['processor_seconds']:6.1f} of the processor, "
        f"peak {peak:5.0f} MiB = {peak / model:.1f} x {model:.0f} of the model (imports "
        f"{told['imports_mib']:.0f}, loaded {told['loaded_mib']:.0f}), {told['size_mib']:.0f} written"
    )


if __name__ == "__main__":
    main()
